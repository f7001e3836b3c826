/* SPDX-License-Identifier: Apache-2.0 */
/* dvsd is killed, or stopped, and started again: conversations go on, and it knows again what it
 * knew. */
#include <dirent.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "dvs_fixture.h"

static void restart(struct world *w)
{
	dvsd_kill(w);
	dvsd_start(w);
}

/* The partners have told the new dvsd of their conversations. */
static void await_channels(struct world *w, dvs_ep ep, uint32_t n)
{
	struct wait wait = wait_begin();
	struct dvk_endpoint_info info = { .n_channels = 0 };

	while (dvk_endpoint_info(world_link(w), ep, &info) || info.n_channels < n)
		wait_step(&wait, "channels");
}

static void talk(struct actor *client, struct actor *server, uint32_t type)
{
	begin(client, calling(server->ep, type, 1000, 2000, (uint8_t)type));
	begin(server, serving(1));
	ck_assert_int_eq(end(client)->err, DVS_OK);
	ck_assert_uint_eq(client->done.msg.type, type + 1);
	ck_assert_uint_eq(client->done.n, 1);
	ck_assert_int_eq(end(server)->err, DVS_OK);
}

TEST(partners_talk_without_dvsd)
{
	struct world *w = world_start();
	struct actor *server = actor_bound(w, 5);
	struct actor *client = actor_bound(w, 0);

	talk(client, server, 1);
	dvsd_kill(w);
	for (uint32_t i = 0; i < 50; i++)
		talk(client, server, 2 + i);
	dvsd_start(w);
	for (uint32_t i = 0; i < 50; i++)
		talk(client, server, 2 + i);
	world_end(w);
}

TEST(sleepers_are_found_by_new_partners)
{
	struct world *w = world_start();
	struct actor *server = actor_bound(w, 5);
	struct actor *other = actor_bound(w, 6);
	struct actor *client;
	struct actor *old;

	old = actor_bound(w, 0);
	begin(server, serving(2));
	begin(other, serving(1));
	await_activity(w, server->ep, DVK_RECEIVING);
	await_activity(w, other->ep, DVK_RECEIVING);
	restart(w);
	/* One that dvsd has never seen, and one that was there before. */
	client = actor_bound(w, 0);
	ck_assert_int_eq(play(client, calling(server->ep, 1, 10, 10, 1))->err, DVS_OK);
	ck_assert_int_eq(play(old, calling(server->ep, 1, 10, 10, 1))->err, DVS_OK);
	ck_assert_int_eq(play(old, calling(other->ep, 1, 10, 10, 1))->err, DVS_OK);
	ck_assert_int_eq(end(server)->err, DVS_OK);
	ck_assert_int_eq(end(other)->err, DVS_OK);
	world_end(w);
}

TEST(a_call_that_needs_dvsd_waits_for_it)
{
	struct world *w = world_start();
	struct actor *server = actor_bound(w, 5);
	struct actor *client = actor_bound(w, 0);
	struct actor *binder = actor_start(w);

	begin(server, serving(1));
	dvsd_kill(w);
	begin(client, sendrecing(server->ep, 3));
	begin(binder, binding(dvs_ep_of(7), DVK_LOCAL));
	dvsd_start(w);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	ck_assert_uint_eq(client->done.msg.type, 4);
	ck_assert_int_eq(end(server)->err, DVS_OK);
	ck_assert_int_eq(end(binder)->err, DVS_OK);
	GIVES(OK, dvk_wait_bind, world_link(w), dvs_ep_of(7), 0, NULL);
	world_end(w);
}

static dvs_err do_await_bind(struct stage *me, struct act *act)
{
	return dvk_wait_bind(me->dvk, act->ep, DVS_FOREVER, NULL);
}

/* It asks dvsd before it has read what the dead one told it last: that there is a channel. */
TEST(the_last_words_of_dvsd_are_heard)
{
	struct world *w = world_start();
	struct actor *server = actor_bound(w, 5);
	struct actor *client = actor_bound(w, 0);

	begin(client, sendrecing(server->ep, 1));
	await_activity(w, client->ep, DVK_CALLING);
	dvsd_kill(w);
	begin(server, (struct act){ .play = do_await_bind, .ep = client->ep });
	dvsd_start(w);
	ck_assert_int_eq(end(server)->err, DVS_OK);
	ck_assert_int_eq(play(server, receiving_request())->err, DVS_OK);
	ck_assert_int_eq(play(server, replying(client->ep, 3))->err, DVS_OK);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	world_end(w);
}

