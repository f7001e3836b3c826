/* SPDX-License-Identifier: Apache-2.0 */
/* The communication calls: arguments are checked here, then the endpoint does the work. */
#include <dvs/dvk.h>

#include "lib/begun.h"
#include "lib/in_place.h"
#include "lib/link.h"
#include "lib/partner.h"
#include "lib/poke.h"

/* So often may one call be handed on. */
#define RELAYS_MAX 64u

dvs_ep m3_self(const struct m3 *self)
{
	return self ? self->ep.self : dvs_ep_any();
}

static dvs_err enter(struct m3 *self, struct wait_limit *limit, bool answers)
{
	if (!m3_is_mine(self))
		return DVS_NOTBOUND;
	if (self->graves || self->has_former)
		partner_bury(self, false);
	return endpoint_enter(&self->ep, limit, answers);
}

static bool bad_message(const struct dvs_msg *msg)
{
	return !msg || msg->type >= DVS_TYPE_RESERVED;
}

static bool bad_timeout(uint32_t timeout_ms)
{
	return timeout_ms > DVS_TIMEOUT_MAX_MS && timeout_ms != DVS_FOREVER;
}

/* ---- calling ---- */

dvs_err m3_send(struct m3 *self, dvs_ep dst, const struct dvs_msg *msg, uint32_t timeout_ms)
{
	struct wait_limit limit = { .timeout_ms = timeout_ms };
	struct call_relay relay = { .by = dvs_ep_any() };
	struct dvs_msg copy;
	struct channel *ch;
	dvs_err err;

	if (bad_message(msg) || bad_timeout(timeout_ms))
		return DVS_BADARG;
	err = enter(self, &limit, false);
	if (!err)
		err = partner_for_call(self, dst, &limit, &ch);
	if (err)
		return err;
	/* As in Minix: a message to a caller that waits for the reply is the reply. */
	if (ch->n_open && channel_peer_waits(ch)) {
		endpoint_reply(&self->ep, ch, &ch->open[0], IPC_REPLY, msg, NULL, 0, dvs_ep_any());
		return DVS_OK;
	}
	if (ch->begun)
		return DVS_BADSTATE;
	copy = *msg;
	return endpoint_call(&self->ep, ch, IPC_SEND, &copy, NULL, &limit, &relay);
}

static dvs_err call(struct m3 *self, dvs_ep dst, struct dvs_msg *msg, struct call_data *data,
		    struct wait_limit *limit)
{
	struct call_relay relay = { .by = dvs_ep_any(), .to = dst };
	dvs_err err = enter(self, limit, false);

	for (unsigned i = 0; i < RELAYS_MAX && !err; i++) {
		struct channel *ch;

		err = partner_for_call(self, relay.to, limit, &ch);
		/* It waits for the answer of SELF to a request that SELF has: the error is SELF's, not its. */
		if (!err && ch->n_open && channel_peer_waits(ch))
			err = DVS_DEADLOCK;
		/* There is one cell for a call. */
		if (!err && ch->begun)
			err = DVS_BADSTATE;
		if (!err)
			err = endpoint_call(&self->ep, ch, IPC_REQUEST, msg, data, limit, &relay);
		if (err || dvs_ep_is_any(relay.to))
			return err;
		/* What is sent now is not the caller's own: who let it be sent must have the right, and is named. */
		if (!ch->may_relay)
			return DVS_DENIED;
		relay.by = ch->peer;
	}
	return err ? err : DVS_DEADLOCK;
}

dvs_err m3_sendrec(struct m3 *self, dvs_ep dst, struct dvs_msg *msg, uint32_t timeout_ms)
{
	struct wait_limit limit = { .timeout_ms = timeout_ms };

	if (bad_message(msg) || bad_timeout(timeout_ms))
		return DVS_BADARG;
	return call(self, dst, msg, NULL, &limit);
}

dvs_err m3_call(struct m3 *self, dvs_ep dst, struct dvs_msg *msg, const void *out, size_t out_len,
		void *in, size_t in_cap, size_t *in_len, uint32_t timeout_ms)
{
	struct wait_limit limit = { .timeout_ms = timeout_ms };
	struct call_data data = { .out = out, .out_bytes = out_len, .in = in, .in_cap = in_cap };
	dvs_err err;

	if (bad_message(msg) || bad_timeout(timeout_ms) || (!out && out_len) || (!in && in_cap))
		return DVS_BADARG;
	if (out_len > DVS_DATA_MAX || in_cap > DVS_DATA_MAX)
		return DVS_TOOBIG;
	err = call(self, dst, msg, &data, &limit);
	if (in_len)
		*in_len = err ? 0 : data.in_bytes;
	return err;
}

