/* SPDX-License-Identifier: Apache-2.0 */
/* Sessions: who asks, and as whom. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "servers/fs/fsd.h"

/* Behind a node that is down clients may still see what they have cached, until they notice it themselves. */
#define GRACE_NS (500 * CLOCK_NS_PER_MS)
/* So long everybody waits, after a failover, for a client that is there and says nothing: it was stopped, or hangs. And so long for one that has begun to say what it had. */
#define EXPECTED_NS (15 * CLOCK_NS_PER_S)
#define RESUMING_NS (60 * CLOCK_NS_PER_S)

void fsd_sessions_init(struct fsd *fsd)
{
	list_init(&fsd->sessions);
	list_init(&fsd->unsettled);
	list_init(&fsd->parked);
	list_init(&fsd->deferred);
	/* Of another server than before are other numbers: a late acknowledgement must not be taken for one of ours. */
	fsd->last_recall = clock_real_ns();
	for (uint32_t i = 0; i < FSD_BUCKETS; i++) {
		list_init(&fsd->members[i]);
		list_init(&fsd->leased[i]);
		list_init(&fsd->locked[i]);
	}
}

/* ---- identities ---- */

static struct fsd_who *find_who(const struct fsd_session *session, uint32_t number)
{
	LIST_FOREACH(link, &session->identities[number % ARRAY_LEN(session->identities)]) {
		struct fsd_who *who = CONTAINER_OF(link, struct fsd_who, of_session);

		if (who->number == number)
			return who;
	}
	return NULL;
}

const struct fs_who *fsd_who(const struct fsd_session *session, uint32_t number)
{
	const struct fsd_who *who = find_who(session, number);

	return who ? &who->who : NULL;
}

static void drop_who(struct fsd_session *session, struct fsd_who *who)
{
	list_remove(&who->of_session);
	session->n_identities--;
	free(who);
}

/* Whoever nobody vouches for is nobody. */
#define NOBODY 65534u

void fsd_whom(void *state, struct skeleton_request *request, const struct fs_who_req *req)
{
	struct fsd *fsd = state;
	struct fsd_session *session = fsd_session_of(fsd, request->source);
	struct fsd_who *old;
	struct fsd_who *who;
	bool is_trusted;

	if (!session || !fsd->fs) {
		fs_who_answer(request, DVS_RESUME, NULL);
		return;
	}
	old = find_who(session, req->who);
	if (!old && session->n_identities >= FSD_IDENTITIES_MAX) {
		fs_who_answer(request, DVS_FULL, NULL);
		return;
	}
	who = calloc(1, sizeof(*who) + req->n_groups * sizeof(who->groups[0]));
	if (!who) {
		fs_who_answer(request, DVS_NOMEM, NULL);
		return;
	}
	if (old)
		drop_who(session, old);
	is_trusted = session->is_trusted;
	who->number = req->who;
	who->who = (struct fs_who){ .uid = is_trusted ? req->uid : NOBODY,
				    .gid = is_trusted ? req->gid : NOBODY,
				    .flags = is_trusted ? req->flags : 0,
				    .n_groups = is_trusted ? req->n_groups : 0,
				    .groups = who->groups };
	memcpy(who->groups, req->groups, who->who.n_groups * sizeof(who->groups[0]));
	list_add_tail(&session->identities[req->who % ARRAY_LEN(session->identities)],
		      &who->of_session);
	session->n_identities++;
	fs_who_answer(request, DVS_OK, NULL);
}

/* ---- sessions ---- */

static struct fsd_session *find_session(const struct fsd *fsd, uint64_t number)
{
	LIST_FOREACH(link, &fsd->sessions) {
		struct fsd_session *session = CONTAINER_OF(link, struct fsd_session, of_fsd);

		if (session->number == number)
			return session;
	}
	return NULL;
}

static struct fsd_session *new_session(struct fsd *fsd, uint64_t number)
{
	struct fsd_session *session = calloc(1, sizeof(*session));

	if (!session)
		return NULL;
	session->number = number;
	list_init(&session->members);
	list_init(&session->leases);
	list_init(&session->to_recall);
	list_init(&session->told);
	for (size_t i = 0; i < ARRAY_LEN(session->identities); i++)
		list_init(&session->identities[i]);
	for (size_t i = 0; i < ARRAY_LEN(session->handles); i++)
		list_init(&session->handles[i]);
	list_add_tail(&fsd->sessions, &session->of_fsd);
	fsd->n_sessions++;
	if (number > fsd->last_session)
		fsd->last_session = number;
	return session;
}

