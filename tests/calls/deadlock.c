/* SPDX-License-Identifier: Apache-2.0 */
/* Cycles of callers that wait for each other end with one of them told so; chains do not. */
#include "dvs_fixture.h"

/* Two that call each other at the same moment may both be told. */
static void serve_the_other(struct actor *told, struct actor *other)
{
	const struct act *got = play(told, within(receiving(dvs_ep_any()), 200));

	if (got->err == DVS_TIMEOUT) {
		ck_assert_int_eq(end(other)->err, DVS_DEADLOCK);
		return;
	}
	ck_assert_int_eq(got->err, DVS_OK);
	if (got->got.kind == M3_REQUEST)
		ck_assert_int_eq(play(told, replying(other->ep, 1))->err, DVS_OK);
	ck_assert_int_eq(end(other)->err, DVS_OK);
}

/* One of N gets DEADLOCK; the others then wait for nobody in a cycle and are served. */
static void break_cycle(struct actor **member, size_t n)
{
	struct wait wait = wait_begin();
	size_t broken = n;

	while (broken == n) {
		for (size_t i = 0; i < n && broken == n; i++) {
			if (is_done(member[i]))
				broken = i;
		}
		if (broken == n)
			wait_step(&wait, "the end of a deadlock");
	}
	ck_assert_int_eq(end(member[broken])->err, DVS_DEADLOCK);
	if (n == 2) {
		serve_the_other(member[broken], member[!broken]);
		return;
	}
	/* Its caller is served by it, and so on round the cycle. */
	for (size_t i = 1; i < n; i++) {
		struct actor *server = member[(broken + n - i + 1) % n];
		struct actor *client = member[(broken + n - i) % n];
		const struct act *got = play(server, receiving(dvs_ep_any()));

		ck_assert_int_eq(got->err, DVS_OK);
		EQUAL_EP(got->msg.source, client->ep);
		if (got->got.kind == M3_REQUEST)
			ck_assert_int_eq(play(server, replying(client->ep, 1))->err, DVS_OK);
		ck_assert_int_eq(end(client)->err, DVS_OK);
	}
}

static void cycle_of(size_t n, bool requests)
{
	struct world *w = world_start();
	struct actor *member[5];

	ck_assert_uint_le(n, 5);
	for (size_t i = 0; i < n; i++)
		member[i] = actor_bound(w, 0);
	for (size_t i = 0; i < n; i++) {
		dvs_ep next = member[(i + 1) % n]->ep;

		begin(member[i], requests ? sendrecing(next, 1) : sending(next, 1));
	}
	break_cycle(member, n);
	world_end(w);
}

TEST(two_that_send_to_each_other)
{
	cycle_of(2, false);
}

TEST(two_that_call_each_other)
{
	cycle_of(2, true);
}

TEST(three_that_send_round)
{
	cycle_of(3, false);
}

TEST(five_that_call_round)
{
	cycle_of(5, true);
}

TEST(two_that_send_data_to_each_other)
{
	struct world *w = world_start();
	struct actor *a = actor_bound(w, 0);
	struct actor *b = actor_bound(w, 0);
	struct actor *member[] = { a, b };

	begin(a, calling(b->ep, 1, 5000, 0, 1));
	await_activity(w, a->ep, DVK_CALLING);
	begin(b, calling(a->ep, 1, 5000, 0, 1));
	break_cycle(member, 2);
	world_end(w);
}

TEST(a_client_called_back_by_its_server)
{
	struct world *w = world_start();
	struct actor *server = actor_bound(w, 0);
	struct actor *client = actor_bound(w, 0);

	begin(client, sendrecing(server->ep, 1));
	ck_assert_int_eq(play(server, receiving_request())->err, DVS_OK);
	/* The client waits for the reply and will not receive. */
	ck_assert_int_eq(play(server, sendrecing(client->ep, 2))->err, DVS_DEADLOCK);
	ck_assert_int_eq(play(server, replying(client->ep, 3))->err, DVS_OK);
	ck_assert_uint_eq(end(client)->msg.type, 3);
	world_end(w);
}

TEST(a_chain_is_no_cycle)
{
	enum { LENGTH = 5 };
	struct world *w = world_start();
	struct actor *link[LENGTH];

	for (size_t i = 0; i < LENGTH; i++)
		link[i] = actor_bound(w, 0);
	for (size_t i = 0; i + 1 < LENGTH; i++) {
		begin(link[i], within(sendrecing(link[i + 1]->ep, 1), 500));
		await_activity(w, link[i]->ep, DVK_CALLING);
	}
	for (size_t i = 0; i + 1 < LENGTH; i++)
		ck_assert_int_eq(end(link[i])->err, DVS_TIMEOUT);
	world_end(w);
}

CALLS_MAIN("deadlock", two_that_send_to_each_other, two_that_call_each_other, three_that_send_round,
	   five_that_call_round, two_that_send_data_to_each_other,
	   a_client_called_back_by_its_server, a_chain_is_no_cycle)
