/* SPDX-License-Identifier: Apache-2.0
 *
 * An endpoint moves from process to process while a caller has calls in flight: start, park, commit or rollback, with the
 * death of the process at every step; and promotion, which is a move without parking. docs/architecture/ipc.md tells it
 * in words, src/proto/control.toml has the events.
 *
 * The endpoint's processes are its homes 0, 1, 2: home h serves through channel memory h, which is new for each home. C
 * calls it. Dvsd moves it. How the messages get from cell to cell, and who wakes whom, is shown by rendezvous.pml; so here
 * taking a message or answering one is one step, and who has nothing to do simply waits.
 *
 * The program in a home is told what its calls return and nothing else. It answers its oldest request first, as m3_reply()
 * does, and takes its own list of what it owes (`owes`) along to the next home; the library there knows only what dvsd
 * hands on (`open`). A reply carries the number that the program means as its payload: the two must agree.
 *
 * What is configured (-D):
 *   CALLS, MOVES, STARTS  how many calls, homes after the first, and migrations begun (some may be rolled back)
 *   KIND                  SEND, REQUEST or EITHER
 *   NOTES, NOTES_BACK     notifications of C, and of each home
 *   TIMEOUTS              C gives up calls
 *   DEATH                 home 0 may be killed at any step
 *   PROMOTE               the moves are promotions: the former home lives and is not asked
 *   EXIT                  C may end after its last call
 *   MUT_...               a mistake; the properties must find it
 */

#ifndef CALLS
#define CALLS 2
#endif
#ifndef MOVES
#define MOVES 1
#endif
#ifndef STARTS
#define STARTS 1
#endif
#ifndef KIND
#define KIND EITHER
#endif
#ifndef NOTES
#define NOTES 0
#endif
#ifndef NOTES_BACK
#define NOTES_BACK 0
#endif

#define HOMES (MOVES + 1)
#define NOBODY 255

#define NOTHING 0
#define SEND 1
#define TAKEN 2
#define REQUEST 3
#define EITHER 4

/* ---- shared memory: one channel for each home ---- */

byte request_number[HOMES];
byte request_kind[HOMES];
bit request_resent[HOMES];
byte reply_number[HOMES];
byte reply_payload[HOMES];
byte note[HOMES];	/* in the lane of C */
byte note_back[HOMES];	/* in the lane of the home */

/* ---- the control socket ---- */

#define CHANNEL 1 /* to C with home and mode, and to the home */
#define GONE 2
#define PARK 3 /* with the number of the migration */
#define GO_ON 4
#define UNBOUND 5
#define PARK_OK 6
#define PARK_BADSTATE 7
#define BOUND 8

chan to_caller = [4] of { byte, byte, byte };
chan to_home[HOMES] = [6] of { byte, byte };
chan to_dvsd = [2] of { byte, byte, byte, byte }; /* parked: home, migration, and what it owes, oldest first */

/* ---- what a home knows ---- */

/* Numbers, oldest first; 0: none. The third would be a call made after the caller gave up two. */
byte open_1[HOMES];
byte open_2[HOMES];
byte owes_1[HOMES];
byte owes_2[HOMES];
byte taken[HOMES]; /* number of the message taken last */

byte dead = NOBODY;

/* ---- what has happened, for the properties ---- */

byte executed[CALLS + 1];
byte delivered[CALLS + 1];
byte unflagged[CALLS + 1]; /* executions of a request that did not say "sent again" */
byte losses; /* homes that ended without telling what they had taken: promotion, or death before parking */
bit endpoint_over;
byte current;	/* the channel that C uses */
bit caller_over;
bit caller_exited;
byte notes_sent;
byte notes_received;
byte back_sent;
byte back_received;
byte saved_back;

/* ---- C ---- */

#define answered(n) \
	(kind == SEND -> request_kind[current] == TAKEN : reply_number[current] == (n))

#define OK 1
#define PEERDEAD 2
#define TIMEOUT 3

inline post(n, again)
{
	d_step {
		request_number[current] = n;
		request_kind[current] = kind;
		request_resent[current] = again
	}
}

