/* SPDX-License-Identifier: Apache-2.0 */
#include "servers/vdd/crew.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/compiler.h"
#include "servers/vdd/store.h"

#define THREADS_MAX 16u

/* ---- coming back ---- */

struct returns {
	struct poster poster;
	struct post post;
	pthread_mutex_t lock;
	/* under lock: */
	struct list posts;
	bool is_posted;
	bool is_closed;
};

static void returns_free(struct returns *returns)
{
	pthread_mutex_destroy(&returns->lock);
	free(returns);
}

static void returns_run(struct post *post)
{
	struct returns *returns = CONTAINER_OF(post, struct returns, post);
	struct list posts, *link;
	bool is_closed;

	list_init(&posts);
	pthread_mutex_lock(&returns->lock);
	returns->is_posted = false;
	is_closed = returns->is_closed;
	while (!is_closed && (link = list_take_head(&returns->posts)) != NULL)
		list_add_tail(&posts, link);
	pthread_mutex_unlock(&returns->lock);
	if (is_closed) {
		returns_free(returns);
		return;
	}
	while ((link = list_take_head(&posts)) != NULL) {
		struct post *one = CONTAINER_OF(link, struct post, queued);

		one->run(one);
	}
}

dvs_err returns_open(const struct poster *poster, struct returns **returns)
{
	struct returns *made = calloc(1, sizeof(*made));

	if (!made)
		return DVS_NOMEM;
	if (pthread_mutex_init(&made->lock, NULL) != 0) {
		free(made);
		return DVS_NOMEM;
	}
	made->poster = *poster;
	made->post.run = returns_run;
	list_init(&made->post.queued);
	list_init(&made->posts);
	*returns = made;
	return DVS_OK;
}

void returns_close(struct returns *returns)
{
	bool is_posted;

	if (!returns)
		return;
	pthread_mutex_lock(&returns->lock);
	returns->is_closed = true;
	is_posted = returns->is_posted;
	pthread_mutex_unlock(&returns->lock);
	if (!is_posted)
		returns_free(returns);
}

void returns_put_all(struct returns *returns, struct list *posts)
{
	struct list *link;
	bool do_post;

	pthread_mutex_lock(&returns->lock);
	while ((link = list_take_head(posts)) != NULL)
		list_add_tail(&returns->posts, link);
	do_post = !returns->is_posted;
	returns->is_posted = true;
	pthread_mutex_unlock(&returns->lock);
	if (do_post)
		poster_put(&returns->poster, &returns->post);
}

void returns_put(struct returns *returns, struct post *post)
{
	struct list posts;

	list_init(&posts);
	list_add_tail(&posts, &post->queued);
	returns_put_all(returns, &posts);
}

/* ---- threads ---- */

struct crew {
	struct returns *returns;
	unsigned int threads_max;
	pthread_t thread[THREADS_MAX];
	pthread_mutex_t lock;
	pthread_cond_t work;
	/* under lock: */
	struct list jobs;
	unsigned int n_threads;
	unsigned int n_idle;
	unsigned int n_jobs;
	bool is_ending;
};

static void *crew_main(void *context)
{
	struct crew *crew = context;

	pthread_mutex_lock(&crew->lock);
	while (!crew->is_ending) {
		struct list *link = list_take_head(&crew->jobs);
		struct job *job;

		if (!link) {
			crew->n_idle++;
			pthread_cond_wait(&crew->work, &crew->lock);
			crew->n_idle--;
			continue;
		}
		crew->n_jobs--;
		pthread_mutex_unlock(&crew->lock);
		job = CONTAINER_OF(link, struct job, post.queued);
		job->work(job);
		returns_put(crew->returns, &job->post);
		pthread_mutex_lock(&crew->lock);
	}
	pthread_mutex_unlock(&crew->lock);
	return NULL;
}