TEST(bindings_and_generations_are_known_again)
{
	struct world *w = world_start();
	struct actor *a = actor_bound(w, 5);
	struct actor *b = actor_bound(w, 6);
	struct m3 *me = world_bind(w);
	struct dvs_msg msg = message(1);
	dvs_ep old_a = a->ep;
	dvs_ep bound;
	struct m3 *second;

	restart(w);
	GIVES(OK, dvk_wait_bind, w->dvk, dvs_ep_of(5), DVS_FOREVER, &bound);
	EQUAL_EP(bound, old_a);
	GIVES(INUSE, dvk_bind, w->dvk, dvs_ep_of(5), DVK_LOCAL, &second);
	ck_assert_int_eq(play(a, unbinding())->err, DVS_OK);
	GIVES(OK, dvk_wait_unbind, w->dvk, old_a, DVS_FOREVER);
	GIVES(NODEST, m3_send, me, old_a, &msg, DVS_FOREVER);
	ck_assert_uint_ne(bind_as(a, dvs_ep_of(5), DVK_LOCAL).n, old_a.n);
	restart(w);
	GIVES(NODEST, m3_send, me, old_a, &msg, DVS_FOREVER);
	begin(a, receiving(m3_self(me)));
	GIVES(OK, m3_send, me, a->ep, &msg, DVS_FOREVER);
	ck_assert_int_eq(end(a)->err, DVS_OK);
	GIVES(OK, dvk_unbind_endpoint, w->dvk, b->ep, DVS_FOREVER);
	ck_assert_int_eq(play(b, receiving(dvs_ep_any()))->err, DVS_NOTBOUND);
	dvk_unbind(me);
	world_end(w);
}

TEST(who_dies_without_dvsd_is_missed_afterwards)
{
	struct world *w = world_start();
	struct actor *victim = actor_bound(w, 5);
	struct actor *sender = actor_bound(w, 0);
	struct actor *client = actor_bound(w, 0);
	struct actor *leaver = actor_bound(w, 6);
	dvs_ep ep = victim->ep;

	begin(client, sendrecing(ep, 1));
	ck_assert_int_eq(play(victim, receiving_request())->err, DVS_OK);
	begin(sender, sending(ep, 2));
	await_activity(w, sender->ep, DVK_SENDING);
	dvsd_kill(w);
	actor_kill(w, victim);
	actor_kill(w, leaver);
	dvsd_start(w);
	ck_assert_int_eq(end(client)->err, DVS_PEERDEAD);
	ck_assert_int_eq(end(sender)->err, DVS_PEERDEAD);
	GIVES(OK, dvk_wait_unbind, w->dvk, ep, DVS_FOREVER);
	GIVES(OK, dvk_wait_unbind, w->dvk, dvs_ep_of(6), DVS_FOREVER);
	ck_assert_int_eq(play(client, sendrecing(ep, 1))->err, DVS_NODEST);
	(void)actor_bound(w, 5);
	world_end(w);
}

TEST(privileges_and_dcs_are_known_again)
{
	struct world *w = world_start();
	struct actor *a = actor_bound(w, 5);
	struct actor *b = actor_bound(w, 6);
	struct dvk_privileges set = { .may = DVS_MAY_WAKE,
				      .n_call_to = 1,
				      .call_to = { { 7, 9 } } };
	struct dvk_privileges got;
	char control[96];
	struct actor *in_b;

	world_add_dc(w, "b", control, sizeof(control));
	in_b = actor_at(w, control);
	(void)bind_as(in_b, dvs_ep_of(5), DVK_LOCAL);
	GIVES(OK, dvk_privileges_set, world_link(w), a->ep, &set);
	restart(w);
	GIVES(OK, dvk_privileges_get, w->dvk, a->ep, &got);
	ck_assert_uint_eq(got.may, DVS_MAY_WAKE);
	ck_assert_uint_eq(got.n_call_to, 1);
	ck_assert_uint_eq(got.call_to[0].first, 7);
	ck_assert_int_eq(play(a, sending(b->ep, 1))->err, DVS_DENIED);
	ck_assert_int_eq(play(in_b, notifying(dvs_ep_of(6), 1))->err, DVS_NODEST);
	world_end(w);
}

