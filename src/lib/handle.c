/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/handle.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "ipc/inbox.h"
#include "lib/group.h"
#include "lib/partner.h"
#include "lib/trace.h"

struct m3 *handle_new(struct dvk *dvk)
{
	struct m3 *self = calloc(1, sizeof(*self));

	if (!self)
		return NULL;
	self->dvk = dvk;
	self->alive = dvk->alive;
	list_init(&self->node);
	list_init(&self->in_bucket);
	list_init(&self->unclaimed);
	list_init(&self->mail);
	list_init(&self->links);
	return self;
}

void handle_bind_locked(struct m3 *self, uint32_t ep, uint32_t slot, uint8_t binding, uint8_t role,
			uint32_t may)
{
	struct dvk *dvk = self->dvk;

	self->slot = slot;
	self->binding = binding;
	self->may = may;
	self->primary = role == 1;
	memset(&dvk->stats[slot], 0, sizeof(dvk->stats[slot]));
	endpoint_init(&self->ep, dvs_ep_of(ep), dvk_inbox(dvk, slot), &dvk->stats[slot],
		      &handle_host, self);
	self->ep.halt = self->primary ? HALT_NO : HALT_BACKUP;
	atomic_store(&dvk->stats[slot].ep, ep);
	list_add_tail(&dvk->handles, &self->node);
	list_add_tail(&dvk->bucket[dvs_ep_number(self->ep.self) % DVK_BUCKETS], &self->in_bucket);
}

void handle_leave_locked(struct m3 *self)
{
	list_remove(&self->node);
	list_remove(&self->in_bucket);
	list_remove(&self->unclaimed);
}

void handle_own(struct m3 *self)
{
	struct dvk *dvk = self->dvk;

	self->owner = pthread_self();
	self->tid = (uint32_t)gettid();
	self->next_of_thread = pthread_getspecific(dvk->thread_key);
	/* Without memory for it the endpoint outlives its thread, until the link is closed. */
	(void)pthread_setspecific(dvk->thread_key, self);
}

static void mail_free(struct mail *mail)
{
	frame_close_fds(mail->fd);
	free(mail);
}

void handle_free(struct m3 *self)
{
	partner_all_gone(self);
	partner_bury(self, true);
	LIST_FOREACH_SAFE(node, &self->mail)
		mail_free(CONTAINER_OF(node, struct mail, node));
	trace_end(self);
	atomic_store(&self->ep.stats->ep, 0);
	endpoint_fini(&self->ep);
	free(self);
}

/* ---- events come in, under the lock, in any thread ---- */

static struct m3 *find_locked(struct dvk *dvk, uint32_t ep, uint32_t slot)
{
	LIST_FOREACH(node, &dvk->bucket[dvs_ep_number(dvs_ep_of(ep)) % DVK_BUCKETS]) {
		struct m3 *self = CONTAINER_OF(node, struct m3, in_bucket);

		if (self->ep.self.n != ep || self->unbound)
			continue;
		if (slot == UINT32_MAX ? self->primary : self->slot == slot)
			return self;
	}
	return NULL;
}

static void deliver_locked(struct m3 *self, struct mail *mail)
{
	list_add_tail(&self->mail, &mail->node);
	inbox_ring_event(self->ep.inbox);
}

dvs_err handle_channel_locked(struct m3 *self, const struct control_channel_req *event,
			      int fd[LINK_FDS_MAX])
{
	struct mail *mail = calloc(1, sizeof(*mail));

	if (!mail)
		return DVS_NOMEM;
	mail->op = CONTROL_CHANNEL;
	mail->channel = *event;
	for (unsigned i = 0; i < LINK_FDS_MAX; i++)
		mail->fd[i] = take_fd(&fd[i]);
	deliver_locked(self, mail);
	return DVS_OK;
}

void handle_unbound_locked(struct m3 *self)
{
	struct mail *mail = calloc(1, sizeof(*mail));

	self->unbound = true;
	if (!mail)
		return;
	mail->op = CONTROL_UNBOUND;
	mail->fd[0] = mail->fd[1] = -1;
	deliver_locked(self, mail);
}

void handle_role_locked(struct m3 *self, uint8_t role)
{
	struct mail *mail;

	if (self->primary == (role == 1))
		return;
	mail = calloc(1, sizeof(*mail));
	if (!mail)
		return;
	self->primary = role == 1;
	mail->op = CONTROL_ROLE;
	mail->role.role = role;
	mail->fd[0] = mail->fd[1] = -1;
	deliver_locked(self, mail);
}

/* Bound for this process by another one. */
static void bound_locked(struct dvk *dvk, const struct control_bound_req *event)
{
	struct m3 *self = handle_new(dvk);

	if (!self)
		return;
	handle_bind_locked(self, event->ep, event->slot, event->binding, event->role, event->may);
	list_add_tail(&dvk->unclaimed, &self->unclaimed);
}

