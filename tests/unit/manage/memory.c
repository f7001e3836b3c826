/* SPDX-License-Identifier: Apache-2.0 */
/* Every allocation of a command's description fails once: the command must say so and leave
 * nothing behind (the address sanitizer looks). */
#include <jansson.h>

#include "fake_dvk.h"
#include "run.h"

/* How many allocations still succeed. */
static size_t *allocations_left(void)
{
	static size_t left;

	return &left;
}

static void *allocate_or_fail(size_t bytes)
{
	if (*allocations_left() == 0)
		return NULL;
	*allocations_left() -= 1;
	return malloc(bytes);
}

static void add_things(void)
{
	struct fake_dc *dc = fake_add_dc("web");

	fake_add_endpoint(dc, 17, 3, "fs")->n_backups = 1;
	fake_add_endpoint(dc, 17, 3, "fs2")->kind = DVK_BACKUP;
	fake_add_endpoint(dc, 18, 1, "sh")->activity = DVK_CALLING;
}

/* Run LINE with room for N allocations; true when that was enough. */
static bool run_with(const char *line, size_t n)
{
	RESULT result = { 0 };

	*allocations_left() = n;
	fake()->next_record = 0;
	result = run(line);
	ck_assert_int_eq(fake()->n_open, 0);
	if (result.status == EXIT_DONE)
		return true;
	ck_assert_int_eq(result.status, EXIT_FAILED);
	ck_assert_contains(result.err, "out of memory");
	return false;
}

static void check_line(const char *line)
{
	size_t n = 0;

	while (!run_with(line, n)) {
		ck_assert_uint_lt(n, 10000);
		n++;
	}
	ck_assert_uint_gt(n, 0);
}

TEST(a_command_without_memory_says_so_and_leaves_nothing)
{
	static const char *const lines[] = {
		"ep ls",	  "ep ls -o json",	    "ep ls -o csv", "ep ls -q",
		"dc ls",	  "dc ls -o json",	    "inspect web",  "inspect web -o json",
		"inspect web/17", "inspect web/17 -o json", "help -o json", "version -o json",
	};

	add_things();
	json_set_alloc_funcs(allocate_or_fail, free);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		check_line(lines[i]);
}

TEST(a_trace_without_memory_says_so)
{
	static const char *const lines[] = { "trace web/17 -n 2", "trace web/17 -n 2 -o json" };

	add_things();
	fake_add_record(DVS_OK, 0, "call", 1025, 7);
	fake_add_record(DVS_OK, 0, "return", 1025, 7);
	json_set_alloc_funcs(allocate_or_fail, free);
	for (size_t i = 0; i < ARRAY_LEN(lines); i++)
		check_line(lines[i]);
}

TEST(a_dc_that_was_created_is_reported_as_such_or_the_lack_of_memory_is)
{
	RESULT result = { 0 };

	json_set_alloc_funcs(allocate_or_fail, free);
	*allocations_left() = 0;
	result = run("dc create web --no-container -o json");
	ck_assert_int_eq(result.status, EXIT_FAILED);
	ck_assert_contains(result.err, "out of memory");
}

UNIT_MAIN_TIMEOUT("manage-memory", 60, a_command_without_memory_says_so_and_leaves_nothing,
		  a_trace_without_memory_says_so,
		  a_dc_that_was_created_is_reported_as_such_or_the_lack_of_memory_is)