/* Leave the channel of the former home: what lies in it is carried over. */
inline go_over(next)
{
#ifndef MUT_NOTES_NOT_CARRIED
	d_step {
		notes_in_hand = note[current];
		note[current] = 0
	};
	d_step {
		saved_back = saved_back | note_back[current];
		note_back[current] = 0;
		current = next
	};
	if
	:: notes_in_hand ->
		d_step { note[current] = note[current] | notes_in_hand; notes_in_hand = 0 }
	:: else
	fi
#else
	current = next
#endif
}

/* A plain message that the former home may still take is withdrawn first, so that only one of the two gets it. */
inline withdraw_from_former()
{
#ifndef MUT_NOT_WITHDRAWN_FROM_FORMER
	if
	:: d_step { kind == SEND && request_kind[current] == SEND -> request_kind[current] = NOTHING }
	:: else
	fi
#else
	skip
#endif
}

/* The event EVENT (its fields in home and mode) in the middle of call N. */
inline event_in_call(n)
{
	if
	:: event == CHANNEL ->
		withdraw_from_former();
		if
#ifndef MUT_OLD_REPLY_NOT_LOOKED_AT
		:: answered(n) ->
			result = OK;
			go_over(home)
#endif
		:: else ->
			go_over(home);
#ifdef MUT_ONLY_LAST_MOVE_FLAGS
			resent = (mode == 3);
#else
			resent = resent || mode == 3;
#endif
			post(n, resent)
		fi
	:: event == GONE ->
		gone = 1;
		if
		:: d_step { kind == SEND && request_kind[current] == SEND -> request_kind[current] = NOTHING; result = PEERDEAD }
		:: else ->
			result = (answered(n) -> OK : PEERDEAD)
		fi
	fi;
	d_step { event = 0; home = 0; mode = 0 }
}

#ifdef MUT_SECOND_MOVE_HIDES_FIRST
/* All events are read before one is heeded, and of two moves only the last one is remembered. */
inline read_events()
{
	to_caller?event, home, mode;
	do
	:: event == CHANNEL && nempty(to_caller) -> to_caller?event, home, mode
	:: else -> break
	od
}
#else
inline read_events()
{
	to_caller?event, home, mode
}
#endif

inline check_result(n)
{
	d_step {
		if
		:: result == OK && kind == SEND -> assert(delivered[n] >= 1)
		:: result == OK && kind == REQUEST ->
			assert(executed[n] >= 1);
			assert(reply_payload[answered_in] == n)
		:: result == PEERDEAD -> assert(endpoint_over)
		:: else -> assert(kind != SEND || delivered[n] == 0)
		fi;
		result = 0;
		resent = 0;
		kind = 0;
		answered_in = 0
	}
}

inline await(n)
{
	do
	:: result != 0 -> break
	:: d_step { result == 0 && answered(n) -> result = OK; answered_in = current } -> break
	:: result == 0 && nempty(to_caller) ->
		answered_in = current;
		read_events();
		event_in_call(n)
#ifdef TIMEOUTS
	:: d_step {
		result == 0 && !answered(n) ->
		/* what the former home has taken cannot be taken back, and the exchange shows it */
		result = TIMEOUT;
		request_kind[current] = NOTHING
	   } ->
		break
#endif
	od
}

proctype Caller()
{
	byte number;
	byte kind;
	byte result;
	byte event;
	byte home;
	byte mode;
	bit resent; /* the call in flight was sent over a promotion */
	byte notes_in_hand;
	byte notes = NOTES;
	byte answered_in;
	bit gone;

end_idle:
	do
	:: d_step {
		notes > 0 && !gone ->
		note[current] = note[current] | (1 << notes);
		notes_sent = notes_sent | (1 << notes);
		notes--
	   }
	:: atomic {
		number < CALLS && !gone ->
		number++;
		if
		:: KIND != REQUEST -> kind = SEND
		:: KIND != SEND -> kind = REQUEST
		fi;
		post(number, 0)
	   } ->
		await(number);
		check_result(number)
	:: atomic { nempty(to_caller) -> to_caller?event, home, mode } ->
		if
		:: event == CHANNEL -> go_over(home)
		:: event == GONE -> gone = 1
		fi;
		d_step { event = 0; home = 0; mode = 0 }
	:: d_step { !caller_over && (gone || (notes == 0 && number == CALLS)) -> caller_over = 1 }
#ifdef EXIT
	:: atomic { caller_over -> caller_exited = 1 } -> break
#endif
	:: atomic { caller_over && empty(to_caller) && endpoint_over && gone -> break }
	od
}

