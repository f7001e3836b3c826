/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between two proxies in one process, over a link that breaks at random places: what arrives is right,
 * whatever was lost. The memory of "programs" is this process's own. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/list.h"
#include "proxy/copy.h"
#include "unit.h"

#define REGION 3000000u

struct parcel {
	struct list of_wire;
	struct frame_header header;
	size_t body_bytes;
	uint8_t body[64];
	size_t data_bytes;
	uint8_t data[];
};

/* One proxy with its dvsd, and the wire that leads to it. */
struct side {
	struct side *peer;
	struct copies *copies;
	uint8_t *granted; /* grant 7 */
	pthread_mutex_t lock;
	pthread_cond_t changed;
	struct list wire;
	bool ending;
	atomic_uint open_uses;
	unsigned int n_opened;
	unsigned int refuse; /* so many copy_open are answered with FULL */
	unsigned int n_ends; /* pieces of which the other side told that they are over */
	bool over;
	dvs_err result;
	pthread_t reader;
	unsigned int seed;
	unsigned int cut_every; /* 0: never */
	unsigned int n_cuts;
	bool broken; /* the other side has cut the link */
};

static bool send_frame(void *context, struct frame_header *header, const void *body,
		       size_t body_bytes, const void *data, size_t data_bytes)
{
	struct side *side = context;
	struct side *to = side->peer;
	struct parcel *parcel = malloc(sizeof(*parcel) + data_bytes);

	ck_assert_ptr_nonnull(parcel);
	ck_assert_uint_le(body_bytes, sizeof(parcel->body));
	*parcel = (struct parcel){ .header = *header,
				   .body_bytes = body_bytes,
				   .data_bytes = data_bytes };
	parcel->header.data_bytes = (uint32_t)data_bytes;
	memcpy(parcel->body, body, body_bytes);
	if (data_bytes)
		memcpy(parcel->data, data, data_bytes);
	pthread_mutex_lock(&to->lock);
	list_add_tail(&to->wire, &parcel->of_wire);
	to->n_ends += header->type == FRAME_COPY_END;
	pthread_cond_broadcast(&to->changed);
	pthread_mutex_unlock(&to->lock);
	return true;
}

static dvs_err open_use(void *context, const struct control_copy_open_req *req,
			struct control_copy_open_rep *rep, int *fd)
{
	struct side *side = context;
	bool refused;

	pthread_mutex_lock(&side->lock);
	refused = side->refuse > 0;
	side->refuse -= refused;
	side->n_opened += !refused;
	pthread_mutex_unlock(&side->lock);
	if (refused)
		return DVS_FULL;
	if (req->grant != 7)
		return DVS_NOGRANT;
	if (req->offset > REGION || req->bytes > REGION - req->offset)
		return DVS_TOOBIG;
	*fd = open("/proc/self/mem", O_RDWR | O_CLOEXEC);
	ck_assert_int_ge(*fd, 0);
	rep->use = atomic_fetch_add(&side->open_uses, 1) + 1;
	rep->addr = (uintptr_t)side->granted + req->offset;
	return DVS_OK;
}

static void close_use(void *context, uint64_t use)
{
	struct side *side = context;

	(void)use;
	ck_assert_uint_gt(atomic_fetch_sub(&side->open_uses, 1), 0);
}

static void copy_done(void *context, uint64_t copy, dvs_err reason)
{
	struct side *side = context;

	ck_assert_uint_eq(copy, 42);
	pthread_mutex_lock(&side->lock);
	ck_assert(!side->over);
	side->over = true;
	side->result = reason;
	pthread_cond_broadcast(&side->changed);
	pthread_mutex_unlock(&side->lock);
}

/* As the reader thread of a link: with CUT after `place`, nothing more comes of the frame. */
static void deliver(struct side *side, struct parcel *parcel, bool cut)
{
	struct cursor body = cursor_over(parcel->body, parcel->body_bytes);
	void *room = NULL;

	ck_assert(copies_takes(parcel->header.type));
	if (parcel->data_bytes) {
		room = copies_place(side->copies, &parcel->header, body);
		if (room)
			memcpy(room, parcel->data,
			       cut ? parcel->data_bytes / 2 : parcel->data_bytes);
	}
	if (!cut)
		copies_frame(side->copies, &parcel->header, body, room);
}

static void wire_drop_locked(struct side *side)
{
	struct list *at;

	while ((at = list_take_head(&side->wire)) != NULL)
		free(CONTAINER_OF(at, struct parcel, of_wire));
}

