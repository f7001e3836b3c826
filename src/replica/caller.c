/* SPDX-License-Identifier: Apache-2.0 */
#include "replica/caller.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#include "base/clock.h"

enum work { WORK_NONE, WORK_CONNECT, WORK_CALL, WORK_END };

struct caller {
	struct caller_config config;
	struct caller_use use;
	pthread_t thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	enum work work; /* under lock */
	bool is_ending; /* under lock */
	_Atomic uint32_t ep;
	/* of the work: whoever has given it does not touch it until it is ready */
	dvs_ep dst;
	struct dvs_msg msg;
	const void *out;
	size_t out_len;
	uint32_t timeout_ms;
	struct caller_result result;
	uint8_t *in;
};

static enum work take(struct caller *caller)
{
	enum work work;

	pthread_mutex_lock(&caller->lock);
	while (caller->work == WORK_NONE && !caller->is_ending)
		pthread_cond_wait(&caller->more, &caller->lock);
	work = caller->is_ending ? WORK_END : caller->work;
	caller->work = WORK_NONE;
	pthread_mutex_unlock(&caller->lock);
	return work;
}

static void do_call(struct caller *caller, struct m3 *self)
{
	struct caller_result *result = &caller->result;
	size_t bytes = 0;

	result->began_ns = clock_now_ns();
	result->reply = caller->msg;
	result->err = m3_call(self, caller->dst, &result->reply, caller->out, caller->out_len,
			      caller->in, DVS_DATA_MAX, &bytes, caller->timeout_ms);
	result->data = caller->in;
	result->bytes = bytes;
}

/* A call that was answered counts, whether there can be another one or not. */
static void look_up(struct caller *caller, struct m3 *self, bool only)
{
	struct caller_result *result = &caller->result;
	dvs_err err = m3_call_window(self, caller->dst, caller->timeout_ms, &result->window);

	if (err == DVS_OK)
		return;
	result->window = NULL;
	if (only)
		result->err = err;
}

static void *run(void *argument)
{
	struct caller *caller = argument;
	struct m3 *self = NULL;
	enum work work;

	while ((work = take(caller)) != WORK_END) {
		struct caller_result *result = &caller->result;

		result->window = NULL;
		result->began_ns = 0;
		result->err = DVS_OK;
		if (!self)
			result->err = dvk_bind(caller->config.dvk, dvs_ep_any(), DVK_LOCAL, &self);
		if (self)
			atomic_store(&caller->ep, m3_self(self).n);
		if (result->err == DVS_OK && work == WORK_CALL)
			do_call(caller, self);
		if (result->err == DVS_OK)
			look_up(caller, self, work == WORK_CONNECT);
		if (result->err == DVS_NOTBOUND) {
			dvk_unbind(self);
			self = NULL;
		}
		caller->config.ready(caller->config.context, caller);
	}
	dvk_unbind(self);
	return NULL;
}

struct caller *caller_open(const struct caller_config *config)
{
	struct caller *caller = calloc(1, sizeof(*caller));

	if (!caller)
		return NULL;
	caller->config = *config;
	list_init(&caller->use.idle);
	list_init(&caller->use.all);
	caller->use.self = caller;
	caller->in = malloc(DVS_DATA_MAX);
	pthread_mutex_init(&caller->lock, NULL);
	pthread_cond_init(&caller->more, NULL);
	if (caller->in && pthread_create(&caller->thread, NULL, run, caller) == 0)
		return caller;
	pthread_cond_destroy(&caller->more);
	pthread_mutex_destroy(&caller->lock);
	free(caller->in);
	free(caller);
	return NULL;
}

void caller_close(struct caller *caller, struct m3 *waker)
{
	uint32_t ep;

	pthread_mutex_lock(&caller->lock);
	caller->is_ending = true;
	pthread_cond_signal(&caller->more);
	pthread_mutex_unlock(&caller->lock);
	ep = atomic_load(&caller->ep);
	if (ep && caller->use.is_busy)
		(void)!m3_wakeup(waker, (dvs_ep){ ep });
	pthread_join(caller->thread, NULL);
	pthread_cond_destroy(&caller->more);
	pthread_mutex_destroy(&caller->lock);
	free(caller->in);
	free(caller);
}

static void give(struct caller *caller, enum work work)
{
	caller->use.is_busy = true;
	pthread_mutex_lock(&caller->lock);
	caller->work = work;
	pthread_cond_signal(&caller->more);
	pthread_mutex_unlock(&caller->lock);
}

void caller_connect(struct caller *caller, dvs_ep dst, uint32_t timeout_ms)
{
	caller->dst = dst;
	caller->timeout_ms = timeout_ms;
	give(caller, WORK_CONNECT);
}

void caller_call(struct caller *caller, dvs_ep dst, const struct dvs_msg *msg, const void *out,
		 size_t out_len, uint32_t timeout_ms)
{
	caller->dst = dst;
	caller->msg = *msg;
	caller->out = out;
	caller->out_len = out_len;
	caller->timeout_ms = timeout_ms;
	give(caller, WORK_CALL);
}

const struct caller_result *caller_result(const struct caller *caller)
{
	return &caller->result;
}

struct caller_use *caller_use(struct caller *caller)
{
	return &caller->use;
}