TEST(a_backup_follows_after_a_restart)
{
	struct world *w = world_start();
	struct actor *primary = actor_bound(w, 5);
	struct actor *backup = actor_start(w);
	struct actor *client = actor_bound(w, 0);
	dvs_ep ep = primary->ep;

	EQUAL_EP(bind_as(backup, dvs_ep_of(5), DVK_BACKUP), ep);
	begin(backup, serving(2));
	begin(client, sendrecing(ep, 3));
	ck_assert_int_eq(play(primary, receiving_request())->err, DVS_OK);
	restart(w);
	await_channels(w, ep, 1);
	actor_kill(w, primary);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	ck_assert_uint_eq(client->done.msg.type, 4);
	ck_assert_uint_eq(play(client, sendrecing(ep, 5))->msg.type, 6);
	ck_assert_int_eq(end(backup)->err, DVS_OK);
	world_end(w);
}

TEST(a_migration_goes_on_after_a_restart)
{
	struct world *w = world_start();
	struct actor *old = actor_bound(w, 5);
	struct actor *fresh = actor_start(w);
	struct actor *client = actor_bound(w, 0);
	struct actor *debtor = actor_bound(w, 0);
	struct wait wait = wait_begin();
	dvs_err err;

	begin(debtor, sendrecing(old->ep, 7));
	ck_assert_int_eq(play(old, receiving_request())->err, DVS_OK);
	begin(old, receiving(dvs_ep_any()));
	GIVES(OK, dvk_migrate_start, world_link(w), old->ep);
	await_activity(w, old->ep, DVK_PARKED);
	begin(client, sendrecing(old->ep, 1));
	begin(fresh, taking_bound(DVS_FOREVER));
	restart(w);
	await_channels(w, old->ep, 1);
	/* The new process is known again when it has found the new dvsd. */
	while ((err = dvk_migrate_commit(w->dvk, old->ep, fresh->pid, DVS_FOREVER)) == DVS_NOPROC)
		wait_step(&wait, "the new process");
	ck_assert_int_eq(err, DVS_OK);
	ck_assert_int_eq(end(old)->err, DVS_NOTBOUND);
	EQUAL_EP(end(fresh)->ep, old->ep);
	/* And what it owes, when the client has. */
	while ((err = play(fresh, replying(debtor->ep, 8))->err) == DVS_NOTWAITING)
		wait_step(&wait, "the client");
	ck_assert_int_eq(err, DVS_OK);
	ck_assert_uint_eq(end(debtor)->msg.type, 8);
	begin(fresh, serving(1));
	ck_assert_uint_eq(end(client)->msg.type, 2);
	ck_assert_int_eq(end(fresh)->err, DVS_OK);
	world_end(w);
}

TEST(a_clean_stop_is_survived_as_well)
{
	struct world *w = world_start();
	struct actor *server = actor_bound(w, 5);
	struct actor *client = actor_bound(w, 0);
	struct actor *fresh;

	talk(client, server, 1);
	for (uint32_t i = 0; i < 3; i++) {
		dvsd_stop(w);
		talk(client, server, 2);
		dvsd_start(w);
		talk(client, server, 3);
		fresh = actor_bound(w, 0);
		talk(fresh, server, 4);
		actor_end(w, fresh);
	}
	world_end(w);
}

/* ---- under load ---- */

enum { CLIENTS = 3, CALLS = 3000 };

struct ledger {
	_Atomic uint32_t n_done;
	_Atomic uint32_t n_executed;
	_Atomic uint8_t executed[CLIENTS * CALLS];
};

static dvs_err do_serve_ledger(struct stage *me, struct act *act)
{
	struct ledger *ledger = (struct ledger *)(uintptr_t)act->n;

	for (uint32_t i = 0; i < CLIENTS * CALLS; i++) {
		struct dvs_msg msg;
		dvs_err err = m3_receive_request(me->self, &msg, DVS_FOREVER);

		if (err)
			return err;
		atomic_fetch_add(&ledger->executed[msg.u32[0]], 1);
		atomic_fetch_add(&ledger->n_executed, 1);
		msg.type++;
		err = m3_reply(me->self, msg.source, &msg);
		if (err)
			return err;
	}
	return DVS_OK;
}

/* Binds anew now and then, so that dvsd is needed. */
static dvs_err do_call_ledger(struct stage *me, struct act *act)
{
	struct ledger *ledger = (struct ledger *)(uintptr_t)act->n;
	dvs_err err = DVS_OK;

	for (uint32_t i = 0; i < CALLS && !err; i++) {
		uint32_t job = act->kind * CALLS + i;
		struct dvs_msg msg = message(i);

		msg.u32[0] = job;
		if (i % 300 == 0) {
			dvk_unbind(me->self);
			err = dvk_bind(me->dvk, dvs_ep_any(), DVK_LOCAL, &me->self);
		}
		if (!err)
			err = m3_sendrec(me->self, act->ep, &msg, DVS_FOREVER);
		if (!err && (msg.type != i + 1 || msg.u32[0] != job))
			err = DVS_PROTO;
	}
	atomic_fetch_add(&ledger->n_done, 1);
	return err;
}

