/* SPDX-License-Identifier: Apache-2.0 */
/* The receiving side of the rendezvous: find who has something to say, take it, answer it.
 *
 * Who to look at: the bits of the inbox are taken over into `pending`, where a channel stays until nothing is found in it; and
 * one channel may be hot: its owner is told (IPC_HOT) that we look at its request cell by ourselves, so it saves the bit
 * and the bell. Hot becomes who is served twice in a row. Before a sleep nobody is hot. */
#include <stdlib.h>
#include <string.h>

#include <dvs/dvk.h>

#include "base/clock.h"
#include "ipc/endpoint.h"
#include "ipc/inbox.h"

/* Answers that have to wake somebody within this time of each other come in quick succession. */
#define WAKES_BUSY_NS UINT64_C(10000)

struct receive {
	struct endpoint *ep;
	struct channel *from; /* NULL: anyone */
	bool only_requests;
	struct dvs_msg *msg;
};

/* ---- who has something to say ---- */

static bool inbox_has_bits(const struct ipc_inbox *inbox)
{
	uint64_t any = atomic_load_explicit(&inbox->first, memory_order_relaxed);

	for (unsigned i = 0; i < 4; i++)
		any |= atomic_load_explicit(&inbox->summary[i], memory_order_relaxed);
	return any;
}

/* Take the bits of the inbox over. The summary first: who sets a bit sets its word before the summary. */
static void collect(struct endpoint *ep)
{
	struct ipc_inbox *inbox = ep->inbox;

	if (!inbox_has_bits(inbox))
		return;
	if (atomic_load_explicit(&inbox->first, memory_order_relaxed))
		bits_add_word(&ep->pending, 0, atomic_exchange(&inbox->first, 0));
	for (uint32_t i = 0; i < 4; i++) {
		uint64_t words;

		if (atomic_load_explicit(&inbox->summary[i], memory_order_relaxed) == 0)
			continue;
		words = atomic_exchange(&inbox->summary[i], 0);
		for (; words; words &= words - 1) {
			uint32_t word = i * 64 + (uint32_t)__builtin_ctzll(words);

			if (word < IPC_MORE_WORDS)
				bits_add_word(&ep->pending, word + 1,
					      atomic_exchange(&inbox->more[word], 0));
		}
	}
}

/* Look at every channel, whatever the inbox says. */
static void suspect_all(struct endpoint *ep)
{
	for (uint32_t i = 0; i < ep->pending.n_words * 64; i++) {
		if (ep->by_index[i])
			bits_add(&ep->pending, i);
	}
}

/* Returns true if there was a call whose owner did not ring. */
static bool cool_down(struct endpoint *ep)
{
	struct channel *ch = ep->hot;

	if (!ch)
		return false;
	ep->hot = NULL;
	ch->hot = false;
	atomic_store(&ch->mine->control.watch, IPC_AWAY);
	fence_after_locked();
	/* Who posted before it could see that did not ring. */
	if (!channel_has_call(ch))
		return false;
	bits_add(&ep->pending, ch->index);
	return true;
}

static void heat_up(struct endpoint *ep, struct channel *ch)
{
	(void)cool_down(ep);
	ep->hot = ch;
	ch->hot = true;
	atomic_store_explicit(&ch->mine->control.watch, IPC_HOT, memory_order_relaxed);
}

/* ---- taking ---- */

static void deliver_note(struct receive *r, dvs_ep source, uint64_t value)
{
	struct endpoint *ep = r->ep;

	memset(r->msg, 0, sizeof(*r->msg));
	r->msg->source = source;
	r->msg->type = DVS_TYPE_NOTIFY;
	r->msg->u64[0] = value;
	ep->last = (struct m3_delivery){ .source = source,
					 .kind = M3_NOTIFY,
					 .relayed_by = dvs_ep_any() };
	stats_add(&ep->stats->notifies_in, 1);
	endpoint_trace(ep, IPC_TRACE_NOTIFIED, source, r->msg, 0, DVS_OK);
}

static void deliver(struct receive *r, struct channel *ch, enum m3_kind kind,
		    const struct open_call *call)
{
	struct endpoint *ep = r->ep;

	r->msg->source = ch->peer;
	ep->last = (struct m3_delivery){ .source = ch->peer, .kind = kind };
	ep->last.call = call->number;
	ep->last.resent = call->resent;
	ep->last.relayed_by = call->relayed_by;
	ep->last.data = call->data_bytes ? ch->their_window : NULL;
	ep->last.data_bytes = call->data_bytes;
	ep->last.reply_cap = call->reply_cap;
	stats_add(&ep->stats->messages_in, 1);
	if (call->data_bytes)
		stats_add(&ep->stats->bytes_in, call->data_bytes);
	ep->streak = ep->served == ch ? ep->streak + 1 : 1;
	ep->served = ch;
	if (ep->streak >= 2 && ep->hot != ch && !ep->slept)
		heat_up(ep, ch);
	endpoint_trace(ep, kind == M3_REQUEST ? IPC_TRACE_REQUEST : IPC_TRACE_RECEIVE, ch->peer,
		       r->msg, call->data_bytes, DVS_OK);
}

