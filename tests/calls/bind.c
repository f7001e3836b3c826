/* SPDX-License-Identifier: Apache-2.0 */
/* Bindings: how they begin and end, whom they are for, and what a number means over time. */
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dvs_fixture.h"

TEST(numbers_are_taken_once)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct actor *other = actor_bound(w, 5);
	struct m3 *a;
	struct m3 *b;

	GIVES(INUSE, dvk_bind, dvk, dvs_ep_of(5), DVK_LOCAL, &a);
	GIVES(INUSE, dvk_bind, dvk, dvs_ep_of(5), DVK_REPLICA, &a);
	GIVES(NODEST, dvk_bind, dvk, dvs_ep_of(6), DVK_BACKUP, &a);
	GIVES(OK, dvk_bind, dvk, dvs_ep_any(), DVK_LOCAL, &a);
	GIVES(OK, dvk_bind, dvk, dvs_ep_any(), DVK_LOCAL, &b);
	ck_assert_uint_ne(dvs_ep_number(m3_self(a)), dvs_ep_number(m3_self(b)));
	ck_assert_uint_ge(dvs_ep_number(m3_self(a)), DVS_EP_SERVERS);
	ck_assert_uint_ne(dvs_ep_generation(m3_self(a)), 0);
	dvk_unbind(a);
	GIVES(OK, dvk_bind, dvk, dvs_ep_of(6), DVK_REPLICA, &a);
	ck_assert_uint_eq(dvs_ep_number(m3_self(a)), 6);
	ck_assert_int_eq(play(other, binding(dvs_ep_of(6), DVK_REPLICA))->err, DVS_INUSE);
	ck_assert_int_eq(play(other, binding(dvs_ep_of(6), DVK_LOCAL))->err, DVS_INUSE);
	dvk_unbind(a);
	dvk_unbind(b);
	world_end(w);
}

TEST(a_stale_endpoint_is_refused_and_its_number_finds_the_new_one)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *a = actor_bound(w, 5);
	dvs_ep old = a->ep;
	struct dvs_msg msg = message(3);
	dvs_ep fresh;

	GIVES(TIMEOUT, m3_send, me, old, &msg, 0);
	ck_assert_int_eq(play(a, unbinding())->err, DVS_OK);
	fresh = bind_as(a, dvs_ep_of(5), DVK_LOCAL);
	ck_assert_uint_eq(dvs_ep_number(fresh), 5);
	ck_assert_uint_ne(dvs_ep_generation(fresh), dvs_ep_generation(old));
	GIVES(NODEST, m3_send, me, old, &msg, DVS_FOREVER);
	GIVES(NODEST, m3_notify, me, old, 1);
	GIVES(NODEST, m3_sendrec, me, old, &msg, DVS_FOREVER);
	GIVES(NODEST, m3_receive, me, old, &msg, DVS_FOREVER);
	GIVES(OK, dvk_wait_unbind, w->dvk, old, DVS_FOREVER);
	begin(a, receiving(dvs_ep_any()));
	GIVES(OK, m3_send, me, dvs_ep_of(5), &msg, DVS_FOREVER);
	ck_assert_uint_eq(end(a)->msg.type, 3);
	/* Also when the channel is there. */
	GIVES(NODEST, m3_send, me, old, &msg, DVS_FOREVER);
	begin(a, receiving(dvs_ep_any()));
	GIVES(OK, m3_send, me, fresh, &msg, DVS_FOREVER);
	ck_assert_int_eq(end(a)->err, DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

TEST(an_endpoint_is_bound_for_another_process)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct actor *a = actor_start(w);
	struct m3 *me = world_bind(w);
	struct dvs_msg msg = message(2);
	dvs_ep ep;
	dvs_ep other;

	ck_assert_int_eq(play(a, taking_bound(0))->err, DVS_TIMEOUT);
	ck_assert_int_eq(play(a, taking_bound(30))->err, DVS_TIMEOUT);
	begin(a, taking_bound(DVS_FOREVER));
	GIVES(OK, dvk_bind_for, dvk, a->pid, dvs_ep_of(9), DVK_LOCAL, &ep);
	EQUAL_EP(end(a)->ep, ep);
	begin(a, receiving(dvs_ep_any()));
	GIVES(OK, m3_send, me, ep, &msg, DVS_FOREVER);
	ck_assert_int_eq(end(a)->err, DVS_OK);
	GIVES(INUSE, dvk_bind_for, dvk, a->pid, dvs_ep_of(9), DVK_LOCAL, &other);
	GIVES(NODEST, dvk_bind_for, dvk, a->pid, dvs_ep_of(10), DVK_BACKUP, &other);
	GIVES(OK, dvk_bind_for, dvk, a->pid, dvs_ep_any(), DVK_LOCAL, &other);
	EQUAL_EP(play(a, taking_bound(DVS_FOREVER))->ep, other);
	dvk_unbind(me);
	world_end(w);
}

