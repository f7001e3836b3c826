/* SPDX-License-Identifier: Apache-2.0 */
/* Migration to another process: messages are held, nothing is lost and nothing is done twice. */
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "dvs_fixture.h"

/* With several nodes the actors live on the second one. */
static void move_to(struct world *w, dvs_ep ep, pid_t pid)
{
	if (w->far_dvsd)
		GIVES(OK, dvk_migrate_commit_on, world_link(w), ep, (dvs_nodeid){ 1 }, pid,
		      DVS_FOREVER);
	else
		GIVES(OK, dvk_migrate_commit, world_link(w), ep, pid, DVS_FOREVER);
}

/* It has not parked in time. */
static void move_in_vain(struct world *w, dvs_ep ep, pid_t pid, uint32_t timeout_ms)
{
	if (w->far_dvsd)
		GIVES(TIMEOUT, dvk_migrate_commit_on, world_link(w), ep, (dvs_nodeid){ 1 }, pid,
		      timeout_ms);
	else
		GIVES(TIMEOUT, dvk_migrate_commit, world_link(w), ep, pid, timeout_ms);
}

static bool is_migrating(struct world *w, dvs_ep ep)
{
	struct dvk_endpoint_info info;

	GIVES(OK, dvk_endpoint_info, world_link(w), ep, &info);
	return info.migrating;
}

/* From FROM, which waits in a receive, to TO, which takes it. */
static void migrate(struct world *w, dvs_ep ep, struct actor *to)
{
	GIVES(OK, dvk_migrate_start, world_link(w), ep);
	move_to(w, ep, to->pid);
	EQUAL_EP(play(to, taking_bound(DVS_FOREVER))->ep, ep);
}

TEST(an_endpoint_goes_on_in_another_process)
{
	struct world *w = world_start();
	struct actor *old = actor_bound(w, 5);
	struct actor *fresh = actor_start(w);
	struct actor *client = actor_bound(w, 0);

	begin(client, sendrecing(old->ep, 1));
	ck_assert_int_eq(play(old, receiving_request())->err, DVS_OK);
	ck_assert_int_eq(play(old, replying(client->ep, 2))->err, DVS_OK);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	begin(old, receiving(dvs_ep_any()));
	GIVES(OK, dvk_migrate_start, world_link(w), old->ep);
	ck_assert(is_migrating(w, old->ep));
	await_activity(w, old->ep, DVK_PARKED);
	begin(client, calling(old->ep, 3, 1000, 2000, 1));
	move_to(w, old->ep, fresh->pid);
	ck_assert(!is_migrating(w, old->ep));
	ck_assert_int_eq(end(old)->err, DVS_NOTBOUND);
	EQUAL_EP(play(fresh, taking_bound(DVS_FOREVER))->ep, old->ep);
	begin(fresh, serving(1));
	ck_assert_int_eq(end(client)->err, DVS_OK);
	ck_assert_uint_eq(client->done.msg.type, 4);
	ck_assert_uint_eq(client->done.in_bytes, 2000);
	ck_assert_uint_eq(client->done.n, 1);
	ck_assert_int_eq(end(fresh)->err, DVS_OK);
	ck_assert_int_eq(play(old, receiving(dvs_ep_any()))->err, DVS_NOTBOUND);
	world_end(w);
}

TEST(what_the_old_process_owes_is_answered_by_the_new_one)
{
	struct world *w = world_start();
	struct actor *old = actor_bound(w, 5);
	struct actor *fresh = actor_start(w);
	struct actor *client[3];

	(void)world_link(w);
	for (uint32_t i = 0; i < 3; i++) {
		client[i] = actor_bound(w, 0);
		begin(client[i], sendrecing(old->ep, i));
		ck_assert_uint_eq(play(old, receiving_request())->msg.type, i);
	}
	begin(old, receiving(dvs_ep_any()));
	migrate(w, old->ep, fresh);
	/* They are not received again. */
	ck_assert_int_eq(play(fresh, within(receiving_request(), 20))->err, DVS_TIMEOUT);
	for (uint32_t i = 3; i-- > 0;) {
		ck_assert_int_eq(play(fresh, replying(client[i]->ep, 10 + i))->err, DVS_OK);
		ck_assert_int_eq(end(client[i])->err, DVS_OK);
		ck_assert_uint_eq(client[i]->done.msg.type, 10 + i);
	}
	ck_assert_int_eq(play(fresh, replying(client[0]->ep, 1))->err, DVS_NOTWAITING);
	world_end(w);
}

