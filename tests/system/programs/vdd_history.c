/* SPDX-License-Identifier: Apache-2.0 */
/* Gibbons and Korach, "Testing shared memories": with unique values a history of a register is linearizable if and only if the zones of its values
 * fit. The zone of a value lies between the first end and the last beginning of all that wrote or read it. Is the end first, the value was surely there all that time (a forward zone):
 * no two of those may meet. Else it was there for an instant somewhere in it (a backward zone): that may not lie wholly in a forward one. */
#include "vdd_history.h"

#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#define TOLD_MAX 20u

struct zone {
	uint64_t value;
	uint64_t from, to;
	bool is_forward;
};

#define HEAD_BYTES 4096u
#define ROOM_FIRST 16384u

/* At the beginning of a file; the events follow behind HEAD_BYTES. */
struct history_head {
	uint64_t n;
};

static _Noreturn void no_room(const char *what)
{
	perror(what);
	exit(2);
}

static uint64_t file_bytes(uint64_t room)
{
	return HEAD_BYTES + room * sizeof(struct event);
}

static void grow_file(struct history *history, uint64_t room)
{
	uint64_t had = history->room ? file_bytes(history->room) : 0;
	void *map = MAP_FAILED;

	if (ftruncate(history->fd, (off_t)file_bytes(room)) != 0)
		no_room("vdd-load: history");
	if (had)
		map = mremap(history->head, had, file_bytes(room), MREMAP_MAYMOVE);
	else
		map = mmap(NULL, file_bytes(room), PROT_READ | PROT_WRITE, MAP_SHARED, history->fd,
			   0);
	if (map == MAP_FAILED)
		no_room("vdd-load: history");
	history->head = map;
	history->events = (struct event *)(void *)((uint8_t *)map + HEAD_BYTES);
}

static void grow(struct history *history)
{
	uint64_t room = history->room ? history->room * 2 : ROOM_FIRST;

	if (history->fd) {
		grow_file(history, room);
	} else {
		struct event *more = realloc(history->events, room * sizeof(*more));

		if (!more)
			no_room("vdd-load: history");
		history->events = more;
	}
	history->room = room;
}

