/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "core_help.h"
#include "unit.h"

static struct bench bench;

static void fill(void)
{
	struct core_command parked = { .op = CORE_PARKED, .ep = 6, .flags = CORE_F_MORE };
	struct core_command area = { .op = CORE_PROCESS_AREA,
				     .process = process_n(0, 1),
				     .area = 4711 };
	uint32_t ep;

	bench_open(&bench);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_LOCAL, process_n(0, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_step(&bench, &area), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 5, DVK_BACKUP, process_n(0, 2), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 6, DVK_LOCAL, process_n(1, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 7, DVK_REPLICA, process_n(1, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 7, DVK_REPLICA, process_n(2, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, 8, DVK_LOCAL, process_n(2, 1), NULL), DVS_OK);
	ck_assert_int_eq(bench_unbind(&bench, 8, process_n(2, 1)), DVS_OK);
	ck_assert_int_eq(bench_bind(&bench, UINT32_MAX, DVK_LOCAL, process_n(2, 1), &ep), DVS_OK);
	ck_assert_int_eq(bench_simple(&bench, CORE_MIGRATE_START, 6), DVS_OK);
	parked.dc = bench.dc;
	parked.migration = 1;
	parked.n_taken = CORE_COMMAND_TAKEN;
	for (uint32_t i = 0; i < CORE_COMMAND_TAKEN; i++)
		parked.taken[i] = (struct core_taken){ i, i, i, i };
	ck_assert_int_eq(bench_step(&bench, &parked), DVS_OK);
	parked.n_taken = 3;
	parked.flags = 0;
	ck_assert_int_eq(bench_step(&bench, &parked), DVS_OK);
	ck_assert_int_eq(bench_dead(&bench, process_n(1, 1)), DVS_OK);
}

TEST(a_snapshot_makes_an_equal_core)
{
	struct core *copy;

	fill();
	bench_copy(bench.core, &copy);
	ck_assert_uint_eq(core_digest(copy), core_digest(bench.core));
	ck_assert_uint_eq(core_n_endpoints(copy), core_n_endpoints(bench.core));
	core_destroy(copy);
	bench_close(&bench);
}

TEST(equal_commands_afterwards_keep_the_copy_equal)
{
	struct core_effects effects = { 0 };
	struct core_command command = {
		.op = CORE_BIND, .ep = 8, .kind = DVK_LOCAL, .process = process_n(0, 5)
	};
	struct core *copy;
	uint64_t before;

	fill();
	bench_copy(bench.core, &copy);
	before = core_digest(bench.core);
	command.dc = bench.dc;
	ck_assert_int_eq(bench_step(&bench, &command), DVS_OK);
	ck_assert_int_eq(core_step(copy, &command, &effects), DVS_OK);
	ck_assert_uint_eq(effects.list[0].ep.n, bench.effects.list[0].ep.n);
	ck_assert_uint_eq(dvs_ep_generation(effects.list[0].ep), 2);
	ck_assert_uint_ne(core_digest(bench.core), before);
	ck_assert_uint_eq(core_digest(copy), core_digest(bench.core));
	core_effects_free(&effects);
	core_destroy(copy);
	bench_close(&bench);
}

TEST(a_snapshot_into_a_core_that_is_not_empty_is_refused)
{
	struct core_command command = { .op = CORE_RESTORE_DC, .dc = { 1 }, .name = "z" };

	fill();
	ck_assert_int_eq(bench_step(&bench, &command), DVS_BADSTATE);
	bench_close(&bench);
}

TEST(a_snapshot_that_contradicts_itself_is_refused_and_mended)
{
	struct core_command command = { .op = CORE_RESTORE_COUNTERS, .count = 3, .id = 9 };
	struct bench fresh = { 0 };

	ck_assert_int_eq(core_create(&fresh.core), DVS_OK);
	ck_assert_int_eq(bench_step(&fresh, &command), DVS_OK);
	command = (struct core_command){ .op = CORE_RESTORE_DC, .dc = { 3 }, .name = "z" };
	ck_assert_int_eq(bench_step(&fresh, &command), DVS_BADARG);
	command.dc.n = 1;
	ck_assert_int_eq(bench_step(&fresh, &command), DVS_OK);
	ck_assert_int_eq(bench_step(&fresh, &command), DVS_EXISTS);
	command = (struct core_command){ .op = CORE_RESTORE_ENDPOINT,
					 .dc = { 1 },
					 .ep = (1u << DVS_EP_NUMBER_BITS) + 5 };
	ck_assert_int_eq(bench_step(&fresh, &command), DVS_OK);
	ck_assert_int_eq(bench_step(&fresh, &command), DVS_INUSE);
	command.ep++;
	ck_assert_int_eq(bench_step(&fresh, &command), DVS_OK);
	command = (struct core_command){ .op = CORE_RESTORE_BINDING,
					 .dc = { 1 },
					 .ep = 5,
					 .kind = DVK_BACKUP,
					 .role = CORE_BACKUP,
					 .process = process_n(0, 77) };
	ck_assert_int_eq(bench_step(&fresh, &command), DVS_OK);
	command.process = process_n(0, 78);
	command.role = 3;
	ck_assert_int_eq(bench_step(&fresh, &command), DVS_BADARG);
	command.role = CORE_BACKUP;
	command.node = 1;
	ck_assert_int_eq(bench_step(&fresh, &command), DVS_BADARG);
	command.node = 0;
	command.flags = CORE_F_ORPHAN;
	ck_assert_int_eq(bench_step(&fresh, &command), DVS_BADARG);
	command = (struct core_command){ .op = CORE_DC_CREATE, .name = "y" };
	ck_assert_int_eq(bench_step(&fresh, &command), DVS_OK);
	ck_assert_uint_eq(core_n_endpoints(fresh.core), 1);
	ck_assert_ptr_nonnull(
		core_primary(core_endpoint_from(core_dc_by_name(fresh.core, "z"), 0), 0));
	bench_close(&fresh);
}

TEST(bytes_that_are_no_command_are_refused)
{
	uint8_t bytes[CORE_COMMAND_BYTES_MAX + 1];
	struct core_command command = { .op = CORE_DC_CREATE, .name = "name", .owner_uid = 1 };
	struct writer out = writer_over(bytes, sizeof(bytes));
	size_t len;

	core_command_encode(&out, &command);
	len = writer_len(&out);
	for (size_t i = 0; i <= len + 1; i++) {
		struct cursor in = cursor_over(bytes, i);

		bytes[len] = 0;
		ck_assert_int_eq(core_command_decode(&in, &command), i == len ? DVS_OK : DVS_PROTO);
	}
	for (unsigned int op = 0; op < 256; op++) {
		struct cursor in;
		dvs_err err;

		memset(bytes, 0xff, sizeof(bytes));
		bytes[0] = (uint8_t)op;
		in = cursor_over(bytes, sizeof(bytes));
		err = core_command_decode(&in, &command);
		ck_assert_int_eq(err, DVS_PROTO);
	}
}

UNIT_MAIN("core-snapshot", a_snapshot_makes_an_equal_core,
	  equal_commands_afterwards_keep_the_copy_equal,
	  a_snapshot_into_a_core_that_is_not_empty_is_refused,
	  a_snapshot_that_contradicts_itself_is_refused_and_mended,
	  bytes_that_are_no_command_are_refused)
