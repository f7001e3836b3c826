/* SPDX-License-Identifier: Apache-2.0 */
/* Moves and promotions between nodes, as node 0 sees them: as the one that has a partner, that loses the endpoint, that gains it. */
#include "rig.h"
#include "unit.h"

#define SERVER 20u
#define OTHER 21u
#define ANY UINT32_MAX

static struct rig rig;
static struct peer *partner; /* a process here */
static struct peer *home;    /* another one */
static struct peer *proxy[3];
static struct core_process far[3];
static dvs_ep ep; /* of partner */
static dvs_ep server;

static void open_rig(void)
{
	rig_open(&rig);
	partner = rig_process(&rig);
	home = rig_process(&rig);
	ep = peer_bind(partner, ANY, DVK_LOCAL);
	for (uint32_t node = 1; node <= 2; node++) {
		proxy[node] = rig_proxy(&rig, node);
		far[node] = rig_far_process(&rig, node);
	}
}

static void nothing_else(void)
{
	rig_turn(&rig);
	for (size_t i = 0; i < rig.n_peers; i++) {
		if (rig.peers[i].n_mail > 0)
			ck_abort_msg("peer %zu got op %u", i, rig.peers[i].mail[0].op);
	}
}

static void close_rig(void)
{
	nothing_else();
	rig_close(&rig);
}

/* A channel from FROM's endpoint to TO; with the proxy of TO's node when that is another one. */
static struct control_carry_req connected(struct peer *from, dvs_ep mine, dvs_ep to,
					  struct peer *by)
{
	uint32_t id = peer_connect(from, mine, to, 0);
	const struct letter *answer = peer_mail(from, CONTROL_CONNECT, id);

	ck_assert_ptr_nonnull(answer);
	ck_assert_uint_eq(answer->err, DVS_OK);
	return by ? peer_carry(by, NULL) : (struct control_carry_req){ 0 };
}

static void command(enum core_op op, struct core_command with)
{
	with.op = op;
	with.dc = rig.dc;
	with.ep = server.n;
	with.migration =
		core_endpoint_find(core_dc_find(rig.host.core, rig.dc), server.n)->migration;
	ck_assert_int_eq(rig_command(&rig, &with), DVS_OK);
}

/* The server moves to TO (slot SLOT), having told TAKEN. */
static void move_with(const struct core_process *to, uint32_t slot, const struct core_taken *taken,
		      uint32_t n_taken)
{
	struct core_command parked = { .n_taken = n_taken };

	for (uint32_t i = 0; i < n_taken; i++)
		parked.taken[i] = taken[i];
	command(CORE_MIGRATE_START, (struct core_command){ 0 });
	command(CORE_PARKED, parked);
	command(CORE_MIGRATE_COMMIT, (struct core_command){ .process = *to, .slot = slot });
}

static void move(const struct core_process *to, uint32_t slot)
{
	move_with(to, slot, NULL, 0);
}

static void expect_end(struct peer *by, const struct control_carry_req *carried, uint8_t far_side)
{
	struct control_carry_end_req end = peer_carry_end(by);

	ck_assert_uint_eq(end.instance, carried->instance);
	ck_assert_uint_eq(end.far, far_side);
}

static uint32_t node_of(const struct peer *by)
{
	return by == proxy[1] ? 1 : 2;
}

/* PEER gets the channel of MINE with THEIRS anew, in memory that BY has too (NULL: none). */
static struct control_channel_req expect_channel(struct peer *peer, dvs_ep mine, dvs_ep theirs,
						 uint8_t mode, struct peer *by)
{
	uint64_t memory;
	uint64_t carried_memory;
	struct control_channel_req event = peer_channel(peer, &memory);

	ck_assert_uint_eq(event.ep, mine.n);
	ck_assert_uint_eq(event.peer, theirs.n);
	ck_assert_uint_eq(event.mode, mode);
	ck_assert_uint_eq(event.remote, by ? node_of(by) + 1 : 0);
	if (by) {
		struct control_carry_req carried = peer_carry(by, &carried_memory);

		ck_assert_uint_eq(memory, carried_memory);
		ck_assert_uint_eq(carried.remote, theirs.n);
		ck_assert_uint_eq(carried.local, mine.n);
		ck_assert_uint_eq(carried.index, event.peer_index);
		ck_assert_uint_eq(carried.peer_index, event.my_index);
		ck_assert_uint_eq(carried.side, 1 - event.side);
	}
	return event;
}

static void all_numbers_are_free(uint32_t node)
{
	const struct carrier *carrier = rig.host.carriers[node];

	ck_assert_uint_eq(carrier->n_carriages, 0);
	ck_assert_uint_eq(carrier->indexes.n_set, 0);
	ck_assert(list_is_empty(&carrier->process.bindings));
}

