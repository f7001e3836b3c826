/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/internal.h"

#include "unit.h"

TEST(the_median_of_an_odd_number_is_the_middle_one)
{
	double values[] = { 9, 1, 5, 2, 100 };
	struct bench_spread spread = bench_spread_of(values, 5);

	ck_assert_double_eq(spread.median, 5);
	ck_assert_double_eq(spread.min, 1);
	ck_assert_double_eq(spread.max, 100);
}

TEST(the_median_of_an_even_number_is_between_the_middle_two)
{
	double values[] = { 4, 1, 3, 2 };

	ck_assert_double_eq(bench_spread_of(values, 4).median, 2.5);
}

TEST(one_value_is_its_own_spread)
{
	double value = 7;
	struct bench_spread spread = bench_spread_of(&value, 1);

	ck_assert_double_eq(spread.median, 7);
	ck_assert_double_eq(spread.min, 7);
	ck_assert_double_eq(spread.max, 7);
}

TEST(each_figure_of_a_result_has_its_own_median)
{
	const struct bench_sample samples[] = {
		{ .rt_ns = 100, .msg_per_s = 10e6, .cpu = 0.5 },
		{ .rt_ns = 300, .msg_per_s = 2e6, .cpu = 2.0 },
		{ .rt_ns = 200, .msg_per_s = 5e6, .cpu = 1.5 },
	};
	const struct bench_cell cell = { .pattern = BENCH_DATA, 1, 1, .bytes = 1000, true };
	struct bench_result result = { .cell = &cell };

	bench_result_from_samples(&result, samples, 3);
	ck_assert_double_eq(result.rt_ns.median, 200);
	ck_assert_double_eq(result.rt_ns.min, 100);
	ck_assert_double_eq(result.rt_ns.max, 300);
	ck_assert_double_eq(result.msg_per_s, 5e6);
	ck_assert_double_eq(result.mb_per_s, 5000);
	ck_assert_double_eq(result.cpu, 1.5);
	ck_assert_uint_eq(result.repeats, 3);
}

TEST(what_a_pattern_alone_has_is_a_median_and_what_is_compared_a_rate)
{
	const struct bench_sample samples[] = {
		{ .rt_ns = 2e8, .msg_per_s = 5, .figures = { 1e8, 7 } },
		{ .rt_ns = 1e8, .msg_per_s = 10, .figures = { 3e8, 9 } },
		{ .rt_ns = 4e8, .msg_per_s = 2.5, .figures = { 2e8, 0 } },
	};
	const struct bench_cell resync = { .pattern = BENCH_DISK_RESYNC, 2, 1, .bytes = 50 };
	struct bench_result result = { .cell = &resync };

	bench_result_from_samples(&result, samples, 3);
	ck_assert_double_eq(result.figures[0], 2e8);
	ck_assert_double_eq(result.figures[1], 7);
	ck_assert_double_eq(result.mb_per_s, 1000);
}

TEST(all_that_is_not_idle_is_busy)
{
	double busy_s = 0;

	ck_assert(bench_noise_parse("cpu  100 20 30 9999 8888 4 5 6 7 8", 100, &busy_s));
	ck_assert_double_eq_tol(busy_s, 1.65, 1e-9);
}

TEST(a_machine_that_does_not_tell_is_taken_for_quiet)
{
	struct bench_noise noise = { .known = false };
	double busy_s;

	ck_assert(!bench_noise_parse("cpu 100 20", 100, &busy_s));
	ck_assert(!bench_noise_parse("", 100, &busy_s));
	ck_assert_double_eq(bench_noise_cpus(&noise), 0);
}

UNIT_MAIN("bench-stats", the_median_of_an_odd_number_is_the_middle_one,
	  the_median_of_an_even_number_is_between_the_middle_two, one_value_is_its_own_spread,
	  each_figure_of_a_result_has_its_own_median,
	  what_a_pattern_alone_has_is_a_median_and_what_is_compared_a_rate,
	  all_that_is_not_idle_is_busy, a_machine_that_does_not_tell_is_taken_for_quiet)