/* A dvsd lives until something was done: on a busy machine they would all be dead before anybody has found them. */
static void restart_and_wait(struct world *w, struct ledger *ledger)
{
	uint32_t before = atomic_load(&ledger->n_executed);
	struct wait wait = wait_begin();

	restart(w);
	do
		wait_step(&wait, "a request");
	while (atomic_load(&ledger->n_executed) == before &&
	       atomic_load(&ledger->n_done) < CLIENTS);
}

TEST(no_request_is_lost_or_done_twice)
{
	struct world *w = world_start();
	struct ledger *ledger = mmap(NULL, sizeof(*ledger), PROT_READ | PROT_WRITE,
				     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	struct actor *server = actor_bound(w, 5);
	struct actor *client[CLIENTS];
	unsigned n = 0;

	begin(server, (struct act){ .play = do_serve_ledger, .n = (uintptr_t)ledger });
	for (uint32_t i = 0; i < CLIENTS; i++) {
		client[i] = actor_bound(w, 0);
		begin(client[i], (struct act){ .play = do_call_ledger,
					       .n = (uintptr_t)ledger,
					       .ep = server->ep,
					       .kind = i });
	}
	for (; n < 5 || atomic_load(&ledger->n_done) < CLIENTS; n++)
		restart_and_wait(w, ledger);
	for (uint32_t i = 0; i < CLIENTS; i++)
		ck_assert_int_eq(end(client[i])->err, DVS_OK);
	ck_assert_int_eq(end(server)->err, DVS_OK);
	for (uint32_t i = 0; i < CLIENTS * CALLS; i++)
		ck_assert_uint_eq(atomic_load(&ledger->executed[i]), 1);
	(void)munmap(ledger, sizeof(*ledger));
	world_end(w);
}

/* ---- an inherited socket ---- */

static bool is_link(const struct world *w, int fd)
{
	struct ucred peer = { .pid = 0 };
	socklen_t size = sizeof(peer);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size) == 0 && peer.pid == w->dvsd;
}

/* A bind request, as the protocol has it: op 2, id 7, err 0; want, binding, tid. */
static void send_bind(int fd, uint32_t number)
{
	uint8_t frame[21] = { 2, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0 };

	memcpy(frame + 12, &number, 4);
	frame[16] = DVK_LOCAL;
	frame[17] = 1;
	(void)!send(fd, frame, sizeof(frame), MSG_NOSIGNAL | MSG_DONTWAIT);
}

static void abuse_sockets(const struct world *w)
{
	DIR *all = opendir("/proc/self/fd");
	struct dirent *entry;

	while (all && (entry = readdir(all)) != NULL) {
		int fd = atoi(entry->d_name);

		if (entry->d_name[0] != '.' && is_link(w, fd))
			send_bind(fd, 66);
	}
	if (all)
		closedir(all);
}

TEST(an_inherited_socket_is_of_no_use)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *other = actor_bound(w, 0);
	struct dvs_msg msg;
	pid_t child = fork();
	dvs_ep ep;

	if (child == 0) {
		abuse_sockets(w);
		_exit(0);
	}
	ck_assert_int_eq(waitpid(child, NULL, 0), child);
	GIVES(TIMEOUT, dvk_wait_bind, w->dvk, dvs_ep_of(66), 20, &ep);
	begin(other, sending(m3_self(me), 3));
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	ck_assert_int_eq(end(other)->err, DVS_OK);
	dvk_unbind(me);
	world_end(w);
}

CALLS_MAIN("restart", partners_talk_without_dvsd, sleepers_are_found_by_new_partners,
	   a_call_that_needs_dvsd_waits_for_it, the_last_words_of_dvsd_are_heard,
	   bindings_and_generations_are_known_again, who_dies_without_dvsd_is_missed_afterwards,
	   privileges_and_dcs_are_known_again, a_backup_follows_after_a_restart,
	   a_migration_goes_on_after_a_restart, a_clean_stop_is_survived_as_well,
	   no_request_is_lost_or_done_twice, an_inherited_socket_is_of_no_use)
