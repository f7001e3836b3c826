/* SPDX-License-Identifier: Apache-2.0 */
/* A client or a server of the soak (tests/system/soak.py), in any node of a lab.
 *
 *	soak-actor BOARD CONTROL server NUMBER
 *	soak-actor BOARD CONTROL client SERVERS SEED
 *
 * Every call has a number that only grows, and every message and all data tell whose they are. What
 * was begun, executed and given up stands on a board, a file that all nodes map, before or after the
 * fact, so that a call that was doubled or went astray is noticed whoever was killed meanwhile. The
 * board also says whether it is calm: then no call may fail. */
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <dvs/dvk.h>

#include "base/clock.h"

#define SERVERS_MAX 8u
#define CLIENTS_MAX 4096u
#define ERRORS_MAX 64u
#define SERVER_NUMBER 10u
#define CALL_MS 5000u
#define PAUSE_NS 5000000L
#define DATA_MAX (256u << 10)

/* soak.py knows this layout. */
struct seat {
	_Atomic uint64_t ep;	   /* of a client, while it is bound */
	_Atomic uint64_t call;	   /* the number of the last one that was begun */
	_Atomic uint64_t since_ns; /* in a call since; 0: in none */
	_Atomic uint64_t n_done;
	_Atomic uint64_t n_failed;
};

struct pair {
	_Atomic uint64_t executed;  /* number of the last call that the server took */
	_Atomic uint64_t sent;	    /* of the last plain message among them */
	_Atomic uint64_t withdrawn; /* of the last message that the client gave up */
	_Atomic uint64_t notes;	    /* values that were notified and not received yet */
};

struct board {
	_Atomic uint64_t stop; /* enum stop */
	_Atomic uint64_t calm; /* counts up when it begins and when it ends: odd while it lasts */
	_Atomic uint64_t n_failures;
	_Atomic uint64_t n_clients;
	_Atomic uint64_t n_upsets; /* calls that failed while it was calm; soak.py judges */
	_Atomic uint64_t n_errors[ERRORS_MAX];
	char failure[512]; /* the first one */
	char upset[512];   /* the latest one */
	struct seat seats[CLIENTS_MAX];
	struct pair pairs[CLIENTS_MAX][SERVERS_MAX];
};

/* Clients end first: for their calls it is calm to the end. */
enum stop { STOP_CLIENTS = 1, STOP_SERVERS = 2 };
enum kind { KIND_REQUEST = 1, KIND_DATA = 2, KIND_SEND = 3, KIND_REPLY = 0x100 };
enum word { WORD_CLIENT, WORD_SERVER, WORD_CALL, WORD_BYTES, WORD_SELF, WORD_WANTED, WORD_SUM };

struct actor {
	struct board *board;
	const char *control;
	struct dvk *dvk;
	struct m3 *self;
	uint64_t rng;
	uint32_t number; /* of a server, or of a client, for ever */
	uint32_t n_servers;
	uint32_t source[SERVERS_MAX]; /* who answered last, of each server */
	uint64_t sent[SERVERS_MAX];   /* the last message that it received */
	uint8_t *out;
	uint8_t *in;
};

