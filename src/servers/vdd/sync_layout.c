/* SPDX-License-Identifier: Apache-2.0 */
/* Which disks there are. Another replica may have been away when snapshots were made or removed, or may have made some that nobody else knows. Those that nobody else knows are removed; so are those that are newer than one that is
 * missing, because snapshots of a disk show what newer ones have: they are made anew. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "servers/vdd/sync_internal.h"

/* A remove, a resize for each; a snapshot, a resize and a claim for each. */
#define CHANGES_MAX (5u * DISK_MINORS_MAX)

enum { KIND_VOLUME = 1, KIND_SNAPSHOT = 2, KIND_CLONE = 3 };

struct layout {
	uint64_t life;
	uint32_t n;
	/* Each disk behind the one that it was made of; snapshots of one disk by age, the oldest first. */
	struct disk_info at[DISK_MINORS_MAX];
	bool stays[DISK_MINORS_MAX]; /* by minor: is on both sides, and need not be made anew */
};

struct change {
	struct sync *sync;
	struct replica_heard *heard;
	uint64_t anew;	     /* minors that were made although they had been there */
	uint64_t grown_from; /* what is behind was not there on a disk that stays */
	uint32_t n_left;
	dvs_err err;
	uint32_t n;
	struct one_change {
		struct disk_io io;
		struct change *change;
	} at[CHANGES_MAX];
};

static int oldest_first(const void *a, const void *b)
{
	const struct disk_info *left = a;
	const struct disk_info *right = b;

	if (left->rank != right->rank)
		return left->rank > right->rank ? -1 : 1;
	return left->minor < right->minor ? -1 : 1;
}

static uint32_t look_at_all(const struct disks *disks, struct disk_info *all)
{
	uint32_t n = 0;

	for (uint32_t minor = 0; minor < DISK_MINORS_MAX; minor = all[n++].minor + 1) {
		if (disks_look(disks, minor, &all[n]) != DVS_OK)
			break;
	}
	return n;
}

static void look(const struct disks *disks, struct layout *layout)
{
	struct disk_info all[DISK_MINORS_MAX];
	uint32_t n = look_at_all(disks, all);

	memset(layout, 0, sizeof(*layout));
	if (n == 0)
		return;
	layout->at[layout->n++] = all[0];
	qsort(all, n, sizeof(all[0]), oldest_first);
	for (uint32_t i = 0; i < layout->n; i++) {
		for (uint32_t k = 0; k < n && layout->n < DISK_MINORS_MAX; k++) {
			if (all[k].kind != KIND_VOLUME && all[k].parent == layout->at[i].minor)
				layout->at[layout->n++] = all[k];
		}
	}
}

size_t sync_layout_encode(const struct disks *disks, uint8_t *buffer)
{
	struct writer out = writer_over(buffer, SYNC_LAYOUT_BYTES_MAX);
	struct layout layout;

	look(disks, &layout);
	writer_u64(&out, disks_life(disks));
	for (uint32_t i = 0; i < layout.n; i++) {
		const struct disk_info *info = &layout.at[i];

		writer_u32(&out, info->minor);
		writer_u8(&out, info->kind);
		writer_u32(&out, info->parent);
		writer_string(&out, info->name, sizeof(info->name), 1);
		writer_u64(&out, info->bytes);
		writer_u64(&out, info->created_ns);
		writer_u64(&out, disks_claim(disks, info->minor));
	}
	assert(writer_ok(&out));
	return writer_len(&out);
}

static bool is_possible(const struct disk_info *info, bool is_first)
{
	if (info->bytes == 0 || info->bytes > DISK_BYTES_MAX || info->bytes % DISK_SECTOR_BYTES)
		return false;
	if (is_first)
		return info->minor == 0 && info->kind == KIND_VOLUME;
	return info->minor > 0 && info->minor < DISK_MINORS_MAX && info->parent < DISK_MINORS_MAX &&
	       (info->kind == KIND_SNAPSHOT || info->kind == KIND_CLONE);
}