/* TO receives VALUE from TELLER in all, in one notification or in several. What TELLER said to the former process after that
 * had gone comes with its next call. */
static void await_value(struct actor *teller, struct actor *to, uint64_t value)
{
	struct wait wait = wait_begin();
	uint64_t got = 0;

	for (; got != value; wait_step(&wait, "a notification")) {
		const struct act *act = play(to, within(receiving(teller->ep), 20));

		if (!act->err)
			got |= act->msg.u64[0];
		ck_assert_int_eq(play(teller, within(receiving(dvs_ep_any()), 0))->err,
				 DVS_TIMEOUT);
	}
}

TEST(notifications_and_messages_come_along)
{
	ONE_NODE_ONLY(); /* elsewhere the start of a migration is known an instant later */

	struct world *w = world_start();
	struct actor *old = actor_bound(w, 5);
	struct actor *fresh = actor_start(w);
	struct actor *early = actor_bound(w, 0);
	struct actor *late = actor_bound(w, 0);
	struct actor *sender = actor_bound(w, 0);

	begin(sender, sending(old->ep, 3));
	await_activity(w, sender->ep, DVK_SENDING);
	ck_assert_int_eq(play(early, notifying(old->ep, 1))->err, DVS_OK);
	ck_assert_int_eq(play(late, notifying(old->ep, 8))->err, DVS_OK);
	GIVES(OK, dvk_migrate_start, world_link(w), old->ep);
	ck_assert_int_eq(play(early, notifying(old->ep, 2))->err, DVS_OK);
	begin(old, receiving(dvs_ep_any()));
	move_to(w, old->ep, fresh->pid);
	ck_assert_int_eq(end(old)->err, DVS_NOTBOUND);
	EQUAL_EP(play(fresh, taking_bound(DVS_FOREVER))->ep, old->ep);
	ck_assert_int_eq(play(early, notifying(old->ep, 4))->err, DVS_OK);
	await_value(early, fresh, 7);
	ck_assert_uint_eq(play(fresh, receiving(late->ep))->msg.u64[0], 8);
	ck_assert_uint_eq(play(fresh, receiving(dvs_ep_any()))->msg.type, 3);
	ck_assert_int_eq(end(sender)->err, DVS_OK);
	ck_assert_int_eq(play(fresh, within(receiving(dvs_ep_any()), 0))->err, DVS_TIMEOUT);
	world_end(w);
}

TEST(rolled_back_it_goes_on_with_what_was_held)
{
	struct world *w = world_start();
	struct actor *old = actor_bound(w, 5);
	struct actor *client = actor_bound(w, 0);
	struct actor *fresh = actor_bound(w, 0);

	begin(old, receiving(dvs_ep_any()));
	GIVES(OK, dvk_migrate_start, world_link(w), old->ep);
	await_activity(w, old->ep, DVK_PARKED);
	begin(client, sendrecing(old->ep, 3));
	/* One that never talked to it before is held as well. */
	begin(fresh, sending(dvs_ep_of(5), 4));
	ck_assert(!is_done(old));
	GIVES(OK, dvk_migrate_rollback, world_link(w), old->ep);
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_int_eq(end(old)->err, DVS_OK);
		if (old->done.msg.type == 3)
			ck_assert_int_eq(play(old, replying(client->ep, 5))->err, DVS_OK);
		if (i == 0)
			begin(old, receiving(dvs_ep_any()));
	}
	ck_assert_uint_eq(end(client)->msg.type, 5);
	ck_assert_int_eq(end(fresh)->err, DVS_OK);
	ck_assert(!is_migrating(w, old->ep));
	world_end(w);
}

