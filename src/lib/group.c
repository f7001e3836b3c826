/* SPDX-License-Identifier: Apache-2.0 */
/* Groups. The events of a membership wait in its list; dvsd is told how many were read, so that it sends more. */
#include <dvs/group.h>

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lib/group.h"

/* dvsd sends 64 ahead; it is told after every few. */
#define TELL_AFTER 16u

_Static_assert(DVS_GROUP_BYTES_MAX == sizeof(((struct control_group_cast_req *)0)->data),
	       "what the protocol carries");

struct group_mail {
	struct list node;
	struct dvs_group_event event;
};

struct dvs_group {
	struct dvk *dvk;
	uint64_t member;
	/* under dvk->lock: */
	struct list node; /* in dvk->groups */
	struct list mail;
	uint32_t seat;
	uint32_t n_read; /* and not told yet */
	dvs_err over;	 /* not OK: there is nothing behind what is in the mail */
};

/* ---- events come in, under the lock ---- */

static struct dvs_group *find_locked(struct dvk *dvk, uint32_t seat)
{
	LIST_FOREACH(at, &dvk->groups) {
		struct dvs_group *group = CONTAINER_OF(at, struct dvs_group, node);

		if (group->seat == seat && group->over == DVS_OK)
			return group;
	}
	return NULL;
}

static dvs_err take_view(struct cursor *in, uint32_t *seat, struct dvs_group_event *event)
{
	struct control_group_view_req view;
	dvs_err err = control_group_view_req_decode(in, &view);

	if (err)
		return err;
	*seat = view.seat;
	event->what = DVS_GROUP_VIEW;
	event->view = view.view;
	event->n_members = view.n_members;
	for (uint32_t i = 0; i < view.n_members; i++) {
		const struct control_member *from = &view.members[i];

		event->members[i] = (struct dvs_group_member){ .id = from->id,
							       .ep = { from->ep },
							       .node = { from->node },
							       .awaits = from->awaits,
							       .donor = from->donor };
	}
	return DVS_OK;
}

static dvs_err take_message(struct cursor *in, uint32_t *seat, struct dvs_group_event *event)
{
	struct control_group_message_req message;
	dvs_err err = control_group_message_req_decode(in, &message);

	if (err)
		return err;
	*seat = message.seat;
	event->what = DVS_GROUP_MESSAGE;
	event->view = message.view;
	event->from = message.from;
	event->bytes = message.n_data;
	memcpy(event->data, message.data, message.n_data);
	return DVS_OK;
}

static dvs_err take_state(struct cursor *in, uint32_t *seat, struct dvs_group_event *event)
{
	struct control_group_state_req state;
	dvs_err err = control_group_state_req_decode(in, &state);

	if (err)
		return err;
	*seat = state.seat;
	event->what = DVS_GROUP_STATE;
	event->view = state.view;
	event->last = state.last;
	event->bytes = state.n_data;
	memcpy(event->data, state.data, state.n_data);
	return DVS_OK;
}

static void over_locked(struct dvk *dvk, struct frame *frame)
{
	struct control_group_over_req over;
	struct dvs_group *group;

	if (control_group_over_req_decode(&frame->in, &over) != DVS_OK)
		return;
	group = find_locked(dvk, over.seat);
	if (group)
		group->over = over.why == DVS_FULL ? DVS_FULL : DVS_PEERDEAD;
}

static void mail_locked(struct dvk *dvk, struct frame *frame)
{
	struct group_mail *mail = calloc(1, sizeof(*mail));
	struct dvs_group *group = NULL;
	uint32_t seat = 0;
	dvs_err err = DVS_NOMEM;

	if (mail && frame->op == CONTROL_GROUP_VIEW)
		err = take_view(&frame->in, &seat, &mail->event);
	else if (mail && frame->op == CONTROL_GROUP_MESSAGE)
		err = take_message(&frame->in, &seat, &mail->event);
	else if (mail)
		err = take_state(&frame->in, &seat, &mail->event);
	if (err == DVS_OK)
		group = find_locked(dvk, seat);
	if (group)
		list_add_tail(&group->mail, &mail->node);
	else
		free(mail);
}

bool group_event_locked(struct dvk *dvk, struct frame *frame)
{
	if (frame->op == CONTROL_GROUP_OVER)
		over_locked(dvk, frame);
	else if (frame->op == CONTROL_GROUP_VIEW || frame->op == CONTROL_GROUP_MESSAGE ||
		 frame->op == CONTROL_GROUP_STATE)
		mail_locked(dvk, frame);
	else
		return false;
	frame_close_fds(frame->fd);
	return true;
}

void groups_end_locked(struct dvk *dvk)
{
	LIST_FOREACH(at, &dvk->groups) {
		struct dvs_group *group = CONTAINER_OF(at, struct dvs_group, node);

		if (group->over == DVS_OK && group->seat != 0)
			group->over = DVS_PEERDEAD;
	}
}

/* ---- the calls ---- */

/* The first event comes right behind the reply. */
static void on_joined(struct dvk *dvk, struct exchange *x)
{
	struct cursor in = cursor_over(x->body, x->bytes);
	struct dvs_group *group = x->arg;
	struct control_group_join_rep reply;

	if (x->err != DVS_OK || control_group_join_rep_decode(&in, &reply) != DVS_OK)
		return;
	group->seat = reply.seat;
	group->member = reply.member;
	list_add_tail(&dvk->groups, &group->node);
}

