/* SPDX-License-Identifier: Apache-2.0 */
#include "container/values.h"

#include "unit.h"

TEST(proportions_of_weights_stay_in_v1)
{
	ck_assert_uint_eq(values_cpu_shares(100), 1024);
	ck_assert_uint_eq(values_cpu_shares(300), 3072);
	ck_assert_uint_eq(values_cpu_shares(1), 10);
	ck_assert_uint_eq(values_cpu_shares(10000), 102400);
	ck_assert_uint_eq(values_cpu_shares(0), 2);
	ck_assert_uint_eq(values_cpu_shares(1000000), 262144);
	ck_assert_uint_eq(values_blkio_weight(100), 100);
	ck_assert_uint_eq(values_blkio_weight(1), 10);
	ck_assert_uint_eq(values_blkio_weight(10000), 1000);
}

TEST(cpus_are_a_quota_and_back)
{
	ck_assert_uint_eq(values_quota_us(1500), 150000);
	ck_assert_uint_eq(values_quota_us(1), 1000);
	ck_assert_uint_eq(values_cpu_millis(150000, 100000), 1500);
	ck_assert_uint_eq(values_cpu_millis(UINT64_MAX, 100000), UINT64_MAX);
	ck_assert_uint_eq(values_cpu_millis(5, 0), UINT64_MAX);
}

TEST(no_limit_stays_none)
{
	ck_assert_uint_eq(values_memory_and_swap(4096, 8192), 12288);
	ck_assert_uint_eq(values_memory_and_swap(4096, UINT64_MAX), UINT64_MAX);
	ck_assert_uint_eq(values_memory_and_swap(UINT64_MAX, 0), UINT64_MAX);
}

TEST(a_cpu_that_is_not_there_is_found)
{
	uint32_t missing;

	ck_assert(values_cpus_within("0-1,3", "0-3\n", &missing));
	ck_assert(!values_cpus_within("0-1,3", "0-2\n", &missing));
	ck_assert_uint_eq(missing, 3);
	ck_assert(!values_cpus_within("1-0", "0-2\n", &missing));
	ck_assert_uint_eq(missing, UINT32_MAX);
	ck_assert(!values_cpus_within("", "0-2", &missing));
	ck_assert(!values_cpus_within("0,", "0-2", &missing));
	ck_assert(!values_cpus_within("0-99999", "0-2", &missing));
	ck_assert(!values_cpus_within("99999999999999999999", "0-2", &missing));
	ck_assert_uint_eq(missing, UINT32_MAX);
	ck_assert_uint_eq(values_cpus_count("0-3,7\n"), 5);
	ck_assert_uint_eq(values_cpus_count("x"), 0);
}

UNIT_MAIN("container-values", proportions_of_weights_stay_in_v1, cpus_are_a_quota_and_back,
	  no_limit_stays_none, a_cpu_that_is_not_there_is_found)