TEST(a_call_under_way_is_finished_first)
{
	struct world *w = world_start();
	struct actor *moving = actor_bound(w, 5);
	struct actor *server = actor_bound(w, 6);
	struct actor *fresh = actor_start(w);
	struct actor *client = actor_bound(w, 0);

	begin(client, sendrecing(moving->ep, 1));
	ck_assert_int_eq(play(moving, receiving_request())->err, DVS_OK);
	begin(moving, sendrecing(server->ep, 2));
	ck_assert_int_eq(play(server, receiving_request())->err, DVS_OK);
	GIVES(OK, dvk_migrate_start, world_link(w), moving->ep);
	move_in_vain(w, moving->ep, fresh->pid, 30);
	ck_assert_int_eq(play(server, replying(moving->ep, 3))->err, DVS_OK);
	ck_assert_int_eq(end(moving)->err, DVS_OK);
	ck_assert_uint_eq(moving->done.msg.type, 3);
	/* It may still answer; at its next receive it parks. */
	ck_assert_int_eq(play(moving, replying(client->ep, 4))->err, DVS_OK);
	ck_assert_uint_eq(end(client)->msg.type, 4);
	begin(moving, receiving(dvs_ep_any()));
	move_to(w, moving->ep, fresh->pid);
	ck_assert_int_eq(end(moving)->err, DVS_NOTBOUND);
	world_end(w);
}

TEST(the_old_process_may_be_dead)
{
	struct world *w = world_start();
	struct actor *old = actor_bound(w, 5);
	struct actor *fresh = actor_start(w);
	struct actor *client = actor_bound(w, 0);
	dvs_ep ep = old->ep;

	begin(client, sending(ep, 3));
	await_activity(w, client->ep, DVK_SENDING);
	GIVES(OK, dvk_migrate_start, world_link(w), ep);
	actor_kill(w, old);
	move_to(w, ep, fresh->pid);
	EQUAL_EP(play(fresh, taking_bound(DVS_FOREVER))->ep, ep);
	ck_assert_uint_eq(play(fresh, receiving(dvs_ep_any()))->msg.type, 3);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	world_end(w);
}

TEST(a_migration_out_of_order_is_refused)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct actor *a = actor_bound(w, 5);
	struct actor *other = actor_start(w);
	struct actor *linkless = actor_at(w, "");

	GIVES(NODEST, dvk_migrate_start, dvk, dvs_ep_of(6));
	GIVES(NODEST, dvk_migrate_commit, dvk, dvs_ep_of(6), other->pid, 0);
	GIVES(NODEST, dvk_migrate_commit_on, dvk, dvs_ep_of(6), (dvs_nodeid){ 61 }, 1, 0);
	GIVES(NODEST, dvk_migrate_rollback, dvk, dvs_ep_of(6));
	GIVES(BADSTATE, dvk_migrate_commit_on, dvk, a->ep, (dvs_nodeid){ 61 }, 1, 0);
	GIVES(BADSTATE, dvk_migrate_commit, dvk, a->ep, other->pid, 0);
	GIVES(BADSTATE, dvk_migrate_rollback, dvk, a->ep);
	GIVES(OK, dvk_migrate_start, dvk, a->ep);
	GIVES(BADSTATE, dvk_migrate_start, dvk, a->ep);
	GIVES(NOPROC, dvk_migrate_commit, dvk, a->ep, linkless->pid, 0);
	GIVES(NOPROC, dvk_migrate_commit, dvk, a->ep, 999999, 0);
	move_in_vain(w, a->ep, other->pid, 0);
	GIVES(NODEDOWN, dvk_migrate_commit_on, dvk, a->ep, (dvs_nodeid){ 61 }, 1, 0);
	GIVES(OK, dvk_migrate_rollback, dvk, a->ep);
	GIVES(BADSTATE, dvk_migrate_rollback, dvk, a->ep);
	ck_assert_int_eq(play(a, within(receiving(dvs_ep_any()), 0))->err, DVS_TIMEOUT);
	world_end(w);
}

/* ---- under load ---- */

enum { CLIENTS = 4, CALLS = 1500, MOVES = 12 };

struct ledger {
	_Atomic uint32_t n_clients_done;
	_Atomic uint8_t executed[CLIENTS * CALLS];
	_Atomic uint32_t told; /* by the notifications */
};

/* Serve until the endpoint is elsewhere; then take it when it comes back. */
static dvs_err do_serve_ledger(struct stage *me, struct act *act)
{
	struct ledger *ledger = (struct ledger *)(uintptr_t)act->n;

	for (;;) {
		struct dvs_msg msg;
		dvs_err err = me->self ? m3_receive(me->self, dvs_ep_any(), &msg, DVS_FOREVER) :
					 DVS_NOTBOUND;

		if (err == DVS_NOTBOUND) {
			dvk_unbind(me->self);
			me->self = NULL;
			err = dvk_wait_bound(me->dvk, DVS_FOREVER, &me->self);
		} else if (!err && msg.type == DVS_TYPE_NOTIFY) {
			atomic_fetch_or(&ledger->told, (uint32_t)msg.u64[0]);
		} else if (!err) {
			atomic_fetch_add(&ledger->executed[msg.u32[0]], 1);
			msg.type++;
			err = m3_reply(me->self, msg.source, &msg);
		}
		if (err)
			return err;
	}
}

