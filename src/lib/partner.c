/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/partner.h"

#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "ipc/inbox.h"
#include "lib/handle.h"
#include "lib/link.h"

#define WINDOWS_BYTES (2 * IPC_WINDOW_BYTES)

static struct partner *partner_of(struct channel *ch)
{
	return CONTAINER_OF(ch, struct partner, ch);
}

/* ---- memory ---- */

static void unmap(struct dvk *dvk, struct channel_memory *memory)
{
	pthread_mutex_lock(&dvk->lock);
	pages_unmap(&dvk->pages, memory->lanes);
	pages_unmap(&dvk->pages, memory->peer_inbox);
	pthread_mutex_unlock(&dvk->lock);
	if (memory->window[0])
		(void)munmap(memory->window[0], WINDOWS_BYTES);
	*memory = (struct channel_memory){ .lanes = NULL };
}

/* Once a second process can write into our inboxes, nobody here sleeps without looking again now and then. */
static void note_area_locked(struct dvk *dvk, int area_fd)
{
	struct stat area;

	if (fstat(area_fd, &area) || dvk->peer_area == area.st_ino)
		return;
	if (dvk->peer_area == 0) {
		dvk->peer_area = area.st_ino;
		return;
	}
	if (atomic_exchange(&dvk->exposed, true))
		return;
	LIST_FOREACH(node, &dvk->handles)
		inbox_ring_event(CONTAINER_OF(node, struct m3, node)->ep.inbox);
}

/* Map a channel and the partner's inbox; the descriptors stay the caller's. */
static dvs_err map(struct dvk *dvk, const int fd[LINK_FDS_MAX], uint32_t peer_slot,
		   struct channel_memory *memory)
{
	void *windows;

	*memory = (struct channel_memory){ .lanes = NULL };
	if (fd[0] < 0 || fd[1] < 0 || peer_slot >= IPC_SLOTS_MAX)
		return DVS_PROTO;
	pthread_mutex_lock(&dvk->lock);
	memory->lanes = pages_map(&dvk->pages, fd[0], 0);
	memory->peer_inbox = pages_map(&dvk->pages, fd[1], peer_slot);
	note_area_locked(dvk, fd[1]);
	pthread_mutex_unlock(&dvk->lock);
	/* Addresses only: no table and no page until data is attached. */
	windows = mmap(NULL, WINDOWS_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, fd[0], IPC_PAGE);
	if (windows != MAP_FAILED) {
		memory->window[0] = windows;
		memory->window[1] = memory->window[0] + IPC_WINDOW_BYTES;
	}
	if (memory->lanes && memory->peer_inbox && memory->window[0])
		return DVS_OK;
	unmap(dvk, memory);
	return DVS_NOMEM;
}

/* ---- the life of a partner ---- */

static void changes_free(struct m3 *self, struct channel_change **changes)
{
	while (*changes) {
		struct channel_change *change = *changes;

		*changes = change->next;
		unmap(self->dvk, &change->memory);
		free(change);
	}
}

static void partner_free(struct m3 *self, struct partner *p)
{
	changes_free(self, &p->ch.changes);
	changes_free(self, &p->ch.former);
	if (p->ch.memory.lanes)
		unmap(self->dvk, &p->ch.memory);
	free(p->known);
	free(p);
}

/* For a dvsd that was started again: where it finds memory that a proxy needs too. */
static uint64_t lanes_of(const struct channel_memory *memory, uint8_t remote)
{
	return remote ? (uint64_t)(uintptr_t)memory->lanes : 0;
}

static void know(struct m3 *self, struct partner *p, uint8_t remote)
{
	pthread_mutex_lock(&self->dvk->lock);
	p->known->row = (struct control_link){ .ep = self->ep.self.n,
					       .peer = p->ch.peer.n,
					       .my_index = p->ch.index,
					       .peer_index = p->ch.peer_index,
					       .side = (uint8_t)p->ch.side,
					       .remote = remote,
					       .lanes = lanes_of(&p->ch.memory, remote) };
	list_remove(&p->known->node);
	list_add_tail(&self->links, &p->known->node);
	pthread_mutex_unlock(&self->dvk->lock);
}

static void forget(struct m3 *self, struct partner *p)
{
	pthread_mutex_lock(&self->dvk->lock);
	list_remove(&p->known->node);
	pthread_mutex_unlock(&self->dvk->lock);
}

