/* SPDX-License-Identifier: Apache-2.0 */
#include "servers/vdd/dirty.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "servers/vdd/disks.h"
#include "servers/vdd/marks.h"
#include "servers/vdd/store.h"

#define RUN_BYTES 8u
#define MAGIC UINT64_C(0x5954524944535644) /* "DVSDIRTY" */
#define VERSION 1u
#define HEAD_BYTES 24u
#define BASE 4096u
/* Of one minor. */
#define ROW_BYTES (DISK_BYTES_MAX / DISK_CHUNK_BYTES / 8)

/* fresh: written since the last cooling; old: written between the one before and that. stored: what the file has, or will have; stable: what it has after a power cut too. */
struct minor {
	bool is_there;
	struct marks fresh;
	struct marks old;
	struct marks stored;
	struct marks stable;
};

struct dirty {
	int fd;
	bool all_dirty; /* the file said nothing that can be relied on */
	uint64_t cooled;
	struct syncer syncer;
	struct minor minor[DISK_MINORS_MAX];
};

/* ---- the file ---- */

static uint64_t row_at(uint32_t minor)
{
	return BASE + minor * ROW_BYTES;
}

static dvs_err write_head(int fd, uint64_t cooled)
{
	uint8_t head[HEAD_BYTES] = { 0 };
	struct writer out = writer_over(head, sizeof(head));

	writer_u64(&out, MAGIC);
	writer_u32(&out, VERSION);
	writer_u32(&out, 0);
	writer_u64(&out, cooled);
	return store_pwrite(fd, head, sizeof(head), 0);
}

static bool read_head(int fd, uint64_t *cooled)
{
	uint8_t head[HEAD_BYTES];
	struct cursor in = cursor_over(head, sizeof(head));

	if (store_pread(fd, head, sizeof(head), 0) != DVS_OK || cursor_u64(&in) != MAGIC ||
	    cursor_u32(&in) != VERSION)
		return false;
	(void)cursor_u32(&in);
	*cooled = cursor_u64(&in);
	return true;
}

/* What the file has of the words [FROM, TO). */
static dvs_err put_words(struct dirty *dirty, uint32_t minor, uint64_t from, uint64_t to)
{
	const struct minor *one = &dirty->minor[minor];

	if (dirty->fd < 0 || from >= to)
		return DVS_OK;
	return store_pwrite(dirty->fd, one->stored.words + from, (to - from) * 8,
			    row_at(minor) + from * 8);
}

static dvs_err open_file(struct dirty *dirty, int dir, bool is_new)
{
	int flags = O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (is_new ? O_TRUNC : 0);
	AUTO_CLOSE int fd = openat(dir, "dirty", flags, 0600);
	dvs_err err = DVS_OK;

	if (fd < 0)
		return store_errno(errno);
	if (is_new || !read_head(fd, &dirty->cooled)) {
		dirty->all_dirty = !is_new;
		if (ftruncate(fd, (off_t)row_at(DISK_MINORS_MAX)) != 0)
			return store_errno(errno);
		err = write_head(fd, 0);
	}
	dirty->fd = take_fd(&fd);
	return err;
}

dvs_err dirty_open(int dir, bool is_new, struct crew *crew, struct dirty **dirty)
{
	struct dirty *made = calloc(1, sizeof(*made));
	dvs_err err;

	if (!made)
		return DVS_NOMEM;
	made->fd = -1;
	err = dir < 0 ? DVS_OK : open_file(made, dir, is_new);
	if (err != DVS_OK) {
		dirty_close(made);
		return err;
	}
	syncer_init(&made->syncer, made->fd, crew);
	*dirty = made;
	return DVS_OK;
}

static void drop(struct minor *minor)
{
	marks_close(&minor->fresh);
	marks_close(&minor->old);
	marks_close(&minor->stored);
	marks_close(&minor->stable);
	minor->is_there = false;
}

void dirty_close(struct dirty *dirty)
{
	for (uint32_t m = 0; dirty && m < DISK_MINORS_MAX; m++)
		drop(&dirty->minor[m]);
	if (dirty && dirty->fd >= 0)
		close(dirty->fd);
	free(dirty);
}

/* ---- marks ---- */

static uint64_t chunks_of(uint64_t bytes)
{
	return (bytes + DISK_CHUNK_BYTES - 1) / DISK_CHUNK_BYTES;
}

static dvs_err make(struct minor *one, uint64_t n)
{
	dvs_err err = marks_open(&one->fresh, n);

	if (err == DVS_OK)
		err = marks_open(&one->old, n);
	if (err == DVS_OK)
		err = marks_open(&one->stored, n);
	if (err == DVS_OK)
		err = marks_open(&one->stable, n);
	one->is_there = err == DVS_OK;
	if (err != DVS_OK)
		drop(one);
	return err;
}

dvs_err dirty_size(struct dirty *dirty, uint32_t minor, uint64_t bytes)
{
	struct minor *one = &dirty->minor[minor];
	struct marks *all[] = { &one->fresh, &one->old, &one->stored, &one->stable };
	dvs_err err = DVS_OK;

	if (bytes == 0 || !one->is_there) {
		drop(one);
		if (dirty->fd >= 0)
			err = store_pzero(dirty->fd, row_at(minor), ROW_BYTES, false);
		/* Marks too many are harmless. */
		return bytes == 0 || err != DVS_OK ? DVS_OK : make(one, chunks_of(bytes));
	}
	for (size_t i = 0; err == DVS_OK && i < ARRAY_LEN(all); i++)
		err = marks_resize(all[i], chunks_of(bytes));
	return err;
}

