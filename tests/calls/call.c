/* SPDX-License-Identifier: Apache-2.0 */
/* Requests and their answers: sendrec, attached data, late and early answers, relay. */
#include <stdlib.h>
#include <string.h>

#include "dvs_fixture.h"

TEST(a_request_waits_for_its_answer)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *client = actor_bound(w, 0);
	struct dvs_msg msg;
	struct m3_delivery got;

	begin(client, sendrecing(m3_self(me), 5));
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	GIVES(OK, m3_delivered, me, &got);
	ck_assert_int_eq(got.kind, M3_REQUEST);
	ck_assert_int_eq(got.resent, 0);
	ck_assert_uint_eq(got.reply_cap, 0);
	await_activity_with(w, client->ep, DVK_CALLING, m3_self(me));
	ck_assert(!is_done(client));
	msg = message(6);
	msg.u64[6] = 66;
	GIVES(OK, m3_reply, me, client->ep, &msg);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	ck_assert_uint_eq(client->done.msg.type, 6);
	ck_assert_uint_eq(client->done.msg.u64[6], 66);
	EQUAL_EP(client->done.msg.source, m3_self(me));
	dvk_unbind(me);
	world_end(w);
}

TEST(nothing_comes_between_request_and_answer)
{
	ONE_NODE_ONLY();

	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *client = actor_bound(w, 0);
	struct actor *third = actor_bound(w, 0);
	struct dvs_msg msg;
	begin(client, sendrecing(m3_self(me), 5));
	GIVES(OK, m3_receive_request, me, &msg, DVS_FOREVER);
	begin(third, sending(client->ep, 9));
	await_activity_with(w, third->ep, DVK_SENDING, client->ep);
	GIVES(OK, m3_notify, me, client->ep, 1);
	ck_assert(!is_done(client));
	msg.type = 6;
	GIVES(OK, m3_reply, me, msg.source, &msg);
	ck_assert_uint_eq(end(client)->msg.type, 6);
	ck_assert(!is_done(third));
	ck_assert_uint_eq(play(client, receiving(dvs_ep_any()))->msg.type, DVS_TYPE_NOTIFY);
	ck_assert_uint_eq(play(client, receiving(dvs_ep_any()))->msg.type, 9);
	ck_assert_int_eq(end(third)->err, DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

TEST(data_of_every_size_goes_both_ways)
{
	static const size_t sizes[] = { 0,
					1,
					63,
					64,
					65,
					4095,
					4096,
					4097,
					65536,
					1000003,
					1,
					12345,
					DVS_DATA_MAX - 1,
					DVS_DATA_MAX };
	const size_t n_sizes = sizeof(sizes) / sizeof(sizes[0]);
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *server = actor_bound(w, 0);
	uint8_t *out = malloc(DVS_DATA_MAX);
	uint8_t *in = malloc(DVS_DATA_MAX);

	begin(server, serving(n_sizes));
	for (size_t i = 0; i < n_sizes; i++) {
		struct dvs_msg msg = message(5);
		size_t back = sizes[n_sizes - 1 - i];
		size_t in_len = 1;

		msg.u64[6] = i;
		pattern_fill(out, sizes[i], (uint8_t)i);
		GIVES(OK, m3_call, me, server->ep, &msg, out, sizes[i], in, back, &in_len,
		      DVS_FOREVER);
		ck_assert_uint_eq(msg.type, 6);
		ck_assert_uint_eq(in_len, back);
		ck_assert(pattern_is(in, back, (uint8_t)(i + 1)));
	}
	ck_assert_int_eq(end(server)->err, DVS_OK);
	free(out);
	free(in);
	dvk_unbind(me);
	world_end(w);
}

TEST(data_is_written_in_place)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *server = actor_bound(w, 0);
	uint8_t in[100];

	begin(server, serving(3));
	for (uint8_t i = 0; i < 3; i++) {
		struct dvs_msg msg = message(5);
		size_t in_len;
		void *window;

		msg.u64[6] = i;
		GIVES(OK, m3_call_window, me, server->ep, DVS_FOREVER, &window);
		pattern_fill(window, DVS_DATA_MAX, i);
		GIVES(OK, m3_call, me, server->ep, &msg, window, DVS_DATA_MAX, in, sizeof(in),
		      &in_len, DVS_FOREVER);
		ck_assert_uint_eq(in_len, sizeof(in));
		ck_assert(pattern_is(in, in_len, (uint8_t)(i + 1)));
	}
	ck_assert_int_eq(end(server)->err, DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

TEST(an_answer_too_big_leaves_the_request_open)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *client = actor_bound(w, 0);
	struct dvs_msg msg;
	struct m3_delivery got;
	uint8_t data[101];
	void *window;
	size_t cap;

	begin(client, calling(m3_self(me), 5, 10, 100, 7));
	GIVES(OK, m3_receive_request, me, &msg, DVS_FOREVER);
	GIVES(OK, m3_delivered, me, &got);
	ck_assert_uint_eq(got.data_bytes, 10);
	ck_assert(pattern_is(got.data, 10, 7));
	ck_assert_uint_eq(got.reply_cap, 100);
	GIVES(OK, m3_reply_window, me, client->ep, &window, &cap);
	ck_assert_uint_eq(cap, 100);
	pattern_fill(data, sizeof(data), 8);
	GIVES(TOOBIG, m3_reply_data, me, client->ep, &msg, data, sizeof(data));
	GIVES(TOOBIG, m3_reply_call, me, client->ep, got.call, &msg, data, sizeof(data));
	GIVES(OK, m3_reply_data, me, client->ep, &msg, data, 99);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	ck_assert_uint_eq(client->done.in_bytes, 99);
	ck_assert_uint_eq(client->done.n, 1);
	dvk_unbind(me);
	world_end(w);
}

/* A request that the client gives up when it was received and not answered. It must arrive in that time: on a busy machine
 * it gets more. */
static void receive_given_up(struct m3 *me, struct actor *client, uint32_t type,
			     struct dvs_msg *msg)
{
	dvs_err err = DVS_TIMEOUT;

	for (uint32_t ms = 50; err == DVS_TIMEOUT && ms < PATIENCE_MS; ms *= 2) {
		begin(client, within(sendrecing(m3_self(me), type), ms));
		err = m3_receive_request(me, msg, 2 * ms);
		ck_assert_int_eq(end(client)->err, DVS_TIMEOUT);
	}
	gives("m3_receive_request", err, DVS_OK, __FILE__, __LINE__);
}

TEST(a_late_answer_is_dropped)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *client = actor_bound(w, 0);
	struct dvs_msg msg;

	for (uint32_t i = 0; i < 3; i++) {
		receive_given_up(me, client, i, &msg);
		msg.type = 100 + i;
		GIVES(OK, m3_reply, me, msg.source, &msg);
		begin(client, sendrecing(m3_self(me), 10 + i));
		GIVES(OK, m3_receive_request, me, &msg, DVS_FOREVER);
		ck_assert_uint_eq(msg.type, 10 + i);
		msg.type = 200 + i;
		GIVES(OK, m3_reply, me, msg.source, &msg);
		ck_assert_uint_eq(end(client)->msg.type, 200 + i);
	}
	GIVES(NOTWAITING, m3_reply, me, client->ep, &msg);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_late_answer_is_not_taken_for_that_of_the_next_request)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *client = actor_bound(w, 0);
	struct m3_delivery first;
	struct m3_delivery second;
	struct dvs_msg msg;

	receive_given_up(me, client, 1, &msg);
	GIVES(OK, m3_delivered, me, &first);
	begin(client, sendrecing(m3_self(me), 2));
	GIVES(OK, m3_receive_request, me, &msg, DVS_FOREVER);
	GIVES(OK, m3_delivered, me, &second);
	ck_assert_uint_ne(first.call, second.call);
	/* The oldest one first: it was given up, so nobody gets this. */
	msg.type = 101;
	GIVES(OK, m3_reply, me, client->ep, &msg);
	GIVES(NOTWAITING, m3_reply_call, me, client->ep, first.call, &msg, NULL, 0);
	ck_assert(!is_done(client));
	msg.type = 102;
	GIVES(OK, m3_reply_call, me, client->ep, second.call, &msg, NULL, 0);
	ck_assert_uint_eq(end(client)->msg.type, 102);
	dvk_unbind(me);
	world_end(w);
}

