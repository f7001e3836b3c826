/* SPDX-License-Identifier: Apache-2.0 */
/* DCs with containers: what becomes of them as nodes report and go. */
#include <stdio.h>
#include <string.h>

#include "core_help.h"
#include "unit.h"

static struct bench bench;
static dvs_dcid web;

static dvs_err node_step(enum core_op op, uint32_t node)
{
	struct core_command command = { .op = op, .node = node };

	snprintf(command.name, sizeof(command.name), "node%u", node);
	return bench_step(&bench, &command);
}

static dvs_err create(const char *name, uint64_t nodes, const char *description)
{
	struct core_command command = { .op = CORE_CONTAINER_CREATE,
					.id = nodes,
					.owner_uid = DVK_OWNER_CONTAINER,
					.value = (const uint8_t *)description,
					.n_value = (uint32_t)strlen(description) };
	dvs_err err;

	snprintf(command.name, sizeof(command.name), "%s", name);
	err = bench_step(&bench, &command);
	if (err == DVS_OK)
		web = bench.effects.list[0].dc;
	return err;
}

static dvs_err report(uint32_t node, enum dvk_container_state state, const char *text)
{
	struct core_command command = { .op = CORE_CONTAINER_REPORT,
					.dc = web,
					.node = node,
					.kind = state,
					.count = 7,
					.value = (const uint8_t *)text,
					.n_value = (uint32_t)strlen(text) };

	return bench_step(&bench, &command);
}

static dvs_err change(enum core_op op, uint64_t add, uint64_t remove, uint32_t flags)
{
	struct core_command command = {
		.op = op, .dc = web, .id = add, .count = remove, .flags = flags
	};

	return bench_step(&bench, &command);
}

static dvs_err record(enum core_op op, const char *key, uint64_t expected, const char *value)
{
	struct core_command command = { .op = op,
					.dc = web,
					.count = expected,
					.value = (const uint8_t *)value,
					.n_value = (uint32_t)strlen(value) };

	snprintf(command.name, sizeof(command.name), "%s", key);
	return bench_step(&bench, &command);
}

static const struct core_dc *dc(void)
{
	return core_dc_find(bench.core, web);
}

static void open_nodes(void)
{
	bench_open(&bench);
	for (uint32_t node = 0; node < 3; node++)
		ck_assert_int_eq(node_step(CORE_NODE_UP, node), DVS_OK);
}

static void open_running(uint64_t nodes)
{
	open_nodes();
	ck_assert_int_eq(create("web", nodes, "{}"), DVS_OK);
	for (uint32_t node = 0; node < 3; node++) {
		if (nodes >> node & 1)
			ck_assert_int_eq(report(node, DVK_READY, ""), DVS_OK);
	}
	ck_assert_str_eq(bench_effects(&bench), "DC_UP");
}

TEST(it_runs_when_all_are_ready)
{
	open_nodes();
	ck_assert_int_eq(create("web", 5, "{}"), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "DC_CREATED");
	ck_assert_uint_eq(dc()->owner_uid, 0x10000000u + web.n * 65536u);
	ck_assert_int_eq(report(0, DVK_READY, ""), DVS_OK);
	ck_assert_int_eq(dc()->containers->phase, DVK_CREATING);
	ck_assert_int_eq(report(1, DVK_READY, ""), DVS_BADSTATE);
	ck_assert_int_eq(report(0, DVK_GONE, ""), DVS_BADSTATE);
	ck_assert_int_eq(report(2, DVK_READY, ""), DVS_OK);
	ck_assert_int_eq(dc()->containers->phase, DVK_RUNS);
	ck_assert_uint_eq(dc()->containers->on[2].version, 7);
	bench_close(&bench);
}

TEST(what_cannot_be_is_not_begun)
{
	open_nodes();
	ck_assert_int_eq(create("web", 0, "{}"), DVS_BADARG);
	ck_assert_int_eq(create(".web", 1, "{}"), DVS_BADARG);
	ck_assert_int_eq(create("web", 1, ""), DVS_BADARG);
	ck_assert_int_eq(create("web", 9, "{}"), DVS_NODEST);
	ck_assert_int_eq(create("web", UINT64_C(1) << 63, "{}"), DVS_NODEST);
	ck_assert_int_eq(create("a", 1, "{}"), DVS_EXISTS);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 1), DVS_OK);
	ck_assert_int_eq(create("web", 3, "{}"), DVS_NODEDOWN);
	ck_assert_uint_eq(core_n_dcs(bench.core), 1);
	bench_close(&bench);
}

