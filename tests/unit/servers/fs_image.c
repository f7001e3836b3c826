/* SPDX-License-Identifier: Apache-2.0 */
/* The image: made, changed, synced, full, opened again. */
#include <stdio.h>

#include "fs_image_help.h"

TEST(an_image_keeps_what_was_committed)
{
	struct traced *traced = traced_new(16 * MIB);
	struct fsimage_figures figures;
	struct fsimage *image;

	create(traced_medium(traced));
	image = open_image(traced_medium(traced));
	note(image, "one");
	ck_ok(fsimage_begin(image));
	ck_assert(fsimage_is_changing(image));
	ck_ok(sql(image, "INSERT INTO notes(text) VALUES('two')"));
	fsimage_rollback(image);
	ck_assert(!fsimage_is_changing(image));
	fsimage_close(image, true);
	image = open_image(traced_medium(traced));
	ck_assert_int_eq(number(image, "SELECT count(*) FROM notes"), 1);
	fsimage_look(image, &figures);
	ck_assert_str_eq(figures.label, "unit");
	ck_assert_uint_eq(figures.bytes, 16 * MIB);
	ck_assert_uint_eq(check(image), 0);
	fsimage_close(image, false);
	traced_free(traced);
}
END_TEST

/* Committed, not synced; nobody closed it; the same incarnation. */
TEST(a_dead_process_takes_nothing_with_it)
{
	struct traced *traced = traced_new(16 * MIB), *left;
	struct fsimage *image, *again;

	create(traced_medium(traced));
	traced_keep(traced);
	image = open_image(traced_medium(traced));
	for (int i = 0; i < 100; i++)
		note(image, "committed");
	left = traced_death(traced, traced->n_ops);
	again = open_image(traced_medium(left));
	ck_assert_int_eq(number(again, "SELECT count(*) FROM notes"), 100);
	fsimage_close(again, true);
	fsimage_close(image, false);
	traced_free(left);
	traced_free(traced);
}
END_TEST

TEST(what_was_synced_survives_a_power_cut)
{
	struct traced *traced = traced_new(16 * MIB), *left;
	struct fsimage *image, *again;
	uint64_t seed = 1;

	create(traced_medium(traced));
	traced_keep(traced);
	image = open_image(traced_medium(traced));
	note(image, "synced");
	ck_assert(fsimage_is_dirty(image));
	ck_ok(fsimage_sync(image));
	ck_assert(!fsimage_is_dirty(image));
	note(image, "not synced");
	left = traced_cut(traced, traced->n_ops, &seed, true);
	again = open_image(traced_medium(left));
	ck_assert_int_eq(number(again, "SELECT count(*) FROM notes"), 1);
	fsimage_close(again, true);
	fsimage_close(image, false);
	traced_free(left);
	traced_free(traced);
}
END_TEST

/* The log is there, the data may not be: only what was synced counts as written. */
TEST(data_of_an_unfinished_epoch_become_holes_in_another_incarnation)
{
	struct traced *traced = traced_new(16 * MIB), *left;
	struct fsimage *image, *again;
	uint64_t start, got, seed = 1;
	bool must_sync;

	create(traced_medium(traced));
	traced_keep(traced);
	image = open_image(traced_medium(traced));
	ck_ok(fsimage_begin(image));
	ck_ok(fsimage_alloc(image, 0, 4, 0, &start, &got, &must_sync));
	give(image, 7, 0, start, got);
	ck_ok(fsimage_commit(image));
	ck_ok(fsimage_sync(image));
	ck_ok(fsimage_begin(image));
	ck_ok(fsimage_alloc(image, start + got, 4, 0, &start, &got, &must_sync));
	give(image, 8, 0, start, got);
	ck_ok(fsimage_commit(image));
	left = traced_death(traced, traced->n_ops);
	again = open_image(traced_medium(left));
	ck_assert_int_eq(number(again, "SELECT count(*) FROM extents WHERE is_unwritten"), 0);
	fsimage_close(again, false);
	left->medium.incarnation[3] = 9;
	again = open_image(traced_medium(left));
	ck_assert_int_eq(number(again, "SELECT ino FROM extents WHERE is_unwritten"), 8);
	ck_assert_int_eq(number(again, "SELECT count(*) FROM extents"), 2);
	ck_assert_uint_eq(check(again), 0);
	fsimage_close(again, false);
	fsimage_close(image, false);
	(void)seed;
	traced_free(left);
	traced_free(traced);
}
END_TEST

