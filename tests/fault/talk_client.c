/* SPDX-License-Identifier: Apache-2.0 */
/* The honest client: one checked call after another, of all kinds. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "lab.h"
#include "talk.h"

#define CANARY 64u
/* A call with a short time-out may still take this long: another's hints may have been wiped. */
#define SLACK_NS (3 * CLOCK_NS_PER_S)

struct call {
	uint32_t server;  /* that is called, ... */
	uint32_t answers; /* ... and that answers */
	uint32_t type;
	uint32_t timeout_ms;
	size_t out_bytes;
	size_t in_bytes;
	uint64_t number;
	struct dvs_msg msg;
	dvs_err err;
	size_t got_bytes;
};

static uint32_t client_of(const struct talk_party *party)
{
	return party->number - TALK_SERVERS;
}

static size_t some_bytes(struct talk_party *party)
{
	static const uint32_t sizes[] = { 0, 1, 64, 100, 4096, 5000, 65536 };
	uint32_t i = rng_below(&party->rng, 64);

	return i == 0 ? DVS_DATA_MAX : sizes[i % (sizeof(sizes) / sizeof(sizes[0]))];
}

static void choose(struct talk_party *party, struct call *call)
{
	uint32_t dice = rng_below(&party->rng, 16);

	*call = (struct call){ .server = rng_below(&party->rng, TALK_SERVERS),
			       .type = TALK_PLAIN,
			       .timeout_ms = TALK_CALL_MS,
			       .number = atomic_fetch_add(&party->seat->call, 1) + 1 };
	if (dice < 4) {
		call->type = TALK_DATA;
		call->out_bytes = some_bytes(party);
		call->in_bytes = some_bytes(party);
	} else if (dice < 7) {
		call->type = TALK_SEND;
	} else if (dice < 9) {
		call->type = TALK_RELAY;
		call->timeout_ms = 2 * TALK_CALL_MS; /* two calls, one after the other */
		call->server = 0;
		call->out_bytes = some_bytes(party);
	}
	if (rng_below(&party->rng, 32) == 0)
		call->timeout_ms = rng_below(&party->rng, 2);
	call->answers = call->type == TALK_RELAY ? 1 : call->server;
	call->msg.type = call->type;
	call->msg.u64[TALK_PAIR] = (uint64_t)client_of(party) << 32 | call->answers;
	call->msg.u64[TALK_CALL] = call->number;
	call->msg.u64[TALK_BYTES] = call->out_bytes;
	call->msg.u64[TALK_SELF] = m3_self(party->self).n;
	call->msg.u64[TALK_WANTED] = call->in_bytes;
	talk_seal(&call->msg);
}

static void make(struct talk_party *party, struct call *call)
{
	dvs_ep dst = dvs_ep_of(TALK_SERVER_NUMBER + call->server);

	if (call->type == TALK_SEND) {
		call->err = m3_send(party->self, dst, &call->msg, call->timeout_ms);
	} else if (call->type == TALK_PLAIN) {
		call->err = m3_sendrec(party->self, dst, &call->msg, call->timeout_ms);
	} else {
		talk_fill(party->out, call->out_bytes,
			  talk_pattern(client_of(party), call->answers, call->number, false));
		call->err = m3_call(party->self, dst, &call->msg, party->out, call->out_bytes,
				    party->buffer, call->in_bytes, &call->got_bytes,
				    call->timeout_ms);
	}
}

/* Make the call, and see how long it takes. */
static void make_in_time(struct talk_party *party, struct call *call)
{
	uint64_t start_ns = clock_now_ns();
	uint64_t took_ns;

	atomic_store(&party->seat->since_ns, start_ns);
	make(party, call);
	took_ns = clock_now_ns() - start_ns;
	atomic_store(&party->seat->since_ns, 0);
	if (took_ns > atomic_load(&party->seat->worst_ns))
		atomic_store(&party->seat->worst_ns, took_ns);
	if (took_ns > call->timeout_ms * CLOCK_NS_PER_MS + SLACK_NS)
		talk_fail(party->board, "client %u: a call of %u ms took %llu ms", client_of(party),
			  call->timeout_ms, (unsigned long long)(took_ns / CLOCK_NS_PER_MS));
}

