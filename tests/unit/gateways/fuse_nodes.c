/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/fuse/nodes.h"

#include "unit.h"

static struct nodes *nodes;
static const struct fs_attr leased = { .ino = 5, .lease = 1 };
static const struct fs_attr bare = { .ino = 5 };

static void begin(void)
{
	ck_assert(nodes_make(&nodes) == DVS_OK);
	ck_assert(nodes_keep(nodes, &leased) == DVS_OK);
}

TEST(what_has_no_lease_is_not_kept)
{
	begin();
	ck_assert(!nodes_took(nodes, &bare, nodes_clock(nodes)));
	ck_assert(!nodes_holds(nodes, 5, nodes_clock(nodes)));
	ck_assert(nodes_took(nodes, &leased, nodes_clock(nodes)));
	ck_assert(nodes_holds(nodes, 5, nodes_clock(nodes)));
	nodes_free(nodes);
}
END_TEST

TEST(an_answer_that_a_recall_has_overtaken_counts_for_nothing)
{
	struct nodes_recall recall;
	uint64_t asked;

	begin();
	asked = nodes_clock(nodes);
	nodes_recall_begin(nodes, 5, &recall);
	ck_assert(recall.is_known);
	ck_assert(nodes_recall_end(nodes, &recall));
	ck_assert(!nodes_took(nodes, &leased, asked));
	ck_assert(nodes_took(nodes, &leased, nodes_clock(nodes)));
	nodes_free(nodes);
}
END_TEST

TEST(a_recall_of_a_file_that_nobody_knew_yet_counts_too)
{
	const struct fs_attr attr = { .ino = 77, .lease = 1 };
	struct nodes_recall recall;
	uint64_t asked;

	begin();
	asked = nodes_clock(nodes);
	nodes_recall_begin(nodes, 77, &recall);
	ck_assert(!recall.is_known);
	ck_assert(nodes_recall_end(nodes, &recall));
	ck_assert(nodes_keep(nodes, &attr) == DVS_OK);
	ck_assert(!nodes_took(nodes, &attr, asked));
	nodes_free(nodes);
}
END_TEST

TEST(what_is_read_without_a_lease_is_read_again)
{
	uint64_t asked;

	begin();
	asked = nodes_clock(nodes);
	ck_assert_int_eq(nodes_judge(nodes, 5, asked), NODES_AGAIN);
	ck_assert(!nodes_may_be_cached(nodes, 5));
	ck_assert(nodes_took(nodes, &leased, asked));
	ck_assert_int_eq(nodes_judge(nodes, 5, asked), NODES_GOOD);
	ck_assert(nodes_may_be_cached(nodes, 5));
	nodes_free(nodes);
}
END_TEST

/* A read that waited for the recall would be waited for by it. */
TEST(during_a_recall_what_is_old_is_delivered_and_taken_back_again)
{
	struct nodes_recall recall;
	uint64_t asked;

	begin();
	asked = nodes_clock(nodes);
	ck_assert(nodes_took(nodes, &leased, asked));
	nodes_recall_begin(nodes, 5, &recall);
	ck_assert_int_eq(nodes_judge(nodes, 5, asked), NODES_OLD);
	ck_assert(!nodes_recall_end(nodes, &recall));
	nodes_delivered(nodes, 5);
	ck_assert(!nodes_recall_end(nodes, &recall));
	ck_assert(nodes_recall_end(nodes, &recall));
	ck_assert(!nodes_may_be_cached(nodes, 5));
	ck_assert_int_eq(nodes_judge(nodes, 5, asked), NODES_AGAIN);
	nodes_free(nodes);
}
END_TEST

TEST(all_leases_can_be_lost_at_once)
{
	uint64_t asked;

	begin();
	asked = nodes_clock(nodes);
	ck_assert(nodes_took(nodes, &leased, asked));
	nodes_lost(nodes);
	ck_assert(!nodes_holds(nodes, 5, nodes_clock(nodes)));
	ck_assert(!nodes_took(nodes, &leased, asked));
	ck_assert(nodes_took(nodes, &leased, nodes_clock(nodes)));
	ck_assert(nodes_holds(nodes, 5, nodes_clock(nodes)));
	nodes_free(nodes);
}
END_TEST

