/* SPDX-License-Identifier: Apache-2.0 */
/* Channels with endpoints of other nodes: what processes and proxies are told of them. */
#include "rig.h"
#include "unit.h"

#define SERVER 20u
#define OTHER 21u
#define ANY UINT32_MAX

/* ---- a process here, a server on node 1, its proxy ---- */

struct scene {
	struct rig rig;
	struct peer *client;
	struct peer *proxy;
	struct core_process far;
	dvs_ep ep;
	dvs_ep server;
	struct control_carry_req carried;
	uint64_t memory;
};

static struct scene scene;

static void scene_open(void)
{
	rig_open(&scene.rig);
	scene.client = rig_process(&scene.rig);
	scene.ep = peer_bind(scene.client, ANY, DVK_LOCAL);
	scene.far = rig_far_process(&scene.rig, 1);
	scene.server = rig_far_bind(&scene.rig, &scene.far, SERVER, DVK_LOCAL);
	scene.proxy = rig_proxy(&scene.rig, 1);
}

/* With a channel. */
static void scene_connect(void)
{
	const struct letter *answer;
	uint32_t id;

	scene_open();
	id = peer_connect(scene.client, scene.ep, scene.server, 0);
	answer = peer_mail(scene.client, CONTROL_CONNECT, id);
	ck_assert_ptr_nonnull(answer);
	ck_assert_uint_eq(answer->err, DVS_OK);
	scene.carried = peer_carry(scene.proxy, &scene.memory);
}

static void nothing_else(void)
{
	rig_turn(&scene.rig);
	for (size_t i = 0; i < scene.rig.n_peers; i++)
		ck_assert_uint_eq(peer_forget_mail(&scene.rig.peers[i]), 0);
}

static void scene_close(void)
{
	nothing_else();
	rig_close(&scene.rig);
}

static dvs_err far_unbind(const struct core_process *process, dvs_ep ep)
{
	struct core_command command = {
		.op = CORE_UNBIND, .dc = scene.rig.dc, .ep = ep.n, .process = *process
	};

	return rig_command(&scene.rig, &command);
}

static void node_down(uint32_t node)
{
	struct core_command command = { .op = CORE_NODE_DOWN, .node = node };

	ck_assert_int_eq(rig_command(&scene.rig, &command), DVS_OK);
}

static void expect_end(struct peer *proxy, const struct control_carry_req *carried, uint8_t far)
{
	struct control_carry_end_req end = peer_carry_end(proxy);

	ck_assert_uint_eq(end.instance, carried->instance);
	ck_assert_uint_eq(end.remote, carried->remote);
	ck_assert_uint_eq(end.local, carried->local);
	ck_assert_uint_eq(end.dc, carried->dc);
	ck_assert_uint_eq(end.far, far);
}

static void expect_gone(struct peer *peer, dvs_ep with, dvs_err reason)
{
	struct control_gone_req gone = peer_gone(peer);

	ck_assert_uint_eq(gone.peer, with.n);
	/* which of several with the same address */
	ck_assert_uint_eq(gone.my_index, scene.carried.peer_index);
	ck_assert_uint_eq(gone.reason, reason);
}

/* ---- the beginning ---- */