dvs_err m3_call_in_place(struct m3 *self, dvs_ep dst, struct dvs_msg *msg, const void *out,
			 size_t out_len, size_t in_cap, const void **in, size_t *in_len,
			 uint32_t timeout_ms)
{
	struct wait_limit limit = { .timeout_ms = timeout_ms };
	struct call_data data = { .out = out, .out_bytes = out_len, .in_cap = in_cap };
	dvs_err err;

	if (bad_message(msg) || bad_timeout(timeout_ms) || (!out && out_len) || !in || !in_len)
		return DVS_BADARG;
	if (out_len > DVS_DATA_MAX || in_cap > DVS_DATA_MAX)
		return DVS_TOOBIG;
	err = call(self, dst, msg, &data, &limit);
	*in = err ? NULL : data.in_at;
	*in_len = err ? 0 : data.in_bytes;
	return err;
}

dvs_err m3_call_window(struct m3 *self, dvs_ep dst, uint32_t timeout_ms, void **window)
{
	struct wait_limit limit = { .timeout_ms = timeout_ms };
	struct channel *ch = NULL;
	dvs_err err;

	if (!window || bad_timeout(timeout_ms))
		return DVS_BADARG;
	err = enter(self, &limit, false);
	if (!err)
		err = partner_for_call(self, dst, &limit, &ch);
	if (!err && ch->begun)
		err = DVS_BADSTATE;
	if (!err)
		*window = ch->my_window;
	return err;
}

/* ---- calls for which nobody waits ---- */

static struct channel *channel_of(struct m3_begun *begun)
{
	return (struct channel *)begun;
}

dvs_err m3_begin(struct m3 *self, dvs_ep dst, const struct dvs_msg *msg, const void *out,
		 size_t out_len, size_t in_cap, struct m3_begun **begun)
{
	struct wait_limit limit = { .timeout_ms = 0 };
	struct call_data data = { .out = out, .out_bytes = out_len, .in_cap = in_cap };
	struct channel *ch;
	dvs_err err;

	if (bad_message(msg) || (!out && out_len) || !begun)
		return DVS_BADARG;
	if (out_len > DVS_DATA_MAX || in_cap > DVS_DATA_MAX)
		return DVS_TOOBIG;
	err = enter(self, &limit, false);
	if (err)
		return err;
	ch = endpoint_find(&self->ep, dst);
	if (!ch || (dvs_ep_generation(dst) && ch->peer.n != dst.n))
		return DVS_NODEST;
	if (!ch->may_call)
		return DVS_DENIED;
	if (ch->begun || (ch->n_open && channel_peer_waits(ch)))
		return DVS_BADSTATE;
	endpoint_begin(&self->ep, ch, msg, &data);
	*begun = (struct m3_begun *)ch;
	return DVS_OK;
}

bool m3_is_over(struct m3_begun *begun)
{
	return endpoint_is_over(channel_of(begun));
}

dvs_err m3_end(struct m3 *self, struct m3_begun *begun, struct dvs_msg *msg, const void **in,
	       size_t *in_len)
{
	struct call_data data = { .out = NULL };
	dvs_err err;

	if (!m3_is_mine(self))
		return DVS_NOTBOUND;
	err = endpoint_end(&self->ep, channel_of(begun), msg, &data);
	*in = err ? NULL : data.in_at;
	*in_len = err ? 0 : data.in_bytes;
	return err;
}

dvs_err m3_notify(struct m3 *self, dvs_ep dst, uint64_t value)
{
	struct wait_limit limit = { .timeout_ms = DVK_ANSWER_MS };
	struct channel *ch;
	dvs_err err;

	if (value > DVS_NOTIFY_VALUE_MAX)
		return DVS_BADARG;
	err = enter(self, &limit, true);
	if (!err)
		err = partner_for_call(self, dst, &limit, &ch);
	if (!err)
		endpoint_notify(&self->ep, ch, value);
	return err;
}

/* ---- receiving ---- */