static dvs_err do_call_ledger(struct stage *me, struct act *act)
{
	struct ledger *ledger = (struct ledger *)(uintptr_t)act->n;
	dvs_err err = DVS_OK;

	for (uint32_t i = 0; i < CALLS && !err; i++) {
		uint32_t job = act->kind * CALLS + i;
		struct dvs_msg msg = message(i);

		msg.u32[0] = job;
		if (i == CALLS / 2)
			err = m3_notify(me->self, act->ep, 1u << act->kind);
		if (!err)
			err = m3_sendrec(me->self, act->ep, &msg, DVS_FOREVER);
		if (!err && (msg.type != i + 1 || msg.u32[0] != job))
			err = DVS_PROTO;
	}
	atomic_fetch_add(&ledger->n_clients_done, 1);
	return err;
}

TEST(each_request_is_done_once_while_the_server_moves)
{
	struct world *w = world_start();
	struct ledger *ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct act serve = { .play = do_serve_ledger, .n = (uintptr_t)ledger };
	struct act call = { .play = do_call_ledger, .n = (uintptr_t)ledger };
	struct actor *server[3] = { actor_bound(w, 5), actor_start(w), actor_start(w) };
	struct actor *client[CLIENTS];
	struct wait wait = wait_begin();
	unsigned n_moves = 0;

	call.ep = server[0]->ep;
	for (uint32_t i = 0; i < 3; i++)
		begin(server[i], serve);
	for (uint32_t i = 0; i < CLIENTS; i++) {
		client[i] = actor_bound(w, 0);
		call.kind = i;
		begin(client[i], call);
	}
	/* Each third one is rolled back. */
	for (unsigned at = 0; n_moves < MOVES || atomic_load(&ledger->n_clients_done) < CLIENTS;
	     n_moves++) {
		GIVES(OK, dvk_migrate_start, world_link(w), call.ep);
		if (n_moves % 3 == 2) {
			GIVES(OK, dvk_migrate_rollback, world_link(w), call.ep);
		} else {
			at = (at + 1) % 3;
			move_to(w, call.ep, server[at]->pid);
		}
		wait_step(&wait, "the clients' end");
	}
	for (uint32_t i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(end(client[i])->err, DVS_OK);
	for (uint32_t i = 0; i < CLIENTS * CALLS; i++)
		ck_assert_uint_eq(atomic_load(&ledger->executed[i]), 1);
	ck_assert_uint_eq(atomic_load(&ledger->told), (1u << CLIENTS) - 1);
	for (uint32_t i = 0; i < 3; i++)
		ck_assert(!is_done(server[i]));
	world_end(w);
}

TEST(an_endpoint_goes_on_in_a_process_that_is_named_by_its_node)
{
	struct world *w = world_start();
	struct actor *old = actor_bound(w, 5);
	struct actor *fresh = actor_start(w);
	struct dvk_endpoint_info info;

	begin(old, receiving(dvs_ep_any()));
	GIVES(OK, dvk_endpoint_info, world_link(w), old->ep, &info);
	GIVES(OK, dvk_migrate_start, world_link(w), old->ep);
	GIVES(OK, dvk_migrate_commit_on, world_link(w), old->ep, info.node, fresh->pid,
	      DVS_FOREVER);
	ck_assert_int_eq(end(old)->err, DVS_NOTBOUND);
	EQUAL_EP(play(fresh, taking_bound(DVS_FOREVER))->ep, old->ep);
	world_end(w);
}

CALLS_MAIN("migrate", an_endpoint_goes_on_in_a_process_that_is_named_by_its_node,
	   an_endpoint_goes_on_in_another_process,
	   what_the_old_process_owes_is_answered_by_the_new_one,
	   notifications_and_messages_come_along, rolled_back_it_goes_on_with_what_was_held,
	   a_call_under_way_is_finished_first, the_old_process_may_be_dead,
	   a_migration_out_of_order_is_refused, each_request_is_done_once_while_the_server_moves)
