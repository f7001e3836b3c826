/* SPDX-License-Identifier: Apache-2.0 */
/* The session, its threads, and asking until there is an answer. */
#include "client/fs_client.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/err.h"
#include "client/fs_client_internal.h"
#include "lib/in_place.h"

/* Between tries, when the error itself does not wait. */
#define AGAIN_MS 20u

bool fsc_is_away(dvs_err err)
{
	return err == DVS_NODEST || err == DVS_PEERDEAD || err == DVS_NODEDOWN ||
	       err == DVS_NOQUORUM || err == DVS_NODVSD || err == DVS_NOTBOUND ||
	       err == DVS_TIMEOUT;
}

/* ---- asking ---- */

dvs_err fsc_send(struct fsc_thread *me, struct fsc_request *request)
{
	struct dvs_msg msg = { .type = request->op };
	dvs_err err;

	memcpy(msg.bytes, request->body, sizeof(msg.bytes));
	if (request->in || !request->in_cap)
		err = m3_call(me->self, me->fsc->server, &msg, request->out, request->out_len,
			      request->in, request->in_cap, &request->in_len, DVS_FOREVER);
	else
		err = m3_call_in_place(me->self, me->fsc->server, &msg, request->out,
				       request->out_len, request->in_cap, &request->place,
				       &request->in_len, DVS_FOREVER);
	if (err)
		return err;
	memcpy(request->reply, msg.bytes + 4, sizeof(request->reply));
	return dvs_err_from_number(msg.u32[0]);
}

/* Wait until nobody resumes the session, and keep others from it. */
static dvs_err begin(struct fsc *fsc, const struct fsc_request *request, uint64_t deadline_ns,
		     uint64_t *term, uint64_t *session)
{
	struct timespec until = clock_timespec(deadline_ns);
	dvs_err err = DVS_OK;

	pthread_mutex_lock(&fsc->lock);
	while (fsc->is_resuming && !err)
		if (pthread_cond_timedwait(&fsc->changed, &fsc->lock, &until) == ETIMEDOUT)
			err = DVS_NODEST;
	if (!err && !request->is_aside)
		fsc->n_busy++;
	*term = fsc->term;
	*session = fsc->session;
	pthread_mutex_unlock(&fsc->lock);
	return err;
}

static void end(struct fsc *fsc, struct fsc_request *request, dvs_err err)
{
	if (request->is_aside)
		return;
	pthread_mutex_lock(&fsc->lock);
	if (!err && request->note)
		request->note(fsc, request->context);
	if (--fsc->n_busy == 0)
		pthread_cond_broadcast(&fsc->changed);
	pthread_mutex_unlock(&fsc->lock);
}

/* Give this thread an endpoint that belongs to the session of TERM. RESUME: there is no such session (yet). */
static dvs_err join(struct fsc_thread *me, uint64_t term, uint64_t session)
{
	struct fsc_request request = { .op = FS_JOIN };
	struct writer out = writer_over(request.body, sizeof(request.body));
	dvs_err err = DVS_OK;

	if (!me->self) {
		me->term = 0;
		err = dvk_bind(me->fsc->dvk, dvs_ep_any(), DVK_LOCAL, &me->self);
	}
	if (err)
		return err;
	if (!term)
		return DVS_RESUME;
	if (me->term == term)
		return DVS_OK;
	fs_join_req_encode(&out, &(struct fs_join_req){ .session = session });
	err = fsc_send(me, &request);
	if (!err)
		me->term = term;
	return err == DVS_NOTFOUND ? DVS_RESUME : err;
}

void fsc_pause(struct fsc_thread *me, dvs_err err)
{
	struct timespec nap = clock_timespec(AGAIN_MS * CLOCK_NS_PER_MS);

	if (err == DVS_NOTBOUND) {
		dvk_unbind(me->self);
		me->self = NULL;
	}
	/* It may be there at once, or not for seconds. */
	if (err != DVS_NODEST || dvk_wait_bind(me->fsc->dvk, me->fsc->server, AGAIN_MS, NULL))
		(void)nanosleep(&nap, NULL);
}