TEST(freed_blocks_wait_for_the_end_of_the_epoch)
{
	struct traced *traced = traced_new(16 * MIB);
	struct fsimage *image;
	uint64_t start, got, all = 0, before;
	bool must_sync;
	dvs_err err;

	create(traced_medium(traced));
	image = open_image(traced_medium(traced));
	before = free_bytes(image);
	for (;;) {
		ck_ok(fsimage_begin(image));
		err = fsimage_alloc(image, 0, 100, 0, &start, &got, &must_sync);
		if (err != DVS_OK)
			break;
		give(image, 7, all, start, got);
		all += got;
		ck_ok(fsimage_commit(image));
	}
	ck_assert(err == DVS_NOSPACE);
	ck_assert(!must_sync);
	fsimage_rollback(image);
	ck_assert_uint_eq(all * 4096, before);
	ck_assert_uint_eq(free_bytes(image), 0);
	ck_ok(fsimage_begin(image));
	ck_ok(sql(image, "DELETE FROM extents WHERE first = 0"));
	ck_ok(fsimage_free(image, number(image, "SELECT min(place) FROM extents") - 100, 100));
	ck_ok(fsimage_commit(image));
	ck_assert_uint_eq(free_bytes(image), 100 * 4096);
	ck_ok(fsimage_begin(image));
	ck_err(fsimage_alloc(image, 0, 100, 0, &start, &got, &must_sync), DVS_NOSPACE);
	ck_assert(must_sync);
	fsimage_rollback(image);
	ck_ok(fsimage_sync(image));
	ck_ok(fsimage_begin(image));
	ck_ok(fsimage_alloc(image, 0, 100, 0, &start, &got, &must_sync));
	ck_assert_uint_eq(got, 100);
	give(image, 7, 0, start, got);
	ck_ok(fsimage_commit(image));
	ck_assert_uint_eq(check(image), 0);
	fsimage_close(image, true);
	traced_free(traced);
}
END_TEST

TEST(a_rollback_gives_space_back)
{
	struct traced *traced = traced_new(16 * MIB);
	struct fsimage *image;
	uint64_t start, got, before;
	bool must_sync;

	create(traced_medium(traced));
	image = open_image(traced_medium(traced));
	before = free_bytes(image);
	for (int i = 0; i < 50; i++) {
		ck_ok(fsimage_begin(image));
		ck_ok(fsimage_alloc(image, 0, 600, 0, &start, &got, &must_sync));
		fsimage_rollback(image);
	}
	ck_assert_uint_eq(free_bytes(image), before);
	ck_assert_uint_eq(check(image), 0);
	fsimage_close(image, true);
	traced_free(traced);
}
END_TEST

TEST(who_goes_on_gets_the_blocks_behind_also_in_the_next_chunk)
{
	struct traced *traced = traced_new(64 * MIB);
	struct fsimage *image;
	uint64_t a, b, got, first;
	bool must_sync;

	create(traced_medium(traced));
	image = open_image(traced_medium(traced));
	ck_ok(fsimage_begin(image));
	ck_ok(fsimage_alloc(image, 0, 32, 2048, &a, &got, &must_sync));
	ck_assert_uint_eq(got, 32);
	ck_ok(fsimage_alloc(image, 0, 32, 2048, &b, &got, &must_sync));
	ck_assert_uint_ge(b > a ? b - a : a - b, 32 + 1024);
	first = a;
	for (int i = 0; i < 20; i++) {
		uint64_t next;

		ck_ok(fsimage_alloc(image, a + 32, 32, 2048, &next, &got, &must_sync));
		ck_assert_uint_eq(next, a + 32);
		ck_assert_uint_eq(got, 32);
		a = next;
	}
	ck_assert_uint_gt(a, first + 256);
	fsimage_rollback(image);
	fsimage_close(image, true);
	traced_free(traced);
}
END_TEST

/* Tables that fill the medium: NOSPACE, and after a deletion it goes on. */
static void fill_and_empty(bool is_volatile)
{
	struct traced *traced = traced_new(16 * MIB);
	struct fsimage *image;
	char text[64];
	int64_t n;
	dvs_err err;

	traced_medium(traced)->is_volatile = is_volatile;
	create(traced_medium(traced));
	image = open_image(traced_medium(traced));
	do {
		ck_ok(fsimage_begin(image));
		err = sql(image, "INSERT INTO notes(text) VALUES(hex(zeroblob(5000)))");
		if (err == DVS_OK)
			err = fsimage_commit(image);
		else
			fsimage_rollback(image);
	} while (err == DVS_OK);
	ck_assert_msg(err == DVS_NOSPACE, "%s", dvs_strerror(err));
	ck_assert_ptr_null(fsimage_why(image));
	ck_ok(fsimage_sync(image));
	n = number(image, "SELECT count(*) FROM notes");
	ck_assert_int_gt(n, 500);
	ck_assert_uint_eq(check(image), 0);
	for (int64_t i = 1; i <= n; i += 2) {
		(void)snprintf(text, sizeof(text), "DELETE FROM notes WHERE n = %lld",
			       (long long)i);
		ck_ok(fsimage_begin(image));
		ck_ok(sql(image, text));
		ck_ok(fsimage_commit(image));
	}
	for (int i = 0; i < 100; i++)
		note(image, "again");
	fsimage_close(image, true);
	image = open_image(traced_medium(traced));
	ck_assert_int_eq(number(image, "SELECT count(*) FROM notes"), n / 2 + 100);
	ck_assert_uint_eq(check(image), 0);
	fsimage_close(image, true);
	traced_free(traced);
}

