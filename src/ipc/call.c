/* SPDX-License-Identifier: Apache-2.0 */
/* The calling side of the rendezvous: post, ring, wait for the answer, give up; and notifications. */
#include <dvs/dvk.h>

#include "base/clock.h"
#include "ipc/endpoint.h"
#include "ipc/inbox.h"

/* A sleep is cut short once after this time to tell dvsd that the wait is long (deadlock detection). */
#define DECLARE_AFTER_NS IPC_DEFER_MAX_NS
/* After it was not possible to leave a CPU it is tried again only after so many calls. */
#define STAY_CALLS 100u
/* A call with time-out 0 gives a partner that waits for it the time to wake up, ... */
#define GRACE_WOKEN_NS (2 * CLOCK_NS_PER_MS)
/* ... and one that may be polling the time to look. */
#define GRACE_NS (50 * UINT64_C(1000))
/* ... and one on another node the time for the way there and back. */
#define GRACE_REMOTE_NS (20 * CLOCK_NS_PER_MS)
/* So long the other node is asked what has become of a plain message: twice as long as a link takes to be given up. */
#define RECALL_MAX_NS (10 * CLOCK_NS_PER_S)

struct call {
	struct endpoint *ep;
	struct channel *ch;
	enum ipc_kind kind;
	const struct dvs_msg *msg;
	const struct call_data *data;
	dvs_ep relayed_by;
	uint64_t deadline_ns;
	uint64_t start_ns;
	uint64_t look_again_ns;
	bool resent;	 /* a former partner that was lost may have worked on it */
	bool slept_long; /* the first sleep, which is bounded, is over */
	bool woke;	 /* the partner slept and was woken */
};

static bool ring(struct channel *ch)
{
	/* A proxy that was woken is no partner that waited. */
	return !channel_peer_hot(ch) && inbox_ring_request(ch->peer_inbox, ch->peer_index) &&
	       !ch->remote;
}

/* A plain message is on its way to another node, or there: only that node knows whether it was received. Its answer is waited for until it
 * cannot be expected any more. */
static enum recall take_back_from_afar(struct call *c)
{
	struct endpoint *ep = c->ep;
	struct channel *ch = c->ch;
	uint64_t deadline_ns = clock_deadline_ns(RECALL_MAX_NS);
	uint64_t span_ns = POLICY_LOOK_AGAIN_MIN_NS;

	channel_recall(ch);
	while (channel_recalled(ch) == RECALL_OPEN && !ch->gone && !ch->changes &&
	       ep->halt != HALT_UNBOUND && !clock_is_past(deadline_ns)) {
		uint32_t bell;

		(void)inbox_ring_request(ch->peer_inbox, ch->peer_index);
		atomic_store_explicit(&ch->mine->control.answer, IPC_ASLEEP_LONG,
				      memory_order_relaxed);
		bell = endpoint_sleep_announce(ep, IPC_BELL_WAITS);
		if (channel_recalled(ch) == RECALL_OPEN && !endpoint_has_events(ep))
			endpoint_sleep(ep, bell, span_ns);
		endpoint_sleep_over(ep);
		atomic_store_explicit(&ch->mine->control.answer, IPC_SPINNING,
				      memory_order_relaxed);
		endpoint_handle_events(ep);
		if (span_ns < POLICY_LOOK_AGAIN_MAX_NS)
			span_ns *= 2;
	}
	return channel_recalled(ch);
}

static enum recall take_back(struct call *c)
{
	if (!channel_withdraw(c->ch, c->kind))
		return c->ch->remote ? take_back_from_afar(c) : RECALL_TAKEN;
	/* So that a request which was not received yet is not received any more. */
	if (c->ch->remote && c->kind == IPC_REQUEST)
		(void)inbox_ring_request(c->ch->peer_inbox, c->ch->peer_index);
	return RECALL_BACK;
}

/* Take the call back and fail with ERR, unless it was received in the meantime. An error that says that it was not is kept for one of which that is
 * known. */
