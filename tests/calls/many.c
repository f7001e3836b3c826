/* SPDX-License-Identifier: Apache-2.0 */
/* Many at once: threads with endpoints of their own, and many clients of one server. */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "dvs_fixture.h"

/* ---- threads ---- */

enum { THREADS = 8, CALLS = 500 };

struct pair {
	struct world *w;
	dvs_ep server;
	pthread_barrier_t *bound;
	pthread_t threads[2];
};

static void *serve_in_thread(void *arg)
{
	struct pair *pair = arg;
	struct dvs_msg msg;
	struct m3 *self;

	GIVES(OK, dvk_bind, pair->w->dvk, dvs_ep_any(), DVK_LOCAL, &self);
	pair->server = m3_self(self);
	(void)pthread_barrier_wait(pair->bound);
	for (uint32_t i = 0; i < CALLS; i++) {
		ck_assert_int_eq(m3_receive_request(self, &msg, DVS_FOREVER), DVS_OK);
		msg.type++;
		ck_assert_int_eq(m3_reply(self, msg.source, &msg), DVS_OK);
	}
	dvk_unbind(self);
	return NULL;
}

static void *call_in_thread(void *arg)
{
	struct pair *pair = arg;
	struct m3 *self;

	GIVES(OK, dvk_bind, pair->w->dvk, dvs_ep_any(), DVK_LOCAL, &self);
	(void)pthread_barrier_wait(pair->bound);
	for (uint32_t i = 0; i < CALLS; i++) {
		struct dvs_msg msg = message(i);

		msg.u64[0] = i;
		ck_assert_int_eq(m3_sendrec(self, pair->server, &msg, DVS_FOREVER), DVS_OK);
		ck_assert_uint_eq(msg.type, i + 1);
		ck_assert_uint_eq(msg.u64[0], i);
		EQUAL_EP(msg.source, pair->server);
	}
	dvk_unbind(self);
	return NULL;
}

TEST(threads_talk_in_parallel)
{
	struct world *w = world_start();
	struct pair pairs[THREADS / 2];
	pthread_barrier_t bound;

	(void)world_link(w);
	ck_assert_int_eq(pthread_barrier_init(&bound, NULL, THREADS), 0);
	for (size_t i = 0; i < THREADS / 2; i++) {
		pairs[i] = (struct pair){ .w = w, .bound = &bound };
		ck_assert_int_eq(
			pthread_create(&pairs[i].threads[0], NULL, serve_in_thread, &pairs[i]), 0);
		ck_assert_int_eq(
			pthread_create(&pairs[i].threads[1], NULL, call_in_thread, &pairs[i]), 0);
	}
	for (size_t i = 0; i < THREADS / 2; i++) {
		ck_assert_int_eq(pthread_join(pairs[i].threads[0], NULL), 0);
		ck_assert_int_eq(pthread_join(pairs[i].threads[1], NULL), 0);
	}
	(void)pthread_barrier_destroy(&bound);
	world_end(w);
}

struct leaver {
	struct world *w;
	dvs_ep ep[2];
};

static void *bind_and_end(void *arg)
{
	struct leaver *leaver = arg;
	struct m3 *self;

	for (size_t i = 0; i < 2; i++) {
		GIVES(OK, dvk_bind, leaver->w->dvk, dvs_ep_any(), DVK_LOCAL, &self);
		leaver->ep[i] = m3_self(self);
	}
	return NULL;
}

TEST(a_thread_that_ends_gives_its_endpoints_up)
{
	struct world *w = world_start();
	struct leaver leaver = { .w = w };
	struct m3 *me = world_bind(w);
	struct dvs_msg msg = message(1);
	pthread_t thread;

	for (unsigned round = 0; round < 20; round++) {
		ck_assert_int_eq(pthread_create(&thread, NULL, bind_and_end, &leaver), 0);
		ck_assert_int_eq(pthread_join(thread, NULL), 0);
		for (size_t i = 0; i < 2; i++) {
			GIVES(OK, dvk_wait_unbind, w->dvk, leaver.ep[i], DVS_FOREVER);
			GIVES(NODEST, m3_send, me, leaver.ep[i], &msg, DVS_FOREVER);
		}
	}
	dvk_unbind(me);
	world_end(w);
}

static void *bind_and_unbind(void *arg)
{
	struct world *w = arg;

	for (unsigned i = 0; i < 50; i++) {
		struct dvs_msg msg;
		struct m3 *self;

		ck_assert_int_eq(dvk_bind(w->dvk, dvs_ep_any(), DVK_LOCAL, &self), DVS_OK);
		ck_assert_int_eq(m3_receive(self, dvs_ep_any(), &msg, 0), DVS_TIMEOUT);
		ck_assert_int_eq(m3_notify(self, dvs_ep_of(5), 1), DVS_OK);
		dvk_unbind(self);
	}
	return NULL;
}

static dvs_err do_hear_all(struct stage *me, struct act *act)
{
	dvs_err err = DVS_OK;

	for (uint64_t i = 0; i < act->n && !err; i++) {
		err = m3_receive(me->self, dvs_ep_any(), &act->msg, DVS_FOREVER);
		if (!err && act->msg.type != DVS_TYPE_NOTIFY)
			err = DVS_PROTO;
	}
	return err;
}