TEST(an_answer_names_its_request)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *client = actor_bound(w, 0);
	struct m3_delivery first;
	struct m3_delivery second;
	struct dvs_msg msg;

	receive_given_up(me, client, 1, &msg);
	GIVES(OK, m3_delivered, me, &first);
	begin(client, calling(m3_self(me), 2, 0, 10, 3));
	GIVES(OK, m3_receive_request, me, &msg, DVS_FOREVER);
	GIVES(OK, m3_delivered, me, &second);
	msg.type = 102;
	pattern_fill(msg.bytes, 10, 4);
	GIVES(OK, m3_reply_call, me, client->ep, second.call, &msg, msg.bytes, 10);
	ck_assert_uint_eq(end(client)->msg.type, 102);
	ck_assert_uint_eq(client->done.n, 1);
	/* With it all that the client gave up before is skipped. */
	GIVES(NOTWAITING, m3_reply_call, me, client->ep, first.call, &msg, NULL, 0);
	GIVES(NOTWAITING, m3_reply, me, client->ep, &msg);
	dvk_unbind(me);
	world_end(w);
}

TEST(clients_are_answered_out_of_order)
{
	enum { CLIENTS = 5 };
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *client[CLIENTS];
	struct dvs_msg msg;

	for (uint32_t i = 0; i < CLIENTS; i++) {
		client[i] = actor_bound(w, 0);
		begin(client[i], sendrecing(m3_self(me), i));
		GIVES(OK, m3_receive_request, me, &msg, DVS_FOREVER);
		ck_assert_uint_eq(msg.type, i);
	}
	for (uint32_t i = CLIENTS; i-- > 0;) {
		msg = message(100 + i);
		GIVES(OK, m3_reply, me, client[i]->ep, &msg);
		ck_assert_uint_eq(end(client[i])->msg.type, 100 + i);
	}
	dvk_unbind(me);
	world_end(w);
}

