/* SPDX-License-Identifier: Apache-2.0 */
/* The honest server: checks what comes, notes it on the board, answers. */
#include <stdlib.h>
#include <string.h>

#include "lab.h"
#include "talk.h"

/* Another's message, or one that was changed on its way? */
static bool is_right(struct talk_party *party, const struct dvs_msg *msg, uint32_t client)
{
	uint64_t pair = (uint64_t)client << 32 | party->number;
	struct talk_board *board = party->board;

	if (talk_is_sealed(msg) && msg->u64[TALK_SELF] == msg->source.n &&
	    (msg->u64[TALK_PAIR] == pair || (msg->type == TALK_RELAY && party->number == 0)))
		return true;
	talk_fail(board, "server %u: a message from %#x has type %#x, pair %#llx, sender %#llx",
		  party->number, msg->source.n, msg->type, (unsigned long long)msg->u64[TALK_PAIR],
		  (unsigned long long)msg->u64[TALK_SELF]);
	return false;
}

static void note_executed(struct talk_party *party, const struct dvs_msg *msg, uint32_t client)
{
	struct talk_pair *pair = &party->board->pair[client][party->number];
	uint64_t call = msg->u64[TALK_CALL];
	uint64_t before = atomic_exchange(&pair->executed, call);

	if (call <= before)
		talk_fail(party->board, "server %u: call %llu of client %u comes after %llu",
			  party->number, (unsigned long long)call, client,
			  (unsigned long long)before);
	if (msg->type == TALK_SEND)
		atomic_store(&pair->sent, call);
}

/* The data is right if it is that of this very call. */
static void check_data(struct talk_party *party, const struct dvs_msg *msg, uint32_t client,
		       const struct m3_delivery *delivery)
{
	uint64_t pattern = talk_pattern(client, party->number, msg->u64[TALK_CALL], false);

	if (delivery->data_bytes != msg->u64[TALK_BYTES]) {
		talk_fail(party->board, "server %u: %zu bytes with a call that has %llu",
			  party->number, delivery->data_bytes,
			  (unsigned long long)msg->u64[TALK_BYTES]);
		return;
	}
	if (delivery->data_bytes == 0)
		return;
	memcpy(party->buffer, delivery->data, delivery->data_bytes);
	/* A client that has given up may be at its next call, and the window is its own. */
	if (!talk_is_filled(party->buffer, delivery->data_bytes, pattern) &&
	    atomic_load(&party->board->seat[TALK_SERVERS + client].call) == msg->u64[TALK_CALL])
		talk_fail(party->board, "server %u: wrong data with a call of client %u",
			  party->number, client);
}

static dvs_err reply_data(struct talk_party *party, const struct dvs_msg *msg, size_t bytes,
			  uint64_t pattern)
{
	void *window;
	size_t cap;

	if (bytes == 0 || rng_below(&party->rng, 2)) {
		talk_fill(party->buffer, bytes, pattern);
		return m3_reply_data(party->self, msg->source, msg, party->buffer, bytes);
	}
	if (m3_reply_window(party->self, msg->source, &window, &cap) || cap < bytes)
		return DVS_NOTWAITING;
	talk_fill(window, bytes, pattern);
	return m3_reply_data(party->self, msg->source, msg, window, bytes);
}

static void answer(struct talk_party *party, struct dvs_msg *msg, uint32_t client,
		   const struct m3_delivery *delivery)
{
	size_t bytes = msg->u64[TALK_WANTED];
	dvs_err err;

	if (bytes > delivery->reply_cap) {
		talk_fail(party->board, "server %u: a call takes %zu bytes and says %zu",
			  party->number, delivery->reply_cap, bytes);
		bytes = delivery->reply_cap;
	}
	msg->type |= TALK_REPLY;
	msg->u64[TALK_BYTES] = bytes;
	msg->u64[TALK_SELF] = m3_self(party->self).n;
	talk_seal(msg);
	err = reply_data(party, msg, bytes,
			 talk_pattern(client, party->number, msg->u64[TALK_CALL], true));
	if (err && err != DVS_PEERDEAD && err != DVS_NOTWAITING && err != DVS_NODEST)
		talk_fail(party->board, "server %u: reply: %s", party->number, dvs_err_name(err));
	if (rng_below(&party->rng, 16) == 0)
		(void)!m3_notify(party->self, msg->source, UINT64_C(1) << party->number);
}

