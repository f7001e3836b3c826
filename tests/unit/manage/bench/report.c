/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/internal.h"

#include <ctype.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "unit.h"

enum { DEPTH_MAX = 16, NAME_BYTES = 16, TEXT_BYTES = 1 << 16 };

static struct bench_result result_of(size_t cell, const struct bench_system *system, double rt_ns)
{
	size_t count;

	return (struct bench_result){
		.suite = &bench_suite_ipc,
		.cell = &bench_ipc_cells(&count)[cell],
		.system = system,
		.rt_ns = { .median = rt_ns, .min = rt_ns / 2, .max = rt_ns * 3 },
		.msg_per_s = 1e9 / rt_ns,
		.mb_per_s = 6.4e4 / rt_ns,
		.cpu = 1.25,
		.repeats = 7,
	};
}

/* What REPORT prints about RESULTS; the caller frees it. */
static char *printed(void (*report)(FILE *out, struct bench_result *results, size_t count),
		     struct bench_result *results, size_t count)
{
	char *text = calloc(1, TEXT_BYTES);
	FILE *out = text ? fmemopen(text, TEXT_BYTES, "w") : NULL;

	ck_assert_ptr_nonnull(out);
	report(out, results, count);
	ck_assert_int_eq(fclose(out), 0);
	ck_assert_uint_lt(strlen(text), TEXT_BYTES - 1);
	return text;
}

static void print_json(FILE *out, struct bench_result *results, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bench_report_json(out, &results[i]);
}

static void print_table(FILE *out, struct bench_result *results, size_t count)
{
	bench_results_sort(results, count);
	bench_report_table(out, results, count);
}

static void print_svg(FILE *out, struct bench_result *results, size_t count)
{
	bench_report_svg(out, results, count);
}

TEST(json_has_exactly_the_agreed_fields)
{
	static const char *const fields[] = { "bench",	   "pattern",	"clients",  "servers",
					      "bytes",	   "system",	"rt_ns",    "rt_ns_min",
					      "rt_ns_max", "msg_per_s", "mb_per_s", "cpu",
					      "repeats" };
	struct bench_result result = result_of(0, &bench_system_pipe, 5000);
	char *text = printed(print_json, &result, 1);
	json_t *json = json_loads(text, JSON_REJECT_DUPLICATES, NULL);

	ck_assert_ptr_nonnull(json);
	ck_assert_uint_eq(json_object_size(json), ARRAY_LEN(fields));
	for (size_t i = 0; i < ARRAY_LEN(fields); i++)
		ck_assert_ptr_nonnull(json_object_get(json, fields[i]));
	ck_assert_str_eq(json_string_value(json_object_get(json, "bench")), "ipc");
	ck_assert_str_eq(json_string_value(json_object_get(json, "pattern")), "pair");
	ck_assert_str_eq(json_string_value(json_object_get(json, "system")), "pipe");
	ck_assert_double_eq(json_number_value(json_object_get(json, "rt_ns")), 5000);
	ck_assert_double_eq(json_number_value(json_object_get(json, "rt_ns_min")), 2500);
	ck_assert_double_eq(json_number_value(json_object_get(json, "rt_ns_max")), 15000);
	ck_assert_double_eq(json_number_value(json_object_get(json, "msg_per_s")), 200000);
	ck_assert_double_eq(json_number_value(json_object_get(json, "cpu")), 1.25);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "bytes")), 64);
	ck_assert_int_eq(json_integer_value(json_object_get(json, "repeats")), 7);
	json_decref(json);
	free(text);
}

TEST(json_is_one_line_per_result)
{
	struct bench_result results[] = { result_of(0, &bench_system_pipe, 5000),
					  result_of(0, &bench_system_raw, 118) };
	char *text = printed(print_json, results, 2);
	char *end = strchr(text, '\n');

	ck_assert_ptr_nonnull(end);
	ck_assert_ptr_eq(strchr(end + 1, '\n'), text + strlen(text) - 1);
	free(text);
}

TEST(the_table_has_the_fastest_first_and_compares)
{
	struct bench_result results[] = { result_of(0, &bench_system_tcp, 10000),
					  result_of(0, &bench_system_raw, 100),
					  result_of(0, &bench_system_pipe, 5000) };
	char *text = printed(print_table, results, 3);
	const char *raw = strstr(text, "\n  raw ");
	const char *pipe = strstr(text, "\n  pipe ");
	const char *tcp = strstr(text, "\n  tcp ");

	ck_assert(raw && pipe && tcp && raw < pipe && pipe < tcp);
	/* raw: 50 times the best of the kernel; tcp: half of it, a hundredth of raw. */
	ck_assert_ptr_nonnull(strstr(raw, "       50.00        1.00\n"));
	ck_assert_ptr_nonnull(strstr(tcp, "        0.50        0.01\n"));
	free(text);
}

TEST(without_raw_there_is_nothing_to_compare_with)
{
	struct bench_result result = result_of(0, &bench_system_pipe, 5000);
	char *text = printed(print_table, &result, 1);

	ck_assert_ptr_nonnull(strstr(text, "        1.00           -\n"));
	free(text);
}

/* ---- the picture ---- */

struct tags {
	char open[DEPTH_MAX][NAME_BYTES];
	int depth;
	int seen;
};

