/* SPDX-License-Identifier: Apache-2.0 */
/* Names, one behaviour each; what fs_tmpfs.c cannot compare: change sets, pins, limits. */
#include <stdio.h>
#include <string.h>

#include "base/compiler.h"
#include "fs_help.h"
#include "servers/fs/tree_internal.h"
#include "unit.h"

static const struct fs_who other = { .uid = 1002, .gid = 2002 };

TEST(a_name_has_at_most_255_bytes_of_any_value_but_zero_and_slash)
{
	struct fs *fs = fs_help_open();
	char name[257] = "";
	struct fs_attr attr;

	for (int c = 1; c < 256; c++) {
		name[0] = (char)c;
		if (c == '/')
			ck_assert(fs_help_make(fs, &fs_root, FS_ROOT, name, S_IFREG) == DVS_BADARG);
		else if (c == '.')
			ck_assert(fs_help_make(fs, &fs_root, FS_ROOT, name, S_IFREG) == DVS_EXISTS);
		else
			ck_assert(fs_help_make(fs, &fs_root, FS_ROOT, name, S_IFREG) == DVS_OK);
	}
	memset(name, 'n', 256);
	ck_assert(fs_help_make(fs, &fs_root, FS_ROOT, name, S_IFREG) == DVS_NAMELONG);
	ck_assert(fs_help_removed(fs, FS_ROOT, name, false) == DVS_NAMELONG);
	ck_assert(fs_help_renamed(fs, FS_ROOT, "a", FS_ROOT, name, 0) == DVS_NAMELONG);
	ck_assert(fs_lookup(fs, &fs_root, FS_ROOT, fs_help_name(name), &attr) == DVS_NAMELONG);
	name[255] = 0;
	ck_assert(fs_help_make(fs, &fs_root, FS_ROOT, name, S_IFREG) == DVS_OK);
	ck_assert(fs_help_make(fs, &fs_root, FS_ROOT, "", S_IFREG) == DVS_BADARG);
	ck_assert(CHANGE(fs, fs_make(fs, &fs_root, FS_ROOT, (struct fs_name){ "a\0b", 3 }, S_IFREG,
				     0, 0, &attr)) == DVS_BADARG);
	ck_assert_uint_eq(fs_help_attr(fs, FS_ROOT).size, 254);
	fs_help_check(fs);
	fs_help_close(fs);
}

TEST(what_is_no_directory_has_no_names)
{
	struct fs *fs = fs_help_open();
	uint64_t file = fs_help_made(fs, FS_ROOT, "file", S_IFREG | 0644);
	struct fs_attr attr;
	char target[FS_TARGET_MAX + 1];
	size_t len;
	bool end;

	ck_assert(fs_lookup(fs, &fs_root, file, fs_help_name("."), &attr) == DVS_NOTDIR);
	ck_assert(fs_help_make(fs, &fs_root, file, "x", S_IFREG) == DVS_NOTDIR);
	ck_assert(fs_help_removed(fs, file, "x", false) == DVS_NOTDIR);
	ck_assert(fs_help_renamed(fs, file, "x", FS_ROOT, "y", 0) == DVS_NOTDIR);
	ck_assert(fs_help_renamed(fs, FS_ROOT, "file", file, "y", 0) == DVS_NOTDIR);
	ck_assert(fs_readdir(fs, file, 0, NULL, NULL, &end) == DVS_NOTDIR);
	ck_assert(fs_readlink(fs, file, target, &len) == DVS_BADARG);
	ck_assert(fs_help_make(fs, &fs_root, 77, "x", S_IFREG) == DVS_STALE);
	ck_assert(fs_getattr(fs, UINT64_MAX, &attr) == DVS_STALE);
	ck_assert(fs_help_make(fs, &fs_root, FS_ROOT, "x", S_IFLNK) == DVS_BADARG);
	fs_help_close(fs);
}

