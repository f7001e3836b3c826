/* SPDX-License-Identifier: Apache-2.0 */
/* What is in memory and in no row: inodes whose rows are behind, and names that were found last. */
#include <stdio.h>
#include <string.h>

#include "fs_help.h"
#include "unit.h"

static uint64_t n_rows(struct fs *fs)
{
	sqlite3_stmt *stmt;
	uint64_t n;

	ck_assert_int_eq(sqlite3_prepare_v2(fs->db, "SELECT count(*) FROM files", -1, &stmt, NULL),
			 SQLITE_OK);
	ck_assert_int_eq(sqlite3_step(stmt), SQLITE_ROW);
	n = (uint64_t)sqlite3_column_int64(stmt, 0);
	ck_assert_int_eq(sqlite3_finalize(stmt), SQLITE_OK);
	return n;
}

static void make_many(struct fs *fs, char kind, unsigned int n, uint64_t *ino)
{
	char name[16];

	for (unsigned int i = 0; i < n; i++) {
		(void)snprintf(name, sizeof(name), "%c%u", kind, i);
		ino[i] = fs_help_made(fs, FS_ROOT, name, S_IFREG | i);
	}
}

/* A row is of no use where nobody else can find it: short-lived files never have one. */
TEST(rows_stay_behind_only_on_a_medium_that_goes_with_the_process)
{
	struct fs *fs = fs_help_open();
	uint64_t ino[4];

	make_many(fs, 'f', 4, ino);
	ck_assert_uint_eq(n_rows(fs), 5);
	fs_help_close(fs);
	fs = fs_help_open_volatile();
	make_many(fs, 'f', 4, ino);
	ck_assert(fs_help_removed(fs, FS_ROOT, "f1", false) == DVS_OK);
	ck_assert_uint_eq(n_rows(fs), 1);
	fs_help_check(fs);
	ck_assert_uint_eq(n_rows(fs), 4);
	ck_assert(fs_help_removed(fs, FS_ROOT, "f2", false) == DVS_OK);
	ck_assert_uint_eq(n_rows(fs), 3);
	fs_help_check(fs);
	fs_help_close(fs);
}

TEST(what_a_row_lacks_is_not_forgotten)
{
	struct fs *fs = fs_help_open_volatile();
	uint64_t ino[400];
	struct fs_attr attr;

	fs->max_inodes = 8;
	fs->max_behind = 8;
	make_many(fs, 'f', 400, ino);
	ck_assert_uint_ge(n_rows(fs), 256);
	ck_assert_uint_lt(fs->n_inodes, 300);
	for (unsigned int i = 0; i < 400; i++) {
		ck_assert_uint_eq(fs_help_attr(fs, ino[i]).mode, S_IFREG | i);
		ck_assert(CHANGE(fs, fs_link(fs, &fs_root, ino[i], FS_ROOT, fs_help_name("again"),
					     &attr)) == DVS_OK);
		ck_assert(fs_help_removed(fs, FS_ROOT, "again", false) == DVS_OK);
		ck_assert_uint_eq(fs_help_attr(fs, ino[i]).version, 3);
	}
	fs_help_check(fs);
	fs_help_close(fs);
}

TEST(files_whose_rows_find_no_room_stay_and_no_more_are_made)
{
	struct fs *fs = fs_help_open_volatile();
	uint64_t ino[20];

	make_many(fs, 'f', 20, ino);
	fs->max_behind = 10;
	fs_image(fs)->fails_commit = true;
	ck_assert(fs_help_make(fs, &fs_root, FS_ROOT, "one", S_IFREG) == DVS_NOSPACE);
	ck_assert_uint_eq(fs_help_ino(fs, "one"), 0);
	for (unsigned int i = 0; i < 20; i++)
		ck_assert_uint_eq(fs_help_attr(fs, ino[i]).mode, S_IFREG | i);
	ck_assert(fs_help_removed(fs, FS_ROOT, "f1", false) == DVS_OK);
	ck_assert(fs_help_make(fs, &fs_root, FS_ROOT, "one", S_IFREG) == DVS_OK);
	fs_help_check(fs);
	fs_help_close(fs);
}

static dvs_err put_content(struct fs *fs, uint64_t ino, const char *text)
{
	struct fs_inode *inode;
	dvs_err err = fs_inode_get(fs, ino, &inode);

	if (err == DVS_OK)
		err = fs_inode_change(fs, inode);
	return err == DVS_OK ? fs_content_put(fs, inode, text, strlen(text)) : err;
}

TEST(a_row_that_was_rolled_back_is_made_again)
{
	struct fs *fs = fs_help_open_volatile();
	uint64_t ino = fs_help_made(fs, FS_ROOT, "file", S_IFREG | 0644);
	struct fs_inode *inode;
	const void *data;
	size_t bytes;

	ck_assert(fs_begin(fs) == DVS_OK);
	ck_assert(put_content(fs, ino, "old") == DVS_OK);
	ck_assert_uint_eq(n_rows(fs), 2);
	fs_rollback(fs);
	ck_assert_uint_eq(n_rows(fs), 1);
	ck_assert(CHANGE(fs, put_content(fs, ino, "new")) == DVS_OK);
	ck_assert(fs_inode_get(fs, ino, &inode) == DVS_OK);
	ck_assert(fs_content_get(fs, inode, &data, &bytes) == DVS_OK);
	ck_assert_uint_eq(bytes, 3);
	ck_assert_int_eq(memcmp(data, "new", 3), 0);
	fs_help_check(fs);
	fs_help_close(fs);
}

TEST(what_was_found_in_a_change_set_is_not_found_when_that_is_rolled_back)
{
	struct fs *fs = fs_help_open();
	struct fs_attr attr;

	ck_assert(fs_begin(fs) == DVS_OK);
	ck_assert(fs_make(fs, &fs_root, FS_ROOT, fs_help_name("new"), S_IFREG, 0, 0, &attr) ==
		  DVS_OK);
	ck_assert_uint_eq(fs_help_ino(fs, "new"), attr.ino);
	fs_rollback(fs);
	ck_assert_uint_eq(fs_help_ino(fs, "new"), 0);
	ck_assert(fs_help_make(fs, &fs_root, FS_ROOT, "new", S_IFREG) == DVS_OK);
	fs_help_close(fs);
}

UNIT_MAIN("fs-rows", rows_stay_behind_only_on_a_medium_that_goes_with_the_process,
	  what_a_row_lacks_is_not_forgotten,
	  files_whose_rows_find_no_room_stay_and_no_more_are_made,
	  a_row_that_was_rolled_back_is_made_again,
	  what_was_found_in_a_change_set_is_not_found_when_that_is_rolled_back)