/* ---- with a partner here ---- */

TEST(a_partner_follows_from_one_node_to_another)
{
	struct control_carry_req carried;
	struct control_channel_req event;

	open_rig();
	server = rig_far_bind(&rig, &far[1], SERVER, DVK_LOCAL);
	carried = connected(partner, ep, server, proxy[1]);
	move(&far[2], 3);
	expect_end(proxy[1], &carried, 1);
	nothing_else();
	ck_assert_int_eq(peer_carry_over(proxy[1], &carried, true), DVS_OK);
	event = expect_channel(partner, ep, server, 2, proxy[2]);
	ck_assert_uint_eq(event.my_index, carried.peer_index);
	all_numbers_are_free(1);
	close_rig();
}

TEST(what_has_not_arrived_in_time_is_asked_again)
{
	struct control_carry_req carried;

	open_rig();
	server = rig_far_bind(&rig, &far[1], SERVER, DVK_LOCAL);
	carried = connected(partner, ep, server, proxy[1]);
	move(&far[2], 3);
	expect_end(proxy[1], &carried, 1);
	rig_wait(&rig, 2 * CARRY_OVER_NS);
	expect_end(proxy[1], &carried, 2);
	(void)expect_channel(partner, ep, server, 3, proxy[2]);
	close_rig();
}

TEST(a_move_within_another_node_makes_the_channel_anew)
{
	struct core_process next;
	struct control_carry_req carried;
	struct control_channel_req event;

	open_rig();
	next = rig_far_process(&rig, 1);
	server = rig_far_bind(&rig, &far[1], SERVER, DVK_LOCAL);
	carried = connected(partner, ep, server, proxy[1]);
	move(&next, 0);
	expect_end(proxy[1], &carried, 1);
	/* the new instance may be seen before the end */
	ck_assert_int_eq(peer_carry_over(proxy[1], &carried, false), DVS_OK);
	event = expect_channel(partner, ep, server, 3, proxy[1]);
	ck_assert_uint_ne(event.peer_index, carried.index);
	ck_assert_uint_eq(rig.host.carriers[1]->indexes.n_set, 1);
	close_rig();
}

TEST(a_partner_goes_on_with_a_backup_on_another_node)
{
	struct core_command end = { .op = CORE_UNBIND };
	struct control_carry_req carried;

	open_rig();
	server = rig_far_bind(&rig, &far[1], SERVER, DVK_LOCAL);
	ck_assert_uint_eq(rig_far_bind(&rig, &far[2], SERVER, DVK_BACKUP).n, server.n);
	carried = connected(partner, ep, server, proxy[1]);
	end.process = far[1];
	command(CORE_UNBIND, end);
	expect_end(proxy[1], &carried, 1);
	nothing_else();
	ck_assert_int_eq(peer_carry_over(proxy[1], &carried, true), DVS_OK);
	(void)expect_channel(partner, ep, server, 3, proxy[2]);
	close_rig();
}

TEST(a_node_that_goes_down_is_followed_at_once)
{
	struct core_command down = { .op = CORE_NODE_DOWN, .node = 1 };
	struct control_carry_req carried;

	open_rig();
	server = rig_far_bind(&rig, &far[1], SERVER, DVK_LOCAL);
	(void)rig_far_bind(&rig, &far[2], SERVER, DVK_BACKUP);
	carried = connected(partner, ep, server, proxy[1]);
	ck_assert_int_eq(rig_command(&rig, &down), DVS_OK);
	expect_end(proxy[1], &carried, 2);
	(void)expect_channel(partner, ep, server, 3, proxy[2]);
	all_numbers_are_free(1);
	close_rig();
}

TEST(a_second_move_is_followed_to_its_end)
{
	struct control_carry_req carried;
	struct core_process next;

	open_rig();
	next = rig_far_process(&rig, 1);
	server = rig_far_bind(&rig, &far[1], SERVER, DVK_LOCAL);
	carried = connected(partner, ep, server, proxy[1]);
	move(&far[2], 3);
	expect_end(proxy[1], &carried, 1);
	move(&next, 0);
	nothing_else();
	ck_assert_int_eq(peer_carry_over(proxy[1], &carried, true), DVS_OK);
	(void)expect_channel(partner, ep, server, 2, proxy[1]);
	all_numbers_are_free(2);
	ck_assert_uint_eq(rig.host.carriers[1]->indexes.n_set, 1);
	close_rig();
}

TEST(who_ends_while_it_follows_is_forgotten)
{
	struct control_carry_req carried;

	open_rig();
	server = rig_far_bind(&rig, &far[1], SERVER, DVK_LOCAL);
	carried = connected(partner, ep, server, proxy[1]);
	move(&far[2], 3);
	expect_end(proxy[1], &carried, 1);
	peer_end(partner);
	expect_end(proxy[1], &carried, 2);
	all_numbers_are_free(1);
	all_numbers_are_free(2);
	close_rig();
}