TEST(a_channel_with_another_node_is_shared_with_its_proxy)
{
	struct control_connect_rep rep;
	const struct letter *answer;
	uint64_t memory;
	struct cursor in;

	scene_open();
	answer = peer_mail(scene.client, CONTROL_CONNECT,
			   peer_connect(scene.client, scene.ep, scene.server, 0));
	ck_assert_ptr_nonnull(answer);
	ck_assert_uint_eq(answer->err, DVS_OK);
	ck_assert_uint_eq(answer->n_fds, 2);
	in = cursor_over(answer->bytes + FRAME_HEAD_BYTES, answer->len - FRAME_HEAD_BYTES);
	ck_assert_int_eq(control_connect_rep_decode(&in, &rep), DVS_OK);
	memory = answer->inodes[0];
	ck_assert_uint_eq(answer->inodes[1], scene.rig.host.carriers[1]->process.area);
	ck_assert_uint_eq(rep.remote, 2);
	ck_assert_uint_eq(rep.peer, scene.server.n);
	ck_assert_uint_eq(rep.peer_slot, 0);
	scene.carried = peer_carry(scene.proxy, &scene.memory);
	ck_assert_uint_eq(scene.memory, memory);
	ck_assert_uint_eq(scene.carried.local, scene.ep.n);
	ck_assert_uint_eq(scene.carried.remote, scene.server.n);
	ck_assert_uint_eq(scene.carried.index, rep.peer_index);
	ck_assert_uint_eq(scene.carried.peer_index, rep.my_index);
	ck_assert_uint_eq(scene.carried.side, 1 - rep.side);
	ck_assert_uint_ne(scene.carried.instance, 0);
	answer = peer_mail(scene.client, CONTROL_CONNECT,
			   peer_connect(scene.client, scene.ep, scene.server, 0));
	ck_assert_uint_eq(answer->err, DVS_BADSTATE);
	scene_close();
}

TEST(stand_ins_of_one_node_share_the_numbers_of_a_page)
{
	struct control_carry_req second;
	dvs_ep other;

	scene_connect();
	other = rig_far_bind(&scene.rig, &scene.far, OTHER, DVK_LOCAL);
	(void)peer_connect(scene.client, scene.ep, other, 0);
	second = peer_carry(scene.proxy, NULL);
	ck_assert_uint_ne(second.index, scene.carried.index);
	ck_assert_uint_ne(second.instance, scene.carried.instance);
	peer_forget_mail(scene.client);
	scene_close();
}

TEST(the_next_proxy_gets_the_same)
{
	struct control_carry_req again;
	uint64_t memory;

	scene_connect();
	peer_end(scene.proxy);
	scene.proxy = rig_proxy(&scene.rig, 1);
	again = peer_carry(scene.proxy, &memory);
	ck_assert_mem_eq(&again, &scene.carried, sizeof(again));
	ck_assert_uint_eq(memory, scene.memory);
	scene_close();
}

TEST(a_channel_is_made_for_a_frame_that_came)
{
	struct control_channel_req event;
	uint64_t memory;
	uint32_t id;

	scene_open();
	id = peer_carry_connect(scene.proxy, scene.server, scene.ep, 0);
	ck_assert_uint_eq(scene.proxy->mail[0].op, CONTROL_CARRY);
	scene.carried = peer_carry(scene.proxy, &scene.memory);
	ck_assert_uint_eq(peer_mail(scene.proxy, CONTROL_CARRY_CONNECT, id)->err, DVS_OK);
	event = peer_channel(scene.client, &memory);
	ck_assert_uint_eq(memory, scene.memory);
	ck_assert_uint_eq(event.remote, 2);
	ck_assert_uint_eq(event.mode, 1);
	ck_assert_uint_eq(event.my_index, scene.carried.peer_index);
	id = peer_carry_connect(scene.proxy, scene.server, scene.ep, 0);
	ck_assert_uint_eq(peer_mail(scene.proxy, CONTROL_CARRY_CONNECT, id)->err, DVS_BADSTATE);
	scene_close();
}

TEST(a_frame_may_be_faster_than_the_order)
{
	dvs_ep later;
	uint32_t id;

	scene_open();
	later.n = 1u << DVS_EP_NUMBER_BITS | OTHER;
	id = peer_carry_connect(scene.proxy, later, scene.ep, 2000);
	nothing_else();
	ck_assert_uint_eq(rig_far_bind(&scene.rig, &scene.far, OTHER, DVK_LOCAL).n, later.n);
	ck_assert_uint_eq(peer_mail(scene.proxy, CONTROL_CARRY_CONNECT, id)->err, DVS_OK);
	(void)peer_carry(scene.proxy, NULL);
	(void)peer_channel(scene.client, NULL);
	later.n++;
	id = peer_carry_connect(scene.proxy, later, scene.ep, 2000);
	nothing_else();
	rig_wait(&scene.rig, 2 * CLOCK_NS_PER_S);
	ck_assert_uint_eq(peer_mail(scene.proxy, CONTROL_CARRY_CONNECT, id)->err, DVS_NODEST);
	scene_close();
}