static void check_reply(struct talk_party *party, const struct call *call)
{
	const struct dvs_msg *msg = &call->msg;
	uint64_t pattern = talk_pattern(client_of(party), call->answers, call->number, true);

	if (dvs_ep_number(msg->source) != TALK_SERVER_NUMBER + call->answers ||
	    msg->u64[TALK_SELF] != msg->source.n || !talk_is_sealed(msg) ||
	    msg->type != (call->type | TALK_REPLY) || msg->u64[TALK_CALL] != call->number)
		talk_fail(party->board,
			  "client %u: call %llu of type %u was answered by %#x with %#x to %llu",
			  client_of(party), (unsigned long long)call->number, call->type,
			  msg->source.n, msg->type, (unsigned long long)msg->u64[TALK_CALL]);
	else if (call->got_bytes != call->in_bytes ||
		 !talk_is_filled(party->buffer, call->got_bytes, pattern))
		talk_fail(party->board, "client %u: wrong data came with a reply of server %u",
			  client_of(party), call->answers);
}

static void check_done(struct talk_party *party, const struct call *call)
{
	const struct talk_pair *pair = &party->board->pair[client_of(party)][call->answers];
	uint64_t executed = atomic_load(&pair->executed);

	if (call->type != TALK_SEND) {
		check_reply(party, call);
		if (executed != call->number)
			talk_fail(party->board, "client %u: call %llu was answered, not executed",
				  client_of(party), (unsigned long long)call->number);
	}
	atomic_fetch_add(&party->seat->n_done, 1);
}

/* The server is dead: its successor will be there soon. */
static void wait_for_server(struct talk_party *party, const struct call *call)
{
	dvs_err err;

	atomic_fetch_add(&party->seat->n_lost, 1);
	if (!party->talk->partners_die) {
		talk_fail(party->board, "client %u: call: %s", client_of(party),
			  dvs_err_name(call->err));
		return;
	}
	for (uint32_t i = 0; i < TALK_SERVERS; i++) {
		err = dvk_wait_bind(party->dvk, dvs_ep_of(TALK_SERVER_NUMBER + i), TALK_CALL_MS,
				    NULL);
		if (err)
			talk_fail(party->board, "client %u: no server %u comes: %s",
				  client_of(party), i, dvs_err_name(err));
	}
}

static void one_call(struct talk_party *party)
{
	struct call call;

	choose(party, &call);
	make_in_time(party, &call);
	if (call.err == DVS_OK) {
		check_done(party, &call);
	} else if (call.err == DVS_PEERDEAD || call.err == DVS_NODEST) {
		wait_for_server(party, &call);
	} else if ((call.err == DVS_TIMEOUT && call.timeout_ms < TALK_CALL_MS) ||
		   (call.err == DVS_WOKEN && party->talk->wakes)) {
		atomic_fetch_add(&party->seat->n_timeouts, 1);
	} else {
		talk_fail(party->board, "client %u: call of type %u: %s", client_of(party),
			  call.type, dvs_err_name(call.err));
	}
}

/* A plain message that was not received in time never will be: two calls later the server would have it. */
static void one_withdrawn(struct talk_party *party)
{
	struct call call;
	struct call after;

	choose(party, &call);
	if (call.type != TALK_SEND)
		return;
	call.timeout_ms = 0;
	make_in_time(party, &call);
	if (call.err != DVS_TIMEOUT)
		return;
	choose(party, &after);
	make_in_time(party, &after);
	if (after.err == DVS_OK)
		check_done(party, &after);
	if (atomic_load(&party->board->pair[client_of(party)][call.server].sent) == call.number)
		talk_fail(party->board, "client %u: message %llu was received after its time",
			  client_of(party), (unsigned long long)call.number);
}

/* A notification is there after two further calls, unless its server was replaced meanwhile. */
static void one_note(struct talk_party *party)
{
	uint32_t server = rng_below(&party->rng, TALK_SERVERS);
	struct talk_pair *pair = &party->board->pair[client_of(party)][server];
	uint64_t value = UINT64_C(1) << rng_below(&party->rng, 63);
	struct dvs_msg msg = { .source = { 0 } };
	uint32_t source = 0;
	dvs_err err;

	atomic_fetch_or(&pair->notes_out, value);
	atomic_fetch_and(&pair->notes_in, ~value);
	err = m3_notify(party->self, dvs_ep_of(TALK_SERVER_NUMBER + server), value);
	for (unsigned i = 0; i < 2 && !err; i++) {
		struct call call;

		choose(party, &call);
		if (call.answers != server || call.type == TALK_SEND || call.type == TALK_RELAY ||
		    call.timeout_ms < TALK_CALL_MS)
			return;
		make_in_time(party, &call);
		err = call.err;
		if (!err)
			check_done(party, &call);
		if (source && source != call.msg.source.n)
			return;
		source = call.msg.source.n;
		msg = call.msg;
	}
	if (!err && !party->talk->partners_die && !(atomic_load(&pair->notes_in) & value))
		talk_fail(party->board, "client %u: notification %#llx was not delivered (%#x)",
			  client_of(party), (unsigned long long)value, msg.type);
}