TEST(one_that_cannot_has_all_taken_back)
{
	open_nodes();
	ck_assert_int_eq(create("web", 7, "{}"), DVS_OK);
	ck_assert_int_eq(report(0, DVK_READY, ""), DVS_OK);
	ck_assert_int_eq(report(1, DVK_BROKEN, "no room"), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "DC_FAILED");
	ck_assert_uint_eq(bench.effects.list[0].node, 1);
	ck_assert_str_eq(bench.effects.list[0].text, "no room");
	ck_assert_int_eq(report(2, DVK_READY, ""), DVS_BADSTATE);
	ck_assert_int_eq(report(0, DVK_GONE, ""), DVS_OK);
	ck_assert_int_eq(report(1, DVK_GONE, ""), DVS_OK);
	ck_assert_str_eq(dc()->containers->refusal, "no room");
	ck_assert_int_eq(report(2, DVK_BROKEN, "busy"), DVS_OK);
	ck_assert_str_eq(dc()->containers->refusal, "no room");
	ck_assert_int_eq(report(2, DVK_GONE, ""), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "DC_CHANGED DC_REMOVED");
	ck_assert_ptr_null(dc());
	bench_close(&bench);
}

TEST(a_node_that_goes_while_it_is_made_is_one_that_cannot)
{
	open_nodes();
	ck_assert_int_eq(create("web", 3, "{}"), DVS_OK);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 1), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "DOWN DC_FAILED");
	ck_assert_uint_eq(bench.effects.list[1].node, 1);
	ck_assert_int_eq(report(1, DVK_GONE, ""), DVS_BADSTATE);
	ck_assert_int_eq(report(0, DVK_GONE, ""), DVS_OK);
	ck_assert_ptr_null(dc());
	/* and when nobody else is there, at once */
	ck_assert_int_eq(create("web", 4, "{}"), DVS_OK);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 2), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "DOWN DC_FAILED DC_REMOVED");
	ck_assert_ptr_nonnull(strstr(bench.effects.list[1].text, "went down"));
	bench_close(&bench);
}

TEST(a_node_that_comes_back_before_all_are_gone_is_waited_for_again)
{
	open_running(7);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 1), DVS_OK);
	ck_assert_int_eq(dc()->containers->on[1].state, DVK_WANTED);
	ck_assert_int_eq(dc()->containers->phase, DVK_RUNS);
	ck_assert_int_eq(change(CORE_CONTAINER_REMOVE, 0, 0, 0), DVS_OK);
	ck_assert_int_eq(report(0, DVK_GONE, ""), DVS_OK);
	ck_assert_int_eq(node_step(CORE_NODE_UP, 1), DVS_OK);
	ck_assert_int_eq(report(2, DVK_GONE, ""), DVS_OK);
	ck_assert_ptr_nonnull(dc());
	ck_assert_int_eq(report(1, DVK_GONE, ""), DVS_OK);
	ck_assert_ptr_null(dc());
	bench_close(&bench);
}

TEST(programs_outside_hold_it)
{
	struct core_command bind = { .op = CORE_BIND,
				     .ep = 5,
				     .kind = DVK_LOCAL,
				     .flags = CORE_F_INSIDE,
				     .process = process_n(0, 1) };

	open_running(1);
	bind.dc = web;
	ck_assert_int_eq(bench_step(&bench, &bind), DVS_OK);
	bind.ep = 6;
	bind.flags = 0;
	bind.process = process_n(0, 2);
	ck_assert_int_eq(bench_step(&bench, &bind), DVS_OK);
	ck_assert_int_eq(change(CORE_CONTAINER_REMOVE, 0, 0, 0), DVS_BADSTATE);
	ck_assert_int_eq(change(CORE_DC_REMOVE, 0, 0, CORE_F_FORCE), DVS_BADSTATE);
	ck_assert_int_eq(bench_dead(&bench, bind.process), DVS_OK);
	ck_assert_int_eq(change(CORE_CONTAINER_REMOVE, 0, 0, 0), DVS_OK);
	ck_assert_int_eq(record(CORE_RECORD_SET, "x", 0, ""), DVS_NODC);
	ck_assert_int_eq(report(0, DVK_GONE, ""), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "DC_CHANGED UNBOUND OVER DC_REMOVED");
	bench_close(&bench);
}

