/* SPDX-License-Identifier: Apache-2.0
 *
 * The rendezvous of two endpoints through a channel and an inbox: post, spin, sleep, take, answer, notify, give up, die.
 * docs/architecture/ipc.md tells the algorithm in words; src/ipc/layout.h has the bytes. One step of a process here is
 * one access to shared memory or one system call; what happens in private memory rides along with such a step.
 *
 * The cast: endpoint 0 is the server S, 1 and 2 are its callers, and with MIDDLE endpoint 3 is a second server T that S
 * calls while it works for caller 2, and that notifies S meanwhile. Channel c leads from caller_of(c) to server_of(c).
 * With DEATH, dvsd sees one of them killed between any two of its steps, and tells the partners.
 *
 * What is configured (-D):
 *   KIND_1, KIND_2    what the callers do: SEND, REQUEST or EITHER
 *   CALLS_1, CALLS_2  how often
 *   NOTES_1, NOTES_2  how many notifications they send before that
 *   TIMEOUTS          any wait may end by its time-out
 *   DEATH             a bit mask of the endpoints one of which may be killed
 *   STOP              the killed one is only stopped: dvsd sees nothing
 *   RECHECK           sleepers look again after a while, although nobody rang
 *   PARTED            dvsd closes channel 0 between two who live
 *   DEFER             an answer need not wake a caller that sleeps for the first time: that sleep ends by itself
 *   MIDDLE            the second server
 *   CHOOSY            S first waits for caller 1 only, then for anyone
 *   LATE              S may receive more before it replies, and reply out of order
 *   SUMMARY           1: the channels share a word behind the summary; 2: each has a word
 *   MUT_...           a mistake; the properties must find it
 *
 * Three simplifications that leave the set of outcomes as it is:
 * - The count in the bell is the bit `rung`: "the count has changed since the owner remembered it" (2^30 rings between
 *   remembering and sleeping are out of reach).
 * - "Load the bell; while it has the sleep bit, compare and exchange it" is one step. It is linear at the successful
 *   exchange, or at the last load that saw no sleep bit. The wake-up that follows is a step of its own.
 * - A spin is one look; looking more often only repeats the same state.
 */

#ifndef KIND_1
#define KIND_1 SEND
#endif
#ifndef KIND_2
#define KIND_2 REQUEST
#endif
#ifndef CALLS_1
#define CALLS_1 2
#endif
#ifndef CALLS_2
#define CALLS_2 2
#endif
#ifndef NOTES_1
#define NOTES_1 0
#endif
#ifndef NOTES_2
#define NOTES_2 0
#endif
#ifndef SUMMARY
#define SUMMARY 0
#endif

/* Kinds of a request's head. */
#define NOTHING 0
#define SEND 1
#define TAKEN 2
#define REQUEST 3
#define EITHER 4 /* configuration only: choose at each call */

#define S 0
#define T 3
#ifdef MIDDLE
#define ENDPOINTS 4
#define CHANNELS 3
#else
#define ENDPOINTS 3
#define CHANNELS 2
#endif
#define NOBODY 255

#define caller_of(c) ((c) == 2 -> S : (c) + 1)
#define server_of(c) ((c) == 2 -> T : S)
#define bit_of(c) (1 << (c))
#ifdef PARTED
#define channel_that_ended(me) 0
#else
#define channel_that_ended(me) ((me) == T || victim == T -> 2 : ((me) == S -> victim - 1 : (me) - 1))
#endif

/* ---- shared memory ---- */

byte request_number[CHANNELS]; /* with request_kind one word: `head` */
byte request_kind[CHANNELS];
byte request_payload[CHANNELS]; /* always the number of its message, so that a mixed copy shows */
byte reply_number[CHANNELS];
byte reply_payload[CHANNELS];
bit hot_watch[CHANNELS];     /* control.watch of the server's lane */
byte answer_asleep[CHANNELS]; /* control.answer of the caller's lane; 2: asleep, and nothing else ends it */
byte note[CHANNELS];	     /* of the caller's lane */
#ifdef MIDDLE
byte note_back; /* of T's lane */
#endif
#define PENDING 128

