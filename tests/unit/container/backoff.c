/* SPDX-License-Identifier: Apache-2.0 */
#include "container/init/backoff.h"

#include "base/clock.h"
#include "base/compiler.h"
#include "unit.h"

#define FAILED (1u << 8)

TEST(who_is_never_to_be_started_again_is_not)
{
	struct backoff backoff = { .restart = 0, .first_ms = 10 };

	ck_assert_uint_eq(backoff_after(&backoff, FAILED, 0), BACKOFF_NEVER_MS);
}
END_TEST

TEST(on_failure_means_another_status_than_0)
{
	struct backoff backoff = { .restart = 1, .first_ms = 10 };

	ck_assert_uint_eq(backoff_after(&backoff, FAILED, 0), 10);
	ck_assert_uint_eq(backoff_after(&backoff, 9, 0), 20);
	ck_assert_uint_eq(backoff_after(&backoff, 0, 0), BACKOFF_NEVER_MS);
}
END_TEST

TEST(the_delay_doubles_up_to_a_minute)
{
	static const uint32_t wanted[] = { 700,	  1400,	 2800,	5600,  11200,
					   22400, 44800, 60000, 60000, 60000 };
	struct backoff backoff = { .restart = 2, .first_ms = 700 };

	for (size_t i = 0; i < ARRAY_LEN(wanted); i++)
		ck_assert_uint_eq(backoff_after(&backoff, 0, 0), wanted[i]);
}
END_TEST

TEST(a_first_delay_above_a_minute_is_a_minute)
{
	struct backoff backoff = { .restart = 2, .first_ms = UINT32_MAX };

	ck_assert_uint_eq(backoff_after(&backoff, 0, 0), 60000);
	ck_assert_uint_eq(backoff_after(&backoff, 0, 0), 60000);
}
END_TEST

TEST(no_delay_is_one_that_grows_all_the_same)
{
	struct backoff backoff = { .restart = 2, .first_ms = 0 };

	ck_assert_uint_eq(backoff_after(&backoff, 0, 0), 1);
	ck_assert_uint_eq(backoff_after(&backoff, 0, 0), 2);
}
END_TEST

TEST(retries_are_counted)
{
	struct backoff backoff = { .restart = 1, .retries = 2, .first_ms = 10 };

	ck_assert_uint_eq(backoff_after(&backoff, FAILED, 0), 10);
	ck_assert_uint_eq(backoff_after(&backoff, FAILED, 0), 20);
	ck_assert_uint_eq(backoff_after(&backoff, FAILED, 0), BACKOFF_NEVER_MS);
}
END_TEST

TEST(who_ran_for_ten_seconds_and_its_delay_is_counted_anew)
{
	struct backoff backoff = { .restart = 1, .retries = 2, .first_ms = 5000 };
	uint64_t well_ns = (BACKOFF_WELL_MS + 5000) * CLOCK_NS_PER_MS;

	ck_assert_uint_eq(backoff_after(&backoff, FAILED, 0), 5000);
	ck_assert_uint_eq(backoff_after(&backoff, FAILED, well_ns), 5000);
	ck_assert_uint_eq(backoff_after(&backoff, FAILED, well_ns - CLOCK_NS_PER_MS), 10000);
	ck_assert_uint_eq(backoff_after(&backoff, FAILED, well_ns), BACKOFF_NEVER_MS);
}
END_TEST

UNIT_MAIN("container-backoff", who_is_never_to_be_started_again_is_not,
	  on_failure_means_another_status_than_0, the_delay_doubles_up_to_a_minute,
	  a_first_delay_above_a_minute_is_a_minute, no_delay_is_one_that_grows_all_the_same,
	  retries_are_counted, who_ran_for_ten_seconds_and_its_delay_is_counted_anew)