static dvs_err receive(struct m3 *self, dvs_ep src, bool only_requests, struct dvs_msg *msg,
		       uint32_t timeout_ms)
{
	struct wait_limit limit = { .timeout_ms = timeout_ms, .is_pokable = true };
	struct channel *from = NULL;
	dvs_err err;

	if (!msg || bad_timeout(timeout_ms))
		return DVS_BADARG;
	err = enter(self, &limit, false);
	if (!err && !dvs_ep_is_any(src))
		err = partner_for_receive(self, src, &limit, &from);
	if (err)
		return err;
	return endpoint_receive(&self->ep, from, only_requests, msg, &limit);
}

dvs_err m3_receive(struct m3 *self, dvs_ep src, struct dvs_msg *msg, uint32_t timeout_ms)
{
	return receive(self, src, false, msg, timeout_ms);
}

dvs_err m3_receive_request(struct m3 *self, struct dvs_msg *msg, uint32_t timeout_ms)
{
	return receive(self, dvs_ep_any(), true, msg, timeout_ms);
}

void m3_poke(struct m3 *self)
{
	endpoint_poke(&self->ep);
}

dvs_err m3_delivered(struct m3 *self, struct m3_delivery *delivery)
{
	if (!delivery)
		return DVS_BADARG;
	if (!m3_is_mine(self) || !self->ep.last.kind)
		return DVS_NOTBOUND;
	*delivery = self->ep.last;
	return DVS_OK;
}

/* ---- answering ---- */

/* Who was a primary and is a backup now has nobody to answer any more: they have gone over to the new one. Who migrates waits. */
static dvs_err enter_to_answer(struct m3 *self)
{
	struct wait_limit at_once = { .timeout_ms = 0 };
	struct wait_limit limit = { .timeout_ms = DVS_FOREVER };
	dvs_err err = enter(self, &at_once, true);

	if (!err || err == DVS_NOTBOUND)
		return err;
	return self->ep.halt == HALT_BACKUP ? DVS_NOTWAITING : enter(self, &limit, true);
}

/* The open call NUMBER (0: the oldest) of CLIENT. PEERDEAD: it was one, but CLIENT is gone; it is forgotten then. */
static dvs_err open_call(struct m3 *self, dvs_ep client, uint32_t number, struct channel **ch,
			 struct open_call **open)
{
	dvs_err err = enter_to_answer(self);

	if (err)
		return err;
	*ch = partner_of_client(self, client);
	if (!*ch)
		return DVS_NOTWAITING;
	*open = channel_open_call(*ch, number);
	if (!*open)
		return DVS_NOTWAITING;
	if ((*ch)->gone) {
		channel_close_call(*ch, *open);
		return DVS_PEERDEAD;
	}
	return DVS_OK;
}

static dvs_err reply(struct m3 *self, dvs_ep client, uint32_t number, const struct dvs_msg *msg,
		     const void *data, size_t len)
{
	struct open_call *open;
	struct channel *ch;
	dvs_err err;

	if (bad_message(msg) || (!data && len))
		return DVS_BADARG;
	err = open_call(self, client, number, &ch, &open);
	if (err)
		return err;
	if (len > open->reply_cap)
		return DVS_TOOBIG;
	endpoint_reply(&self->ep, ch, open, IPC_REPLY, msg, data, len, dvs_ep_any());
	return DVS_OK;
}

dvs_err m3_reply(struct m3 *self, dvs_ep client, const struct dvs_msg *msg)
{
	return reply(self, client, 0, msg, NULL, 0);
}

dvs_err m3_reply_data(struct m3 *self, dvs_ep client, const struct dvs_msg *msg, const void *data,
		      size_t len)
{
	return reply(self, client, 0, msg, data, len);
}

dvs_err m3_reply_call(struct m3 *self, dvs_ep client, uint32_t number, const struct dvs_msg *msg,
		      const void *data, size_t len)
{
	if (number == 0)
		return DVS_NOTWAITING;
	return reply(self, client, number, msg, data, len);
}

dvs_err m3_reply_window(struct m3 *self, dvs_ep client, void **window, size_t *cap)
{
	struct open_call *open;
	struct channel *ch;
	dvs_err err;

	if (!window || !cap)
		return DVS_BADARG;
	err = open_call(self, client, 0, &ch, &open);
	if (err)
		return err;
	*window = ch->my_window;
	*cap = open->reply_cap;
	return DVS_OK;
}