/* Decode the body into MAIL; *SLOT stays UINT32_MAX where the event has none. Returns its endpoint. */
static dvs_err decode(struct frame *frame, struct mail *mail, uint32_t *ep, uint32_t *slot)
{
	struct control_unbound_req unbound;
	struct control_woken_req woken;
	struct control_trace_ring_req ring;
	dvs_err err = DVS_PROTO;

	if (frame->op == CONTROL_CHANNEL) {
		err = control_channel_req_decode(&frame->in, &mail->channel);
		*ep = mail->channel.ep;
	} else if (frame->op == CONTROL_GONE) {
		err = control_gone_req_decode(&frame->in, &mail->gone);
		*ep = mail->gone.ep;
	} else if (frame->op == CONTROL_UNBOUND) {
		err = control_unbound_req_decode(&frame->in, &unbound);
		*ep = unbound.ep;
		*slot = unbound.slot;
	} else if (frame->op == CONTROL_ROLE) {
		err = control_role_req_decode(&frame->in, &mail->role);
		*ep = mail->role.ep;
		*slot = mail->role.slot;
	} else if (frame->op == CONTROL_MIGRATE) {
		err = control_migrate_req_decode(&frame->in, &mail->migrate);
		*ep = mail->migrate.ep;
	} else if (frame->op == CONTROL_WOKEN) {
		err = control_woken_req_decode(&frame->in, &woken);
		*ep = woken.ep;
	} else if (frame->op == CONTROL_PROBE) {
		err = control_probe_req_decode(&frame->in, &mail->probe);
		*ep = mail->probe.ep;
	} else if (frame->op == CONTROL_DEADLOCK) {
		err = control_deadlock_req_decode(&frame->in, &mail->deadlock);
		*ep = mail->deadlock.ep;
	} else if (frame->op == CONTROL_TRACE_RING) {
		err = control_trace_ring_req_decode(&frame->in, &ring);
		*ep = ring.ep;
	} else if (frame->op == CONTROL_MAY) {
		err = control_may_req_decode(&frame->in, &mail->may);
		*ep = mail->may.ep;
	}
	return err;
}

void handle_event(struct dvk *dvk, struct frame *frame)
{
	struct control_bound_req bound;
	struct mail *mail;
	struct m3 *self;
	uint32_t slot = UINT32_MAX;
	uint32_t ep;

	if (frame->op == CONTROL_BOUND) {
		if (control_bound_req_decode(&frame->in, &bound) == DVS_OK &&
		    bound.slot < IPC_SLOTS_MAX)
			bound_locked(dvk, &bound);
		frame_close_fds(frame->fd);
		return;
	}
	if (group_event_locked(dvk, frame))
		return;
	mail = calloc(1, sizeof(*mail));
	self = NULL;
	if (mail && decode(frame, mail, &ep, &slot) == DVS_OK)
		self = find_locked(dvk, ep, slot);
	if (!self) {
		frame_close_fds(frame->fd);
		free(mail);
		return;
	}
	mail->op = frame->op;
	memcpy(mail->fd, frame->fd, sizeof(mail->fd));
	/* What later events and a rejoin must know at once. */
	if (mail->op == CONTROL_UNBOUND)
		self->unbound = true;
	else if (mail->op == CONTROL_ROLE)
		self->primary = mail->role.role == 1;
	else if (mail->op == CONTROL_MIGRATE)
		self->migration = mail->migrate.what == 1 ? mail->migrate.number : 0;
	else if (mail->op == CONTROL_MAY)
		self->may = mail->may.may;
	deliver_locked(self, mail);
}

/* ---- events are handled, by the owner ---- */

static void set_role(struct m3 *self, uint8_t role)
{
	if (role == 1) {
		self->ep.halt = HALT_NO;
		return;
	}
	/* Its partners go over to the new primary. */
	partner_all_gone(self);
	self->ep.halt = HALT_BACKUP;
}

static void migrate(struct m3 *self, const struct control_migrate_req *event)
{
	struct endpoint *ep = &self->ep;

	if (ep->halt != HALT_NO && ep->halt != HALT_PARKING && ep->halt != HALT_PARKED)
		return;
	/* Under a new number all is to be told anew: what was told does not count any more. */
	if (event->what == 1) {
		self->parking = event->number;
		ep->halt = HALT_PARKING;
	} else if (event->what == 2) {
		ep->halt = HALT_NO;
	}
}

static void tell_blocked(struct m3 *self, uint32_t on, uint32_t wait, uint32_t probe)
{
	struct control_blocked_req request = {
		.ep = self->ep.self.n, .on = on, .wait = wait, .probe = probe
	};
	struct exchange x;
	struct writer out = exchange_init(&x, CONTROL_BLOCKED, 0);

	control_blocked_req_encode(&out, &request);
	link_tell(self->dvk, &x, &out);
}