static dvs_err decode(struct layout *layout, const void *data, size_t len)
{
	struct cursor in = cursor_over(data, len);

	memset(layout, 0, sizeof(*layout));
	layout->life = cursor_u64(&in);
	while (cursor_left(&in) > 0 && layout->n < DISK_MINORS_MAX) {
		struct disk_info *info = &layout->at[layout->n];

		*info = (struct disk_info){ .minor = cursor_u32(&in) };
		info->kind = cursor_u8(&in);
		info->parent = cursor_u32(&in);
		cursor_string(&in, cursor_u8(&in), info->name, sizeof(info->name));
		info->bytes = cursor_u64(&in);
		info->created_ns = cursor_u64(&in);
		info->claim = cursor_u64(&in);
		if (in.failed || !is_possible(info, layout->n == 0))
			return DVS_PROTO;
		layout->n++;
	}
	return cursor_done(&in) && layout->n > 0 ? DVS_OK : DVS_PROTO;
}

/* ---- making it the same ---- */

static bool is_same(const struct disk_info *a, const struct disk_info *b)
{
	return a->minor == b->minor && a->kind == b->kind && a->parent == b->parent &&
	       a->created_ns == b->created_ns && strcmp(a->name, b->name) == 0;
}

static struct disk_io *add(struct change *change, enum disk_op op, uint32_t minor)
{
	struct one_change *one = &change->at[change->n++];

	assert(change->n <= CHANGES_MAX);
	one->change = change;
	one->io = (struct disk_io){ .op = op, .flags = DISK_BEHIND, .minor = minor };
	return &one->io;
}

static void add_resize(struct change *change, uint32_t minor, uint64_t have, uint64_t want)
{
	if (have != want)
		add(change, DISK_RESIZE, minor)->bytes = want;
}

/* What is claimed there may be under way here as an entry of its own, too: the higher one counts. */
static void add_claim(struct change *change, uint32_t minor, uint64_t have, uint64_t want)
{
	if (have < want)
		add(change, DISK_CLAIM, minor)->claim = want;
}

static uint64_t bytes_of(const struct layout *layout, uint32_t minor)
{
	for (uint32_t i = 0; i < layout->n; i++) {
		if (layout->at[i].minor == minor)
			return layout->at[i].bytes;
	}
	return 0;
}

static uint64_t claim_of(const struct layout *layout, uint32_t minor)
{
	for (uint32_t i = 0; i < layout->n; i++) {
		if (layout->at[i].minor == minor)
			return layout->at[i].claim;
	}
	return 0;
}

static void add_made(struct change *change, const struct layout *want, const struct disk_info *info)
{
	struct disk_io *io =
		add(change, info->kind == KIND_SNAPSHOT ? DISK_SNAPSHOT : DISK_CLONE, info->parent);

	io->made = info->minor;
	io->now_ns = info->created_ns;
	(void)snprintf(io->name, sizeof(io->name), "%s", info->name);
	add_resize(change, info->minor, bytes_of(want, info->parent), info->bytes);
	add_claim(change, info->minor, 0, info->claim);
}

static const struct disk_info *find_same(const struct layout *layout, const struct disk_info *info)
{
	for (uint32_t i = 1; i < layout->n; i++) {
		if (is_same(&layout->at[i], info))
			return &layout->at[i];
	}
	return NULL;
}

/* The next snapshot of PARENT behind place *AT. */
static const struct disk_info *next_snapshot(const struct layout *layout, uint32_t parent,
					     uint32_t *at)
{
	while (*at < layout->n) {
		const struct disk_info *info = &layout->at[(*at)++];

		if (info->kind == KIND_SNAPSHOT && info->parent == parent)
			return info;
	}
	return NULL;
}

