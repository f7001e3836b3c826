/* SPDX-License-Identifier: Apache-2.0 */
#include "sync_world.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"

enum item_kind { ITEM_ENTRY, ITEM_WORD };

/* SYNC_FLUSH of servers/vdd/sync_internal.h. */
#define FLUSH_WORD 6

struct item {
	struct list submitted;
	struct list stream;
	struct world *world;
	enum item_kind kind;
	/* an entry: a request to each side */
	struct disk_io io[2];
	bool is_done[2];
	dvs_err entry_err[2];
	/* a word */
	struct replica_word *word;
	struct replica_heard heard;
	dvs_err err;
	size_t n;
	uint8_t head[REPLICA_HEAD_MAX];
	uint8_t *data; /* a copy: the sender's is not to change, which this finds out */
	uint8_t answer[REPLICA_ANSWER_MAX];
};

static struct item *item_new(struct world *w, enum item_kind kind)
{
	struct item *item = calloc(1, sizeof(*item));

	ck_assert_ptr_nonnull(item);
	item->world = w;
	item->kind = kind;
	list_init(&item->submitted);
	list_init(&item->stream);
	return item;
}

static void item_free(struct item *item)
{
	list_remove(&item->submitted);
	list_remove(&item->stream);
	if (item->kind == ITEM_ENTRY) {
		free(item->io[0].buffer);
		item->world->n_entries--;
	}
	free(item->data);
	free(item);
}

/* ---- entries ---- */

static void entry_over(struct item *item)
{
	struct world *w = item->world;

	if (!item->is_done[PRIMARY] || (!item->is_done[OTHER] && !w->is_away))
		return;
	/* Who has the same disks comes to the same end. */
	if (w->is_same && !w->is_away)
		ck_assert_int_eq(item->entry_err[PRIMARY], item->entry_err[OTHER]);
	/* All have it: readers of the primary may see it. */
	disk_io_release(w->side[PRIMARY].disks, &item->io[PRIMARY]);
	item_free(item);
}

static void primary_done(struct disk_io *io, dvs_err err)
{
	struct item *item = CONTAINER_OF(io, struct item, io[PRIMARY]);

	ck_assert(err == DVS_OK || item->world->has_snapshots);
	item->entry_err[PRIMARY] = err;
	item->is_done[PRIMARY] = true;
	entry_over(item);
}

static void other_done(struct disk_io *io, dvs_err err)
{
	struct item *item = CONTAINER_OF(io, struct item, io[OTHER]);

	ck_assert(err == DVS_OK || item->world->has_snapshots);
	item->entry_err[OTHER] = err;
	item->is_done[OTHER] = true;
	item->world->n_applying--;
	entry_over(item);
}

static void apply_here(struct item *item)
{
	list_remove(&item->submitted);
	disks_submit(item->world->side[PRIMARY].disks, &item->io[PRIMARY]);
}

static void submit(struct world *w, const struct disk_io *io)
{
	struct item *item = item_new(w, ITEM_ENTRY);

	w->n_entries++;
	item->io[PRIMARY] = *io;
	item->io[OTHER] = *io;
	item->io[PRIMARY].done = primary_done;
	item->io[PRIMARY].flags |= DISK_HOLD;
	item->io[OTHER].done = other_done;
	if (w->is_away)
		item->is_done[OTHER] = true;
	else
		list_add_tail(&w->stream, &item->stream);
	list_add_tail(&w->submitted, &item->submitted);
}

void world_control(struct world *w, const struct disk_io *io)
{
	submit(w, io);
}

void world_change(struct world *w, enum disk_op op, uint32_t minor, uint64_t offset, uint64_t bytes,
		  uint64_t seed)
{
	struct disk_io io = { .op = op, .minor = minor, .offset = offset, .bytes = bytes };

	if (op == DISK_WRITE) {
		io.buffer = malloc(bytes);
		ck_assert_ptr_nonnull(io.buffer);
		fill(io.buffer, bytes, seed);
	}
	submit(w, &io);
}

