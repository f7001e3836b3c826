/* SPDX-License-Identifier: Apache-2.0 */
/* Unit tests with Check, speaking TAP.
 *
 *	#include "unit.h"
 *
 *	TEST(a_cursor_refuses_to_read_past_its_end)
 *	{
 *		ck_assert_uint_eq(...);
 *	}
 *
 *	UNIT_MAIN("base-cursor", a_cursor_refuses_to_read_past_its_end, ...)
 *
 * Each test runs in a process of its own, so a crash, a hang or a leak is pinned to it.
 * UNIT_ONLY=<name> in the environment runs that test alone, UNIT_NO_FORK=1 runs them in
 * this process for a debugger. */
#ifndef TESTS_UNIT_H
#define TESTS_UNIT_H

#include <check.h>
#include <stddef.h>

#define TEST(name) START_TEST(name)

/* Returns the exit status for main. TIMEOUT_S is for each test; 0 means 30 s, which
 * only a test that hangs needs, also under a sanitizer on a busy machine. */
int unit_run(const char *suite_name, const TTest *const *tests, size_t n_tests, double timeout_s);

#define UNIT_MAIN_TIMEOUT(suite_name, timeout_s, ...)                                            \
	int main(void)                                                                           \
	{                                                                                        \
		const TTest *const tests[] = { __VA_ARGS__ };                                    \
                                                                                                 \
		return unit_run(suite_name, tests, sizeof(tests) / sizeof(tests[0]), timeout_s); \
	}

#define UNIT_MAIN(suite_name, ...) UNIT_MAIN_TIMEOUT(suite_name, 0, __VA_ARGS__)

#endif
