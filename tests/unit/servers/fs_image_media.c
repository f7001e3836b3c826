/* SPDX-License-Identifier: Apache-2.0 */
/* The image on media that fail, grow, are of any size, or have something else; and the media themselves. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "fs_image_help.h"

TEST(an_error_of_the_medium_ends_all_changes_and_no_reading)
{
	for (int kind = 0; kind < 2; kind++) {
		struct traced *traced = traced_new(16 * MIB);
		struct fsimage *image;

		create(traced_medium(traced));
		image = open_image(traced_medium(traced));
		note(image, "before");
		if (kind == 0) {
			traced->fail_write_in = 1;
			ck_ok(fsimage_begin(image));
			ck_ok(sql(image, "INSERT INTO notes(text) VALUES('lost')"));
			ck_err(fsimage_commit(image), DVS_IO);
		} else {
			traced->fail_flush_in = 1;
			ck_err(fsimage_sync(image), DVS_IO);
		}
		traced->fail_write_in = traced->fail_flush_in = 0;
		ck_assert_ptr_nonnull(fsimage_why(image));
		ck_err(fsimage_begin(image), DVS_READONLY);
		ck_err(fsimage_sync(image), DVS_IO);
		ck_assert_int_eq(number(image, "SELECT count(*) FROM notes"), 1);
		fsimage_close(image, true);
		image = open_image(traced_medium(traced));
		ck_assert_int_eq(number(image, "SELECT count(*) FROM notes"), 1);
		ck_assert_uint_eq(check(image), 0);
		fsimage_close(image, true);
		traced_free(traced);
	}
}
END_TEST

/* Whichever write or flush fails: what was committed before is there when it is opened again, and nothing else is damaged. */
TEST(whichever_request_fails_the_image_stays_whole)
{
	for (uint64_t n = 1; n < 80; n++) {
		struct traced *traced = traced_new(16 * MIB);
		struct fsimage *image;
		int64_t committed = 0;
		bool must_sync;
		uint64_t start, got;

		create(traced_medium(traced));
		image = open_image(traced_medium(traced));
		if (n % 2)
			traced->fail_write_in = (n + 1) / 2;
		else
			traced->fail_flush_in = n / 2;
		for (int i = 0; i < 40; i++) {
			if (fsimage_begin(image) != DVS_OK)
				break;
			ck_ok(sql(image, "INSERT INTO notes(text) VALUES('x')"));
			ck_ok(fsimage_alloc(image, 0, 64, 0, &start, &got, &must_sync));
			give(image, (uint64_t)i + 2, 0, start, got);
			if (fsimage_commit(image) == DVS_OK)
				committed++;
			(void)!fsimage_sync(image);
		}
		fsimage_close(image, true);
		traced->fail_write_in = traced->fail_flush_in = 0;
		image = open_image(traced_medium(traced));
		ck_assert_int_ge(number(image, "SELECT count(*) FROM notes"), committed);
		ck_assert_int_le(number(image, "SELECT count(*) FROM notes"), committed + 1);
		ck_assert_uint_eq(check(image), 0);
		fsimage_close(image, true);
		traced_free(traced);
	}
}
END_TEST

TEST(the_log_is_carried_over_when_it_is_long)
{
	struct traced *traced = traced_new(16 * MIB);
	struct fsimage_figures figures;
	struct fsimage *image;

	create(traced_medium(traced));
	image = open_image(traced_medium(traced));
	for (int i = 0; i < 3000; i++)
		note(image, "a change");
	fsimage_look(image, &figures);
	ck_assert_uint_gt(figures.flushes, 9);
	ck_assert_uint_le(figures.meta_bytes, 5 * MIB);
	ck_assert_uint_ge(figures.commits, 3000);
	fsimage_close(image, true);
	traced_free(traced);
}
END_TEST

/* One change set that is larger than the log. */
TEST(a_large_change_set_takes_chunks_for_the_log_and_gives_them_back)
{
	struct traced *traced = traced_new(64 * MIB);
	struct fsimage *image;
	uint64_t before;

	create(traced_medium(traced));
	image = open_image(traced_medium(traced));
	(void)sqlite3_exec(fsimage_db(image), "PRAGMA cache_size=100", NULL, NULL, NULL);
	before = free_bytes(image);
	ck_ok(fsimage_begin(image));
	ck_ok(sql(image, "WITH RECURSIVE c(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM c WHERE"
			 " i < 2000) INSERT INTO notes SELECT i, hex(zeroblob(3000)) FROM c"));
	ck_ok(sql(image, "UPDATE notes SET text = text || 'x'"));
	ck_ok(fsimage_commit(image));
	ck_assert_int_eq(number(image, "SELECT count(*) FROM notes WHERE length(text) = 6001"),
			 2000);
	ck_ok(fsimage_begin(image));
	ck_ok(sql(image, "UPDATE notes SET text = 'y'"));
	fsimage_rollback(image);
	ck_ok(fsimage_begin(image));
	ck_ok(sql(image, "DELETE FROM notes WHERE n > 1"));
	ck_ok(fsimage_commit(image));
	ck_ok(fsimage_sync(image));
	fsimage_close(image, true);
	image = open_image(traced_medium(traced));
	ck_assert_int_eq(number(image, "SELECT length(text) FROM notes"), 6001);
	ck_assert_uint_eq(check(image), 0);
	ck_assert_uint_ge(free_bytes(image) + 20 * MIB, before);
	fsimage_close(image, true);
	traced_free(traced);
}
END_TEST