static dvs_err open_link(struct stage *me, struct act *act)
{
	return dvk_open(act->text, &me->dvk);
}

static struct act opening(const char *control)
{
	struct act act = { .play = open_link, .call = "dvk_open" };

	for (size_t i = 0; control[i] && i + 1 < sizeof(act.text); i++)
		act.text[i] = control[i];
	return act;
}

/* As a parent does it for the child that it is about to start. */
TEST(callers_wait_for_a_process_that_has_no_link)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct actor *late = actor_at(w, "");
	struct m3 *me = world_bind(w);
	struct actor *client = actor_bound(w, 0);
	struct dvs_msg msg = message(2);
	dvs_ep ep;

	GIVES(OK, dvk_bind_for, dvk, late->pid, dvs_ep_of(9), DVK_LOCAL, &ep);
	GIVES(TIMEOUT, m3_send, me, ep, &msg, 20);
	begin(client, sending(ep, 4));
	ck_assert(!is_done(client));
	ck_assert_int_eq(play(late, opening(w->control))->err, DVS_OK);
	EQUAL_EP(play(late, taking_bound(DVS_FOREVER))->ep, ep);
	ck_assert_uint_eq(play(late, receiving(dvs_ep_any()))->msg.type, 4);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

/* What the channel with the one that died was numbered may be the number of the new one. */
TEST(a_partner_dies_while_another_one_is_waited_for)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct actor *late = actor_at(w, "");
	struct m3 *me = world_bind(w);
	struct actor *victim = actor_bound(w, 5);
	struct actor *client = actor_bound(w, 0);
	struct dvs_msg msg;
	dvs_ep gone = victim->ep;
	dvs_ep ep;

	ck_assert_int_eq(play(client, within(sending(gone, 1), 0))->err, DVS_TIMEOUT);
	GIVES(OK, dvk_bind_for, dvk, late->pid, dvs_ep_of(9), DVK_LOCAL, &ep);
	begin(client, within(sendrecing(ep, 4), PATIENCE_MS / 2));
	/* Its question has time to reach dvsd, where nobody can see it wait. */
	GIVES(TIMEOUT, m3_receive, me, dvs_ep_any(), &msg, 100);
	actor_kill(w, victim);
	GIVES(OK, dvk_wait_unbind, dvk, gone, DVS_FOREVER);
	ck_assert_int_eq(play(late, opening(w->control))->err, DVS_OK);
	EQUAL_EP(play(late, taking_bound(DVS_FOREVER))->ep, ep);
	ck_assert_int_eq(play(late, serving(1))->err, DVS_OK);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	ck_assert_int_eq(play(client, within(sending(gone, 1), 0))->err, DVS_NODEST);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_process_that_is_not_there_gets_no_endpoint)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	pid_t gone = fork();
	dvs_ep ep;

	if (gone == 0)
		_exit(0);
	ck_assert_int_eq(waitpid(gone, NULL, 0), gone);
	GIVES(NOPROC, dvk_bind_for, dvk, gone, dvs_ep_of(9), DVK_LOCAL, &ep);
	GIVES(NOPROC, dvk_endpoint_of, dvk, gone, &ep);
	GIVES(NOPROC, dvk_endpoint_of, dvk, 1, &ep);
	world_end(w);
}