TEST(a_full_database_says_so_and_can_be_emptied)
{
	fill_and_empty(false);
}
END_TEST

TEST(a_full_database_without_a_log_says_so_and_can_be_emptied)
{
	fill_and_empty(true);
}
END_TEST

static uint64_t bytes_written(const struct traced *traced)
{
	uint64_t bytes = 0;

	for (size_t i = 0; i < traced->n_ops; i++)
		if (traced->ops[i].kind == TRACED_WRITE)
			bytes += traced->ops[i].bytes;
	return bytes;
}

/* Each page goes to its place, and no further; what is rolled back, and what another opening in the same process finds, is as with a log. */
TEST(a_medium_that_goes_with_the_process_needs_no_log)
{
	struct traced *traced = traced_new(16 * MIB);
	struct fsimage *image;

	traced_medium(traced)->is_volatile = true;
	create(traced_medium(traced));
	image = open_image(traced_medium(traced));
	note(image, "first");
	traced_keep(traced);
	note(image, "second");
	ck_assert_uint_eq(bytes_written(traced), MEDIUM_BLOCK_BYTES);
	ck_ok(fsimage_begin(image));
	ck_ok(sql(image, "INSERT INTO notes(text) VALUES('third')"));
	fsimage_rollback(image);
	ck_assert_int_eq(number(image, "SELECT count(*) FROM notes"), 2);
	fsimage_close(image, false);
	image = open_image(traced_medium(traced));
	ck_assert_int_eq(number(image, "SELECT count(*) FROM notes"), 2);
	ck_assert_uint_eq(check(image), 0);
	fsimage_close(image, true);
	traced_free(traced);
}
END_TEST

/* A file that had everything is removed: what the database needs comes from there. */
TEST(chunks_of_data_that_are_empty_go_to_a_database_without_room)
{
	struct traced *traced = traced_new(16 * MIB);
	struct fsimage *image;
	uint64_t start, got, all = 0;
	bool must_sync;
	dvs_err err = DVS_OK;

	create(traced_medium(traced));
	image = open_image(traced_medium(traced));
	ck_ok(fsimage_begin(image));
	while (fsimage_alloc(image, 0, 256, 0, &start, &got, &must_sync) == DVS_OK) {
		give(image, 7, all, start, got);
		all += got;
	}
	ck_ok(fsimage_commit(image));
	ck_ok(fsimage_sync(image));
	for (int i = 0; err == DVS_OK; i++) {
		ck_ok(fsimage_begin(image));
		err = sql(image, "INSERT INTO notes(text) VALUES(hex(zeroblob(5000)))");
		if (err == DVS_OK)
			err = fsimage_commit(image);
		else
			fsimage_rollback(image);
	}
	ck_assert(err == DVS_NOSPACE);
	ck_ok(fsimage_begin(image));
	for (uint64_t at = 0; at < all; at += 256) {
		char text[64];

		(void)snprintf(text, sizeof(text), "SELECT place FROM extents WHERE first = %llu",
			       (unsigned long long)at);
		ck_ok(fsimage_free(image, (uint64_t)number(image, text), 256));
	}
	ck_ok(sql(image, "DELETE FROM extents"));
	ck_ok(fsimage_commit(image));
	ck_ok(fsimage_sync(image));
	for (int i = 0; i < 50; i++) {
		ck_ok(fsimage_begin(image));
		ck_ok(sql(image, "INSERT INTO notes(text) VALUES(hex(zeroblob(5000)))"));
		ck_ok(fsimage_commit(image));
	}
	ck_assert_uint_eq(check(image), 0);
	fsimage_close(image, true);
	image = open_image(traced_medium(traced));
	ck_assert_uint_eq(check(image), 0);
	fsimage_close(image, true);
	traced_free(traced);
}
END_TEST

UNIT_MAIN_TIMEOUT("fs-image", 120, an_image_keeps_what_was_committed,
		  a_dead_process_takes_nothing_with_it, what_was_synced_survives_a_power_cut,
		  data_of_an_unfinished_epoch_become_holes_in_another_incarnation,
		  freed_blocks_wait_for_the_end_of_the_epoch, a_rollback_gives_space_back,
		  who_goes_on_gets_the_blocks_behind_also_in_the_next_chunk,
		  a_full_database_says_so_and_can_be_emptied,
		  a_full_database_without_a_log_says_so_and_can_be_emptied,
		  a_medium_that_goes_with_the_process_needs_no_log,
		  chunks_of_data_that_are_empty_go_to_a_database_without_room)