static void serve_note(struct talk_party *party, const struct dvs_msg *msg, uint32_t client)
{
	struct talk_pair *pair = &party->board->pair[client][party->number];
	uint64_t value = msg->u64[0];

	if (value & ~atomic_load(&pair->notes_out))
		talk_fail(party->board, "server %u: client %u notified %#llx, which it never did",
			  party->number, client, (unsigned long long)value);
	atomic_fetch_or(&pair->notes_in, value);
}

/* A hostile caller gets an answer as if it were not; everything it sent is looked at. */
static void serve_hostile(struct talk_party *party, struct dvs_msg *msg,
			  const struct m3_delivery *delivery)
{
	size_t bytes = delivery->reply_cap;

	if (delivery->data_bytes > DVS_DATA_MAX || bytes > DVS_DATA_MAX)
		talk_fail(party->board, "server %u: a delivery of %zu bytes, reply of %zu",
			  party->number, delivery->data_bytes, bytes);
	if (delivery->data_bytes)
		memcpy(party->buffer, delivery->data, delivery->data_bytes);
	if (delivery->kind != M3_REQUEST)
		return;
	msg->type = TALK_REPLY;
	if (rng_below(&party->rng, 8) == 0)
		(void)!m3_relay(party->self, msg->source, dvs_ep_of(TALK_SERVER_NUMBER + 1), msg);
	else
		(void)!reply_data(party, msg, bytes ? rng_below(&party->rng, (uint32_t)bytes) : 0,
				  1);
}

static void serve(struct talk_party *party, struct dvs_msg *msg)
{
	uint32_t client = dvs_ep_number(msg->source) - TALK_CLIENT_NUMBER;
	struct m3_delivery delivery;

	if (m3_delivered(party->self, &delivery) || delivery.source.n != msg->source.n) {
		talk_fail(party->board, "server %u: no delivery after a message", party->number);
		return;
	}
	if (client >= party->talk->n_clients) {
		if (!talk_is_hostile(party->talk, msg->source))
			talk_fail(party->board, "server %u: source %#x", party->number,
				  msg->source.n);
		serve_hostile(party, msg, &delivery);
		return;
	}
	if (delivery.kind == M3_NOTIFY) {
		serve_note(party, msg, client);
		return;
	}
	if (!is_right(party, msg, client))
		return;
	if (msg->type == TALK_RELAY && party->number == 0) {
		dvs_err err =
			m3_relay(party->self, msg->source, dvs_ep_of(TALK_SERVER_NUMBER + 1), msg);

		if (err && err != DVS_PEERDEAD && err != DVS_NOTWAITING)
			talk_fail(party->board, "server: relay: %s", dvs_err_name(err));
		return;
	}
	note_executed(party, msg, client);
	check_data(party, msg, client, &delivery);
	if (delivery.kind == M3_REQUEST)
		answer(party, msg, client, &delivery);
}

/* Give the endpoint up and take it again: callers lose the one and find the other. */
static bool come_again(struct talk_party *party)
{
	dvk_unbind(party->self);
	party->self = NULL;
	return talk_bind(party, TALK_SERVER_NUMBER + party->number, &party->self);
}

int talk_server(struct talk_party *party)
{
	struct dvs_msg msg;

	if (!talk_bind(party, TALK_SERVER_NUMBER + party->number, &party->self))
		return EXIT_FAILURE;
	while (atomic_load(&party->board->stop) != TALK_STOP_ALL) {
		dvs_err err = m3_receive(party->self, dvs_ep_any(), &msg, DVS_FOREVER);

		if (err == DVS_OK) {
			serve(party, &msg);
			atomic_fetch_add(&party->seat->n_done, 1);
		} else if (err != DVS_WOKEN) {
			talk_fail(party->board, "server %u: receive: %s", party->number,
				  dvs_err_name(err));
			return EXIT_FAILURE;
		}
		if (party->talk->servers_churn &&
		    rng_below(&party->rng, party->talk->servers_churn) == 0 && !come_again(party))
			return EXIT_FAILURE;
	}
	dvk_unbind(party->self);
	return EXIT_SUCCESS;
}