TEST(the_first_endpoint_of_a_process_is_found)
{
	struct world *w = world_start();
	struct actor *a = actor_start(w);
	dvs_ep first;
	dvs_ep ep;

	GIVES(NOPROC, dvk_endpoint_of, world_link(w), a->pid, &ep);
	first = bind_as(a, dvs_ep_any(), DVK_LOCAL);
	(void)bind_as(a, dvs_ep_of(3), DVK_LOCAL);
	GIVES(OK, dvk_endpoint_of, w->dvk, a->pid, &ep);
	EQUAL_EP(ep, first);
	world_end(w);
}

/* ---- waiting for others ---- */

static dvs_err do_wait_bind(struct stage *me, struct act *act)
{
	return dvk_wait_bind(me->dvk, act->ep, act->timeout_ms, &act->ep);
}

static dvs_err do_wait_unbind(struct stage *me, struct act *act)
{
	return dvk_wait_unbind(me->dvk, act->ep, act->timeout_ms);
}

TEST(a_binding_and_its_end_are_waited_for)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct actor *watcher = actor_start(w);
	struct actor *a = actor_start(w);
	struct act coming = { .play = do_wait_bind, .ep = { 5 }, .timeout_ms = DVS_FOREVER };
	struct act going = { .play = do_wait_unbind, .ep = { 5 }, .timeout_ms = DVS_FOREVER };
	dvs_ep ep;

	GIVES(TIMEOUT, dvk_wait_bind, dvk, dvs_ep_of(5), 0, &ep);
	GIVES(TIMEOUT, dvk_wait_bind, dvk, dvs_ep_of(5), 30, NULL);
	GIVES(OK, dvk_wait_unbind, dvk, dvs_ep_of(5), 0);
	begin(watcher, coming);
	(void)bind_as(a, dvs_ep_of(5), DVK_LOCAL);
	ck_assert_int_eq(end(watcher)->err, DVS_OK);
	EQUAL_EP(watcher->done.ep, a->ep);
	GIVES(OK, dvk_wait_bind, dvk, dvs_ep_of(5), 0, &ep);
	EQUAL_EP(ep, a->ep);
	GIVES(TIMEOUT, dvk_wait_unbind, dvk, a->ep, 0);
	GIVES(TIMEOUT, dvk_wait_unbind, dvk, a->ep, 30);
	begin(watcher, going);
	ck_assert_int_eq(play(a, unbinding())->err, DVS_OK);
	ck_assert_int_eq(end(watcher)->err, DVS_OK);
	/* The end of one generation is not held up by the next one. */
	ep = bind_as(a, dvs_ep_of(5), DVK_LOCAL);
	going.ep = ep;
	begin(watcher, going);
	ck_assert_int_eq(play(a, unbinding())->err, DVS_OK);
	(void)bind_as(a, dvs_ep_of(5), DVK_LOCAL);
	ck_assert_int_eq(end(watcher)->err, DVS_OK);
	world_end(w);
}

/* ---- how bindings end ---- */

