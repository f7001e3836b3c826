/* SPDX-License-Identifier: Apache-2.0
 *
 * The receiving side of rendezvous.pml: collect, take, answer, sleep.
 */

/* ---- the receiving side ---- */

#ifdef MUT_FORGET_TAKEN_NUMBERS
#define is_new(c, number) true
#else
#define is_new(c, number) ((number) != received[c])
#endif
#define posted(k) ((k) == SEND || (k) == REQUEST)
#define fresh(c) (posted(request_kind[c]) && is_new(c, request_number[c]))

#ifdef CHOOSY
#define wanted(c) (want == NOBODY || want == c)
#else
#define wanted(c) true
#endif
#define to_do(c) ((pending & bit_of(c)) && wanted(c))
#ifdef MIDDLE
#define nothing_to_do (!to_do(0) && !to_do(1) && !to_do(2))
#else
#define nothing_to_do (!to_do(0) && !to_do(1))
#endif

inline empty_word(word)
{
#ifdef MUT_INBOX_READ_THEN_CLEARED
	pending = pending | word;
	word = 0
#else
	d_step { pending = pending | word; word = 0 }
#endif
}

/* Empty the inbox into the private `pending`. */
inline collect(me)
{
#if SUMMARY
	if
	:: me == S ->
#ifdef MUT_SUMMARY_CLEARED_AFTER_WORDS
		empty_word(more[0]);
		empty_word(more[1]);
		summary = 0
#else
		d_step { words = summary; summary = 0 };
		if
		:: words & 1 -> empty_word(more[0])
		:: else
		fi;
		if
		:: words & 2 -> empty_word(more[1])
		:: else
		fi;
		words = 0
#endif
	:: me != S -> empty_word(first[me])
	fi
#else
	empty_word(first[me])
#endif
}

#if SUMMARY
#define inbox_empty(me) ((me) == S -> summary == 0 : first[me] == 0)
#else
#define inbox_empty(me) (first[me] == 0)
#endif

/* A channel that was served twice in a row becomes hot: its caller need not touch the inbox any more. */
inline warm_up()
{
	if
	:: c == last && c != hot ->
		if
		:: hot != NOBODY ->
			hot_watch[hot] = 0;
#ifndef MUT_FORMER_HOT_NOT_LOOKED_AT
			if
			:: d_step { fresh(hot) -> pending = pending | bit_of(hot) }
			:: else
			fi
#endif
		:: else
		fi;
		d_step { hot = c; hot_watch[c] = 1 }
	:: else
	fi;
	last = c
}

inline ring_sleeping_caller()
{
#ifndef MUT_ANSWER_WITHOUT_LOOK_AT_ASLEEP
	if
	:: answer_asleep[c] -> ring_answer(caller_of(c))
#ifdef DEFER
	:: answer_asleep[c] < 2
#else
	:: else
#endif
	fi
#else
	skip
#endif
}

inline give_reply(n)
{
#ifdef MUT_ASLEEP_LOOKED_AT_BEFORE_REPLY
	ring_sleeping_caller();
#endif
	reply_payload[c] = n;
	reply_number[c] = n;
#ifndef MUT_ASLEEP_LOOKED_AT_BEFORE_REPLY
	ring_sleeping_caller()
#endif
}

/* The payload under `head` is copied. Is the head still the one that was looked at? */
#define head_still_there (request_number[c] == head_number && request_kind[c] == head_kind)

inline take()
{
	d_step {
		if
#ifdef MUT_NO_SECOND_LOOK_AT_HEAD
		:: head_kind == REQUEST ->
#else
		:: head_kind == REQUEST && head_still_there ->
#endif
			taken = 1
		:: head_kind == SEND && head_still_there ->
#ifndef MUT_TAKE_WITHOUT_CAS
			request_kind[c] = TAKEN;
#endif
			taken = 1
		:: else
		fi;
		if
		:: taken ->
			assert(copied == head_number);
			assert(head_number > received[c]);
			assert(head_kind != SEND || given_up[c] != head_number);
			received[c] = head_number
		:: else ->
			head_kind = NOTHING
		fi;
		copied = 0;
		taken = 0
	}
#ifdef MUT_TAKE_WITHOUT_CAS
	;
	if
	:: head_kind == SEND -> request_kind[c] = TAKEN
	:: else
	fi
#endif
}

inline receive_request()
{
	if
	:: d_step {
		fresh(c) ->
		head_number = request_number[c];
		head_kind = request_kind[c]
	   } ->
		copied = request_payload[c];
		take();
		if
		:: head_kind == SEND ->
			warm_up();
			ring_sleeping_caller()
		:: head_kind == REQUEST ->
			warm_up();
			serve()
		:: else
		fi;
#ifdef CHOOSY
		want = (head_kind == NOTHING -> want : NOBODY);
#endif
		d_step { head_number = 0; head_kind = 0 }
	:: else
	fi
}

/* What a server does with a request. */
inline serve()
{
#ifdef MIDDLE
	if
	:: me == S && c == 1 && gone != 2 ->
		/* Work for caller 2 needs a call to T. */
		number++;
		post(2, T, number, REQUEST);
		await(2, S, number, REQUEST);
		check_result(2, number, REQUEST)
	:: me == T ->
		d_step {
			notes_back_sent = notes_back_sent | bit_of(head_number);
			note_back = note_back | bit_of(head_number) | PENDING
		};
		say_and_ring(S, 2)
	:: else
	fi;
	give_reply(head_number)
#else
#ifdef LATE
	owes[c]!head_number
#else
	give_reply(head_number)
#endif
#endif
}

