/* SPDX-License-Identifier: Apache-2.0 */
#include "node/copier.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "node/bounds.h"

struct copier {
	pthread_mutex_t lock;
	pthread_cond_t work;
	int event_fd;
	/* under lock: */
	struct list queue; /* as long as there are free threads for it */
	struct list done;
	unsigned int n_threads;
	unsigned int n_free; /* threads without a job, less the queue */
	unsigned int n_busy; /* threads with one */
	bool ending;
};

/* ---- one copy ---- */

/* The memory of a process, if it still has the image with which it said hello: one that has
 * executed another program, maybe with more rights, is not who granted anything. The order counts:
 * what is open is not of a later image than the one that is looked at then. */
dvs_err copy_memory_open(const struct copy_side *side, int flags, int *fd)
{
	char path[64];
	struct image image;
	int error;

	(void)snprintf(path, sizeof(path), "/proc/%" PRIu32 "/mem", side->pid);
	*fd = open(path, flags | O_CLOEXEC);
	error = *fd < 0 ? errno : 0;
	/* One that just died has no image, and its files are root's: that is not a question of rights. */
	if (!image_of(side->pid, &image))
		return DVS_PEERDEAD;
	if (error)
		return error == EACCES || error == EPERM ? DVS_DENIED : DVS_PEERDEAD;
	return image_equal(&image, &side->image) ? DVS_OK : DVS_DENIED;
}

/* Zero bytes are what memory gives whose process is gone. */
static dvs_err result_of(ssize_t done)
{
	if (done > 0)
		return DVS_OK;
	if (done == 0 || errno == ESRCH)
		return DVS_PEERDEAD;
	if (errno == EPERM || errno == EACCES)
		return DVS_DENIED;
	return errno == ENOMEM ? DVS_NOMEM : DVS_FAULT;
}

static dvs_err copy_chunk(int from_fd, int to_fd, uint64_t from, uint64_t to, size_t bytes,
			  void *buffer)
{
	uint8_t *at = buffer;

	for (size_t got = 0; got < bytes;) {
		ssize_t n = pread(from_fd, at + got, bytes - got, (off_t)(from + got));

		if (n <= 0)
			return result_of(n);
		got += (size_t)n;
	}
	for (size_t put = 0; put < bytes;) {
		ssize_t n = pwrite(to_fd, at + put, bytes - put, (off_t)(to + put));

		if (n <= 0)
			return result_of(n);
		put += (size_t)n;
	}
	return DVS_OK;
}

dvs_err copy_run(struct copy_job *job, void *buffer)
{
	AUTO_CLOSE int from_fd = -1;
	AUTO_CLOSE int to_fd = -1;
	dvs_err err = copy_memory_open(&job->from, O_RDONLY, &from_fd);
	uint64_t done = 0;

	if (err == DVS_OK)
		err = copy_memory_open(&job->to, O_RDWR, &to_fd);
	while (err == DVS_OK && done < job->bytes && !atomic_load(&job->stop)) {
		uint64_t left = job->bytes - done;
		size_t chunk = left < COPY_CHUNK_BYTES ? (size_t)left : COPY_CHUNK_BYTES;

		err = copy_chunk(from_fd, to_fd, job->from.addr + done, job->to.addr + done, chunk,
				 buffer);
		done += chunk;
	}
	return err;
}

/* ---- the threads ---- */

static void *copier_thread(void *arg)
{
	struct copier *copier = arg;
	void *buffer = malloc(COPY_CHUNK_BYTES);

	pthread_mutex_lock(&copier->lock);
	while (!copier->ending) {
		struct list *at = list_take_head(&copier->queue);
		struct copy_job *job;

		if (!at) {
			pthread_cond_wait(&copier->work, &copier->lock);
			continue;
		}
		copier->n_busy++;
		pthread_mutex_unlock(&copier->lock);
		job = CONTAINER_OF(at, struct copy_job, of_queue);
		job->err = buffer ? copy_run(job, buffer) : DVS_NOMEM;
		pthread_mutex_lock(&copier->lock);
		list_add_tail(&copier->done, &job->of_queue);
		copier->n_free++;
		copier->n_busy--;
		(void)eventfd_write(copier->event_fd, 1);
	}
	copier->n_threads--;
	pthread_cond_broadcast(&copier->work);
	pthread_mutex_unlock(&copier->lock);
	free(buffer);
	return NULL;
}

dvs_err copier_create(struct copier **made)
{
	struct copier *copier = calloc(1, sizeof(*copier));

	if (!copier)
		return DVS_NOMEM;
	copier->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (copier->event_fd < 0) {
		free(copier);
		return DVS_FULL;
	}
	(void)pthread_mutex_init(&copier->lock, NULL);
	(void)pthread_cond_init(&copier->work, NULL);
	list_init(&copier->queue);
	list_init(&copier->done);
	*made = copier;
	return DVS_OK;
}

int copier_fd(const struct copier *copier)
{
	return copier->event_fd;
}

static dvs_err thread_add_locked(struct copier *copier)
{
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	if (copier->n_threads == COPY_THREADS_MAX)
		return DVS_FULL;
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &attributes, copier_thread, copier);
	(void)pthread_attr_destroy(&attributes);
	if (error != 0)
		return DVS_FULL;
	copier->n_threads++;
	copier->n_free++;
	return DVS_OK;
}

dvs_err copier_start(struct copier *copier, struct copy_job *job)
{
	dvs_err err = DVS_OK;

	pthread_mutex_lock(&copier->lock);
	if (copier->n_free == 0)
		err = thread_add_locked(copier);
	if (err == DVS_OK) {
		copier->n_free--;
		list_add_tail(&copier->queue, &job->of_queue);
		pthread_cond_signal(&copier->work);
	}
	pthread_mutex_unlock(&copier->lock);
	return err;
}

struct copy_job *copier_take_done(struct copier *copier)
{
	struct list *at;

	pthread_mutex_lock(&copier->lock);
	at = list_take_head(&copier->done);
	pthread_mutex_unlock(&copier->lock);
	return at ? CONTAINER_OF(at, struct copy_job, of_queue) : NULL;
}

void copier_destroy(struct copier *copier)
{
	unsigned int left;

	if (!copier)
		return;
	pthread_mutex_lock(&copier->lock);
	copier->ending = true;
	pthread_cond_broadcast(&copier->work);
	/* Who has nothing to do ends at once; who is held up by memory may never. */
	while (copier->n_threads > copier->n_busy)
		pthread_cond_wait(&copier->work, &copier->lock);
	left = copier->n_threads;
	pthread_mutex_unlock(&copier->lock);
	if (left > 0)
		return; /* they use it until the process ends */
	close(copier->event_fd);
	(void)pthread_cond_destroy(&copier->work);
	(void)pthread_mutex_destroy(&copier->lock);
	free(copier);
}