/* Out of the tables; freed later, somebody may look at it. */
static void partner_end(struct m3 *self, struct partner *p, dvs_err reason)
{
	p->ch.gone = reason;
	endpoint_remove(&self->ep, &p->ch, reason == DVS_PEERDEAD);
	forget(self, p);
	p->next_grave = self->graves;
	self->graves = p;
}

/* The memory that living channels have left, unless requests came by it that are still open. */
static void free_former(struct m3 *self)
{
	self->has_former = false;
	for (uint32_t i = 0; i < self->ep.pending.n_words * 64; i++) {
		struct channel *ch = self->ep.by_index[i];

		if (ch && ch->n_open == 0)
			changes_free(self, &ch->former);
		else if (ch && ch->former)
			self->has_former = true;
	}
}

void partner_bury(struct m3 *self, bool all)
{
	struct partner **at = &self->graves;

	if (self->has_former)
		free_former(self);
	while (*at) {
		struct partner *p = *at;

		if (!all && (p->ch.n_open || p->ch.begun)) {
			at = &p->next_grave;
			continue;
		}
		*at = p->next_grave;
		partner_free(self, p);
	}
}

/* What the process from which the endpoint moved here has left to be answered: the program goes on where it was there. */
static void take_over(struct channel *ch, const struct control_channel_req *from)
{
	struct open_call call = { .number = 0, .reply_cap = DVS_DATA_MAX };

	ch->saved_note = from->note;
	for (uint32_t i = 0; i < from->stale; i++)
		channel_open(ch, &call);
	if (from->open == 0)
		return;
	call.number = from->open;
	channel_open(ch, &call);
	ch->taken = from->open;
}

static dvs_err partner_new(struct m3 *self, const struct control_channel_req *from,
			   const struct channel_memory *memory)
{
	struct partner *p = calloc(1, sizeof(*p));
	dvs_err err;

	if (p)
		p->known = calloc(1, sizeof(*p->known));
	if (!p || !p->known) {
		free(p);
		return DVS_NOMEM;
	}
	list_init(&p->known->node);
	channel_init(&p->ch, memory, from->side & 1, dvs_ep_of(from->peer));
	p->ch.index = from->my_index;
	p->ch.peer_index = from->peer_index;
	p->ch.may_call = from->may_call;
	p->ch.may_serve = from->may_serve;
	p->ch.may_relay = from->peer_may_relay;
	p->ch.remote = from->remote;
	take_over(&p->ch, from);
	err = endpoint_add(&self->ep, &p->ch);
	if (err) {
		p->ch.memory.lanes = NULL; /* the caller's again */
		partner_free(self, p);
		return err;
	}
	know(self, p, from->remote);
	return DVS_OK;
}

/* The partner has moved or was promoted: the same conversation goes on in other memory. */
static dvs_err replace(struct m3 *self, struct channel *ch, const struct control_channel_req *event,
		       const struct channel_memory *memory)
{
	struct channel_change *change = calloc(1, sizeof(*change));
	struct channel_change **at = &ch->changes;

	if (!change)
		return DVS_NOMEM;
	change->lost = event->mode == 3;
	change->remote = event->remote;
	change->side = event->side & 1;
	change->peer_index = event->peer_index;
	change->memory = *memory;
	while (*at)
		at = &(*at)->next;
	*at = change;
	ch->may_call = event->may_call;
	ch->may_serve = event->may_serve;
	ch->may_relay = event->peer_may_relay;
	self->has_former = true;
	ch->begun_lost = ch->begun;
	if (self->ep.calling != ch)
		endpoint_replace(&self->ep, ch);
	pthread_mutex_lock(&self->dvk->lock);
	partner_of(ch)->known->row.peer_index = event->peer_index;
	partner_of(ch)->known->row.side = event->side & 1;
	partner_of(ch)->known->row.remote = event->remote;
	partner_of(ch)->known->row.lanes = lanes_of(memory, event->remote);
	pthread_mutex_unlock(&self->dvk->lock);
	return DVS_OK;
}

/* dvsd was started again, and the proxy that stands in for the partner with it: only its inbox is another. Who rang the former one was
 * not heard. */
