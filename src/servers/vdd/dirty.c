/* SPDX-License-Identifier: Apache-2.0 */
#include "servers/vdd/dirty.h"

#include <stdlib.h>

#include "base/cursor.h"
#include "servers/vdd/disks.h"
#include "servers/vdd/marks.h"

#define RUN_BYTES 8u
#define HEAD_BYTES 8u

/* fresh: written since the last cooling; old: written between the one before and that. */
struct minor {
	bool is_there;
	struct marks fresh;
	struct marks old;
};

struct dirty {
	struct minor minor[DISK_MINORS_MAX];
};

dvs_err dirty_open(struct dirty **dirty)
{
	*dirty = calloc(1, sizeof(**dirty));
	return *dirty ? DVS_OK : DVS_NOMEM;
}

static void drop(struct minor *minor)
{
	if (!minor->is_there)
		return;
	marks_close(&minor->fresh);
	marks_close(&minor->old);
	minor->is_there = false;
}

void dirty_close(struct dirty *dirty)
{
	for (uint32_t m = 0; dirty && m < DISK_MINORS_MAX; m++)
		drop(&dirty->minor[m]);
	free(dirty);
}

dvs_err dirty_size(struct dirty *dirty, uint32_t minor, uint64_t bytes)
{
	struct minor *one = &dirty->minor[minor];
	uint64_t n = (bytes + DISK_CHUNK_BYTES - 1) / DISK_CHUNK_BYTES;
	dvs_err err;

	if (bytes == 0) {
		drop(one);
		return DVS_OK;
	}
	if (one->is_there) {
		err = marks_resize(&one->fresh, n);
		return err == DVS_OK ? marks_resize(&one->old, n) : err;
	}
	err = marks_open(&one->fresh, n);
	if (err != DVS_OK)
		return err;
	err = marks_open(&one->old, n);
	if (err != DVS_OK)
		marks_close(&one->fresh);
	one->is_there = err == DVS_OK;
	return err;
}

void dirty_mark(struct dirty *dirty, uint32_t minor, uint64_t from, uint64_t to)
{
	struct minor *one = &dirty->minor[minor];
	uint64_t last = (to + DISK_CHUNK_BYTES - 1) / DISK_CHUNK_BYTES;

	if (!one->is_there)
		return;
	marks_set_range(&one->fresh, from / DISK_CHUNK_BYTES,
			last < one->fresh.n ? last : one->fresh.n);
}

bool dirty_is_set(const struct dirty *dirty, uint32_t minor, uint64_t chunk)
{
	const struct minor *one = &dirty->minor[minor];

	return one->is_there &&
	       (marks_is_set(&one->fresh, chunk) || marks_is_set(&one->old, chunk));
}

bool dirty_next(const struct dirty *dirty, uint32_t minor, uint64_t *chunk)
{
	const struct minor *one = &dirty->minor[minor];
	uint64_t fresh, old;

	if (!one->is_there || *chunk >= one->fresh.n)
		return false;
	fresh = marks_next_set(&one->fresh, *chunk, one->fresh.n);
	old = marks_next_set(&one->old, *chunk, one->old.n);
	*chunk = fresh < old ? fresh : old;
	return *chunk < one->fresh.n;
}

void dirty_cool(struct dirty *dirty)
{
	for (uint32_t m = 0; m < DISK_MINORS_MAX; m++) {
		struct minor *one = &dirty->minor[m];
		struct marks cooled = one->old;

		if (!one->is_there)
			continue;
		one->old = one->fresh;
		one->fresh = cooled;
		marks_clear_range(&one->fresh, 0, one->fresh.n);
	}
}

/* ---- as bytes ---- */

/* The run that begins at or after *FROM; runs with gaps up to GAP are one. */
static bool next_run(const struct dirty *dirty, uint32_t minor, uint64_t gap, uint64_t *from,
		     uint64_t *to)
{
	uint64_t next;

	if (!dirty_next(dirty, minor, from))
		return false;
	*to = *from + 1;
	for (next = *to; dirty_next(dirty, minor, &next) && next - *to <= gap; next = *to)
		*to = next + 1;
	return true;
}

static size_t encode(const struct dirty *dirty, uint64_t gap, void *room, size_t cap)
{
	struct writer out = writer_over(room, cap);

	for (uint32_t m = 0; m < DISK_MINORS_MAX; m++) {
		uint64_t from = 0, to, runs = 0;

		for (; next_run(dirty, m, gap, &from, &to); from = to)
			runs++;
		if (runs == 0)
			continue;
		writer_u32(&out, m);
		writer_u32(&out, runs);
		for (from = 0; writer_ok(&out) && next_run(dirty, m, gap, &from, &to); from = to) {
			writer_u32(&out, from);
			writer_u32(&out, to - from);
		}
	}
	return writer_ok(&out) ? writer_len(&out) : SIZE_MAX;
}

bool dirty_encode(const struct dirty *dirty, void *room, size_t cap, size_t *len)
{
	for (uint64_t gap = 0; gap <= DISK_BYTES_MAX / DISK_CHUNK_BYTES; gap = gap * 4 + 1) {
		*len = encode(dirty, gap, room, cap);
		if (*len != SIZE_MAX)
			return true;
	}
	return false;
}

static void add_run(struct dirty *dirty, uint32_t minor, uint64_t first, uint64_t n)
{
	struct minor *one = &dirty->minor[minor];
	uint64_t last = first + n;

	if (!one->is_there)
		return;
	if (last > one->fresh.n)
		last = one->fresh.n;
	if (first < last)
		dirty_mark(dirty, minor, first * DISK_CHUNK_BYTES, last * DISK_CHUNK_BYTES);
}

/* Read all; with DO_ADD add it. */
static dvs_err read_runs(struct dirty *dirty, const void *data, size_t len, bool do_add)
{
	struct cursor in = cursor_over(data, len);

	while (cursor_left(&in) > 0) {
		uint32_t minor = cursor_u32(&in);
		uint32_t runs = cursor_u32(&in);

		if (minor >= DISK_MINORS_MAX || runs > cursor_left(&in) / RUN_BYTES)
			return DVS_PROTO;
		for (uint32_t i = 0; i < runs; i++) {
			uint32_t first = cursor_u32(&in);
			uint32_t n = cursor_u32(&in);

			if (do_add)
				add_run(dirty, minor, first, n);
		}
	}
	return cursor_done(&in) ? DVS_OK : DVS_PROTO;
}

dvs_err dirty_add(struct dirty *dirty, const void *data, size_t len)
{
	dvs_err err = read_runs(dirty, data, len, false);

	return err == DVS_OK ? read_runs(dirty, data, len, true) : err;
}
