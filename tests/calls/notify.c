/* SPDX-License-Identifier: Apache-2.0 */
/* Telling and waking: notifications merge and never wait, wake-ups end a wait. */
#include <pthread.h>

#include "dvs_fixture.h"

TEST(notifications_merge_by_or)
{
	struct m3_delivery got;
	struct dvs_msg msg;
	struct world *w;
	struct m3 *me;
	struct actor *a;

	/* From another node the first may be seen before the last has come. */
	ONE_NODE_ONLY();
	w = world_start();
	me = world_bind(w);
	a = actor_bound(w, 0);
	ck_assert_int_eq(play(a, notifying(m3_self(me), 1))->err, DVS_OK);
	ck_assert_int_eq(play(a, notifying(m3_self(me), 4))->err, DVS_OK);
	ck_assert_int_eq(play(a, notifying(m3_self(me), 4))->err, DVS_OK);
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	ck_assert_uint_eq(msg.type, DVS_TYPE_NOTIFY);
	ck_assert_uint_eq(msg.u64[0], 5);
	EQUAL_EP(msg.source, a->ep);
	GIVES(OK, m3_delivered, me, &got);
	ck_assert_int_eq(got.kind, M3_NOTIFY);
	GIVES(TIMEOUT, m3_receive, me, dvs_ep_any(), &msg, 0);
	dvk_unbind(me);
	world_end(w);
}

TEST(nothing_and_everything_are_values)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *a = actor_bound(w, 0);
	struct dvs_msg msg;

	ck_assert_int_eq(play(a, notifying(m3_self(me), 0))->err, DVS_OK);
	GIVES(OK, m3_receive, me, a->ep, &msg, DVS_FOREVER);
	ck_assert_uint_eq(msg.u64[0], 0);
	ck_assert_int_eq(play(a, notifying(m3_self(me), DVS_NOTIFY_VALUE_MAX))->err, DVS_OK);
	GIVES(OK, m3_receive, me, a->ep, &msg, DVS_FOREVER);
	ck_assert_uint_eq(msg.u64[0], DVS_NOTIFY_VALUE_MAX);
	dvk_unbind(me);
	world_end(w);
}

/* What the next notification says. */
static uint64_t received_bits(struct actor *receiver)
{
	const struct act *got = play(receiver, receiving(dvs_ep_any()));

	ck_assert_int_eq(got->err, DVS_OK);
	return got->msg.u64[0];
}

TEST(a_notification_never_waits)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *busy = actor_bound(w, 0);
	uint64_t start_ms = now_ms();
	uint64_t seen = 0;

	for (uint64_t i = 0; i < 10000; i++)
		ck_assert_int_eq(m3_notify(me, busy->ep, UINT64_C(1) << (i % 63)), DVS_OK);
	saw("m3_notify", DVS_OK);
	ck_assert_uint_lt(now_ms() - start_ms, PATIENCE_MS);
	/* On its way to another node a notification merges with those that wait at either end,
	 * so that it may take more than one look to see all of them. */
	while (seen != DVS_NOTIFY_VALUE_MAX)
		seen |= received_bits(busy);
	if (nodes() == 1)
		ck_assert_int_eq(play(busy, within(receiving(dvs_ep_any()), 0))->err, DVS_TIMEOUT);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_notification_wakes_a_receiver)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *sleeper = actor_bound(w, 0);

	for (uint64_t i = 0; i < 20; i++) {
		begin(sleeper, receiving(i % 2 ? dvs_ep_any() : m3_self(me)));
		await_activity(w, sleeper->ep, DVK_RECEIVING);
		GIVES(OK, m3_notify, me, sleeper->ep, i);
		ck_assert_uint_eq(end(sleeper)->msg.u64[0], i);
	}
	dvk_unbind(me);
	world_end(w);
}

TEST(the_last_word_of_the_dead_is_received)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *a = actor_bound(w, 0);
	struct actor *b = actor_bound(w, 0);
	dvs_ep ep = a->ep;
	struct dvs_msg msg;

	ck_assert_int_eq(play(a, notifying(m3_self(me), 7))->err, DVS_OK);
	actor_kill(w, a);
	GIVES(OK, dvk_wait_unbind, w->dvk, ep, DVS_FOREVER);
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	EQUAL_EP(msg.source, ep);
	ck_assert_uint_eq(msg.u64[0], 7);
	GIVES(TIMEOUT, m3_receive, me, dvs_ep_any(), &msg, 0);
	ck_assert_int_eq(play(b, notifying(m3_self(me), 1))->err, DVS_OK);
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	EQUAL_EP(msg.source, b->ep);
	dvk_unbind(me);
	world_end(w);
}

