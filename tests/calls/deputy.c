/* SPDX-License-Identifier: Apache-2.0 */
/* Who may hand requests on, and who learns of it: the client speaks for another then. */
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "dvs_fixture.h"
#include "ipc/layout.h"

static void set_may(struct world *w, dvs_ep ep, uint32_t may)
{
	struct dvk_privileges privileges;

	GIVES(OK, dvk_privileges_get, world_link(w), ep, &privileges);
	privileges.may = may;
	world_set_privileges(w, ep, &privileges);
}

TEST(who_hands_a_request_on_is_named)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *client = actor_bound(w, 0);
	struct actor *first = actor_bound(w, 0);
	struct actor *second = actor_bound(w, 0);
	struct m3_delivery got;
	struct dvs_msg msg;

	begin(client, calling(first->ep, 1, 100, 100, 7));
	ck_assert(dvs_ep_is_any(play(first, receiving_request())->got.relayed_by));
	ck_assert_int_eq(play(first, relaying(client->ep, second->ep, 2))->err, DVS_OK);
	EQUAL_EP(play(second, receiving_request())->got.relayed_by, first->ep);
	ck_assert_int_eq(play(second, relaying(client->ep, m3_self(me), 3))->err, DVS_OK);
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	GIVES(OK, m3_delivered, me, &got);
	ck_assert_uint_eq(msg.type, 3);
	EQUAL_EP(got.source, client->ep);
	EQUAL_EP(got.relayed_by, second->ep);
	ck_assert_uint_eq(got.data_bytes, 100);
	ck_assert(pattern_is(got.data, 100, 7));
	msg.type = 4;
	GIVES(OK, m3_reply, me, client->ep, &msg);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	ck_assert_uint_eq(client->done.msg.type, 4);
	EQUAL_EP(client->done.msg.source, m3_self(me));
	dvk_unbind(me);
	world_end(w);
}

/* Also over a channel on which a relayed request has come before. */
TEST(who_calls_by_itself_names_nobody)
{
	struct world *w = world_start();
	struct m3 *me = world_bind(w);
	struct actor *client = actor_bound(w, 0);
	struct actor *first = actor_bound(w, 0);
	struct m3_delivery got;
	struct dvs_msg msg;

	begin(client, sendrecing(first->ep, 1));
	ck_assert_int_eq(play(first, receiving_request())->err, DVS_OK);
	ck_assert_int_eq(play(first, relaying(client->ep, m3_self(me), 3))->err, DVS_OK);
	GIVES(OK, m3_receive_request, me, &msg, DVS_FOREVER);
	GIVES(OK, m3_reply, me, client->ep, &msg);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	begin(client, sendrecing(m3_self(me), 1));
	GIVES(OK, m3_receive_request, me, &msg, DVS_FOREVER);
	GIVES(OK, m3_delivered, me, &got);
	ck_assert(dvs_ep_is_any(got.relayed_by));
	GIVES(OK, m3_reply, me, client->ep, &msg);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	begin(client, sending(m3_self(me), 1));
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	GIVES(OK, m3_delivered, me, &got);
	ck_assert(dvs_ep_is_any(got.relayed_by));
	ck_assert_int_eq(end(client)->err, DVS_OK);
	ck_assert_int_eq(play(client, notifying(m3_self(me), 1))->err, DVS_OK);
	GIVES(OK, m3_receive, me, dvs_ep_any(), &msg, DVS_FOREVER);
	GIVES(OK, m3_delivered, me, &got);
	ck_assert(dvs_ep_is_any(got.relayed_by));
	dvk_unbind(me);
	world_end(w);
}

TEST(handing_on_needs_the_right)
{
	struct world *w = world_start();
	struct actor *client = actor_bound(w, 0);
	struct actor *server = actor_bound(w, 0);

	set_may(w, server->ep, DVS_MAY_ALL & ~DVS_MAY_RELAY);
	begin(client, sendrecing(server->ep, 1));
	ck_assert_int_eq(play(server, receiving_request())->err, DVS_OK);
	ck_assert_int_eq(play(server, relaying(client->ep, dvs_ep_of(9), 2))->err, DVS_DENIED);
	ck_assert_int_eq(play(server, replying(client->ep, 3))->err, DVS_OK);
	ck_assert_uint_eq(end(client)->msg.type, 3);
	world_end(w);
}