dvs_err fsc_ask_once(struct fsc_thread *me, struct fsc_request *request, uint64_t deadline_ns)
{
	struct fsc *fsc = me->fsc;
	uint64_t term;
	uint64_t session;
	dvs_err err = begin(fsc, request, deadline_ns, &term, &session);

	if (err)
		return err;
	err = join(me, term, session);
	if (!err) {
		err = fsc_send(me, request);
		if (err == DVS_PEERDEAD || err == DVS_NODEDOWN || err == DVS_TIMEOUT)
			request->is_in_doubt = true;
	}
	end(fsc, request, err);
	if (err == DVS_RESUME) {
		err = fsc_resume(me, term);
		return err ? err : DVS_RESUME;
	}
	return err;
}

dvs_err fsc_ask(struct fsc_thread *me, struct fsc_request *request)
{
	uint64_t deadline_ns = clock_deadline_ns(me->fsc->config.patience_ms * CLOCK_NS_PER_MS);

	for (;;) {
		dvs_err err = fsc_ask_once(me, request, deadline_ns);

		if (request->is_in_doubt && request->never_twice && fsc_is_away(err))
			return DVS_IO;
		if (err != DVS_RESUME && !fsc_is_away(err))
			return err;
		if (clock_is_past(deadline_ns))
			return err == DVS_RESUME ? DVS_NODEST : err;
		if (err != DVS_RESUME)
			fsc_pause(me, err);
	}
}

/* ---- the session ---- */

static dvs_err make(struct dvk *dvk, dvs_ep server, const struct fsc_config *config,
		    struct fsc **out)
{
	struct fsc *fsc = calloc(1, sizeof(*fsc));
	pthread_condattr_t clock;
	dvs_err err;

	if (!fsc)
		return DVS_NOMEM;
	fsc->dvk = dvk;
	fsc->server = server;
	fsc->config = *config;
	if (config->recalls)
		fsc->recalls = *config->recalls;
	pthread_mutex_init(&fsc->lock, NULL);
	pthread_condattr_init(&clock);
	pthread_condattr_setclock(&clock, CLOCK_MONOTONIC);
	pthread_cond_init(&fsc->changed, &clock);
	pthread_condattr_destroy(&clock);
	err = fsc_tables_make(fsc);
	if (err) {
		fsc_close(fsc);
		return err;
	}
	*out = fsc;
	return DVS_OK;
}

dvs_err fsc_open_on(struct dvk *dvk, dvs_ep server, const struct fsc_config *config,
		    struct fsc **out)
{
	struct fsc *fsc;
	dvs_err err = make(dvk, server, config, &fsc);

	if (err)
		return err;
	err = fsc_recaller_start(fsc);
	if (err)
		fsc_close(fsc);
	else
		*out = fsc;
	return err;
}

void fsc_close(struct fsc *fsc)
{
	if (!fsc)
		return;
	fsc_recaller_stop(fsc);
	fsc_tables_free(fsc);
	pthread_cond_destroy(&fsc->changed);
	pthread_mutex_destroy(&fsc->lock);
	if (fsc->owns_dvk)
		dvk_close(fsc->dvk);
	free(fsc);
}

dvs_err fsc_enter(struct fsc *fsc, struct fsc_thread **out)
{
	struct fsc_thread *me = calloc(1, sizeof(*me));
	dvs_err err;

	if (!me)
		return DVS_NOMEM;
	me->fsc = fsc;
	err = dvk_bind(fsc->dvk, dvs_ep_any(), DVK_LOCAL, &me->self);
	if (err) {
		free(me);
		return err;
	}
	*out = me;
	return DVS_OK;
}

void fsc_leave(struct fsc_thread *me)
{
	if (!me)
		return;
	dvk_unbind(me->self);
	free(me);
}
