/* SPDX-License-Identifier: Apache-2.0 */
/* A session goes on at another server, or another session takes its place.
 *
 * One thread does it; it waits until all others have noted what the former server answered them, and they wait until it is done. What it tells is looked at one by one under the lock,
 * since others may still give back what they have. */
#include <errno.h>
#include <fcntl.h>

#include "base/clock.h"
#include "client/fs_calls.h"
#include "client/fs_client_internal.h"

#define HELLO_RECALLS 1u
#define HELLO_NAMES 2u
#define LOCK_RECLAIM 2u
/* Leases that are told with one request. */
#define HOLDS 1024u
/* Whoever asks when its server dies is told so. This is for what nobody has thought of. */
#define QUIET_MS 10000u
/* What open(2) did once. */
#define FLAGS_OF_BEGINNING ((uint32_t)(O_CREAT | O_EXCL | O_TRUNC))

static uint32_t hello_flags(const struct fsc *fsc)
{
	if (!fsc->config.recalls)
		return 0;
	return HELLO_RECALLS | (fsc->config.wants_names ? HELLO_NAMES : 0);
}

static void set_session(struct fsc *fsc, uint64_t session)
{
	pthread_mutex_lock(&fsc->lock);
	fsc->session = session;
	pthread_mutex_unlock(&fsc->lock);
}

static dvs_err hello(struct fsc_thread *me)
{
	struct fs_hello_rep rep;
	dvs_err err = fs_call_hello(me->self, me->fsc->server,
				    &(struct fs_hello_req){ .flags = hello_flags(me->fsc) }, &rep,
				    NULL, 0, NULL, 0, NULL, DVS_FOREVER);

	if (!err)
		set_session(me->fsc, rep.session);
	return err;
}

/* ---- identities ---- */

static dvs_err tell_who(struct fsc_thread *me)
{
	struct fsc *fsc = me->fsc;
	dvs_err err = DVS_OK;

	for (uint32_t number = 1; number <= FSC_WHO_MAX && !err; number++) {
		struct fsc_who *who;

		pthread_mutex_lock(&fsc->lock);
		who = fsc->who_numbers[number];
		if (who)
			who->refs++;
		pthread_mutex_unlock(&fsc->lock);
		if (!who)
			continue;
		err = fsc_who_tell(me, who, fsc_send);
		pthread_mutex_lock(&fsc->lock);
		who->is_told = !err;
		who->refs--;
		pthread_mutex_unlock(&fsc->lock);
	}
	return err;
}

/* ---- open files ---- */

struct opened {
	uint32_t handle;
	uint64_t ino;
	uint32_t flags;
	uint32_t who;
	bool has_locks;
};

/* The first open file from *NUMBER on. */
static bool next_opened(struct fsc *fsc, uint32_t *number, struct opened *opened)
{
	bool found = false;

	pthread_mutex_lock(&fsc->lock);
	for (; *number < fsc->n_handles && !found; (*number)++) {
		const struct handle *handle = fsc_handle(fsc, *number);

		if (handle->state != HANDLE_OPEN)
			continue;
		*opened = (struct opened){
			.handle = *number,
			.ino = handle->ino,
			.flags = handle->flags & ~FLAGS_OF_BEGINNING,
			.who = handle->who ? handle->who->number : 0,
			.has_locks = !list_is_empty(&handle->locks),
		};
		found = true;
	}
	pthread_mutex_unlock(&fsc->lock);
	return found;
}

static void lose(struct fsc *fsc, uint32_t number)
{
	struct handle *handle;

	pthread_mutex_lock(&fsc->lock);
	handle = fsc_handle(fsc, number);
	if (handle && handle->state == HANDLE_OPEN)
		handle->state = HANDLE_LOST;
	pthread_mutex_unlock(&fsc->lock);
}

static dvs_err open_again(struct fsc_thread *me, const struct opened *opened, bool is_same)
{
	uint8_t attr[FS_ATTR_BYTES_MAX];

	if (is_same)
		return fs_call_reopen(me->self, me->fsc->server,
				      &(struct fs_reopen_req){ .handle = opened->handle,
							       .ino = opened->ino,
							       .flags = opened->flags,
							       .who = opened->who },
				      NULL, NULL, 0, NULL, 0, NULL, DVS_FOREVER);
	if (opened->has_locks)
		return DVS_STALE;
	return fs_call_open(me->self, me->fsc->server,
			    &(struct fs_open_req){ .ino = opened->ino,
						   .who = opened->who,
						   .flags = opened->flags,
						   .handle = opened->handle },
			    NULL, NULL, 0, attr, sizeof(attr), NULL, DVS_FOREVER);
}

/* IS_SAME: the session goes on; else what cannot be had as it was is lost. */
static dvs_err tell_opened(struct fsc_thread *me, bool is_same)
{
	struct opened opened;
	uint32_t number = 1;

	while (next_opened(me->fsc, &number, &opened)) {
		dvs_err err = open_again(me, &opened, is_same);

		if (err == DVS_RESUME || fsc_is_away(err))
			return err;
		if (err)
			lose(me->fsc, opened.handle);
	}
	return DVS_OK;
}

/* ---- locks ---- */

