/* SPDX-License-Identifier: Apache-2.0 */
#include "vdd_help.h"

#include <check.h>
#include <string.h>
#include <time.h>

#define WAIT_S 20

void turns_open(struct turns *turns)
{
	pthread_condattr_t attr;

	ck_assert_int_eq(pthread_condattr_init(&attr), 0);
	ck_assert_int_eq(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC), 0);
	ck_assert_int_eq(pthread_mutex_init(&turns->lock, NULL), 0);
	ck_assert_int_eq(pthread_cond_init(&turns->came, &attr), 0);
	pthread_condattr_destroy(&attr);
	list_init(&turns->posts);
}

void turns_close(struct turns *turns)
{
	turns_poll(turns);
	pthread_cond_destroy(&turns->came);
	pthread_mutex_destroy(&turns->lock);
}

static void put(void *context, struct post *post)
{
	struct turns *turns = context;

	pthread_mutex_lock(&turns->lock);
	list_add_tail(&turns->posts, &post->queued);
	pthread_cond_signal(&turns->came);
	pthread_mutex_unlock(&turns->lock);
}

struct poster turns_poster(struct turns *turns)
{
	return (struct poster){ .context = turns, .put = put };
}

void turns_poll(struct turns *turns)
{
	struct list *link;

	for (;;) {
		struct post *post;

		pthread_mutex_lock(&turns->lock);
		link = list_take_head(&turns->posts);
		pthread_mutex_unlock(&turns->lock);
		if (!link)
			return;
		post = CONTAINER_OF(link, struct post, queued);
		post->run(post);
	}
}

void turns_run(struct turns *turns)
{
	struct timespec end;

	ck_assert_int_eq(clock_gettime(CLOCK_MONOTONIC, &end), 0);
	end.tv_sec += WAIT_S;
	pthread_mutex_lock(&turns->lock);
	while (list_is_empty(&turns->posts))
		ck_assert_int_eq(pthread_cond_timedwait(&turns->came, &turns->lock, &end), 0);
	pthread_mutex_unlock(&turns->lock);
	turns_poll(turns);
}

static void one_done(struct disk_io *io, dvs_err err)
{
	struct one *one = CONTAINER_OF(io, struct one, io);

	ck_assert(!one->is_done);
	one->is_done = true;
	one->err = err;
}

void one_submit(struct disks *disks, struct one *one)
{
	one->is_done = false;
	one->io.done = one_done;
	disks_submit(disks, &one->io);
}

void one_wait(struct turns *turns, struct one *one)
{
	while (!one->is_done)
		turns_run(turns);
}

dvs_err one_run(struct turns *turns, struct disks *disks, struct one *one)
{
	one_submit(disks, one);
	one_wait(turns, one);
	return one->err;
}

dvs_err do_io(struct turns *turns, struct disks *disks, enum disk_op op, uint32_t minor,
	      uint64_t offset, uint64_t bytes, void *buffer)
{
	struct one one = {
		.io = { .op = op,
			.minor = minor,
			.offset = offset,
			.bytes = bytes,
			.buffer = buffer },
	};

	return one_run(turns, disks, &one);
}

void fill(void *buffer, uint64_t bytes, uint64_t seed)
{
	uint64_t state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
	uint8_t *out = buffer;

	for (uint64_t i = 0; i < bytes; i += 8) {
		state ^= state << 13;
		state ^= state >> 7;
		state ^= state << 17;
		memcpy(out + i, &state, bytes - i < 8 ? bytes - i : 8);
	}
}