static bool take_note(struct receive *r, struct channel *ch)
{
	uint64_t value;

	if (r->only_requests || !channel_take_note(ch, &value))
		return false;
	deliver_note(r, ch->peer, value);
	return true;
}

/* What those who are gone have left, as far as it can be received now. */
static struct last_note **find_last_note(struct receive *r)
{
	struct last_note **at = &r->ep->last_notes;

	if (r->only_requests)
		return NULL;
	while (*at && r->from && (*at)->source.n != r->from->peer.n)
		at = &(*at)->next;
	return *at ? at : NULL;
}

static bool take_last_note(struct receive *r)
{
	struct last_note **at = find_last_note(r);
	struct last_note *note;

	if (!at)
		return false;
	note = *at;
	*at = note->next;
	deliver_note(r, note->source, note->value);
	free(note);
	return true;
}

/* The partner sleeps until it is answered: wake it in the way that it has asked for. */
static void ring_sleeper(struct channel *ch, uint32_t asleep)
{
	if (asleep == IPC_ASLEEP_BIT)
		(void)inbox_ring_request(ch->peer_inbox, ch->peer_index);
	else if (asleep != IPC_SPINNING)
		(void)inbox_ring_answer(ch->peer_inbox);
}

static bool take_call(struct receive *r, struct channel *ch)
{
	struct open_call call;
	enum ipc_kind kind = channel_take_call(ch, r->only_requests, r->msg, &call);

	if (kind == IPC_NONE)
		return false;
	if (kind == IPC_SEND)
		ring_sleeper(ch, channel_peer_asleep(ch));
	/* Only a forged message can be of a reserved type: it is as if it had never come. */
	if (r->msg->type >= DVS_TYPE_RESERVED) {
		if (kind == IPC_REQUEST)
			channel_close_call(ch, channel_open_call(ch, call.number));
		return false;
	}
	deliver(r, ch, kind == IPC_SEND ? M3_MESSAGE : M3_REQUEST, &call);
	return true;
}

/* Drop CH from the set when nothing is left in it. */
static void settle(struct endpoint *ep, struct channel *ch)
{
	if (!channel_has_note(ch) && !channel_has_call(ch))
		bits_remove(&ep->pending, ch->index);
}

static bool take_pending_note(struct receive *r)
{
	struct endpoint *ep = r->ep;

	if (r->only_requests)
		return false;
	for (uint32_t i = bits_next(&ep->pending, 0); i != BITS_NONE;
	     i = bits_next(&ep->pending, i + 1)) {
		struct channel *ch = ep->by_index[i];

		if (ch && take_note(r, ch)) {
			settle(ep, ch);
			return true;
		}
	}
	return false;
}

/* One turn over the members of the set from FROM up to END; true when a call, or a note that was put before one, was taken. */
static bool take_pending_call(struct receive *r, uint32_t from, uint32_t end)
{
	struct endpoint *ep = r->ep;

	for (uint32_t i = bits_next(&ep->pending, from); i < end;
	     i = bits_next(&ep->pending, i + 1)) {
		struct channel *ch = ep->by_index[i];
		bool called = ch && channel_has_call(ch);
		bool taken;

		/* Its call is the next then. */
		if (called && take_note(r, ch))
			return true;
		taken = called && take_call(r, ch);
		if (!ch || (!channel_has_note(ch) && (taken || !channel_has_call(ch))))
			bits_remove(&ep->pending, i);
		if (taken) {
			ep->cursor = i + 1;
			return true;
		}
	}
	return false;
}

static bool take_from_anyone(struct receive *r)
{
	struct endpoint *ep = r->ep;
	struct channel *hot = ep->hot;
	/* Looked at before the bits: who has notified and then called has set its bit by then. */
	bool hot_calls = hot && channel_has_call(hot);

	collect(ep);
	if (!bits_any(&ep->pending))
		return hot_calls && take_call(r, hot);
	if (hot_calls)
		bits_add(&ep->pending, hot->index);
	return take_pending_note(r) || take_pending_call(r, ep->cursor, BITS_NONE) ||
	       take_pending_call(r, 0, ep->cursor);
}

static bool take(struct receive *r)
{
	bool called;

	if (__builtin_expect(r->ep->last_notes != NULL, 0) && take_last_note(r))
		return true;
	if (!r->from)
		return take_from_anyone(r);
	/* A note from before the call is seen when the call was seen first. */
	called = channel_has_call(r->from);
	return take_note(r, r->from) || (called && take_call(r, r->from));
}

