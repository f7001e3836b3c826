/* SPDX-License-Identifier: Apache-2.0 */
#include "container/values.h"

#include <stdlib.h>
#include <string.h>

#define SHARES_MIN 2u
#define SHARES_MAX 262144u
#define SHARES_DEFAULT 1024u
#define WEIGHT_DEFAULT 100u
#define BLKIO_MIN 10u
#define BLKIO_MAX 1000u
#define QUOTA_MIN_US 1000u
#define CPUS_MAX 4096u

static uint64_t within(uint64_t value, uint64_t min, uint64_t max)
{
	if (value < min)
		return min;
	return value > max ? max : value;
}

uint64_t values_cpu_shares(uint64_t weight)
{
	return within(weight * SHARES_DEFAULT / WEIGHT_DEFAULT, SHARES_MIN, SHARES_MAX);
}

uint64_t values_blkio_weight(uint64_t weight)
{
	return within(weight, BLKIO_MIN, BLKIO_MAX);
}

uint64_t values_quota_us(uint64_t cpu_millis)
{
	return within(cpu_millis * (VALUES_PERIOD_US / 1000), QUOTA_MIN_US, INT64_MAX);
}

uint64_t values_cpu_millis(uint64_t quota_us, uint64_t period_us)
{
	if (quota_us == UINT64_MAX || period_us == 0)
		return UINT64_MAX;
	return quota_us * 1000 / period_us;
}

uint64_t values_memory_and_swap(uint64_t memory_bytes, uint64_t swap_bytes)
{
	if (memory_bytes == UINT64_MAX || swap_bytes > UINT64_MAX - memory_bytes)
		return UINT64_MAX;
	return memory_bytes + swap_bytes;
}

struct cpus {
	uint8_t has[CPUS_MAX / 8];
};

static bool number(const char **at, uint32_t *value)
{
	char *end;
	unsigned long read;

	if (**at < '0' || **at > '9')
		return false;
	read = strtoul(*at, &end, 10);
	*at = end;
	*value = (uint32_t)read;
	return read < CPUS_MAX;
}

static bool read_cpus(const char *list, struct cpus *cpus)
{
	memset(cpus, 0, sizeof(*cpus));
	for (;;) {
		uint32_t first, last;

		if (!number(&list, &first))
			return false;
		last = first;
		if (*list == '-') {
			list++;
			if (!number(&list, &last) || last < first)
				return false;
		}
		for (uint32_t cpu = first; cpu <= last; cpu++)
			cpus->has[cpu / 8] |= (uint8_t)(1u << cpu % 8);
		if (*list == '\n' || *list == '\0')
			return true;
		if (*list++ != ',')
			return false;
	}
}

static bool has_cpu(const struct cpus *cpus, uint32_t cpu)
{
	return cpus->has[cpu / 8] >> cpu % 8 & 1;
}

bool values_cpus_within(const char *list, const char *has, uint32_t *first_missing)
{
	struct cpus wanted, there;

	*first_missing = UINT32_MAX;
	if (!read_cpus(list, &wanted) || !read_cpus(has, &there))
		return false;
	for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++) {
		if (has_cpu(&wanted, cpu) && !has_cpu(&there, cpu)) {
			*first_missing = cpu;
			return false;
		}
	}
	return true;
}

uint32_t values_cpus_count(const char *list)
{
	struct cpus cpus;
	uint32_t n = 0;

	if (!read_cpus(list, &cpus))
		return 0;
	for (uint32_t cpu = 0; cpu < CPUS_MAX; cpu++)
		n += has_cpu(&cpus, cpu);
	return n;
}
