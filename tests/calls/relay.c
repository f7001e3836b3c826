/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that are handed on: who answers, what is carried along, and how it goes wrong. */
#include "dvs_fixture.h"

TEST(who_gets_a_relayed_request_answers_the_client)
{
	struct world *w = world_start();
	struct actor *front = actor_bound(w, 5);
	struct actor *back = actor_bound(w, 6);
	struct actor *client = actor_bound(w, 0);
	const struct act *got;

	for (uint32_t i = 0; i < 5; i++) {
		begin(client, sendrecing(front->ep, i));
		ck_assert_uint_eq(play(front, receiving_request())->msg.type, i);
		ck_assert_int_eq(play(front, relaying(client->ep, back->ep, 10 + i))->err, DVS_OK);
		got = play(back, receiving_request());
		ck_assert_uint_eq(got->msg.type, 10 + i);
		EQUAL_EP(got->msg.source, client->ep);
		/* The one in front is out of it. */
		ck_assert_int_eq(play(front, replying(client->ep, 1))->err, DVS_NOTWAITING);
		ck_assert(!is_done(client));
		ck_assert_int_eq(play(back, replying(client->ep, 20 + i))->err, DVS_OK);
		ck_assert_uint_eq(end(client)->msg.type, 20 + i);
		EQUAL_EP(client->done.msg.source, back->ep);
	}
	world_end(w);
}

TEST(a_chain_of_relays_carries_the_data)
{
	enum { CHAIN = 4 };
	struct world *w = world_start();
	struct actor *link[CHAIN];
	struct actor *client = actor_bound(w, 0);
	struct actor *last;
	const struct act *got;

	for (uint32_t i = 0; i < CHAIN; i++)
		link[i] = actor_bound(w, 5 + i);
	last = link[CHAIN - 1];
	begin(client, calling(link[0]->ep, 1, 100000, 50000, 9));
	for (uint32_t i = 0; i + 1 < CHAIN; i++) {
		struct act on = relaying(client->ep, link[i + 1]->ep, 2 + i);

		got = play(link[i], receiving_request());
		ck_assert_uint_eq(got->msg.type, 1 + i);
		ck_assert_uint_eq(got->in_bytes, 100000);
		ck_assert_uint_eq(got->n, 1);
		on.msg.u64[6] = 9;
		ck_assert_int_eq(play(link[i], on)->err, DVS_OK);
	}
	begin(last, serving(1));
	ck_assert_int_eq(end(client)->err, DVS_OK);
	ck_assert_uint_eq(client->done.in_bytes, 50000);
	ck_assert_uint_eq(client->done.n, 1);
	ck_assert_int_eq(end(last)->err, DVS_OK);
	world_end(w);
}

TEST(the_client_hears_that_the_next_one_cannot_be_called)
{
	struct world *w = world_start();
	struct actor *front = actor_bound(w, 5);
	struct actor *victim = actor_bound(w, 6);
	struct actor *client = actor_bound(w, 0);
	struct dvk_privileges few = { .n_call_to = 1, .call_to = { { 0, 6 } } };

	world_set_privileges(w, client->ep, &few);
	begin(client, sendrecing(front->ep, 1));
	ck_assert_int_eq(play(front, receiving_request())->err, DVS_OK);
	ck_assert_int_eq(play(front, relaying(client->ep, dvs_ep_of(4), 1))->err, DVS_OK);
	ck_assert_int_eq(end(client)->err, DVS_NODEST);
	begin(client, sendrecing(front->ep, 1));
	ck_assert_int_eq(play(front, receiving_request())->err, DVS_OK);
	ck_assert_int_eq(play(front, relaying(client->ep, dvs_ep_of(9), 1))->err, DVS_OK);
	ck_assert_int_eq(end(client)->err, DVS_DENIED);
	begin(client, calling(front->ep, 1, 10, 10, 0));
	ck_assert_int_eq(play(front, receiving_request())->err, DVS_OK);
	ck_assert_int_eq(play(front, relaying(client->ep, victim->ep, 1))->err, DVS_OK);
	await_activity_with(w, client->ep, DVK_CALLING, victim->ep);
	actor_kill(w, victim);
	ck_assert_int_eq(end(client)->err, DVS_PEERDEAD);
	/* To the client itself. */
	begin(client, sendrecing(front->ep, 1));
	ck_assert_int_eq(play(front, receiving_request())->err, DVS_OK);
	ck_assert_int_eq(play(front, relaying(client->ep, client->ep, 1))->err, DVS_OK);
	ck_assert_int_eq(end(client)->err, DVS_DEADLOCK);
	world_end(w);
}

/* Relays what it gets to itself until the client has gone. */
static dvs_err do_relay_round(struct stage *me, struct act *act)
{
	dvs_err err = DVS_OK;

	for (act->n = 0; !err; act->n++) {
		err = m3_receive_request(me->self, &act->msg, 1000);
		if (!err)
			err = m3_relay(me->self, act->msg.source, act->ep, &act->msg);
	}
	return err;
}

TEST(relays_do_not_go_round_for_ever)
{
	struct world *w = world_start();
	struct actor *a = actor_bound(w, 5);
	struct actor *b = actor_bound(w, 6);
	struct actor *client = actor_bound(w, 0);

	begin(a, (struct act){ .play = do_relay_round, .ep = b->ep });
	begin(b, (struct act){ .play = do_relay_round, .ep = a->ep });
	ck_assert_int_eq(play(client, sendrecing(a->ep, 1))->err, DVS_DEADLOCK);
	ck_assert_int_eq(end(a)->err, DVS_TIMEOUT);
	ck_assert_int_eq(end(b)->err, DVS_TIMEOUT);
	world_end(w);
}

TEST(a_relayed_request_has_the_time_of_the_first)
{
	struct world *w = world_start();
	struct actor *front = actor_bound(w, 5);
	struct actor *silent = actor_bound(w, 6);
	struct actor *client = actor_bound(w, 0);
	uint64_t start_ms = now_ms();

	begin(client, within(sendrecing(front->ep, 1), 2000));
	ck_assert_int_eq(play(front, receiving_request())->err, DVS_OK);
	ck_assert_int_eq(play(front, relaying(client->ep, silent->ep, 1))->err, DVS_OK);
	ck_assert_int_eq(end(client)->err, DVS_TIMEOUT);
	ck_assert_uint_ge(now_ms() - start_ms, 2000);
	ck_assert_int_eq(play(silent, within(receiving_request(), 0))->err, DVS_TIMEOUT);
	world_end(w);
}

CALLS_MAIN("relay", who_gets_a_relayed_request_answers_the_client,
	   a_chain_of_relays_carries_the_data, the_client_hears_that_the_next_one_cannot_be_called,
	   relays_do_not_go_round_for_ever, a_relayed_request_has_the_time_of_the_first)