/* Cheap enough to be asked all the time: could take() find something now? */
static bool may_take(const struct receive *r)
{
	if (r->from)
		return channel_has_call(r->from) || channel_has_note(r->from);
	return inbox_has_bits(r->ep->inbox) || (r->ep->hot && channel_has_call(r->ep->hot));
}

/* ---- waking ---- */

static void wake_now(struct channel *ch)
{
	ring_sleeper(ch, channel_peer_asleep(ch));
}

/* Waking a caller costs ten times what answering one does that spins, and pushes such a one off its CPU. So when answers are
 * given in quick succession, those who sleep are woken when nobody else wants something. They look by themselves before long,
 * should this thread turn to other work in between. */
static void wake_caller(struct endpoint *ep, struct channel *ch, uint32_t asleep)
{
	uint64_t now_ns;
	bool busy;

	if (ep->n_channels == 1 || asleep == IPC_ASLEEP_BIT) {
		wake_now(ch);
		return;
	}
	now_ns = clock_now_ns();
	busy = now_ns - ep->woke_ns < WAKES_BUSY_NS;
	ep->woke_ns = now_ns;
	if (busy && asleep == IPC_ASLEEP)
		bits_add(&ep->deferred, ch->index);
	else
		wake_now(ch);
}

/* Wake one; false if there is none. */
static bool wake_one_deferred(struct endpoint *ep)
{
	uint32_t i = bits_next(&ep->deferred, ep->wake_cursor);

	if (i == BITS_NONE)
		i = bits_next(&ep->deferred, 0);
	if (i == BITS_NONE)
		return false;
	ep->wake_cursor = i + 1;
	bits_remove(&ep->deferred, i);
	if (ep->by_index[i])
		wake_now(ep->by_index[i]);
	return true;
}

void endpoint_wake_deferred(struct endpoint *ep)
{
	while (wake_one_deferred(ep))
		;
}

/* ---- waiting ---- */

static bool spin(struct receive *r, uint32_t spin_ns, uint64_t *start_ns)
{
	for (;;) {
		for (unsigned i = 0; i < POLICY_POLLS_MIN; i++) {
			if (may_take(r) || endpoint_has_events(r->ep) || endpoint_is_poked(r->ep) ||
			    endpoint_has_ended(r->ep))
				return true;
			policy_pause();
		}
		if (*start_ns == 0)
			*start_ns = clock_now_ns();
		else if (clock_now_ns() - *start_ns > spin_ns)
			return false;
	}
}

/* Where the client served last ran; it can only call again if it runs. One of another node is never quick enough to be polled for. */
static bool partner_is_here(struct endpoint *ep, uint32_t cpu)
{
	struct channel *ch = ep->served;

	if (!ch)
		return false;
	if (ch->remote)
		return true;
	channel_publish_cpu(ch, cpu);
	return atomic_load_explicit(&ch->theirs->control.cpu, memory_order_relaxed) == cpu;
}

/* The CPU on which the client wants this server to sleep, if it is the only one lately; 0: none. */
static uint32_t drawn_to(const struct endpoint *ep)
{
	if (!ep->served || ep->streak < POLICY_ONLY_CLIENT)
		return 0;
	return atomic_load_explicit(&ep->served->theirs->control.draw, memory_order_relaxed);
}

static void sleep_once(struct receive *r, uint64_t span_ns)
{
	struct endpoint *ep = r->ep;
	uint32_t bell;

	ep->slept = true;
	if (cool_down(ep))
		return;
	bell = endpoint_sleep_announce(ep, IPC_BELL_SLEEPS);
	/* Calls that were pending and cannot be taken now do not count. */
	if (!(r->from ? may_take(r) : inbox_has_bits(ep->inbox)) && !endpoint_has_events(ep) &&
	    !atomic_load(&ep->poked) && !endpoint_has_ended(ep)) {
		uint32_t cpu = drawn_to(ep);

		if (cpu)
			policy_home_begin(&ep->home, cpu);
		endpoint_sleep(ep, bell, span_ns);
		if (cpu)
			policy_home_end(&ep->home, cpu);
	}
	endpoint_sleep_over(ep);
}

/* Is the wait over without a message? */
static bool settled(struct receive *r, struct wait_limit *limit, dvs_err *err)
{
	struct endpoint *ep = r->ep;

	*err = DVS_OK;
	if (endpoint_has_events(ep))
		endpoint_handle_events(ep);
	if (__builtin_expect(ep->halt != HALT_NO, 0))
		*err = endpoint_enter(ep, limit, false);
	if (*err == DVS_OK && ep->woken) {
		ep->woken = false;
		*err = DVS_WOKEN;
	}
	if (*err == DVS_OK && (endpoint_take_poke(ep) || endpoint_has_ended(ep)))
		*err = DVS_WOKEN;
	if (*err == DVS_OK && r->from && r->from->gone && !find_last_note(r) && !may_take(r))
		*err = r->from->gone;
	return *err != DVS_OK;
}

