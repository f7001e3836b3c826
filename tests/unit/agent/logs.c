/* SPDX-License-Identifier: Apache-2.0 */
#include "agent/logs.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "unit.h"

#define ID UINT64_C(0x1234)
#define SECOND CLOCK_NS_PER_S
#define START_NS (UINT64_C(1700000000) * SECOND)

struct place {
	char root[64];
	char folder[128];
};

static struct place place_make(void)
{
	struct place place;

	(void)snprintf(place.root, sizeof(place.root), "%s", "/tmp/dvs-logs.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(place.root));
	(void)snprintf(place.folder, sizeof(place.folder), "%s/logs/web", place.root);
	return place;
}

static size_t count_files(const char *folder)
{
	DIR *dir = opendir(folder);
	size_t n = 0;

	if (!dir)
		return 0;
	for (const struct dirent *entry = readdir(dir); entry; entry = readdir(dir))
		n += entry->d_name[0] != '.';
	(void)closedir(dir);
	return n;
}

static void place_remove(const struct place *place)
{
	char path[160];

	ck_assert_uint_eq(count_files(place->folder), 0);
	(void)rmdir(place->folder);
	(void)snprintf(path, sizeof(path), "%s/logs", place->root);
	(void)rmdir(path);
	ck_assert_int_eq(rmdir(place->root), 0);
}

static struct logs *open_logs(const struct place *place)
{
	struct logs *logs = NULL;

	ck_assert_int_eq(logs_open(place->folder, ID, &logs), DVS_OK);
	return logs;
}

static void put(struct logs *logs, const char *text, uint64_t now_ns)
{
	logs_append(logs, LOGS_STDOUT, text, strlen(text), now_ns);
}

/* All from CURSOR on, as a string. */
static const char *read_from(struct logs *logs, uint64_t *cursor, uint32_t tail, uint64_t since_ns)
{
	static uint8_t data[65536];
	size_t n = logs_read(logs, cursor, tail, since_ns, data, sizeof(data) - 1);

	data[n] = '\0';
	return (const char *)data;
}

static const char *read_all(struct logs *logs)
{
	uint64_t cursor = 0;

	return read_from(logs, &cursor, LOGS_ALL, 0);
}

static void end(struct logs *logs, const struct place *place)
{
	logs_remove(logs);
	logs_close(logs);
	place_remove(place);
}

TEST(lines_have_time_stream_and_flag)
{
	struct place place = place_make();
	struct logs *logs = open_logs(&place);

	ck_assert_uint_eq(count_files(place.folder), 0);
	put(logs, "one\ntwo\n", START_NS + 5);
	logs_append(logs, LOGS_STDERR, "bad\n\n", 5, START_NS + 1234 * CLOCK_NS_PER_MS);
	ck_assert_str_eq(read_all(logs), "2023-11-14T22:13:20.000000005Z stdout F one\n"
					 "2023-11-14T22:13:20.000000005Z stdout F two\n"
					 "2023-11-14T22:13:21.234000000Z stderr F bad\n"
					 "2023-11-14T22:13:21.234000000Z stderr F \n");
	end(logs, &place);
}
END_TEST

TEST(a_line_without_an_end_is_there_at_once)
{
	struct place place = place_make();
	struct logs *logs = open_logs(&place);

	put(logs, "name? ", START_NS);
	ck_assert_ptr_nonnull(strstr(read_all(logs), "stdout P name? \n"));
	put(logs, "me\n", START_NS);
	ck_assert_ptr_nonnull(strstr(read_all(logs), "stdout F me\n"));
	end(logs, &place);
}
END_TEST

TEST(a_long_line_is_cut_into_pieces)
{
	static char text[LOGS_TEXT_MAX * 2 + 2];
	struct place place = place_make();
	struct logs *logs = open_logs(&place);
	const char *first;
	const char *second;

	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 2] = '\n';
	logs_append(logs, LOGS_STDOUT, text, sizeof(text) - 1, START_NS);
	first = read_all(logs);
	ck_assert_ptr_nonnull(strstr(first, " P x"));
	second = strchr(first, '\n') + 1;
	ck_assert_uint_eq((size_t)(second - first), LOGS_HEAD_BYTES + LOGS_TEXT_MAX + 1);
	ck_assert_ptr_nonnull(strstr(second, " F x"));
	ck_assert_uint_eq(strlen(second), LOGS_HEAD_BYTES + LOGS_TEXT_MAX + 1);
	end(logs, &place);
}
END_TEST