dvs_err m3_relay(struct m3 *self, dvs_ep client, dvs_ep dst, const struct dvs_msg *msg)
{
	struct open_call *open;
	struct channel *ch;
	dvs_err err;

	if (bad_message(msg) || dvs_ep_number(dst) > DVS_EP_NUMBER_MAX)
		return DVS_BADARG;
	err = open_call(self, client, 0, &ch, &open);
	if (err)
		return err;
	if (!(atomic_load_explicit(&self->may, memory_order_relaxed) & DVS_MAY_RELAY))
		return DVS_DENIED;
	endpoint_reply(&self->ep, ch, open, IPC_RELAYED, msg, NULL, 0, dst);
	return DVS_OK;
}

/* ---- by way of dvsd ---- */

LINK_CALL(wakeup, CONTROL_WAKEUP)
LINK_CALL(grant, CONTROL_GRANT)
LINK_CALL(revoke, CONTROL_REVOKE)
LINK_CALL(copy, CONTROL_COPY)

static dvs_err enter_to_ask(struct m3 *self)
{
	struct wait_limit limit = { .timeout_ms = DVS_FOREVER };

	return enter(self, &limit, true);
}

dvs_err m3_wakeup(struct m3 *self, dvs_ep dst)
{
	struct control_wakeup_rep none;
	dvs_err err;

	if (dvs_ep_number(dst) > DVS_EP_NUMBER_MAX)
		return DVS_BADARG;
	err = enter_to_ask(self);
	if (err)
		return err;
	return call_wakeup(self->dvk, 0,
			   &(struct control_wakeup_req){ .ep = self->ep.self.n, .to = dst.n },
			   &none);
}

dvs_err m3_grant(struct m3 *self, dvs_ep grantee, void *addr, uint64_t len, unsigned rights,
		 uint32_t *grant)
{
	struct control_grant_rep made;
	struct control_grant_req request;
	dvs_err err;

	if (!addr || !grant || rights == 0 || rights > (M3_GRANT_READ | M3_GRANT_WRITE) ||
	    (uintptr_t)addr + len < (uintptr_t)addr)
		return DVS_BADARG;
	err = enter_to_ask(self);
	if (err)
		return err;
	request = (struct control_grant_req){ .ep = self->ep.self.n,
					      .grantee = grantee.n,
					      .addr = (uintptr_t)addr,
					      .bytes = len,
					      .rights = (uint8_t)rights };
	err = call_grant(self->dvk, 0, &request, &made);
	if (!err)
		*grant = made.grant;
	return err;
}

dvs_err m3_revoke(struct m3 *self, uint32_t grant)
{
	struct control_revoke_rep none;
	dvs_err err = enter_to_ask(self);

	if (err)
		return err;
	/* It waits for the copy that uses the grant. */
	return call_revoke(self->dvk, DVK_ANSWER_MS,
			   &(struct control_revoke_req){ .ep = self->ep.self.n, .grant = grant },
			   &none);
}

/* A side without a grant is our own memory. */
static bool bad_span(const struct m3 *self, const struct m3_span *span)
{
	return !span || (span->grant == 0 && (!span->addr || dvs_ep_number(span->owner) !=
								     dvs_ep_number(self->ep.self)));
}

static uint64_t span_offset(const struct m3_span *span)
{
	return span->grant ? span->offset : (uintptr_t)span->addr;
}

dvs_err m3_copy(struct m3 *self, const struct m3_span *from, const struct m3_span *to,
		uint64_t bytes)
{
	struct control_copy_rep none;
	struct control_copy_req request;
	dvs_err err = enter_to_ask(self);

	if (err)
		return err;
	if (bad_span(self, from) || bad_span(self, to))
		return DVS_BADARG;
	if (bytes > DVS_COPY_MAX)
		return DVS_TOOBIG;
	if (bytes == 0)
		return DVS_OK;
	request = (struct control_copy_req){ .ep = self->ep.self.n,
					     .from_ep = from->owner.n,
					     .from_grant = from->grant,
					     .from_offset = span_offset(from),
					     .to_ep = to->owner.n,
					     .to_grant = to->grant,
					     .to_offset = span_offset(to),
					     .bytes = bytes };
	return call_copy(self->dvk, DVK_ANSWER_MS, &request, &none);
}