TEST(an_image_grows_with_its_medium)
{
	struct traced *traced = traced_new(16 * MIB);
	struct fsimage_figures figures;
	struct fsimage *image;

	create(traced_medium(traced));
	image = open_image(traced_medium(traced));
	ck_ok(fsimage_grow(image));
	traced->can_have = 40 * MIB;
	ck_ok(fsimage_grow(image));
	fsimage_look(image, &figures);
	ck_assert_uint_eq(figures.bytes, 40 * MIB);
	ck_assert_uint_ge(figures.free_bytes, 30 * MIB);
	fsimage_close(image, true);
	image = open_image(traced_medium(traced));
	fsimage_look(image, &figures);
	ck_assert_uint_eq(figures.bytes, 40 * MIB);
	fsimage_close(image, true);
	traced_free(traced);
}
END_TEST

TEST(sizes_from_16_mib_to_16_tib)
{
	static const uint64_t sizes[] = { 16, 17, 100, 1 << 10, 1 << 20, 3 << 20, 16 << 20 };
	char why[MEDIUM_WHY_MAX + 1];
	const struct fsimage_options options = { .label = "" };
	struct medium *medium;

	ck_ok(medium_ram_open(15 * MIB, &medium));
	ck_err(fsimage_create(medium, &options, SCHEMA, why), DVS_NOSPACE);
	medium_close(medium);
	for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
		uint64_t start, got;
		struct fsimage *image;
		bool must_sync;

		ck_ok(medium_ram_open(sizes[i] * MIB, &medium));
		create(medium);
		image = open_image(medium);
		ck_ok(fsimage_begin(image));
		ck_ok(fsimage_alloc(image, 0, 200, 0, &start, &got, &must_sync));
		ck_assert_uint_eq(got, 200);
		give(image, 5, 0, start, got);
		ck_ok(fsimage_commit(image));
		ck_assert_uint_eq(check(image), 0);
		ck_assert_uint_ge(free_bytes(image), sizes[i] * MIB / 2);
		fsimage_close(image, true);
	}
}
END_TEST

TEST(a_check_finds_what_is_doubly_used_and_frees_what_is_lost)
{
	struct traced *traced = traced_new(16 * MIB);
	struct fsimage_check found = { .repair = true };
	struct fsimage *image;
	uint64_t start, got;
	bool must_sync;

	create(traced_medium(traced));
	image = open_image(traced_medium(traced));
	ck_ok(fsimage_begin(image));
	ck_ok(fsimage_alloc(image, 0, 10, 0, &start, &got, &must_sync));
	give(image, 5, 0, start, 8);
	give(image, 6, 0, start + 4, 1);
	give(image, 6, 1, UINT64_C(1) << 40, 1);
	ck_ok(fsimage_commit(image));
	ck_assert_uint_eq(check(image), 3);
	ck_ok(fsimage_begin(image));
	ck_ok(fsimage_check(image, &found));
	ck_ok(fsimage_commit(image));
	ck_assert_uint_eq(found.n_found, 3);
	ck_assert_uint_eq(found.n_repaired, 1);
	ck_assert_uint_eq(check(image), 2);
	fsimage_close(image, true);
	traced_free(traced);
}
END_TEST

TEST(what_is_no_image_is_refused)
{
	struct traced *traced = traced_new(16 * MIB);
	char why[MEDIUM_WHY_MAX + 1] = "";
	struct fsimage *image = NULL;

	ck_err(fsimage_open(traced_medium(traced), SCHEMA, &quiet, &image, why), DVS_CORRUPT);
	ck_assert_ptr_nonnull(strstr(why, "dvs fs create"));
	create(traced_medium(traced));
	ck_err(fsimage_open(traced_medium(traced), "", &quiet, &image, why), DVS_CORRUPT);
	ck_assert_ptr_nonnull(strstr(why, "tables"));
	/* One superblock is enough, whichever it is. */
	memset(traced->memory, 0, 4096);
	fsimage_close(open_image(traced_medium(traced)), false);
	memset(traced->memory + MIB - 4096, 0, 4096);
	ck_err(fsimage_open(traced_medium(traced), SCHEMA, &quiet, &image, why), DVS_CORRUPT);
	traced_free(traced);
}
END_TEST