static dvs_err give_up(struct call *c, dvs_err err)
{
	enum recall outcome = take_back(c);

	if (outcome == RECALL_TAKEN)
		return DVS_OK;
	if (outcome == RECALL_OPEN &&
	    (err == DVS_TIMEOUT || err == DVS_WOKEN || err == DVS_DEADLOCK))
		return c->ch->gone ? c->ch->gone : DVS_NODEDOWN;
	return err;
}

/* The partner has moved or was promoted, and did not answer before: the call goes to the new channel, in which it is known
 * as received already if the former partner had said so. False: a plain message was received just before. */
static bool go_over(struct call *c)
{
	bool lost = c->ch->changes->lost;

	c->resent |= lost;

	/* A former primary that lives must not take it as well; if it has just taken a plain message, that is the end. */
	if (lost && !channel_withdraw(c->ch, c->kind) &&
	    (!c->ch->remote || channel_recalled(c->ch) == RECALL_TAKEN))
		return false;
	endpoint_replace(c->ep, c->ch);
	channel_post_again(c->ch, c->kind, c->msg, c->data, c->relayed_by, c->resent);
	(void)ring(c->ch);
	return true;
}

/* Is the wait over for another reason than the time? Then *ERR is the result. */
static bool settled(struct call *c, dvs_err *err)
{
	struct endpoint *ep = c->ep;

	if (endpoint_has_events(ep))
		endpoint_handle_events(ep);
	*err = DVS_OK;
	/* Each of several changes in a row may hold the answer. */
	while (!channel_is_answered(c->ch, c->kind) && c->ch->changes && go_over(c))
		;
	if (channel_is_answered(c->ch, c->kind))
		return true;
	if (c->ch->gone)
		*err = give_up(c, c->ch->gone);
	else if (ep->halt == HALT_UNBOUND)
		*err = give_up(c, DVS_NOTBOUND);
	else if (ep->woken)
		*err = give_up(c, DVS_WOKEN);
	else if (ep->deadlock_wait == ep->wait)
		*err = give_up(c, DVS_DEADLOCK);
	else
		return false;
	if (*err == DVS_WOKEN)
		ep->woken = false;
	return true;
}

/* Poll for at most SPIN_NS; true when answered. */
static bool spin(struct call *c, uint32_t spin_ns)
{
	for (;;) {
		for (unsigned i = 0; i < POLICY_POLLS_MIN; i++) {
			if (channel_is_answered(c->ch, c->kind))
				return true;
			if (endpoint_has_events(c->ep))
				return false;
			policy_pause();
		}
		if (c->start_ns == 0)
			c->start_ns = clock_now_ns();
		else if (clock_now_ns() - c->start_ns > spin_ns)
			return false;
	}
}

/* The sleep itself: where this thread is to wake up depends on where the partner is. */
static void sleep_well(struct call *c, uint32_t bell, uint64_t span_ns, uint32_t cpu)
{
	struct policy_binding away = { .bound = false };
	uint32_t there = atomic_load_explicit(&c->ch->theirs->control.cpu, memory_order_relaxed);
	bool wished = draw_wished(c->ch->mine);
	bool together = wished && there == cpu;

	if (together)
		policy_home_begin(&c->ep->home, cpu);
	else if (!c->woke && !wished && !c->ep->stays)
		policy_avoid(&away, there);
	endpoint_sleep(c->ep, bell, span_ns);
	if (together)
		policy_home_end(&c->ep->home, cpu);
	policy_unbind(&away);
}

static void sleep_once(struct call *c, uint64_t span_ns, uint32_t cpu)
{
	struct endpoint *ep = c->ep;
	struct channel *ch = c->ch;
	uint32_t bell;

	atomic_store_explicit(&ch->mine->control.answer,
			      c->slept_long || c->woke ? IPC_ASLEEP_LONG : IPC_ASLEEP,
			      memory_order_relaxed);
	bell = endpoint_sleep_announce(ep, IPC_BELL_WAITS);
	if (!channel_is_answered(ch, c->kind) && !endpoint_has_events(ep))
		sleep_well(c, bell, span_ns, cpu);
	endpoint_sleep_over(ep);
	atomic_store_explicit(&ch->mine->control.answer, IPC_SPINNING, memory_order_relaxed);
}

