/* SPDX-License-Identifier: Apache-2.0 */
/* Damage to the tables, each kind once: the check says it, a repair mends it, and then there is nothing more to say. */
#include <stdio.h>
#include <string.h>

#include "fs_help.h"
#include "unit.h"

/* What the check said last, and how often it said anything. */
struct heard {
	char text[256];
	uint32_t n;
};

static void hear(void *context, const char *text)
{
	struct heard *heard = context;

	(void)snprintf(heard->text, sizeof(heard->text), "%s", text);
	heard->n++;
}

struct tree {
	struct fs *fs;
	uint64_t dir, sub, file;
};

/* /dir/sub/file, and /dir/file is another name of it. */
static void grow(struct tree *tree)
{
	struct fs_attr attr;

	tree->fs = fs_help_open();
	tree->dir = fs_help_made(tree->fs, FS_ROOT, "dir", S_IFDIR | 0755);
	tree->sub = fs_help_made(tree->fs, tree->dir, "sub", S_IFDIR | 0755);
	tree->file = fs_help_made(tree->fs, tree->sub, "file", S_IFREG | 0644);
	ck_assert(CHANGE(tree->fs, fs_link(tree->fs, &fs_root, tree->file, tree->dir,
					   fs_help_name("file"), &attr)) == DVS_OK);
	fs_help_check(tree->fs);
}

static void damage(struct tree *tree, const char *text)
{
	ck_assert_int_eq(sqlite3_exec(fsimage_db(fs_image(tree->fs)), text, NULL, NULL, NULL),
			 SQLITE_OK);
	tree->fs = fs_help_reopen(tree->fs);
}

/* SAID is in what is found; after a repair nothing is. */
static void mend(struct tree *tree, const char *said)
{
	struct heard heard = { .n = 0 };
	uint32_t n;

	ck_assert(fs_check(tree->fs, false, hear, &heard, &n) == DVS_OK);
	ck_assert_msg(heard.n > 0 && strstr(heard.text, said), "%s", heard.text);
	ck_assert_uint_eq(n, 0);
	heard.n = 0;
	ck_assert(CHANGE(tree->fs, fs_check(tree->fs, true, hear, &heard, &n)) == DVS_OK);
	ck_assert_uint_gt(n, 0);
	ck_assert_uint_ge(heard.n, n);
	fs_help_check(tree->fs);
	tree->fs = fs_help_reopen(tree->fs);
	fs_help_check(tree->fs);
}

TEST(a_wrong_number_of_links_is_counted_again)
{
	struct tree tree;

	grow(&tree);
	damage(&tree, "UPDATE files SET nlink = 7 WHERE nlink = 2 AND mode & 32768");
	mend(&tree, "links");
	ck_assert_uint_eq(fs_help_attr(tree.fs, tree.file).nlink, 2);
	damage(&tree, "UPDATE files SET nlink = 0 WHERE ino = 2");
	mend(&tree, "links");
	ck_assert_uint_eq(fs_help_attr(tree.fs, tree.dir).nlink, 3);
	fs_help_close(tree.fs);
}

TEST(a_directory_that_says_another_parent_is_told_its_own)
{
	struct tree tree;

	grow(&tree);
	damage(&tree, "UPDATE files SET parent = 1 WHERE ino = 3");
	mend(&tree, "names in 2, and says 1 in 1");
	ck_assert_uint_eq(fs_help_ino(tree.fs, "dir/sub/.."), tree.dir);
	fs_help_close(tree.fs);
}

TEST(a_name_that_leads_nowhere_goes)
{
	struct tree tree;

	grow(&tree);
	damage(&tree, "DELETE FROM files WHERE ino = 4");
	mend(&tree, "are counted");
	ck_assert_uint_eq(fs_help_ino(tree.fs, "dir/file"), 0);
	ck_assert_uint_eq(fs_help_attr(tree.fs, tree.dir).size, 1);
	damage(&tree, "INSERT INTO names VALUES(99, 1000, 2, 4, 'x')");
	mend(&tree, "is in no directory");
	fs_help_close(tree.fs);
}

TEST(a_name_that_is_none_goes)
{
	static const char *const names[] = { "'a/b'",	    "x''",	     "'.'",
					     "zeroblob(3)", "zeroblob(300)", "'elsewhere'" };
	char text[128];

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		struct tree tree;

		grow(&tree);
		(void)snprintf(text, sizeof(text), "INSERT INTO names VALUES(2, %d, 4, 8, %s)",
			       i < 5 ? 5 : 1 << 20, names[i]);
		damage(&tree, text);
		mend(&tree, "is none");
		ck_assert_uint_eq(fs_help_attr(tree.fs, tree.dir).size, 2);
		fs_help_close(tree.fs);
	}
}

TEST(a_name_of_the_wrong_kind_is_told_the_right_one)
{
	struct tree tree;

	grow(&tree);
	damage(&tree, "UPDATE names SET kind = 4");
	mend(&tree, "another kind");
	fs_help_close(tree.fs);
}

TEST(a_lost_file_gets_a_name_in_lost_and_found)
{
	struct tree tree;

	grow(&tree);
	damage(&tree, "DELETE FROM names WHERE ino = 4");
	mend(&tree, "and says");
	ck_assert_uint_eq(fs_help_ino(tree.fs, "lost+found/#4"), tree.file);
	ck_assert_uint_eq(fs_help_attr(tree.fs, fs_help_ino(tree.fs, "lost+found")).mode,
			  S_IFDIR | 0700);
	fs_help_close(tree.fs);
}

