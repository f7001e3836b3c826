/* SPDX-License-Identifier: Apache-2.0 */
/* Two DCs on one node do not see each other, whatever a process tries. */
#include <sys/wait.h>
#include <unistd.h>

#include "dvs_fixture.h"

TEST(equal_numbers_are_different_endpoints)
{
	struct world *w = world_start();
	char control[96];
	struct actor *server[2];
	struct actor *client[2];

	world_add_dc(w, "b", control, sizeof(control));
	for (size_t i = 0; i < 2; i++) {
		server[i] = i ? actor_at(w, control) : actor_start(w);
		client[i] = i ? actor_at(w, control) : actor_start(w);
		(void)bind_as(server[i], dvs_ep_of(5), DVK_LOCAL);
		(void)bind_as(client[i], dvs_ep_of(6), DVK_LOCAL);
	}
	/* The same numbers and generations. */
	EQUAL_EP(server[0]->ep, server[1]->ep);
	EQUAL_EP(client[0]->ep, client[1]->ep);
	for (uint32_t i = 0; i < 2; i++)
		begin(client[i], sendrecing(server[i]->ep, 10 + i));
	for (uint32_t i = 0; i < 2; i++) {
		ck_assert_uint_eq(play(server[i], receiving_request())->msg.type, 10 + i);
		ck_assert_int_eq(play(server[i], replying(client[i]->ep, 20 + i))->err, DVS_OK);
		ck_assert_uint_eq(end(client[i])->msg.type, 20 + i);
	}
	actor_kill(w, server[1]);
	ck_assert_int_ne(play(client[1], sending(dvs_ep_of(5), 1))->err, DVS_OK);
	begin(client[0], sending(server[0]->ep, 1));
	ck_assert_int_eq(play(server[0], receiving(client[0]->ep))->err, DVS_OK);
	ck_assert_int_eq(end(client[0])->err, DVS_OK);
	world_end(w);
}

TEST(numbers_of_another_dc_are_nobody)
{
	struct world *w = world_start();
	char control[96];
	struct actor *inside = actor_bound(w, 5);
	struct actor *inside_too = actor_bound(w, 0);
	struct actor *outside;
	struct dvk_endpoint_info info;
	struct dvk *dvk;
	struct m3 *me;
	uint64_t cursor = 0;
	struct dvs_msg msg = message(1);
	dvs_ep ep;

	world_add_dc(w, "b", control, sizeof(control));
	GIVES(OK, dvk_open, control, &dvk);
	GIVES(OK, dvk_bind, dvk, dvs_ep_of(900), DVK_LOCAL, &me);
	for (uint32_t number = 0; number < 200; number++)
		GIVES(NODEST, m3_notify, me, dvs_ep_of(number), 1);
	GIVES(NODEST, m3_send, me, inside->ep, &msg, DVS_FOREVER);
	GIVES(NODEST, m3_send, me, inside_too->ep, &msg, DVS_FOREVER);
	GIVES(NODEST, m3_receive, me, inside_too->ep, &msg, DVS_FOREVER);
	GIVES(NODEST, m3_wakeup, me, inside->ep);
	GIVES(NODEST, dvk_endpoint_info, dvk, inside->ep, &info);
	GIVES(NODEST, dvk_unbind_endpoint, dvk, inside->ep, 0);
	GIVES(NODEST, dvk_migrate_start, dvk, inside->ep);
	GIVES(NOPROC, dvk_endpoint_of, dvk, inside->pid, &ep);
	GIVES(DENIED, dvk_bind_for, dvk, inside->pid, dvs_ep_of(7), DVK_LOCAL, &ep);
	GIVES(TIMEOUT, dvk_wait_bind, dvk, inside->ep, 0, &ep);
	GIVES(OK, dvk_endpoint_next, dvk, &cursor, &info);
	EQUAL_EP(info.ep, m3_self(me));
	GIVES(NODEST, dvk_endpoint_next, dvk, &cursor, &info);
	outside = actor_at(w, control);
	ck_assert_int_eq(play(outside, binding(dvs_ep_of(5), DVK_BACKUP))->err, DVS_NODEST);
	dvk_unbind(me);
	dvk_close(dvk);
	world_end(w);
}

TEST(a_grant_to_anyone_is_for_its_own_dc)
{
	struct world *w = world_start();
	char control[96];
	struct m3 *me = world_bind(w);
	uint8_t secret[16] = "not for dc b";
	struct m3_span from;
	uint32_t grant;
	int status;
	pid_t child;

	world_add_dc(w, "b", control, sizeof(control));
	GIVES(OK, m3_grant, me, dvs_ep_any(), secret, sizeof(secret), M3_GRANT_READ, &grant);
	from = (struct m3_span){ .owner = m3_self(me), .grant = grant };
	child = fork();
	if (child == 0) {
		struct dvk *dvk;
		struct m3 *other;
		uint8_t got[16];
		struct m3_span to = { .addr = got };

		GIVES(OK, dvk_open, control, &dvk);
		GIVES(OK, dvk_bind, dvk, dvs_ep_of(5), DVK_LOCAL, &other);
		to.owner = m3_self(other);
		GIVES(NODEST, m3_copy, other, &from, &to, sizeof(got));
		dvk_close(dvk);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, &status, 0), child);
	ck_assert_int_eq(status, 0);
	dvk_unbind(me);
	world_end(w);
}

TEST(a_process_is_in_one_dc_at_a_time)
{
	struct world *w = world_start();
	char control[96];
	struct dvk *dvk = world_link(w);
	struct dvk *second;

	world_add_dc(w, "b", control, sizeof(control));
	GIVES(DENIED, dvk_open, control, &second);
	/* A second link with its own DC is fine. */
	GIVES(OK, dvk_open, w->control, &second);
	GIVES(DENIED, dvk_open, control, &second);
	dvk_close(second);
	dvk_close(dvk);
	w->dvk = NULL;
	GIVES(OK, dvk_open, control, &second);
	GIVES(DENIED, dvk_open, w->control, &dvk);
	dvk_close(second);
	world_end(w);
}

TEST(a_dc_that_is_removed_takes_its_endpoints_along)
{
	struct world *w = world_start();
	char control[96];
	struct dvk *admin = world_admin(w);
	struct actor *in_b;
	struct dvk *dvk;

	world_add_dc(w, "b", control, sizeof(control));
	in_b = actor_at(w, control);
	(void)bind_as(in_b, dvs_ep_of(5), DVK_LOCAL);
	begin(in_b, receiving(dvs_ep_any()));
	GIVES(BADSTATE, dvk_dc_remove, admin, "b", 0);
	ck_assert(!is_done(in_b));
	GIVES(OK, dvk_dc_remove, admin, "b", 1);
	ck_assert_int_eq(end(in_b)->err, DVS_NOTBOUND);
	GIVES(NODC, dvk_dc_remove, admin, "b", 1);
	GIVES(NODVSD, dvk_open, control, &dvk);
	dvk_close(admin);
	world_end(w);
}

CALLS_MAIN("confine", equal_numbers_are_different_endpoints, numbers_of_another_dc_are_nobody,
	   a_grant_to_anyone_is_for_its_own_dc, a_process_is_in_one_dc_at_a_time,
	   a_dc_that_is_removed_takes_its_endpoints_along)
