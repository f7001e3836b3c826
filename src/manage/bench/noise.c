/* SPDX-License-Identifier: Apache-2.0 */
/* How much CPU time went to others while the benchmark ran. What was measured on a machine that does other
 * work as well says little, and nobody should have to find that out from odd figures. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "manage/bench/internal.h"

static double own_cpu_s(void)
{
	double sum_s = 0;

	for (int i = 0; i < 2; i++) {
		struct rusage used;

		if (getrusage(i ? RUSAGE_CHILDREN : RUSAGE_SELF, &used) == 0)
			sum_s += (double)(used.ru_utime.tv_sec + used.ru_stime.tv_sec) +
				 (double)(used.ru_utime.tv_usec + used.ru_stime.tv_usec) / 1e6;
	}
	return sum_s;
}

/* The columns of /proc/stat, as far as they are of interest: idle and iowait are not busy, and what comes after
 * steal (given to other guests by a hypervisor) is counted elsewhere already. */
enum { COLUMN_IDLE = 3, COLUMN_IOWAIT = 4, COLUMN_STEAL = 7 };

bool bench_noise_parse(const char *line, double ticks_per_s, double *busy_s)
{
	static const char name[] = "cpu ";
	const char *at = line + sizeof(name) - 1;
	uint64_t busy = 0;

	if (strncmp(line, name, sizeof(name) - 1) != 0)
		return false;
	for (int column = 0; column <= COLUMN_STEAL; column++) {
		char *end;
		uint64_t ticks = strtoull(at, &end, 10);

		if (end == at)
			return false;
		if (column != COLUMN_IDLE && column != COLUMN_IOWAIT)
			busy += ticks;
		at = end;
	}
	*busy_s = (double)busy / ticks_per_s;
	return true;
}

static bool machine_cpu_s(double *busy_s)
{
	AUTO_FCLOSE FILE *file = fopen("/proc/stat", "re");
	char line[256];

	return file && fgets(line, sizeof(line), file) &&
	       bench_noise_parse(line, (double)sysconf(_SC_CLK_TCK), busy_s);
}

void bench_noise_begin(struct bench_noise *noise)
{
	noise->known = machine_cpu_s(&noise->machine_s);
	noise->own_s = own_cpu_s();
	noise->begin_ns = clock_now_ns();
}

double bench_noise_cpus(const struct bench_noise *noise)
{
	double elapsed_s = (double)(clock_now_ns() - noise->begin_ns) / CLOCK_NS_PER_S;
	double machine_s, others_s;

	if (!noise->known || !machine_cpu_s(&machine_s) || elapsed_s <= 0)
		return 0;
	others_s = (machine_s - noise->machine_s) - (own_cpu_s() - noise->own_s);
	return others_s > 0 ? others_s / elapsed_s : 0;
}