TEST(a_lost_directory_comes_back_with_what_is_in_it)
{
	struct tree tree;

	grow(&tree);
	damage(&tree, "DELETE FROM names WHERE ino = 2");
	mend(&tree, "and says");
	ck_assert_uint_eq(fs_help_ino(tree.fs, "lost+found/#2/sub/file"), tree.file);
	fs_help_close(tree.fs);
}

TEST(a_circle_of_directories_is_cut)
{
	struct tree tree;

	grow(&tree);
	/* dir is in sub, which is in dir. */
	damage(&tree, "UPDATE names SET parent = 3 WHERE ino = 2");
	mend(&tree, "and says");
	ck_assert_uint_ne(fs_help_ino(tree.fs, "lost+found"), 0);
	ck_assert_uint_eq(fs_help_attr(tree.fs, fs_help_ino(tree.fs, "lost+found")).nlink, 3);
	fs_help_close(tree.fs);
}

TEST(a_second_name_of_a_directory_goes)
{
	struct tree tree;

	grow(&tree);
	ck_assert_uint_ne(fs_help_made(tree.fs, FS_ROOT, "again", S_IFREG | 0600), 0);
	damage(&tree, "UPDATE names SET ino = 3, kind = 4 WHERE name = x'616761696e'");
	mend(&tree, "and says");
	ck_assert_uint_eq(fs_help_attr(tree.fs, tree.sub).nlink, 2);
	fs_help_close(tree.fs);
}

TEST(attributes_that_cannot_be_are_replaced)
{
	struct tree tree;

	grow(&tree);
	damage(&tree,
	       "UPDATE files SET mode = 1, size = -5, mtime_ns = -1, nlink = 70000 WHERE ino = 4");
	mend(&tree, "and says");
	ck_assert_uint_eq(fs_help_attr(tree.fs, tree.file).mode, S_IFREG | 0600);
	ck_assert_uint_eq(fs_help_attr(tree.fs, tree.file).nlink, 2);
	fs_help_close(tree.fs);
}

TEST(blocks_are_those_of_the_extents)
{
	struct tree tree;

	grow(&tree);
	damage(&tree, "INSERT INTO extents VALUES(4, 1), (4, 2)");
	/* The sum of all is mended with it: otherwise the check would say so after the repair. */
	mend(&tree, "as many blocks as it says");
	ck_assert_uint_eq(fs_help_attr(tree.fs, tree.file).blocks, 24);
	damage(&tree, "UPDATE files SET blocks = 8 WHERE ino = 4; UPDATE whole SET bytes = 4096");
	mend(&tree, "as many blocks as it says");
	ck_assert_uint_eq(fs_help_attr(tree.fs, tree.file).blocks, 24);
	fs_help_close(tree.fs);
}

TEST(attributes_of_no_file_go_and_the_sums_are_right)
{
	struct tree tree;

	grow(&tree);
	damage(&tree, "INSERT INTO xattrs VALUES(77, 'user.x', 'value')");
	mend(&tree, "are counted");
	damage(&tree, "UPDATE whole SET files = 9, bytes = 9");
	mend(&tree, "9 files and 9 bytes are counted, there are 4 and 0");
	fs_help_close(tree.fs);
}

TEST(what_was_removed_and_is_open_is_no_damage)
{
	struct tree tree;

	grow(&tree);
	ck_assert(fs_pin(tree.fs, tree.sub) == DVS_OK);
	ck_assert(fs_pin(tree.fs, tree.file) == DVS_OK);
	ck_assert(fs_help_removed(tree.fs, tree.sub, "file", false) == DVS_OK);
	ck_assert(fs_help_removed(tree.fs, tree.dir, "file", false) == DVS_OK);
	ck_assert(fs_help_removed(tree.fs, tree.dir, "sub", true) == DVS_OK);
	fs_help_check(tree.fs);
	fs_help_close(tree.fs);
}

TEST(a_damaged_file_system_is_not_opened_or_answers_corrupt)
{
	struct tree tree;
	struct fs_attr attr;

	grow(&tree);
	damage(&tree, "DELETE FROM files WHERE ino = 4");
	ck_assert(fs_lookup(tree.fs, &fs_root, tree.dir, fs_help_name("file"), &attr) ==
		  DVS_CORRUPT);
	damage(&tree, "UPDATE files SET mode = -1 WHERE ino = 3");
	ck_assert(fs_getattr(tree.fs, tree.sub, &attr) == DVS_CORRUPT);
	fs_help_close(tree.fs);
}

UNIT_MAIN("fs-check", a_wrong_number_of_links_is_counted_again,
	  a_directory_that_says_another_parent_is_told_its_own, a_name_that_leads_nowhere_goes,
	  a_name_that_is_none_goes, a_name_of_the_wrong_kind_is_told_the_right_one,
	  a_lost_file_gets_a_name_in_lost_and_found, a_lost_directory_comes_back_with_what_is_in_it,
	  a_circle_of_directories_is_cut, a_second_name_of_a_directory_goes,
	  attributes_that_cannot_be_are_replaced, attributes_of_no_file_go_and_the_sums_are_right,
	  blocks_are_those_of_the_extents, what_was_removed_and_is_open_is_no_damage,
	  a_damaged_file_system_is_not_opened_or_answers_corrupt)