/* A row goes or comes, in a change set of its own. */
static dvs_err keep_row(struct fsd *fsd, const struct fsd_session *session, bool is_there)
{
	const struct fs_session_row row = { .session = session->number,
					    .ep = session->first.n,
					    .node = session->node };
	dvs_err err = fs_begin(fsd->fs);

	if (err)
		return err;
	err = fs_session_remove(fsd->fs, session->number);
	if (!err && is_there)
		err = fs_session_add(fsd->fs, &row);
	if (!err)
		return fs_commit(fsd->fs);
	fs_rollback(fsd->fs);
	return err;
}

static void free_session(struct fsd *fsd, struct fsd_session *session)
{
	for (size_t i = 0; i < ARRAY_LEN(session->identities); i++) {
		LIST_FOREACH_SAFE(link, &session->identities[i])
			drop_who(session, CONTAINER_OF(link, struct fsd_who, of_session));
	}
	fsd_members_free(session);
	list_remove(&session->of_fsd);
	fsd->n_sessions--;
	free(session);
}

static dvs_err settle(struct fsd *fsd);

static void end_session(struct fsd *fsd, struct fsd_session *session)
{
	bool was_expected = session->is_expected;
	dvs_err err;

	log_info(&fsd->log, "a session ends", LOG_U64("session", session->number),
		 LOG_U64("node", session->node), LOG_U64("open", session->n_handles));
	fsd_locks_end(fsd, session, NULL);
	for (size_t i = 0; i < ARRAY_LEN(session->handles); i++) {
		LIST_FOREACH_SAFE(link, &session->handles[i])
			fsd_handle_drop(fsd, session,
					CONTAINER_OF(link, struct fsd_handle, of_session));
	}
	err = keep_row(fsd, session, false);
	if (err)
		log_warning(&fsd->log, "the row of a session stays",
			    LOG_STR("why", dvs_strerror(err)));
	fsd_members_forget(fsd, session);
	fsd_leases_end(fsd, session);
	free_session(fsd, session);
	if (was_expected) {
		fsd->n_expected--;
		err = settle(fsd);
		if (err)
			log_warning(&fsd->log, "files without names stay",
				    LOG_STR("why", dvs_strerror(err)));
	}
}

/* Answers of the former server to endpoints that are gone: nobody can ask for them again. */
static dvs_err forget_strangers(struct fsd *fsd)
{
	struct dvk_endpoint_info info;
	uint64_t client = 0;
	dvs_err err = fs_begin(fsd->fs);

	if (err)
		return err;
	while (!err && (err = fs_answer_next(fsd->fs, client, &client)) == DVS_OK) {
		dvs_ep ep = { (uint32_t)client };

		if (client > UINT32_MAX || dvk_endpoint_info(fsd->dvk, ep, &info) == DVS_NODEST)
			err = fs_answer_forget(fsd->fs, client);
	}
	if (err == DVS_NOTFOUND)
		return fs_commit(fsd->fs);
	fs_rollback(fsd->fs);
	return err;
}

/* All sessions of the former server have spoken, or are gone. */
static dvs_err settle(struct fsd *fsd)
{
	struct list *link;
	bool left = true;
	dvs_err err = DVS_OK;

	if (fsd->is_settled || fsd->n_expected > 0)
		return DVS_OK;
	fsd->is_settled = true;
	while (!err && left) {
		err = fs_begin(fsd->fs);
		if (err)
			break;
		err = fs_remove_orphans(fsd->fs, 64, &left);
		if (!err)
			err = fs_commit(fsd->fs);
		else
			fs_rollback(fsd->fs);
	}
	if (!err)
		err = forget_strangers(fsd);
	while ((link = list_take_head(&fsd->unsettled)))
		fs_resumed_answer(CONTAINER_OF(link, struct skeleton_request, kept), DVS_OK, NULL);
	return err;
}

dvs_err fsd_sessions_load(struct fsd *fsd)
{
	struct fs_session_row row = { .session = 0 };
	dvs_err err;

	while ((err = fs_session_next(fsd->fs, row.session, &row)) == DVS_OK) {
		struct fsd_session *session = new_session(fsd, row.session);

		if (!session)
			return DVS_NOMEM;
		session->first = (dvs_ep){ (uint32_t)row.ep };
		session->node = row.node;
		session->is_expected = true;
		fsd->n_expected++;
	}
	if (err != DVS_NOTFOUND)
		return err;
	fsd->loaded_ns = clock_now_ns();
	if (fsd->n_expected > 0)
		log_info(&fsd->log, "waits for the sessions of the former server",
			 LOG_U64("sessions", fsd->n_expected));
	fsd_sessions_look(fsd);
	return settle(fsd);
}

