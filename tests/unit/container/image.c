/* SPDX-License-Identifier: Apache-2.0 */
/* The parts of the store that need no rights: names, packing, removing, sentences. */
#include "container/image.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/pack.h"
#include "container/paths.h"
#include "container/tree.h"
#include "container/why.h"
#include "unit.h"

static char why[DESCRIPTION_TEXT_MAX];

TEST(names_are_those_of_registries)
{
	static const char *const good[] = { "a", "debian:12", "localhost:5000/x/y-z_1:v1.0", "0" };
	static const char *const bad[] = { "",	 "/a",	"a/",  "a//b",	   "../a", "a/../b", ".a",
					   "-a", "a b", "a+b", "sha256:0", "a\n",  "ä",	     ":a" };
	char long_name[IMAGE_NAME_MAX + 2];

	for (size_t i = 0; i < ARRAY_LEN(good); i++)
		ck_assert_msg(image_name_ok(good[i]), "%s", good[i]);
	for (size_t i = 0; i < ARRAY_LEN(bad); i++)
		ck_assert_msg(!image_name_ok(bad[i]), "%s", bad[i]);
	memset(long_name, 'a', sizeof(long_name));
	long_name[IMAGE_NAME_MAX + 1] = '\0';
	ck_assert(!image_name_ok(long_name));
	long_name[IMAGE_NAME_MAX] = '\0';
	ck_assert(image_name_ok(long_name));
}

TEST(a_sentence_cannot_steer_a_terminal)
{
	ck_assert_int_eq(why_say(why, DVS_IO, "%s", "a\033[2J\n\xff\xc2\x9b ü€😀\xc3"), DVS_IO);
	ck_assert_str_eq(why, "a\\x1b[2J\\x0a\\xff\\xc2\\x9b ü€😀\\xc3");
}

TEST(what_is_noted_of_a_path_is_found)
{
	struct paths paths = { 0 };
	char path[32];

	ck_assert_ptr_null(paths_find(&paths, "a"));
	for (unsigned i = 0; i < 5000; i++) {
		struct path_note *note;

		(void)snprintf(path, sizeof(path), "folder/%u", i);
		note = paths_add(&paths, path);
		ck_assert_ptr_nonnull(note);
		note->mtime_s = i;
		ck_assert_ptr_eq(paths_add(&paths, path), note);
	}
	ck_assert_uint_eq(paths.n, 5000);
	for (unsigned i = 0; i < 5000; i++) {
		(void)snprintf(path, sizeof(path), "folder/%u", i);
		ck_assert_int_eq(paths_find(&paths, path)->mtime_s, i);
	}
	ck_assert_int_eq(paths_set_text(&paths, "a", "b"), DVS_OK);
	ck_assert_int_eq(paths_set_text(&paths, "a", "c"), DVS_OK);
	ck_assert_str_eq(paths_text(&paths, "a"), "c");
	paths_free(&paths);
}

/* ---- archives ---- */

struct collected {
	unsigned char bytes[1 << 16];
	size_t n;
};

static dvs_err collect(void *context, const void *bytes, size_t len)
{
	struct collected *collected = context;

	ck_assert_uint_le(collected->n + len, sizeof(collected->bytes));
	memcpy(collected->bytes + collected->n, bytes, len);
	collected->n += len;
	return DVS_OK;
}

static struct collected collected;

TEST(an_archive_is_the_same_byte_for_byte)
{
	struct pax_sink sink = { collect, &collected };
	char name[200];
	struct pax_xattr xattr = { name, name, 3 };
	struct pax_entry entry = { .type = PAX_FILE,
				   .path = name,
				   .mode = 0104755,
				   .uid = 1,
				   .gid = 3000000,
				   .size = 9,
				   .mtime_s = -5 };
	static const char records[] = "15 gid=3000000\n12 mtime=-5\n";

	(void)snprintf(name, sizeof(name), "bin/x");
	ck_assert_int_eq(pax_header(&sink, &entry), DVS_OK);
	ck_assert_uint_eq(collected.n, 3 * PAX_BLOCK);
	ck_assert_int_eq(collected.bytes[156], 'x');
	ck_assert_mem_eq(collected.bytes + PAX_BLOCK, records, sizeof(records));
	ck_assert_mem_eq(collected.bytes + (size_t)2 * PAX_BLOCK, "bin/x", 6);
	ck_assert_mem_eq(collected.bytes + (size_t)2 * PAX_BLOCK + 100,
			 "0004755\0000000001\0000000000\00000000000011\00000000000000\0", 47);
	/* The length of a record counts its own digits: 99 becomes 101, never 100. */
	collected.n = 0;
	entry = (struct pax_entry){
		.type = PAX_DIRECTORY, .path = "a", .xattrs = &xattr, .n_xattrs = 1
	};
	memset(name, 'n', 80);
	name[80] = '\0';
	ck_assert_int_eq(pax_header(&sink, &entry), DVS_OK);
	ck_assert_mem_eq(collected.bytes + PAX_BLOCK, "102 SCHILY.xattr.nn", 19);
	ck_assert_int_eq(collected.bytes[PAX_BLOCK + 101], '\n');
}

