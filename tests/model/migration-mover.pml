/* SPDX-License-Identifier: Apache-2.0
 *
 * The other direction of migration.pml: the endpoint that moves is the caller. It moves between its calls, or its process
 * dies in one and a backup follows. The server answers late: it may still owe answers to calls that the former home made.
 *
 * A call carries an id of its own, and the server's program answers it by m3_reply() with that id, oldest first: the ids must
 * agree. Each home numbers its calls from 1, so the server's library voids the open calls of the former home: it keeps them
 * in their order and drops the answers. With NUMBERS_GO_ON no two homes use the same number, and nothing need be voided.
 *
 * What is configured (-D):
 *   CALLS   how many calls each of the two homes makes; each may time out
 *   PROMOTE the former home ends at any point, not only between two calls
 *   NUMBERS_GO_ON
 *   MUT_... a mistake; the properties must find it
 */

#ifndef CALLS
#define CALLS 2
#endif

/* ---- shared memory: one channel for each home ---- */

byte request_number[2];
byte request_id[2];
byte reply_number[2];
byte reply_id[2];

/* ---- */

bit moved;    /* dvsd has given the endpoint to home 1 */
bit in_call;  /* home 0 */
bit told;     /* the server's event */
byte ended;   /* homes that have made all their calls */
byte executed[2 * CALLS + 1];

#ifdef NUMBERS_GO_ON
#define number_before(home) ((home) * CALLS)
#else
#define number_before(home) 0
#endif
#define id_of(home, number) ((home) * CALLS + (number) - number_before(home))
#define calls_made(home, number) ((number) - number_before(home))

inline call(home)
{
	d_step {
		number++;
		request_id[home] = id_of(home, number);
		request_number[home] = number;
		in_call = 1
	};
	if
	:: d_step {
		reply_number[home] == number ->
		assert(reply_id[home] == id_of(home, number))
	   }
	:: d_step { request_number[home] == number -> request_number[home] = 0 } /* its time is up */
	fi;
	in_call = 0
}

proctype Home(byte home)
{
	byte number = number_before(home);

	{
		home == 0 || moved;
		do
		:: calls_made(home, number) < CALLS -> call(home)
		:: true -> break
		od;
		ended++
	} unless { home == 0 && moved }
}

proctype Server()
{
	byte current;
	byte taken;
	bit heard;
	chan owes = [4] of { byte };  /* the program's list: ids */
	chan open = [4] of { byte };  /* the library's list: numbers; 0: void, its answer is dropped */
	byte id;
	byte number;
	byte n;

end_idle:
	do
	:: atomic {
		request_number[current] != 0 && request_number[current] != taken && nfull(owes) ->
		taken = request_number[current];
		executed[request_id[current]]++;
		assert(executed[request_id[current]] == 1);
		owes!request_id[current];
		open!request_number[current]
	   }
	/* m3_reply() */
	:: atomic {
		nempty(owes) ->
		owes?id;
		if
		:: nempty(open) -> open?number
		:: empty(open) -> number = 0 /* NOTWAITING */
		fi;
		if
		:: number != 0 ->
			reply_id[current] = id;
			reply_number[current] = number
		:: else
		fi;
		number = 0;
		id = 0
	   }
	/* the partner has moved */
	:: atomic {
		told && !heard ->
		heard = 1;
		current = 1;
		taken = 0;
		n = len(open);
#if defined(MUT_OPEN_CALLS_KEPT) || defined(NUMBERS_GO_ON)
		n = 0;
#endif
#ifdef MUT_OPEN_CALLS_FORGOTTEN
		do
		:: nempty(open) -> open?number
		:: empty(open) -> break
		od;
		n = 0;
#endif
		do
		:: n > 0 -> open?number; open!0; n--
		:: n == 0 -> break
		od;
		number = 0
	   }
	od
}

proctype Dvsd()
{
#ifdef PROMOTE
	moved = 1;
#else
	atomic { !in_call -> moved = 1 };
#endif
	told = 1
}

active proctype Judge()
{
	atomic {
		run Home(0);
		run Home(1);
		run Server();
		run Dvsd()
	};
	timeout;
	assert(ended >= 1)
}