/* Lock number INDEX of open file NUMBER. */
static bool held_lock(struct fsc *fsc, uint32_t number, size_t index, struct fs_lock_req *what)
{
	bool found = false;
	const struct handle *handle;

	pthread_mutex_lock(&fsc->lock);
	handle = fsc_handle(fsc, number);
	if (handle && handle->state == HANDLE_OPEN) {
		LIST_FOREACH(link, &handle->locks) {
			if (index-- == 0) {
				*what = CONTAINER_OF(link, struct held_lock, link)->what;
				found = true;
				break;
			}
		}
	}
	pthread_mutex_unlock(&fsc->lock);
	return found;
}

static dvs_err tell_locks(struct fsc_thread *me)
{
	struct opened opened;
	uint32_t number = 1;

	while (next_opened(me->fsc, &number, &opened)) {
		struct fs_lock_req what;

		for (size_t i = 0; held_lock(me->fsc, opened.handle, i, &what); i++) {
			dvs_err err;

			what.flags = LOCK_RECLAIM;
			err = fs_call_lock(me->self, me->fsc->server, &what, NULL, NULL, 0, NULL, 0,
					   NULL, DVS_FOREVER);
			if (err == DVS_RESUME || fsc_is_away(err))
				return err;
			if (err)
				lose(me->fsc, opened.handle);
		}
	}
	return DVS_OK;
}

/* ---- leases ---- */

/* COUNT leases. LOST: it is not held any more by all of them. */
static dvs_err hold(struct fsc_thread *me, const uint64_t *inos, size_t count, bool *lost)
{
	uint8_t data[HOLDS * sizeof(uint64_t)];
	uint8_t bits[HOLDS / 8];
	struct writer out = writer_over(data, sizeof(data));
	size_t got = 0;
	dvs_err err;

	for (size_t i = 0; i < count; i++)
		writer_u64(&out, inos[i]);
	err = fs_call_hold(me->self, me->fsc->server,
			   &(struct fs_hold_req){ .count = (uint32_t)count }, NULL, data,
			   writer_len(&out), bits, sizeof(bits), &got, DVS_FOREVER);
	if (!err && got != (count + 7) / 8)
		err = DVS_PROTO;
	for (size_t i = 0; !err && i < count; i++)
		*lost = *lost || !(bits[i / 8] >> i % 8 & 1);
	return err;
}

static void lose_leases(const struct fsc *fsc)
{
	if (fsc->recalls.lost)
		fsc->recalls.lost(fsc->recalls.context);
}

/* What is held goes on; if some of it does not, nothing does. */
static dvs_err tell_leases(struct fsc_thread *me)
{
	const struct fsc_recalls *recalls = &me->fsc->recalls;
	uint64_t inos[HOLDS];
	uint64_t cursor = 0;
	size_t count = 0;
	bool lost = !recalls->held;
	dvs_err err = DVS_OK;

	do {
		if (recalls->held)
			count = recalls->held(recalls->context, &cursor, inos, HOLDS);
		if (count > 0)
			err = hold(me, inos, count, &lost);
	} while (!err && !lost && count > 0);
	if (lost)
		lose_leases(me->fsc);
	return err;
}

/* ---- all of it ---- */

static dvs_err begin_again(struct fsc_thread *me)
{
	dvs_err err;

	lose_leases(me->fsc);
	err = hello(me);
	if (!err)
		err = tell_who(me);
	return err ? err : tell_opened(me, false);
}

static dvs_err go_on(struct fsc_thread *me, uint64_t session)
{
	struct fs_resume_req req = { .session = session, .flags = hello_flags(me->fsc) };
	struct fs_resume_rep rep;
	dvs_err err = fs_call_resume(me->self, me->fsc->server, &req, &rep, NULL, 0, NULL, 0, NULL,
				     DVS_FOREVER);

	if (err == DVS_NOTFOUND || err == DVS_DENIED)
		return begin_again(me);
	if (!err)
		err = tell_who(me);
	if (!err)
		err = tell_opened(me, true);
	if (!err)
		err = tell_locks(me);
	if (!err)
		err = tell_leases(me);
	if (!err)
		err = fs_call_resumed(me->self, me->fsc->server, NULL, NULL, NULL, 0, NULL, 0, NULL,
				      DVS_FOREVER);
	return err;
}

/* False: somebody else is at it, or it is done already. */
static bool is_mine_to_do(struct fsc *fsc, uint64_t term, uint64_t *session)
{
	struct timespec until = clock_timespec(clock_deadline_ns(QUIET_MS * CLOCK_NS_PER_MS));
	bool is_mine;

	pthread_mutex_lock(&fsc->lock);
	is_mine = fsc->term == term && !fsc->is_resuming;
	if (is_mine) {
		fsc->is_resuming = true;
		while (fsc->n_busy > 0 &&
		       pthread_cond_timedwait(&fsc->changed, &fsc->lock, &until) != ETIMEDOUT)
			;
	}
	*session = fsc->session;
	pthread_mutex_unlock(&fsc->lock);
	return is_mine;
}

dvs_err fsc_resume(struct fsc_thread *me, uint64_t term)
{
	struct fsc *fsc = me->fsc;
	uint64_t session;
	dvs_err err;

	if (!is_mine_to_do(fsc, term, &session))
		return DVS_OK;
	err = session ? go_on(me, session) : begin_again(me);
	pthread_mutex_lock(&fsc->lock);
	if (!err)
		me->term = ++fsc->term;
	fsc->is_resuming = false;
	pthread_cond_broadcast(&fsc->changed);
	pthread_mutex_unlock(&fsc->lock);
	/* Once more, then: the server has changed again. */
	return err == DVS_RESUME ? DVS_OK : err;
}
