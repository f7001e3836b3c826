/* SPDX-License-Identifier: Apache-2.0 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/rootfs.h"
#include "unit.h"

static char top[] = "/tmp/dvs-files-XXXXXX";

static const char *at(const char *rest)
{
	static char paths[4][PATH_BYTES];
	static unsigned int next;
	char *path = paths[next++ % 4];

	(void)snprintf(path, PATH_BYTES, "%s%s", top, rest);
	return path;
}

TEST(a_file_is_there_whole_or_not_at_all)
{
	char text[16];

	ck_assert_ptr_nonnull(mkdtemp(top));
	ck_assert(file_replace(at("/f"), "one\n", 4, 0600, true));
	ck_assert(file_replace(at("/f"), "two\n", 4, 0600, false));
	ck_assert(file_read(at("/f"), text, sizeof(text)));
	ck_assert_str_eq(text, "two\n");
	ck_assert(file_read(at("/f"), text, 3));
	ck_assert_str_eq(text, "tw");
	ck_assert(!file_read(at("/none"), text, sizeof(text)));
	ck_assert_str_eq(text, "");
	ck_assert(!file_put(at("/none"), "x"));
	ck_assert(access(at("/f.new"), F_OK) != 0);
	ck_assert(dir_remove(top));
}

TEST(a_tree_of_any_shape_is_removed_and_nothing_beside_it)
{
	AUTO_CLOSE int deep = -1;

	ck_assert_ptr_nonnull(mkdtemp(top));
	ck_assert(dir_make(at("/tree/a/b"), 0755));
	ck_assert(dir_make(at("/beside"), 0755));
	ck_assert(file_replace(at("/beside/stays"), "", 0, 0600, false));
	ck_assert_int_eq(symlink(at("/beside"), at("/tree/a/out")), 0);
	ck_assert_int_eq(symlink("..", at("/tree/a/b/up")), 0);
	/* Deeper than a path can be, and a level that is wide. */
	deep = open(at("/tree"), O_RDONLY | O_DIRECTORY);
	for (int i = 0; i < 1000; i++) {
		int next;

		ck_assert_int_eq(mkdirat(deep, "directory", 0700), 0);
		next = openat(deep, "directory", O_RDONLY | O_DIRECTORY);
		ck_assert_int_ge(next, 0);
		close(deep);
		deep = next;
	}
	for (int i = 0; i < 300; i++) {
		char name[32];

		(void)snprintf(name, sizeof(name), "/tree/wide/%d/x", i);
		ck_assert(dir_make(at(name), 0755));
	}
	ck_assert(dir_remove(at("/tree")));
	ck_assert(access(at("/tree"), F_OK) != 0);
	ck_assert_int_eq(access(at("/beside/stays"), F_OK), 0);
	ck_assert(dir_remove(at("/tree")));
	/* A link in the place of the tree is not followed. */
	ck_assert_int_eq(symlink(at("/beside"), at("/tree")), 0);
	ck_assert(!dir_remove(at("/tree")));
	ck_assert_int_eq(access(at("/beside/stays"), F_OK), 0);
	ck_assert(dir_remove(top));
}

TEST(targets_of_volumes_stay_in_the_root)
{
	bool there;

	ck_assert_ptr_nonnull(mkdtemp(top));
	ck_assert(dir_make(at("/root/etc"), 0755));
	ck_assert_int_eq(symlink("/etc", at("/root/absolute")), 0);
	ck_assert_int_eq(symlink("../../..", at("/root/up")), 0);
	ck_assert(rootfs_target(at("/root"), "/etc", &there) && there);
	ck_assert(rootfs_target(at("/root"), "/none/deep", &there) && !there);
	/* In the root a link leads to the root's own. */
	ck_assert(rootfs_target(at("/root"), "/absolute", &there) && there);
	ck_assert(rootfs_target(at("/root"), "/absolute/passwd", &there) && !there);
	ck_assert(rootfs_target(at("/root"), "/up/etc", &there) && there);
	ck_assert(rootfs_target(at("/root"), "/up/usr", &there) && !there);
	ck_assert(!rootfs_target(at("/none"), "/x", &there));
	ck_assert(dir_remove(top));
}

TEST(names_are_no_paths)
{
	static const char *const good[] = { "a", "web-1.x_Y" };
	static const char *const bad[] = { "", ".", "..", ".dvs", "a/b", "a b", "\xc3" };
	char name[CONTAINER_ID_MAX + 2];

	memset(name, 'x', sizeof(name));
	name[CONTAINER_ID_MAX + 1] = '\0';
	ck_assert(!container_name_ok(name));
	name[CONTAINER_ID_MAX] = '\0';
	ck_assert(container_name_ok(name));
	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ck_assert(container_name_ok(good[i]));
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!container_name_ok(bad[i]), "%s", bad[i]);
}

TEST(a_process_is_known_by_its_start)
{
	static const char *const fails[] = { "/bin/sh", "-c", "exit 3", NULL };
	static const char *const hangs[] = { "/bin/sleep", "1000", NULL };
	static const char *const none[] = { "/none", NULL };
	int status;

	ck_assert_uint_ne(process_started(getpid()), 0);
	ck_assert_uint_eq(process_started(getpid()), process_started(getpid()));
	ck_assert_uint_eq(process_started(0x7fffffff), 0);
	ck_assert_int_eq(process_run(fails, -1, NULL, 10000, &status), DVS_OK);
	ck_assert_int_eq(status, 3 << 8);
	ck_assert_int_eq(process_run(hangs, -1, NULL, 50, &status), DVS_TIMEOUT);
	ck_assert_int_eq(status, 9);
	ck_assert_int_eq(process_run(none, -1, NULL, 10000, &status), DVS_OK);
	ck_assert_int_eq(status, 127 << 8);
}

UNIT_MAIN("container-files", a_file_is_there_whole_or_not_at_all,
	  a_tree_of_any_shape_is_removed_and_nothing_beside_it, targets_of_volumes_stay_in_the_root,
	  names_are_no_paths, a_process_is_known_by_its_start)
