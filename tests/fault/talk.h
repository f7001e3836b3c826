/* SPDX-License-Identifier: Apache-2.0 */
/* Honest clients and servers that check each other: every call has a number, every message a checksum, and data a pattern that
 * only this pair, this call and this direction has. They tell on a board in shared memory what they did, so that a lost or
 * doubled call, a wrong source or another pair's data is noticed, also when the one that did it was killed meanwhile. */
#ifndef TESTS_FAULT_TALK_H
#define TESTS_FAULT_TALK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <dvs/dvk.h>

#define TALK_SERVERS 2u
#define TALK_CLIENTS_MAX 16u
#define TALK_SEATS (TALK_SERVERS + TALK_CLIENTS_MAX)
#define TALK_HOSTILES 2u

/* Endpoint numbers: servers first, then clients; a hostile process has those of its own. A server may relay what it was asked,
 * in any form, in the name of its client: so a client has another endpoint for its calls to hostile ones. */
#define TALK_SERVER_NUMBER 10u
#define TALK_CLIENT_NUMBER 1040000u /* no number of a node's own */
#define TALK_HOSTILE_NUMBER 18000u
#define TALK_DEPUTY_NUMBER 19000u

/* No wait may last longer. */
#define TALK_CALL_MS 5000u

enum talk_stop { TALK_GO = 0, TALK_STOP_CLIENTS = 1, TALK_STOP_ALL = 2 };

struct talk_seat {
	_Atomic uint64_t call;	   /* number of the last call that was begun */
	_Atomic uint64_t since_ns; /* in a call since; 0: in none */
	_Atomic uint64_t worst_ns;
	_Atomic uint64_t n_done;
	_Atomic uint64_t n_lost; /* PEERDEAD, NODEST */
	_Atomic uint64_t n_timeouts;
};

/* What is known of the calls of one client at one server. */
struct talk_pair {
	_Atomic uint64_t executed;  /* number of the last call that the server received */
	_Atomic uint64_t sent;	    /* of the last plain message it received */
	_Atomic uint64_t notes_out; /* or-ed values that the client has notified */
	_Atomic uint64_t notes_in;  /* ... and the server received */
};

struct talk_board {
	_Atomic uint32_t stop;
	_Atomic uint32_t n_failures;
	char failure[512];	     /* of the first one */
	_Atomic uint64_t n_garbage;  /* written by hostile processes, ... */
	_Atomic uint64_t n_channels; /* ... over so many channels ... */
	_Atomic uint64_t n_frames;   /* ... and control frames */
	_Atomic uint64_t n_answered; /* calls of honest clients that they answered */
	struct talk_seat seat[TALK_SEATS];
	struct talk_pair pair[TALK_CLIENTS_MAX][TALK_SERVERS];
};

struct talk {
	struct talk_board *board;
	const char *control;
	uint32_t n_clients;
	uint64_t seed;
	struct dvk *
		shared; /* the link, for parties that are threads of one process; NULL: each opens its own */
	bool partners_die;
	bool wakes; /* waits are ended by m3_wakeup() */
	bool dvsd_dies;
	bool with_hostiles;
	uint32_t
		think_us; /* a client lets up to so much time pass now and then, so that servers fall asleep */
	uint32_t
		churn; /* every second client unbinds and binds again after about so many calls; 0: never */
	uint32_t servers_churn; /* and a server */
};

struct talk_board *talk_board_create(void);

/* Note a failure; the first one is shown. */
void talk_fail(struct talk_board *board, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Run seat SEAT until the board says stop; the exit status. Seats below TALK_SERVERS are servers. */
int talk_run(const struct talk *talk, uint32_t seat);

/* ---- inside ---- */

enum talk_type {
	TALK_PLAIN = 1, /* sendrec */
	TALK_DATA = 2,	/* call with data */
	TALK_SEND = 3,
	TALK_RELAY = 4, /* server 0 hands it on to server 1 */
	TALK_REPLY = 0x100,
};

/* Indices of the words of a payload. */
enum talk_word {
	TALK_PAIR = 0, /* client << 32 | server that answers */
	TALK_CALL = 1,
	TALK_BYTES = 2,
	TALK_SELF = 3,	 /* of the sender */
	TALK_WANTED = 4, /* bytes wanted with the reply */
	TALK_SUM = 6,
};

#define TALK_BUFFER_BYTES DVS_DATA_MAX

struct talk_party {
	const struct talk *talk;
	struct talk_board *board;
	struct talk_seat *seat;
	uint32_t number; /* of the seat */
	uint64_t rng;
	struct dvk *dvk;
	struct m3 *self;
	struct m3 *deputy; /* calls the hostile ones */
	uint8_t *out;
	uint8_t *buffer; /* what comes in */
};

/* Is this endpoint a hostile one, or one whose messages such a one may have made? */
static inline bool talk_is_hostile(const struct talk *talk, dvs_ep ep)
{
	uint32_t number = dvs_ep_number(ep);

	return talk->with_hostiles && (number - TALK_HOSTILE_NUMBER < TALK_HOSTILES ||
				       number - TALK_DEPUTY_NUMBER < TALK_CLIENTS_MAX);
}

int talk_server(struct talk_party *party);
int talk_client(struct talk_party *party);

void talk_seal(struct dvs_msg *msg);
bool talk_is_sealed(const struct dvs_msg *msg);
uint64_t talk_pattern(uint32_t client, uint32_t server, uint64_t call, bool reply);
void talk_fill(uint8_t *data, size_t len, uint64_t pattern);
bool talk_is_filled(const uint8_t *data, size_t len, uint64_t pattern);

/* Open the link and bind the endpoint NUMBER; what a predecessor had bound must become free in time. */
bool talk_bind(struct talk_party *party, uint32_t number, struct m3 **self);

#endif