/* ---- a home of the endpoint ---- */

#define ABSENT 0
#define RUNNING 1
#define PARKING 2
#define PARKED 3

#define waiting_message(h) \
	((request_kind[h] == SEND || request_kind[h] == REQUEST) && request_number[h] != taken[h])

inline take_message()
{
	d_step {
		n = request_number[h];
		taken[h] = n;
		if
		:: request_kind[h] == SEND ->
			request_kind[h] = TAKEN;
			delivered[n]++;
			assert(delivered[n] == 1)
		:: else ->
			executed[n]++;
			unflagged[n] = unflagged[n] + !request_resent[h];
			assert(unflagged[n] <= 1 && executed[n] <= 1 + losses);
			if
			:: owes_1[h] == 0 -> owes_1[h] = n
			:: else -> owes_2[h] = n
			fi;
			if
			:: open_1[h] == 0 -> open_1[h] = n
			:: else -> open_2[h] = n
			fi
		fi;
		n = 0
	}
}

/* m3_reply(): the oldest. */
inline answer()
{
	d_step {
		reply_payload[h] = owes_1[h];
		reply_number[h] = open_1[h];
		owes_1[h] = owes_2[h];
		owes_2[h] = 0;
		open_1[h] = open_2[h];
		open_2[h] = 0
	}
}

inline heed(event)
{
	if
	:: event == PARK && halt != ABSENT -> halt = PARKING; migration = number
	:: event == GO_ON && halt != ABSENT -> halt = RUNNING
	:: event == BOUND -> halt = RUNNING
	:: event == CHANNEL -> connected = 1
	:: event == UNBOUND -> halt = ABSENT
	:: else
	fi
}

/* Tell dvsd what is owed, and wait for its reply. What comes before the reply is heeded after it. */
inline park()
{
	atomic {
		halt = PARKED;
#ifdef MUT_ONLY_NEWEST_TOLD
		to_dvsd!h, migration, (open_2[h] -> open_2[h] : open_1[h]), 0
#else
		to_dvsd!h, migration, open_1[h], open_2[h]
#endif
	};
	do
	:: to_home[h]?event, number ->
		if
		:: event == PARK_OK -> break
		:: event == PARK_BADSTATE ->
#ifdef MUT_BADSTATE_MEANS_GO_ON
			if
			:: halt == PARKED -> halt = RUNNING
			:: else
			fi;
#endif
			break
		:: else -> heed(event)
		fi
	od;
	event = 0;
	number = 0
}

proctype Home(byte h)
{
	byte halt = (h == 0 -> RUNNING : ABSENT);
	bit connected = (h == 0);
	byte migration;
	byte number;
	byte event;
	byte n;
	byte notes = NOTES_BACK;

	{
end_idle:
		do
		:: atomic { to_home[h]?event, number -> heed(event); event = 0; number = 0 }
		:: atomic { halt == RUNNING && connected && !owes_2[h] && waiting_message(h) -> take_message() }
		:: d_step {
			halt == RUNNING && connected && note[h] ->
			assert((note[h] & notes_received) == 0);
			notes_received = notes_received | note[h];
			note[h] = 0
		   }
		:: atomic { (halt == RUNNING || halt == PARKING) && connected && owes_1[h] -> answer() }
		:: d_step {
			halt == RUNNING && connected && notes > 0 ->
			note_back[h] = note_back[h] | (1 << (h * NOTES_BACK + notes));
			back_sent = back_sent | (1 << (h * NOTES_BACK + notes));
			notes--
		   }
		/* A rollback and a new start that are heard of while it parks make it park again at once. */
		:: halt == PARKING ->
			do
			:: halt == PARKING -> park()
			:: else -> break
			od
#ifdef MUT_TAKES_WHILE_PARKED
		:: atomic { halt == PARKED && waiting_message(h) -> take_message() }
#endif
#ifdef MUT_ANSWERS_AFTER_PARKING
		:: atomic { halt == PARKED && owes_1[h] -> answer() }
#endif
		od
	} unless { dead == h }
}

/* ---- dvsd and the manager ---- */