TEST(a_follower_whose_server_ends_is_told)
{
	struct core_command end = { .op = CORE_ENDPOINT_END };
	struct control_carry_req carried;
	struct control_gone_req gone;

	open_rig();
	server = rig_far_bind(&rig, &far[1], SERVER, DVK_LOCAL);
	carried = connected(partner, ep, server, proxy[1]);
	move(&far[2], 3);
	expect_end(proxy[1], &carried, 1);
	command(CORE_ENDPOINT_END, end);
	nothing_else();
	ck_assert_int_eq(peer_carry_over(proxy[1], &carried, true), DVS_OK);
	gone = peer_gone(partner);
	ck_assert_uint_eq(gone.peer, server.n);
	all_numbers_are_free(1);
	all_numbers_are_free(2);
	close_rig();
}

/* ---- lost to another node ---- */

TEST(an_endpoint_that_goes_to_another_node_leaves_its_partners_here)
{
	struct control_carry_req with_other;
	dvs_ep other;

	open_rig();
	server = peer_bind(home, SERVER, DVK_LOCAL);
	other = rig_far_bind(&rig, &far[2], OTHER, DVK_LOCAL);
	(void)connected(partner, ep, server, NULL);
	(void)peer_channel(home, NULL);
	with_other = connected(home, server, other, proxy[2]);
	move(&far[1], 3);
	/* what it has said to the one is sent; the other follows */
	expect_end(proxy[2], &with_other, 0);
	(void)expect_channel(partner, ep, server, 2, proxy[1]);
	ck_assert_ptr_nonnull(peer_mail(home, CONTROL_MIGRATE, 0));
	ck_assert_ptr_nonnull(peer_mail(home, CONTROL_UNBOUND, 0));
	all_numbers_are_free(2);
	close_rig();
}

TEST(an_orphan_can_go_to_another_node)
{
	open_rig();
	server = peer_bind(home, SERVER, DVK_LOCAL);
	(void)connected(partner, ep, server, NULL);
	command(CORE_MIGRATE_START, (struct core_command){ 0 });
	peer_forget_mail(home);
	peer_end(home);
	peer_forget_mail(home);
	nothing_else();
	command(CORE_MIGRATE_COMMIT, (struct core_command){ .process = far[1], .slot = 3 });
	(void)expect_channel(partner, ep, server, 3, proxy[1]);
	close_rig();
}

TEST(a_primary_can_become_the_backup_of_one_elsewhere)
{
	struct control_carry_req with_other;
	dvs_ep other;

	open_rig();
	server = peer_bind(home, SERVER, DVK_LOCAL);
	(void)rig_far_bind(&rig, &far[1], SERVER, DVK_BACKUP);
	other = rig_far_bind(&rig, &far[2], OTHER, DVK_LOCAL);
	(void)connected(partner, ep, server, NULL);
	(void)peer_channel(home, NULL);
	with_other = connected(home, server, other, proxy[2]);
	command(CORE_PROMOTE, (struct core_command){ 0 });
	expect_end(proxy[2], &with_other, 0);
	(void)expect_channel(partner, ep, server, 3, proxy[1]);
	ck_assert_ptr_nonnull(peer_mail(home, CONTROL_ROLE, 0));
	close_rig();
}

/* ---- gained from another node ---- */

TEST(what_a_gained_endpoint_owes_elsewhere_comes_with_channels)
{
	struct core_taken taken[2];
	struct control_carry_req carried;
	struct control_channel_req event;
	dvs_ep other;

	open_rig();
	server = rig_far_bind(&rig, &far[1], SERVER, DVK_LOCAL);
	other = rig_far_bind(&rig, &far[2], OTHER, DVK_LOCAL);
	carried = connected(partner, ep, server, proxy[1]);
	taken[0] = (struct core_taken){ .peer = ep.n, .number = 7 };
	taken[1] = (struct core_taken){
		.peer = other.n, .number = 9, .stale = 1, .note = IPC_NOTE_PENDING | 4
	};
	ck_assert_int_eq(bitmap_set(&home->link->process->slots, 5), DVS_OK);
	move_with(&home->link->process->id, 5, taken, 2);
	ck_assert_uint_eq(home->mail[0].op, CONTROL_BOUND);
	ck_assert_ptr_nonnull(peer_mail(home, CONTROL_BOUND, 0));
	event = expect_channel(home, server, other, 2, proxy[2]);
	ck_assert_uint_eq(event.open, 9);
	ck_assert_uint_eq(event.stale, 1);
	ck_assert_uint_eq(event.note, IPC_NOTE_PENDING | 4);
	expect_end(proxy[1], &carried, 1);
	nothing_else();
	ck_assert_int_eq(peer_carry_over(proxy[1], &carried, true), DVS_OK);
	event = expect_channel(home, server, ep, 2, NULL);
	ck_assert_uint_eq(event.open, 7);
	event = expect_channel(partner, ep, server, 2, NULL);
	ck_assert_uint_eq(event.open, 0);
	ck_assert_uint_eq(event.my_index, carried.peer_index);
	all_numbers_are_free(1);
	close_rig();
}