void side_change(struct side *side, enum disk_op op, uint32_t minor, uint64_t offset,
		 uint64_t bytes, uint64_t seed)
{
	void *buffer = op == DISK_WRITE ? malloc(bytes) : NULL;

	if (buffer)
		fill(buffer, bytes, seed);
	ck_assert_int_eq(do_io(&side->turns, side->disks, op, minor, offset, bytes, buffer),
			 DVS_OK);
	free(buffer);
}

/* ---- the replica library ---- */

void replica_settle(struct replica *replica)
{
	struct world *w = replica->world;
	struct list *link;

	while ((link = list_take_head(&w->submitted)) != NULL)
		apply_here(CONTAINER_OF(link, struct item, submitted));
}

void replica_tell(struct replica *replica, dvs_nodeid node, struct replica_word *word)
{
	struct world *w = replica->world;
	struct item *item = item_new(w, ITEM_WORD);

	ck_assert_uint_eq(replica->side, PRIMARY);
	ck_assert_uint_eq(node.n, OTHER);
	item->word = word;
	item->n = word->bytes;
	if (word->bytes) {
		item->data = malloc(word->bytes);
		ck_assert_ptr_nonnull(item->data);
		memcpy(item->data, word->data, word->bytes);
	}
	if (w->is_away) {
		item->err = DVS_NODEDOWN;
		list_add_tail(&w->answers, &item->stream);
		return;
	}
	list_add_tail(&w->stream, &item->stream);
}

void replica_answer(struct replica *replica, struct replica_heard *heard, dvs_err err,
		    const void *answer, size_t n)
{
	struct item *item = CONTAINER_OF(heard, struct item, heard);
	struct world *w = replica->world;

	ck_assert_uint_eq(replica->side, OTHER);
	ck_assert_uint_le(n, REPLICA_ANSWER_MAX);
	w->n_heard--;
	item->err = w->is_away ? DVS_NODEDOWN : err;
	item->n = n;
	if (n)
		memcpy(item->answer, answer, n);
	list_add_tail(&w->answers, &item->stream);
}

void replica_is_current(struct replica *replica, dvs_nodeid node)
{
	ck_assert_uint_eq(node.n, OTHER);
	replica->world->n_current++;
}

uint32_t replica_look(const struct replica *replica, struct replica_member_state *states)
{
	states[0] = (struct replica_member_state){ .node = { PRIMARY }, .role = REPLICA_PRIMARY };
	states[1] = (struct replica_member_state){
		.node = { OTHER },
		.role = replica->world->is_member ? REPLICA_MEMBER : REPLICA_JOINING,
	};
	return 2;
}

/* ---- the skeleton: SKELETON is the world ---- */

void skeleton_timer_set(struct skeleton *skeleton, struct skeleton_timer *timer,
			uint64_t deadline_ns, void (*fire)(struct skeleton_timer *timer))
{
	struct world *w = (struct world *)(void *)skeleton;

	skeleton_timer_cancel(skeleton, timer);
	timer->is_set = true;
	timer->deadline_ns = deadline_ns;
	timer->fire = fire;
	list_add_tail(&w->timers, &timer->by_deadline);
	w->n_timers++;
}

void skeleton_timer_cancel(struct skeleton *skeleton, struct skeleton_timer *timer)
{
	(void)skeleton;
	if (!timer->is_set)
		return;
	timer->is_set = false;
	list_remove(&timer->by_deadline);
}

/* A rate is waited for; what is tried again after an error is tried at once. */
static bool fire_one(struct world *w)
{
	struct skeleton_timer *timer;

	if (list_is_empty(&w->timers))
		return false;
	timer = CONTAINER_OF(w->timers.next, struct skeleton_timer, by_deadline);
	if (timer->deadline_ns > clock_now_ns() + CLOCK_NS_PER_S ||
	    timer->deadline_ns <= clock_now_ns()) {
		list_remove(&timer->by_deadline);
		timer->is_set = false;
		timer->fire(timer);
	}
	return true;
}

/* ---- what happens ---- */

