/* SPDX-License-Identifier: Apache-2.0 */
/* Whom an endpoint may call, as its privileges say. What it may manage is in denied.c. */
#include "dvs_fixture.h"

static struct dvk_privileges only(uint32_t first, uint32_t last)
{
	struct dvk_privileges privileges = { .n_call_to = 1, .call_to = { { first, last } } };

	return privileges;
}

TEST(privileges_are_what_was_set)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct actor *a = actor_bound(w, 5);
	struct dvk_privileges set = { .may = DVS_MAY_COPY | DVS_MAY_WAKE,
				      .n_call_to = DVS_RANGES_MAX };
	struct dvk_privileges got;

	GIVES(OK, dvk_privileges_get, dvk, a->ep, &got);
	ck_assert_uint_eq(got.n_call_to, 1);
	ck_assert_uint_eq(got.call_to[0].first, 0);
	ck_assert_uint_eq(got.call_to[0].last, DVS_EP_NUMBER_MAX);
	for (uint32_t i = 0; i < DVS_RANGES_MAX; i++)
		set.call_to[i] = (struct dvk_range){ i * 10, i * 10 + 5 };
	GIVES(OK, dvk_privileges_set, dvk, a->ep, &set);
	GIVES(OK, dvk_privileges_get, dvk, dvs_ep_of(5), &got);
	ck_assert_uint_eq(got.may, set.may);
	ck_assert_uint_eq(got.n_call_to, DVS_RANGES_MAX);
	ck_assert_mem_eq(got.call_to, set.call_to, sizeof(set.call_to));
	GIVES(NODEST, dvk_privileges_get, dvk, dvs_ep_of(6), &got);
	GIVES(NODEST, dvk_privileges_set, dvk, dvs_ep_of(6), &set);
	world_end(w);
}

TEST(only_those_in_its_ranges_are_called)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *in = actor_bound(w, 10);
	struct actor *out = actor_bound(w, 13);
	struct dvk_privileges privileges = only(8, 12);
	struct dvs_msg msg = message(1);
	void *window;

	world_set_privileges(w, m3_self(me), &privileges);
	GIVES(DENIED, m3_send, me, out->ep, &msg, DVS_FOREVER);
	GIVES(DENIED, m3_sendrec, me, out->ep, &msg, DVS_FOREVER);
	GIVES(DENIED, m3_call, me, out->ep, &msg, NULL, 0, NULL, 0, NULL, DVS_FOREVER);
	GIVES(DENIED, m3_call_window, me, out->ep, DVS_FOREVER, &window);
	GIVES(DENIED, m3_notify, me, out->ep, 1);
	GIVES(TIMEOUT, m3_send, me, in->ep, &msg, 0);
	GIVES(OK, m3_notify, me, dvs_ep_of(10), 1);
	/* Nobody outside either learns from it who is there. */
	GIVES(DENIED, m3_send, me, dvs_ep_of(14), &msg, DVS_FOREVER);
	privileges.n_call_to = 0;
	world_set_privileges(w, m3_self(me), &privileges);
	GIVES(DENIED, m3_send, me, in->ep, &msg, DVS_FOREVER);
	dvk_unbind(me);
	world_end(w);
}

TEST(replies_need_no_privilege)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *client = actor_bound(w, 10);
	struct dvk_privileges nobody = { .may = 0 };
	struct dvs_msg msg = message(1);

	world_set_privileges(w, m3_self(me), &nobody);
	for (uint32_t i = 0; i < 3; i++) {
		begin(client, calling(m3_self(me), i, 10, 10, 1));
		GIVES(OK, m3_receive, me, client->ep, &msg, DVS_FOREVER);
		ck_assert_uint_eq(msg.type, i);
		GIVES(OK, m3_reply, me, client->ep, &msg);
		ck_assert_int_eq(end(client)->err, DVS_OK);
	}
	GIVES(DENIED, m3_send, me, client->ep, &msg, DVS_FOREVER);
	GIVES(DENIED, m3_notify, me, client->ep, 1);
	dvk_unbind(me);
	world_end(w);
}

TEST(neither_side_may_call_the_other)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *a = actor_bound(w, 10);
	struct dvk_privileges nobody = { .may = 0 };
	struct dvs_msg msg = message(1);

	world_set_privileges(w, m3_self(me), &nobody);
	world_set_privileges(w, a->ep, &nobody);
	ck_assert_int_eq(play(a, sending(m3_self(me), 1))->err, DVS_DENIED);
	/* Who may not call it can only wait for its calls, which never come. */
	GIVES(TIMEOUT, m3_receive, me, a->ep, &msg, 50);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_channel_that_is_no_longer_allowed_is_closed)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *a = actor_bound(w, 10);
	struct dvk_privileges nobody = { .may = 0 };
	struct dvk_privileges all = only(0, DVS_EP_NUMBER_MAX);
	struct dvs_msg msg;

	begin(a, sending(m3_self(me), 1));
	GIVES(OK, m3_receive, me, a->ep, &msg, DVS_FOREVER);
	ck_assert_int_eq(end(a)->err, DVS_OK);
	begin(a, sendrecing(m3_self(me), 2));
	await_activity(w, a->ep, DVK_CALLING);
	world_set_privileges(w, a->ep, &nobody);
	ck_assert_int_eq(end(a)->err, DVS_DENIED);
	ck_assert_int_eq(play(a, sending(m3_self(me), 1))->err, DVS_DENIED);
	GIVES(TIMEOUT, m3_receive, me, dvs_ep_any(), &msg, 0);
	world_set_privileges(w, a->ep, &all);
	begin(a, sending(m3_self(me), 4));
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	ck_assert_uint_eq(msg.type, 4);
	ck_assert_int_eq(end(a)->err, DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

TEST(privileges_do_not_outlive_the_binding)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *a = actor_bound(w, 10);
	struct dvk_privileges nobody = { .may = 0 };
	struct dvk_privileges got;
	struct dvs_msg msg = message(0);

	world_set_privileges(w, a->ep, &nobody);
	ck_assert_int_eq(play(a, unbinding())->err, DVS_OK);
	(void)bind_as(a, dvs_ep_of(10), DVK_LOCAL);
	GIVES(OK, dvk_privileges_get, w->dvk, a->ep, &got);
	ck_assert_uint_eq(got.n_call_to, 1);
	begin(a, sending(m3_self(me), 4));
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	ck_assert_int_eq(end(a)->err, DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

CALLS_MAIN("privileges", privileges_are_what_was_set, only_those_in_its_ranges_are_called,
	   replies_need_no_privilege, neither_side_may_call_the_other,
	   a_channel_that_is_no_longer_allowed_is_closed, privileges_do_not_outlive_the_binding)