void fsd_sessions_free(struct fsd *fsd)
{
	struct list *waiting;

	/* The next server, or this one anew, is to be told all of it again. */
	while ((waiting = list_take_head(&fsd->unsettled)))
		fs_resumed_answer(CONTAINER_OF(waiting, struct skeleton_request, kept), DVS_RESUME,
				  NULL);
	LIST_FOREACH_SAFE(link, &fsd->sessions) {
		struct fsd_session *session = CONTAINER_OF(link, struct fsd_session, of_fsd);

		fsd_locks_end(fsd, session, NULL);
		for (size_t i = 0; i < ARRAY_LEN(session->handles); i++) {
			LIST_FOREACH_SAFE(one, &session->handles[i]) {
				list_remove(one);
				free(CONTAINER_OF(one, struct fsd_handle, of_session));
			}
		}
		fsd_leases_end(fsd, session);
		free_session(fsd, session);
	}
}

/* ---- whether they are still there ---- */

static bool is_up(struct fsd *fsd, uint32_t node)
{
	struct dvk_node_info info;
	uint32_t cursor = node;

	return dvk_node_next(fsd->admin, &cursor, &info) == DVS_OK && info.node.n == node &&
	       info.state == DVK_NODE_UP;
}

/* When it has been waited for long enough. */
static uint64_t patience_ends_ns(const struct fsd *fsd, const struct fsd_session *session)
{
	if (!session->is_expected)
		return CLOCK_NEVER_NS;
	return fsd->loaded_ns + (session->is_resuming ? RESUMING_NS : EXPECTED_NS);
}

static void look_at(struct fsd *fsd, struct fsd_session *session)
{
	struct dvk_endpoint_info info;

	if (clock_is_past(patience_ends_ns(fsd, session))) {
		log_warning(&fsd->log, "a client does not say what it had, and loses it",
			    LOG_U64("session", session->number), LOG_U64("node", session->node));
		end_session(fsd, session);
		return;
	}
	if (dvk_endpoint_info(fsd->dvk, session->first, &info) != DVS_NODEST) {
		session->ends_ns = 0;
		return;
	}
	if (session->ends_ns == 0 && !is_up(fsd, session->node))
		session->ends_ns = clock_deadline_ns(GRACE_NS);
	if (session->ends_ns == 0 || clock_is_past(session->ends_ns))
		end_session(fsd, session);
}

static void look_again(struct skeleton_timer *timer)
{
	fsd_sessions_look(CONTAINER_OF(timer, struct fsd, again));
}

void fsd_sessions_look(struct fsd *fsd)
{
	uint64_t next_ns = CLOCK_NEVER_NS;

	if (!fsd->fs)
		return;
	LIST_FOREACH_SAFE(link, &fsd->sessions)
		look_at(fsd, CONTAINER_OF(link, struct fsd_session, of_fsd));
	LIST_FOREACH(link, &fsd->sessions) {
		const struct fsd_session *session = CONTAINER_OF(link, struct fsd_session, of_fsd);

		if (session->ends_ns && session->ends_ns < next_ns)
			next_ns = session->ends_ns;
		if (patience_ends_ns(fsd, session) < next_ns)
			next_ns = patience_ends_ns(fsd, session);
	}
	if (next_ns != CLOCK_NEVER_NS)
		skeleton_timer_set(fsd->skeleton, &fsd->again, next_ns, look_again);
}

/* ---- operations ---- */

static bool is_manager(struct fsd *fsd, dvs_ep ep)
{
	struct dvk_privileges privileges;

	return dvk_privileges_get(fsd->dvk, ep, &privileges) == DVS_OK &&
	       (privileges.may & DVS_MAY_BIND) != 0;
}

/* ENDPOINT begins or takes up SESSION. */
static dvs_err introduce(struct fsd *fsd, struct fsd_session *session, dvs_ep endpoint,
			 uint32_t flags)
{
	struct dvk_endpoint_info info;
	dvs_err err = dvk_endpoint_info(fsd->dvk, endpoint, &info);

	if (!err)
		err = fsd_member_add(fsd, session, endpoint);
	if (err)
		return err;
	session->first = endpoint;
	session->node = info.node.n;
	session->is_trusted = is_manager(fsd, endpoint);
	session->has_leases = (flags & 1) != 0;
	session->wants_names = (flags & 2) != 0;
	session->ends_ns = 0;
	return keep_row(fsd, session, true);
}

