/* SPDX-License-Identifier: Apache-2.0
 *
 * The calling side of rendezvous.pml: post, notify, wait, give up.
 */

/* ---- ringing ---- */

inline futex_wake(e)
{
	asleep[e] = 0
}

/* Ring if the bell has one of the bits WHO. Whoever takes them off does the waking. */
inline ring(e, who)
{
	if
	:: d_step { who -> sleeps[e] = 0; waits[e] = 0; rung[e] = 1 } ->
#ifndef MUT_RING_WITHOUT_WAKE
		futex_wake(e)
#endif
	:: else
	fi
}

inline ring_request(e)
{
	ring(e, sleeps[e])
}

inline ring_answer(e)
{
#ifdef MUT_ANSWER_RINGS_RECEIVERS_ONLY
	ring(e, sleeps[e])
#else
	ring(e, (sleeps[e] || waits[e]))
#endif
}

inline set_inbox_bit(e, c)
{
#if SUMMARY
	if
#ifdef MUT_SUMMARY_SET_BEFORE_WORD
	:: d_step { e == S -> summary = summary | bit_of(word_of(c)) } ->
		d_step { more[word_of(c)] = more[word_of(c)] | bit_of(c) }
#else
	:: d_step { e == S -> more[word_of(c)] = more[word_of(c)] | bit_of(c) } ->
		d_step { summary = summary | bit_of(word_of(c)) }
#endif
	:: d_step { e != S -> first[e] = first[e] | bit_of(c) }
	fi
#else
	first[e] = first[e] | bit_of(c)
#endif
}

inline say_and_ring(e, c)
{
#ifdef MUT_RING_BEFORE_INBOX_BIT
	ring_request(e);
	set_inbox_bit(e, c)
#else
	set_inbox_bit(e, c);
	ring_request(e)
#endif
}

/* ---- the calling side ---- */

inline post(c, peer, n, k)
{
#ifdef MUT_HEAD_BEFORE_PAYLOAD
	d_step { request_number[c] = n; request_kind[c] = k };
	request_payload[c] = n;
#else
	request_payload[c] = n;
#ifndef MUT_WATCH_READ_BEFORE_POST
	d_step { request_number[c] = n; request_kind[c] = k };
#endif
#endif
	if
	:: hot_watch[c]
#ifdef MUT_WATCH_READ_BEFORE_POST
		-> d_step { request_number[c] = n; request_kind[c] = k }
#endif
	:: else ->
#ifdef MUT_WATCH_READ_BEFORE_POST
		d_step { request_number[c] = n; request_kind[c] = k };
#endif
		say_and_ring(peer, c)
	fi
}

#define answered(c, n, k) ((k) == SEND -> request_kind[c] == TAKEN : reply_number[c] == (n))

#define OK 1
#define PEERDEAD 2
#define TIMEOUT 3

/* Take message N back. For a plain message the exchange decides who was first. */
inline withdraw(c, n, k)
{
	d_step {
		if
#ifdef MUT_WITHDRAW_WITHOUT_CAS
		:: true ->
#else
		:: request_kind[c] == k ->
#endif
			request_kind[c] = NOTHING;
			result = TIMEOUT;
			if
			:: k == SEND -> given_up[c] = n; assert(received[c] != n)
			:: else
			fi
#ifndef MUT_WITHDRAW_WITHOUT_CAS
		:: else ->
			result = OK
#endif
		fi
	}
}

/* The event itself comes through the socket; `events` only says that it is worth looking there. */
inline read_event(me)
{
	if
	:: d_step {
		events[me] != seen ->
		seen = events[me];
		if
		:: in_socket[me] -> gone = channel_that_ended(me)
		:: else
		fi
	}
	:: else
	fi
}

/* Sleep until the bell rings. The kernel compares the bell with the value that the owner remembered. */
inline futex_wait_for_answer(me)
{
#ifdef MUT_BELL_REMEMBERED_AFTER_RECHECK
	rung[me] = 0;
#endif
	if
	:: d_step { !rung[me] -> asleep[me] = 1 } ->
		if
		:: !asleep[me]
#ifdef DEFER
		:: d_step { asleep[me] && !slept -> asleep[me] = 0 }
#endif
#ifdef TIMEOUTS
		:: d_step { asleep[me] && !endless -> asleep[me] = 0; out_of_time = 1 }
#endif
		fi
	:: else
	fi
}

