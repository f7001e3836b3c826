/* SPDX-License-Identifier: Apache-2.0 */
#include "core/core.h"

#include <string.h>

#include "core_help.h"
#include "unit.h"

#define GENERATION (UINT32_C(1) << DVS_EP_NUMBER_BITS)

static struct bench bench;

static struct core_endpoint *endpoint(uint32_t ep)
{
	return core_endpoint_find(core_dc_find(bench.core, bench.dc), ep);
}

TEST(dc_names_and_ids_are_used_once)
{
	struct core_command command = { .op = CORE_DC_CREATE, .name = "a" };

	bench_open(&bench);
	ck_assert_int_eq(bench_step(&bench, &command), DVS_EXISTS);
	strcpy(command.name, ".hidden");
	ck_assert_int_eq(bench_step(&bench, &command), DVS_BADARG);
	strcpy(command.name, "a/b");
	ck_assert_int_eq(bench_step(&bench, &command), DVS_BADARG);
	command.name[0] = '\0';
	ck_assert_int_eq(bench_step(&bench, &command), DVS_BADARG);
	strcpy(command.name, "b");
	ck_assert_int_eq(bench_step(&bench, &command), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "DC_CREATED");
	ck_assert_uint_eq(bench.effects.list[0].dc.n, 2);
	ck_assert_ptr_nonnull(core_dc_by_name(bench.core, "b"));
	ck_assert_uint_eq(core_dc_next(bench.core, 1)->id.n, 2);
	ck_assert_ptr_null(core_dc_next(bench.core, 2));
	command = (struct core_command){ .op = CORE_DC_REMOVE, .dc = { 2 } };
	ck_assert_int_eq(bench_step(&bench, &command), DVS_OK);
	ck_assert_int_eq(bench_step(&bench, &command), DVS_NODC);
	command = (struct core_command){ .op = CORE_DC_CREATE, .name = "b" };
	ck_assert_int_eq(bench_step(&bench, &command), DVS_OK);
	ck_assert_uint_eq(bench.effects.list[0].dc.n, 3);
	bench_close(&bench);
}

TEST(a_dc_with_endpoints_is_only_removed_by_force)
{
	struct core_command command = { .op = CORE_DC_REMOVE };

	bench_open(&bench);
	command.dc = bench.dc;
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(0, 2), NULL), DVS_OK);
	ck_assert_int_eq(bench_step(&bench, &command), DVS_BADSTATE);
	command.flags = CORE_F_FORCE;
	ck_assert_int_eq(bench_step(&bench, &command), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "UNBOUND UNBOUND OVER DC_REMOVED");
	ck_assert_uint_eq(core_n_dcs(bench.core), 0);
	ck_assert_uint_eq(core_n_endpoints(bench.core), 0);
	bench_close(&bench);
}

TEST(client_numbers_go_round)
{
	uint32_t first;
	uint32_t second;
	uint32_t third;

	bench_open(&bench);
	ck_assert_int_eq(bench_bind(&bench, UINT32_MAX, DVK_LOCAL, process_n(3, 1), &first),
			 DVS_OK);
	ck_assert_uint_eq(first, GENERATION + 4 * CORE_CLIENTS);
	ck_assert_int_eq(bench_bind(&bench, UINT32_MAX, DVK_LOCAL, process_n(3, 1), &second),
			 DVS_OK);
	ck_assert_int_eq(bench_unbind(&bench, first, process_n(3, 1)), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, UINT32_MAX, DVK_LOCAL, process_n(3, 1), &third),
			 DVS_OK);
	ck_assert_uint_eq(third, second + 1);
	for (uint32_t i = 0; i < CORE_CLIENTS - 2; i++)
		ck_assert_int_eq(bench_bind(&bench, UINT32_MAX, DVK_LOCAL, process_n(3, 1), &first),
				 DVS_OK);
	ck_assert_uint_eq(first, 2 * GENERATION + 4 * CORE_CLIENTS);
	ck_assert_int_eq(bench_bind(&bench, UINT32_MAX, DVK_LOCAL, process_n(3, 1), &first),
			 DVS_FULL);
	ck_assert_int_eq(bench_bind(&bench, UINT32_MAX, DVK_LOCAL, process_n(2, 1), &first),
			 DVS_OK);
	bench_close(&bench);
}

