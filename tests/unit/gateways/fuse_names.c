/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/fuse/names.h"

#include "unit.h"

#define DIR 5u
#define OTHER 6u

static struct nodes *nodes;
static struct names *names;
static uint64_t until_ns;

/* The kernel knows directory INO, whose names are ours to keep. */
static void lease_names(uint64_t ino)
{
	const struct fs_attr attr = { .ino = ino, .lease = 2 };

	ck_assert(nodes_took(nodes, &attr, nodes_clock(nodes)));
}

static void begin(void)
{
	ck_assert(nodes_make(&nodes) == DVS_OK);
	ck_assert(names_make(nodes, &names) == DVS_OK);
	for (uint64_t ino = DIR; ino <= OTHER; ino++)
		ck_assert(nodes_keep(nodes, &(struct fs_attr){ .ino = ino }) == DVS_OK);
	lease_names(DIR);
}

static void finish(void)
{
	names_free(names);
	nodes_free(nodes);
}

static bool tell(const char *text, uint64_t ino, bool is_locked)
{
	return names_tell(names, DIR, text, ino, nodes_clock(nodes), is_locked);
}

static uint64_t recall(uint64_t dir)
{
	struct nodes_recall recall;

	nodes_recall_begin(nodes, dir, &recall);
	ck_assert(nodes_recall_end(nodes, &recall));
	return names_recall(names, dir, &until_ns);
}

TEST(names_are_kept_under_a_lease_on_names_only)
{
	const struct fs_attr attr = { .ino = OTHER, .lease = 1 };

	begin();
	ck_assert(tell("a", 10, true));
	ck_assert(tell("none", 0, false));
	ck_assert(nodes_took(nodes, &attr, nodes_clock(nodes)));
	ck_assert(!names_tell(names, OTHER, "a", 11, nodes_clock(nodes), true));
	finish();
}
END_TEST

TEST(what_was_asked_before_there_was_the_lease_is_not_kept)
{
	uint64_t asked;

	begin();
	asked = nodes_clock(nodes);
	lease_names(OTHER);
	ck_assert(!names_tell(names, OTHER, "a", 11, asked, true));
	ck_assert(names_tell(names, OTHER, "a", 11, nodes_clock(nodes), true));
	finish();
}
END_TEST

TEST(a_recall_finds_each_name_that_is_kept_once)
{
	struct names_name name = { .len = 0 };
	uint64_t number;
	uint64_t asked;

	begin();
	asked = nodes_clock(nodes);
	ck_assert(tell("a", 10, true) && tell("b", 11, true));
	number = recall(DIR);
	ck_assert_uint_ne(number, 0);
	ck_assert(!names_tell(names, DIR, "c", 12, asked, true));
	ck_assert(names_next(names, DIR, number, &name));
	ck_assert_str_eq(name.text, "a");
	ck_assert(names_next(names, DIR, number, &name));
	ck_assert_str_eq(name.text, "b");
	ck_assert(!names_next(names, DIR, number, &name));
	ck_assert_uint_eq(recall(DIR), 0);
	finish();
}
END_TEST

TEST(after_a_recall_a_directory_has_a_rest)
{
	begin();
	ck_assert(tell("a", 10, true));
	ck_assert_uint_ne(recall(DIR), 0);
	lease_names(DIR);
	ck_assert(!tell("a", 10, true));
	finish();
}
END_TEST

TEST(a_name_that_was_asked_for_again_is_waited_for)
{
	begin();
	ck_assert(tell("a", 10, false));
	ck_assert_uint_ne(recall(OTHER) + recall(DIR), 0);
	/* It was asked for the first time: the kernel had the directory locked. */
	ck_assert_uint_eq(until_ns, 0);
	finish();
	begin();
	ck_assert(tell("a", 10, false) && tell("a", 10, false));
	ck_assert_uint_ne(recall(DIR), 0);
	ck_assert_uint_ne(until_ns, 0);
	finish();
}
END_TEST

TEST(what_is_kept_moves_with_a_rename)
{
	const struct names_place from = { DIR, "a" };
	const struct names_place to = { OTHER, "b" };
	struct names_name name = { .len = 0 };
	bool must_expire[2];
	uint64_t number;

	begin();
	ck_assert(tell("a", 10, true));
	names_move(names, &from, &to, false, nodes_clock(nodes), must_expire);
	/* Names of the other directory are not ours to keep. */
	ck_assert(must_expire[0] && !must_expire[1]);
	/* Who asks for the name meanwhile can note it at the new one. */
	ck_assert(!tell("x", 10, false));
	names_moved(names, &from, &to, true);
	ck_assert_uint_eq(recall(DIR), 0);
	number = recall(OTHER);
	ck_assert(names_next(names, OTHER, number, &name));
	ck_assert_str_eq(name.text, "b");
	finish();
}
END_TEST

TEST(what_the_kernel_has_forgotten_need_not_be_expired)
{
	begin();
	ck_assert(tell("a", 10, true) && tell("b", 10, true) && tell("c", 12, true));
	names_forget(names, 10);
	names_drop(names, DIR, "c");
	ck_assert_uint_eq(recall(DIR), 0);
	ck_assert(tell("none", 0, true) == false);
	names_forget(names, DIR);
	finish();
}
END_TEST

UNIT_MAIN("gateways-fuse-names", names_are_kept_under_a_lease_on_names_only,
	  what_was_asked_before_there_was_the_lease_is_not_kept,
	  a_recall_finds_each_name_that_is_kept_once, after_a_recall_a_directory_has_a_rest,
	  a_name_that_was_asked_for_again_is_waited_for, what_is_kept_moves_with_a_rename,
	  what_the_kernel_has_forgotten_need_not_be_expired)