TEST(a_backup_here_takes_over_from_another_node)
{
	struct core_command end = { .op = CORE_UNBIND };
	struct control_carry_req carried;

	open_rig();
	server = rig_far_bind(&rig, &far[1], SERVER, DVK_LOCAL);
	ck_assert_uint_eq(peer_bind(home, SERVER, DVK_BACKUP).n, server.n);
	carried = connected(partner, ep, server, proxy[1]);
	end.process = far[1];
	command(CORE_UNBIND, end);
	ck_assert_ptr_nonnull(peer_mail(home, CONTROL_ROLE, 0));
	expect_end(proxy[1], &carried, 1);
	nothing_else();
	ck_assert_int_eq(peer_carry_over(proxy[1], &carried, true), DVS_OK);
	(void)expect_channel(home, server, ep, 3, NULL);
	(void)expect_channel(partner, ep, server, 3, NULL);
	all_numbers_are_free(1);
	close_rig();
}

/* ---- on this node ---- */

TEST(a_move_on_this_node_is_a_new_instance_for_the_other)
{
	struct core_taken taken;
	struct control_carry_req carried;
	struct control_channel_req event;
	dvs_ep other;

	open_rig();
	server = peer_bind(partner, SERVER, DVK_LOCAL);
	other = rig_far_bind(&rig, &far[2], OTHER, DVK_LOCAL);
	carried = connected(partner, server, other, proxy[2]);
	taken = (struct core_taken){ .peer = other.n, .number = 9 };
	ck_assert_int_eq(bitmap_set(&home->link->process->slots, 5), DVS_OK);
	move_with(&home->link->process->id, 5, &taken, 1);
	expect_end(proxy[2], &carried, 0);
	ck_assert_ptr_nonnull(peer_mail(partner, CONTROL_MIGRATE, 0));
	ck_assert_ptr_nonnull(peer_mail(partner, CONTROL_UNBOUND, 0));
	ck_assert_ptr_nonnull(peer_mail(home, CONTROL_BOUND, 0));
	event = expect_channel(home, server, other, 2, proxy[2]);
	ck_assert_uint_eq(event.open, 9);
	ck_assert_uint_eq(event.peer_slot, 0);
	ck_assert_uint_eq(rig.host.carriers[2]->indexes.n_set, 1);
	close_rig();
}

TEST(a_proxy_that_asks_too_early_is_answered_when_the_channel_is_there)
{
	struct control_carry_req carried;
	uint32_t id;

	open_rig();
	server = rig_far_bind(&rig, &far[1], SERVER, DVK_LOCAL);
	carried = connected(partner, ep, server, proxy[1]);
	move(&far[2], 3);
	expect_end(proxy[1], &carried, 1);
	id = peer_carry_connect(proxy[2], server, ep, 2000);
	nothing_else();
	ck_assert_int_eq(peer_carry_over(proxy[1], &carried, true), DVS_OK);
	(void)expect_channel(partner, ep, server, 2, proxy[2]);
	ck_assert_uint_eq(peer_mail(proxy[2], CONTROL_CARRY_CONNECT, id)->err, DVS_BADSTATE);
	close_rig();
}

UNIT_MAIN("node-carry-moves", a_partner_follows_from_one_node_to_another,
	  what_has_not_arrived_in_time_is_asked_again,
	  a_move_within_another_node_makes_the_channel_anew,
	  a_partner_goes_on_with_a_backup_on_another_node,
	  a_node_that_goes_down_is_followed_at_once, a_second_move_is_followed_to_its_end,
	  who_ends_while_it_follows_is_forgotten, a_follower_whose_server_ends_is_told,
	  an_endpoint_that_goes_to_another_node_leaves_its_partners_here,
	  an_orphan_can_go_to_another_node, a_primary_can_become_the_backup_of_one_elsewhere,
	  what_a_gained_endpoint_owes_elsewhere_comes_with_channels,
	  a_backup_here_takes_over_from_another_node,
	  a_move_on_this_node_is_a_new_instance_for_the_other,
	  a_proxy_that_asks_too_early_is_answered_when_the_channel_is_there)