TEST(generations_rise_at_each_primary_and_wrap_to_one)
{
	uint32_t ep;

	bench_open(&bench);
	for (uint32_t i = 1; i <= CORE_GENERATION_MAX; i++) {
		ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, 1), &ep), DVS_OK);
		ck_assert_uint_eq(ep, i * GENERATION + 5);
		ck_assert_int_eq(bench_unbind(&bench, 5, process_n(0, 1)), DVS_OK);
	}
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, 1), &ep), DVS_OK);
	ck_assert_uint_eq(ep, GENERATION + 5);
	ck_assert_ptr_nonnull(endpoint(5));
	ck_assert_ptr_nonnull(endpoint(ep));
	ck_assert_ptr_null(endpoint(ep + GENERATION));
	ck_assert_int_eq(bench_unbind(&bench, ep + GENERATION, process_n(0, 1)), DVS_NODEST);
	bench_close(&bench);
}

TEST(bindings_that_cannot_be_are_refused)
{
	bench_open(&bench);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(0, 1), NULL), DVS_NODEST);
	ck_assert_int_eq(bench_bind(&bench, UINT32_MAX, DVK_BACKUP, process_n(0, 1), NULL),
			 DVS_BADARG);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_REMOTE, process_n(0, 1), NULL), DVS_BADARG);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(CORE_NODES_MAX, 1), NULL),
			 DVS_BADARG);
	ck_assert_int_eq(bench_bind(&bench, DVS_EP_NUMBER_MAX + 1, DVK_LOCAL, process_n(0, 1),
				    NULL),
			 DVS_BADARG);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, 2), NULL), DVS_INUSE);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_REPLICA, process_n(1, 2), NULL), DVS_INUSE);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(0, 1), NULL), DVS_INUSE);
	ck_assert_int_eq(bench_bind(&bench, 5 + 2 * GENERATION, DVK_BACKUP, process_n(0, 2), NULL),
			 DVS_NODEST);
	for (uint32_t i = 2; i <= CORE_BINDINGS_MAX; i++)
		ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(0, i), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(0, 99), NULL), DVS_FULL);
	bench.dc.n = 9;
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, 1), NULL), DVS_NODC);
	bench_close(&bench);
}

TEST(a_replica_is_bound_once_on_each_node)
{
	uint32_t ep;
	uint32_t other;

	bench_open(&bench);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_REPLICA, process_n(0, 1), &ep), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_REPLICA, process_n(0, 2), NULL), DVS_INUSE);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_REPLICA, process_n(1, 1), &other), DVS_OK);
	ck_assert_uint_eq(ep, other);
	ck_assert_uint_eq(core_primary(endpoint(5), 1)->node, 1);
	ck_assert_ptr_null(core_primary(endpoint(5), 2));
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(2, 1), NULL), DVS_INUSE);
	ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_START, 5), DVS_BADSTATE);
	ck_assert_int_eq(bench_dead(&bench, process_n(0, 1)), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "UNBOUND");
	ck_assert_int_eq(bench_dead(&bench, process_n(1, 1)), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "UNBOUND OVER");
	bench_close(&bench);
}

TEST(the_oldest_backup_follows_a_dead_primary)
{
	uint32_t ep;

	bench_open(&bench);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, 1), &ep), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(0, 2), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(1, 3), NULL), DVS_OK);
	ck_assert_int_eq(bench_dead(&bench, process_n(0, 1)), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "UNBOUND PROMOTED");
	ck_assert_uint_eq(core_primary(endpoint(ep), 0)->holder->id.pid, 2);
	ck_assert_int_eq(core_primary(endpoint(ep), 0)->kind, DVK_LOCAL);
	ck_assert_uint_eq(endpoint(ep)->n_backups, 1);
	ck_assert_int_eq(bench_dead(&bench, process_n(1, 3)), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "UNBOUND");
	ck_assert_int_eq(bench_unbind(&bench, 5, process_n(0, 2)), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "UNBOUND OVER");
	ck_assert_int_eq(bench_dead(&bench, process_n(0, 2)), DVS_NOPROC);
	bench_close(&bench);
}

