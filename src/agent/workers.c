/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/workers.h"

#include <pthread.h>
#include <signal.h>
#include <stdlib.h>

#include "base/compiler.h"

struct workers {
	struct loop *loop;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct list queue; /* under the lock */
};

static void work_done(struct loop_post *post)
{
	struct work *work = CONTAINER_OF(post, struct work, post);

	work->done(work);
}

static void *worker_run(void *argument)
{
	struct workers *workers = argument;

	for (;;) {
		struct list *link;
		struct work *work;

		pthread_mutex_lock(&workers->lock);
		while (!(link = list_take_head(&workers->queue)))
			pthread_cond_wait(&workers->more, &workers->lock);
		pthread_mutex_unlock(&workers->lock);
		work = CONTAINER_OF(link, struct work, queued);
		work->run(work);
		loop_post(workers->loop, &work->post, work_done);
	}
	return NULL;
}

dvs_err workers_open(struct loop *loop, unsigned int n_threads, struct workers **out)
{
	struct workers *workers = calloc(1, sizeof(*workers));

	if (!workers)
		return DVS_NOMEM;
	workers->loop = loop;
	list_init(&workers->queue);
	pthread_mutex_init(&workers->lock, NULL);
	pthread_cond_init(&workers->more, NULL);
	*out = workers;
	for (unsigned int i = 0; i < n_threads; i++) {
		pthread_t thread;

		/* They live as long as the agent does, which does not wait for them: what they leave half made its successor finds. */
		if (pthread_create(&thread, NULL, worker_run, workers))
			return DVS_NOMEM;
		pthread_detach(thread);
	}
	return DVS_OK;
}

void workers_add(struct workers *workers, struct work *work, void (*run)(struct work *work),
		 void (*done)(struct work *work))
{
	work->run = run;
	work->done = done;
	pthread_mutex_lock(&workers->lock);
	list_add_tail(&workers->queue, &work->queued);
	pthread_cond_signal(&workers->more);
	pthread_mutex_unlock(&workers->lock);
}