/* Take one tag, from '<' to '>', and keep the elements that are open. */
static const char *take_tag(struct tags *tags, const char *tag)
{
	const char *end = strchr(tag, '>');
	const char *name = tag[1] == '/' ? tag + 2 : tag + 1;
	size_t length = strcspn(name, " />");

	ck_assert_ptr_nonnull(end);
	ck_assert(isalpha((unsigned char)name[0]) && length < NAME_BYTES);
	tags->seen++;
	if (tag[1] == '/') {
		ck_assert_int_gt(tags->depth, 0);
		tags->depth--;
		ck_assert_uint_eq(strlen(tags->open[tags->depth]), length);
		ck_assert_int_eq(memcmp(tags->open[tags->depth], name, length), 0);
	} else if (end[-1] != '/') {
		ck_assert_int_lt(tags->depth, DEPTH_MAX);
		memcpy(tags->open[tags->depth], name, length);
		tags->open[tags->depth++][length] = '\0';
	}
	return end + 1;
}

/* How many tags TEXT has; each that opens must close in order. */
static int well_formed_tags(const char *text)
{
	struct tags tags = { .depth = 0 };

	for (const char *at = strchr(text, '<'); at; at = strchr(at, '<')) {
		at = take_tag(&tags, at);
		ck_assert(tags.depth > 0 || at[0] == '\n');
	}
	ck_assert_int_eq(tags.depth, 0);
	return tags.seen;
}

static unsigned count_of(const char *text, const char *what)
{
	unsigned n = 0;

	for (const char *at = strstr(text, what); at; at = strstr(at + 1, what))
		n++;
	return n;
}

TEST(the_picture_is_well_formed_and_has_a_bar_for_each_result)
{
	struct bench_result results[] = { result_of(0, &bench_system_raw, 118),
					  result_of(0, &bench_system_pipe, 5000),
					  result_of(3, &bench_system_pipe, 13000),
					  result_of(11, &bench_system_memcpy, 0.5),
					  result_of(16, &bench_system_tcp, 5e9) };
	char *text = printed(print_svg, results, ARRAY_LEN(results));

	ck_assert_int_gt(well_formed_tags(text), 20);
	ck_assert_uint_eq(count_of(text, "class=\"title\""), 4);
	ck_assert_uint_eq(count_of(text, "class=\"whisker\""), 5);
	ck_assert_uint_eq(count_of(text, "width=\"-"), 0);
	ck_assert_uint_eq(count_of(text, "nan"), 0);
	ck_assert_uint_eq(count_of(text, "inf"), 0);
	free(text);
}

TEST(all_values_the_same_still_make_a_picture)
{
	struct bench_result result = result_of(0, &bench_system_pipe, 1000);
	char *text;

	result.rt_ns.min = result.rt_ns.max = result.rt_ns.median;
	text = printed(print_svg, &result, 1);
	ck_assert_int_gt(well_formed_tags(text), 5);
	ck_assert_uint_eq(count_of(text, "nan"), 0);
	free(text);
}

/* ---- numbers for people ---- */

TEST(times_have_three_digits_and_a_unit)
{
	static const struct {
		double ns;
		const char *text;
	} times[] = { { 1.5, "1.50 ns" },  { 118.2, "118 ns" },	 { 999.6, "1.00 µs" },
		      { 4400, "4.40 µs" }, { 45000, "45.0 µs" }, { 1.25e6, "1.25 ms" },
		      { 2.0e9, "2.00 s" } };

	for (size_t i = 0; i < ARRAY_LEN(times); i++) {
		char text[32];

		ck_assert_str_eq(bench_format_ns(times[i].ns, text, sizeof(text)), times[i].text);
	}
}

TEST(what_a_pattern_alone_has_is_told)
{
	const struct bench_cell cell = { BENCH_DISK_FAILOVER, 2, 4, 4096, true, true };
	struct bench_result result = result_of(0, &bench_system_pipe, 5000);
	char *json, *table;

	result.suite = &bench_suite_vdd;
	result.cell = &cell;
	result.figures[0] = 3e6;
	result.figures[1] = 2000;
	json = printed(print_json, &result, 1);
	table = printed(print_table, &result, 1);
	ck_assert_ptr_nonnull(strstr(json, ",\"detection_ns\":3000000,\"beyond_ns\":2000}"));
	ck_assert_ptr_nonnull(strstr(table, "4K x4 +1 remote"));
	ck_assert_ptr_nonnull(strstr(table, "detection       beyond"));
	ck_assert_ptr_nonnull(strstr(table, "3.00 ms      2.00 µs"));
	free(json);
	free(table);
}

TEST(rates_are_short)
{
	char text[32];

	ck_assert_str_eq(bench_format_rate(123.4, text, sizeof(text)), "123");
	ck_assert_str_eq(bench_format_rate(22000, text, sizeof(text)), "22.0 k");
	ck_assert_str_eq(bench_format_rate(8.4e6, text, sizeof(text)), "8.40 M");
}

UNIT_MAIN("bench-report", json_has_exactly_the_agreed_fields, json_is_one_line_per_result,
	  the_table_has_the_fastest_first_and_compares,
	  without_raw_there_is_nothing_to_compare_with,
	  the_picture_is_well_formed_and_has_a_bar_for_each_result,
	  all_values_the_same_still_make_a_picture, times_have_three_digits_and_a_unit,
	  what_a_pattern_alone_has_is_told, rates_are_short)