TEST(an_endpoint_of_a_third_node_is_not_carried_by_this_proxy)
{
	struct core_process third;
	dvs_ep other;
	uint32_t id;

	scene_open();
	third = rig_far_process(&scene.rig, 2);
	other = rig_far_bind(&scene.rig, &third, OTHER, DVK_LOCAL);
	id = peer_carry_connect(scene.proxy, other, scene.ep, 0);
	ck_assert_uint_eq(peer_mail(scene.proxy, CONTROL_CARRY_CONNECT, id)->err, DVS_TIMEOUT);
	scene_close();
}

TEST(who_may_not_call_gets_no_channel)
{
	struct core_command command = { .op = CORE_PRIVILEGES_SET };
	uint32_t id;

	scene_open();
	command.dc = scene.rig.dc;
	command.ep = scene.server.n;
	ck_assert_int_eq(rig_command(&scene.rig, &command), DVS_OK);
	id = peer_carry_connect(scene.proxy, scene.server, scene.ep, 2000);
	ck_assert_uint_eq(peer_mail(scene.proxy, CONTROL_CARRY_CONNECT, id)->err, DVS_DENIED);
	scene_close();
}

TEST(a_node_that_is_not_up_is_waited_for)
{
	struct control_carry_req carried;
	struct core_process third;
	const struct letter *answer;
	struct peer *proxy;
	dvs_ep other;
	uint32_t id;

	scene_open();
	third = rig_far_process(&scene.rig, 2);
	other = rig_far_bind(&scene.rig, &third, OTHER, DVK_LOCAL);
	id = peer_connect(scene.client, scene.ep, other, 0);
	ck_assert_uint_eq(peer_mail(scene.client, CONTROL_CONNECT, id)->err, DVS_TIMEOUT);
	id = peer_connect(scene.client, scene.ep, other, DVS_FOREVER);
	nothing_else();
	/* it is told when the node is up, be its proxy there or not */
	proxy = rig_proxy(&scene.rig, 2);
	carried = peer_carry(proxy, NULL);
	nothing_else();
	ck_assert_int_eq(peer_carry_ready(proxy, &carried), DVS_OK);
	answer = peer_mail(scene.client, CONTROL_CONNECT, id);
	ck_assert_ptr_nonnull(answer);
	ck_assert_uint_eq(answer->err, DVS_OK);
	scene_close();
}

TEST(a_channel_is_there_when_the_far_end_is)
{
	struct control_connect_rep rep;
	const struct letter *answer;
	struct cursor in;
	uint32_t id;

	scene_open();
	id = peer_connect(scene.client, scene.ep, scene.server, 5000);
	scene.carried = peer_carry(scene.proxy, &scene.memory);
	nothing_else();
	ck_assert_int_eq(peer_carry_ready(scene.proxy, &scene.carried), DVS_OK);
	answer = peer_mail(scene.client, CONTROL_CONNECT, id);
	ck_assert_ptr_nonnull(answer);
	ck_assert_uint_eq(answer->err, DVS_OK);
	ck_assert_uint_eq(answer->inodes[0], scene.memory);
	in = cursor_over(answer->bytes + FRAME_HEAD_BYTES, answer->len - FRAME_HEAD_BYTES);
	ck_assert_int_eq(control_connect_rep_decode(&in, &rep), DVS_OK);
	ck_assert_uint_eq(rep.side, 1 - scene.carried.side);
	ck_assert_uint_eq(rep.my_index, scene.carried.peer_index);
	scene_close();
}

