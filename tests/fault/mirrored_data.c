/* SPDX-License-Identifier: Apache-2.0 */
/* Where a mirror puts the data of frames that come in on both connections: here the test itself is the link's readers. */
#include <string.h>

#include "lab.h"
#include "mirrored.h"
#include "unit.h"

enum { A = 0, B = 1 }; /* on node 0 and node 1 */

static struct mirrored m;

/* ---- data that comes by both connections at once ---- */

struct incoming {
	struct frame_header header;
	uint8_t body[LINK_BODY_MAX];
	struct cursor in;
	uint8_t *at;
};

static void incoming_call(struct incoming *incoming, uint32_t number, uint32_t data_bytes)
{
	struct writer out = writer_over(incoming->body, sizeof(incoming->body));
	struct frame_call_req call = { .relayed_by = UINT32_MAX };

	call.cell.head = IPC_HEAD(number, IPC_REQUEST) | IPC_HAS_DATA;
	frame_call_req_encode(&out, &call);
	incoming->header = (struct frame_header){ .type = FRAME_CALL,
						  .body_bytes = (uint16_t)writer_len(&out),
						  .data_bytes = data_bytes,
						  .dc = mirrored_name(1, A, B).dc,
						  .src = A + 1,
						  .dst = B + 1,
						  .src_instance = 77 };
	incoming->in = cursor_over(incoming->body, writer_len(&out));
}

static void place(struct link_events *events, enum link_class class, struct incoming *incoming)
{
	incoming->at = events->place(events->context, class, &incoming->header, incoming->in);
}

static void arrive(struct link_events *events, enum link_class class, struct incoming *incoming)
{
	events->frame(events->context, class, &incoming->header, incoming->in, incoming->at);
}

TEST(data_of_two_calls_is_never_mixed)
{
	static const unsigned node[] = { 0, 1 };
	struct link_events events;
	struct incoming old;
	struct incoming new;
	const _Atomic uint32_t *head;

	mirrored_open(&m, 2, node);
	mirrored_join(&m, 1, A, B);
	mirrored_carry(&m, 1, A, B);
	mirrored_start(&m, 1);
	events = mirror_link_events(m.mirror[1]);
	head = &m.party[B].channel[A].theirs->request.head;
	/* The old one, given up there since, is still on its way as bulk. */
	incoming_call(&old, 1, 100000);
	incoming_call(&new, 2, 1000);
	place(&events, LINK_BULK, &old);
	ck_assert_ptr_nonnull(old.at);
	place(&events, LINK_MESSAGES, &new);
	ck_assert_ptr_null(new.at);
	arrive(&events, LINK_MESSAGES, &new);
	ck_assert_uint_eq(IPC_NUMBER(atomic_load(head)), 0);
	arrive(&events, LINK_BULK, &old);
	ck_assert_uint_eq(IPC_NUMBER(atomic_load(head)), 1);
	/* It was asked for again, and has room now. */
	place(&events, LINK_MESSAGES, &new);
	ck_assert_ptr_nonnull(new.at);
	arrive(&events, LINK_MESSAGES, &new);
	ck_assert_uint_eq(IPC_NUMBER(atomic_load(head)), 2);
	/* What was overtaken, or is there, is not placed. */
	place(&events, LINK_BULK, &old);
	ck_assert_ptr_null(old.at);
	arrive(&events, LINK_BULK, &old);
	place(&events, LINK_MESSAGES, &new);
	ck_assert_ptr_null(new.at);
	arrive(&events, LINK_MESSAGES, &new);
	ck_assert_uint_eq(IPC_NUMBER(atomic_load(head)), 2);
	/* A connection that breaks in the middle leaves the window free. */
	incoming_call(&new, 3, 1000);
	place(&events, LINK_MESSAGES, &new);
	ck_assert_ptr_nonnull(new.at);
	events.down(events.context, LINK_MESSAGES, "test");
	place(&events, LINK_BULK, &new);
	ck_assert_ptr_nonnull(new.at);
	arrive(&events, LINK_BULK, &new);
	ck_assert_uint_eq(IPC_NUMBER(atomic_load(head)), 3);
	mirrored_close(&m);
}

UNIT_MAIN_TIMEOUT("fault-mirrored-data", 120, data_of_two_calls_is_never_mixed)
