/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes in the core: who follows whom when one goes, and who may come back. */
#include <stdio.h>

#include "core_help.h"
#include "unit.h"

static struct bench bench;

static dvs_err node_step(enum core_op op, uint32_t node, uint64_t count)
{
	struct core_command command = { .op = op, .node = node, .count = count, .address = "::1" };

	snprintf(command.name, sizeof(command.name), "node%u", node);
	return bench_step(&bench, &command);
}

static dvs_err drain(uint32_t node, bool on)
{
	struct core_command command = { .op = CORE_NODE_DRAIN,
					.node = node,
					.flags = on ? CORE_F_DRAINING : 0 };

	return bench_step(&bench, &command);
}

static dvs_err rebind(uint32_t ep, enum dvk_kind kind, struct core_process process)
{
	struct core_command command = {
		.op = CORE_REBIND, .dc = bench.dc, .ep = ep, .kind = kind, .process = process
	};

	return bench_step(&bench, &command);
}

static const struct core_endpoint *endpoint(uint32_t number)
{
	return core_endpoint_find(core_dc_find(bench.core, bench.dc), number);
}

static uint32_t primary_node(uint32_t number)
{
	return core_primary(endpoint(number), 0)->node;
}

static void open_nodes(void)
{
	bench_open(&bench);
	for (uint32_t node = 0; node < 4; node++)
		ck_assert_int_eq(node_step(CORE_NODE_UP, node, 1), DVS_OK);
}

TEST(the_heir_of_a_primary_is_on_a_node_that_is_there)
{
	open_nodes();
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(1, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(2, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(3, 1), NULL), DVS_OK);
	ck_assert_int_eq(node_step(CORE_NODE_AWAY, 1, 1), DVS_OK);
	ck_assert_int_eq(drain(2, true), DVS_OK);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 0, 0), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "DOWN UNBOUND PROMOTED");
	ck_assert_uint_eq(primary_node(5), 3);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 3, 0), DVS_OK);
	ck_assert_uint_eq(primary_node(5), 2);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 2, 0), DVS_OK);
	ck_assert_uint_eq(primary_node(5), 1);
	bench_close(&bench);
}

TEST(a_node_that_came_back_is_not_taken_for_down)
{
	open_nodes();
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(1, 1), NULL), DVS_OK);
	ck_assert_int_eq(node_step(CORE_NODE_AWAY, 1, 1), DVS_OK);
	ck_assert_int_eq(node_step(CORE_NODE_AWAY, 1, 1), DVS_BADSTATE);
	ck_assert_int_eq(node_step(CORE_NODE_UP, 1, 2), DVS_OK);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 1, 1), DVS_BADSTATE);
	ck_assert_int_eq(node_step(CORE_NODE_AWAY, 1, 2), DVS_OK);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 1, 1), DVS_BADSTATE);
	ck_assert_ptr_nonnull(endpoint(5));
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 1, 2), DVS_OK);
	ck_assert_ptr_null(endpoint(5));
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(1, 1), NULL), DVS_NODEDOWN);
	bench_close(&bench);
}

TEST(only_a_node_that_is_down_is_forgotten)
{
	open_nodes();
	ck_assert_int_eq(node_step(CORE_NODE_REMOVE, 1, 0), DVS_BADSTATE);
	ck_assert_int_eq(node_step(CORE_NODE_REMOVE, 9, 0), DVS_NODEST);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 1, 0), DVS_OK);
	ck_assert_int_eq(node_step(CORE_NODE_REMOVE, 1, 0), DVS_OK);
	ck_assert_ptr_null(core_node_find(bench.core, 1));
	bench_close(&bench);
}