uint32_t world_random(struct world *w, uint32_t end)
{
	uint64_t z = (w->seed += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return (uint32_t)((z ^ (z >> 31)) % end);
}

static void hear(struct world *w, struct item *item)
{
	struct replica_word *word = item->word;

	/* What was told is what is sent. */
	ck_assert(item->n == 0 || memcmp(item->data, word->data, item->n) == 0);
	memcpy(item->head, word->head, word->head_bytes);
	item->heard = (struct replica_heard){
		.from = { PRIMARY },
		.head = item->head,
		.head_bytes = word->head_bytes,
		.data = item->data,
		.bytes = word->bytes,
	};
	if (w->spoil)
		w->spoil(word);
	w->n_heard++;
	if (w->lose && item->head[0] == FLUSH_WORD) {
		w->lose(w);
		w->lose = NULL;
		replica_answer(&w->side[OTHER].replica, &item->heard, DVS_IO, NULL, 0);
		return;
	}
	if (!sync_heard(w->side[OTHER].sync, &item->heard))
		ck_abort_msg("not a word of its");
}

static bool deliver(struct world *w)
{
	struct item *item;

	if (list_is_empty(&w->stream))
		return false;
	item = CONTAINER_OF(w->stream.next, struct item, stream);
	/* What was ordered before it was carried out. */
	if (item->kind == ITEM_WORD && w->n_applying > 0)
		return false;
	list_remove(&item->stream);
	if (item->kind == ITEM_WORD) {
		hear(w, item);
	} else {
		w->n_applying++;
		disks_submit(w->side[OTHER].disks, &item->io[OTHER]);
	}
	return true;
}

static bool answer(struct world *w)
{
	struct list *link = list_take_head(&w->answers);
	struct item *item;
	struct replica_word *word;
	uint8_t bytes[REPLICA_ANSWER_MAX];
	dvs_err err;
	size_t n;

	if (!link)
		return false;
	item = CONTAINER_OF(link, struct item, stream);
	word = item->word;
	err = item->err;
	n = err == DVS_OK ? item->n : 0;
	memcpy(bytes, item->answer, n);
	item_free(item);
	word->done(word, err, bytes, n);
	return true;
}

static bool carry_out(struct world *w)
{
	struct list *link = list_take_head(&w->submitted);

	if (link)
		apply_here(CONTAINER_OF(link, struct item, submitted));
	return link;
}

bool world_step(struct world *w)
{
	uint32_t first = world_random(w, 4);

	turns_poll(&w->side[PRIMARY].turns);
	turns_poll(&w->side[OTHER].turns);
	for (uint32_t i = 0; i < 4; i++) {
		uint32_t what = (first + i) % 4;

		if ((what == 0 && deliver(w)) || (what == 1 && answer(w)) ||
		    (what == 2 && carry_out(w)) || (what == 3 && fire_one(w)))
			return true;
	}
	return w->n_heard || w->n_applying;
}

void world_finish(struct world *w)
{
	uint64_t end_ns = clock_deadline_ns(20 * CLOCK_NS_PER_S);

	while (world_step(w))
		ck_assert(!clock_is_past(end_ns));
	ck_assert_uint_eq(w->n_entries, 0);
}

void world_join(struct world *w, bool is_empty)
{
	static uint8_t hello[REPLICA_HELLO_MAX];
	size_t n = sync_hello(w->side[OTHER].sync, is_empty, hello);

	w->is_away = false;
	sync_joined(w->side[PRIMARY].sync, (dvs_nodeid){ OTHER }, hello, n);
}

void world_leave(struct world *w)
{
	struct list *link;

	w->is_away = true;
	/* What it has not got it never gets. */
	while ((link = list_take_head(&w->stream)) != NULL) {
		struct item *item = CONTAINER_OF(link, struct item, stream);

		if (item->kind == ITEM_WORD) {
			item->err = DVS_NODEDOWN;
			list_add_tail(&w->answers, &item->stream);
		} else {
			item->is_done[OTHER] = true;
			entry_over(item);
		}
	}
	while (w->n_heard || w->n_applying) {
		turns_poll(&w->side[PRIMARY].turns);
		turns_poll(&w->side[OTHER].turns);
	}
	while (answer(w))
		;
	sync_left(w->side[PRIMARY].sync, (dvs_nodeid){ OTHER });
}

/* ---- both have the same ---- */

static void disk_is_equal(struct world *w, uint32_t minor)
{
	enum { BYTES = 1 << 20 };
	uint8_t *data[2] = { malloc(BYTES), malloc(BYTES) };
	uint64_t bytes[2];

	for (uint32_t i = 0; i < 2; i++)
		ck_assert_int_eq(disks_bytes(w->side[i].disks, minor, &bytes[i]), DVS_OK);
	ck_assert_uint_eq(bytes[0], bytes[1]);
	for (uint64_t at = 0; at < bytes[0]; at += BYTES) {
		uint64_t n = bytes[0] - at < BYTES ? bytes[0] - at : BYTES;

		for (uint32_t i = 0; i < 2; i++)
			ck_assert_int_eq(do_io(&w->side[i].turns, w->side[i].disks, DISK_READ,
					       minor, at, n, data[i]),
					 DVS_OK);
		for (uint64_t k = 0; k < n; k += DISK_SECTOR_BYTES) {
			if (memcmp(data[0] + k, data[1] + k, DISK_SECTOR_BYTES) != 0)
				ck_abort_msg("SYNC_SEED=%llu: minor %u differs at %llu",
					     (unsigned long long)w->first_seed, minor,
					     (unsigned long long)(at + k));
		}
	}
	free(data[0]);
	free(data[1]);
}

void world_is_equal(struct world *w)
{
	struct disk_info info[2];

	for (uint32_t minor = 0; minor < DISK_MINORS_MAX; minor = info[0].minor + 1) {
		dvs_err err = disks_look(w->side[0].disks, minor, &info[0]);

		ck_assert_int_eq(disks_look(w->side[1].disks, minor, &info[1]), err);
		if (err != DVS_OK)
			return;
		ck_assert_uint_eq(info[0].minor, info[1].minor);
		ck_assert_str_eq(info[0].name, info[1].name);
		ck_assert_uint_eq(info[0].created_ns, info[1].created_ns);
		disk_is_equal(w, info[0].minor);
	}
}

/* ---- opening ---- */

static void side_open(struct world *w, uint32_t number, uint64_t bytes)
{
	struct side *side = &w->side[number];
	char why[DISK_WHY_MAX + 1];
	bool is_empty;
	struct disks_config config = { .id = "11111111-2222-3333-4444-555555555555",
				       .store = DISK_RAM,
				       .bytes = bytes };

	side->replica = (struct replica){ .world = w, .side = number };
	turns_open(&side->turns);
	(void)snprintf(side->dir, sizeof(side->dir), "/tmp/dvs-sync-%d-%u.XXXXXX", (int)getpid(),
		       number);
	ck_assert_ptr_nonnull(mkdtemp(side->dir));
	config.dir = side->dir;
	config.poster = turns_poster(&side->turns);
	ck_assert_int_eq(disks_open(&config, &side->disks, &is_empty, why), DVS_OK);
	ck_assert_int_eq(sync_open(side->disks, &side->replica, (struct skeleton *)(void *)w,
				   &w->log, 0, &side->sync),
			 DVS_OK);
}

struct world *world_open(uint64_t bytes, uint64_t seed)
{
	struct world *w = calloc(1, sizeof(*w));

	ck_assert_ptr_nonnull(w);
	w->log = log_to_stderr(LOG_LEVEL_ERROR);
	w->seed = seed;
	w->first_seed = seed;
	list_init(&w->submitted);
	list_init(&w->stream);
	list_init(&w->answers);
	list_init(&w->timers);
	side_open(w, PRIMARY, bytes);
	side_open(w, OTHER, bytes);
	return w;
}

void world_close(struct world *w)
{
	for (uint32_t i = 0; i < 2; i++) {
		struct side *side = &w->side[i];

		sync_close(side->sync);
		turns_poll(&side->turns);
		disks_close(side->disks);
		turns_close(&side->turns);
		ck_assert_int_eq(disks_destroy(side->dir), DVS_OK);
		(void)rmdir(side->dir);
	}
	ck_assert(list_is_empty(&w->timers));
	free(w);
}