TEST(a_dc_without_a_node_stays_and_gets_nodes_again)
{
	open_running(1);
	ck_assert_int_eq(change(CORE_CONTAINER_NODES, 0, 1, 0), DVS_OK);
	ck_assert_int_eq(report(0, DVK_GONE, ""), DVS_OK);
	ck_assert_ptr_nonnull(dc());
	ck_assert_uint_eq(dc()->containers->nodes | dc()->containers->leaving, 0);
	ck_assert_int_eq(dc()->containers->phase, DVK_RUNS);
	ck_assert_ptr_nonnull(core_record_find(dc(), CORE_DESCRIPTION));
	ck_assert_int_eq(change(CORE_CONTAINER_NODES, 2, 0, 0), DVS_OK);
	ck_assert_int_eq(report(1, DVK_READY, ""), DVS_OK);
	ck_assert_uint_eq(dc()->containers->nodes, 2);
	bench_close(&bench);
}

TEST(nodes_are_added_and_taken_off)
{
	open_running(1);
	ck_assert_int_eq(change(CORE_CONTAINER_NODES, 6, 0, 0), DVS_OK);
	ck_assert_uint_eq(dc()->containers->adding, 6);
	ck_assert_int_eq(report(1, DVK_READY, ""), DVS_OK);
	ck_assert_int_eq(report(2, DVK_BROKEN, "no image"), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "DC_REFUSED");
	ck_assert_str_eq(bench.effects.list[0].text, "no image");
	ck_assert_uint_eq(dc()->containers->nodes, 3);
	ck_assert_uint_eq(dc()->containers->leaving, 4);
	ck_assert_int_eq(change(CORE_CONTAINER_NODES, 4, 0, 0), DVS_BADSTATE);
	ck_assert_int_eq(report(2, DVK_GONE, ""), DVS_OK);
	ck_assert_uint_eq(dc()->containers->leaving, 0);
	ck_assert_int_eq(change(CORE_CONTAINER_NODES, 0, 4, 0), DVS_NODEST);
	ck_assert_int_eq(change(CORE_CONTAINER_NODES, 4, 3, 0), DVS_OK);
	ck_assert_uint_eq(dc()->containers->leaving, 3);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 0), DVS_OK);
	ck_assert_uint_eq(dc()->containers->leaving, 2);
	/* one that was there before and breaks stays on it */
	ck_assert_int_eq(report(2, DVK_READY, ""), DVS_OK);
	ck_assert_int_eq(report(2, DVK_BROKEN, "died"), DVS_OK);
	ck_assert_uint_eq(dc()->containers->nodes, 4);
	bench_close(&bench);
}

TEST(an_added_node_that_goes_down_is_taken_off)
{
	open_running(1);
	ck_assert_int_eq(change(CORE_CONTAINER_NODES, 4, 0, 0), DVS_OK);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 2), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "DOWN DC_REFUSED");
	ck_assert_uint_eq(dc()->containers->nodes | dc()->containers->leaving, 1);
	ck_assert_int_eq(node_step(CORE_NODE_DOWN, 0), DVS_OK);
	ck_assert_int_eq(node_step(CORE_NODE_REMOVE, 0), DVS_OK);
	ck_assert_uint_eq(dc()->containers->nodes, 0);
	bench_close(&bench);
}

TEST(the_same_report_changes_nothing)
{
	uint64_t change_before;

	open_running(1);
	change_before = dc()->change;
	ck_assert_int_eq(report(0, DVK_READY, ""), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "");
	ck_assert_uint_eq(dc()->change, change_before);
	ck_assert_int_eq(report(0, DVK_READY, "hm"), DVS_OK);
	ck_assert_uint_gt(dc()->change, change_before);
	ck_assert_int_eq(change(CORE_CONTAINER_FREEZE, 0, 0, CORE_F_FROZEN), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "DC_CHANGED");
	ck_assert_int_eq(change(CORE_CONTAINER_FREEZE, 0, 0, CORE_F_FROZEN), DVS_OK);
	ck_assert_str_eq(bench_effects(&bench), "");
	bench_close(&bench);
}