TEST(only_who_waits_is_answered)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *client = actor_bound(w, 0);
	struct dvs_msg msg = message(1);
	void *window;
	size_t cap;

	GIVES(NOTWAITING, m3_reply, me, client->ep, &msg);
	begin(client, sending(m3_self(me), 1));
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	GIVES(NOTWAITING, m3_reply, me, client->ep, &msg);
	GIVES(NOTWAITING, m3_reply_data, me, client->ep, &msg, NULL, 0);
	GIVES(NOTWAITING, m3_reply_call, me, client->ep, 1, &msg, NULL, 0);
	GIVES(NOTWAITING, m3_reply_call, me, client->ep, 0, &msg, NULL, 0);
	GIVES(NOTWAITING, m3_relay, me, client->ep, client->ep, &msg);
	GIVES(NOTWAITING, m3_reply_window, me, client->ep, &window, &cap);
	begin(client, sendrecing(m3_self(me), 1));
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	GIVES(OK, m3_reply, me, client->ep, &msg);
	GIVES(NOTWAITING, m3_reply, me, client->ep, &msg);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

static void take_request_and_kill(struct world *w, struct m3 *me)
{
	struct actor *client = actor_bound(w, 0);
	dvs_ep ep = client->ep;
	struct dvs_msg msg;

	begin(client, calling(m3_self(me), 1, 100, 100, 0));
	GIVES(OK, m3_receive_request, me, &msg, DVS_FOREVER);
	EQUAL_EP(msg.source, ep);
	actor_kill(w, client);
	GIVES(OK, dvk_wait_unbind, w->dvk, ep, DVS_FOREVER);
}