/* Take what the servers notified. */
static void take_notes(struct talk_party *party)
{
	struct dvs_msg msg;

	while (m3_receive(party->self, dvs_ep_any(), &msg, 0) == DVS_OK) {
		uint32_t server = dvs_ep_number(msg.source) - TALK_SERVER_NUMBER;

		if (talk_is_hostile(party->talk, msg.source))
			continue;
		if (server >= TALK_SERVERS || msg.type != DVS_TYPE_NOTIFY ||
		    msg.u64[0] != UINT64_C(1) << server)
			talk_fail(party->board, "client %u: %#x from %#x", client_of(party),
				  msg.type, msg.source.n);
	}
}

/* A hostile server may answer what it likes, but not write beyond the buffer, nor hold us longer than we want. */
static void call_hostile(struct talk_party *party)
{
	uint32_t hostile = rng_below(&party->rng, TALK_HOSTILES);
	dvs_ep dst = dvs_ep_of(TALK_HOSTILE_NUMBER + hostile);
	struct dvs_msg msg = { .type = TALK_DATA };
	size_t out_bytes = some_bytes(party);
	size_t in_bytes = some_bytes(party);
	uint64_t start_ns = clock_now_ns();
	size_t got_bytes = 0;
	dvs_err err;

	if (in_bytes > TALK_BUFFER_BYTES - CANARY)
		in_bytes = TALK_BUFFER_BYTES - CANARY;
	memset(party->buffer, 0x5a, in_bytes + CANARY);
	err = m3_call(party->deputy, dst, &msg, party->out, out_bytes, party->buffer, in_bytes,
		      &got_bytes, 20);
	if (got_bytes > in_bytes)
		talk_fail(party->board, "client %u: %zu bytes for %zu", client_of(party), got_bytes,
			  in_bytes);
	for (size_t i = 0; i < CANARY; i++)
		if (party->buffer[in_bytes + i] != 0x5a)
			talk_fail(party->board, "client %u: written beyond the buffer",
				  client_of(party));
	if (err == DVS_OK)
		atomic_fetch_add(&party->board->n_answered, 1);
	if (err == DVS_OK && dvs_ep_number(msg.source) < TALK_SERVER_NUMBER)
		talk_fail(party->board, "client %u: reply from %#x", client_of(party),
			  msg.source.n);
	if (clock_now_ns() - start_ns > SLACK_NS)
		talk_fail(party->board, "client %u: a hostile server held it", client_of(party));
	(void)!m3_notify(party->deputy, dst, 1);
}

static void one_turn(struct talk_party *party)
{
	if (party->talk->think_us && rng_below(&party->rng, 2))
		rng_pause(&party->rng, party->talk->think_us);
	switch (rng_below(&party->rng, 12)) {
	case 0:
		one_note(party);
		break;
	case 1:
		take_notes(party);
		break;
	case 2:
		one_withdrawn(party);
		break;
	case 3:
		if (party->talk->with_hostiles)
			call_hostile(party);
		break;
	default:
		one_call(party);
		break;
	}
}

int talk_client(struct talk_party *party)
{
	uint32_t number = TALK_CLIENT_NUMBER + client_of(party);

	if (!talk_bind(party, number, &party->self))
		return EXIT_FAILURE;
	if (party->talk->with_hostiles &&
	    !talk_bind(party, TALK_DEPUTY_NUMBER + client_of(party), &party->deputy))
		return EXIT_FAILURE;
	while (atomic_load(&party->board->stop) == TALK_GO &&
	       atomic_load(&party->board->n_failures) == 0) {
		/* Every second one stays, so that old conversations go on beside the new ones. */
		uint32_t churn = client_of(party) % 2 ? party->talk->churn : 0;

		one_turn(party);
		if (churn && rng_below(&party->rng, churn) == 0) {
			dvk_unbind(party->self);
			if (!talk_bind(party, number, &party->self))
				return EXIT_FAILURE;
		}
	}
	dvk_unbind(party->deputy);
	dvk_unbind(party->self);
	return EXIT_SUCCESS;
}
