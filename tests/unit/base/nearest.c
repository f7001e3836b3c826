/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"

#include "unit.h"

TEST(the_nearest_name_is_found_and_far_ones_are_not_meant)
{
	static const char *const names[] = { "create", "ls", "rm", "inspect", "completion" };

	ck_assert_str_eq(nearest_word("crezte", names, 5), "create");
	ck_assert_str_eq(nearest_word("sl", names, 5), "ls");
	ck_assert_str_eq(nearest_word("inspekt", names, 5), "inspect");
	ck_assert_str_eq(nearest_word("comp", names, 5), "completion");
	ck_assert_ptr_null(nearest_word("xyzzy", names, 5));
	ck_assert_ptr_null(nearest_word("", names, 5));
	ck_assert_ptr_null(nearest_word("a-word-that-is-longer-than-any-name-is", names, 5));
}

UNIT_MAIN("base-nearest", the_nearest_name_is_found_and_far_ones_are_not_meant)
