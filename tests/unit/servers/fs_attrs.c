/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes, quotas, and what a server that takes over finds: one behaviour each. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "fs_help.h"
#include "unit.h"

TEST(times_have_nanoseconds_and_any_year)
{
	struct fs *fs = fs_help_open();
	struct fs_change change = { .valid = 48,
				    .atime_s = -5,
				    .atime_ns = 999999999,
				    .mtime_s = INT64_C(1) << 40,
				    .mtime_ns = 1 };
	uint64_t file = fs_help_made(fs, FS_ROOT, "file", S_IFREG | 0644);
	struct fs_attr attr;

	ck_assert(fs_help_changed(fs, &fs_root, file, &change) == DVS_OK);
	fs = fs_help_reopen(fs);
	attr = fs_help_attr(fs, file);
	ck_assert_int_eq(attr.atime_s, -5);
	ck_assert_uint_eq(attr.atime_ns, 999999999);
	ck_assert_int_eq(attr.mtime_s, INT64_C(1) << 40);
	ck_assert_uint_eq(attr.mtime_ns, 1);
	change.mtime_ns = 1000000000;
	ck_assert(fs_help_changed(fs, &fs_root, file, &change) == DVS_BADARG);
	change = (struct fs_change){ .valid = 2, .uid = UINT32_MAX };
	ck_assert(fs_help_changed(fs, &fs_root, file, &change) == DVS_BADARG);
	change = (struct fs_change){ .valid = 1024 };
	ck_assert(fs_help_changed(fs, &fs_root, file, &change) == DVS_BADARG);
	fs_help_close(fs);
}

TEST(an_access_time_is_kept_as_relatime_says)
{
	struct fs *fs = fs_help_open();
	uint64_t file = fs_help_made(fs, FS_ROOT, "file", S_IFREG | 0644);
	struct fs_change old = { .valid = 16 | 32, .atime_s = 100, .mtime_s = 50 };
	struct fs_inode *inode;
	int64_t read_s;
	uint32_t read_ns;

	ck_assert(fs_help_changed(fs, &fs_root, file, &old) == DVS_OK);
	ck_assert(!fs_has_times(fs));
	ck_assert(fs_inode_get(fs, file, &inode) == DVS_OK);
	fs_inode_touch(fs, inode);
	ck_assert(fs_has_times(fs));
	ck_assert_int_gt(inode->attr.atime_s, 100);
	read_s = inode->attr.atime_s;
	read_ns = inode->attr.atime_ns;
	fs_inode_touch(fs, inode); /* newer than the last change, and of today */
	ck_assert_int_eq(inode->attr.atime_s, read_s);
	ck_assert_uint_eq(inode->attr.atime_ns, read_ns);
	ck_assert(CHANGE(fs, DVS_OK) == DVS_OK);
	ck_assert(!fs_has_times(fs));
	fs = fs_help_reopen(fs);
	ck_assert_int_eq(fs_help_attr(fs, file).atime_s, read_s);
	fs_help_close(fs);
}

TEST(a_write_takes_set_id_bits_and_capabilities)
{
	struct fs *fs = fs_help_open();
	uint64_t file = fs_help_made(fs, FS_ROOT, "file", S_IFREG | 06755);
	const struct fs_name name = fs_help_name("security.capability");
	const uint8_t value[20] = { 1, 0, 0, 2, 5 };
	const struct fs_change size = { .valid = 8, .size = 10 }, write = { .valid = 512 };
	const void *got;
	size_t len;

	ck_assert(CHANGE(fs, fs_setxattr(fs, &fs_user, file, name, value, 20, 0)) == DVS_DENIED);
	ck_assert(CHANGE(fs, fs_setxattr(fs, &fs_root, file, name, value, 19, 0)) == DVS_BADARG);
	ck_assert(CHANGE(fs, fs_setxattr(fs, &fs_root, file, name, value, 20, 0)) == DVS_OK);
	ck_assert(fs_getxattr(fs, &fs_user, file, name, &got, &len) == DVS_OK);
	ck_assert(fs_help_changed(fs, &fs_root, file, &size) == DVS_OK);
	ck_assert(fs_getxattr(fs, &fs_user, file, name, &got, &len) == DVS_NOATTR);
	ck_assert_uint_eq(fs_help_attr(fs, file).mode, S_IFREG | 06755); /* root may keep them */
	ck_assert(fs_help_changed(fs, &fs_user, file, &write) == DVS_OK);
	ck_assert_uint_eq(fs_help_attr(fs, file).mode, S_IFREG | 0755);
	fs_help_check(fs);
	fs_help_close(fs);
}

