/* SPDX-License-Identifier: Apache-2.0 */
/* What a description says of limits, in the units of the cgroup files. */
#ifndef CONTAINER_VALUES_H
#define CONTAINER_VALUES_H

#include <stdbool.h>
#include <stdint.h>

#define VALUES_PERIOD_US UINT64_C(100000)

/* Shares of v1, 2 to 262144, where 1024 is what the weight 100 of v2 is: the proportions between containers stay. */
uint64_t values_cpu_shares(uint64_t weight);
/* Weight of the v1 controller blkio, 10 to 1000, where 100 is 100: it cannot tell more apart than that. */
uint64_t values_blkio_weight(uint64_t weight);
/* Microseconds of CPU time in each VALUES_PERIOD_US; the kernel takes none below 1000. */
uint64_t values_quota_us(uint64_t cpu_millis);
/* And back, for figures. UINT64_MAX: no limit. */
uint64_t values_cpu_millis(uint64_t quota_us, uint64_t period_us);
/* The limit on memory and swap together, as v1 and OCI have it. UINT64_MAX: none. */
uint64_t values_memory_and_swap(uint64_t memory_bytes, uint64_t swap_bytes);

/* Whether LIST ("0-1,3") names only what HAS names. *FIRST_MISSING is the first that it has not; UINT32_MAX: LIST is no such list. */
bool values_cpus_within(const char *list, const char *has, uint32_t *first_missing);
/* How many CPUs a list names; 0: it is no list. */
uint32_t values_cpus_count(const char *list);

#endif