/* ---- waking up ---- */

TEST(a_wake_up_ends_every_wait)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *silent = actor_bound(w, 0);
	struct actor *a = actor_bound(w, 0);
	const struct act waits[] = {
		receiving(dvs_ep_any()),   receiving(silent->ep),
		receiving_request(),	   sending(silent->ep, 1),
		sendrecing(silent->ep, 2), calling(silent->ep, 3, 10, 10, 0),
	};
	static const enum dvk_activity as[] = { DVK_RECEIVING, DVK_RECEIVING, DVK_RECEIVING,
						DVK_SENDING,   DVK_CALLING,   DVK_CALLING };

	for (size_t i = 0; i < sizeof(waits) / sizeof(waits[0]); i++) {
		begin(a, waits[i]);
		await_activity(w, a->ep, as[i]);
		GIVES(OK, m3_wakeup, me, a->ep);
		ck_assert_int_eq(end(a)->err, DVS_WOKEN);
	}
	/* What was woken was not received, and never will be. */
	ck_assert_int_eq(play(silent, within(receiving(dvs_ep_any()), 0))->err, DVS_TIMEOUT);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_wake_up_is_kept_for_the_next_wait)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *a = actor_bound(w, 0);

	GIVES(OK, m3_wakeup, me, a->ep);
	GIVES(OK, m3_wakeup, me, a->ep);
	GIVES(OK, m3_wakeup, me, a->ep);
	ck_assert_int_eq(play(a, receiving(dvs_ep_any()))->err, DVS_WOKEN);
	ck_assert_int_eq(play(a, within(receiving(dvs_ep_any()), 20))->err, DVS_TIMEOUT);
	dvk_unbind(me);
	world_end(w);
}

TEST(nobody_is_there_to_be_woken)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *former = actor_bound(w, 0);
	dvs_ep stale = former->ep;

	GIVES(NODEST, m3_wakeup, me, dvs_ep_of(77));
	actor_end(w, former);
	GIVES(OK, dvk_wait_unbind, w->dvk, stale, DVS_FOREVER);
	GIVES(NODEST, m3_wakeup, me, stale);
	dvk_unbind(me);
	world_end(w);
}

struct sleeper {
	struct world *w;
	dvs_ep ep;
	pthread_barrier_t bound;
};

static void *sleep_in_thread(void *arg)
{
	struct sleeper *s = arg;
	struct dvs_msg msg;
	struct m3 *self;

	GIVES(OK, dvk_bind, s->w->dvk, dvs_ep_any(), DVK_LOCAL, &self);
	s->ep = m3_self(self);
	(void)pthread_barrier_wait(&s->bound);
	GIVES(WOKEN, m3_receive, self, dvs_ep_any(), &msg, DVS_FOREVER);
	dvk_unbind(self);
	return NULL;
}

TEST(a_thread_wakes_another_one)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct sleeper s = { .w = w };
	pthread_t thread;

	ck_assert_int_eq(pthread_barrier_init(&s.bound, NULL, 2), 0);
	ck_assert_int_eq(pthread_create(&thread, NULL, sleep_in_thread, &s), 0);
	(void)pthread_barrier_wait(&s.bound);
	await_activity(w, s.ep, DVK_RECEIVING);
	GIVES(OK, m3_wakeup, me, s.ep);
	ck_assert_int_eq(pthread_join(thread, NULL), 0);
	(void)pthread_barrier_destroy(&s.bound);
	dvk_unbind(me);
	world_end(w);
}

CALLS_MAIN("notify", notifications_merge_by_or, nothing_and_everything_are_values,
	   a_notification_never_waits, a_notification_wakes_a_receiver,
	   the_last_word_of_the_dead_is_received, a_wake_up_ends_every_wait,
	   a_wake_up_is_kept_for_the_next_wait, nobody_is_there_to_be_woken,
	   a_thread_wakes_another_one)
