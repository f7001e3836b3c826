/* SPDX-License-Identifier: Apache-2.0 */
/* The table of systems of `dvs bench ipc`: a new mechanism is one file and one row here. */
#include "manage/bench/internal.h"

#include <string.h>

static const struct bench_system *const systems[] = {
	&bench_system_dvs,	   &bench_system_dvs_inplace,
	&bench_system_raw,	   &bench_system_memcpy,
	&bench_system_futex,	   &bench_system_eventfd,
	&bench_system_pipe,	   &bench_system_fifo,
	&bench_system_unix_stream, &bench_system_unix_seqpacket,
	&bench_system_mq_posix,	   &bench_system_mq_sysv,
	&bench_system_tcp,
};
_Static_assert(sizeof(systems) / sizeof(systems[0]) <= BENCH_SYSTEMS_MAX,
	       "the system table has its bound");

const struct bench_system *const *bench_ipc_systems(size_t *count)
{
	*count = sizeof(systems) / sizeof(systems[0]);
	return systems;
}

bool bench_system_find(const struct bench_suite *suite, const char *name, size_t length,
		       size_t *index)
{
	size_t count;
	const struct bench_system *const *all = suite->systems(&count);

	for (size_t i = 0; i < count; i++) {
		if (strlen(all[i]->name) == length && memcmp(all[i]->name, name, length) == 0) {
			*index = i;
			return true;
		}
	}
	return false;
}
