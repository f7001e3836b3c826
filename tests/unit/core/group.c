/* SPDX-License-Identifier: Apache-2.0 */
#include "core/core.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core_help.h"
#include "unit.h"

static struct bench bench;

static struct core_group *group(const char *name)
{
	return core_group_find(core_dc_find(bench.core, bench.dc), name);
}

static dvs_err join(uint32_t ep, struct core_process process, const char *name)
{
	struct core_command command = {
		.op = CORE_GROUP_JOIN, .dc = bench.dc, .ep = ep, .process = process
	};

	(void)snprintf(command.name, sizeof(command.name), "%s", name);
	return bench_step(&bench, &command);
}

static uint64_t id_of(uint32_t ep, struct core_process process)
{
	return core_binding_of(core_endpoint_find(core_dc_find(bench.core, bench.dc), ep), &process)
		->id;
}

static dvs_err about(enum core_op op, uint64_t member, uint64_t count, const char *name)
{
	struct core_command command = { .op = op, .dc = bench.dc, .id = member, .count = count };

	(void)snprintf(command.name, sizeof(command.name), "%s", name);
	return bench_step(&bench, &command);
}

/* "1 2?1 3": the processes of the members, with who gives them the state that they await. */
static const char *members(const char *name)
{
	static char text[512];
	const struct core_group *found = group(name);
	size_t used = 0;

	text[0] = '\0';
	if (!found)
		return "-";
	LIST_FOREACH(at, &found->members) {
		const struct core_member *member = CONTAINER_OF(at, struct core_member, of_group);

		used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%u",
					 used > 0 ? " " : "", member->binding->holder->id.pid);
		if (member->awaits)
			used += (size_t)snprintf(
				text + used, sizeof(text) - used, "?%u",
				core_member_find(found, member->donor)->binding->holder->id.pid);
	}
	return text;
}

static struct core_process process(uint32_t node, uint32_t n)
{
	struct core_process made = process_n(node, n);

	made.pid = n;
	return made;
}

static uint32_t bound(uint32_t node, uint32_t n)
{
	uint32_t ep;

	ck_assert_int_eq(bench_bind(&bench, n, DVK_LOCAL, process(node, n), &ep), DVS_OK);
	return ep;
}

static void check_copy(void)
{
	struct core *copy;

	bench_copy(bench.core, &copy);
	ck_assert_uint_eq(core_digest(copy), core_digest(bench.core));
	core_destroy(copy);
}

TEST(who_joins_is_given_the_state_by_the_oldest)
{
	uint32_t ep[5];

	bench_open(&bench);
	for (uint32_t i = 1; i <= 4; i++)
		ep[i] = bound(0, i);
	ck_assert_int_eq(join(ep[1], process(0, 2), "g"), DVS_NODEST);
	ck_assert_int_eq(join(ep[1], process(0, 1), "a/b"), DVS_BADARG);
	ck_assert_int_eq(join(ep[1], process(0, 1), "g"), DVS_OK);
	ck_assert_int_eq(join(ep[1], process(0, 1), "g"), DVS_EXISTS);
	ck_assert_str_eq(members("g"), "1");
	ck_assert_int_eq(join(ep[2], process(0, 2), "g"), DVS_OK);
	ck_assert_int_eq(join(ep[3], process(0, 3), "g"), DVS_OK);
	ck_assert_str_eq(members("g"), "1 2?1 3?1");
	check_copy();
	/* As of the view in which it came, and no other. */
	ck_assert_int_eq(about(CORE_GROUP_GIVEN, id_of(ep[2], process(0, 2)), group("g")->view,
			       "g"),
			 DVS_BADSTATE);
	ck_assert_int_eq(about(CORE_GROUP_GIVEN, id_of(ep[2], process(0, 2)), group("g")->view - 1,
			       "g"),
			 DVS_OK);
	ck_assert_str_eq(members("g"), "1 2 3?1");
	ck_assert_int_eq(bench_dead(&bench, process(0, 1)), DVS_OK);
	ck_assert_str_eq(members("g"), "2 3?2");
	/* The state that it awaits is that of the new view. */
	ck_assert_int_eq(about(CORE_GROUP_GIVEN, id_of(ep[3], process(0, 3)), group("g")->view,
			       "g"),
			 DVS_OK);
	ck_assert_int_eq(join(ep[4], process(0, 4), "g"), DVS_OK);
	ck_assert_int_eq(bench_dead(&bench, process(0, 3)), DVS_OK);
	ck_assert_str_eq(members("g"), "2 4?2");
	ck_assert_int_eq(bench_unbind(&bench, ep[2], process(0, 2)), DVS_OK);
	ck_assert_str_eq(members("g"), "4");
	check_copy();
	bench_close(&bench);
}