TEST(a_channel_whose_far_end_does_not_come_is_forgotten)
{
	uint32_t id;

	scene_open();
	id = peer_connect(scene.client, scene.ep, scene.server, 5000);
	scene.carried = peer_carry(scene.proxy, &scene.memory);
	rig_wait(&scene.rig, 6 * CLOCK_NS_PER_S);
	ck_assert_uint_eq(peer_mail(scene.client, CONTROL_CONNECT, id)->err, DVS_TIMEOUT);
	expect_end(scene.proxy, &scene.carried, 0);
	ck_assert_uint_eq(scene.rig.host.carriers[1]->n_carriages, 0);
	scene_close();
}

TEST(who_waits_for_a_far_end_is_told_when_it_may_not_call_any_more)
{
	struct core_command command = { .op = CORE_PRIVILEGES_SET };
	uint32_t id;

	scene_open();
	id = peer_connect(scene.client, scene.ep, scene.server, DVS_FOREVER);
	scene.carried = peer_carry(scene.proxy, &scene.memory);
	command.dc = scene.rig.dc;
	command.ep = scene.ep.n;
	ck_assert_int_eq(rig_command(&scene.rig, &command), DVS_OK);
	expect_end(scene.proxy, &scene.carried, 2);
	ck_assert_uint_eq(peer_mail(scene.client, CONTROL_CONNECT, id)->err, DVS_DENIED);
	expect_gone(scene.client, scene.server, DVS_DENIED);
	ck_assert_ptr_nonnull(peer_mail(scene.client, CONTROL_MAY, 0));
	scene_close();
}

TEST(who_waits_for_a_far_end_that_moves_gets_the_new_channel)
{
	struct core_command command = { .op = CORE_MIGRATE_START };
	struct control_carry_req next;
	struct control_channel_req event;
	uint32_t id;

	scene_open();
	id = peer_connect(scene.client, scene.ep, scene.server, 5000);
	scene.carried = peer_carry(scene.proxy, &scene.memory);
	command.dc = scene.rig.dc;
	command.ep = scene.server.n;
	ck_assert_int_eq(rig_command(&scene.rig, &command), DVS_OK);
	command.op = CORE_PARKED;
	command.migration = 1;
	ck_assert_int_eq(rig_command(&scene.rig, &command), DVS_OK);
	command.op = CORE_MIGRATE_COMMIT;
	command.process = rig_far_process(&scene.rig, 1);
	ck_assert_int_eq(rig_command(&scene.rig, &command), DVS_OK);
	expect_end(scene.proxy, &scene.carried, 1);
	ck_assert_int_eq(peer_carry_over(scene.proxy, &scene.carried, true), DVS_OK);
	next = peer_carry(scene.proxy, NULL);
	event = peer_channel(scene.client, NULL);
	ck_assert_uint_eq(event.my_index, next.peer_index);
	ck_assert_uint_eq(peer_mail(scene.client, CONTROL_CONNECT, id)->err, DVS_BADSTATE);
	scene_close();
}

TEST(a_node_that_goes_down_is_not_waited_for)
{
	struct core_process third;
	dvs_ep other;
	uint32_t id;

	scene_open();
	third = rig_far_process(&scene.rig, 2);
	other = rig_far_bind(&scene.rig, &third, OTHER, DVK_LOCAL);
	id = peer_connect(scene.client, scene.ep, other, DVS_FOREVER);
	nothing_else();
	node_down(2);
	ck_assert_uint_eq(peer_mail(scene.client, CONTROL_CONNECT, id)->err, DVS_NODEDOWN);
	scene_close();
}

/* ---- the end ---- */