TEST(a_symbolic_link_has_a_target_of_1_to_4095_bytes)
{
	struct fs *fs = fs_help_open();
	char target[4097], got[FS_TARGET_MAX + 1];
	struct fs_name name = fs_help_name("link"), text = { target, 4096 };
	struct fs_attr attr;
	size_t len;

	memset(target, 't', sizeof(target));
	ck_assert(CHANGE(fs, fs_make_symlink(fs, &fs_user, FS_ROOT, name, text, &attr)) ==
		  DVS_NAMELONG);
	text.len = 0;
	ck_assert(CHANGE(fs, fs_make_symlink(fs, &fs_user, FS_ROOT, name, text, &attr)) ==
		  DVS_NOTFOUND);
	text.len = 4095;
	ck_assert(CHANGE(fs, fs_make_symlink(fs, &fs_user, FS_ROOT, name, text, &attr)) ==
		  DVS_NOACCESS);
	ck_assert(CHANGE(fs, fs_make_symlink(fs, &fs_root, FS_ROOT, name, text, &attr)) == DVS_OK);
	ck_assert_uint_eq(attr.mode, S_IFLNK | 0777);
	ck_assert_uint_eq(attr.size, 4095);
	fs = fs_help_reopen(fs);
	ck_assert(fs_readlink(fs, attr.ino, got, &len) == DVS_OK);
	ck_assert_uint_eq(len, 4095);
	ck_assert_mem_eq(got, target, 4095);
	fs_help_close(fs);
}

TEST(a_rollback_gives_back_what_was)
{
	struct fs *fs = fs_help_open();
	uint64_t dir = fs_help_made(fs, FS_ROOT, "dir", S_IFDIR | 0755);
	uint64_t file = fs_help_made(fs, dir, "file", S_IFREG | 0644);
	struct fs_attr before = fs_help_attr(fs, dir), after, attr;
	struct fs_change change = { .valid = 1, .mode = 0600 };
	struct fs_concerned concerned;

	ck_assert(fs_begin(fs) == DVS_OK);
	ck_assert(fs_make(fs, &fs_root, dir, fs_help_name("new"), S_IFDIR, 0, 0, &attr) == DVS_OK);
	ck_assert(fs_setattr(fs, &fs_root, file, &change, false, &after) == DVS_OK);
	ck_assert(fs_unlink(fs, &fs_root, dir, fs_help_name("file"), false, &concerned) == DVS_OK);
	ck_assert(fs_getattr(fs, file, &after) == DVS_STALE);
	fs_rollback(fs);
	after = fs_help_attr(fs, dir);
	ck_assert_mem_eq(&after, &before, sizeof(before));
	ck_assert_uint_eq(fs_help_attr(fs, file).mode, S_IFREG | 0644);
	ck_assert(fs_getattr(fs, attr.ino, &after) == DVS_STALE);
	ck_assert_uint_eq(fs_help_ino(fs, "dir/file"), file);
	/* A commit that fails is a rollback. */
	fs_image(fs)->fails_commit = true;
	ck_assert(fs_help_make(fs, &fs_root, dir, "new", S_IFREG) == DVS_NOSPACE);
	ck_assert_uint_eq(fs_help_ino(fs, "dir/new"), 0);
	after = fs_help_attr(fs, dir);
	ck_assert_mem_eq(&after, &before, sizeof(before));
	fs_help_check(fs);
	fs = fs_help_reopen(fs);
	ck_assert_uint_eq(fs_help_ino(fs, "dir/file"), file);
	fs_help_close(fs);
}

TEST(a_link_that_was_rolled_back_can_be_made_again)
{
	struct fs *fs = fs_help_open();
	struct fs_attr attr, linked;
	struct fs_name name = fs_help_name("name");

	ck_assert(CHANGE(fs, fs_make_tmpfile(fs, &fs_root, FS_ROOT, 0644, 0, true, &attr)) ==
		  DVS_OK);
	ck_assert(fs_begin(fs) == DVS_OK);
	ck_assert(fs_link(fs, &fs_root, attr.ino, FS_ROOT, name, &linked) == DVS_OK);
	fs_rollback(fs);
	ck_assert(CHANGE(fs, fs_link(fs, &fs_root, attr.ino, FS_ROOT, name, &linked)) == DVS_OK);
	ck_assert_uint_eq(linked.nlink, 1);
	fs_help_check(fs);
	fs_help_close(fs);
}