TEST(views_are_numbered_once)
{
	uint32_t ep;
	uint64_t view;

	bench_open(&bench);
	ep = bound(0, 1);
	ck_assert_int_eq(join(ep, process(0, 1), "g"), DVS_OK);
	view = group("g")->view;
	ck_assert_int_eq(about(CORE_GROUP_LEAVE, id_of(ep, process(0, 1)), 0, "g"), DVS_OK);
	ck_assert_str_eq(members("g"), "-");
	ck_assert_int_eq(about(CORE_GROUP_LEAVE, id_of(ep, process(0, 1)), 0, "g"), DVS_NODEST);
	check_copy();
	ck_assert_int_eq(join(ep, process(0, 1), "g"), DVS_OK);
	ck_assert_uint_gt(group("g")->view, view);
	bench_close(&bench);
}

TEST(a_node_takes_its_members_along_also_when_only_its_dvsd_goes)
{
	static const enum core_op ops[] = { CORE_NODE_DOWN, CORE_NODE_AWAY };

	for (size_t i = 0; i < 2; i++) {
		struct core_command command = { .op = CORE_NODE_UP, .node = 1, .count = 7 };
		uint32_t ep;

		bench_open(&bench);
		strcpy(command.name, "n1");
		strcpy(command.address, "10.0.0.1");
		ck_assert_int_eq(bench_step(&bench, &command), DVS_OK);
		ep = bound(1, 1);
		ck_assert_int_eq(join(ep, process(1, 1), "g"), DVS_OK);
		ck_assert_int_eq(join(ep, process(1, 1), "alone"), DVS_OK);
		ep = bound(0, 2);
		ck_assert_int_eq(join(ep, process(0, 2), "g"), DVS_OK);
		command = (struct core_command){ .op = ops[i], .node = 1 };
		ck_assert_int_eq(bench_step(&bench, &command), DVS_OK);
		ck_assert_str_eq(members("g"), "2");
		ck_assert_str_eq(members("alone"), "-");
		check_copy();
		bench_close(&bench);
	}
}

/* What holds for each group at any time. */
static void check_groups(void)
{
	const struct core_dc *dc = core_dc_find(bench.core, bench.dc);

	for (const struct core_group *at = core_group_next(dc, NULL); at;
	     at = core_group_next(dc, at)) {
		uint32_t n = 0;
		uint32_t n_with_state = 0;

		LIST_FOREACH(link, &at->members) {
			const struct core_member *member =
				CONTAINER_OF(link, struct core_member, of_group);
			const struct core_member *donor = core_member_find(at, member->donor);

			n++;
			n_with_state += member->awaits == 0;
			ck_assert(member->awaits <= at->view);
			ck_assert((member->awaits == 0) == (member->donor == 0));
			ck_assert(member->awaits == 0 || (donor && donor->awaits == 0));
		}
		ck_assert_uint_eq(n, at->n_members);
		ck_assert(n > 0 && n_with_state > 0 && at->view <= core_last_view(bench.core));
	}
}

static void random_step(unsigned int *seed)
{
	static const char *const names[] = { "a", "b", "c" };
	const char *name = names[(unsigned int)rand_r(seed) % 3];
	uint32_t n = 1 + (uint32_t)rand_r(seed) % 12;
	const struct core_group *found = group(name);
	struct core_endpoint *endpoint = core_endpoint_find(core_dc_find(bench.core, bench.dc), n);
	const struct core_member *oldest =
		found ? CONTAINER_OF(found->members.prev, struct core_member, of_group) : NULL;
	uint32_t ep;

	switch (rand_r(seed) % 6) {
	case 0:
		(void)!bench_bind(&bench, n, DVK_LOCAL, process(0, n), &ep);
		break;
	case 1:
		(void)!bench_dead(&bench, process(0, n));
		break;
	case 2:
		if (oldest)
			(void)!about(CORE_GROUP_LEAVE, oldest->binding->id, 0, name);
		break;
	case 3:
		if (oldest)
			(void)!about(CORE_GROUP_GIVEN, oldest->binding->id, oldest->awaits, name);
		break;
	default:
		if (endpoint)
			(void)!join(endpoint->ep.n, process(0, n), name);
		break;
	}
}

TEST(everybody_who_awaits_the_state_has_somebody_who_gives_it)
{
	unsigned int seed = (unsigned int)time(NULL);

	printf("# seed %u\n", seed);
	bench_open(&bench);
	for (int i = 0; i < 20000; i++) {
		random_step(&seed);
		check_groups();
		if (i % 100 == 0)
			check_copy();
	}
	bench_close(&bench);
}

UNIT_MAIN("core-group", who_joins_is_given_the_state_by_the_oldest, views_are_numbered_once,
	  a_node_takes_its_members_along_also_when_only_its_dvsd_goes,
	  everybody_who_awaits_the_state_has_somebody_who_gives_it)