/* Of DISK, which stays: from the oldest on as long as both have the same. */
static void snapshots_stay(struct layout *have, const struct layout *want, uint32_t disk)
{
	const struct disk_info *ours;
	uint32_t i = 0;
	uint32_t k = 0;

	while ((ours = next_snapshot(have, disk, &i)) != NULL) {
		const struct disk_info *theirs;

		/* Without it the others show the same. */
		if (!find_same(want, ours))
			continue;
		theirs = next_snapshot(want, disk, &k);
		if (!theirs || !is_same(ours, theirs))
			return;
		have->stays[ours->minor] = true;
	}
}

static void find_what_stays(struct layout *have, const struct layout *want)
{
	have->stays[0] = true;
	for (uint32_t i = 0; i < have->n; i++) {
		const struct disk_info *info = &have->at[i];

		if (info->kind == KIND_CLONE)
			have->stays[info->minor] = have->stays[info->parent] &&
						   find_same(want, info);
		if (info->kind != KIND_SNAPSHOT && have->stays[info->minor])
			snapshots_stay(have, want, info->minor);
	}
}

/* What turns HAVE into WANT. */
static void plan_changes(struct change *change, struct layout *have, const struct layout *want)
{
	find_what_stays(have, want);
	change->grown_from = UINT64_MAX;
	for (uint32_t i = have->n; i-- > 0;) {
		const struct disk_info *info = &have->at[i];

		if (have->stays[info->minor])
			continue;
		add(change, DISK_REMOVE, info->minor);
		if (find_same(want, info))
			change->anew |= UINT64_C(1) << info->minor;
	}
	for (uint32_t i = 0; i < want->n; i++) {
		const struct disk_info *info = &want->at[i];

		uint64_t had = bytes_of(have, info->minor);

		if (!have->stays[info->minor] || (i > 0 && !find_same(have, info))) {
			add_made(change, want, info);
			continue;
		}
		add_resize(change, info->minor, had, info->bytes);
		add_claim(change, info->minor, claim_of(have, info->minor), info->claim);
		if (had < info->bytes && had < change->grown_from)
			change->grown_from = had;
	}
}

static void end(struct change *change)
{
	uint8_t answer[16];
	struct writer out = writer_over(answer, sizeof(answer));

	writer_u64(&out, change->anew);
	writer_u64(&out, change->grown_from);
	change->sync->n_jobs_open--;
	replica_answer(change->sync->replica, change->heard, change->err, answer,
		       change->err == DVS_OK ? writer_len(&out) : 0);
	free(change);
}

static void one_is_done(struct disk_io *io, dvs_err err)
{
	struct change *change = CONTAINER_OF(io, struct one_change, io)->change;

	if (change->err == DVS_OK)
		change->err = err;
	if (--change->n_left == 0)
		end(change);
}

/* All at once: whatever is ordered later waits for them. */
static void carry_out(struct change *change)
{
	uint32_t n = change->n;

	/* One more, so that it is not over before all are submitted. */
	change->n_left = n + 1;
	for (uint32_t i = 0; i < n; i++) {
		change->at[i].io.done = one_is_done;
		disks_submit(change->sync->disks, &change->at[i].io);
	}
	if (--change->n_left == 0)
		end(change);
}

void sync_layout_heard(struct sync *sync, struct replica_heard *heard, bool only_look)
{
	struct change *change = calloc(1, sizeof(*change));
	struct layout have;
	struct layout want;
	dvs_err err = change ? decode(&want, heard->data, heard->bytes) : DVS_NOMEM;

	if (err == DVS_OK) {
		look(sync->disks, &have);
		plan_changes(change, &have, &want);
		if (only_look && change->n > 0)
			err = DVS_BADSTATE;
	}
	if (err != DVS_OK) {
		free(change);
		replica_answer(sync->replica, heard, err, NULL, 0);
		return;
	}
	if (!only_look)
		disks_set_life(sync->disks, want.life);
	change->sync = sync;
	change->heard = heard;
	sync->n_jobs_open++;
	carry_out(change);
}