#ifdef LATE
chan owes[CHANNELS] = [3] of { byte };
#define owes_none (empty(owes[0]) && empty(owes[1]))

/* By m3_reply() the oldest request is answered, or by m3_reply_call() the newest: then those before it are over. */
inline answer_one()
{
	if
	:: owes[c]?head_number
	:: len(owes[c]) > 1 ->
#ifdef MUT_OLDER_REPLY_AFTER_NEWER
		owes[c]?newest;
		owes[c]?head_number;
		owes[c]!newest;
		newest = 0
#else
		do
		:: nempty(owes[c]) -> owes[c]?head_number
		:: empty(owes[c]) -> break
		od
#endif
	fi;
	give_reply(head_number);
	head_number = 0
}
#else
#define owes_none true
#endif

/* Notifications come before requests; the bit stays, because there may be a request too. */
inline take_note()
{
#ifdef MUT_NOTE_READ_THEN_CLEARED
	value = note[c] & ~PENDING;
	d_step { notes_received[c] = notes_received[c] | value; value = 0; note[c] = 0 }
#else
	d_step {
		assert((note[c] & notes_received[c] & ~PENDING) == 0);
		notes_received[c] = notes_received[c] | (note[c] & ~PENDING);
		note[c] = 0
	}
#endif
#ifdef MUT_NOTE_HIDES_REQUEST
	;
	pending = pending & ~bit_of(c)
#endif
}

inline receive_from()
{
	if
#ifdef MIDDLE
	:: d_step {
		c == 2 && me == S -> /* T only notifies. */
		pending = pending & ~bit_of(2);
		assert((note_back & notes_back_received & ~PENDING) == 0);
		notes_back_received = notes_back_received | (note_back & ~PENDING);
		note_back = 0
	   }
	:: atomic { !(c == 2 && me == S) && (note[c] & PENDING) -> take_note() }
#else
	:: atomic { note[c] & PENDING -> skip } ->
		take_note()
#endif
	:: else ->
		pending = pending & ~bit_of(c);
		if
		:: gone == c
		:: else -> receive_request()
		fi
	fi;
	c = 0
}

/* A partner that is gone may have left a notification. */
inline mourn()
{
	if
	:: atomic { gone != NOBODY && !mourned -> mourned = 1 } ->
#ifdef MUT_NOTE_OF_THE_DEAD_DROPPED
		d_step { note[gone] = 0; pending = pending & ~bit_of(gone) };
#endif
		d_step {
			pending = pending | bit_of(gone);
#ifdef CHOOSY
			want = (want == gone -> NOBODY : want); /* PEERDEAD */
#endif
			hot = (hot == gone -> NOBODY : hot);
			last = (last == gone -> NOBODY : last)
		}
	:: else
	fi
}

inline sleep_for_requests(me)
{
#ifdef MUT_EVENT_READ_BUT_NOT_HEEDED
	/* After the look at what there is to do, and so without a look at what the event changed. */
	read_event(me);
	mourn();
#endif
#ifndef MUT_FORGET_AWAY
	if
	:: hot != NOBODY -> hot_watch[hot] = 0
	:: else
	fi;
#endif
	d_step { sleeps[me] = 1; rung[me] = 0 };
	if
#ifndef MUT_RECEIVER_NO_RECHECK_OF_HOT
	:: d_step { hot != NOBODY && !(pending & bit_of(hot)) && fresh(hot) -> pending = pending | bit_of(hot) }
#endif
	:: else ->
		if
#ifndef MUT_RECEIVER_NO_RECHECK_OF_INBOX
		:: !inbox_empty(me)
#endif
		:: else ->
#ifdef EVENTS
			if
			:: events[me] != seen
			:: else ->
				futex_wait_for_requests(me)
			fi
#else
			futex_wait_for_requests(me)
#endif
		fi
	fi;
#ifndef MUT_FORGET_AWAY
	hot = NOBODY;
#endif
	d_step { sleeps[me] = 0; rung[me] = 0 }
#ifdef EVENTS
	;
	read_event(me);
	mourn()
#endif
}

inline futex_wait_for_requests(me)
{
	if
	:: d_step { !rung[me] -> asleep[me] = 1 } ->
end_asleep:
		!asleep[me]
	:: else
	fi
}

proctype Server(byte me)
{
	byte pending;
	byte hot = NOBODY;
	byte last = NOBODY;
	byte gone = NOBODY;
	bit mourned;
	bit seen;
	byte c;
	byte head_number;
	byte head_kind;
	byte copied;
	bit taken;
#ifdef CHOOSY
	byte want = 0;
#endif
#if SUMMARY
	byte words;
#endif
#ifdef MUT_NOTE_READ_THEN_CLEARED
	byte value;
#endif
#ifdef MUT_OLDER_REPLY_AFTER_NEWER
	byte newest;
#endif
#ifdef MIDDLE
	byte number;
	byte result;
	bit out_of_time;
	bit endless = 1;
#endif

	{
		do
		:: true ->
			collect(me);
			if
			:: d_step { hot != NOBODY && fresh(hot) -> pending = pending | bit_of(hot) }
			:: else
			fi;
			if
			:: atomic { to_do(0) -> c = 0 } -> receive_from()
			:: atomic { to_do(1) -> c = 1 } -> receive_from()
#ifdef MIDDLE
			:: atomic { to_do(2) -> c = 2 } -> receive_from()
#endif
#ifdef LATE
			:: atomic { nempty(owes[0]) -> c = 0 } -> answer_one()
			:: atomic { nempty(owes[1]) -> c = 1 } -> answer_one()
#endif
			:: nothing_to_do && owes_none -> sleep_for_requests(me)
			fi
		od
	} OR_DIE(me)
}