TEST(a_node_that_drains_gives_its_primaries_away_and_gets_none)
{
	open_nodes();
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(0, 2), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(1, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 6, DVK_LOCAL, process_n(0, 1), NULL), DVS_OK);
	ck_assert_uint_eq(core_node_endpoints(bench.core, 0), 2);
	ck_assert_int_eq(drain(0, true), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "DRAINS DEMOTED PROMOTED");
	ck_assert_uint_eq(primary_node(5), 1);
	ck_assert_uint_eq(core_node_endpoints(bench.core, 0), 1);
	ck_assert_int_eq(bench_bind(&bench, 6, DVK_BACKUP, process_n(1, 1), NULL), DVS_OK);
	ck_assert_int_eq(drain(0, true), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "DEMOTED PROMOTED");
	ck_assert_uint_eq(core_node_endpoints(bench.core, 0), 0);
	ck_assert_int_eq(bench_move(&bench, CORE_PROMOTE, 5, process_n(0, 1)), DVS_BADSTATE);
	ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_START, 6), DVS_OK);
	ck_assert_int_eq(bench_move(&bench, CORE_MIGRATE_COMMIT, 6, process_n(0, 9)), DVS_BADSTATE);
	ck_assert_int_eq(drain(0, false), DVS_OK);
	ck_assert_int_eq(bench_move(&bench, CORE_PROMOTE, 5, process_n(0, 1)), DVS_OK);
	ck_assert_int_eq(bench_move(&bench, CORE_MIGRATE_COMMIT, 6, process_n(0, 9)), DVS_OK);
	bench_close(&bench);
}

TEST(a_binding_comes_back_with_its_generation_if_nobody_had_the_number)
{
	uint32_t free_ep;
	uint32_t used_ep;
	uint32_t kept_ep;
	uint32_t both_ep;

	open_nodes();
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(1, 1), &free_ep), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 6, DVK_LOCAL, process_n(1, 1), &used_ep), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 7, DVK_LOCAL, process_n(1, 1), &kept_ep), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 7, DVK_BACKUP, process_n(2, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 8, DVK_LOCAL, process_n(1, 1), &both_ep), DVS_OK);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 1, 0), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 6, DVK_LOCAL, process_n(0, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_unbind(&bench, 6, process_n(0, 1)), DVS_OK);

	ck_assert_int_eq(rebind(free_ep, DVK_LOCAL, process_n(1, 1)), DVS_NODEDOWN);
	ck_assert_int_eq(node_step(CORE_NODE_UP, 1, 2), DVS_OK);
	ck_assert_int_eq(rebind(free_ep, DVK_LOCAL, process_n(1, 1)), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "BOUND");
	ck_assert_uint_eq(endpoint(5)->ep.n, free_ep);
	ck_assert_int_eq(rebind(free_ep, DVK_LOCAL, process_n(1, 2)), DVS_INUSE);
	ck_assert_int_eq(rebind(used_ep, DVK_LOCAL, process_n(1, 1)), DVS_INUSE);
	ck_assert_int_eq(rebind(kept_ep, DVK_LOCAL, process_n(1, 1)), DVS_INUSE);
	ck_assert_int_eq(rebind(kept_ep, DVK_BACKUP, process_n(1, 1)), DVS_INUSE);
	ck_assert_int_eq(rebind(both_ep, DVK_BACKUP, process_n(1, 2)), DVS_NODEST);
	ck_assert_int_eq(rebind(both_ep, DVK_LOCAL, process_n(1, 1)), DVS_OK);
	ck_assert_int_eq(rebind(both_ep, DVK_BACKUP, process_n(1, 2)), DVS_OK);
	ck_assert_int_eq(rebind(9, DVK_LOCAL, process_n(1, 1)), DVS_BADARG);
	bench_close(&bench);
}

TEST(nodes_are_part_of_a_snapshot)
{
	struct core *copy;

	open_nodes();
	ck_assert_int_eq(node_step(CORE_NODE_AWAY, 1, 1), DVS_OK);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 2, 0), DVS_OK);
	ck_assert_int_eq(drain(3, true), DVS_OK);
	bench_copy(bench.core, &copy);
	ck_assert_uint_eq(core_digest(copy), core_digest(bench.core));
	ck_assert_int_eq(core_node_find(copy, 1)->state, CORE_AWAY);
	ck_assert_str_eq(core_node_find(copy, 2)->name, "node2");
	ck_assert(core_node_find(copy, 3)->draining);
	ck_assert_ptr_null(core_node_find(copy, 4));
	core_destroy(copy);
	bench_close(&bench);
}

UNIT_MAIN("core-node", the_heir_of_a_primary_is_on_a_node_that_is_there,
	  a_node_that_came_back_is_not_taken_for_down, only_a_node_that_is_down_is_forgotten,
	  a_node_that_drains_gives_its_primaries_away_and_gets_none,
	  a_binding_comes_back_with_its_generation_if_nobody_had_the_number,
	  nodes_are_part_of_a_snapshot)