TEST(an_inode_that_left_the_memory_comes_back_as_it_was)
{
	struct fs *fs = fs_help_open();
	uint64_t ino[100];
	char name[16];

	fs->max_inodes = 8;
	for (unsigned int i = 0; i < 100; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		ino[i] = fs_help_made(fs, FS_ROOT, name, S_IFREG | i);
	}
	ck_assert(fs_pin(fs, ino[5]) == DVS_OK);
	for (unsigned int i = 0; i < 100; i++)
		ck_assert_uint_eq(fs_help_attr(fs, ino[i]).mode, S_IFREG | i);
	ck_assert_uint_le(fs->n_inodes, 20);
	ck_assert_ptr_nonnull(fs_inode_known(fs, ino[5]));
	ck_assert(fs_unpin(fs, ino[5]) == DVS_OK);
	ck_assert(fs_unpin(fs, ino[5]) == DVS_STALE);
	fs_help_check(fs);
	fs_help_close(fs);
}

TEST(a_file_without_names_lives_as_long_as_it_is_pinned)
{
	struct fs *fs = fs_help_open();
	uint64_t file = fs_help_made(fs, FS_ROOT, "file", S_IFREG | 0644);
	struct fs_attr attr;
	bool left;

	ck_assert(fs_pin(fs, file) == DVS_OK);
	ck_assert(!fs_is_last_pin(fs, file));
	ck_assert(fs_help_removed(fs, FS_ROOT, "file", false) == DVS_OK);
	ck_assert_uint_eq(fs_help_attr(fs, file).nlink, 0);
	ck_assert(fs_is_last_pin(fs, file));
	ck_assert(CHANGE(fs, fs_link(fs, &fs_root, file, FS_ROOT, fs_help_name("again"), &attr)) ==
		  DVS_NOTFOUND);
	ck_assert(CHANGE(fs, fs_remove_orphans(fs, 10, &left)) == DVS_OK);
	ck_assert_uint_eq(fs_help_attr(fs, file).nlink, 0);
	fs_help_check(fs);
	/* What a rollback undoes is as before. */
	ck_assert(fs_begin(fs) == DVS_OK);
	ck_assert(fs_unpin(fs, file) == DVS_OK);
	fs_rollback(fs);
	ck_assert(fs_is_last_pin(fs, file));
	ck_assert(CHANGE(fs, fs_unpin(fs, file)) == DVS_OK);
	ck_assert(fs_getattr(fs, file, &attr) == DVS_STALE);
	ck_assert_uint_eq(fs->whole.files, 1);
	fs_help_close(fs);
}

TEST(a_new_server_removes_what_nobody_has_open_any_more)
{
	struct fs *fs = fs_help_open();
	uint64_t kept, ino[5];
	char name[16];
	struct fs_attr attr;
	bool left;

	for (unsigned int i = 0; i < 5; i++) {
		(void)snprintf(name, sizeof(name), "f%u", i);
		ino[i] = fs_help_made(fs, FS_ROOT, name, S_IFREG | 0644);
		ck_assert(fs_pin(fs, ino[i]) == DVS_OK);
		ck_assert(fs_help_removed(fs, FS_ROOT, name, false) == DVS_OK);
	}
	kept = ino[2];
	fs = fs_help_reopen(fs);
	ck_assert(fs_pin(fs, kept) == DVS_OK);
	ck_assert(CHANGE(fs, fs_remove_orphans(fs, 2, &left)) == DVS_OK);
	ck_assert(left);
	ck_assert(CHANGE(fs, fs_remove_orphans(fs, 2, &left)) == DVS_OK);
	ck_assert(!left);
	for (unsigned int i = 0; i < 5; i++)
		ck_assert(fs_getattr(fs, ino[i], &attr) == (ino[i] == kept ? DVS_OK : DVS_STALE));
	fs_help_close(fs);
}

