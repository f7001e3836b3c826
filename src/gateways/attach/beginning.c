/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/attach/beginning.h"

#include <pthread.h>
#include <signal.h>
#include <stdbool.h>

struct beginning {
	void *context;
	pthread_mutex_t lock;
	pthread_cond_t ended;
	bool is_ended; /* under lock */
	dvs_err err;   /* under lock */
};

static dvs_err wait_for(struct beginning *beginning)
{
	dvs_err err;

	pthread_mutex_lock(&beginning->lock);
	while (!beginning->is_ended)
		pthread_cond_wait(&beginning->ended, &beginning->lock);
	err = beginning->err;
	pthread_mutex_unlock(&beginning->lock);
	return err;
}

dvs_err beginning_start(void *(*run)(void *beginning), void *context)
{
	struct beginning beginning = { .context = context };
	dvs_err err = DVS_NOMEM;
	sigset_t all, before;
	pthread_t thread;
	int failed;

	pthread_mutex_init(&beginning.lock, NULL);
	pthread_cond_init(&beginning.ended, NULL);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	failed = pthread_create(&thread, NULL, run, &beginning);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!failed) {
		pthread_detach(thread);
		err = wait_for(&beginning);
	}
	pthread_cond_destroy(&beginning.ended);
	pthread_mutex_destroy(&beginning.lock);
	return err;
}

void *beginning_context(const struct beginning *beginning)
{
	return beginning->context;
}

void beginning_end(struct beginning *beginning, dvs_err err)
{
	pthread_mutex_lock(&beginning->lock);
	beginning->err = err;
	beginning->is_ended = true;
	/* Under the lock: who waits takes the beginning away as soon as it has it. */
	pthread_cond_signal(&beginning->ended);
	pthread_mutex_unlock(&beginning->lock);
}