/* How long the next sleep may last. The first one is bounded, so that dvsd is told of a long wait, unless the partner was waiting for
 * calls: the call that closes a cycle of calls never finds its partner so, and one that tells is enough. */
static uint64_t sleep_span_ns(struct call *c, uint64_t left_ns)
{
	uint64_t span_ns = left_ns;

	if (!c->slept_long && !c->woke && span_ns > DECLARE_AFTER_NS)
		span_ns = DECLARE_AFTER_NS;
	if (c->ep->exposed) {
		if (span_ns > c->look_again_ns)
			span_ns = c->look_again_ns;
		if (c->look_again_ns < POLICY_LOOK_AGAIN_MAX_NS)
			c->look_again_ns *= 2;
	}
	return span_ns;
}

/* After a sleep that ended without an answer: ring again, the hints may have been wiped; tell dvsd. */
static void insist(struct call *c)
{
	struct endpoint *ep = c->ep;
	uint64_t now_ns = clock_now_ns();

	/* Also without a new count: a hostile partner may have turned it back. */
	endpoint_handle_events(ep);
	if (c->start_ns == 0)
		c->start_ns = now_ns;
	c->slept_long |= now_ns - c->start_ns >= DECLARE_AFTER_NS;
	if (ep->exposed || c->slept_long)
		(void)inbox_ring_request(c->ch->peer_inbox, c->ch->peer_index);
	if (!ep->declared && c->slept_long) {
		ep->declared = true;
		ep->host->blocked(ep, c->ch->peer, ep->wait, true);
	}
}

static void report_wait(struct call *c, bool waits)
{
	struct ipc_stats *stats = c->ep->stats;
	uint32_t what = c->kind == IPC_SEND ? DVK_SENDING : DVK_CALLING;

	atomic_store_explicit(&stats->partner, waits ? c->ch->peer.n : 0, memory_order_relaxed);
	atomic_store_explicit(&stats->activity, waits ? what : DVK_RUNNING, memory_order_relaxed);
}

/* The slow part: the answer did not come while polling. */
static dvs_err wait_asleep(struct call *c, uint32_t cpu)
{
	dvs_err err = DVS_OK;

	report_wait(c, true);
	while (!settled(c, &err)) {
		uint64_t left_ns = limit_left_ns(c->deadline_ns);

		if (left_ns == 0) {
			err = give_up(c, DVS_TIMEOUT);
			break;
		}
		if (channel_peer_waits(c->ch) && !channel_is_answered(c->ch, c->kind)) {
			err = give_up(c, DVS_DEADLOCK);
			break;
		}
		sleep_once(c, sleep_span_ns(c, left_ns), cpu);
		if (channel_is_answered(c->ch, c->kind))
			break;
		insist(c);
	}
	report_wait(c, false);
	if (c->ep->declared) {
		c->ep->declared = false;
		c->ep->host->blocked(c->ep, c->ch->peer, c->ep->wait, false);
	}
	return err;
}

static void set_deadline(struct call *c, struct wait_limit *limit)
{
	c->deadline_ns = limit_deadline_ns(limit);
	if (limit->timeout_ms == 0)
		c->deadline_ns += c->ch->remote ? GRACE_REMOTE_NS :
				  c->woke	? GRACE_WOKEN_NS :
						  GRACE_NS;
}

/* The partner last ran on this CPU: it cannot answer while we poll. If it is awake it has others to serve, and we had better not be
 * in its way. */
static bool partner_is_here(struct call *c, uint32_t *cpu)
{
	_Atomic uint32_t *there = &c->ch->theirs->control.cpu;
	struct endpoint *ep = c->ep;

	if (!c->woke && !draw_wished(c->ch->mine) &&
	    atomic_load_explicit(there, memory_order_relaxed) == *cpu) {
		if (ep->stays)
			ep->stays--;
		else if (policy_leave(*cpu))
			*cpu = policy_cpu();
		else
			ep->stays = STAY_CALLS;
	}
	channel_publish_cpu(c->ch, *cpu);
	return atomic_load_explicit(there, memory_order_relaxed) == *cpu;
}