bit sleeps[ENDPOINTS]; /* the bell */
bit waits[ENDPOINTS];
bit rung[ENDPOINTS];
byte first[ENDPOINTS];
#if SUMMARY
byte more[2];
byte summary;
#define word_of(c) (SUMMARY == 1 -> 0 : (c))
#endif

/* ---- the kernel and the control socket ---- */

bit asleep[ENDPOINTS]; /* in futex_wait */
#if defined(DEATH) || defined(PARTED)
#define EVENTS
bit events[ENDPOINTS];
bit in_socket[ENDPOINTS]; /* the event "gone" */
#endif
byte victim = NOBODY;

/* ---- what has happened, for the properties ---- */

byte received[CHANNELS]; /* number of the last message that the server took; also the server's own memory of it */
byte given_up[CHANNELS]; /* number of the last plain message whose sender gave up */
byte notes_begun[CHANNELS];
byte notes_sent[CHANNELS];
byte notes_received[CHANNELS];
#ifdef MIDDLE
byte notes_back_sent;
byte notes_back_received;
#endif
bit ended[ENDPOINTS];

#ifdef DEATH
#define OR_DIE(me) unless { victim == me }
#else
#define OR_DIE(me)
#endif

#include "rendezvous-caller.pml"
#include "rendezvous-server.pml"

/* ---- dvsd ---- */

#ifdef EVENTS
inline tell(e)
{
#ifdef MUT_EVENT_COUNTED_BEFORE_SENT
	events[e] = 1;
	in_socket[e] = 1;
#else
	d_step { in_socket[e] = 1; events[e] = 1 };
#endif
#ifndef MUT_EVENT_WITHOUT_RING
	d_step { rung[e] = 1; asleep[e] = 0 }
#endif
}

#ifdef PARTED
proctype Dvsd()
{
	if
	:: tell(1); tell(S)
	:: tell(S); tell(1)
	fi
}
#else
#define may_die(e) (DEATH & bit_of(e))

proctype Dvsd()
{
	if
	:: may_die(S) -> victim = S
	:: may_die(1) -> victim = 1
	:: may_die(2) -> victim = 2
	:: may_die(T) -> victim = T
	fi;
#ifndef STOP
	if
	:: victim == S ->
		tell(1);
		tell(2);
#ifdef MIDDLE
		tell(T)
#endif
	:: victim != S ->
		tell(S)
	fi
#endif
}
#endif
#endif

#define over(e) (ended[e] || victim == (e))

/* When nothing can happen any more, everything must have happened. (Somebody always dies: that this is so late that
 * nothing depends on it is one of the cases.) */
active proctype Judge()
{
	atomic {
		run Server(S);
		run Caller(1, KIND_1, CALLS_1, NOTES_1);
		run Caller(2, KIND_2, CALLS_2, NOTES_2);
#ifdef MIDDLE
		run Server(T);
#endif
#ifdef EVENTS
		run Dvsd()
#endif
	};
	timeout;
#ifdef RECHECK
	d_step {
		asleep[S] = 0;
		asleep[1] = 0;
		asleep[2] = 0
	};
	timeout;
#endif
	d_step {
		assert(over(1));
		assert(over(2));
		assert(victim == S || asleep[S]);
		assert(victim == S || (notes_sent[0] & ~notes_received[0]) == 0);
		assert(victim == S || (notes_sent[1] & ~notes_received[1]) == 0);
		assert((notes_received[0] & ~notes_begun[0]) == 0);
		assert((notes_received[1] & ~notes_begun[1]) == 0);
#ifdef MIDDLE
		assert(victim == T || asleep[T]);
		assert(victim == S || victim == T || notes_back_sent == notes_back_received)
#endif
	}
}
