/* SPDX-License-Identifier: Apache-2.0 */
/* Whatever other replicas send: each request is answered once, entries are carried out in their order without a gap, and nothing is lost of the memory. The input is a script: what
 * happens (1 byte), and what belongs to that. */
#include <stdlib.h>

#include "base/cursor.h"
#include "fuzz.h"
#include "lone.h"

#define STEPS_MAX 200u

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* A number near the right one; sometimes any. */
static uint64_t near(struct cursor *in, uint64_t right)
{
	int8_t off = (int8_t)cursor_u8(in);

	return off == INT8_MIN ? cursor_u64(in) : right + (uint64_t)(int64_t)off;
}

static void deliver(struct lone *lone, struct cursor *in)
{
	const struct inbox *inbox = &lone->replica->inbox;
	struct replica_deliver_req req = lone_batch(lone, 0);
	size_t n;

	req.batch = near(in, inbox->batch);
	req.epoch = near(in, replica_epoch(lone->replica));
	req.stream = near(in, inbox->stream ? inbox->stream : lone->stream);
	req.stable = near(in, replica_sequence(lone->replica));
	req.members |= cursor_u8(in);
	req.node = cursor_u8(in);
	n = cursor_u16(in);
	if (n > cursor_left(in))
		n = cursor_left(in);
	lone_deliver(lone, &req, cursor_borrow(in, n), n);
}

/* An entry, or something else that is one item; it may be cut short, or longer than it says. */
static void deliver_item(struct lone *lone, struct cursor *in)
{
	struct replica_deliver_req req = lone_batch(lone, lone->replica->inbox.batch);
	uint8_t bytes[REPLICA_ITEM_BYTES_MAX + UINT8_MAX];
	struct writer out = writer_over(bytes, sizeof(bytes));
	struct replica_item item = { .kind = (uint8_t)(cursor_u8(in) % 6) };
	uint8_t cut;

	item.number = near(in, lone->replica->inbox.parsed + 1);
	item.client = cursor_u8(in);
	item.n_head = cursor_u8(in) % 80;
	item.bytes = cursor_u8(in);
	cut = cursor_u8(in);
	if (item.n_head > sizeof(item.head))
		item.n_head = sizeof(item.head);
	replica_item_put(&out, &item);
	for (uint32_t i = 0; i < item.bytes; i++)
		writer_u8(&out, (uint8_t)i);
	if (!writer_ok(&out))
		return;
	req.epoch = replica_epoch(lone->replica);
	if (lone->replica->inbox.stream)
		req.stream = lone->replica->inbox.stream;
	lone_deliver(lone, &req, bytes, cut < writer_len(&out) ? writer_len(&out) - cut : 0);
}

static void view(struct lone *lone, struct cursor *in)
{
	uint8_t payload[DVS_PAYLOAD_BYTES];
	struct writer out = writer_over(payload, sizeof(payload));
	struct replica_view_req req = { .epoch = near(in, replica_epoch(lone->replica)),
					.stream = near(in, lone->stream),
					.node = cursor_u8(in),
					.ep = LONE_PRIMARY_EP };

	replica_view_req_encode(&out, &req);
	if (writer_ok(&out))
		lone_ask(lone, REPLICA_VIEW, payload, writer_len(&out), NULL, 0);
}

static void tail(struct lone *lone, struct cursor *in)
{
	uint8_t payload[DVS_PAYLOAD_BYTES];
	struct writer out = writer_over(payload, sizeof(payload));
	struct replica_tail_req req = { .epoch = near(in, replica_epoch(lone->replica)),
					.after = near(in, replica_sequence(lone->replica)),
					.from = near(in, 0) };

	replica_tail_req_encode(&out, &req);
	if (writer_ok(&out))
		lone_ask(lone, REPLICA_TAIL, payload, writer_len(&out), NULL, 0);
}

/* Any operation with any payload. */
static void ask(struct lone *lone, struct cursor *in)
{
	uint32_t op = REPLICA_SERVE_FIRST + cursor_u8(in) % 8;
	size_t n = cursor_u8(in) % (DVS_PAYLOAD_BYTES + 1);
	const uint8_t *payload = cursor_borrow(in, n);

	if (payload)
		lone_ask(lone, op, payload, n, payload, n);
}

static void step(struct lone *lone, struct cursor *in)
{
	switch (cursor_u8(in) % 9) {
	case 0:
		deliver(lone, in);
		break;
	case 1:
		deliver_item(lone, in);
		break;
	case 2:
		lone_turn(lone);
		break;
	case 3:
		lone_apply(lone, cursor_u8(in) % 4 == 0 ? DVS_IO : DVS_OK);
		break;
	case 4:
		lone_answer(lone, DVS_OK, "answer", cursor_u8(in) % 7);
		break;
	case 5:
		view(lone, in);
		break;
	case 6:
		tail(lone, in);
		break;
	case 7:
		ask(lone, in);
		break;
	default:
		replica_look_again(lone->replica);
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor in = cursor_over(data, size);
	struct lone *lone = lone_open();

	for (uint32_t n = 0; n < STEPS_MAX && cursor_left(&in) > 0; n++) {
		step(lone, &in);
		lone_forget(lone);
		/* All but those that are held. */
		must(lone->n_requests <= SLOTS);
		/* The owner has all of them, but for one that it is about to be told. */
		must(lone->replica->inbox.n_open <= lone->n_heard + 1);
	}
	lone_close(lone);
	return 0;
}