TEST(another_endpoint_is_unbound)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct m3 *me = world_bind(w);
	struct actor *a = actor_bound(w, 5);
	struct actor *client = actor_bound(w, 0);
	struct dvs_msg msg;
	dvs_ep ep;

	begin(client, sending(a->ep, 1));
	await_activity(w, client->ep, DVK_SENDING);
	begin(a, receiving(m3_self(me)));
	await_activity(w, a->ep, DVK_RECEIVING);
	GIVES(OK, dvk_unbind_endpoint, dvk, a->ep, DVS_FOREVER);
	ck_assert_int_eq(end(a)->err, DVS_NOTBOUND);
	ck_assert_int_eq(end(client)->err, DVS_PEERDEAD);
	GIVES(TIMEOUT, dvk_wait_bind, dvk, dvs_ep_of(5), 0, &ep);
	GIVES(NODEST, dvk_unbind_endpoint, dvk, a->ep, DVS_FOREVER);
	GIVES(NODEST, dvk_unbind_endpoint, dvk, dvs_ep_of(5), DVS_FOREVER);
	ck_assert_int_eq(play(a, sending(client->ep, 1))->err, DVS_NOTBOUND);
	ck_assert_int_eq(play(a, unbinding())->err, DVS_OK);
	(void)bind_as(a, dvs_ep_of(5), DVK_LOCAL);
	/* One's own, by its number. */
	GIVES(OK, dvk_unbind_endpoint, dvk, dvs_ep_of(dvs_ep_number(m3_self(me))), 0);
	GIVES(NOTBOUND, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	dvk_unbind(me);
	world_end(w);
}

static dvs_err close_link(struct stage *me, struct act *act)
{
	(void)act;
	dvk_close(me->dvk);
	saw("dvk_close", DVS_OK);
	me->dvk = NULL;
	return DVS_OK;
}

static dvs_err exec_sleep(struct stage *me, struct act *act)
{
	(void)me;
	(void)act;
	(void)execl("/bin/sleep", "sleep", "1000", (char *)NULL);
	return DVS_IO;
}

TEST(bindings_end_with_their_link_and_their_process)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct actor *closing = actor_bound(w, 5);
	struct actor *execing = actor_bound(w, 6);
	struct actor *dying = actor_bound(w, 7);
	struct act act = { .play = close_link };

	(void)play(closing, act);
	GIVES(OK, dvk_wait_unbind, dvk, dvs_ep_of(5), DVS_FOREVER);
	act.play = exec_sleep;
	begin(execing, act);
	GIVES(OK, dvk_wait_unbind, dvk, dvs_ep_of(6), DVS_FOREVER);
	ck_assert_int_eq(kill(execing->pid, 0), 0);
	actor_kill(w, dying);
	GIVES(OK, dvk_wait_unbind, dvk, dvs_ep_of(7), DVS_FOREVER);
	world_end(w);
}

/* Every client number of the node, and then one more. */
TEST(numbers_run_out_and_come_back)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct m3 **all = calloc(20000, sizeof(*all));
	size_t n = 0;
	struct m3 *self;
	dvs_err err = DVS_OK;
	dvs_ep ep;

	while (n < 20000 && !err) {
		err = dvk_bind(dvk, dvs_ep_any(), DVK_LOCAL, &all[n]);
		n += !err;
	}
	ck_assert_uint_ge(n, 10000);
	GIVES(FULL, dvk_bind, dvk, dvs_ep_any(), DVK_LOCAL, &self);
	GIVES(FULL, dvk_bind_for, dvk, getpid(), dvs_ep_any(), DVK_LOCAL, &ep);
	dvk_unbind(all[n / 2]);
	GIVES(OK, dvk_bind, dvk, dvs_ep_any(), DVK_LOCAL, &all[n / 2]);
	dvk_close(dvk);
	w->dvk = NULL;
	self = world_bind(w);
	dvk_unbind(self);
	free(all);
	world_end(w);
}

CALLS_MAIN("bind", numbers_are_taken_once,
	   a_stale_endpoint_is_refused_and_its_number_finds_the_new_one,
	   an_endpoint_is_bound_for_another_process, callers_wait_for_a_process_that_has_no_link,
	   a_partner_dies_while_another_one_is_waited_for,
	   a_process_that_is_not_there_gets_no_endpoint, the_first_endpoint_of_a_process_is_found,
	   a_binding_and_its_end_are_waited_for, another_endpoint_is_unbound,
	   bindings_end_with_their_link_and_their_process, numbers_run_out_and_come_back)