dvs_err crew_open(unsigned int threads, struct returns *returns, struct crew **crew)
{
	struct crew *made = calloc(1, sizeof(*made));

	if (!made)
		return DVS_NOMEM;
	if (pthread_mutex_init(&made->lock, NULL) != 0)
		goto undo_memory;
	if (pthread_cond_init(&made->work, NULL) != 0)
		goto undo_lock;
	made->returns = returns;
	made->threads_max = threads < THREADS_MAX ? threads : THREADS_MAX;
	list_init(&made->jobs);
	*crew = made;
	return DVS_OK;
undo_lock:
	pthread_mutex_destroy(&made->lock);
undo_memory:
	free(made);
	return DVS_NOMEM;
}

void crew_close(struct crew *crew)
{
	if (!crew)
		return;
	pthread_mutex_lock(&crew->lock);
	crew->is_ending = true;
	pthread_cond_broadcast(&crew->work);
	pthread_mutex_unlock(&crew->lock);
	for (unsigned int i = 0; i < crew->n_threads; i++)
		(void)pthread_join(crew->thread[i], NULL);
	pthread_cond_destroy(&crew->work);
	pthread_mutex_destroy(&crew->lock);
	free(crew);
}

/* Signals are for the thread that has the loop. */
static bool add_thread(struct crew *crew)
{
	sigset_t all, was;
	int failed;

	(void)sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &was);
	failed = pthread_create(&crew->thread[crew->n_threads], NULL, crew_main, crew);
	(void)pthread_sigmask(SIG_SETMASK, &was, NULL);
	crew->n_threads += !failed;
	return !failed;
}

void crew_put(struct crew *crew, struct job *job)
{
	bool is_alone = false;

	pthread_mutex_lock(&crew->lock);
	if (crew->n_jobs >= crew->n_idle && crew->n_threads < crew->threads_max)
		is_alone = !add_thread(crew) && crew->n_threads == 0;
	if (!is_alone) {
		list_add_tail(&crew->jobs, &job->post.queued);
		crew->n_jobs++;
		pthread_cond_signal(&crew->work);
	}
	pthread_mutex_unlock(&crew->lock);
	/* Without a single thread it is slow, but right. */
	if (is_alone) {
		job->work(job);
		returns_put(crew->returns, &job->post);
	}
}

/* ---- stable storage ---- */

static void sync_start(struct syncer *syncer)
{
	struct list *link;

	while ((link = list_take_head(&syncer->waiting)) != NULL)
		list_add_tail(&syncer->syncing, link);
	crew_put(syncer->crew, &syncer->job);
}

static void sync_work(struct job *job)
{
	struct syncer *syncer = CONTAINER_OF(job, struct syncer, job);

	syncer->result = fdatasync(syncer->fd) == 0 ? DVS_OK : store_errno(errno);
}

static void sync_done(struct post *post)
{
	struct syncer *syncer = CONTAINER_OF(post, struct syncer, job.post);
	struct list done, *link;

	if (syncer->result != DVS_OK)
		syncer->broken = syncer->result;
	list_init(&done);
	while ((link = list_take_head(&syncer->syncing)) != NULL)
		list_add_tail(&done, link);
	if (!list_is_empty(&syncer->waiting))
		sync_start(syncer);
	while ((link = list_take_head(&done)) != NULL) {
		struct sync_wait *wait = CONTAINER_OF(link, struct sync_wait, queued);

		wait->done(wait, syncer->broken);
	}
}

void syncer_init(struct syncer *syncer, int fd, struct crew *crew)
{
	*syncer = (struct syncer){
		.fd = fd,
		.crew = crew,
		.job = { .post = { .run = sync_done }, .work = sync_work },
	};
	list_init(&syncer->waiting);
	list_init(&syncer->syncing);
}

void syncer_wait(struct syncer *syncer, struct sync_wait *wait)
{
	if (syncer->broken != DVS_OK) {
		wait->done(wait, syncer->broken);
		return;
	}
	list_add_tail(&syncer->waiting, &wait->queued);
	if (list_is_empty(&syncer->syncing))
		sync_start(syncer);
}
