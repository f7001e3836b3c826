/* SPDX-License-Identifier: Apache-2.0 */
/* What a container uses, read from the files of its cgroups. What cannot be read is 0, and a limit none. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "container/cgroup.h"
#include "container/values.h"

#define TEXT_BYTES 8192u
/* v1 writes "no limit" as the largest number of pages. */
#define V1_NONE UINT64_C(0x7000000000000000)

struct reading {
	const struct cgroups *all;
	const char *group;
};

static uint64_t number(const struct reading *of, const char *controller, const char *file,
		       uint64_t otherwise)
{
	char text[64];
	char *end;
	unsigned long long value;

	if (!cgroup_get(of->all, controller, of->group, file, text, sizeof(text)) ||
	    text[0] < '0' || text[0] > '9')
		return otherwise;
	value = strtoull(text, &end, 10);
	return value;
}

/* The number after KEY at the start of a line. */
static uint64_t keyed(const char *text, const char *key)
{
	size_t len = strlen(key);

	for (const char *at = text; at; at = strchr(at, '\n')) {
		at += *at == '\n';
		if (strncmp(at, key, len) == 0 && at[len] == ' ')
			return strtoull(at + len + 1, NULL, 10);
	}
	return 0;
}

static uint64_t keyed_in(const struct reading *of, const char *controller, const char *file,
			 const char *key)
{
	char text[TEXT_BYTES];

	if (!cgroup_get(of->all, controller, of->group, file, text, sizeof(text)))
		return 0;
	return keyed(text, key);
}

/* The cache of files that the kernel would give up at once is no use: other tools leave it out as well. */
static uint64_t less(uint64_t all, uint64_t part)
{
	return part < all ? all - part : 0;
}

/* The sum of what follows WORD in a text, as "254:0 Read 4096" or "254:0 rbytes=4096". */
static uint64_t sum(const char *text, const char *word)
{
	uint64_t total = 0;
	size_t len = strlen(word);

	for (const char *at = strstr(text, word); at; at = strstr(at + len, word))
		total += strtoull(at + len, NULL, 10);
	return total;
}

static void read_v1(const struct reading *of, struct container_usage *usage)
{
	char text[TEXT_BYTES];

	usage->cpu_ns = number(of, "cpuacct", "cpuacct.usage", 0);
	usage->cpu_limit_millis =
		values_cpu_millis(number(of, "cpu", "cpu.cfs_quota_us", UINT64_MAX),
				  number(of, "cpu", "cpu.cfs_period_us", 0));
	usage->throttled_ns = keyed_in(of, "cpu", "cpu.stat", "throttled_time");
	usage->memory_bytes = less(number(of, "memory", "memory.usage_in_bytes", 0),
				   keyed_in(of, "memory", "memory.stat", "total_inactive_file"));
	usage->memory_limit = number(of, "memory", "memory.limit_in_bytes", UINT64_MAX);
	if (usage->memory_limit > V1_NONE)
		usage->memory_limit = UINT64_MAX;
	usage->memory_peak = number(of, "memory", "memory.max_usage_in_bytes", 0);
	usage->oom_kills = keyed_in(of, "memory", "memory.oom_control", "oom_kill");
	if (cgroup_get(of->all, "blkio", of->group, "blkio.throttle.io_service_bytes_recursive",
		       text, sizeof(text))) {
		usage->io_read_bytes = sum(text, " Read ");
		usage->io_write_bytes = sum(text, " Write ");
	}
}

static void read_v2(const struct reading *of, struct container_usage *usage)
{
	char text[TEXT_BYTES];
	uint64_t quota, period;
	const char *at = text;

	if (cgroup_get(of->all, "cpu", of->group, "cpu.stat", text, sizeof(text))) {
		usage->cpu_ns = keyed(text, "usage_usec") * 1000;
		usage->throttled_ns = keyed(text, "throttled_usec") * 1000;
	}
	if (cgroup_get(of->all, "cpu", of->group, "cpu.max", text, sizeof(text)) &&
	    text_number(&at, &quota) && text_number(&at, &period))
		usage->cpu_limit_millis = values_cpu_millis(quota, period);
	usage->memory_bytes = less(number(of, "memory", "memory.current", 0),
				   keyed_in(of, "memory", "memory.stat", "inactive_file"));
	usage->memory_limit = number(of, "memory", "memory.max", UINT64_MAX);
	usage->memory_peak = number(of, "memory", "memory.peak", 0);
	usage->oom_kills = keyed_in(of, "memory", "memory.events", "oom_kill");
	if (cgroup_get(of->all, "io", of->group, "io.stat", text, sizeof(text))) {
		usage->io_read_bytes = sum(text, "rbytes=");
		usage->io_write_bytes = sum(text, "wbytes=");
	}
}

void usage_read(const struct cgroups *all, const char *group, struct container_usage *usage)
{
	const struct reading of = { .all = all, .group = group };

	memset(usage, 0, sizeof(*usage));
	usage->cpu_limit_millis = UINT64_MAX;
	usage->memory_limit = UINT64_MAX;
	if (all->v2)
		read_v2(&of, usage);
	else
		read_v1(&of, usage);
	usage->pids = number(&of, "pids", "pids.current", 0);
	usage->pids_limit = number(&of, "pids", "pids.max", UINT64_MAX);
	usage->frozen = cgroup_is_frozen(all, group);
}