TEST(the_client_is_dead_when_it_is_answered)
{
	ONE_NODE_ONLY();

	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct m3_delivery got;
	struct dvs_msg msg = message(1);
	void *window;
	size_t cap;
	take_request_and_kill(w, me);
	GIVES(OK, m3_delivered, me, &got);
	GIVES(PEERDEAD, m3_reply, me, got.source, &msg);
	GIVES(NOTWAITING, m3_reply, me, got.source, &msg);
	take_request_and_kill(w, me);
	GIVES(OK, m3_delivered, me, &got);
	GIVES(PEERDEAD, m3_reply_data, me, got.source, &msg, &msg, 4);
	take_request_and_kill(w, me);
	GIVES(OK, m3_delivered, me, &got);
	GIVES(PEERDEAD, m3_reply_call, me, got.source, got.call, &msg, &msg, 4);
	take_request_and_kill(w, me);
	GIVES(OK, m3_delivered, me, &got);
	GIVES(PEERDEAD, m3_reply_window, me, got.source, &window, &cap);
	take_request_and_kill(w, me);
	GIVES(OK, m3_delivered, me, &got);
	GIVES(PEERDEAD, m3_relay, me, got.source, dvs_ep_of(5), &msg);
	dvk_unbind(me);
	world_end(w);
}

TEST(the_server_dies_with_the_request)
{
	struct world *w = world_start();
	struct actor *server = actor_bound(w, 0);
	struct actor *client = actor_bound(w, 0);
	struct actor *caller = actor_bound(w, 0);
	dvs_ep ep = server->ep;

	begin(client, sendrecing(ep, 1));
	begin(caller, calling(ep, 1, 100, 100, 0));
	ck_assert_int_eq(play(server, receiving_request())->err, DVS_OK);
	ck_assert_int_eq(play(server, receiving_request())->err, DVS_OK);
	await_activity(w, client->ep, DVK_CALLING);
	await_activity(w, caller->ep, DVK_CALLING);
	actor_kill(w, server);
	ck_assert_int_eq(end(client)->err, DVS_PEERDEAD);
	ck_assert_int_eq(end(caller)->err, DVS_PEERDEAD);
	ck_assert_int_eq(play(client, sendrecing(ep, 1))->err, DVS_NODEST);
	world_end(w);
}

TEST(a_request_that_nobody_answers_times_out)
{
	ONE_NODE_ONLY();

	struct world *w = world_start();
	struct actor *server = actor_bound(w, 0);
	struct m3 *me = world_bind(w);
	struct dvs_msg msg = message(1);
	uint64_t start_ms = now_ms();
	void *window;
	GIVES(TIMEOUT, m3_sendrec, me, server->ep, &msg, 60);
	GIVES(TIMEOUT, m3_call, me, server->ep, &msg, &start_ms, 8, NULL, 0, NULL, 60);
	ck_assert_uint_ge(now_ms() - start_ms, 120);
	GIVES(TIMEOUT, m3_sendrec, me, server->ep, &msg, 0);
	GIVES(TIMEOUT, m3_call, me, server->ep, &msg, NULL, 0, NULL, 0, NULL, 0);
	/* Nobody has received them: they are as if they had never been. */
	ck_assert_int_eq(play(server, within(receiving(dvs_ep_any()), 0))->err, DVS_TIMEOUT);
	/* An endpoint that its process has not taken keeps callers waiting. */
	GIVES(OK, dvk_bind_for, w->dvk, actor_at(w, "")->pid, dvs_ep_of(7), DVK_LOCAL,
	      &(dvs_ep){ 0 });
	GIVES(TIMEOUT, m3_call_window, me, dvs_ep_of(7), 20, &window);
	GIVES(NODEST, m3_call_window, me, dvs_ep_of(8), 20, &window);
	GIVES(DEADLOCK, m3_call_window, me, m3_self(me), 20, &window);
	dvk_unbind(me);
	world_end(w);
}

CALLS_MAIN("call", a_request_waits_for_its_answer, nothing_comes_between_request_and_answer,
	   data_of_every_size_goes_both_ways, data_is_written_in_place,
	   an_answer_too_big_leaves_the_request_open, a_late_answer_is_dropped,
	   a_late_answer_is_not_taken_for_that_of_the_next_request, an_answer_names_its_request,
	   clients_are_answered_out_of_order, only_who_waits_is_answered,
	   the_client_is_dead_when_it_is_answered, the_server_dies_with_the_request,
	   a_request_that_nobody_answers_times_out)