/* Announce, re-check, sleep. The first announcement, answer_asleep, is already made. */
inline sleep_for_answer(c, me, n, k)
{
	d_step { waits[me] = 1; rung[me] = 0 };
	if
#ifndef MUT_CALLER_NO_RECHECK
	:: answered(c, n, k)
#endif
	:: else ->
#ifdef MUT_ASLEEP_SAID_AFTER_RECHECK
		answer_asleep[c] = 1;
#endif
#ifdef EVENTS
		if
#ifndef MUT_CALLER_NO_RECHECK_OF_EVENTS
		:: events[me] != seen
#endif
		:: else ->
			futex_wait_for_answer(me)
		fi
#else
		futex_wait_for_answer(me)
#endif
	fi;
	d_step { waits[me] = 0; rung[me] = 0 };
#ifdef DEFER
	d_step { answer_asleep[c] = 0; slept = 1 }
#else
	answer_asleep[c] = 0
#endif
#ifdef EVENTS
	;
	read_event(me)
#endif
}

/* The answer is looked for after the death was heard of: what the dead one had answered counts. */
inline await(c, me, n, k)
{
	do
#ifdef MUT_PEERDEAD_WITHOUT_LOOK
	:: d_step { gone != c && answered(c, n, k) -> result = OK } -> break
#else
	:: d_step { answered(c, n, k) -> result = OK } -> break
#endif
	:: else ->
		if
#ifdef EVENTS
#ifdef MUT_PARTED_WITHOUT_WITHDRAWING
		:: d_step { gone == c -> result = PEERDEAD } -> break
#else
		:: atomic { gone == c -> withdraw(c, n, k); result = (result == TIMEOUT -> PEERDEAD : result) } -> break
#endif
#endif
		:: atomic { gone != c && out_of_time -> withdraw(c, n, k) } -> break
		:: atomic {
			gone != c && !out_of_time ->
#ifdef MUT_ASLEEP_SAID_AFTER_RECHECK
			skip
#elif defined(DEFER) && !defined(MUT_LONG_SLEEP_NOT_SAID)
			answer_asleep[c] = 1 + slept
#else
			answer_asleep[c] = 1
#endif
		   } ->
			sleep_for_answer(c, me, n, k)
		fi
	od
}

/* What a caller may conclude from the result of its call. The copy of the reply is the read of reply_payload. */
inline check_result(c, n, k)
{
	d_step {
		if
		:: result == OK ->
			assert(received[c] == n);
			assert(k != REQUEST || reply_payload[c] == n)
		:: result == PEERDEAD ->
			assert(k != SEND || received[c] != n);
#ifndef PARTED
			assert(victim == server_of(c));
			assert(k != REQUEST || reply_number[c] != n)
#endif
		:: result == TIMEOUT ->
			assert(k != SEND || received[c] != n)
		fi;
#ifdef DEFER
		slept = 0;
#endif
		out_of_time = 0;
		result = 0
	}
}

inline notify(c, peer, value)
{
#ifdef MUT_NOTIFY_SAYS_BEFORE_NOTE
	notes_begun[c] = notes_begun[c] | value;
	set_inbox_bit(peer, c);
	note[c] = note[c] | value | PENDING;
	ring_request(peer);
#else
	d_step {
		notes_begun[c] = notes_begun[c] | value;
		note[c] = note[c] | value | PENDING
	};
	say_and_ring(peer, c);
#endif
	notes_sent[c] = notes_sent[c] | value
}

proctype Caller(byte me; byte configured; byte calls; byte notes)
{
	byte number;
	byte kind;
	byte result;
	byte gone = NOBODY;
	bit seen;
	bit out_of_time;
	bit endless;
#ifdef DEFER
	bit slept;
#endif

	{
		do
		:: atomic { notes > 0 -> notes-- } ->
			notify(me - 1, S, bit_of(notes))
		:: atomic {
			notes == 0 && number < calls && gone == NOBODY ->
			number++;
			if
			:: configured != EITHER -> kind = configured
			:: configured == EITHER -> kind = SEND
			:: configured == EITHER -> kind = REQUEST
			fi
#ifdef TIMEOUTS
			;
			if
			:: out_of_time = 1 /* its time-out is 0 */
			:: endless = 0
			:: endless = 1
			fi
#endif
		   } ->
			post(me - 1, S, number, kind);
			await(me - 1, me, number, kind);
			check_result(me - 1, number, kind)
		:: d_step {
			notes == 0 && (number == calls || gone != NOBODY) ->
			ended[me] = 1
		   } ->
			break
		od
	} OR_DIE(me)
}