TEST(what_the_kernel_forgets_is_unknown)
{
	begin();
	ck_assert(nodes_keep(nodes, &leased) == DVS_OK);
	nodes_forget(nodes, 5, 1);
	ck_assert(nodes_is_known(nodes, 5));
	nodes_forget(nodes, 5, 1);
	ck_assert(!nodes_is_known(nodes, 5));
	nodes_forget(nodes, 5, 1);
	nodes_forget(nodes, 1, 1000);
	ck_assert(nodes_is_known(nodes, 1));
	nodes_free(nodes);
}
END_TEST

TEST(what_is_held_can_be_told)
{
	const struct fs_attr dir = { .ino = 6, .lease = 2 };
	const uint64_t names = UINT64_C(1) << 63;
	struct nodes_recall recall;
	uint64_t inos[2];
	uint64_t cursor = 0;

	begin();
	ck_assert(nodes_keep(nodes, &dir) == DVS_OK);
	ck_assert_uint_eq(nodes_held(nodes, &cursor, inos, 2), 0);
	ck_assert(nodes_took(nodes, &leased, nodes_clock(nodes)));
	ck_assert(nodes_took(nodes, &dir, nodes_clock(nodes)));
	cursor = 0;
	ck_assert_uint_eq(nodes_held(nodes, &cursor, inos, 2), 2);
	ck_assert_uint_eq(inos[0] ^ inos[1], 5 ^ (6 | names));
	ck_assert_uint_eq(nodes_held(nodes, &cursor, inos, 2), 0);
	/* In parts. */
	cursor = 0;
	ck_assert_uint_eq(nodes_held(nodes, &cursor, inos, 1), 1);
	ck_assert_uint_eq(nodes_held(nodes, &cursor, inos, 1), 1);
	ck_assert_uint_eq(nodes_held(nodes, &cursor, inos, 1), 0);
	nodes_recall_begin(nodes, 5, &recall);
	ck_assert(nodes_recall_end(nodes, &recall));
	cursor = 0;
	ck_assert_uint_eq(nodes_held(nodes, &cursor, inos, 2), 1);
	ck_assert_uint_eq(inos[0], 6 | names);
	nodes_lost(nodes);
	cursor = 0;
	ck_assert_uint_eq(nodes_held(nodes, &cursor, inos, 2), 0);
	nodes_free(nodes);
}
END_TEST

static void count(void *context, uint64_t ino)
{
	uint8_t *seen = context;

	seen[ino]++;
	nodes_forget(nodes, ino, 1);
}

TEST(each_is_called_for_all_also_when_they_go_meanwhile)
{
	static uint8_t seen[200001];

	ck_assert(nodes_make(&nodes) == DVS_OK);
	for (uint64_t ino = 2; ino <= 200000; ino++)
		ck_assert(nodes_keep(nodes, &(struct fs_attr){ .ino = ino }) == DVS_OK);
	nodes_each(nodes, count, seen);
	for (uint64_t ino = 1; ino <= 200000; ino++)
		ck_assert_uint_eq(seen[ino], 1);
	nodes_free(nodes);
}
END_TEST

UNIT_MAIN("gateways-fuse-nodes", what_has_no_lease_is_not_kept,
	  an_answer_that_a_recall_has_overtaken_counts_for_nothing,
	  a_recall_of_a_file_that_nobody_knew_yet_counts_too,
	  what_is_read_without_a_lease_is_read_again,
	  during_a_recall_what_is_old_is_delivered_and_taken_back_again,
	  all_leases_can_be_lost_at_once, what_is_held_can_be_told,
	  what_the_kernel_forgets_is_unknown, each_is_called_for_all_also_when_they_go_meanwhile)
