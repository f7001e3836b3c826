/* SPDX-License-Identifier: Apache-2.0 */
/* What an endpoint of an ordinary user may not do, right by right. Processes of another user can
 * only be made by root. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "dvs_fixture.h"

#define NOBODY 65534u

/* MAY for EP, on top of calling everybody. */
static void allow(struct world *w, dvs_ep ep, uint32_t may)
{
	struct dvk_privileges privileges = { .may = may,
					     .n_call_to = 1,
					     .call_to = { { 0, DVS_EP_NUMBER_MAX } } };

	GIVES(OK, dvk_privileges_set, world_link(w), ep, &privileges);
}

/* A DC's directory is its owner's alone; here everybody is let in. */
static struct world *world_of_users(void)
{
	struct world *w = world_start();
	char dir[96];

	(void)snprintf(dir, sizeof(dir), "%s/dc/a", w->run_dir);
	ck_assert_int_eq(chmod(dir, 0755), 0);
	return w;
}

static struct actor *user(struct world *w)
{
	struct actor *actor = actor_as(w, NOBODY);

	(void)bind_as(actor, dvs_ep_any(), DVK_LOCAL);
	return actor;
}

TEST(a_user_may_call_everyone_and_manage_nothing)
{
	struct world *w = world_of_users();
	struct actor *a = user(w);
	struct actor *server = actor_bound(w, 5);
	struct dvk_privileges got;

	GIVES(OK, dvk_privileges_get, world_link(w), a->ep, &got);
	ck_assert_uint_eq(got.may, 0);
	ck_assert_uint_eq(got.n_call_to, 1);
	ck_assert_uint_eq(got.call_to[0].last, DVS_EP_NUMBER_MAX);
	GIVES(OK, dvk_privileges_get, w->dvk, server->ep, &got);
	ck_assert_uint_eq(got.may, DVS_MAY_ALL);
	begin(server, serving(1));
	ck_assert_int_eq(play(a, calling(server->ep, 1, 100, 100, 4))->err, DVS_OK);
	ck_assert_uint_eq(a->done.n, 1);
	world_end(w);
}

/* ---- binding ---- */

static dvs_err do_bind_for(struct stage *me, struct act *act)
{
	return dvk_bind_for(me->dvk, act->pid, act->ep, DVK_LOCAL, &act->ep);
}

static struct act binding_for(pid_t pid, uint32_t number)
{
	return (struct act){
		.play = do_bind_for, .call = "dvk_bind_for", .pid = pid, .ep = { number }
	};
}

static dvs_err do_unbind_endpoint(struct stage *me, struct act *act)
{
	return dvk_unbind_endpoint(me->dvk, act->ep, 0);
}

static struct act unbinding_endpoint(dvs_ep ep)
{
	return (struct act){ .play = do_unbind_endpoint, .call = "dvk_unbind_endpoint", .ep = ep };
}

TEST(binding_servers_needs_a_right)
{
	struct world *w = world_of_users();
	struct actor *a = user(w);
	struct actor *victim = user(w);
	dvs_ep own = a->ep;

	(void)actor_bound(w, 5);
	ck_assert_int_eq(play(a, binding(dvs_ep_of(6), DVK_LOCAL))->err, DVS_DENIED);
	ck_assert_int_eq(play(a, binding(dvs_ep_of(5), DVK_BACKUP))->err, DVS_DENIED);
	ck_assert_int_eq(play(a, binding_for(victim->pid, 7))->err, DVS_DENIED);
	ck_assert_int_eq(play(a, unbinding_endpoint(victim->ep))->err, DVS_DENIED);
	/* Its own it may end. */
	ck_assert_int_eq(play(a, binding(dvs_ep_any(), DVK_LOCAL))->err, DVS_OK);
	ck_assert_int_eq(play(a, unbinding_endpoint(a->done.ep))->err, DVS_OK);
	allow(w, own, DVS_MAY_BIND);
	ck_assert_int_eq(play(a, binding(dvs_ep_of(6), DVK_LOCAL))->err, DVS_OK);
	ck_assert_int_eq(play(a, binding(dvs_ep_of(5), DVK_BACKUP))->err, DVS_OK);
	ck_assert_int_eq(play(a, binding_for(victim->pid, 7))->err, DVS_OK);
	ck_assert_int_eq(play(a, unbinding_endpoint(victim->ep))->err, DVS_OK);
	world_end(w);
}

/* ---- privileges ---- */

static dvs_err do_set(struct stage *me, struct act *act)
{
	return dvk_privileges_set(me->dvk, act->ep, &act->privileges);
}

