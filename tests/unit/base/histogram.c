/* SPDX-License-Identifier: Apache-2.0 */
#include "base/histogram.h"

#include "unit.h"

TEST(nothing_has_no_quantiles)
{
	struct histogram none = { .max_ns = 0 };

	histogram_add(&none, 5, 0);
	ck_assert_uint_eq(histogram_total(&none), 0);
	ck_assert_uint_eq(histogram_quantile(&none, 500), 0);
	ck_assert_uint_eq(histogram_quantile(&none, 1000), 0);
}

TEST(what_is_read_is_right_within_an_eighth_and_never_too_little)
{
	for (uint64_t ns = 1; ns < UINT64_C(500000000000); ns += ns / 3 + 1) {
		struct histogram one = { .max_ns = 0 };
		uint64_t told;

		histogram_add(&one, ns, 3);
		/* So that it is not the longest. */
		histogram_add(&one, ns * 2 + 1000, 1);
		told = histogram_quantile(&one, 500);
		ck_assert_uint_ge(told, ns);
		ck_assert_uint_le(told, ns + ns / 8 + 32);
		ck_assert_uint_eq(histogram_quantile(&one, 1000), ns * 2 + 1000);
		ck_assert_uint_eq(histogram_total(&one), 4);
	}
}

TEST(one_of_a_hundred_does_not_count_for_99_percent)
{
	struct histogram both = { .max_ns = 0 };

	histogram_add(&both, 1000, 99);
	histogram_add(&both, 1000000, 1);
	ck_assert_uint_le(histogram_quantile(&both, 990), 1125);
	ck_assert_uint_eq(histogram_quantile(&both, 991), 1000000);
	histogram_add(&both, 1000000, 1);
	ck_assert_uint_eq(histogram_quantile(&both, 990), 1000000);
}

TEST(what_takes_longer_than_any_bucket_is_the_longest)
{
	struct histogram one = { .max_ns = 0 };

	histogram_add(&one, UINT64_MAX, 1);
	ck_assert_uint_eq(histogram_quantile(&one, 500), UINT64_MAX);
	ck_assert_uint_eq(one.count[HISTOGRAM_BUCKETS - 1], 1);
}

TEST(what_came_between_two_looks_stands_alone)
{
	struct histogram now = { .max_ns = 0 };
	struct histogram before;
	struct histogram since;

	histogram_add(&now, 5000000, 7);
	before = now;
	histogram_since(&before, &now, &since);
	ck_assert_uint_eq(histogram_total(&since), 0);
	ck_assert_uint_eq(since.max_ns, 0);
	histogram_add(&now, 2000, 10);
	histogram_since(&before, &now, &since);
	ck_assert_uint_eq(histogram_total(&since), 10);
	ck_assert_uint_ge(since.max_ns, 2000);
	ck_assert_uint_le(since.max_ns, 2250);
	ck_assert_uint_eq(histogram_quantile(&since, 990), since.max_ns);
	before = now;
	histogram_add(&now, 7777777, 1);
	histogram_since(&before, &now, &since);
	ck_assert_uint_eq(since.max_ns, 7777777);
}

UNIT_MAIN("base-histogram", nothing_has_no_quantiles,
	  what_is_read_is_right_within_an_eighth_and_never_too_little,
	  one_of_a_hundred_does_not_count_for_99_percent,
	  what_takes_longer_than_any_bucket_is_the_longest,
	  what_came_between_two_looks_stands_alone)