TEST(a_size_is_changed_by_who_may_write_or_has_it_open)
{
	struct fs *fs = fs_help_open();
	uint64_t file = fs_help_made(fs, FS_ROOT, "file", S_IFREG | 0644);
	struct fs_change change = { .valid = 8, .size = 5000 };
	struct fs_attr attr;

	ck_assert(fs_help_changed(fs, &fs_user, file, &change) == DVS_NOACCESS);
	ck_assert(fs_help_changed(fs, &fs_root, FS_ROOT, &change) == DVS_ISDIR);
	ck_assert(CHANGE(fs, fs_setattr(fs, &fs_user, file, &change, true, &attr)) == DVS_OK);
	ck_assert_uint_eq(attr.size, 5000);
	change.size = (uint64_t)FS_FILE_MAX + 1;
	ck_assert(fs_help_changed(fs, &fs_root, file, &change) == DVS_FILEBIG);
	change.size = FS_FILE_MAX;
	ck_assert(fs_help_changed(fs, &fs_root, file, &change) == DVS_OK);
	fs_help_close(fs);
}

TEST(opening_asks_for_what_the_flags_need)
{
	struct fs *fs = fs_help_open();
	uint64_t file = fs_help_made(fs, FS_ROOT, "file", S_IFREG | 0644);
	struct fs_attr attr;

	ck_assert(CHANGE(fs, fs_make_symlink(fs, &fs_root, FS_ROOT, fs_help_name("link"),
					     fs_help_name("file"), &attr)) == DVS_OK);
	ck_assert(fs_may_open(fs, &fs_user, attr.ino, O_RDONLY, &attr) == DVS_LOOP);
	ck_assert(fs_may_open(fs, &fs_user, file, O_RDONLY, &attr) == DVS_OK);
	ck_assert(fs_may_open(fs, &fs_user, file, O_WRONLY, &attr) == DVS_NOACCESS);
	ck_assert(fs_may_open(fs, &fs_user, file, O_RDONLY | O_TRUNC, &attr) == DVS_NOACCESS);
	ck_assert(fs_may_open(fs, &fs_user, file, O_RDONLY | O_DIRECTORY, &attr) == DVS_NOTDIR);
	ck_assert(fs_may_open(fs, &fs_user, file, O_RDONLY | O_NOATIME, &attr) == DVS_DENIED);
	ck_assert(fs_may_open(fs, &fs_root, FS_ROOT, O_RDWR, &attr) == DVS_ISDIR);
	ck_assert(fs_may_open(fs, &fs_root, FS_ROOT, O_RDONLY | O_CREAT, &attr) == DVS_ISDIR);
	fs_image(fs)->why = "the store fails";
	ck_assert(fs_may_open(fs, &fs_root, file, O_WRONLY, &attr) == DVS_READONLY);
	ck_assert(fs_access(fs, &fs_root, file, 2) == DVS_READONLY);
	ck_assert(fs_access(fs, &fs_root, file, 4) == DVS_OK);
	ck_assert(fs_access(fs, &fs_root, file, 8) == DVS_BADARG);
	ck_assert(fs_begin(fs) == DVS_READONLY);
	fs_image(fs)->why = NULL;
	fs_help_close(fs);
}

TEST(a_quota_holds_and_a_refusal_changes_nothing)
{
	struct fs *fs = fs_help_open();
	uint64_t file = fs_help_made(fs, FS_ROOT, "file", S_IFREG | 0644);
	const struct fs_name name = fs_help_name("user.name");
	struct fs_statfs_rep rep;
	char value[1000] = "";

	ck_assert(CHANGE(fs, fs_set_quota(fs, 1500, 3)) == DVS_OK);
	fs = fs_help_reopen(fs);
	(void)fs_help_made(fs, FS_ROOT, "third", S_IFREG | 0644);
	ck_assert(fs_help_make(fs, &fs_root, FS_ROOT, "fourth", S_IFREG) == DVS_QUOTA);
	ck_assert(CHANGE(fs, fs_setxattr(fs, &fs_root, file, name, value, 1000, 0)) == DVS_OK);
	ck_assert(CHANGE(fs, fs_setxattr(fs, &fs_root, file, fs_help_name("user.other"), value, 600,
					 0)) == DVS_QUOTA);
	/* The same one with another value of that length is no more than before. */
	ck_assert(CHANGE(fs, fs_setxattr(fs, &fs_root, file, name, value, 999, 0)) == DVS_OK);
	ck_assert(CHANGE(fs, fs_usage_more(fs, 600)) == DVS_QUOTA);
	fs_statfs(fs, &rep);
	ck_assert_uint_eq(rep.files, 3);
	ck_assert_uint_eq(rep.files_free, 0);
	ck_assert_uint_eq(rep.free, 0);
	ck_assert(fs_help_removed(fs, FS_ROOT, "file", false) == DVS_OK);
	ck_assert_uint_eq(fs->whole.bytes, 0);
	ck_assert(fs_help_make(fs, &fs_root, FS_ROOT, "fourth", S_IFREG) == DVS_OK);
	fs_help_check(fs);
	fs_help_close(fs);
}