/* Poll for as long as the policy says. True: the wait is over, with *ERR. */
static bool wait_spinning(struct call *c, dvs_err *err)
{
	struct wait_policy *policy = &c->ep->answer_policy;
	uint32_t spin_ns = policy_spin_ns(policy);

	*err = DVS_OK;
	do {
		if (spin(c, spin_ns)) {
			policy_learn(policy, 0);
			return true;
		}
		if (settled(c, err))
			return true;
	} while (clock_now_ns() - c->start_ns <= spin_ns);
	return false;
}

static dvs_err wait_answer(struct call *c, struct wait_limit *limit)
{
	uint32_t cpu = policy_cpu();
	dvs_err err;

	/* An answer from another node takes longer than a spin, and passes through threads that need the CPU. */
	if (c->ch->remote || partner_is_here(c, &cpu)) {
		set_deadline(c, limit);
		return wait_asleep(c, cpu);
	}
	if (spin(c, 0))
		return DVS_OK;
	if (c->start_ns == 0)
		c->start_ns = clock_now_ns();
	set_deadline(c, limit);
	if (wait_spinning(c, &err))
		return err;
	err = wait_asleep(c, cpu);
	policy_learn(&c->ep->answer_policy, clock_now_ns() - c->start_ns);
	return err;
}

dvs_err endpoint_call(struct endpoint *ep, struct channel *ch, enum ipc_kind kind,
		      struct dvs_msg *msg, struct call_data *data, struct wait_limit *limit,
		      struct call_relay *relay)
{
	uint32_t what = kind == IPC_SEND ? IPC_TRACE_SEND : IPC_TRACE_CALL;
	size_t out_bytes = data ? data->out_bytes : 0;
	struct call c = { .ep = ep,
			  .ch = ch,
			  .kind = kind,
			  .msg = msg,
			  .data = data,
			  .relayed_by = relay->by,
			  .look_again_ns = POLICY_LOOK_AGAIN_MIN_NS };
	dvs_err err;

	relay->to = dvs_ep_any();
	endpoint_wake_deferred(ep);
	ep->wait++;
	ep->calling = ch;
	ep->calling_kind = kind;
	endpoint_trace(ep, what, ch->peer, msg, out_bytes, DVS_OK);
	draw_before(&ch->draw, ch->mine, out_bytes);
	channel_post(ch, kind, msg, data, relay->by);
	c.woke = ring(ch);
	draw_posted(&ch->draw, ch->mine, ch->theirs, c.woke);
	stats_add(&ep->stats->messages_out, 1);
	if (out_bytes)
		stats_add(&ep->stats->bytes_out, out_bytes);
	err = wait_answer(&c, limit);
	ep->calling = NULL;
	if (err == DVS_OK && kind == IPC_REQUEST) {
		dvs_ep to;

		if (channel_take_reply(ch, msg, data, &to) == IPC_RELAYED)
			relay->to = to;
		msg->source = ch->peer;
		if (data && data->in_bytes)
			stats_add(&ep->stats->bytes_in, data->in_bytes);
		stats_add(&ep->stats->messages_in, 1);
	}
	draw_after(&ch->draw, c.woke, out_bytes);
	while (ch->changes)
		endpoint_replace(ep, ch);
	if (kind == IPC_REQUEST || err)
		endpoint_trace(ep, IPC_TRACE_RETURN, ch->peer, msg, data ? data->in_bytes : 0, err);
	return err;
}

void endpoint_notify(struct endpoint *ep, struct channel *ch, uint64_t value)
{
	struct dvs_msg msg = { .type = DVS_TYPE_NOTIFY };

	channel_note(ch, value);
	/* A hot channel is watched for requests only. */
	(void)inbox_ring_request(ch->peer_inbox, ch->peer_index);
	endpoint_trace(ep, IPC_TRACE_NOTIFY, ch->peer, &msg, 0, DVS_OK);
	/* If the partner has moved just now, the note is carried over now and not with the next call. */
	if (endpoint_has_events(ep))
		endpoint_handle_events(ep);
}