TEST(calls_under_way_end_when_the_right_changes)
{
	struct world *w = world_start();
	struct actor *client = actor_bound(w, 0);
	struct actor *server = actor_bound(w, 0);

	begin(client, sendrecing(server->ep, 1));
	ck_assert_int_eq(play(server, receiving_request())->err, DVS_OK);
	set_may(w, server->ep, 0);
	ck_assert_int_eq(end(client)->err, DVS_DENIED);
	begin(client, sendrecing(server->ep, 1));
	ck_assert_int_eq(play(server, receiving_request())->err, DVS_OK);
	/* Others that change do not matter to the channel. */
	set_may(w, server->ep, DVS_MAY_WAKE);
	ck_assert_int_eq(play(server, replying(client->ep, 3))->err, DVS_OK);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	world_end(w);
}

/* ---- a server that does not ask its library ---- */

/* As an answer to CALL, in both lanes: the client reads one of them. */
static void write_relay(struct ipc_channel *channel, uint32_t call, uint32_t dst)
{
	for (unsigned side = 0; side < 2; side++) {
		atomic_store(&channel->lane[side].ext.relay_to, dst);
		atomic_store(&channel->lane[side].reply.head, IPC_HEAD(call, IPC_RELAYED));
	}
}

/* Into all channels of this process, also those that are over and still mapped. */
static dvs_err do_forge(struct stage *me, struct act *act)
{
	struct m3_delivery got;
	char line[512];
	FILE *maps;

	if (m3_delivered(me->self, &got))
		return DVS_IO;
	maps = fopen("/proc/self/maps", "re");
	while (maps && fgets(line, sizeof(line), maps)) {
		uintptr_t first;
		uintptr_t offset;

		if (strstr(line, "memfd:dvs-channel") &&
		    sscanf(line, "%" SCNxPTR "-%*x %*s %" SCNxPTR, &first, &offset) == 2 &&
		    offset == 0)
			write_relay((struct ipc_channel *)first, got.call, (uint32_t)act->n);
	}
	if (!maps)
		return DVS_IO;
	(void)fclose(maps);
	return DVS_OK;
}

static struct act forging(dvs_ep dst)
{
	return (struct act){ .play = do_forge, .n = dst.n };
}

/* The forger rings nobody; any event of dvsd lets the client look. */
static void forge(struct world *w, struct actor *server, struct actor *client, dvs_ep dst)
{
	ck_assert_int_eq(play(server, receiving_request())->err, DVS_OK);
	ck_assert_int_eq(play(server, forging(dst))->err, DVS_OK);
	set_may(w, client->ep, DVS_MAY_ALL);
}

TEST(a_client_does_not_follow_who_may_not_hand_on)
{
	struct world *w = world_start();
	struct actor *client = actor_bound(w, 0);
	struct actor *server = actor_bound(w, 0);
	struct actor *victim = actor_bound(w, 0);

	begin(client, sendrecing(server->ep, 1));
	forge(w, server, client, victim->ep);
	EQUAL_EP(play(victim, receiving_request())->got.relayed_by, server->ep);
	ck_assert_int_eq(play(victim, replying(client->ep, 3))->err, DVS_OK);
	ck_assert_int_eq(end(client)->err, DVS_OK);
	set_may(w, server->ep, DVS_MAY_ALL & ~DVS_MAY_RELAY);
	begin(client, sendrecing(server->ep, 1));
	forge(w, server, client, victim->ep);
	ck_assert_int_eq(end(client)->err, DVS_DENIED);
	ck_assert_int_eq(play(victim, within(receiving(dvs_ep_any()), 0))->err, DVS_TIMEOUT);
	world_end(w);
}

CALLS_MAIN("deputy", who_hands_a_request_on_is_named, who_calls_by_itself_names_nobody,
	   handing_on_needs_the_right, calls_under_way_end_when_the_right_changes,
	   a_client_does_not_follow_who_may_not_hand_on)