TEST(a_promoted_backup_and_its_primary_change_places)
{
	bench_open(&bench);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_move(&bench, CORE_PROMOTE, 5, process_n(0, 1)), DVS_NOPROC);
	ck_assert_int_eq(bench_simple(&bench, CORE_PROMOTE, 5), DVS_NOPROC);
	ck_assert_int_eq(bench_simple(&bench, CORE_PROMOTE, 6), DVS_NODEST);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(0, 2), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(0, 3), NULL), DVS_OK);
	ck_assert_int_eq(bench_move(&bench, CORE_PROMOTE, 5, process_n(0, 3)), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "DEMOTED PROMOTED");
	ck_assert_uint_eq(core_primary(endpoint(5), 0)->holder->id.pid, 3);
	ck_assert_uint_eq(core_oldest_backup(endpoint(5))->holder->id.pid, 2);
	ck_assert_int_eq(bench_simple(&bench, CORE_PROMOTE, 5), DVS_OK);
	ck_assert_uint_eq(core_primary(endpoint(5), 0)->holder->id.pid, 2);
	ck_assert_uint_eq(core_oldest_backup(endpoint(5))->holder->id.pid, 1);
	ck_assert_uint_eq(endpoint(5)->n_backups, 2);
	bench_close(&bench);
}

TEST(an_endpoint_moves_and_keeps_its_generation)
{
	struct core_command parked = { .op = CORE_PARKED, .ep = 5, .flags = CORE_F_MORE };
	uint32_t ep;

	bench_open(&bench);
	parked.dc = bench.dc;
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, 1), &ep), DVS_OK);
	ck_assert_int_eq(bench_move(&bench, CORE_MIGRATE_COMMIT, 5, process_n(1, 2)), DVS_BADSTATE);
	ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_ROLLBACK, 5), DVS_BADSTATE);
	ck_assert_int_eq(bench_step(&bench, &parked), DVS_BADSTATE);
	ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_START, 5), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "MIGRATING");
	ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_START, 5), DVS_BADSTATE);
	ck_assert_int_eq(bench_simple(&bench, CORE_PROMOTE, 5), DVS_BADSTATE);
	parked.n_taken = 1;
	parked.taken[0] = (struct core_taken){ .peer = 77, .number = 8, .stale = 255 };
	bench_recode(&parked);
	ck_assert_uint_eq(parked.taken[0].stale, 255);
	ck_assert_int_eq(bench_step(&bench, &parked), DVS_BADSTATE);
	parked.migration = endpoint(5)->migration;
	ck_assert_int_eq(bench_step(&bench, &parked), DVS_OK);
	ck_assert(!endpoint(5)->parked);
	parked.flags = 0;
	ck_assert_int_eq(bench_step(&bench, &parked), DVS_OK);
	ck_assert(endpoint(5)->parked);
	ck_assert_int_eq(bench_step(&bench, &parked), DVS_BADSTATE);
	ck_assert_int_eq(bench_move(&bench, CORE_MIGRATE_COMMIT, 5, process_n(0, 1)), DVS_BADSTATE);
	ck_assert_int_eq(bench_move(&bench, CORE_MIGRATE_COMMIT, 5, process_n(1, 2)), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "MOVED");
	ck_assert_uint_eq(bench.effects.list[0].process.pid, 1);
	ck_assert(bench.effects.list[0].parked);
	ck_assert_uint_eq(endpoint(ep)->n_taken, 2);
	ck_assert_uint_eq(core_primary(endpoint(ep), 0)->node, 1);
	ck_assert_int_eq(bench_dead(&bench, process_n(0, 1)), DVS_NOPROC);
	ck_assert_int_eq(bench_dead(&bench, process_n(1, 2)), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "UNBOUND OVER");
	bench_close(&bench);
}

TEST(what_was_told_for_another_migration_does_not_count)
{
	struct core_command parked = { .op = CORE_PARKED,
				       .ep = 5,
				       .migration = 1,
				       .n_taken = 1,
				       .taken = { { .peer = 77, .number = 8, .stale = 1 } } };
	struct core *copy;

	bench_open(&bench);
	parked.dc = bench.dc;
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_AGAIN, 5), DVS_BADSTATE);
	ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_START, 5), DVS_OK);
	ck_assert_uint_eq(endpoint(5)->migration, 1);
	ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_ROLLBACK, 5), DVS_OK);
	ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_START, 5), DVS_OK);
	ck_assert_int_eq(bench_step(&bench, &parked), DVS_BADSTATE);
	parked.migration = 2;
	parked.flags = CORE_F_MORE;
	ck_assert_int_eq(bench_step(&bench, &parked), DVS_OK);
	ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_AGAIN, 5), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "MIGRATING");
	ck_assert_int_eq(bench_step(&bench, &parked), DVS_BADSTATE);
	parked.migration = 3;
	parked.flags = 0;
	ck_assert_int_eq(bench_step(&bench, &parked), DVS_OK);
	ck_assert_uint_eq(endpoint(5)->n_taken, 1);
	ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_AGAIN, 5), DVS_BADSTATE);
	/* A number is not used again after a restart either. */
	ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_ROLLBACK, 5), DVS_OK);
	bench_copy(bench.core, &copy);
	core_destroy(bench.core);
	bench.core = copy;
	ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_START, 5), DVS_OK);
	ck_assert_uint_eq(endpoint(5)->migration, 4);
	bench_close(&bench);
}