TEST(a_tree_is_packed_in_order_and_hard_links_once)
{
	char dir[] = "/tmp/dvs-pack-XXXXXX";
	struct pax_sink sink = { collect, &collected };
	AUTO_CLOSE int root = -1;
	struct pack pack = { .kind = PACK_COPY, .sink = &sink, .why = why };

	collected.n = 0;
	ck_assert_ptr_nonnull(mkdtemp(dir));
	root = open(dir, O_RDONLY | O_DIRECTORY);
	pack.root = root;
	ck_assert_int_eq(mkdirat(root, "b", 0755), 0);
	ck_assert_int_eq(close(openat(root, "b/z", O_CREAT | O_WRONLY, 0644)), 0);
	ck_assert_int_eq(linkat(root, "b/z", root, "a", 0), 0);
	ck_assert_int_eq(symlinkat("/etc", root, "c"), 0);
	ck_assert_int_eq(mkfifoat(root, "d", 0644), 0);
	ck_assert_int_eq(mknodat(root, "e", S_IFSOCK | 0644, 0), 0);
	ck_assert_int_eq(pack_end(&pack, pack_tree(&pack, "", "top")), DVS_OK);
	ck_assert_uint_eq(pack.count.entries, 6);
	ck_assert_uint_eq(collected.n, 8 * PAX_BLOCK);
	ck_assert_str_eq((char *)collected.bytes, "top/");
	ck_assert_str_eq((char *)collected.bytes + PAX_BLOCK, "top/a");
	ck_assert_str_eq((char *)collected.bytes + (size_t)2 * PAX_BLOCK, "top/b/");
	ck_assert_str_eq((char *)collected.bytes + (size_t)3 * PAX_BLOCK, "top/b/z");
	ck_assert_int_eq(collected.bytes[3 * PAX_BLOCK + 156], '1');
	ck_assert_str_eq((char *)collected.bytes + (size_t)3 * PAX_BLOCK + 157, "top/a");
	ck_assert_int_eq(collected.bytes[4 * PAX_BLOCK + 156], '2');
	ck_assert_int_eq(collected.bytes[5 * PAX_BLOCK + 156], '6');
	/* An image would be refused for the socket. */
	pack = (struct pack){ .root = root, .kind = PACK_IMAGE, .sink = &sink, .why = why };
	collected.n = 0;
	ck_assert_int_eq(pack_end(&pack, pack_tree(&pack, "", "")), DVS_BADARG);
	ck_assert_ptr_nonnull(strstr(why, "e is a socket"));
	ck_assert_int_eq(tree_remove(AT_FDCWD, dir, why), DVS_OK);
	ck_assert_int_eq(access(dir, F_OK), -1);
}

TEST(a_tree_deeper_than_any_path_is_removed_and_links_are_not_followed)
{
	char dir[] = "/tmp/dvs-tree-XXXXXX", kept[] = "/tmp/dvs-kept-XXXXXX";
	char name[128];
	int at;

	ck_assert_ptr_nonnull(mkdtemp(dir));
	ck_assert_ptr_nonnull(mkdtemp(kept));
	memset(name, 'n', 100);
	name[100] = '\0';
	at = open(dir, O_RDONLY | O_DIRECTORY);
	for (unsigned i = 0; i < 300; i++) {
		int next;

		ck_assert_int_eq(symlinkat(kept, at, "link"), 0);
		ck_assert_int_eq(mkdirat(at, name, 0755), 0);
		next = openat(at, name, O_RDONLY | O_DIRECTORY);
		close(at);
		at = next;
	}
	close(at);
	ck_assert_int_eq(tree_remove(AT_FDCWD, dir, why), DVS_OK);
	ck_assert_int_eq(access(dir, F_OK), -1);
	ck_assert_int_eq(rmdir(kept), 0);
	ck_assert_int_eq(tree_remove(AT_FDCWD, dir, why), DVS_OK);
}

UNIT_MAIN("container-image", names_are_those_of_registries, a_sentence_cannot_steer_a_terminal,
	  what_is_noted_of_a_path_is_found, an_archive_is_the_same_byte_for_byte,
	  a_tree_is_packed_in_order_and_hard_links_once,
	  a_tree_deeper_than_any_path_is_removed_and_links_are_not_followed)