TEST(a_removed_directory_that_is_open_gets_no_names)
{
	struct fs *fs = fs_help_open();
	uint64_t dir = fs_help_made(fs, FS_ROOT, "dir", S_IFDIR | 0755);
	uint64_t file = fs_help_made(fs, FS_ROOT, "file", S_IFREG | 0644);
	struct fs_attr attr;
	bool end;

	ck_assert(fs_pin(fs, dir) == DVS_OK);
	ck_assert(fs_help_removed(fs, FS_ROOT, "dir", true) == DVS_OK);
	ck_assert(fs_help_make(fs, &fs_root, dir, "x", S_IFREG) == DVS_NOTFOUND);
	ck_assert(fs_help_make(fs, &fs_root, dir, "x", S_IFDIR) == DVS_NOTFOUND);
	ck_assert(fs_help_renamed(fs, FS_ROOT, "file", dir, "x", 0) == DVS_NOTFOUND);
	ck_assert(CHANGE(fs, fs_link(fs, &fs_root, file, dir, fs_help_name("x"), &attr)) ==
		  DVS_NOTFOUND);
	ck_assert(fs_readdir(fs, dir, 0, NULL, NULL, &end) == DVS_NOTFOUND);
	ck_assert_uint_eq(fs_help_attr(fs, FS_ROOT).nlink, 2);
	ck_assert(CHANGE(fs, fs_unpin(fs, dir)) == DVS_OK);
	fs_help_check(fs);
	fs_help_close(fs);
}

TEST(a_tmpfile_gets_a_name_unless_it_must_not)
{
	struct fs *fs = fs_help_open();
	struct fs_attr attr, linked;
	struct fs_name name = fs_help_name("name");

	ck_assert(CHANGE(fs, fs_make_tmpfile(fs, &fs_user, FS_ROOT, 0644, 0, true, &attr)) ==
		  DVS_NOACCESS);
	ck_assert(CHANGE(fs, fs_make_tmpfile(fs, &fs_root, FS_ROOT, 0644, 0, false, &attr)) ==
		  DVS_OK);
	ck_assert_uint_eq(attr.nlink, 0);
	ck_assert(CHANGE(fs, fs_link(fs, &fs_root, attr.ino, FS_ROOT, name, &linked)) ==
		  DVS_NOTFOUND);
	ck_assert(CHANGE(fs, fs_unpin(fs, attr.ino)) == DVS_OK);
	ck_assert(fs_getattr(fs, attr.ino, &attr) == DVS_STALE);
	ck_assert(CHANGE(fs, fs_make_tmpfile(fs, &fs_root, FS_ROOT, 0644, 0, true, &attr)) ==
		  DVS_OK);
	fs = fs_help_reopen(fs); /* also after a failover */
	ck_assert(fs_pin(fs, attr.ino) == DVS_OK);
	ck_assert(CHANGE(fs, fs_link(fs, &fs_root, attr.ino, FS_ROOT, name, &linked)) == DVS_OK);
	ck_assert_uint_eq(linked.nlink, 1);
	ck_assert(fs_help_removed(fs, FS_ROOT, "name", false) == DVS_OK);
	ck_assert(CHANGE(fs, fs_link(fs, &fs_root, attr.ino, FS_ROOT, name, &linked)) ==
		  DVS_NOTFOUND);
	fs_help_check(fs);
	fs_help_close(fs);
}