proctype Dvsd()
{
	byte holder;	/* the home that has the endpoint */
	byte starts;
	byte from;
	byte said_migration;
	byte said_1;
	byte said_2;
	byte told_1;	/* what the parked home owes */
	byte told_2;
	byte mode;	/* of a renewal that was not sent yet; 0: none */
	byte open;	/* what the new home will be told */
	byte open_later;
	bit migrating;
	bit parked;
	bit over;

end_idle:
	do
	/* the process has parked */
	:: atomic {
		to_dvsd?from, said_migration, said_1, said_2 ->
		if
		:: from == holder && migrating && !over &&
#ifdef MUT_MIGRATIONS_WITHOUT_NUMBER
			!parked
#else
			said_migration == starts
#endif
			->
			parked = 1;
			told_1 = said_1;
			told_2 = said_2;
			to_home[from]!PARK_OK, 0
		:: else ->
			to_home[from]!PARK_BADSTATE, 0
		fi;
		from = 0;
		said_migration = 0;
		said_1 = 0;
		said_2 = 0
	   }
#ifndef PROMOTE
	/* start */
	:: atomic {
		!migrating && !over && starts < STARTS && holder < MOVES && dead != holder ->
		migrating = 1;
		starts++;
		to_home[holder]!PARK, starts
	   }
	/* rollback */
	:: atomic {
		migrating && dead != holder ->
		migrating = 0;
		parked = 0;
		to_home[holder]!GO_ON, 0
	   }
	/* commit, after the process has parked or died */
	:: atomic {
		migrating && (parked || dead == holder) ->
		if
#ifndef MUT_DEATH_BEFORE_PARKING_IGNORED
		:: !parked || mode == 3 -> mode = 3; losses++; open = 0; open_later = 0
#else
		:: !parked -> mode = 2; open = 0; open_later = 0
#endif
		:: else ->
#ifndef MUT_UNSENT_OPEN_FORGOTTEN
			if
			/* the home that parked had never got its channel: what it was to be told still stands */
			:: mode == 2
			:: else -> open = told_1; open_later = told_2
			fi;
#else
			open = told_1;
			open_later = told_2;
#endif
			mode = 2
		fi;
		if
		:: dead != holder -> to_home[holder]!UNBOUND, 0
		:: else
		fi;
		migrating = 0;
		parked = 0;
		told_1 = 0;
		told_2 = 0;
		holder++;
		to_home[holder]!BOUND, 0;
		/* the program takes its state along, if it could be saved */
		if
		:: mode == 2 -> owes_1[holder] = owes_1[holder - 1]; owes_2[holder] = owes_2[holder - 1]
		:: else
		fi
	   }
#else
	/* promotion: nobody is asked */
	:: atomic {
		!over && holder < MOVES ->
		mode = 3;
		losses++;
		to_home[holder]!UNBOUND, 0;
		holder++;
		to_home[holder]!BOUND, 0
	   }
#endif
	/* The channel of the new home, to both sides, when they can take it. Not while it parks: it would not tell of it. */
	:: atomic {
#ifdef MUT_RENEWED_WHILE_MIGRATING
		mode != 0 ->
#else
		mode != 0 && !migrating ->
#endif
#ifndef MUT_NEW_HOME_NOT_TOLD
		taken[holder] = (open_later -> open_later : open);
		open_1[holder] = open;
		open_2[holder] = open_later;
#endif
		to_home[holder]!CHANNEL, 0
	   } ->
		atomic {
			to_caller!CHANNEL, holder, mode;
			mode = 0;
			open = 0;
			open_later = 0
		}
	/* the process died and nobody follows */
	:: atomic {
		dead == holder && !over && (!migrating || starts == STARTS) && mode == 0 ->
		over = 1;
		endpoint_over = 1;
		to_caller!GONE, 0, 0
	   }
	od
}

#ifdef DEATH
proctype Killer()
{
	dead = 0
}
#endif

active proctype Judge()
{
	atomic {
		run Caller();
		run Home(0);
		run Home(1);
#if MOVES > 1
		run Home(2);
#endif
		run Dvsd();
#ifdef DEATH
		run Killer()
#endif
	};
	timeout;
	d_step {
		assert(caller_over);
		assert(endpoint_over || caller_exited || notes_sent == notes_received);
		assert(endpoint_over || caller_exited || (back_sent & ~(saved_back | note_back[current])) == 0);
		assert(!caller_exited || endpoint_over || notes_sent == notes_received)
	}
}