TEST(a_cursor_goes_on_where_it_was_also_in_a_new_agent)
{
	struct place place = place_make();
	struct logs *logs = open_logs(&place);
	uint64_t cursor = 0;

	put(logs, "one\n", START_NS);
	(void)read_from(logs, &cursor, LOGS_ALL, 0);
	ck_assert_uint_eq(cursor, logs_end(logs));
	logs_close(logs);
	logs = open_logs(&place);
	ck_assert_uint_eq(cursor, logs_end(logs));
	put(logs, "two\n", START_NS);
	ck_assert_str_eq(read_from(logs, &cursor, LOGS_ALL, 0),
			 "2023-11-14T22:13:20.000000000Z stdout F two\n");
	ck_assert_str_eq(read_from(logs, &cursor, LOGS_ALL, 0), "");
	end(logs, &place);
}
END_TEST

TEST(only_what_fits_is_read_in_whole_lines)
{
	struct place place = place_make();
	struct logs *logs = open_logs(&place);
	static uint8_t data[LOGS_READ_MIN];
	uint64_t cursor = 0;
	size_t total = 0;

	for (int i = 0; i < 1000; i++)
		put(logs, "a line of some length that is repeated\n", START_NS);
	for (size_t n = 1; n > 0; total += n) {
		n = logs_read(logs, &cursor, LOGS_ALL, 0, data, sizeof(data));
		if (n > 0)
			ck_assert_uint_eq(data[n - 1], '\n');
	}
	ck_assert_uint_eq(total, logs_end(logs));
	end(logs, &place);
}
END_TEST

TEST(tail_gives_the_last_lines_and_a_cut_line_is_one)
{
	static char text[LOGS_TEXT_MAX + 10];
	struct place place = place_make();
	struct logs *logs = open_logs(&place);
	uint64_t cursor = 0;

	put(logs, "one\ntwo\n", START_NS);
	memset(text, 'z', sizeof(text));
	logs_append(logs, LOGS_STDOUT, text, sizeof(text), START_NS);
	put(logs, "\nfour\n", START_NS);
	ck_assert_ptr_nonnull(strstr(read_from(logs, &cursor, 1, 0), "F four\n"));
	ck_assert_uint_eq(cursor, logs_end(logs));
	cursor = 0;
	ck_assert_str_eq(read_from(logs, &cursor, 0, 0), "");
	ck_assert_uint_eq(cursor, logs_end(logs));
	cursor = 0;
	ck_assert_ptr_nonnull(strstr(read_from(logs, &cursor, 2, 0), " P zzz"));
	cursor = 0;
	ck_assert_ptr_null(strstr(read_from(logs, &cursor, 2, 0), "two"));
	cursor = 0;
	ck_assert_ptr_nonnull(strstr(read_from(logs, &cursor, 3, 0), "F two\n"));
	cursor = 0;
	ck_assert_ptr_nonnull(strstr(read_from(logs, &cursor, 1000, 0), "F one\n"));
	/* A piece at the end is a line, too. */
	put(logs, "prompt", START_NS);
	cursor = 0;
	ck_assert_str_eq(read_from(logs, &cursor, 1, 0),
			 "2023-11-14T22:13:20.000000000Z stdout P prompt\n");
	end(logs, &place);
}
END_TEST

TEST(since_leaves_out_what_is_older)
{
	struct place place = place_make();
	struct logs *logs = open_logs(&place);
	uint64_t cursor = 0;

	for (uint64_t i = 0; i < 10; i++) {
		char text[16];

		(void)snprintf(text, sizeof(text), "line %" PRIu64 "\n", i);
		put(logs, text, START_NS + i * SECOND);
	}
	ck_assert_str_eq(read_from(logs, &cursor, LOGS_ALL, START_NS + 8 * SECOND),
			 "2023-11-14T22:13:28.000000000Z stdout F line 8\n"
			 "2023-11-14T22:13:29.000000000Z stdout F line 9\n");
	cursor = 0;
	ck_assert_str_eq(read_from(logs, &cursor, 1, START_NS + 8 * SECOND),
			 "2023-11-14T22:13:29.000000000Z stdout F line 9\n");
	cursor = 0;
	ck_assert_str_eq(read_from(logs, &cursor, LOGS_ALL, START_NS + 10 * SECOND), "");
	ck_assert_uint_eq(cursor, logs_end(logs));
	end(logs, &place);
}
END_TEST