TEST(the_last_words_of_a_remote_end_are_waited_for)
{
	scene_connect();
	ck_assert_int_eq(far_unbind(&scene.far, scene.server), DVS_OK);
	expect_end(scene.proxy, &scene.carried, 1);
	nothing_else();
	ck_assert_int_eq(peer_carry_over(scene.proxy, &scene.carried, true), DVS_OK);
	expect_gone(scene.client, scene.server, DVS_PEERDEAD);
	ck_assert_int_eq(peer_carry_over(scene.proxy, &scene.carried, true), DVS_NODEST);
	scene_close();
}

TEST(they_are_not_waited_for_longer_than_a_second)
{
	scene_connect();
	ck_assert_int_eq(far_unbind(&scene.far, scene.server), DVS_OK);
	expect_end(scene.proxy, &scene.carried, 1);
	rig_wait(&scene.rig, CARRY_OVER_NS / 2);
	nothing_else();
	rig_wait(&scene.rig, CARRY_OVER_NS);
	expect_end(scene.proxy, &scene.carried, 2);
	expect_gone(scene.client, scene.server, DVS_PEERDEAD);
	scene_close();
}

TEST(a_new_proxy_is_told_that_an_end_is_waited_for)
{
	scene_connect();
	ck_assert_int_eq(far_unbind(&scene.far, scene.server), DVS_OK);
	expect_end(scene.proxy, &scene.carried, 1);
	peer_end(scene.proxy);
	nothing_else();
	scene.proxy = rig_proxy(&scene.rig, 1);
	(void)peer_carry(scene.proxy, NULL);
	expect_end(scene.proxy, &scene.carried, 1);
	ck_assert_int_eq(peer_carry_over(scene.proxy, &scene.carried, true), DVS_OK);
	expect_gone(scene.client, scene.server, DVS_PEERDEAD);
	scene_close();
}

TEST(the_end_may_come_before_the_order_tells_why)
{
	scene_connect();
	ck_assert_int_eq(peer_carry_over(scene.proxy, &scene.carried, true), DVS_OK);
	nothing_else();
	ck_assert_int_eq(far_unbind(&scene.far, scene.server), DVS_OK);
	expect_gone(scene.client, scene.server, DVS_PEERDEAD);
	scene_close();
}

/* It is the same endpoint still, and may have received what is under way: that is not sent again. */
TEST(who_was_talking_to_a_node_that_was_cut_off_is_told)
{
	scene_connect();
	ck_assert_int_eq(peer_carry_over_why(scene.proxy, &scene.carried, true, DVS_NOQUORUM),
			 DVS_OK);
	nothing_else();
	rig_wait(&scene.rig, 2 * CARRY_OVER_NS);
	expect_gone(scene.client, scene.server, DVS_NODEDOWN);
	scene_close();
}

TEST(a_channel_that_is_over_is_not_made_again_for_who_takes_it_for_there)
{
	struct control_carry_req other;
	uint32_t id;

	scene_connect();
	id = peer_carry_look(scene.proxy, &scene.carried);
	ck_assert_uint_eq(peer_mail(scene.proxy, CONTROL_CARRY_CONNECT, id)->err, DVS_BADSTATE);
	other = scene.carried;
	other.instance--;
	id = peer_carry_look(scene.proxy, &other);
	ck_assert_uint_eq(peer_mail(scene.proxy, CONTROL_CARRY_CONNECT, id)->err, DVS_PEERDEAD);
	scene_close();
}

TEST(a_node_that_goes_down_takes_its_channels_along_at_once)
{
	scene_connect();
	node_down(1);
	expect_end(scene.proxy, &scene.carried, 2);
	expect_gone(scene.client, scene.server, DVS_NODEDOWN);
	carrier_close(&scene.rig.host, 1);
	rig_turn(&scene.rig);
	ck_assert_ptr_null(scene.proxy->link);
	scene_close();
}

