/* SPDX-License-Identifier: Apache-2.0 */
/* Backups: silent until they are promoted, by a death or by order; callers only wait longer. */
#include "dvs_fixture.h"

static struct actor *backup_of(struct world *w, dvs_ep ep)
{
	struct actor *backup = actor_start(w);

	EQUAL_EP(bind_as(backup, dvs_ep_of(dvs_ep_number(ep)), DVK_BACKUP), ep);
	return backup;
}

static uint32_t backups_of(struct world *w, dvs_ep ep)
{
	struct dvk_endpoint_info info;

	GIVES(OK, dvk_endpoint_info, world_link(w), ep, &info);
	return info.n_backups;
}

TEST(a_backup_is_silent)
{
	struct world *w = world_start();
	struct actor *primary = actor_bound(w, 5);
	struct actor *backup = backup_of(w, primary->ep);
	struct actor *client = actor_bound(w, 0);

	ck_assert_uint_eq(backups_of(w, primary->ep), 1);
	ck_assert_int_eq(play(backup, within(receiving(dvs_ep_any()), 20))->err, DVS_TIMEOUT);
	ck_assert_int_eq(play(backup, within(receiving(client->ep), 0))->err, DVS_TIMEOUT);
	ck_assert_int_eq(play(backup, within(sending(client->ep, 1), 20))->err, DVS_TIMEOUT);
	ck_assert_int_eq(play(backup, within(sendrecing(client->ep, 1), 0))->err, DVS_TIMEOUT);
	begin(backup, receiving(dvs_ep_any()));
	for (uint32_t i = 0; i < 5; i++) {
		begin(client, sending(dvs_ep_of(5), i));
		ck_assert_uint_eq(play(primary, receiving(dvs_ep_any()))->msg.type, i);
		ck_assert_int_eq(end(client)->err, DVS_OK);
	}
	ck_assert(!is_done(backup));
	ck_assert_int_eq(play(client, within(receiving(dvs_ep_any()), 0))->err, DVS_TIMEOUT);
	actor_kill(w, backup);
	await_activity(w, primary->ep, DVK_RUNNING);
	world_end(w);
}

TEST(a_request_in_flight_is_answered_by_the_backup)
{
	struct world *w = world_start();
	struct actor *primary = actor_bound(w, 5);
	struct actor *backup = backup_of(w, primary->ep);
	struct actor *client = actor_bound(w, 0);
	uint32_t call;

	begin(backup, receiving_request());
	begin(client, calling(dvs_ep_of(5), 7, 3000, 4000, 1));
	ck_assert_int_eq(play(primary, receiving_request())->err, DVS_OK);
	ck_assert_int_eq(primary->done.got.resent, 0);
	call = primary->done.got.call;
	actor_kill(w, primary);
	ck_assert_int_eq(end(backup)->err, DVS_OK);
	ck_assert_uint_eq(backup->done.msg.type, 7);
	ck_assert_int_ne(backup->done.got.resent, 0);
	ck_assert_uint_eq(backup->done.got.call, call);
	ck_assert_uint_eq(backup->done.in_bytes, 3000);
	ck_assert_uint_eq(backup->done.n, 1);
	ck_assert(!is_done(client));
	ck_assert_int_eq(play(backup, replying(client->ep, 8))->err, DVS_OK);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	ck_assert_uint_eq(client->done.msg.type, 8);
	EQUAL_EP(client->done.msg.source, backup->ep);
	/* And so are the next ones. */
	begin(client, sendrecing(backup->ep, 9));
	ck_assert_int_eq(play(backup, receiving_request())->got.resent, 0);
	ck_assert_int_eq(play(backup, replying(client->ep, 10))->err, DVS_OK);
	ck_assert_uint_eq(end(client)->msg.type, 10);
	world_end(w);
}

TEST(messages_and_notifications_that_wait_go_to_the_backup)
{
	struct world *w = world_start();
	struct actor *primary = actor_bound(w, 5);
	struct actor *backup = backup_of(w, primary->ep);
	struct actor *sender = actor_bound(w, 0);
	struct actor *teller = actor_bound(w, 0);

	begin(sender, sending(dvs_ep_of(5), 3));
	await_activity(w, sender->ep, DVK_SENDING);
	ck_assert_int_eq(play(teller, notifying(dvs_ep_of(5), 6))->err, DVS_OK);
	actor_kill(w, primary);
	ck_assert_uint_eq(play(backup, receiving(sender->ep))->msg.type, 3);
	ck_assert_int_eq(end(sender)->err, DVS_OK);
	ck_assert_int_eq(play(teller, notifying(dvs_ep_of(5), 1))->err, DVS_OK);
	ck_assert_uint_eq(play(backup, receiving(teller->ep))->msg.u64[0], 7);
	world_end(w);
}