static dvs_err replace_inbox(struct m3 *self, struct channel *ch,
			     const struct control_channel_req *event, int area_fd)
{
	struct channel_change *last = ch->changes;
	struct channel_memory *memory = &ch->memory;
	struct ipc_inbox *inbox = NULL;

	while (last && last->next)
		last = last->next;
	if (last)
		memory = &last->memory;
	pthread_mutex_lock(&self->dvk->lock);
	if (area_fd >= 0 && event->peer_slot < IPC_SLOTS_MAX)
		inbox = pages_map(&self->dvk->pages, area_fd, event->peer_slot);
	if (inbox) {
		note_area_locked(self->dvk, area_fd);
		pages_unmap(&self->dvk->pages, memory->peer_inbox);
		partner_of(ch)->known->row.peer_index = event->peer_index;
	}
	pthread_mutex_unlock(&self->dvk->lock);
	if (!inbox)
		return DVS_NOMEM;
	memory->peer_inbox = inbox;
	if (last) {
		last->peer_index = event->peer_index;
	} else {
		ch->peer_inbox = inbox;
		ch->peer_index = event->peer_index;
	}
	(void)inbox_ring_request(inbox, event->peer_index);
	return DVS_OK;
}

void partner_add(struct m3 *self, const struct control_channel_req *event, int fd[LINK_FDS_MAX])
{
	dvs_ep peer = dvs_ep_of(event->peer);
	struct channel *ch = endpoint_find(&self->ep, peer);
	struct channel_memory memory;

	self->n_partner_events++;
	if (event->mode == 4) {
		if (ch && ch->peer.n == peer.n && ch->index == event->my_index)
			self->add_err = replace_inbox(self, ch, event, fd[1]);
		return;
	}
	self->add_err = map(self->dvk, fd, event->peer_slot, &memory);
	if (self->add_err)
		return;
	if (ch && event->mode != 1 && ch->peer.n == peer.n && ch->index == event->my_index) {
		self->add_err = replace(self, ch, event, &memory);
		if (self->add_err)
			unmap(self->dvk, &memory);
		return;
	}
	if (ch)
		partner_end(self, partner_of(ch), DVS_PEERDEAD);
	self->add_err = partner_new(self, event, &memory);
	if (self->add_err)
		unmap(self->dvk, &memory);
}

void partner_gone(struct m3 *self, const struct control_gone_req *event, dvs_err reason)
{
	struct channel *ch = endpoint_find(&self->ep, dvs_ep_of(event->peer));

	self->n_partner_events++;
	if (ch && ch->peer.n == event->peer && ch->index == event->my_index)
		partner_end(self, partner_of(ch), reason);
}

void partner_all_gone(struct m3 *self)
{
	for (uint32_t i = 0; i < self->ep.pending.n_words * 64; i++) {
		struct channel *ch = self->ep.by_index[i];

		if (ch)
			partner_end(self, partner_of(ch), DVS_NOTBOUND);
	}
}

/* ---- finding and connecting ---- */

/* The reply goes into the mail, behind what dvsd sent before it and before what it sends after it: the number of the channel may
 * be that of one whose end is in the mail, and the channel itself may be over when the owner comes to read of it. */
static void connect_replied(struct dvk *dvk, struct exchange *x)
{
	struct cursor in = cursor_over(x->body, x->bytes);
	struct control_connect_rep reply;
	struct control_channel_req event;
	struct m3 *self = x->arg;

	(void)dvk;
	if (!x->err)
		x->err = control_connect_rep_decode(&in, &reply);
	if (x->err)
		return;
	event = (struct control_channel_req){ .ep = self->ep.self.n,
					      .peer = reply.peer,
					      .my_index = reply.my_index,
					      .peer_index = reply.peer_index,
					      .peer_slot = reply.peer_slot,
					      .side = reply.side,
					      .may_call = reply.may_call,
					      .may_serve = reply.may_serve,
					      .peer_may_relay = reply.peer_may_relay,
					      .remote = reply.remote,
					      .mode = 1 };
	x->err = handle_channel_locked(self, &event, x->fd);
}

static uint32_t left_ms(struct wait_limit *limit)
{
	uint64_t deadline_ns = limit_deadline_ns(limit);
	int left;

	if (deadline_ns == UINT64_MAX)
		return DVS_FOREVER;
	left = clock_poll_ms(deadline_ns);
	return left > 0 ? (uint32_t)left : 0;
}