TEST(who_waits_for_last_words_of_a_node_that_goes_down_waits_no_more)
{
	scene_connect();
	ck_assert_int_eq(far_unbind(&scene.far, scene.server), DVS_OK);
	expect_end(scene.proxy, &scene.carried, 1);
	node_down(1);
	carrier_close(&scene.rig.host, 1);
	rig_turn(&scene.rig);
	expect_gone(scene.client, scene.server, DVS_PEERDEAD);
	scene_close();
}

TEST(a_local_end_is_told_to_the_proxy)
{
	scene_connect();
	ck_assert_int_eq(peer_unbind(scene.client, scene.ep), DVS_OK);
	expect_end(scene.proxy, &scene.carried, 0);
	ck_assert_ptr_nonnull(peer_mail(scene.client, CONTROL_UNBOUND, 0));
	scene_close();
}

TEST(the_end_of_a_process_is_the_end_of_its_channels)
{
	scene_connect();
	peer_end(scene.client);
	expect_end(scene.proxy, &scene.carried, 0);
	scene_close();
}

TEST(new_privileges_end_a_channel_on_both_nodes_by_themselves)
{
	struct core_command command = { .op = CORE_PRIVILEGES_SET };

	scene_connect();
	command.dc = scene.rig.dc;
	command.ep = scene.server.n;
	ck_assert_int_eq(rig_command(&scene.rig, &command), DVS_OK);
	expect_end(scene.proxy, &scene.carried, 2);
	expect_gone(scene.client, scene.server, DVS_DENIED);
	scene_close();
}

TEST(a_dc_that_is_removed_leaves_nothing)
{
	struct core_command command = { .op = CORE_DC_REMOVE, .flags = CORE_F_FORCE };
	const struct carrier *carrier;

	scene_connect();
	command.dc = scene.rig.dc;
	ck_assert_int_eq(rig_command(&scene.rig, &command), DVS_OK);
	ck_assert_ptr_nonnull(peer_mail(scene.proxy, CONTROL_CARRY_END, 0));
	peer_forget_mail(scene.proxy);
	peer_forget_mail(scene.client);
	carrier = scene.rig.host.carriers[1];
	ck_assert_uint_eq(carrier->n_carriages, 0);
	ck_assert_uint_eq(carrier->indexes.n_set, 0);
	ck_assert(list_is_empty(&carrier->process.bindings));
	scene_close();
}

UNIT_MAIN("node-carry", a_channel_with_another_node_is_shared_with_its_proxy,
	  stand_ins_of_one_node_share_the_numbers_of_a_page, the_next_proxy_gets_the_same,
	  a_channel_is_made_for_a_frame_that_came, a_frame_may_be_faster_than_the_order,
	  an_endpoint_of_a_third_node_is_not_carried_by_this_proxy,
	  who_may_not_call_gets_no_channel, a_node_that_is_not_up_is_waited_for,
	  a_channel_is_there_when_the_far_end_is,
	  a_channel_whose_far_end_does_not_come_is_forgotten,
	  who_waits_for_a_far_end_is_told_when_it_may_not_call_any_more,
	  who_waits_for_a_far_end_that_moves_gets_the_new_channel,
	  a_node_that_goes_down_is_not_waited_for, the_last_words_of_a_remote_end_are_waited_for,
	  they_are_not_waited_for_longer_than_a_second,
	  a_new_proxy_is_told_that_an_end_is_waited_for,
	  the_end_may_come_before_the_order_tells_why,
	  who_was_talking_to_a_node_that_was_cut_off_is_told,
	  a_channel_that_is_over_is_not_made_again_for_who_takes_it_for_there,
	  a_node_that_goes_down_takes_its_channels_along_at_once,
	  who_waits_for_last_words_of_a_node_that_goes_down_waits_no_more,
	  a_local_end_is_told_to_the_proxy, the_end_of_a_process_is_the_end_of_its_channels,
	  new_privileges_end_a_channel_on_both_nodes_by_themselves,
	  a_dc_that_is_removed_leaves_nothing)