static void fail(struct board *board, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void fail(struct board *board, const char *format, ...)
{
	char text[sizeof(board->failure)];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	(void)fprintf(stderr, "failure: %s\n", text);
	if (atomic_fetch_add(&board->n_failures, 1) == 0)
		memcpy(board->failure, text, sizeof(text));
}

/* A call failed while it was calm. */
static void upset(struct board *board, const char *format, ...)
	__attribute__((format(printf, 2, 3)));
static void upset(struct board *board, const char *format, ...)
{
	char text[sizeof(board->upset)];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	memcpy(board->upset, text, sizeof(text));
	atomic_fetch_add(&board->n_upsets, 1);
}

/* ---- random numbers, sums, patterns ---- */

static uint64_t mix(uint64_t *state)
{
	uint64_t z = (*state += UINT64_C(0x9e3779b97f4a7c15));

	z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
	z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
	return z ^ (z >> 31);
}

static uint32_t below(struct actor *me, uint32_t end)
{
	return (uint32_t)(((mix(&me->rng) >> 32) * end) >> 32);
}

static uint64_t sum_of(const struct dvs_msg *msg)
{
	uint64_t sum = msg->type;

	for (unsigned i = 0; i < WORD_SUM; i++) {
		sum ^= msg->u64[i];
		sum = mix(&sum);
	}
	return sum;
}

static uint64_t pattern_of(const struct dvs_msg *msg, bool reply)
{
	uint64_t seed = msg->u64[WORD_CLIENT] << 40 ^ msg->u64[WORD_SERVER] << 32 ^
			msg->u64[WORD_CALL] ^ (reply ? UINT64_MAX : 0);

	return mix(&seed);
}

static void fill(uint8_t *data, size_t len, uint64_t pattern)
{
	for (size_t at = 0; at < len; at += sizeof(uint64_t)) {
		uint64_t word = (pattern + at) * UINT64_C(0x9e3779b97f4a7c15);

		memcpy(data + at, &word, len - at < sizeof(word) ? len - at : sizeof(word));
	}
}

static bool is_filled(const uint8_t *data, size_t len, uint64_t pattern)
{
	for (size_t at = 0; at < len; at += sizeof(uint64_t)) {
		uint64_t word = (pattern + at) * UINT64_C(0x9e3779b97f4a7c15);

		if (memcmp(data + at, &word, len - at < sizeof(word) ? len - at : sizeof(word)) !=
		    0)
			return false;
	}
	return true;
}

static void pause_a_little(void)
{
	struct timespec span = { .tv_nsec = PAUSE_NS };

	(void)nanosleep(&span, NULL);
}

static bool is_calm(uint64_t before, uint64_t now)
{
	return before == now && before % 2 == 1;
}

/* ---- coming ---- */

/* As long as it takes: the node may have no quorum. It tells nobody, soak.py has a limit. */
static bool come(struct actor *me, dvs_ep wanted)
{
	dvs_err err = DVS_NODVSD;

	while (atomic_load(&me->board->stop) != STOP_SERVERS) {
		if (!me->dvk)
			err = dvk_open(me->control, &me->dvk);
		if (me->dvk)
			err = dvk_bind(me->dvk, wanted, DVK_LOCAL, &me->self);
		if (err == DVS_OK)
			return true;
		if (err != DVS_NODVSD && err != DVS_NOQUORUM && err != DVS_INUSE &&
		    err != DVS_TIMEOUT && err != DVS_NODC) {
			fail(me->board, "bind %u: %s", dvs_ep_number(wanted), dvs_err_name(err));
			return false;
		}
		pause_a_little();
	}
	return false;
}

/* ---- the server ---- */

/* The client that is bound to EP, the latest first; CLIENTS_MAX: none is. */
static uint64_t client_at(const struct board *board, dvs_ep ep)
{
	for (uint64_t i = atomic_load(&board->n_clients); i-- > 0;) {
		if (atomic_load(&board->seats[i % CLIENTS_MAX].ep) == ep.n)
			return i % CLIENTS_MAX;
	}
	return CLIENTS_MAX;
}

static void take_note(struct actor *me, const struct dvs_msg *msg)
{
	uint64_t client = client_at(me->board, msg->source);
	uint64_t value = msg->u64[0];
	uint64_t before = 0;

	if (client < CLIENTS_MAX)
		before = atomic_fetch_and(&me->board->pairs[client][me->number].notes, ~value);
	if (value & ~before)
		fail(me->board,
		     "server %u: note %#llx of client %llu (%#x) was not given, or comes "
		     "twice",
		     me->number, (unsigned long long)value, (unsigned long long)client,
		     msg->source.n);
}

static void check_request(struct actor *me, const struct dvs_msg *msg,
			  const struct m3_delivery *delivery)
{
	struct board *board = me->board;
	uint64_t client = msg->u64[WORD_CLIENT];
	uint64_t call = msg->u64[WORD_CALL];
	struct pair *pair;
	uint64_t before;

	if (msg->u64[WORD_SUM] != sum_of(msg) || msg->u64[WORD_SERVER] != me->number ||
	    msg->u64[WORD_SELF] != msg->source.n || client >= CLIENTS_MAX) {
		fail(board, "server %u: a message from %#x says server %llu, source %#llx",
		     me->number, msg->source.n, (unsigned long long)msg->u64[WORD_SERVER],
		     (unsigned long long)msg->u64[WORD_SELF]);
		return;
	}
	pair = &board->pairs[client][me->number];
	before = atomic_exchange(&pair->executed, call);
	if (call <= before)
		fail(board, "server %u: call %llu of client %llu comes after %llu", me->number,
		     (unsigned long long)call, (unsigned long long)client,
		     (unsigned long long)before);
	if (msg->type == KIND_SEND)
		atomic_store(&pair->sent, call);
	if (msg->type == KIND_SEND && atomic_load(&pair->withdrawn) == call)
		fail(board, "server %u: message %llu of client %llu comes after it was given up",
		     me->number, (unsigned long long)call, (unsigned long long)client);
	if (delivery->data_bytes != msg->u64[WORD_BYTES])
		fail(board, "server %u: %zu bytes instead of %llu", me->number,
		     delivery->data_bytes, (unsigned long long)msg->u64[WORD_BYTES]);
	else if (delivery->data_bytes > 0 && delivery->data_bytes <= DATA_MAX) {
		memcpy(me->in, delivery->data, delivery->data_bytes);
		/* A client that gave up may be at its next call, and the window is its own. */
		if (!is_filled(me->in, delivery->data_bytes, pattern_of(msg, false)) &&
		    atomic_load(&board->seats[client].call) == call)
			fail(board, "server %u: wrong data with a call of client %llu", me->number,
			     (unsigned long long)client);
	}
}

static void answer(struct actor *me, struct dvs_msg *msg, const struct m3_delivery *delivery)
{
	size_t bytes = msg->u64[WORD_WANTED] < delivery->reply_cap ? msg->u64[WORD_WANTED] :
								     delivery->reply_cap;
	uint64_t calm = atomic_load(&me->board->calm);
	dvs_ep client = msg->source;
	dvs_err err;

	if (bytes > DATA_MAX)
		bytes = DATA_MAX;
	fill(me->out, bytes, pattern_of(msg, true));
	msg->type |= KIND_REPLY;
	msg->u64[WORD_BYTES] = bytes;
	msg->u64[WORD_SELF] = m3_self(me->self).n;
	msg->u64[WORD_SUM] = sum_of(msg);
	err = m3_reply_data(me->self, client, msg, me->out, bytes);
	if (err != DVS_OK && is_calm(calm, atomic_load(&me->board->calm)))
		upset(me->board, "server %u: reply to %#x: %s", me->number, client.n,
		      dvs_err_name(err));
}

static void serve(struct actor *me, struct dvs_msg *msg)
{
	struct m3_delivery delivery;

	if (m3_delivered(me->self, &delivery) != DVS_OK || delivery.source.n != msg->source.n) {
		fail(me->board, "server %u: no delivery with a message", me->number);
		return;
	}
	if (delivery.kind == M3_NOTIFY) {
		take_note(me, msg);
		return;
	}
	check_request(me, msg, &delivery);
	if (delivery.kind == M3_REQUEST)
		answer(me, msg, &delivery);
}

static int run_server(struct actor *me)
{
	struct dvs_msg msg;

	while (atomic_load(&me->board->stop) != STOP_SERVERS) {
		dvs_err err;

		if (!me->self && !come(me, dvs_ep_of(SERVER_NUMBER + me->number)))
			break;
		err = m3_receive(me->self, dvs_ep_any(), &msg, 500);
		if (err == DVS_OK) {
			serve(me, &msg);
		} else if (err == DVS_NOTBOUND) {
			/* The others took this node for dead, and it has come back. */
			dvk_unbind(me->self);
			me->self = NULL;
		} else if (err != DVS_TIMEOUT && err != DVS_NODVSD) {
			fail(me->board, "server %u: receive: %s", me->number, dvs_err_name(err));
			break;
		}
	}
	return EXIT_SUCCESS;
}

/* ---- the client ---- */

struct call {
	struct dvs_msg msg;
	uint32_t server;
	uint32_t kind;
	uint64_t number;
	size_t out_bytes;
	size_t in_bytes;
	size_t got_bytes;
};

static size_t some_bytes(struct actor *me)
{
	static const uint32_t sizes[] = { 0, 1, 100, 4096, 20000, 65536, DATA_MAX };
	uint32_t i = below(me, 40);

	return sizes[i < 7 ? i : i % 3];
}

static void choose(struct actor *me, struct call *call, uint32_t server, uint32_t kind)
{
	*call = (struct call){ .server = server, .kind = kind };
	call->number = atomic_fetch_add(&me->board->seats[me->number].call, 1) + 1;
	if (call->kind == KIND_DATA) {
		call->out_bytes = some_bytes(me);
		call->in_bytes = some_bytes(me);
	}
	call->msg.type = call->kind;
	call->msg.u64[WORD_CLIENT] = me->number;
	call->msg.u64[WORD_SERVER] = call->server;
	call->msg.u64[WORD_CALL] = call->number;
	call->msg.u64[WORD_BYTES] = call->out_bytes;
	call->msg.u64[WORD_SELF] = m3_self(me->self).n;
	call->msg.u64[WORD_WANTED] = call->in_bytes;
	call->msg.u64[WORD_SUM] = sum_of(&call->msg);
}

static dvs_err make(struct actor *me, struct call *call)
{
	dvs_ep dst = dvs_ep_of(SERVER_NUMBER + call->server);

	if (call->kind == KIND_SEND)
		return m3_send(me->self, dst, &call->msg, CALL_MS);
	if (call->kind == KIND_REQUEST)
		return m3_sendrec(me->self, dst, &call->msg, CALL_MS);
	fill(me->out, call->out_bytes, pattern_of(&call->msg, false));
	return m3_call(me->self, dst, &call->msg, me->out, call->out_bytes, me->in, call->in_bytes,
		       &call->got_bytes, CALL_MS);
}

/* What was sent before a request was taken before it, if the server is still the same. */
static void check_sent(struct actor *me, const struct call *call)
{
	const struct pair *pair = &me->board->pairs[me->number][call->server];
	uint32_t before = me->source[call->server];

	me->source[call->server] = call->msg.source.n;
	/* A server that was killed may not have come to write down the last one that it took. */
	if (before != call->msg.source.n)
		me->sent[call->server] = 0;
	if (me->sent[call->server] > atomic_load(&pair->sent))
		fail(me->board, "client %u: message %llu to server %u was lost", me->number,
		     (unsigned long long)me->sent[call->server], call->server);
}

static void check_done(struct actor *me, const struct call *call)
{
	struct board *board = me->board;
	const struct dvs_msg *msg = &call->msg;
	uint64_t executed = atomic_load(&board->pairs[me->number][call->server].executed);

	if (call->kind == KIND_SEND) {
		me->sent[call->server] = call->number;
		return;
	}
	check_sent(me, call);
	if (executed != call->number)
		fail(board, "client %u: call %llu of kind %u is answered, but server %u has %llu",
		     me->number, (unsigned long long)call->number, call->kind, call->server,
		     (unsigned long long)executed);
	if (dvs_ep_number(msg->source) != SERVER_NUMBER + call->server ||
	    msg->u64[WORD_SELF] != msg->source.n || msg->u64[WORD_SUM] != sum_of(msg) ||
	    msg->type != (call->kind | KIND_REPLY) || msg->u64[WORD_CALL] != call->number ||
	    msg->u64[WORD_CLIENT] != me->number)
		fail(board,
		     "client %u: call %llu to server %u was answered by %#x with %#x to %llu",
		     me->number, (unsigned long long)call->number, call->server, msg->source.n,
		     msg->type, (unsigned long long)msg->u64[WORD_CALL]);
	else if (call->got_bytes != call->in_bytes ||
		 !is_filled(me->in, call->got_bytes, pattern_of(msg, true)))
		fail(board, "client %u: wrong data with a reply of server %u", me->number,
		     call->server);
}

static bool is_of_a_fault(dvs_err err)
{
	return err == DVS_NODEST || err == DVS_PEERDEAD || err == DVS_NODEDOWN ||
	       err == DVS_NOQUORUM || err == DVS_TIMEOUT || err == DVS_NODVSD ||
	       err == DVS_NOTBOUND;
}

/* What went wrong must have had a reason. */
static void note_failure(struct actor *me, const struct call *call, dvs_err err, uint64_t calm)
{
	struct board *board = me->board;

	atomic_fetch_add(&board->seats[me->number].n_failed, 1);
	atomic_fetch_add(&board->n_errors[(uintptr_t)err % ERRORS_MAX], 1);
	if (!is_of_a_fault(err))
		fail(board, "client %u: call %llu of kind %u to server %u: %s", me->number,
		     (unsigned long long)call->number, call->kind, call->server, dvs_err_name(err));
	if (is_calm(calm, atomic_load(&board->calm)))
		upset(board, "client %u: call %llu of kind %u to server %u: %s", me->number,
		      (unsigned long long)call->number, call->kind, call->server,
		      dvs_err_name(err));
	if (err == DVS_NOTBOUND) {
		dvk_unbind(me->self);
		me->self = NULL;
	}
	pause_a_little();
}

/* Make a call, and check all there is to check; SOURCE gets who answered. */
static bool one_call(struct actor *me, uint32_t server, uint32_t kind, uint32_t *source)
{
	struct seat *seat = &me->board->seats[me->number];
	uint64_t calm = atomic_load(&me->board->calm);
	struct call call;
	dvs_err err;

	choose(me, &call, server, kind);
	atomic_store(&seat->since_ns, clock_now_ns());
	err = make(me, &call);
	atomic_store(&seat->since_ns, 0);
	*source = call.msg.source.n;
	if (err == DVS_OK) {
		check_done(me, &call);
		atomic_fetch_add(&seat->n_done, 1);
		return true;
	}
	if (call.kind == KIND_SEND && err == DVS_TIMEOUT)
		atomic_store(&me->board->pairs[me->number][server].withdrawn, call.number);
	note_failure(me, &call, err, calm);
	return false;
}

/* A notification is there after two further calls, unless its server was replaced or it was not calm. */
static void one_note(struct actor *me, uint32_t server)
{
	struct pair *pair = &me->board->pairs[me->number][server];
	uint64_t calm = atomic_load(&me->board->calm);
	uint64_t value = UINT64_C(1) << below(me, 63);
	uint32_t first;
	uint32_t second;

	/* A value that may be under way still could not be told from this one. */
	if (atomic_fetch_or(&pair->notes, value) & value)
		return;
	if (m3_notify(me->self, dvs_ep_of(SERVER_NUMBER + server), value) != DVS_OK ||
	    !one_call(me, server, KIND_REQUEST, &first) ||
	    !one_call(me, server, KIND_REQUEST, &second))
		return;
	if (first == second && (atomic_load(&pair->notes) & value) &&
	    is_calm(calm, atomic_load(&me->board->calm)))
		fail(me->board, "client %u: note %#llx to server %u was lost", me->number,
		     (unsigned long long)value, server);
}

static void one_turn(struct actor *me)
{
	static const uint32_t kinds[] = { KIND_REQUEST, KIND_REQUEST, KIND_DATA, KIND_SEND };
	uint32_t server = below(me, me->n_servers);
	uint32_t source;

	if (below(me, 16) == 0)
		one_note(me, server);
	else
		(void)one_call(me, server, kinds[below(me, 4)], &source);
}

static int run_client(struct actor *me)
{
	while (!atomic_load(&me->board->stop) && !atomic_load(&me->board->n_failures)) {
		if (!me->self && !come(me, dvs_ep_any()))
			break;
		atomic_store(&me->board->seats[me->number].ep, m3_self(me->self).n);
		one_turn(me);
	}
	return EXIT_SUCCESS;
}

/* ---- */

static struct board *map_board(const char *path)
{
	int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	void *board;

	if (fd < 0 || ftruncate(fd, sizeof(struct board)) != 0)
		return NULL;
	board = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	close(fd);
	return board == MAP_FAILED ? NULL : board;
}

int main(int argc, char **argv)
{
	struct actor me = { .board = argc > 4 ? map_board(argv[1]) : NULL };
	int status;

	me.in = malloc(DATA_MAX);
	me.out = malloc(DATA_MAX);
	if (!me.board || !me.in || !me.out) {
		(void)fprintf(stderr, "usage: soak-actor BOARD CONTROL server NUMBER | client "
				      "SERVERS SEED\n");
		return 2;
	}
	me.control = argv[2];
	if (strcmp(argv[3], "server") == 0) {
		me.number = (uint32_t)strtoul(argv[4], NULL, 10) % SERVERS_MAX;
		me.rng = me.number;
		status = run_server(&me);
	} else {
		me.n_servers = (uint32_t)strtoul(argv[4], NULL, 10) % (SERVERS_MAX + 1);
		me.rng = argc > 5 ? strtoull(argv[5], NULL, 10) : 1;
		me.number = (uint32_t)atomic_fetch_add(&me.board->n_clients, 1) % CLIENTS_MAX;
		status = run_client(&me);
	}
	dvk_close(me.dvk);
	free(me.in);
	free(me.out);
	return status;
}