TEST(the_oldest_backup_follows)
{
	struct world *w = world_start();
	struct actor *server[4];
	struct actor *client = actor_bound(w, 0);
	dvs_ep ep;

	server[0] = actor_bound(w, 5);
	ep = server[0]->ep;
	for (size_t i = 1; i < 4; i++)
		server[i] = backup_of(w, ep);
	ck_assert_uint_eq(backups_of(w, ep), 3);
	for (size_t i = 0; i < 4; i++)
		begin(server[i], serving(1000));
	for (uint32_t i = 0; i < 4; i++) {
		const struct act *done = play(client, sendrecing(ep, 2 * i));

		ck_assert_int_eq(done->err, DVS_OK);
		ck_assert_uint_eq(done->msg.type, 2 * i + 1);
		ck_assert_uint_eq(backups_of(w, ep), 3 - i);
		actor_kill(w, server[i]);
	}
	GIVES(OK, dvk_wait_unbind, w->dvk, ep, DVS_FOREVER);
	ck_assert_int_eq(play(client, sendrecing(ep, 1))->err, DVS_NODEST);
	world_end(w);
}

TEST(a_living_primary_becomes_a_backup)
{
	struct world *w = world_start();
	struct actor *first = actor_bound(w, 5);
	struct actor *second = backup_of(w, first->ep);
	struct actor *client = actor_bound(w, 0);
	struct actor *now[2];
	dvs_ep ep = first->ep;

	for (uint32_t i = 0; i < 6; i++) {
		now[0] = i % 2 ? second : first;
		now[1] = i % 2 ? first : second;
		begin(client, sendrecing(ep, i));
		ck_assert_int_eq(play(now[0], receiving_request())->err, DVS_OK);
		GIVES(OK, dvk_promote, world_link(w), ep, i < 2 ? 0 : now[1]->pid);
		ck_assert_uint_eq(backups_of(w, ep), 1);
		/* What it took is no longer its to answer. */
		begin(now[0], within(receiving(dvs_ep_any()), 20));
		ck_assert_int_eq(play(now[1], receiving_request())->err, DVS_OK);
		ck_assert_uint_eq(now[1]->done.msg.type, i);
		ck_assert_int_ne(now[1]->done.got.resent, 0);
		ck_assert_int_eq(end(now[0])->err, DVS_TIMEOUT);
		ck_assert_int_eq(play(now[0], replying(client->ep, 50))->err, DVS_NOTWAITING);
		ck_assert_int_eq(play(now[1], replying(client->ep, 10 + i))->err, DVS_OK);
		ck_assert_uint_eq(end(client)->msg.type, 10 + i);
	}
	world_end(w);
}

TEST(nobody_is_there_to_be_promoted)
{
	struct world *w = world_start();
	struct dvk *dvk = world_link(w);
	struct actor *primary = actor_bound(w, 5);
	struct actor *other = actor_start(w);

	GIVES(NODEST, dvk_promote, dvk, dvs_ep_of(6), 0);
	GIVES(NOPROC, dvk_promote, dvk, primary->ep, 0);
	GIVES(NOPROC, dvk_promote, dvk, primary->ep, primary->pid);
	GIVES(NOPROC, dvk_promote, dvk, primary->ep, other->pid);
	(void)backup_of(w, primary->ep);
	GIVES(NOPROC, dvk_promote, dvk, primary->ep, other->pid);
	GIVES(NOPROC, dvk_promote, dvk, primary->ep, 999999);
	world_end(w);
}

TEST(a_backup_is_bound_for_another_process)
{
	struct world *w = world_start();
	struct actor *primary = actor_bound(w, 5);
	struct actor *backup = actor_start(w);
	struct actor *client = actor_bound(w, 0);
	dvs_ep ep;

	GIVES(OK, dvk_bind_for, world_link(w), backup->pid, dvs_ep_of(5), DVK_BACKUP, &ep);
	EQUAL_EP(ep, primary->ep);
	EQUAL_EP(play(backup, taking_bound(DVS_FOREVER))->ep, ep);
	begin(backup, serving(1));
	ck_assert(!is_done(backup));
	actor_kill(w, primary);
	ck_assert_uint_eq(play(client, sendrecing(ep, 1))->msg.type, 2);
	ck_assert_int_eq(end(backup)->err, DVS_OK);
	world_end(w);
}

CALLS_MAIN("backup", a_backup_is_silent, a_request_in_flight_is_answered_by_the_backup,
	   messages_and_notifications_that_wait_go_to_the_backup, the_oldest_backup_follows,
	   a_living_primary_becomes_a_backup, nobody_is_there_to_be_promoted,
	   a_backup_is_bound_for_another_process)