TEST(attributes_have_limits)
{
	struct fs *fs = fs_help_open();
	uint64_t file = fs_help_made(fs, FS_ROOT, "file", S_IFREG | 0666);
	char *value = calloc(1, FS_XATTR_MAX + 1), name[257] = "user.";
	const void *got;
	const char *names;
	size_t len;
	dvs_err err = DVS_OK;

	ck_assert_ptr_nonnull(value);
	ck_assert(CHANGE(fs, fs_setxattr(fs, &fs_user, file, fs_help_name("user.a"), value,
					 FS_XATTR_MAX + 1, 0)) == DVS_TOOBIG);
	ck_assert(CHANGE(fs, fs_setxattr(fs, &fs_user, file, fs_help_name("user.a"), value,
					 FS_XATTR_MAX, 0)) == DVS_OK);
	ck_assert(CHANGE(fs, fs_setxattr(fs, &fs_user, file, fs_help_name(""), value, 1, 0)) ==
		  DVS_RANGE);
	ck_assert(CHANGE(fs, fs_setxattr(fs, &fs_user, file, fs_help_name("user.a"), value, 1,
					 4)) == DVS_BADARG);
	memset(name + 5, 'n', 251);
	ck_assert(fs_getxattr(fs, &fs_user, file, fs_help_name(name), &got, &len) == DVS_RANGE);
	name[255] = 0;
	ck_assert(CHANGE(fs, fs_setxattr(fs, &fs_user, file, fs_help_name(name), "", 0, 0)) ==
		  DVS_OK);
	ck_assert(fs_getxattr(fs, &fs_user, file, fs_help_name(name), &got, &len) == DVS_OK);
	ck_assert_uint_eq(len, 0);
	for (unsigned int i = 0; i < 1000 && err == DVS_OK; i++) {
		(void)snprintf(name + 246, 10, "%09u", i);
		err = CHANGE(fs, fs_setxattr(fs, &fs_user, file, fs_help_name(name), "", 0, 0));
	}
	ck_assert(err == DVS_NOSPACE);
	ck_assert(fs_listxattr(fs, &fs_user, file, &names, &len) == DVS_OK);
	ck_assert_uint_le(len, 65536);
	free(value);
	fs_help_check(fs);
	fs_help_close(fs);
}

TEST(answers_and_sessions_survive)
{
	uint64_t client;
	struct fs *fs = fs_help_open();
	struct fs_session_row row = { .session = 7, .ep = UINT64_MAX, .node = 3 };
	char answer[FS_ANSWER_MAX];
	size_t bytes;

	ck_assert(CHANGE(fs, fs_session_add(fs, &row)) == DVS_OK);
	row.session = 9;
	ck_assert(CHANGE(fs, fs_session_add(fs, &row)) == DVS_OK);
	row.session = 0;
	ck_assert(CHANGE(fs, fs_session_add(fs, &row)) == DVS_BADARG);
	ck_assert(CHANGE(fs, fs_answer_keep(fs, UINT64_MAX, 5, "first", 5)) == DVS_OK);
	ck_assert(CHANGE(fs, fs_answer_keep(fs, UINT64_MAX, 6, "second", 6)) == DVS_OK);
	ck_assert(CHANGE(fs, fs_answer_keep(fs, 1, 6, answer, FS_ANSWER_MAX + 1)) == DVS_TOOBIG);
	fs = fs_help_reopen(fs);
	ck_assert(fs_session_next(fs, 0, &row) == DVS_OK);
	ck_assert_uint_eq(row.session, 7);
	ck_assert_uint_eq(row.ep, UINT64_MAX);
	ck_assert(fs_session_next(fs, 7, &row) == DVS_OK);
	ck_assert_uint_eq(row.session, 9);
	ck_assert(fs_session_next(fs, 9, &row) == DVS_NOTFOUND);
	ck_assert(CHANGE(fs, fs_session_remove(fs, 7)) == DVS_OK);
	ck_assert(fs_session_next(fs, 0, &row) == DVS_OK);
	ck_assert_uint_eq(row.session, 9);
	ck_assert(fs_answer_find(fs, UINT64_MAX, 5, answer, &bytes) == DVS_NOTFOUND);
	ck_assert(fs_answer_find(fs, UINT64_MAX, 6, answer, &bytes) == DVS_OK);
	ck_assert_uint_eq(bytes, 6);
	ck_assert_mem_eq(answer, "second", 6);
	ck_assert(CHANGE(fs, fs_answer_keep(fs, 3, 1, "a", 1)) == DVS_OK);
	ck_assert(CHANGE(fs, fs_answer_keep(fs, 12, 1, "b", 1)) == DVS_OK);
	ck_assert(fs_answer_next(fs, 0, &client) == DVS_OK && client == 3);
	ck_assert(fs_answer_next(fs, client, &client) == DVS_OK && client == 12);
	ck_assert(fs_answer_next(fs, client, &client) == DVS_NOTFOUND);
	ck_assert(CHANGE(fs, fs_answer_forget(fs, UINT64_MAX)) == DVS_OK);
	ck_assert(fs_answer_find(fs, UINT64_MAX, 6, answer, &bytes) == DVS_NOTFOUND);
	fs_help_close(fs);
}

UNIT_MAIN_TIMEOUT("fs-attrs", 60, times_have_nanoseconds_and_any_year,
		  an_access_time_is_kept_as_relatime_says,
		  a_write_takes_set_id_bits_and_capabilities,
		  a_size_is_changed_by_who_may_write_or_has_it_open,
		  opening_asks_for_what_the_flags_need, a_quota_holds_and_a_refusal_changes_nothing,
		  attributes_have_limits, answers_and_sessions_survive)
