/* SPDX-License-Identifier: Apache-2.0 */
/* One bound endpoint: its inbox, its channels, and the rendezvous over them. Everything here belongs to one thread.
 *
 * The host (libdvk) makes the channels and handles what dvsd says; it comes in by the calls of struct endpoint_host, always in the
 * endpoint's own thread. */
#ifndef IPC_ENDPOINT_H
#define IPC_ENDPOINT_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/bits.h"
#include "ipc/channel.h"
#include "ipc/policy.h"

struct endpoint;

struct endpoint_host {
	/* inbox->events has changed: look at what dvsd sent for this endpoint. May change channels and ep->halt. */
	void (*events)(struct endpoint *ep);
	/* ep sleeps in wait number WAIT for ON for long; with WAITS false: it does so no more. */
	void (*blocked)(struct endpoint *ep, dvs_ep on, uint32_t wait, bool waits);
	/* ep->halt is HALT_PARKING and the endpoint can be parked now. Sets HALT_PARKED. */
	void (*park)(struct endpoint *ep);
	/* A record for dvs trace. */
	void (*trace)(struct endpoint *ep, uint32_t what, dvs_ep partner, const struct dvs_msg *msg,
		      size_t bytes, dvs_err result);
};

/* Why the endpoint may not communicate. */
enum endpoint_halt {
	HALT_NO = 0,
	HALT_BACKUP,  /* silent until promoted */
	HALT_PARKING, /* a migration has begun: park at the next wait */
	HALT_PARKED,  /* wait for the end of the migration */
	HALT_UNBOUND,
};

#define ENDPOINT_BY_NUMBER_MIN 8u

/* A notification of a partner that is gone: telling somebody and then exiting is normal. */
struct last_note {
	struct last_note *next;
	dvs_ep source;
	uint64_t value;
};

struct endpoint {
	/* fixed after the binding */
	dvs_ep self;
	struct ipc_inbox *inbox;
	struct ipc_stats *stats;
	const struct endpoint_host *host;
	void *host_arg;
	/* state */
	enum endpoint_halt halt;
	bool woken;
	bool exposed;  /* several processes can write to the inbox: look again now and then */
	bool declared; /* dvsd knows that the present wait is long */
	uint32_t deadlock_wait; /* the wait that dvsd found in a cycle */
	uint32_t events_seen;
	uint32_t wait;	 /* number of the present wait */
	uint32_t cursor; /* receive goes on behind it */
	struct channel *hot;
	struct channel *served;
	struct channel *calling;    /* my call in flight, ... */
	enum ipc_kind calling_kind; /* ... and what it is */
	struct channel *begun;	    /* those with a call for which nobody waits, by next_begun */
	uint32_t streak;	    /* calls in a row from `served` */
	bool slept;		    /* in the present receive */
	struct wait_policy receive_policy;
	struct wait_policy answer_policy;
	uint32_t stays; /* for so many calls it is not tried again to leave the CPU */
	struct bits pending;
	struct bits deferred;	    /* channels whose partners are to be woken for an answer */
	uint32_t wake_cursor;	    /* waking goes on there */
	uint64_t woke_ns;	    /* when an answer last had to wake somebody */
	struct channel **by_index;  /* pending.n_words * 64 */
	struct channel **by_number; /* open hash, power of two */
	uint32_t by_number_size;
	uint32_t n_channels;
	struct last_note *last_notes; /* oldest first */
	/* the last delivery */
	struct m3_delivery last;
	struct policy_home home; /* for sleeps beside a partner */
	_Atomic bool poked;	 /* by another thread: the next receive returns WOKEN */
};

struct wait_limit {
	uint32_t timeout_ms;
	uint64_t start_ns; /* 0: the clock was not looked at yet */
	bool is_pokable;   /* endpoint_poke() ends it, with WOKEN */
};

void endpoint_init(struct endpoint *ep, dvs_ep self, struct ipc_inbox *inbox,
		   struct ipc_stats *stats, const struct endpoint_host *host, void *host_arg);

/* Free the tables, not the channels. */
void endpoint_fini(struct endpoint *ep);

/* Enter CH under its index and its peer's number. NOMEM; FULL; EXISTS: the index or number is taken. */
DVS_MUST_USE dvs_err endpoint_add(struct endpoint *ep, struct channel *ch);
/* The notification that CH may hold is kept if KEEP_NOTE. */
void endpoint_remove(struct endpoint *ep, struct channel *ch, bool keep_note);

/* Go over to the next of ch->changes, see channel_replace(), and ring the new partner: there may be notes for it. */
void endpoint_replace(struct endpoint *ep, struct channel *ch);

/* The channel with the endpoint NUMBER of DST; NULL if there is none. */
struct channel *endpoint_find(const struct endpoint *ep, dvs_ep dst);

/* ---- the calls; CH is alive and belongs to EP ---- */

/* To be called first in every call: looks at events, and waits while the endpoint is halted. ANSWERS: the call only answers or
 * tells, so that a migration that has begun lets it through. */
DVS_MUST_USE dvs_err endpoint_enter(struct endpoint *ep, struct wait_limit *limit, bool answers);