static void fill(struct logs *logs, uint64_t bytes)
{
	static char text[1024];

	memset(text, 'y', sizeof(text));
	text[sizeof(text) - 1] = '\n';
	for (uint64_t until = logs_end(logs) + bytes; logs_end(logs) < until;)
		logs_append(logs, LOGS_STDOUT, text, sizeof(text), START_NS);
}

TEST(two_files_are_kept_and_cursors_stay_good)
{
	struct place place = place_make();
	struct logs *logs = open_logs(&place);
	uint64_t middle;
	uint64_t cursor;
	const char *text;

	put(logs, "first\n", START_NS);
	fill(logs, LOGS_FILE_BYTES_MAX);
	ck_assert_uint_eq(count_files(place.folder), 2);
	put(logs, "middle\n", START_NS);
	middle = logs_end(logs);
	put(logs, "after\n", START_NS);
	cursor = middle;
	ck_assert_ptr_nonnull(strstr(read_from(logs, &cursor, LOGS_ALL, 0), "after\n"));
	ck_assert_ptr_nonnull(strstr(read_all(logs), "first\n"));
	fill(logs, LOGS_FILE_BYTES_MAX);
	ck_assert_uint_eq(count_files(place.folder), 2);
	ck_assert_ptr_null(strstr(read_all(logs), "first\n"));
	cursor = middle;
	text = read_from(logs, &cursor, LOGS_ALL, 0);
	ck_assert_ptr_nonnull(strstr(text, "F after\n"));
	/* Who was away for too long begins with the oldest that there is. */
	fill(logs, 2 * LOGS_FILE_BYTES_MAX);
	cursor = middle;
	text = read_from(logs, &cursor, LOGS_ALL, 0);
	ck_assert_ptr_nonnull(strstr(text, "F yyyy"));
	ck_assert_uint_gt(cursor, middle + strlen(text));
	logs_close(logs);
	logs = open_logs(&place);
	ck_assert_ptr_nonnull(strstr(read_all(logs), "F yyyy"));
	end(logs, &place);
}
END_TEST

TEST(a_tail_over_two_files)
{
	struct place place = place_make();
	struct logs *logs = open_logs(&place);
	uint64_t cursor = 0;

	fill(logs, LOGS_FILE_BYTES_MAX);
	ck_assert_uint_eq(count_files(place.folder), 2);
	put(logs, "z\n", START_NS);
	/* The last file has two lines: one that had no room in the first, and this. */
	(void)read_from(logs, &cursor, 12, 0);
	ck_assert_uint_eq(cursor, logs_end(logs));
	cursor = 0;
	ck_assert_uint_eq(strlen(read_from(logs, &cursor, 12, 0)),
			  11 * (LOGS_HEAD_BYTES + 1024) + LOGS_HEAD_BYTES + 2);
	end(logs, &place);
}
END_TEST

TEST(a_cursor_that_nobody_gave_out_begins_with_a_whole_line)
{
	struct place place = place_make();
	struct logs *logs = open_logs(&place);
	uint64_t cursor = 7;

	put(logs, "one\ntwo\n", START_NS);
	ck_assert_str_eq(read_from(logs, &cursor, LOGS_ALL, 0),
			 "2023-11-14T22:13:20.000000000Z stdout F two\n");
	cursor = UINT64_MAX;
	ck_assert_str_eq(read_from(logs, &cursor, LOGS_ALL, 0), "");
	end(logs, &place);
}
END_TEST

UNIT_MAIN("agent-logs", lines_have_time_stream_and_flag, a_line_without_an_end_is_there_at_once,
	  a_long_line_is_cut_into_pieces, a_cursor_goes_on_where_it_was_also_in_a_new_agent,
	  only_what_fits_is_read_in_whole_lines, tail_gives_the_last_lines_and_a_cut_line_is_one,
	  since_leaves_out_what_is_older, two_files_are_kept_and_cursors_stay_good,
	  a_tail_over_two_files, a_cursor_that_nobody_gave_out_begins_with_a_whole_line)
