/* SPDX-License-Identifier: Apache-2.0 */
/* The forms of output, with values that are meant to break them. */
#include "manage/output.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "unit.h"

static const struct output_column columns[] = {
	{ "NAME", "name", false },
	{ "COUNT", "count", false },
	{ "MORE", "more", true },
};

static const struct output_shape shape = {
	.list = "things",
	.columns = columns,
	.n_columns = ARRAY_LEN(columns),
};

/* ROWS, which is freed, in the form FORMAT; the caller frees the text. */
static char *print_rows(enum output_format format, bool header, json_t *rows)
{
	char *text = NULL;
	size_t bytes;
	FILE *file = open_memstream(&text, &bytes);
	struct output output = { .file = file, .format = format, .header = header };

	ck_assert_ptr_nonnull(file);
	ck_assert(output_rows(&output, &shape, rows));
	fclose(file);
	json_decref(rows);
	return text;
}

static json_t *two_rows(void)
{
	return json_pack("[{s:s, s:i, s:b}, {s:s, s:n, s:b}]", "name", "a", "count", 12345, "more",
			 1, "name", "long-name", "count", "more", 0);
}

TEST(a_table_is_aligned_and_numbers_stand_right)
{
	AUTO_FREE char *text = print_rows(OUTPUT_TABLE, true, two_rows());

	ck_assert_str_eq(text, "NAME       COUNT\n"
			       "a          12345\n"
			       "long-name      -\n");
}

TEST(the_wide_table_has_all_columns)
{
	AUTO_FREE char *text = print_rows(OUTPUT_WIDE, false, two_rows());

	ck_assert_str_eq(text, "a          12345  yes\n"
			       "long-name      -  no\n");
}

TEST(an_empty_table_has_its_titles)
{
	AUTO_FREE char *text = print_rows(OUTPUT_TABLE, true, json_array());

	ck_assert_str_eq(text, "NAME  COUNT\n");
}

TEST(csv_quotes_what_would_break_it)
{
	json_t *rows = json_pack("[{s:s, s:i}, {s:s, s:n}]", "name", "a,\"b\"\nc", "count", -1,
				 "name", " lead", "count");
	AUTO_FREE char *text = print_rows(OUTPUT_CSV, true, rows);

	ck_assert_str_eq(text, "name,count,more\n"
			       "\"a,\"\"b\"\"\nc\",-1,\n"
			       "\" lead\",,\n");
}

TEST(json_reads_back_as_it_was)
{
	json_t *rows = json_pack("[{s:s}]", "name", "quote \" back \\ bell \a \xc3\xa9");
	AUTO_FREE char *text = print_rows(OUTPUT_JSON, true, json_incref(rows));
	json_t *document = json_loads(text, 0, NULL);

	ck_assert_ptr_nonnull(document);
	ck_assert_int_eq(json_integer_value(json_object_get(document, "schema")), OUTPUT_SCHEMA);
	ck_assert(json_equal(json_object_get(document, "things"), rows));
	json_decref(document);
	json_decref(rows);
}

TEST(a_line_of_json_is_one_line)
{
	char *text = NULL;
	size_t bytes;
	struct output output = { .file = open_memstream(&text, &bytes) };

	ck_assert(output_document(&output, json_pack("{s:s}", "a", "b\nc"), true));
	ck_assert(!output_document(&output, NULL, true));
	fclose(output.file);
	ck_assert_str_eq(text, "{\"schema\":1,\"a\":\"b\\nc\"}\n");
	free(text);
}

TEST(a_name_that_rows_share_comes_once)
{
	json_t *rows = json_pack("[{s:s}, {s:s}, {s:s}]", "name", "web/1", "name", "web/1", "name",
				 "web/2");
	AUTO_FREE char *text = print_rows(OUTPUT_NAME, true, rows);

	ck_assert_str_eq(text, "web/1\nweb/2\n");
}

TEST(hostile_names_cannot_steer_a_table)
{
	AUTO_FREE char *text = print_rows(OUTPUT_TABLE, false,
					  json_pack("[{s:s, s:i}]", "name", "\033[2J", "count", 1));

	ck_assert_str_eq(text, "\\x1b[2J  1\n");
}

TEST(lists_read_as_words_and_ranges)
{
	json_t *list = json_pack("[[i, i], [i, i]]", 0, 5, 7, 7);
	json_t *none = json_array();
	json_t *words = json_pack("[s, s]", "bind", "copy");
	AUTO_FREE char *ranges_text = output_text(list);
	AUTO_FREE char *none_text = output_text(none);
	AUTO_FREE char *words_text = output_text(words);

	ck_assert_str_eq(ranges_text, "0-5 7-7");
	ck_assert_str_eq(none_text, "none");
	ck_assert_str_eq(words_text, "bind copy");
	json_decref(list);
	json_decref(none);
	json_decref(words);
}

TEST(colours_are_for_terminals_only)
{
	FILE *file = tmpfile();

	ck_assert_ptr_nonnull(file);
	setenv("TERM", "xterm", 1);
	unsetenv("NO_COLOR");
	ck_assert(!output_wants_colour(file));
	fclose(file);
}

UNIT_MAIN("manage-output", a_table_is_aligned_and_numbers_stand_right,
	  the_wide_table_has_all_columns, an_empty_table_has_its_titles,
	  csv_quotes_what_would_break_it, json_reads_back_as_it_was, a_line_of_json_is_one_line,
	  a_name_that_rows_share_comes_once, hostile_names_cannot_steer_a_table,
	  lists_read_as_words_and_ranges, colours_are_for_terminals_only)
