/* SPDX-License-Identifier: Apache-2.0 */
/* Plain messages: the rendezvous, who is received first, and how a wait ends. */
#include "dvs_fixture.h"

TEST(a_send_waits_until_it_is_received)
{
	struct world *w = world_start();
	struct dvs_msg msg = message(0);
	struct actor *sender = actor_bound(w, 0);
	struct m3 *me = world_bind(w);
	struct m3_delivery got;

	begin(sender, sending(m3_self(me), 7));
	await_activity_with(w, sender->ep, DVK_SENDING, m3_self(me));
	ck_assert(!is_done(sender));
	GIVES(NOTBOUND, m3_delivered, me, &got);
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	ck_assert_uint_eq(msg.type, 7);
	EQUAL_EP(msg.source, sender->ep);
	ck_assert_int_eq(end(sender)->err, DVS_OK);
	GIVES(OK, m3_delivered, me, &got);
	EQUAL_EP(got.source, sender->ep);
	ck_assert_int_eq(got.kind, M3_MESSAGE);
	ck_assert_ptr_null(got.data);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_receiver_that_waits_gets_the_message_whole)
{
	struct world *w = world_start();
	struct dvs_msg msg = message(0);
	struct actor *receiver = actor_bound(w, 0);
	struct m3 *me = world_bind(w);
	const struct act *got;

	begin(receiver, receiving(dvs_ep_any()));
	await_activity(w, receiver->ep, DVK_RECEIVING);
	pattern_fill(msg.bytes, sizeof(msg.bytes), 3);
	msg.type = DVS_TYPE_RESERVED - 1;
	msg.source = receiver->ep; /* ignored */
	GIVES(OK, m3_send, me, receiver->ep, &msg, DVS_FOREVER);
	got = end(receiver);
	ck_assert_int_eq(got->err, DVS_OK);
	ck_assert_uint_eq(got->msg.type, DVS_TYPE_RESERVED - 1);
	EQUAL_EP(got->msg.source, m3_self(me));
	ck_assert(pattern_is(got->msg.bytes, sizeof(msg.bytes), 3));
	saw("m3_self", DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_send_that_timed_out_is_never_received)
{
	struct world *w = world_start();
	struct dvs_msg msg = message(0);
	struct actor *receiver = actor_bound(w, 0);
	struct m3 *me = world_bind(w);
	uint64_t start_ms = now_ms();

	msg = message(1);
	GIVES(TIMEOUT, m3_send, me, receiver->ep, &msg, 60);
	ck_assert_uint_ge(now_ms() - start_ms, 60);
	GIVES(TIMEOUT, m3_send, me, receiver->ep, &msg, 0);
	ck_assert_int_eq(play(receiver, within(receiving(dvs_ep_any()), 0))->err, DVS_TIMEOUT);
	ck_assert_int_eq(play(receiver, within(receiving(m3_self(me)), 0))->err, DVS_TIMEOUT);
	begin(receiver, receiving(dvs_ep_any()));
	msg = message(2);
	GIVES(OK, m3_send, me, receiver->ep, &msg, DVS_FOREVER);
	ck_assert_uint_eq(end(receiver)->msg.type, 2);
	dvk_unbind(me);
	world_end(w);
}

/* The instant that it takes the receiver to wake up is waited for; on a busy machine that is too short now and then. */
TEST(a_send_without_waiting_reaches_a_receiver_that_waits)
{
	uint32_t n_late = 0;
	dvs_err err;
	struct world *w = world_start();
	struct dvs_msg msg = message(0);
	struct actor *receiver = actor_bound(w, 0);
	struct m3 *me = world_bind(w);

	for (uint32_t i = 0; i < 20; i++) {
		begin(receiver, receiving(dvs_ep_any()));
		await_activity(w, receiver->ep, DVK_RECEIVING);
		do {
			msg = message(i);
			err = m3_send(me, receiver->ep, &msg, 0);
			n_late += err == DVS_TIMEOUT;
		} while (err == DVS_TIMEOUT && n_late < 10);
		gives("m3_send", err, DVS_OK, __FILE__, __LINE__);
		ck_assert_uint_eq(end(receiver)->msg.type, i);
	}
	dvk_unbind(me);
	world_end(w);
}

TEST(a_send_to_nobody_fails_at_once)
{
	struct world *w = world_start();
	struct dvs_msg msg = message(0);
	struct actor *former = actor_bound(w, 0);
	struct m3 *me = world_bind(w);
	dvs_ep stale = former->ep;

	GIVES(NODEST, m3_send, me, dvs_ep_of(9), &msg, DVS_FOREVER);
	GIVES(NODEST, m3_sendrec, me, dvs_ep_of(9), &msg, DVS_FOREVER);
	GIVES(NODEST, m3_call, me, dvs_ep_of(9), &msg, NULL, 0, NULL, 0, NULL, DVS_FOREVER);
	GIVES(NODEST, m3_receive, me, dvs_ep_of(9), &msg, DVS_FOREVER);
	GIVES(NODEST, m3_notify, me, dvs_ep_of(9), 1);
	actor_end(w, former);
	GIVES(OK, dvk_wait_unbind, w->dvk, stale, DVS_FOREVER);
	GIVES(NODEST, m3_send, me, stale, &msg, DVS_FOREVER);
	GIVES(NODEST, m3_receive, me, stale, &msg, DVS_FOREVER);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_call_to_oneself_is_a_deadlock)
{
	struct world *w = world_start();
	struct dvs_msg msg = message(0);
	struct m3 *me = world_bind(w);

	GIVES(DEADLOCK, m3_send, me, m3_self(me), &msg, DVS_FOREVER);
	GIVES(DEADLOCK, m3_sendrec, me, m3_self(me), &msg, DVS_FOREVER);
	GIVES(DEADLOCK, m3_call, me, m3_self(me), &msg, NULL, 0, NULL, 0, NULL, DVS_FOREVER);
	GIVES(DEADLOCK, m3_receive, me, m3_self(me), &msg, DVS_FOREVER);
	dvk_unbind(me);
	world_end(w);
}

TEST(the_partner_dies_before_it_receives)
{
	struct world *w = world_start();
	struct actor *victim = actor_bound(w, 0);
	struct actor *sender = actor_bound(w, 0);
	struct actor *receiver = actor_bound(w, 0);

	begin(sender, sending(victim->ep, 1));
	begin(receiver, receiving(victim->ep));
	(void)world_link(w);
	await_activity(w, sender->ep, DVK_SENDING);
	await_activity(w, receiver->ep, DVK_RECEIVING);
	actor_kill(w, victim);
	ck_assert_int_eq(end(sender)->err, DVS_PEERDEAD);
	ck_assert_int_eq(end(receiver)->err, DVS_PEERDEAD);
	world_end(w);
}

TEST(the_partner_unbinds_before_it_receives)
{
	struct world *w = world_start();
	struct actor *leaver = actor_bound(w, 0);
	struct actor *sender = actor_bound(w, 0);

	begin(sender, sending(leaver->ep, 1));
	await_activity(w, sender->ep, DVK_SENDING);
	(void)play(leaver, unbinding());
	ck_assert_int_eq(end(sender)->err, DVS_PEERDEAD);
	ck_assert_int_eq(play(sender, sending(leaver->ep, 1))->err, DVS_NODEST);
	world_end(w);
}

TEST(nobody_comes_in_time)
{
	struct world *w = world_start();
	struct dvs_msg msg = message(0);
	struct actor *other = actor_bound(w, 0);
	struct m3 *me = world_bind(w);
	uint64_t start_ms = now_ms();

	GIVES(TIMEOUT, m3_receive, me, dvs_ep_any(), &msg, 0);
	GIVES(TIMEOUT, m3_receive, me, other->ep, &msg, 0);
	GIVES(TIMEOUT, m3_receive_request, me, &msg, 0);
	start_ms = now_ms();
	GIVES(TIMEOUT, m3_receive, me, dvs_ep_any(), &msg, 30);
	GIVES(TIMEOUT, m3_receive, me, other->ep, &msg, 30);
	GIVES(TIMEOUT, m3_receive_request, me, &msg, 30);
	ck_assert_uint_ge(now_ms() - start_ms, 90);
	ck_assert_uint_lt(now_ms() - start_ms, PATIENCE_MS);
	dvk_unbind(me);
	world_end(w);
}

TEST(callers_that_all_wait_are_received_in_turn)
{
	enum { SENDERS = 4, ROUNDS = 6 };
	struct world *w = world_start();
	struct dvs_msg msg = message(0);
	struct m3 *me = world_bind(w);
	struct actor *sender[SENDERS];

	for (uint32_t i = 0; i < SENDERS; i++)
		sender[i] = actor_bound(w, 0);
	for (uint32_t round = 0; round < ROUNDS; round++) {
		unsigned seen = 0;

		for (uint32_t i = 0; i < SENDERS; i++)
			begin(sender[i], sending(m3_self(me), i));
		for (uint32_t i = 0; i < SENDERS; i++)
			await_activity(w, sender[i]->ep, DVK_SENDING);
		for (uint32_t i = 0; i < SENDERS; i++) {
			GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
			seen |= 1u << msg.type;
			/* Who was just served calls again, and waits behind the others. */
			ck_assert_int_eq(end(sender[msg.type])->err, DVS_OK);
			begin(sender[msg.type], sending(m3_self(me), msg.type));
			await_activity(w, sender[msg.type]->ep, DVK_SENDING);
		}
		ck_assert_uint_eq(seen, (1u << SENDERS) - 1);
		for (uint32_t i = 0; i < SENDERS; i++) {
			GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
			ck_assert_int_eq(end(sender[msg.type])->err, DVS_OK);
		}
	}
	dvk_unbind(me);
	world_end(w);
}

TEST(notifications_come_first_lowest_channel_first)
{
	ONE_NODE_ONLY();

	struct world *w = world_start();
	struct dvs_msg msg = message(0);
	struct m3 *me = world_bind(w);
	struct actor *a = actor_bound(w, 0);
	struct actor *b = actor_bound(w, 0);
	struct actor *c = actor_bound(w, 0);
	/* The channels are numbered as they come. */
	ck_assert_int_eq(play(a, notifying(m3_self(me), 0))->err, DVS_OK);
	ck_assert_int_eq(play(b, notifying(m3_self(me), 0))->err, DVS_OK);
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	begin(c, sending(m3_self(me), 5));
	await_activity(w, c->ep, DVK_SENDING);
	ck_assert_int_eq(play(b, notifying(m3_self(me), 2))->err, DVS_OK);
	ck_assert_int_eq(play(a, notifying(m3_self(me), 1))->err, DVS_OK);
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	EQUAL_EP(msg.source, a->ep);
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	EQUAL_EP(msg.source, b->ep);
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	EQUAL_EP(msg.source, c->ep);
	ck_assert_int_eq(end(c)->err, DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

TEST(receiving_from_one_leaves_the_others_waiting)
{
	struct world *w = world_start();
	struct dvs_msg msg = message(0);
	struct m3 *me = world_bind(w);
	struct actor *first = actor_bound(w, 0);
	struct actor *second = actor_bound(w, 0);

	begin(first, sending(m3_self(me), 1));
	await_activity(w, first->ep, DVK_SENDING);
	begin(second, sending(m3_self(me), 2));
	await_activity(w, second->ep, DVK_SENDING);
	GIVES(OK, m3_receive, me, second->ep, &msg, DVS_FOREVER);
	ck_assert_uint_eq(msg.type, 2);
	ck_assert_int_eq(end(second)->err, DVS_OK);
	ck_assert(!is_done(first));
	GIVES(TIMEOUT, m3_receive, me, second->ep, &msg, 20);
	ck_assert(!is_done(first));
	GIVES(OK, m3_receive, me, dvs_ep_of(dvs_ep_number(first->ep)), &msg, DVS_FOREVER);
	ck_assert_uint_eq(msg.type, 1);
	ck_assert_int_eq(end(first)->err, DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

TEST(receiving_requests_leaves_messages_and_notifications)
{
	struct world *w = world_start();
	struct dvs_msg msg = message(0);
	struct m3 *me = world_bind(w);
	struct actor *sender = actor_bound(w, 0);
	struct actor *teller = actor_bound(w, 0);
	struct actor *client = actor_bound(w, 0);

	begin(sender, sending(m3_self(me), 1));
	await_activity(w, sender->ep, DVK_SENDING);
	ck_assert_int_eq(play(teller, notifying(m3_self(me), 4))->err, DVS_OK);
	GIVES(TIMEOUT, m3_receive_request, me, &msg, 20);
	begin(client, sendrecing(m3_self(me), 3));
	GIVES(OK, m3_receive_request, me, &msg, DVS_FOREVER);
	ck_assert_uint_eq(msg.type, 3);
	GIVES(OK, m3_reply, me, msg.source, &msg);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	ck_assert(!is_done(sender));
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	ck_assert_uint_eq(msg.type, DVS_TYPE_NOTIFY);
	ck_assert_uint_eq(msg.u64[0], 4);
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	ck_assert_uint_eq(msg.type, 1);
	ck_assert_int_eq(end(sender)->err, DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_send_to_a_waiting_caller_is_the_reply)
{
	struct world *w = world_start();
	struct dvs_msg msg = message(0);
	struct m3 *me = world_bind(w);
	struct actor *client = actor_bound(w, 0);

	begin(client, sendrecing(m3_self(me), 3));
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	msg.type = 30;
	GIVES(OK, m3_send, me, msg.source, &msg, 0);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	ck_assert_uint_eq(client->done.msg.type, 30);
	/* Nobody waits any more: the next one is a message. */
	GIVES(TIMEOUT, m3_send, me, client->ep, &msg, 0);
	dvk_unbind(me);
	world_end(w);
}

CALLS_MAIN("send", a_send_waits_until_it_is_received, a_receiver_that_waits_gets_the_message_whole,
	   a_send_that_timed_out_is_never_received,
	   a_send_without_waiting_reaches_a_receiver_that_waits, a_send_to_nobody_fails_at_once,
	   a_call_to_oneself_is_a_deadlock, the_partner_dies_before_it_receives,
	   the_partner_unbinds_before_it_receives, nobody_comes_in_time,
	   callers_that_all_wait_are_received_in_turn,
	   notifications_come_first_lowest_channel_first,
	   receiving_from_one_leaves_the_others_waiting,
	   receiving_requests_leaves_messages_and_notifications,
	   a_send_to_a_waiting_caller_is_the_reply)