void fsd_hello(void *state, struct skeleton_request *request, const struct fs_hello_req *req)
{
	struct fsd *fsd = state;
	struct fs_hello_rep rep = { .server = fsd->server };
	struct fsd_session *session;
	dvs_err err;

	fsd_take_over(fsd);
	if (!fsd->fs && fsd_defer(fsd, request, DVS_IO))
		return;
	if (!fsd->fs || fsd->n_sessions >= FSD_SESSIONS_MAX) {
		fs_hello_answer(request, fsd->fs ? DVS_FULL : DVS_IO, NULL);
		return;
	}
	session = new_session(fsd, fsd->last_session + 1);
	if (!session) {
		fs_hello_answer(request, DVS_NOMEM, NULL);
		return;
	}
	err = introduce(fsd, session, request->source, req->flags);
	if (err) {
		free_session(fsd, session);
		if (!fsd_defer(fsd, request, err))
			fs_hello_answer(request, err, NULL);
		return;
	}
	log_info(&fsd->log, "a session begins", LOG_U64("session", session->number),
		 LOG_U64("node", session->node));
	rep.session = session->number;
	fs_hello_answer(request, DVS_OK, &rep);
}

/* Whether both are of one process: a session is nobody else's. */
static bool is_of(struct fsd *fsd, const struct fsd_session *session, dvs_ep ep)
{
	struct dvk_endpoint_info mine;
	struct dvk_endpoint_info other;

	return dvk_endpoint_info(fsd->dvk, session->first, &mine) == DVS_OK &&
	       dvk_endpoint_info(fsd->dvk, ep, &other) == DVS_OK && mine.node.n == other.node.n &&
	       mine.pid == other.pid;
}

void fsd_join(void *state, struct skeleton_request *request, const struct fs_join_req *req)
{
	struct fsd *fsd = state;
	struct fsd_session *session;

	fsd_take_over(fsd);
	session = find_session(fsd, req->session);
	if (!fsd->fs && fsd_defer(fsd, request, DVS_IO))
		return;
	if (!fsd->fs || (session && session->is_expected && !session->is_resuming))
		fs_join_answer(request, fsd->fs ? DVS_RESUME : DVS_IO, NULL);
	else if (!session || !is_of(fsd, session, request->source))
		fs_join_answer(request, DVS_NOTFOUND, NULL);
	else
		fs_join_answer(request, fsd_member_add(fsd, session, request->source), NULL);
}

void fsd_bye(void *state, struct skeleton_request *request, const struct fs_bye_req *req)
{
	struct fsd *fsd = state;
	struct fsd_session *session = fsd_session_of(fsd, request->source);

	(void)req;
	if (session)
		end_session(fsd, session);
	fs_bye_answer(request, session ? DVS_OK : DVS_RESUME, NULL);
}

void fsd_resume(void *state, struct skeleton_request *request, const struct fs_resume_req *req)
{
	struct fsd *fsd = state;
	struct fs_resume_rep rep = { .server = fsd->server };
	struct fsd_session *session;
	dvs_err err = DVS_NOTFOUND;

	fsd_take_over(fsd);
	session = find_session(fsd, req->session);
	if (!fsd->fs)
		err = DVS_IO;
	else if (session &&
		 (session->first.n == request->source.n || is_of(fsd, session, request->source)))
		err = introduce(fsd, session, request->source, req->flags);
	if (!err && session)
		session->is_resuming = true;
	if (!fsd_defer(fsd, request, err))
		fs_resume_answer(request, err, &rep);
}

void fsd_resumed(void *state, struct skeleton_request *request, const struct fs_resumed_req *req)
{
	struct fsd *fsd = state;
	struct fsd_session *session = fsd_session_of(fsd, request->source);
	dvs_err err;

	(void)req;
	if (!session || !fsd->fs) {
		fs_resumed_answer(request, DVS_RESUME, NULL);
		return;
	}
	session->is_resuming = false;
	if (session->is_expected) {
		session->is_expected = false;
		fsd->n_expected--;
	}
	if (!fsd->is_settled)
		list_add_tail(&fsd->unsettled, &request->kept);
	else
		fs_resumed_answer(request, DVS_OK, NULL);
	err = settle(fsd);
	if (err)
		log_warning(&fsd->log, "files without names stay",
			    LOG_STR("why", dvs_strerror(err)));
}

void fsd_reopen(void *state, struct skeleton_request *request, const struct fs_reopen_req *req)
{
	struct fsd *fsd = state;
	struct fsd_session *session = fsd_session_of(fsd, request->source);
	struct fs_attr attr;
	dvs_err err = session && fsd->fs ? DVS_OK : DVS_RESUME;

	if (!err && !session->is_resuming)
		err = DVS_BADSTATE;
	if (!err)
		err = fs_getattr(fsd->fs, req->ino, &attr);
	if (!err)
		err = fsd_handle_add(fsd, session, req->handle, req->ino, req->flags, req->who);
	fs_reopen_answer(request, err, NULL);
}