TEST(threads_bind_and_unbind_at_once)
{
	struct world *w = world_start();
	struct actor *told = actor_bound(w, 5);
	pthread_t threads[THREADS];

	(void)world_link(w);
	begin(told, (struct act){ .play = do_hear_all, .n = THREADS * 50 });
	for (size_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_create(&threads[i], NULL, bind_and_unbind, w), 0);
	for (size_t i = 0; i < THREADS; i++)
		ck_assert_int_eq(pthread_join(threads[i], NULL), 0);
	ck_assert_int_eq(end(told)->err, DVS_OK);
	ck_assert_int_eq(play(told, within(receiving(dvs_ep_any()), 0))->err, DVS_TIMEOUT);
	world_end(w);
}

/* ---- many clients ---- */

enum { PROCESSES = 10, CLIENTS_EACH = 20, CALLS_EACH = 10, CLIENTS = PROCESSES * CLIENTS_EACH };

static void *client_thread(void *arg)
{
	struct stage *me = arg;
	struct m3 *self;

	ck_assert_int_eq(dvk_bind(me->dvk, dvs_ep_any(), DVK_LOCAL, &self), DVS_OK);
	for (uint32_t i = 0; i < CALLS_EACH; i++) {
		struct dvs_msg msg = message(i);
		uint32_t ep = m3_self(self).n;
		uint32_t back = 0;
		size_t in_len;

		ck_assert_int_eq(m3_call(self, dvs_ep_of(5), &msg, &ep, sizeof(ep), &back,
					 sizeof(back), &in_len, DVS_FOREVER),
				 DVS_OK);
		ck_assert_uint_eq(in_len, sizeof(back));
		ck_assert_uint_eq(back, ep + i);
	}
	dvk_unbind(self);
	return NULL;
}

static dvs_err do_many_clients(struct stage *me, struct act *act)
{
	pthread_t threads[CLIENTS_EACH];

	(void)act;
	for (size_t i = 0; i < CLIENTS_EACH; i++) {
		if (pthread_create(&threads[i], NULL, client_thread, me) != 0)
			return DVS_NOMEM;
	}
	for (size_t i = 0; i < CLIENTS_EACH; i++)
		(void)pthread_join(threads[i], NULL);
	return DVS_OK;
}

/* Answers with what it got plus the call's type, and counts how often each client was passed over. */
TEST(two_hundred_clients_of_one_server)
{
	struct world *w = world_start();
	struct actor *process[PROCESSES];
	struct m3 *me;

	GIVES(OK, dvk_bind, world_link(w), dvs_ep_of(5), DVK_LOCAL, &me);
	for (size_t i = 0; i < PROCESSES; i++) {
		process[i] = actor_start(w);
		begin(process[i], (struct act){ .play = do_many_clients });
	}
	for (uint32_t i = 0; i < CLIENTS * CALLS_EACH; i++) {
		struct m3_delivery got;
		struct dvs_msg msg;
		uint32_t value;

		ck_assert_int_eq(m3_receive_request(me, &msg, DVS_FOREVER), DVS_OK);
		ck_assert_int_eq(m3_delivered(me, &got), DVS_OK);
		ck_assert_uint_eq(got.data_bytes, sizeof(value));
		memcpy(&value, got.data, sizeof(value));
		ck_assert_uint_eq(value, msg.source.n);
		value += msg.type;
		ck_assert_int_eq(m3_reply_data(me, msg.source, &msg, &value, sizeof(value)),
				 DVS_OK);
	}
	for (size_t i = 0; i < PROCESSES; i++)
		ck_assert_int_eq(end(process[i])->err, DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

/* ---- fairness under load ---- */

static dvs_err do_send_on(struct stage *me, struct act *act)
{
	dvs_err err = DVS_OK;

	for (uint64_t i = 0; i < act->n && !err; i++)
		err = m3_send(me->self, act->ep, &act->msg, DVS_FOREVER);
	return err;
}

/* A caller that waits sees each other one at most twice before its own turn. */
TEST(nobody_is_passed_over_twice)
{
	enum { SENDERS = 6, ROUNDS = 300 };
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *sender[SENDERS];
	unsigned count[SENDERS] = { 0 };
	struct dvs_msg msg;

	for (size_t i = 0; i < SENDERS; i++) {
		sender[i] = actor_bound(w, 0);
		begin(sender[i], (struct act){ .play = do_send_on,
					       .ep = m3_self(me),
					       .n = ROUNDS,
					       .msg = { .type = (uint32_t)i } });
		await_activity(w, sender[i]->ep, DVK_SENDING);
	}
	/* At first all wait: the first round has each of them once. */
	for (size_t i = 0; i < SENDERS; i++) {
		GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
		ck_assert_uint_eq(count[msg.type]++, 0);
	}
	for (size_t i = SENDERS; i < SENDERS * ROUNDS; i++) {
		ck_assert_int_eq(m3_receive(me, dvs_ep_any(), &msg, DVS_FOREVER), DVS_OK);
		count[msg.type]++;
	}
	for (size_t i = 0; i < SENDERS; i++) {
		ck_assert_int_eq(end(sender[i])->err, DVS_OK);
		ck_assert_uint_eq(count[i], ROUNDS);
	}
	dvk_unbind(me);
	world_end(w);
}

CALLS_MAIN("many", threads_talk_in_parallel, a_thread_that_ends_gives_its_endpoints_up,
	   threads_bind_and_unbind_at_once, two_hundred_clients_of_one_server,
	   nobody_is_passed_over_twice)
