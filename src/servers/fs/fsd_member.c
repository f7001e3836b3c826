/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoints of sessions: one for each thread of a client. */
#include <stdlib.h>

#include "servers/fs/fsd.h"

/* Members that are looked at when a session has no room for another one: half a millisecond or two. */
#define LOOKS_FOR_ROOM 256u

struct member {
	struct list by_ep;
	struct list of_session;
	dvs_ep ep;
	struct fsd_session *session;
};

static struct member *find(const struct fsd *fsd, dvs_ep ep)
{
	LIST_FOREACH(link, &fsd->members[fsd_bucket(ep.n)]) {
		struct member *member = CONTAINER_OF(link, struct member, by_ep);

		if (member->ep.n == ep.n)
			return member;
	}
	return NULL;
}

struct fsd_session *fsd_session_of(const struct fsd *fsd, dvs_ep ep)
{
	const struct member *member = find(fsd, ep);

	return member ? member->session : NULL;
}

static void drop(struct member *member)
{
	member->session->n_members--;
	list_remove(&member->by_ep);
	list_remove(&member->of_session);
	free(member);
}

/* A change set of its own, for the answers that the members in LIST need no more. */
static void forget(struct fsd *fsd, const struct list *members)
{
	dvs_err err = fs_begin(fsd->fs);

	if (err)
		return;
	LIST_FOREACH(link, members) {
		const struct member *member = CONTAINER_OF(link, struct member, of_session);

		if (!err)
			err = fs_answer_forget(fsd->fs, member->ep.n);
	}
	if (!err)
		err = fs_commit(fsd->fs);
	else
		fs_rollback(fsd->fs);
	if (err)
		log_debug(&fsd->log, "answers stay", LOG_STR("why", dvs_strerror(err)));
}

void fsd_members_forget(struct fsd *fsd, const struct fsd_session *session)
{
	forget(fsd, &session->members);
}

void fsd_members_free(struct fsd_session *session)
{
	LIST_FOREACH_SAFE(link, &session->members)
		drop(CONTAINER_OF(link, struct member, of_session));
}

/* Threads of a client end without a word. The oldest members are looked at: those without an endpoint go, the others are now the youngest. */
static void drop_gone(struct fsd *fsd, struct fsd_session *session)
{
	struct list gone;

	list_init(&gone);
	for (uint32_t i = 0; i < LOOKS_FOR_ROOM && !list_is_empty(&session->members); i++) {
		struct list *oldest = list_take_head(&session->members);
		struct member *member = CONTAINER_OF(oldest, struct member, of_session);
		struct dvk_endpoint_info info;
		dvs_err err = dvk_endpoint_info(fsd->dvk, member->ep, &info);

		list_add_tail(err == DVS_NODEST ? &gone : &session->members, oldest);
	}
	if (list_is_empty(&gone))
		return;
	forget(fsd, &gone);
	LIST_FOREACH_SAFE(link, &gone)
		drop(CONTAINER_OF(link, struct member, of_session));
}

dvs_err fsd_member_add(struct fsd *fsd, struct fsd_session *session, dvs_ep ep)
{
	struct member *member = find(fsd, ep);

	if (member && member->session == session)
		return DVS_OK;
	if (member)
		drop(member);
	if (session->n_members >= FSD_MEMBERS_MAX)
		drop_gone(fsd, session);
	if (session->n_members >= FSD_MEMBERS_MAX)
		return DVS_FULL;
	member = calloc(1, sizeof(*member));
	if (!member)
		return DVS_NOMEM;
	member->ep = ep;
	member->session = session;
	list_add_tail(&fsd->members[fsd_bucket(ep.n)], &member->by_ep);
	list_add_tail(&session->members, &member->of_session);
	session->n_members++;
	return DVS_OK;
}
