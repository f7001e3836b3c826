/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/copy.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>
#include <unistd.h>

#include "proxy/copy_internal.h"

#define ASKERS_MAX 8u
#define ASKERS_OF_DC_MAX 2u
#define SERVERS_MAX 12u
#define SERVERS_OF_DC_MAX 3u

/* ---- memory ---- */

/* Zero bytes are what memory gives whose process is gone. */
static dvs_err result_of(ssize_t done)
{
	if (done == 0 || errno == ESRCH)
		return DVS_PEERDEAD;
	if (errno == EPERM || errno == EACCES)
		return DVS_DENIED;
	return errno == ENOMEM ? DVS_NOMEM : DVS_FAULT;
}

dvs_err memory_read(int fd, uint64_t addr, void *into, size_t bytes)
{
	for (size_t got = 0; got < bytes;) {
		ssize_t n = pread(fd, (uint8_t *)into + got, bytes - got, (off_t)(addr + got));

		if (n <= 0)
			return result_of(n);
		got += (size_t)n;
	}
	return DVS_OK;
}

dvs_err memory_write(int fd, uint64_t addr, const void *from, size_t bytes)
{
	for (size_t put = 0; put < bytes;) {
		ssize_t n =
			pwrite(fd, (const uint8_t *)from + put, bytes - put, (off_t)(addr + put));

		if (n <= 0)
			return result_of(n);
		put += (size_t)n;
	}
	return DVS_OK;
}

/* ---- the threads ---- */

static unsigned int n_running_locked(const struct pool *pool, uint32_t dc)
{
	unsigned int n = 0;

	LIST_FOREACH(at, &pool->running)
		n += CONTAINER_OF(at, struct work, of_pool)->dc == dc;
	return n;
}

/* The first work whose DC has a thread left; NULL: there is none. */
static struct work *pool_take_locked(struct pool *pool)
{
	LIST_FOREACH(at, &pool->queue) {
		struct work *work = CONTAINER_OF(at, struct work, of_pool);

		if (n_running_locked(pool, work->dc) >= pool->of_dc_max)
			continue;
		list_remove(&work->of_pool);
		list_add_tail(&pool->running, &work->of_pool);
		return work;
	}
	return NULL;
}

static void *pool_thread(void *argument)
{
	struct pool *pool = argument;
	struct copies *copies = pool->copies;

	pthread_mutex_lock(&copies->lock);
	while (!copies->ending) {
		struct work *work = pool_take_locked(pool);

		if (!work) {
			pool->n_idle++;
			pthread_cond_wait(&pool->more, &copies->lock);
			pool->n_idle--;
			continue;
		}
		pthread_mutex_unlock(&copies->lock);
		work->run(copies, work);
		pthread_mutex_lock(&copies->lock);
		/* Its DC may have more, which had to wait. */
		pthread_cond_signal(&pool->more);
	}
	pool->n_threads--;
	pthread_cond_broadcast(&pool->more);
	pthread_mutex_unlock(&copies->lock);
	return NULL;
}

static void thread_add_locked(struct pool *pool)
{
	pthread_attr_t attributes;
	pthread_t thread;

	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	if (pthread_create(&thread, &attributes, pool_thread, pool) == 0)
		pool->n_threads++;
	(void)pthread_attr_destroy(&attributes);
}

void pool_add_locked(struct pool *pool, struct work *work)
{
	list_add_tail(&pool->queue, &work->of_pool);
	if (pool->n_idle == 0 && pool->n_threads < pool->threads_max)
		thread_add_locked(pool);
	pthread_cond_signal(&pool->more);
}

static void pool_init(struct pool *pool, struct copies *copies, unsigned int threads_max,
		      unsigned int of_dc_max)
{
	pool->copies = copies;
	pool->threads_max = threads_max;
	pool->of_dc_max = of_dc_max;
	list_init(&pool->queue);
	list_init(&pool->running);
	(void)pthread_cond_init(&pool->more, NULL);
}

/* ---- all of it ---- */

dvs_err copies_create(const struct copies_owner *owner, struct copies **made)
{
	struct copies *copies = calloc(1, sizeof(*copies));

	if (!copies)
		return DVS_NOMEM;
	copies->owner = *owner;
	(void)pthread_mutex_init(&copies->lock, NULL);
	list_init(&copies->asking);
	list_init(&copies->serving);
	pool_init(&copies->askers, copies, ASKERS_MAX, ASKERS_OF_DC_MAX);
	pool_init(&copies->servers, copies, SERVERS_MAX, SERVERS_OF_DC_MAX);
	/* Not a number that a proxy before this one may have used: the peer may be working on that. */
	if (getrandom(&copies->next_piece, sizeof(copies->next_piece), 0) !=
	    (ssize_t)sizeof(copies->next_piece)) {
		free(copies);
		return DVS_IO;
	}
	*made = copies;
	return DVS_OK;
}

void copies_destroy(struct copies *copies)
{
	if (!copies)
		return;
	pthread_mutex_lock(&copies->lock);
	copies->ending = true;
	ask_end_all_locked(copies);
	pthread_cond_broadcast(&copies->askers.more);
	pthread_cond_broadcast(&copies->servers.more);
	while (copies->askers.n_threads > 0)
		pthread_cond_wait(&copies->askers.more, &copies->lock);
	while (copies->servers.n_threads > 0)
		pthread_cond_wait(&copies->servers.more, &copies->lock);
	pthread_mutex_unlock(&copies->lock);
	serve_end_all(copies);
	(void)pthread_cond_destroy(&copies->askers.more);
	(void)pthread_cond_destroy(&copies->servers.more);
	(void)pthread_mutex_destroy(&copies->lock);
	free(copies);
}

/* ---- frames ---- */

bool copies_takes(uint8_t type)
{
	return type >= FRAME_COPY_READ && type <= FRAME_COPY_END;
}

void *copies_place(struct copies *copies, const struct frame_header *header, struct cursor body)
{
	struct frame_copy_data_req data;

	if (header->type == FRAME_COPY_WRITE)
		return serve_place(copies, header, body);
	if (header->type == FRAME_COPY_DATA && frame_copy_data_req_decode(&body, &data) == DVS_OK)
		return ask_place(copies, data.id, header->data_bytes);
	return NULL;
}

void copies_frame(struct copies *copies, const struct frame_header *header, struct cursor body,
		  void *data)
{
	struct frame_copy_data_req answer;
	struct frame_copy_end_req end;

	switch (header->type) {
	case FRAME_COPY_DATA:
		if (frame_copy_data_req_decode(&body, &answer) == DVS_OK)
			ask_answered(copies, answer.id, DVS_OK, data != NULL);
		break;
	case FRAME_COPY_END:
		if (frame_copy_end_req_decode(&body, &end) == DVS_OK)
			ask_answered(copies, end.id,
				     end.reason <= INT16_MAX ? (dvs_err)end.reason : DVS_PROTO,
				     false);
		break;
	default:
		serve_frame(copies, header, body, data);
		break;
	}
}