dvs_err dvs_group_join(struct m3 *self, const char *name, struct dvs_group **group)
{
	struct control_group_join_req request = { 0 };
	struct dvs_group *made;
	struct exchange x;
	struct cursor in;
	struct writer out = exchange_init(&x, CONTROL_GROUP_JOIN, 0);
	dvs_err err;

	if (!self || !name || !group || strlen(name) > DVS_NAME_MAX)
		return DVS_BADARG;
	made = calloc(1, sizeof(*made));
	if (!made)
		return DVS_NOMEM;
	made->dvk = self->dvk;
	list_init(&made->node);
	list_init(&made->mail);
	request.ep = self->ep.self.n;
	memcpy(request.name, name, strlen(name) + 1);
	control_group_join_req_encode(&out, &request);
	x.on_reply = on_joined;
	x.arg = made;
	err = link_exchange(self->dvk, &x, &out, &in);
	if (err == DVS_OK && made->seat == 0)
		err = DVS_PROTO;
	if (err)
		free(made);
	else
		*group = made;
	return err;
}

LINK_CALL(group_leave, CONTROL_GROUP_LEAVE)
LINK_CALL(group_cast, CONTROL_GROUP_CAST)
LINK_CALL(group_give, CONTROL_GROUP_GIVE)

void dvs_group_leave(struct dvs_group *group)
{
	struct control_group_leave_req request;
	struct control_group_leave_rep reply;
	struct dvk *dvk;

	if (!group)
		return;
	dvk = group->dvk;
	request.seat = group->seat;
	pthread_mutex_lock(&dvk->lock);
	list_remove(&group->node);
	pthread_mutex_unlock(&dvk->lock);
	if (group->over == DVS_OK)
		(void)!call_group_leave(dvk, 0, &request, &reply);
	LIST_FOREACH_SAFE(at, &group->mail)
		free(CONTAINER_OF(at, struct group_mail, node));
	free(group);
}

uint64_t dvs_group_self(const struct dvs_group *group)
{
	return group->member;
}

/* A seat that dvsd does not know is over. */
static dvs_err ended(dvs_err err)
{
	return err == DVS_NOTBOUND ? DVS_PEERDEAD : err;
}

dvs_err dvs_group_cast(struct dvs_group *group, const void *data, size_t bytes)
{
	struct control_group_cast_req request;
	struct control_group_cast_rep reply;

	if (!group || (bytes && !data))
		return DVS_BADARG;
	if (bytes > sizeof(request.data))
		return DVS_TOOBIG;
	request.seat = group->seat;
	request.n_data = (uint32_t)bytes;
	if (bytes)
		memcpy(request.data, data, bytes);
	return ended(call_group_cast(group->dvk, 0, &request, &reply));
}

static void tell_read(struct dvs_group *group, uint32_t count)
{
	struct control_group_read_req request = { .seat = group->seat, .count = count };
	struct exchange x;
	struct writer out = exchange_init(&x, CONTROL_GROUP_READ, 0);

	control_group_read_req_encode(&out, &request);
	link_tell(group->dvk, &x, &out);
}

/* Take the head of the mail, if there is one. */
static struct group_mail *take(struct dvs_group *group, dvs_err *over, uint32_t *count)
{
	struct list *at;

	pthread_mutex_lock(&group->dvk->lock);
	at = list_take_head(&group->mail);
	*over = group->over;
	*count = 0;
	if (at && ++group->n_read >= TELL_AFTER) {
		*count = group->n_read;
		group->n_read = 0;
	}
	pthread_mutex_unlock(&group->dvk->lock);
	return at ? CONTAINER_OF(at, struct group_mail, node) : NULL;
}

dvs_err dvs_group_next(struct dvs_group *group, uint32_t timeout_ms, struct dvs_group_event *event)
{
	struct wait_limit limit = { .timeout_ms = timeout_ms };
	uint64_t deadline_ns = limit_deadline_ns(&limit);

	if (!group || !event)
		return DVS_BADARG;
	for (;;) {
		uint32_t count;
		dvs_err over;
		struct group_mail *mail;

		link_pump(group->dvk);
		mail = take(group, &over, &count);
		if (mail) {
			*event = mail->event;
			free(mail);
			if (count > 0 && over == DVS_OK)
				tell_read(group, count);
			return DVS_OK;
		}
		if (over != DVS_OK)
			return over;
		if (clock_is_past(deadline_ns))
			return DVS_TIMEOUT;
		link_turn(group->dvk, &group->mail, &group->over, deadline_ns);
	}
}

uint64_t dvs_group_owes(const struct dvs_group *group, const struct dvs_group_event *event,
			uint32_t n)
{
	if (!group || !event || event->what != DVS_GROUP_VIEW)
		return 0;
	for (uint32_t i = 0; i < event->n_members; i++) {
		const struct dvs_group_member *member = &event->members[i];

		/* Those of an older view were asked for then. */
		if (member->awaits == event->view && member->donor == group->member && n-- == 0)
			return member->id;
	}
	return 0;
}

dvs_err dvs_group_give(struct dvs_group *group, const struct dvs_group_event *event, uint64_t to,
		       const void *data, size_t bytes)
{
	struct control_group_give_req request;
	struct control_group_give_rep reply;
	size_t done = 0;
	dvs_err err;

	if (!group || !event || (bytes && !data))
		return DVS_BADARG;
	request.seat = group->seat;
	request.to = to;
	request.view = event->view;
	do {
		size_t n = bytes - done < sizeof(request.data) ? bytes - done :
								 sizeof(request.data);

		request.n_data = (uint32_t)n;
		request.last = done + n == bytes;
		if (n)
			memcpy(request.data, (const unsigned char *)data + done, n);
		done += n;
		err = ended(call_group_give(group->dvk, 0, &request, &reply));
	} while (err == DVS_OK && done < bytes);
	return err;
}