/* How a request is handed from one endpoint to the next. */
struct call_relay {
	dvs_ep by; /* who has handed it to CH's peer; any: it is the caller's own */
	dvs_ep to; /* result: whom to call instead of CH's peer, with what now is in the message; any: it was answered */
};

/* IPC_SEND: returns when received. IPC_REQUEST: when answered, see struct call_relay. */
DVS_MUST_USE dvs_err endpoint_call(struct endpoint *ep, struct channel *ch, enum ipc_kind kind,
				   struct dvs_msg *msg, struct call_data *data,
				   struct wait_limit *limit, struct call_relay *relay);

/* ---- calls for which nobody waits: begin.c ---- */

/* Post a request, which CH has none of, and return. endpoint_receive() ends with WOKEN as long as it is over and was not ended. A replacement of the partner ends it. */
void endpoint_begin(struct endpoint *ep, struct channel *ch, const struct dvs_msg *msg,
		    const struct call_data *data);
/* The answer is here, or cannot come any more. */
static inline bool endpoint_is_over(const struct channel *ch)
{
	return channel_is_answered(ch, IPC_REQUEST) || ch->gone || ch->begun_lost;
}
/* End it, with its answer, whose data is left in place: PEERDEAD, DENIED (who was asked has handed it on), and why CH is gone. TIMEOUT: it was not over, and is taken back. */
DVS_MUST_USE dvs_err endpoint_end(struct endpoint *ep, struct channel *ch, struct dvs_msg *msg,
				  struct call_data *data);

static inline bool endpoint_has_ended(const struct endpoint *ep)
{
	for (const struct channel *ch = ep->begun; ch; ch = ch->next_begun) {
		if (endpoint_is_over(ch))
			return true;
	}
	return false;
}

/* From FROM (NULL: anyone). */
DVS_MUST_USE dvs_err endpoint_receive(struct endpoint *ep, struct channel *from, bool only_requests,
				      struct dvs_msg *msg, struct wait_limit *limit);

/* Answer or relay CALL of CH. */
void endpoint_reply(struct endpoint *ep, struct channel *ch, struct open_call *call,
		    enum ipc_kind kind, const struct dvs_msg *msg, const void *data, size_t bytes,
		    dvs_ep relay_to);

/* Wake all whose answers were given without waking them. */
void endpoint_wake_deferred(struct endpoint *ep);

void endpoint_notify(struct endpoint *ep, struct channel *ch, uint64_t value);

/* Wait until something has happened for the endpoint, at most until the limit. TIMEOUT: the time is over; something may have
 * happened all the same. For halted endpoints. */
DVS_MUST_USE dvs_err endpoint_wait_event(struct endpoint *ep, struct wait_limit *limit);

/* ---- for the files of this room ---- */

/* Events that were not looked at yet? */
static inline bool endpoint_has_events(const struct endpoint *ep)
{
	return atomic_load_explicit(&ep->inbox->events, memory_order_acquire) != ep->events_seen;
}

void endpoint_handle_events(struct endpoint *ep);

/* The only call for other threads of the process: end the present receive of EP, or the next one, with WOKEN. Also while it is halted. Costs a system call
 * only when EP sleeps. */
void endpoint_poke(struct endpoint *ep);

static inline bool endpoint_is_poked(struct endpoint *ep)
{
	return atomic_load_explicit(&ep->poked, memory_order_relaxed);
}

static inline bool endpoint_take_poke(struct endpoint *ep)
{
	return endpoint_is_poked(ep) && atomic_exchange(&ep->poked, false);
}

/* Sleep: announce it (FLAG is IPC_BELL_SLEEPS or IPC_BELL_WAITS), look once more at what is waited for, then sleep until the
 * bell rings or SPAN_NS is over (UINT64_MAX: no end). */
uint32_t endpoint_sleep_announce(struct endpoint *ep, uint32_t flag);
void endpoint_sleep(struct endpoint *ep, uint32_t bell, uint64_t span_ns);
void endpoint_sleep_over(struct endpoint *ep);

/* When the limit is reached; UINT64_MAX: never. Looks at the clock the first time, unless it is never. */
uint64_t limit_deadline_ns(struct wait_limit *limit);

/* Nanoseconds until then; 0: it is past; UINT64_MAX: no end. */
uint64_t limit_left_ns(uint64_t deadline_ns);

/* After a locked instruction: what is looked at from here on is read after it. */
static inline void fence_after_locked(void)
{
#if !defined(__x86_64__)
	/* There a locked instruction is a full barrier by itself. */
	atomic_thread_fence(memory_order_seq_cst);
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

static inline void stats_add(_Atomic uint64_t *counter, uint64_t n)
{
	/* One writer: no locked instruction is needed. */
	atomic_store_explicit(counter, atomic_load_explicit(counter, memory_order_relaxed) + n,
			      memory_order_relaxed);
}

static inline void endpoint_trace(struct endpoint *ep, uint32_t what, dvs_ep partner,
				  const struct dvs_msg *msg, size_t bytes, dvs_err result)
{
	if (__builtin_expect(atomic_load_explicit(&ep->stats->tracing, memory_order_relaxed) != 0,
			     0))
		ep->host->trace(ep, what, partner, msg, bytes, result);
}

#endif