static struct act setting(dvs_ep ep, uint32_t may)
{
	return (struct act){ .play = do_set,
			     .call = "dvk_privileges_set",
			     .ep = ep,
			     .privileges = { .may = may,
					     .n_call_to = 1,
					     .call_to = { { 0, DVS_EP_NUMBER_MAX } } } };
}

TEST(rights_are_given_by_who_has_them)
{
	struct world *w = world_of_users();
	struct actor *a = user(w);
	struct actor *b = user(w);
	struct dvk_privileges got;

	ck_assert_int_eq(play(a, setting(a->ep, DVS_MAY_ALL))->err, DVS_DENIED);
	ck_assert_int_eq(play(a, setting(a->ep, 0))->err, DVS_DENIED);
	allow(w, a->ep, DVS_MAY_GRANT | DVS_MAY_WAKE);
	ck_assert_int_eq(play(a, setting(b->ep, DVS_MAY_WAKE))->err, DVS_OK);
	ck_assert_int_eq(play(a, setting(b->ep, DVS_MAY_COPY))->err, DVS_DENIED);
	ck_assert_int_eq(play(a, setting(a->ep, DVS_MAY_ALL))->err, DVS_DENIED);
	GIVES(OK, dvk_privileges_get, w->dvk, b->ep, &got);
	ck_assert_uint_eq(got.may, DVS_MAY_WAKE);
	world_end(w);
}

/* ---- waking and copying ---- */

TEST(waking_others_needs_a_right)
{
	struct world *w = world_of_users();
	struct actor *a = user(w);
	struct actor *b = user(w);

	(void)world_link(w);
	begin(b, receiving(dvs_ep_any()));
	ck_assert_int_eq(play(a, waking(b->ep))->err, DVS_DENIED);
	ck_assert(!is_done(b));
	/* Of its own process it may. */
	ck_assert_int_eq(play(a, waking(a->ep))->err, DVS_OK);
	allow(w, a->ep, DVS_MAY_WAKE);
	ck_assert_int_eq(play(a, waking(b->ep))->err, DVS_OK);
	ck_assert_int_eq(end(b)->err, DVS_WOKEN);
	world_end(w);
}

static dvs_err do_grant_all(struct stage *me, struct act *act)
{
	return m3_grant(me->self, dvs_ep_any(), me->memory, 4096, M3_GRANT_READ | M3_GRANT_WRITE,
			&act->grant);
}

/* From the grant of ep to the grant in kind of the endpoint in n. */
static dvs_err do_copy(struct stage *me, struct act *act)
{
	struct m3_span from = { .owner = act->ep, .grant = act->grant };
	struct m3_span to = { .owner = { (uint32_t)act->n }, .grant = act->kind };

	if (act->n == 0)
		to = (struct m3_span){ .owner = m3_self(me->self), .addr = me->memory };
	return m3_copy(me->self, &from, &to, 4096);
}

TEST(copying_between_others_needs_a_right)
{
	struct world *w = world_of_users();
	struct actor *a = user(w);
	struct actor *b = user(w);
	struct actor *c = user(w);
	struct act grant = { .play = do_grant_all, .call = "m3_grant" };
	struct act copy = { .play = do_copy, .call = "m3_copy", .ep = b->ep };

	ck_assert_int_eq(play(b, grant)->err, DVS_OK);
	ck_assert_int_eq(play(c, grant)->err, DVS_OK);
	copy.grant = b->done.grant;
	ck_assert_int_eq(play(a, copy)->err, DVS_OK);
	copy.n = c->ep.n;
	copy.kind = c->done.grant;
	ck_assert_int_eq(play(a, copy)->err, DVS_DENIED);
	allow(w, a->ep, DVS_MAY_COPY);
	ck_assert_int_eq(play(a, copy)->err, DVS_OK);
	world_end(w);
}

/* ---- migration and promotion ---- */

static dvs_err do_migrate_start(struct stage *me, struct act *act)
{
	return dvk_migrate_start(me->dvk, act->ep);
}

static dvs_err do_migrate_commit(struct stage *me, struct act *act)
{
	return dvk_migrate_commit(me->dvk, act->ep, act->pid, 0);
}

static dvs_err do_migrate_commit_on(struct stage *me, struct act *act)
{
	return dvk_migrate_commit_on(me->dvk, act->ep, (dvs_nodeid){ 0 }, act->pid, 0);
}

static dvs_err do_migrate_rollback(struct stage *me, struct act *act)
{
	return dvk_migrate_rollback(me->dvk, act->ep);
}

static dvs_err do_promote(struct stage *me, struct act *act)
{
	return dvk_promote(me->dvk, act->ep, 0);
}