TEST(a_file_has_at_most_65000_links)
{
	struct fs *fs = fs_help_open();
	uint64_t file = fs_help_made(fs, FS_ROOT, "file", S_IFREG | 0644);
	struct fs_attr attr;
	char name[16];

	ck_assert(fs_begin(fs) == DVS_OK);
	for (unsigned int i = 1; i < FS_LINKS_MAX; i++) {
		(void)snprintf(name, sizeof(name), "%u", i);
		ck_assert(fs_link(fs, &fs_root, file, FS_ROOT, fs_help_name(name), &attr) ==
			  DVS_OK);
	}
	ck_assert(fs_link(fs, &fs_root, file, FS_ROOT, fs_help_name("more"), &attr) == DVS_LINKS);
	ck_assert(fs_commit(fs) == DVS_OK);
	ck_assert_uint_eq(fs_help_attr(fs, file).nlink, FS_LINKS_MAX);
	ck_assert(fs_help_removed(fs, FS_ROOT, "7", false) == DVS_OK);
	ck_assert(CHANGE(fs, fs_link(fs, &fs_root, file, FS_ROOT, fs_help_name("more"), &attr)) ==
		  DVS_OK);
	fs_help_check(fs);
	fs_help_close(fs);
}

TEST(a_directory_has_at_most_64998_subdirectories)
{
	struct fs *fs = fs_help_open();
	uint64_t dir = fs_help_made(fs, FS_ROOT, "dir", S_IFDIR | 0755);
	struct fs_inode *inode;

	(void)fs_help_made(fs, FS_ROOT, "moved", S_IFDIR | 0755);
	(void)fs_help_made(fs, dir, "file", S_IFREG | 0644);
	ck_assert(fs_inode_get(fs, dir, &inode) == DVS_OK);
	inode->attr.nlink = FS_LINKS_MAX; /* as if they were there */
	ck_assert(fs_help_make(fs, &fs_root, dir, "one", S_IFDIR) == DVS_LINKS);
	ck_assert(fs_help_renamed(fs, FS_ROOT, "moved", dir, "one", 0) == DVS_LINKS);
	ck_assert(fs_help_renamed(fs, FS_ROOT, "moved", dir, "file", 2) == DVS_LINKS);
	ck_assert(fs_help_make(fs, &fs_root, dir, "two", S_IFREG) == DVS_OK);
	inode->attr.nlink = 2;
	fs_help_close(fs);
}

TEST(the_root_can_neither_be_removed_nor_moved)
{
	struct fs *fs = fs_help_open();

	(void)fs_help_made(fs, FS_ROOT, "dir", S_IFDIR | 0755);
	ck_assert(fs_help_removed(fs, FS_ROOT, ".", true) == DVS_BADARG);
	ck_assert(fs_help_removed(fs, FS_ROOT, "..", true) == DVS_NOTEMPTY);
	ck_assert(fs_help_removed(fs, FS_ROOT, ".", false) == DVS_ISDIR);
	ck_assert(fs_help_renamed(fs, FS_ROOT, ".", FS_ROOT, "x", 0) == DVS_BADSTATE);
	ck_assert(fs_help_renamed(fs, FS_ROOT, "dir", FS_ROOT, "..", 0) == DVS_BADSTATE);
	ck_assert(fs_help_renamed(fs, FS_ROOT, "dir", FS_ROOT, "..", 1) == DVS_EXISTS);
	ck_assert_uint_eq(fs_help_ino(fs, ".."), FS_ROOT);
	fs_help_close(fs);
}