/* What the last image left must not be taken for the log of the new one. */
TEST(an_image_is_made_over_another_one)
{
	struct traced *traced = traced_new(16 * MIB);
	struct fsimage *image;

	create(traced_medium(traced));
	image = open_image(traced_medium(traced));
	for (int i = 0; i < 100; i++)
		note(image, "old");
	fsimage_close(image, false);
	create(traced_medium(traced));
	image = open_image(traced_medium(traced));
	ck_assert_int_eq(number(image, "SELECT count(*) FROM notes"), 0);
	ck_assert_uint_eq(check(image), 0);
	fsimage_close(image, true);
	traced_free(traced);
}
END_TEST

TEST(a_file_is_a_medium)
{
	char path[] = "/tmp/dvs-fs-image-XXXXXX", why[MEDIUM_WHY_MAX + 1];
	AUTO_CLOSE int fd = mkstemp(path);
	uint8_t block[MEDIUM_BLOCK_BYTES], incarnation[16];
	struct medium *medium, *other;
	struct fsimage *image;

	ck_assert_int_ge(fd, 0);
	ck_err(medium_file_open(path, 16 * MIB, &medium, why), DVS_EXISTS);
	ck_assert_int_eq(unlink(path), 0);
	ck_err(medium_file_open(path, 0, &medium, why), DVS_NOTFOUND);
	ck_err(medium_file_open("/tmp", 0, &medium, why), DVS_IO);
	ck_err(medium_file_open("/dev/null", 0, &medium, why), DVS_BADARG);
	ck_ok(medium_file_open(path, 16 * MIB + 100, &medium, why));
	ck_assert_uint_eq(medium->bytes, 16 * MIB);
	ck_assert(!medium->is_quick);
	memcpy(incarnation, medium->incarnation, 16);
	ck_err(medium_file_open(path, 0, &other, why), DVS_INUSE);
	create(medium);
	image = open_image(medium);
	note(image, "in a file");
	fsimage_close(image, false);
	ck_ok(medium_file_open(path, 0, &medium, why));
	ck_assert_mem_eq(incarnation, medium->incarnation, 16);
	ck_err(medium_read(medium, 16 * MIB, block, sizeof(block)), DVS_RANGE);
	ck_err(medium_write(medium, 100, block, sizeof(block)), DVS_RANGE);
	image = open_image(medium);
	ck_assert_int_eq(number(image, "SELECT count(*) FROM notes"), 1);
	ck_assert_int_eq(truncate(path, (off_t)(20 * MIB)), 0);
	ck_ok(fsimage_grow(image));
	ck_assert_uint_eq(medium->bytes, 20 * MIB);
	memset(block, 1, sizeof(block));
	ck_ok(medium_write(medium, 20 * MIB - sizeof(block), block, sizeof(block)));
	ck_ok(medium_zero(medium, 20 * MIB - sizeof(block), sizeof(block)));
	ck_ok(medium_read(medium, 20 * MIB - sizeof(block), block, sizeof(block)));
	ck_assert_uint_eq(block[100], 0);
	fsimage_close(image, true);
	(void)unlink(path);
}
END_TEST

TEST(memory_is_a_medium)
{
	uint8_t block[MEDIUM_BLOCK_BYTES] = { 1 };
	struct medium *a, *b;

	ck_err(medium_ram_open(0, &a), DVS_BADARG);
	ck_ok(medium_ram_open(MIB, &a));
	ck_ok(medium_ram_open(MIB, &b));
	ck_assert_mem_ne(a->incarnation, b->incarnation, 16);
	ck_assert(a->is_quick);
	ck_ok(medium_write(a, 8192, block, sizeof(block)));
	ck_ok(medium_flush(a));
	ck_ok(medium_zero(a, 4096, 8192));
	ck_ok(medium_read(a, 8192, block, sizeof(block)));
	ck_assert_uint_eq(block[0], 0);
	ck_err(medium_read(a, MIB, block, sizeof(block)), DVS_RANGE);
	ck_err(medium_zero(a, 1, 4096), DVS_RANGE);
	medium_close(a);
	medium_close(b);
	medium_close(NULL);
}
END_TEST

UNIT_MAIN_TIMEOUT("fs-image-media", 120, an_error_of_the_medium_ends_all_changes_and_no_reading,
		  whichever_request_fails_the_image_stays_whole,
		  the_log_is_carried_over_when_it_is_long,
		  a_large_change_set_takes_chunks_for_the_log_and_gives_them_back,
		  an_image_grows_with_its_medium, sizes_from_16_mib_to_16_tib,
		  a_check_finds_what_is_doubly_used_and_frees_what_is_lost,
		  what_is_no_image_is_refused, an_image_is_made_over_another_one,
		  a_file_is_a_medium, memory_is_a_medium)