TEST(moving_and_promoting_needs_a_right)
{
	struct world *w = world_of_users();
	struct actor *a = user(w);
	struct actor *b = user(w);
	struct act acts[] = {
		{ .play = do_migrate_start, .call = "dvk_migrate_start", .ep = b->ep },
		{ .play = do_migrate_commit,
		  .call = "dvk_migrate_commit",
		  .ep = b->ep,
		  .pid = a->pid },
		{ .play = do_migrate_commit_on,
		  .call = "dvk_migrate_commit_on",
		  .ep = b->ep,
		  .pid = a->pid },
		{ .play = do_migrate_rollback, .call = "dvk_migrate_rollback", .ep = b->ep },
		{ .play = do_promote, .call = "dvk_promote", .ep = b->ep },
	};
	static const dvs_err allowed[] = { DVS_OK, DVS_TIMEOUT, DVS_TIMEOUT, DVS_OK, DVS_NOPROC };

	for (size_t i = 0; i < 5; i++)
		ck_assert_int_eq(play(a, acts[i])->err, DVS_DENIED);
	/* Not even of itself. */
	acts[0].ep = a->ep;
	ck_assert_int_eq(play(a, acts[0])->err, DVS_DENIED);
	acts[0].ep = b->ep;
	allow(w, a->ep, DVS_MAY_MIGRATE);
	for (size_t i = 0; i < 5; i++)
		ck_assert_int_eq(play(a, acts[i])->err, allowed[i]);
	world_end(w);
}

/* ---- what only managers may ---- */

static dvs_err do_trace_open(struct stage *me, struct act *act)
{
	struct dvk_trace *trace;

	return dvk_trace_open(me->dvk, act->ep, &trace);
}

static dvs_err do_admin_open(struct stage *me, struct act *act)
{
	struct dvk *admin;

	(void)me;
	return dvk_admin_open(act->text, &admin);
}

static dvs_err do_open(struct stage *me, struct act *act)
{
	struct dvk *dvk;

	(void)me;
	return dvk_open(act->text, &dvk);
}

static dvs_err do_dc_create(struct stage *me, struct act *act)
{
	(void)act;
	return dvk_dc_create(me->dvk, "x", 0, NULL);
}

static dvs_err do_dc_remove(struct stage *me, struct act *act)
{
	(void)act;
	return dvk_dc_remove(me->dvk, "a", 1);
}

TEST(managers_only)
{
	struct world *w = world_of_users();
	struct actor *a = user(w);
	struct actor *b = user(w);
	struct act trace = { .play = do_trace_open, .call = "dvk_trace_open", .ep = b->ep };
	struct act admin = { .play = do_admin_open, .call = "dvk_admin_open" };
	struct act other = { .play = do_open, .call = "dvk_open" };
	struct act create = { .play = do_dc_create, .call = "dvk_dc_create" };
	struct act removal = { .play = do_dc_remove, .call = "dvk_dc_remove" };

	struct dvk_node_digest digests[DVS_NODES_MAX];
	uint32_t n_digests;

	(void)snprintf(admin.text, sizeof(admin.text), "%s", w->run_dir);
	world_add_dc(w, "b", other.text, sizeof(other.text));
	allow(w, a->ep, DVS_MAY_ALL);
	ck_assert_int_eq(play(a, other)->err, DVS_DENIED);
	ck_assert_int_eq(play(a, trace)->err, DVS_DENIED);
	ck_assert_int_eq(play(a, admin)->err, DVS_DENIED);
	ck_assert_int_eq(play(a, create)->err, DVS_DENIED);
	ck_assert_int_eq(play(a, removal)->err, DVS_DENIED);
	/* A manager too, over the socket of a DC. */
	GIVES(DENIED, dvk_dc_create, w->dvk, "x", 0, NULL);
	GIVES(DENIED, dvk_dc_remove, w->dvk, "a", 1);
	GIVES(DENIED, dvk_node_drain, w->dvk, (dvs_nodeid){ 0 }, 1, NULL);
	GIVES(DENIED, dvk_node_remove, w->dvk, (dvs_nodeid){ 0 });
	GIVES(DENIED, dvk_verify, w->dvk, 0, digests, &n_digests);
	GIVES(DENIED, dvk_watch, w->dvk);
	world_end(w);
}

int main(void)
{
	const TTest *const tests[] = {
		a_user_may_call_everyone_and_manage_nothing,
		binding_servers_needs_a_right,
		rights_are_given_by_who_has_them,
		waking_others_needs_a_right,
		copying_between_others_needs_a_right,
		moving_and_promoting_needs_a_right,
		managers_only,
	};

	if (getuid() != 0) {
		(void)puts("1..0 # SKIP only root can start processes of another user");
		return EXIT_SUCCESS;
	}
	return calls_run("denied", tests, sizeof(tests) / sizeof(tests[0]));
}