static void break_wire(struct side *side)
{
	pthread_mutex_lock(&side->lock);
	wire_drop_locked(side);
	side->broken = true;
	pthread_cond_broadcast(&side->changed);
	pthread_mutex_unlock(&side->lock);
}

/* Both sides notice; except once each, so that also what was asked in vain is asked again. */
static void cut_link(struct side *side)
{
	break_wire(side);
	if (side->n_cuts++ > 0)
		break_wire(side->peer);
}

static void take_parcel(struct side *side, struct parcel *parcel)
{
	bool cut = side->cut_every && (unsigned int)rand_r(&side->seed) % side->cut_every == 0;

	deliver(side, parcel, cut);
	free(parcel);
	if (cut)
		cut_link(side);
}

static void *reader(void *argument)
{
	struct side *side = argument;

	pthread_mutex_lock(&side->lock);
	while (!side->ending) {
		bool broken = side->broken;
		struct list *at = broken ? NULL : list_take_head(&side->wire);

		side->broken = false;
		if (!broken && !at) {
			pthread_cond_wait(&side->changed, &side->lock);
			continue;
		}
		pthread_mutex_unlock(&side->lock);
		if (broken)
			copies_link_changed(side->copies);
		else
			take_parcel(side, CONTAINER_OF(at, struct parcel, of_wire));
		pthread_mutex_lock(&side->lock);
	}
	wire_drop_locked(side);
	pthread_mutex_unlock(&side->lock);
	return NULL;
}

static void side_open(struct side *side, struct side *peer, unsigned int seed,
		      unsigned int cut_every)
{
	const struct copies_owner owner = { .context = side,
					    .send = send_frame,
					    .open = open_use,
					    .close = close_use,
					    .done = copy_done };

	*side = (struct side){ .peer = peer, .seed = seed, .cut_every = cut_every };
	pthread_mutex_init(&side->lock, NULL);
	pthread_cond_init(&side->changed, NULL);
	list_init(&side->wire);
	side->granted = malloc(REGION);
	ck_assert_ptr_nonnull(side->granted);
	ck_assert_int_eq(copies_create(&owner, &side->copies), DVS_OK);
}

static void side_close(struct side *side)
{
	pthread_mutex_lock(&side->lock);
	side->ending = true;
	pthread_cond_broadcast(&side->changed);
	pthread_mutex_unlock(&side->lock);
	pthread_join(side->reader, NULL);
}

struct world {
	struct side side[2];
};

static void world_open(struct world *world, unsigned int seed, unsigned int cut_every)
{
	for (unsigned int i = 0; i < 2; i++)
		side_open(&world->side[i], &world->side[1 - i], seed + i, cut_every);
	for (unsigned int i = 0; i < 2; i++)
		ck_assert_int_eq(
			pthread_create(&world->side[i].reader, NULL, reader, &world->side[i]), 0);
}

static void world_close(struct world *world)
{
	for (unsigned int i = 0; i < 2; i++)
		side_close(&world->side[i]);
	/* Until both have ended they send to each other. */
	for (unsigned int i = 0; i < 2; i++)
		copies_destroy(world->side[i].copies);
	for (unsigned int i = 0; i < 2; i++) {
		ck_assert_uint_eq(world->side[i].open_uses, 0);
		wire_drop_locked(&world->side[i]);
		free(world->side[i].granted);
	}
}

/* Copy BYTES between MEMORY on side 0 and OFFSET of the grant on side 1. */
static dvs_err copy(struct world *world, void *memory, uint32_t grant, uint64_t offset,
		    uint64_t bytes, bool write)
{
	struct side *side = &world->side[0];
	const struct control_copy_start_req start = { .copy = 42,
						      .dc = 1,
						      .by = 5,
						      .owner = 9,
						      .grant = grant,
						      .offset = offset,
						      .bytes = bytes,
						      .write = write,
						      .addr = (uintptr_t)memory };
	dvs_err result;

	pthread_mutex_lock(&side->lock);
	side->over = false;
	pthread_mutex_unlock(&side->lock);
	copies_start(side->copies, &start, open("/proc/self/mem", O_RDWR | O_CLOEXEC));
	pthread_mutex_lock(&side->lock);
	while (!side->over)
		pthread_cond_wait(&side->changed, &side->lock);
	result = side->result;
	pthread_mutex_unlock(&side->lock);
	return result;
}