dvs_err dirty_load(struct dirty *dirty, uint32_t minor, uint64_t bytes)
{
	struct minor *one = &dirty->minor[minor];
	uint64_t n = chunks_of(bytes);
	dvs_err err = make(one, n);

	if (err != DVS_OK)
		return err;
	if (dirty->all_dirty ||
	    store_pread(dirty->fd, one->stored.words, (n + 63) / 64 * 8, row_at(minor)) != DVS_OK) {
		marks_set_range(&one->stored, 0, n);
		err = put_words(dirty, minor, 0, (n + 63) / 64);
	}
	/* They were read, which does not say that the medium has them: not stable. */
	memcpy(one->fresh.words, one->stored.words, (n + 63) / 64 * 8);
	return err;
}

/* The chunks of a range, within the disk. */
static void chunks(const struct minor *one, uint64_t from, uint64_t to, uint64_t *first,
		   uint64_t *last)
{
	*first = from / DISK_CHUNK_BYTES;
	*last = chunks_of(to);
	if (*last > one->fresh.n)
		*last = one->fresh.n;
	if (*first > *last)
		*first = *last;
}

/* The file gets what it has not yet; without room there it is tried again by whoever waits for it. */
static dvs_err store_marks(struct dirty *dirty, uint32_t minor, uint64_t first, uint64_t last)
{
	struct minor *one = &dirty->minor[minor];
	dvs_err err;

	if (dirty->fd < 0 || marks_next_clear(&one->stored, first, last) == last)
		return DVS_OK;
	marks_set_range(&one->stored, first, last);
	err = put_words(dirty, minor, first / 64, (last + 63) / 64);
	/* Those of them that the file had are not known any more, which costs a write. */
	if (err != DVS_OK)
		marks_clear_range(&one->stored, first, last);
	return err;
}

void dirty_mark(struct dirty *dirty, uint32_t minor, uint64_t from, uint64_t to)
{
	struct minor *one = &dirty->minor[minor];
	uint64_t first, last;

	if (!one->is_there)
		return;
	chunks(one, from, to, &first, &last);
	marks_set_range(&one->fresh, first, last);
	(void)store_marks(dirty, minor, first, last);
}

bool dirty_is_stable(const struct dirty *dirty, uint32_t minor, uint64_t from, uint64_t to)
{
	const struct minor *one = &dirty->minor[minor];
	uint64_t first, last;

	if (dirty->fd < 0 || !one->is_there)
		return true;
	chunks(one, from, to, &first, &last);
	return marks_next_clear(&one->stable, first, last) == last;
}

static void synced(struct sync_wait *sync, dvs_err err)
{
	struct dirty_wait *wait = CONTAINER_OF(sync, struct dirty_wait, sync);
	struct minor *one = &wait->dirty->minor[wait->minor];

	if (err == DVS_OK && one->is_there && wait->last <= one->stable.n)
		marks_set_range(&one->stable, wait->first, wait->last);
	wait->done(wait, err);
}

void dirty_wait(struct dirty *dirty, uint32_t minor, uint64_t from, uint64_t to,
		struct dirty_wait *wait)
{
	dvs_err err;

	wait->dirty = dirty;
	wait->minor = minor;
	chunks(&dirty->minor[minor], from, to, &wait->first, &wait->last);
	wait->sync.done = synced;
	err = store_marks(dirty, minor, wait->first, wait->last);
	if (err != DVS_OK)
		wait->done(wait, err);
	else
		syncer_wait(&dirty->syncer, &wait->sync);
}

void dirty_settle(struct dirty *dirty, struct sync_wait *wait)
{
	if (dirty->fd < 0)
		wait->done(wait, DVS_OK);
	else
		syncer_wait(&dirty->syncer, wait);
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

/* Take off the file what is not marked any more, unless somebody waits for it. */
static void tidy_file(struct dirty *dirty, uint32_t minor)
{
	struct minor *one = &dirty->minor[minor];
	uint64_t n = (one->fresh.n + 63) / 64, first = n, last = 0;

	for (uint64_t w = 0; w < n; w++) {
		uint64_t gone = one->stored.words[w] & one->stable.words[w] &
				~(one->fresh.words[w] | one->old.words[w]);

		if (!gone)
			continue;
		one->stored.words[w] &= ~gone;
		one->stable.words[w] &= ~gone;
		first = first < w ? first : w;
		last = w + 1;
	}
	/* If that fails the file has too many. */
	(void)put_words(dirty, minor, first, last);
}

bool dirty_is_broken(const struct dirty *dirty)
{
	return dirty->syncer.broken != DVS_OK;
}

uint64_t dirty_cooled(const struct dirty *dirty)
{
	return dirty->cooled;
}

void dirty_set_cooled(struct dirty *dirty, uint64_t cooled)
{
	dirty->cooled = cooled;
	/* When it cannot be written, what the file says is older: then more is compared than need be. */
	if (dirty->fd >= 0)
		(void)!write_head(dirty->fd, cooled);
}

void dirty_cool(struct dirty *dirty)
{
	dirty_set_cooled(dirty, dirty->cooled + 1);
	for (uint32_t m = 0; m < DISK_MINORS_MAX; m++) {
		struct minor *one = &dirty->minor[m];
		struct marks cooled = one->old;

		if (!one->is_there)
			continue;
		one->old = one->fresh;
		one->fresh = cooled;
		marks_clear_range(&one->fresh, 0, one->fresh.n);
		if (dirty->fd >= 0)
			tidy_file(dirty, m);
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