TEST(a_directory_never_comes_to_stand_below_itself)
{
	struct fs *fs = fs_help_open();
	uint64_t a = fs_help_made(fs, FS_ROOT, "a", S_IFDIR | 0755);
	uint64_t b = fs_help_made(fs, a, "b", S_IFDIR | 0755),
		 c = fs_help_made(fs, b, "c", S_IFDIR | 0755);

	ck_assert(fs_help_renamed(fs, FS_ROOT, "a", a, "x", 0) == DVS_BADARG);
	ck_assert(fs_help_renamed(fs, FS_ROOT, "a", c, "x", 0) == DVS_BADARG);
	ck_assert(fs_help_renamed(fs, b, "c", FS_ROOT, "a", 0) == DVS_NOTEMPTY);
	ck_assert(fs_help_renamed(fs, b, "c", FS_ROOT, "a", 2) == DVS_BADARG);
	fs->max_inodes = 1; /* those on the way are in the tables only */
	ck_assert(fs_help_renamed(fs, FS_ROOT, "a", c, "x", 0) == DVS_BADARG);
	ck_assert(fs_help_renamed(fs, a, "b", FS_ROOT, "b", 0) == DVS_OK);
	ck_assert_uint_eq(fs_help_ino(fs, "b/c/../.."), FS_ROOT);
	ck_assert(fs_help_renamed(fs, FS_ROOT, "a", c, "a", 0) == DVS_OK);
	ck_assert_uint_eq(fs_help_ino(fs, "b/c/a/.."), c);
	ck_assert_uint_eq(fs_help_attr(fs, FS_ROOT).nlink, 3);
	fs_help_check(fs);
	fs_help_close(fs);
}

TEST(removals_and_renamings_say_whom_they_concern)
{
	struct fs *fs = fs_help_open();
	uint64_t a = fs_help_made(fs, FS_ROOT, "a", S_IFREG | 0644);
	uint64_t b = fs_help_made(fs, FS_ROOT, "b", S_IFREG | 0644), ino;
	struct fs_concerned concerned;
	struct fs_attr attr;

	ck_assert(CHANGE(fs, fs_link(fs, &fs_root, a, FS_ROOT, fs_help_name("a2"), &attr)) ==
		  DVS_OK);
	ck_assert(CHANGE(fs, fs_rename(fs, &fs_root, FS_ROOT, fs_help_name("a"), FS_ROOT,
				       fs_help_name("a2"), 0, &concerned)) == DVS_OK);
	ck_assert_uint_eq(concerned.replaced, 0); /* nothing was done */
	ck_assert_uint_eq(fs_help_attr(fs, a).nlink, 2);
	ck_assert(CHANGE(fs, fs_rename(fs, &fs_root, FS_ROOT, fs_help_name("b"), FS_ROOT,
				       fs_help_name("a2"), 0, &concerned)) == DVS_OK);
	ck_assert_uint_eq(concerned.ino, b);
	ck_assert_uint_eq(concerned.replaced, a);
	ck_assert(fs_peek(fs, FS_ROOT, fs_help_name("a2"), &ino) == DVS_OK);
	ck_assert_uint_eq(ino, b);
	ck_assert(fs_peek(fs, FS_ROOT, fs_help_name("b"), &ino) == DVS_NOTFOUND);
	ck_assert(CHANGE(fs, fs_unlink(fs, &fs_root, FS_ROOT, fs_help_name("a"), false,
				       &concerned)) == DVS_OK);
	ck_assert_uint_eq(concerned.ino, a);
	ck_assert_uint_eq(concerned.nlink, 0);
	fs_help_check(fs);
	fs_help_close(fs);
}

struct listing {
	char text[64];
	uint64_t cookie;
	uint32_t most;
};

static bool list(void *context, const struct fs_name_entry *entry)
{
	struct listing *listing = context;

	if (listing->most == 0)
		return false;
	listing->most--;
	listing->cookie = entry->cookie;
	listing->text[strlen(listing->text)] = entry->name.text[0];
	return true;
}