void history_open(struct history *history, const char *path)
{
	*history = (struct history){ .n = 0 };
	if (!path)
		return;
	history->fd = open(path, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (history->fd < 0)
		no_room(path);
	grow(history);
}

uint64_t history_add(struct history *history, const struct event *event)
{
	if (history->n == history->room)
		grow(history);
	history->events[history->n++] = *event;
	if (history->head)
		history->head->n = history->n;
	return history->n - 1;
}

void history_end(struct history *history, uint64_t at, uint64_t n, uint64_t end_ns)
{
	for (uint64_t i = at; i < at + n; i++)
		history->events[i].end_ns = end_ns;
}

bool history_load(struct history *history, const char *path)
{
	FILE *file = fopen(path, "rb");
	struct history_head head = { .n = 0 };
	struct event event;
	bool ok = file && fread(&head, sizeof(head), 1, file) == 1 &&
		  fseek(file, HEAD_BYTES, SEEK_SET) == 0;

	for (uint64_t i = 0; ok && i < head.n; i++) {
		ok = fread(&event, sizeof(event), 1, file) == 1;
		if (ok)
			(void)history_add(history, &event);
	}
	if (file)
		(void)fclose(file);
	return ok;
}

static int by_block_and_value(const void *a, const void *b)
{
	const struct event *x = a;
	const struct event *y = b;

	if (x->block != y->block)
		return x->block < y->block ? -1 : 1;
	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return (x->begin_ns > y->begin_ns) - (x->begin_ns < y->begin_ns);
}

static int by_begin(const void *a, const void *b)
{
	const struct zone *x = a;
	const struct zone *y = b;

	return (x->from > y->from) - (x->from < y->from);
}

static bool complain(uint64_t block, const char *what, const struct zone *one,
		     const struct zone *other)
{
	static unsigned int n_told;

	/* One fault makes many. */
	if (n_told++ >= TOLD_MAX)
		return false;
	(void)printf("block %" PRIu64 ": %s: value %#" PRIx64 " from %" PRIu64 " to %" PRIu64,
		     block, what, one->value, one->from, one->to);
	if (other)
		(void)printf(", value %#" PRIx64 " from %" PRIu64 " to %" PRIu64, other->value,
			     other->from, other->to);
	(void)putchar('\n');
	return false;
}

/* The zone of the value of N events. False: no such history can be. IS_SEEN: it was read or surely written. */
static bool zone_of(const struct event *events, size_t n, struct zone *zone, bool *is_seen)
{
	uint64_t first_end = HISTORY_PENDING, last_begin = 0, written_ns = HISTORY_PENDING;
	uint64_t first_read_end = HISTORY_PENDING;
	bool is_written = events->value == 0;

	*is_seen = false;
	for (size_t i = 0; i < n; i++) {
		const struct event *event = &events[i];

		if (event->end_ns < first_end)
			first_end = event->end_ns;
		if (event->begin_ns > last_begin)
			last_begin = event->begin_ns;
		if (event->is_write) {
			is_written = true;
			written_ns = event->begin_ns;
			*is_seen |= event->end_ns != HISTORY_PENDING;
		} else {
			*is_seen = true;
			if (event->end_ns < first_read_end)
				first_read_end = event->end_ns;
		}
	}
	/* What the disk was at first was written before all else. */
	if (events->value == 0)
		first_end = written_ns = 0;
	*zone = (struct zone){ .value = events->value };
	zone->is_forward = first_end < last_begin;
	zone->from = zone->is_forward ? first_end : last_begin;
	zone->to = zone->is_forward ? last_begin : first_end;
	if (!is_written)
		return complain(events->block, "read, but nobody wrote it", zone, NULL);
	if (first_read_end < written_ns)
		return complain(events->block, "read before it was written", zone, NULL);
	return true;
}

static bool judge_zones(uint64_t block, struct zone *zones, size_t n)
{
	const struct zone *last = NULL;

	qsort(zones, n, sizeof(*zones), by_begin);
	for (size_t i = 0; i < n; i++) {
		if (!zones[i].is_forward)
			continue;
		if (last && zones[i].from < last->to)
			return complain(block, "older data came back", last, &zones[i]);
		last = &zones[i];
	}
	for (size_t i = 0; i < n; i++) {
		if (!zones[i].is_forward)
			continue;
		for (size_t j = i + 1; j < n && zones[j].from < zones[i].to; j++) {
			if (!zones[j].is_forward && zones[j].to < zones[i].to)
				return complain(block, "an acknowledged write was lost", &zones[j],
						&zones[i]);
		}
	}
	return true;
}

static bool judge_block(const struct event *events, size_t n)
{
	struct zone *zones = calloc(n, sizeof(*zones));
	size_t n_zones = 0;
	bool ok = zones != NULL;

	for (size_t i = 0; ok && i < n;) {
		size_t end = i;
		bool is_seen;

		while (end < n && events[end].value == events[i].value)
			end++;
		ok = zone_of(&events[i], end - i, &zones[n_zones], &is_seen);
		/* A write that nobody knows of and nobody has seen may never have been. */
		n_zones += is_seen;
		i = end;
	}
	ok = ok && judge_zones(events->block, zones, n_zones);
	free(zones);
	return ok;
}

size_t history_judge(struct history *history)
{
	size_t n_wrong = 0;

	if (history->n)
		qsort(history->events, history->n, sizeof(*history->events), by_block_and_value);
	for (size_t i = 0; i < history->n;) {
		size_t end = i;

		while (end < history->n && history->events[end].block == history->events[i].block)
			end++;
		n_wrong += !judge_block(&history->events[i], end - i);
		i = end;
	}
	return n_wrong;
}