static void fill(uint8_t *bytes, size_t n, unsigned int *seed)
{
	for (size_t i = 0; i < n; i++)
		bytes[i] = (uint8_t)rand_r(seed);
}

static void copies_are_right(unsigned int cut_every)
{
	unsigned int seed = (unsigned int)time(NULL);
	struct world world;
	uint8_t *memory = malloc(REGION);

	printf("# seed %u\n", seed);
	world_open(&world, seed, cut_every);
	for (unsigned int round = 0; round < 12; round++) {
		uint64_t offset = (unsigned int)rand_r(&seed) % 1000;
		uint64_t bytes = (unsigned int)rand_r(&seed) % (REGION - 1000);
		bool write = rand_r(&seed) % 2;

		pthread_mutex_lock(&world.side[1].lock);
		world.side[1].refuse = (unsigned int)rand_r(&seed) % 4;
		pthread_mutex_unlock(&world.side[1].lock);
		fill(write ? memory : world.side[1].granted, REGION, &seed);
		ck_assert_int_eq(copy(&world, memory, 7, offset, bytes, write), DVS_OK);
		ck_assert_int_eq(memcmp(memory, world.side[1].granted + offset, bytes), 0);
	}
	world_close(&world);
	free(memory);
}

TEST(copies_both_ways_arrive)
{
	copies_are_right(0);
}

TEST(copies_arrive_over_a_link_that_breaks)
{
	copies_are_right(15);
}

TEST(errors_of_the_other_side_are_told)
{
	struct world world;
	uint8_t byte = 0;

	world_open(&world, 1, 0);
	ck_assert_int_eq(copy(&world, &byte, 8, 0, 1, false), DVS_NOGRANT);
	ck_assert_int_eq(copy(&world, &byte, 8, 0, 1, true), DVS_NOGRANT);
	ck_assert_int_eq(copy(&world, &byte, 7, REGION, 1, true), DVS_TOOBIG);
	ck_assert_int_eq(copy(&world, &byte, 7, REGION - 1, 1, true), DVS_OK);
	ck_assert_int_eq(copy(&world, NULL, 7, 0, 1, false), DVS_FAULT);
	ck_assert_int_eq(copy(&world, NULL, 7, 0, 1, true), DVS_FAULT);
	world_close(&world);
}

/* Side 0 asks for the same piece again, as after an answer that was lost. */
static void write_piece(struct world *world, uint8_t value)
{
	struct side *side = &world->side[0];
	struct frame_header header = {
		.type = FRAME_COPY_WRITE, .dc = 1, .src = 5, .dst = 9, .data_bytes = 1
	};
	struct frame_copy_write_req req = { .id = 77, .grant = 7, .offset = 10 };
	uint8_t body[FRAME_COPY_WRITE_REQ_BYTES_MAX];
	struct writer out = writer_over(body, sizeof(body));
	unsigned int n_ends;

	frame_copy_write_req_encode(&out, &req);
	pthread_mutex_lock(&side->lock);
	n_ends = side->n_ends;
	pthread_mutex_unlock(&side->lock);
	ck_assert(send_frame(side, &header, body, writer_len(&out), &value, 1));
	pthread_mutex_lock(&side->lock);
	while (side->n_ends == n_ends)
		pthread_cond_wait(&side->changed, &side->lock);
	pthread_mutex_unlock(&side->lock);
}

TEST(what_was_written_is_not_written_again)
{
	struct world world;
	uint8_t *there;

	world_open(&world, 1, 0);
	there = world.side[1].granted + 10;
	*there = 0;
	write_piece(&world, 1);
	ck_assert_uint_eq(*there, 1);
	*there = 2;
	write_piece(&world, 1);
	ck_assert_uint_eq(*there, 2);
	ck_assert_uint_eq(world.side[1].n_opened, 1);
	world_close(&world);
}

TEST(what_was_refused_is_written_when_it_is_asked_again)
{
	struct world world;

	world_open(&world, 1, 0);
	world.side[1].granted[10] = 0;
	world.side[1].refuse = 1;
	write_piece(&world, 1);
	ck_assert_uint_eq(world.side[1].granted[10], 0);
	write_piece(&world, 1);
	ck_assert_uint_eq(world.side[1].granted[10], 1);
	world_close(&world);
}

UNIT_MAIN("proxy-copy", copies_both_ways_arrive, copies_arrive_over_a_link_that_breaks,
	  errors_of_the_other_side_are_told, what_was_written_is_not_written_again,
	  what_was_refused_is_written_when_it_is_asked_again)