TEST(an_endpoint_that_dies_while_it_moves_waits_for_its_fate)
{
	bench_open(&bench);
	for (uint32_t i = 1; i <= 3; i++) {
		ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, i), NULL), DVS_OK);
		if (i == 3)
			ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(0, 9), NULL),
					 DVS_OK);
		ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_START, 5), DVS_OK);
		ck_assert_int_eq(bench_dead(&bench, process_n(0, i)), DVS_OK);
		ck_assert_str_eq(bench_effects(&bench), "ORPHANED");
		ck_assert_ptr_nonnull(endpoint(5));
		if (i == 1) {
			ck_assert_int_eq(bench_move(&bench, CORE_MIGRATE_COMMIT, 5,
						    process_n(0, 8)),
					 DVS_OK);
			ck_assert(!bench.effects.list[0].parked);
			ck_assert_int_eq(bench_dead(&bench, process_n(0, 8)), DVS_OK);
			continue;
		}
		ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_ROLLBACK, 5), DVS_OK);
		ck_assert_str_eq(bench_effects(&bench),
				 i == 2 ? "UNBOUND OVER" : "UNBOUND PROMOTED");
	}
	bench_close(&bench);
}

TEST(a_node_that_goes_down_takes_its_processes_along)
{
	struct core_command down = { .op = CORE_NODE_DOWN, .node = 1 };

	bench_open(&bench);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(1, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(1, 2), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(0, 3), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(2, 4), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 6, DVK_LOCAL, process_n(1, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 7, DVK_LOCAL, process_n(0, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_step(&bench, &down), DVS_OK);
	ck_assert_uint_eq(core_primary(endpoint(5), 0)->holder->id.pid, 3);
	ck_assert_uint_eq(endpoint(5)->n_backups, 1);
	ck_assert_ptr_null(endpoint(6));
	ck_assert_ptr_nonnull(endpoint(7));
	bench_close(&bench);
}

TEST(privileges_name_whom_one_may_call)
{
	struct core_command set = { .op = CORE_PRIVILEGES_SET,
				    .ep = 5,
				    .privileges = { .may = DVS_MAY_COPY,
						    .n_call_to = 2,
						    .call_to = { { 3, 4 }, { 9, 9 } } } };

	bench_open(&bench);
	set.dc = bench.dc;
	ck_assert_int_eq(bench_step(&bench, &set), DVS_NODEST);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, 1), NULL), DVS_OK);
	ck_assert(core_may_call(endpoint(5), DVS_EP_NUMBER_MAX));
	ck_assert_int_eq(bench_step(&bench, &set), DVS_OK);
	ck_assert(!core_may_call(endpoint(5), 2));
	ck_assert(core_may_call(endpoint(5), 3));
	ck_assert(core_may_call(endpoint(5), 4));
	ck_assert(!core_may_call(endpoint(5), 5));
	ck_assert(core_may_call(endpoint(5), 9));
	set.privileges.n_call_to = 0;
	ck_assert_int_eq(bench_step(&bench, &set), DVS_OK);
	ck_assert(!core_may_call(endpoint(5), 9));
	bench_close(&bench);
}

UNIT_MAIN("core-core", dc_names_and_ids_are_used_once, a_dc_with_endpoints_is_only_removed_by_force,
	  client_numbers_go_round, generations_rise_at_each_primary_and_wrap_to_one,
	  bindings_that_cannot_be_are_refused, a_replica_is_bound_once_on_each_node,
	  the_oldest_backup_follows_a_dead_primary, a_promoted_backup_and_its_primary_change_places,
	  an_endpoint_moves_and_keeps_its_generation,
	  what_was_told_for_another_migration_does_not_count,
	  an_endpoint_that_dies_while_it_moves_waits_for_its_fate,
	  a_node_that_goes_down_takes_its_processes_along, privileges_name_whom_one_may_call)