TEST(reading_goes_on_behind_a_cookie_whatever_is_removed_meanwhile)
{
	struct fs *fs = fs_help_open();
	struct listing all = { .most = 100 }, some = { .most = 0 };
	char name[2] = "a";
	bool end;

	for (; name[0] <= 'z'; name[0]++)
		(void)fs_help_made(fs, FS_ROOT, name, S_IFREG | 0644);
	ck_assert(fs_readdir(fs, FS_ROOT, 0, list, &all, &end) == DVS_OK);
	ck_assert(end);
	ck_assert_uint_eq(strlen(all.text), 28);
	ck_assert_mem_eq(all.text, "..", 2);
	for (size_t i = 0; i < 28; i++) {
		some.most = 1;
		ck_assert(fs_readdir(fs, FS_ROOT, some.cookie, list, &some, &end) == DVS_OK);
		ck_assert(!end || i == 27);
		name[0] = all.text[i];
		if (i >= 2)
			ck_assert(fs_help_removed(fs, FS_ROOT, name, false) == DVS_OK);
	}
	ck_assert_str_eq(some.text, all.text);
	ck_assert(fs_readdir(fs, FS_ROOT, UINT64_MAX, list, &some, &end) == DVS_OK);
	ck_assert(end);
	fs_help_close(fs);
}

TEST(names_of_the_same_hash_are_told_apart)
{
	struct fs *fs = fs_help_open();
	uint64_t a = fs_help_made(fs, FS_ROOT, "a", S_IFREG | 0644);
	char text[96];

	/* Another name stands where "b" would. */
	(void)snprintf(text, sizeof(text), "UPDATE names SET cookie = %llu",
		       (unsigned long long)fs_name_cookie(fs, fs_help_name("b")));
	ck_assert_int_eq(sqlite3_exec(fs->db, text, NULL, NULL, NULL), SQLITE_OK);
	ck_assert_uint_eq(fs_help_ino(fs, "b"), 0);
	ck_assert_uint_ne(fs_help_made(fs, FS_ROOT, "b", S_IFREG | 0644), a);
	ck_assert_uint_ne(fs_help_ino(fs, "b"), 0);
	ck_assert(fs_help_make(fs, &fs_root, FS_ROOT, "b", S_IFREG) == DVS_EXISTS);
	fs_help_close(fs);
}

TEST(a_sticky_directory_protects_names_from_others)
{
	struct fs *fs = fs_help_open();
	uint64_t dir = fs_help_made(fs, FS_ROOT, "tmp", S_IFDIR | 0777);
	const struct fs_change sticky = { .valid = 1, .mode = 01777 };
	struct fs_concerned concerned;

	ck_assert(fs_help_make(fs, &fs_user, dir, "mine", S_IFREG | 0666) == DVS_OK);
	ck_assert(fs_help_changed(fs, &fs_root, dir, &sticky) == DVS_OK);
	ck_assert(CHANGE(fs, fs_unlink(fs, &other, dir, fs_help_name("mine"), false, &concerned)) ==
		  DVS_DENIED);
	ck_assert(CHANGE(fs, fs_rename(fs, &other, dir, fs_help_name("mine"), dir,
				       fs_help_name("yours"), 0, &concerned)) == DVS_DENIED);
	ck_assert(CHANGE(fs, fs_unlink(fs, &fs_user, dir, fs_help_name("mine"), false,
				       &concerned)) == DVS_OK);
	fs_help_close(fs);
}

UNIT_MAIN_TIMEOUT(
	"fs-tree", 60, a_name_has_at_most_255_bytes_of_any_value_but_zero_and_slash,
	what_is_no_directory_has_no_names, a_symbolic_link_has_a_target_of_1_to_4095_bytes,
	a_rollback_gives_back_what_was, a_link_that_was_rolled_back_can_be_made_again,
	an_inode_that_left_the_memory_comes_back_as_it_was,
	a_file_without_names_lives_as_long_as_it_is_pinned,
	a_new_server_removes_what_nobody_has_open_any_more,
	a_removed_directory_that_is_open_gets_no_names, a_tmpfile_gets_a_name_unless_it_must_not,
	a_file_has_at_most_65000_links, a_directory_has_at_most_64998_subdirectories,
	the_root_can_neither_be_removed_nor_moved, a_directory_never_comes_to_stand_below_itself,
	removals_and_renamings_say_whom_they_concern,
	reading_goes_on_behind_a_cookie_whatever_is_removed_meanwhile,
	names_of_the_same_hash_are_told_apart, a_sticky_directory_protects_names_from_others)