static void report_wait(struct receive *r, bool waits)
{
	struct ipc_stats *stats = r->ep->stats;

	atomic_store_explicit(&stats->partner, waits && r->from ? r->from->peer.n : 0,
			      memory_order_relaxed);
	atomic_store_explicit(&stats->activity, waits ? DVK_RECEIVING : DVK_RUNNING,
			      memory_order_relaxed);
}

static dvs_err receive_asleep(struct receive *r, struct wait_limit *limit)
{
	struct endpoint *ep = r->ep;
	uint64_t deadline_ns = limit_deadline_ns(limit);
	uint64_t look_again_ns = POLICY_LOOK_AGAIN_MIN_NS;
	dvs_err err = DVS_OK;

	report_wait(r, true);
	for (;;) {
		uint64_t span_ns = limit_left_ns(deadline_ns);

		if (span_ns == 0) {
			if (!settled(r, limit, &err) && !take(r))
				err = DVS_TIMEOUT;
			break;
		}
		if (ep->exposed && span_ns > look_again_ns)
			span_ns = look_again_ns;
		sleep_once(r, span_ns);
		if (settled(r, limit, &err) || take(r))
			break;
		/* Woken for nothing, or the time is up: the hints may have been wiped. */
		endpoint_handle_events(ep);
		suspect_all(ep);
		if (settled(r, limit, &err) || take(r))
			break;
		if (look_again_ns < POLICY_LOOK_AGAIN_MAX_NS)
			look_again_ns *= 2;
	}
	report_wait(r, false);
	return err;
}

/* Poll for at most SPIN_NS. True: the wait is over, with a message or with *ERR. */
static bool receive_spinning(struct receive *r, uint32_t spin_ns, struct wait_limit *limit,
			     uint64_t *start_ns, dvs_err *err)
{
	while (spin(r, spin_ns, start_ns)) {
		if (settled(r, limit, err))
			return true;
		if (take(r)) {
			policy_learn(&r->ep->receive_policy, 0);
			return true;
		}
		/* Rung for nothing: that must not keep this thread from looking at the time. */
		if (*start_ns == 0)
			*start_ns = clock_now_ns();
		else if (clock_now_ns() - *start_ns > spin_ns)
			break;
	}
	return false;
}

dvs_err endpoint_receive(struct endpoint *ep, struct channel *from, bool only_requests,
			 struct dvs_msg *msg, struct wait_limit *limit)
{
	struct receive r = { .ep = ep, .from = from, .only_requests = only_requests, .msg = msg };
	uint32_t spin_ns = policy_spin_ns(&ep->receive_policy);
	uint64_t start_ns = 0;
	dvs_err err = DVS_OK;
	bool polls;

	ep->wait++;
	ep->slept = false;
	if (ep->woken || ep->halt != HALT_NO || endpoint_is_poked(ep) || endpoint_has_ended(ep)) {
		if (settled(&r, limit, &err))
			return err;
	}
	do {
		if (take(&r))
			return DVS_OK;
	} while (wake_one_deferred(ep));
	/* Whom to wait for cannot call while we poll on its CPU; then nothing is learnt about polling either. */
	polls = !partner_is_here(ep, policy_cpu()) && !drawn_to(ep) && limit->timeout_ms != 0;
	if (polls && spin_ns && receive_spinning(&r, spin_ns, limit, &start_ns, &err))
		return err;
	if (polls && start_ns == 0)
		start_ns = clock_now_ns();
	err = receive_asleep(&r, limit);
	if (polls)
		policy_learn(&ep->receive_policy, clock_now_ns() - start_ns);
	return err;
}

/* ---- answering ---- */

void endpoint_reply(struct endpoint *ep, struct channel *ch, struct open_call *call,
		    enum ipc_kind kind, const struct dvs_msg *msg, const void *data, size_t bytes,
		    dvs_ep relay_to)
{
	uint32_t what = kind == IPC_RELAYED ? IPC_TRACE_RELAY : IPC_TRACE_REPLY;
	uint32_t asleep;

	channel_publish_cpu(ch, policy_cpu());
	channel_reply(ch, call, kind, msg, data, bytes, relay_to);
	asleep = channel_peer_asleep(ch);
	if (asleep != IPC_SPINNING)
		wake_caller(ep, ch, asleep);
	stats_add(&ep->stats->messages_out, 1);
	if (bytes)
		stats_add(&ep->stats->bytes_out, bytes);
	endpoint_trace(ep, what, ch->peer, msg, bytes, DVS_OK);
}
