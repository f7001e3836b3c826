/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that waits for recalls. What it has carried out it says with its next request. A session without leases has it, too: it hears at once that another server has taken over, which serves nobody until all sessions have said what they had. */
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "base/clock.h"
#include "client/fs_calls.h"
#include "client/fs_client_internal.h"

#define ROOM_BYTES ((size_t)64 << 10)
/* A recall takes at least so much: its numbers, its kind, the length of its name. */
#define RECALL_BYTES_MIN 18u
#define BYE_MS 1000u
#define NUMBER_BYTES ((size_t)8)
#define DONE_MAX (ROOM_BYTES / RECALL_BYTES_MIN)

struct recaller {
	struct fsc_thread *me;
	uint8_t *room;
	uint8_t *done; /* numbers that are over, as they are sent */
	uint32_t n_done;
};

static bool is_to_go_on(struct recaller *recaller)
{
	struct fsc *fsc = recaller->me->fsc;
	bool is_closing;

	pthread_mutex_lock(&fsc->lock);
	is_closing = fsc->is_closing;
	fsc->recaller_ep = recaller->me->self ? m3_self(recaller->me->self) : dvs_ep_of(0);
	pthread_mutex_unlock(&fsc->lock);
	return !is_closing;
}

/* For who waits for the session. */
static void said(struct fsc *fsc, dvs_err err)
{
	pthread_mutex_lock(&fsc->lock);
	fsc->why_not = err == DVS_RESUME ? DVS_OK : err;
	pthread_cond_broadcast(&fsc->changed);
	pthread_mutex_unlock(&fsc->lock);
}

static dvs_err take_recalls(struct recaller *recaller, const struct fsc_request *request)
{
	const struct fsc_recalls *to = &recaller->me->fsc->recalls;
	struct cursor rep = cursor_over(request->reply, sizeof(request->reply));
	struct cursor in = cursor_over(recaller->room, request->in_len);
	struct writer done = writer_over(recaller->done, DONE_MAX * NUMBER_BYTES);
	uint32_t count = cursor_u32(&rep);

	recaller->n_done = 0;
	for (uint32_t i = 0; i < count; i++) {
		struct fs_recall recall;

		fs_recall_get(&in, &recall);
		if (in.failed || !to->recalled)
			return DVS_PROTO;
		if (!to->recalled(to->context, &recall))
			continue;
		writer_u64(&done, recall.number);
		recaller->n_done++;
	}
	return cursor_done(&in) ? DVS_OK : DVS_PROTO;
}

static dvs_err ask(struct recaller *recaller)
{
	struct fsc_request request = {
		.op = FS_RECALLS,
		.out = recaller->done,
		.out_len = recaller->n_done * sizeof(uint64_t),
		.in = recaller->room,
		.in_cap = ROOM_BYTES,
		.is_aside = true,
	};
	struct writer out = writer_over(request.body, sizeof(request.body));
	dvs_err err;

	fs_recalls_req_encode(&out, &(struct fs_recalls_req){ .count = recaller->n_done });
	err = fsc_ask_once(recaller->me, &request, CLOCK_NEVER_NS);
	/* Whether they were heard or not: what the next server asks back has other numbers. */
	recaller->n_done = 0;
	return err ? err : take_recalls(recaller, &request);
}

dvs_err fsc_recalled(struct fsc_thread *me, uint64_t number)
{
	uint8_t room[NUMBER_BYTES];
	struct writer numbers = writer_over(room, sizeof(room));
	struct fsc_request request = { .op = FS_RECALLED, .out = room, .out_len = sizeof(room) };
	struct writer out = writer_over(request.body, sizeof(request.body));
	dvs_err err;

	writer_u64(&numbers, number);
	fs_recalled_req_encode(&out, &(struct fs_recalled_req){ .count = 1 });
	/* What another server recalls has other numbers. */
	err = fsc_ask_once(me, &request, CLOCK_NEVER_NS);
	return err == DVS_RESUME ? DVS_OK : err;
}

static void run(struct recaller *recaller)
{
	struct fsc *fsc = recaller->me->fsc;

	while (is_to_go_on(recaller)) {
		dvs_err err = ask(recaller);

		said(fsc, err);
		if (!err || err == DVS_RESUME || err == DVS_WOKEN)
			continue;
		/* A server that is gone lets nobody do anything, and the next one asks before it does. Else nobody tells any more what others do. */
		if (fsc->recalls.lost &&
		    (!fsc->recalls.held || (err != DVS_NODEST && err != DVS_PEERDEAD)))
			fsc->recalls.lost(fsc->recalls.context);
		fsc_pause(recaller->me, err);
	}
}

static void *recaller_run(void *context)
{
	struct fsc *fsc = context;
	struct recaller recaller = {
		.room = malloc(ROOM_BYTES),
		.done = malloc(DONE_MAX * NUMBER_BYTES),
	};
	dvs_err err = recaller.room && recaller.done ? fsc_enter(fsc, &recaller.me) : DVS_NOMEM;

	said(fsc, err);
	if (!err) {
		run(&recaller);
		if (recaller.me->self)
			(void)!fs_call_bye(recaller.me->self, fsc->server, NULL, NULL, NULL, 0,
					   NULL, 0, NULL, BYE_MS);
		fsc_leave(recaller.me);
	}
	free(recaller.room);
	free(recaller.done);
	return NULL;
}

/* Wait until it has an endpoint and a session. */
static dvs_err await_session(struct fsc *fsc)
{
	struct timespec until =
		clock_timespec(clock_deadline_ns(fsc->config.open_ms * CLOCK_NS_PER_MS));
	dvs_err err = DVS_OK;

	pthread_mutex_lock(&fsc->lock);
	while (!err && !fsc->term) {
		if (fsc->why_not && !fsc_is_away(fsc->why_not))
			err = fsc->why_not;
		else if (pthread_cond_timedwait(&fsc->changed, &fsc->lock, &until))
			err = fsc->why_not ? fsc->why_not : DVS_NODEST;
	}
	pthread_mutex_unlock(&fsc->lock);
	return err;
}

dvs_err fsc_recaller_start(struct fsc *fsc)
{
	sigset_t all;
	sigset_t before;
	int result;

	/* A program's signals are for its own threads. */
	sigfillset(&all);
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	result = pthread_create(&fsc->recaller, NULL, recaller_run, fsc);
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (result)
		return DVS_NOMEM;
	fsc->is_started = true;
	return await_session(fsc);
}

void fsc_recaller_stop(struct fsc *fsc)
{
	struct m3 *self = NULL;
	dvs_ep ep;

	if (!fsc->is_started)
		return;
	pthread_mutex_lock(&fsc->lock);
	fsc->is_closing = true;
	ep = fsc->recaller_ep;
	pthread_mutex_unlock(&fsc->lock);
	/* Without this it hears of it when the server answers next, in seconds. */
	if (ep.n && !dvk_bind(fsc->dvk, dvs_ep_any(), DVK_LOCAL, &self)) {
		(void)!m3_wakeup(self, ep);
		dvk_unbind(self);
	}
	pthread_join(fsc->recaller, NULL);
	fsc->is_started = false;
}