/* OK: the channel is in the mail. */
static dvs_err connect_to(struct m3 *self, dvs_ep dst, struct wait_limit *limit)
{
	struct control_connect_req request = { .ep = self->ep.self.n,
					       .to = dst.n,
					       .timeout_ms = left_ms(limit) };
	struct exchange x;
	struct cursor in;
	struct writer out = exchange_init(&x, CONTROL_CONNECT, request.timeout_ms);
	dvs_err err;

	control_connect_req_encode(&out, &request);
	x.on_reply = connect_replied;
	x.arg = self;
	err = link_exchange(self->dvk, &x, &out, &in);
	frame_close_fds(x.fd);
	return err;
}

/* The living channel of DST; NODEST when it is of another generation. */
static dvs_err find(struct m3 *self, dvs_ep dst, struct channel **ch)
{
	*ch = endpoint_find(&self->ep, dst);
	if (*ch && dvs_ep_generation(dst) && (*ch)->peer.n != dst.n)
		return DVS_NODEST;
	return DVS_OK;
}

static dvs_err find_or_connect(struct m3 *self, dvs_ep dst, struct wait_limit *limit,
			       struct channel **ch)
{
	for (;;) {
		dvs_err err = find(self, dst, ch);
		uint32_t n_seen = self->n_partner_events;

		if (err || *ch)
			return err;
		err = connect_to(self, dst, limit);
		if (err && err != DVS_BADSTATE)
			return err;
		/* The channel is in the mail, also if the partner was first (BADSTATE); or about to be, if the partner moves. */
		endpoint_handle_events(&self->ep);
		if (!err && self->add_err)
			return self->add_err;
		/* It may have come and gone already. */
		if (endpoint_find(&self->ep, dst) || self->n_partner_events != n_seen)
			continue;
		err = endpoint_wait_event(&self->ep, limit);
		if (err && !endpoint_find(&self->ep, dst))
			return err;
	}
}

dvs_err partner_for_call(struct m3 *self, dvs_ep dst, struct wait_limit *limit, struct channel **ch)
{
	dvs_err err;

	*ch = endpoint_find(&self->ep, dst);
	if (__builtin_expect(!*ch || (dvs_ep_generation(dst) && (*ch)->peer.n != dst.n), 0)) {
		if (dvs_ep_number(dst) > DVS_EP_NUMBER_MAX)
			return DVS_BADARG;
		if (dvs_ep_number(dst) == dvs_ep_number(self->ep.self))
			return DVS_DEADLOCK;
		err = find_or_connect(self, dst, limit, ch);
		if (err)
			return err;
	}
	return (*ch)->may_call ? DVS_OK : DVS_DENIED;
}

dvs_err partner_for_receive(struct m3 *self, dvs_ep src, struct wait_limit *limit,
			    struct channel **ch)
{
	dvs_err err;

	if (dvs_ep_number(src) > DVS_EP_NUMBER_MAX)
		return DVS_BADARG;
	if (dvs_ep_number(src) == dvs_ep_number(self->ep.self))
		return DVS_DEADLOCK;
	err = find_or_connect(self, src, limit, ch);
	while (err == DVS_DENIED) {
		/* SELF may not call SRC, but SRC may be allowed to call SELF. */
		dvs_err waited = endpoint_wait_event(&self->ep, limit);

		err = find(self, src, ch);
		if (!err && self->ep.halt != HALT_NO)
			err = endpoint_enter(&self->ep, limit, false);
		if (!err && !*ch)
			err = waited ? waited : DVS_DENIED;
	}
	return err;
}

struct channel *partner_of_client(struct m3 *self, dvs_ep client)
{
	struct channel *ch = endpoint_find(&self->ep, client);

	if (ch && (dvs_ep_generation(client) == 0 || ch->peer.n == client.n))
		return ch;
	for (struct partner *p = self->graves; p; p = p->next_grave) {
		if (p->ch.n_open && (p->ch.peer.n == client.n ||
				     (dvs_ep_generation(client) == 0 &&
				      dvs_ep_number(p->ch.peer) == dvs_ep_number(client))))
			return &p->ch;
	}
	return NULL;
}