TEST(records_have_versions_that_only_grow)
{
	const struct core_record *found;
	uint64_t first;

	open_running(1);
	ck_assert_int_eq(record(CORE_RECORD_SET, "b", 0, "one"), DVS_OK);
	first = core_record_find(dc(), "b")->version;
	ck_assert_uint_eq(dc()->change, first);
	ck_assert_int_eq(record(CORE_RECORD_SET, "b", 0, "two"), DVS_EXISTS);
	ck_assert_int_eq(record(CORE_RECORD_SET, "b", first + 1, "two"), DVS_EXISTS);
	ck_assert_int_eq(record(CORE_RECORD_SET, "c", first, "two"), DVS_NOTFOUND);
	ck_assert_int_eq(record(CORE_RECORD_SET, "b", first, "two"), DVS_OK);
	found = core_record_find(dc(), "b");
	ck_assert_uint_gt(found->version, first);
	ck_assert_uint_eq(found->len, 3);
	ck_assert_mem_eq(found->value, "two", 3);
	ck_assert_int_eq(record(CORE_RECORD_SET, "a/x", DVK_VERSION_ANY, ""), DVS_OK);
	ck_assert_str_eq(core_record_after(dc(), "")->key, "a/x");
	ck_assert_str_eq(core_record_after(dc(), "b")->key, "dc");
	ck_assert_ptr_null(core_record_after(dc(), "dc"));
	ck_assert_int_eq(record(CORE_RECORD_SET, "a b", 0, ""), DVS_BADARG);
	ck_assert_int_eq(record(CORE_RECORD_REMOVE, "dc", 0, ""), DVS_BADARG);
	ck_assert_int_eq(record(CORE_RECORD_REMOVE, "b", 0, ""), DVS_OK);
	ck_assert_int_eq(record(CORE_RECORD_REMOVE, "b", 0, ""), DVS_NOTFOUND);
	ck_assert_int_eq(record(CORE_RECORD_SET, "b", 0, "three"), DVS_OK);
	ck_assert_uint_gt(core_record_find(dc(), "b")->version, first + 2);
	bench_close(&bench);
}

TEST(a_dc_has_so_many_records_and_no_more)
{
	char key[16];

	open_running(1);
	for (unsigned int i = 1; i < DVK_RECORDS_MAX; i++) {
		snprintf(key, sizeof(key), "r%u", i);
		ck_assert_int_eq(record(CORE_RECORD_SET, key, 0, ""), DVS_OK);
	}
	ck_assert_int_eq(record(CORE_RECORD_SET, "more", 0, ""), DVS_FULL);
	ck_assert_int_eq(record(CORE_RECORD_SET, "r1", DVK_VERSION_ANY, "new"), DVS_OK);
	bench_close(&bench);
}

TEST(a_snapshot_has_it_all)
{
	struct core *copy;

	open_running(3);
	ck_assert_int_eq(record(CORE_RECORD_SET, "program/x", 0, "echo"), DVS_OK);
	ck_assert_int_eq(change(CORE_CONTAINER_NODES, 4, 2, 0), DVS_OK);
	ck_assert_int_eq(report(1, DVK_BROKEN, "busy"), DVS_OK);
	ck_assert_int_eq(change(CORE_CONTAINER_FREEZE, 0, 0, CORE_F_FROZEN), DVS_OK);
	ck_assert_int_eq(report(2, DVK_BROKEN, "no room"), DVS_OK);
	bench_copy(bench.core, &copy);
	ck_assert_uint_eq(core_digest(copy), core_digest(bench.core));
	ck_assert_str_eq(core_dc_find(copy, web)->containers->refusal, "no room");
	ck_assert_str_eq(core_dc_find(copy, web)->containers->on[1].text, "busy");
	core_destroy(copy);
	bench_close(&bench);
}

TEST(a_hidden_dc_is_made_for_those_who_may)
{
	struct core_command command = { .op = CORE_DC_CREATE, .name = ".dvs" };

	bench_open(&bench);
	ck_assert_int_eq(bench_step(&bench, &command), DVS_BADARG);
	command.flags = CORE_F_HIDDEN;
	ck_assert_int_eq(bench_step(&bench, &command), DVS_OK);
	ck_assert_int_eq(bench_step(&bench, &command), DVS_EXISTS);
	memcpy(command.name, "..x", 4);
	ck_assert_int_eq(bench_step(&bench, &command), DVS_BADARG);
	ck_assert(core_name_is_hidden(".dvs") && !core_name_is_hidden("dvs"));
	bench_close(&bench);
}

UNIT_MAIN("core-container", it_runs_when_all_are_ready, what_cannot_be_is_not_begun,
	  one_that_cannot_has_all_taken_back, a_node_that_goes_while_it_is_made_is_one_that_cannot,
	  a_node_that_comes_back_before_all_are_gone_is_waited_for_again, programs_outside_hold_it,
	  a_dc_without_a_node_stays_and_gets_nodes_again, nodes_are_added_and_taken_off,
	  an_added_node_that_goes_down_is_taken_off, the_same_report_changes_nothing,
	  records_have_versions_that_only_grow, a_dc_has_so_many_records_and_no_more,
	  a_snapshot_has_it_all, a_hidden_dc_is_made_for_those_who_may)