/* dvsd asks whether the wait goes on; wait 0: whatever wait it is, dvsd only guesses that there is one. */
static void answer_probe(struct m3 *self, const struct control_probe_req *probe)
{
	struct endpoint *ep = &self->ep;

	if (!ep->calling || (probe->wait && probe->wait != ep->wait) ||
	    channel_is_answered(ep->calling, ep->calling_kind))
		return;
	ep->declared = true;
	tell_blocked(self, ep->calling->peer.n, ep->wait, probe->probe);
}

/* Why a channel is over, of what a caller may be told. */
static dvs_err gone_reason(uint32_t reason)
{
	if (reason == DVS_DENIED)
		return DVS_DENIED;
	if (reason == DVS_NODEDOWN)
		return DVS_NODEDOWN;
	return reason == DVS_NOQUORUM ? DVS_NOQUORUM : DVS_PEERDEAD;
}

static void read_mail(struct m3 *self, struct mail *mail)
{
	if (mail->op == CONTROL_CHANNEL) {
		partner_add(self, &mail->channel, mail->fd);
	} else if (mail->op == CONTROL_GONE) {
		partner_gone(self, &mail->gone, gone_reason(mail->gone.reason));
	} else if (mail->op == CONTROL_UNBOUND) {
		self->ep.halt = HALT_UNBOUND;
		partner_all_gone(self);
	} else if (mail->op == CONTROL_ROLE) {
		set_role(self, mail->role.role);
	} else if (mail->op == CONTROL_MIGRATE) {
		migrate(self, &mail->migrate);
	} else if (mail->op == CONTROL_WOKEN) {
		self->ep.woken = true;
	} else if (mail->op == CONTROL_PROBE) {
		answer_probe(self, &mail->probe);
	} else if (mail->op == CONTROL_DEADLOCK) {
		self->ep.deadlock_wait = mail->deadlock.wait;
	} else if (mail->op == CONTROL_TRACE_RING) {
		trace_start(self, mail->fd[0]);
	}
}

/* The mail that is read stays in its list meanwhile: another thread may come back to dvsd, which must hear of its channel. */
static void host_events(struct endpoint *ep)
{
	struct m3 *self = ep->host_arg;
	struct dvk *dvk = self->dvk;

	link_pump(dvk);
	pthread_mutex_lock(&dvk->lock);
	while (!list_is_empty(&self->mail)) {
		struct mail *mail = CONTAINER_OF(self->mail.next, struct mail, node);

		pthread_mutex_unlock(&dvk->lock);
		read_mail(self, mail);
		pthread_mutex_lock(&dvk->lock);
		list_remove(&mail->node);
		mail_free(mail);
	}
	/* Memory was too short for the mail that says so. */
	if (self->unbound)
		self->ep.halt = HALT_UNBOUND;
	pthread_mutex_unlock(&dvk->lock);
	ep->exposed = atomic_load(&dvk->exposed);
}

static void host_blocked(struct endpoint *ep, dvs_ep on, uint32_t wait, bool waits)
{
	tell_blocked(ep->host_arg, waits ? on.n : UINT32_MAX, wait, 0);
}

LINK_CALL(parked, CONTROL_PARKED)

/* What is owed to the partner of CH. */
static struct control_taken owed(const struct channel *ch)
{
	struct control_taken row = { .peer = ch->peer.n, .note = ch->saved_note };

	if (ch->n_open) {
		row.number = ch->open[ch->n_open - 1].number;
		row.stale = (uint8_t)(row.number ? ch->n_open - 1 : ch->n_open);
	}
	return row;
}

static void host_park(struct endpoint *ep)
{
	struct m3 *self = ep->host_arg;
	struct control_parked_req request = {
		.ep = ep->self.n, .slot = self->slot, .number = self->parking, .more = 1
	};
	struct control_parked_rep reply;
	dvs_err err = DVS_OK;

	for (uint32_t i = 0; i < ep->pending.n_words * 64 && !err; i++) {
		struct channel *ch = ep->by_index[i];

		if (ch)
			channel_collect_note(ch);
		if (!ch || (ch->n_open == 0 && ch->saved_note == 0))
			continue;
		request.taken[request.n_taken++] = owed(ch);
		if (request.n_taken == ARRAY_LEN(request.taken)) {
			err = call_parked(self->dvk, 0, &request, &reply);
			request.n_taken = 0;
		}
	}
	request.more = 0;
	if (!err)
		err = call_parked(self->dvk, 0, &request, &reply);
	/* BADSTATE: the migration is over, or has a new number; the events in the mail say how it goes on, and until then this
	 * endpoint does not run. Without an answer dvsd will say more when it is there. */
	ep->halt = HALT_PARKED;
	if (err && err != DVS_NODVSD)
		endpoint_handle_events(ep);
}

const struct endpoint_host handle_host = {
	.events = host_events,
	.blocked = host_blocked,
	.park = host_park,
	.trace = trace_write,
};
