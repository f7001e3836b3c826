/* SPDX-License-Identifier: Apache-2.0 */
/* dvs bench neighbour: what a DC loses to another one on its node that takes all it can get of something: with the limits that keep them apart, and without any.
 *
 * The neighbour has the first CPU for itself (its cpuset). Limited, the greedy DC has the others, and bounds for memory, processes and the disk; unlimited, it has
 * what it takes. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "manage/bench/container/commands.h"
#include "manage/bench/remote/net.h"

#define DATA "/var/tmp/dvs-bench-data"
#define VOLUME "/var/tmp/dvs-bench-data:/data"
#define QUIET "quiet"
#define GREEDY "greedy"
#define COMMAND(...) .argv = { __VA_ARGS__, NULL }

enum { WORK_MS = 1000, DEVICE_BYTES = 64, CPUS_BYTES = 24 };

enum beside { BESIDE_NOTHING, BESIDE_LIMITED, BESIDE_UNLIMITED };

static const enum beside alone_kind = BESIDE_NOTHING;
static const enum beside limited_kind = BESIDE_LIMITED;
static const enum beside unlimited_kind = BESIDE_UNLIMITED;

/* ---- what the limits need to know ---- */

/* The whole disk under DATA, as "/dev/NAME"; false if there is none, as in memory. */
static bool find_disk(char *device, size_t room)
{
	char path[PATH_MAX], target[PATH_MAX];
	struct stat there;
	ssize_t len;
	char *name;

	if (stat("/var/tmp", &there) != 0)
		return false;
	snprintf(path, sizeof(path), "/sys/dev/block/%u:%u", major(there.st_dev),
		 minor(there.st_dev));
	len = readlink(path, target, sizeof(target) - 1);
	if (len <= 0)
		return false;
	target[len] = '\0';
	strncat(path, "/partition", sizeof(path) - strlen(path) - 1);
	name = strrchr(target, '/');
	if (name && access(path, F_OK) == 0) {
		*name = '\0';
		name = strrchr(target, '/');
	}
	if (!name)
		return false;
	snprintf(device, room, "/dev/%s", name + 1);
	return access(device, F_OK) == 0;
}

static void other_cpus(const struct bench_lab *lab, char *text, size_t room)
{
	long last = sysconf(_SC_NPROCESSORS_ONLN) - 1;

	if (lab->cpus[1] == last)
		snprintf(text, room, "%d", lab->cpus[1]);
	else
		snprintf(text, room, "%d-%ld", lab->cpus[1], last);
}

/* ---- one sample ---- */

struct places {
	char self[PATH_MAX];
	char io[DEVICE_BYTES + 32];
	char cpus[CPUS_BYTES];
	char first_cpu[CPUS_BYTES];
};

static dvs_err find_places(const struct bench_lab *lab, const struct bench_cell *cell,
			   struct places *places, struct bench_fault *fault)
{
	char device[DEVICE_BYTES];
	ssize_t len = readlink(BENCH_SELF, places->self, sizeof(places->self) - 1);

	places->self[len > 0 ? len : 0] = '\0';
	if (find_disk(device, sizeof(device)))
		snprintf(places->io, sizeof(places->io), "%s:write_bps=4194304", device);
	else if (cell->pattern == BENCH_NEIGHBOUR_DISK)
		return bench_fail(fault, DVS_BADSTATE, "/var/tmp is on no disk of its own");
	else
		places->io[0] = '\0';
	other_cpus(lab, places->cpus, sizeof(places->cpus));
	snprintf(places->first_cpu, sizeof(places->first_cpu), "%d", lab->cpus[0]);
	return DVS_OK;
}

static dvs_err start_greedy(const struct bench_lab *lab, enum beside beside,
			    const struct places *places, const char *what,
			    struct bench_fault *fault)
{
	const struct bench_command limited[] = {
		{ .path = BENCH_SELF,
		  COMMAND("dvs", "dc", "create", GREEDY, "--nodes", "0", "--volume", VOLUME,
			  "--cpuset", places->cpus, "--memory", "64M", "--swap", "0", "--pids",
			  "64", places->io[0] ? "--io" : NULL, places->io) },
	};
	const struct bench_command unlimited[] = {
		{ .path = BENCH_SELF,
		  COMMAND("dvs", "dc", "create", GREEDY, "--nodes", "0", "--volume", VOLUME) },
	};
	const struct bench_command list[] = {
		beside == BESIDE_LIMITED ? limited[0] : unlimited[0],
		{ .path = BENCH_SELF,
		  COMMAND("dvs", "run", "--detach", "--restart", "always", GREEDY, places->self,
			  "bench", "work", what, "0") },
		/* Until it has taken what it gets. */
		{ .path = "sleep", COMMAND("sleep", "1") },
	};
	struct bench_heard heard;

	return bench_commands_run(
		lab, &(struct bench_commands){ .list = list, .n = ARRAY_LEN(list) }, &heard, fault);
}

static dvs_err let_work(const struct bench_lab *lab, const struct places *places, const char *what,
			double *per_s, struct bench_fault *fault)
{
	char ms[16];
	const struct bench_command list[] = {
		{ .path = BENCH_SELF,
		  COMMAND("dvs", "run", QUIET, places->self, "bench", "work", what, ms),
		  .heard = true },
	};
	struct bench_heard heard;
	dvs_err err;

	snprintf(ms, sizeof(ms), "%d", WORK_MS);
	err = bench_commands_run(lab, &(struct bench_commands){ .list = list, .n = 1 }, &heard,
				 fault);
	if (err != DVS_OK)
		return err;
	*per_s = strtod(heard.text, NULL);
	return *per_s > 0 ? DVS_OK :
			    bench_fail(fault, DVS_IO, "the neighbour says '%.60s'", heard.text);
}

static void stop_greedy(const struct bench_lab *lab)
{
	static const struct bench_command list[] = {
		{ .path = BENCH_SELF, COMMAND("dvs", "dc", "rm", "--force", GREEDY) },
	};
	struct bench_heard heard;
	struct bench_fault fault;

	(void)!bench_commands_run(lab, &(struct bench_commands){ .list = list, .n = 1 }, &heard,
				  &fault);
}

static dvs_err measure_neighbour(struct bench_lab *lab, const struct bench_system *system,
				 const struct bench_cell *cell, const struct bench_options *options,
				 struct bench_sample *sample, struct bench_fault *fault)
{
	enum beside beside = *(const enum beside *)system->detail;
	const char *what = bench_pattern_name(cell->pattern);
	struct places places;
	double per_s = 0;
	dvs_err err = find_places(lab, cell, &places, fault);

	(void)options;
	if (err == DVS_OK && beside != BESIDE_NOTHING)
		err = start_greedy(lab, beside, &places, what, fault);
	if (err == DVS_OK)
		err = let_work(lab, &places, what, &per_s, fault);
	if (beside != BESIDE_NOTHING)
		stop_greedy(lab);
	if (err == DVS_OK)
		*sample = (struct bench_sample){ .rt_ns = 1e9 / per_s, .msg_per_s = per_s };
	return err;
}

/* ---- the suite ---- */

#define DIMENSIONS                                                  \
	(1u << BENCH_NEIGHBOUR_CPU | 1u << BENCH_NEIGHBOUR_MEMORY | \
	 1u << BENCH_NEIGHBOUR_PROCESSES | 1u << BENCH_NEIGHBOUR_DISK)

static const struct bench_system alone = {
	.name = "alone",
	.summary = "nothing else runs",
	.class = BENCH_LIMIT,
	.patterns = DIMENSIONS,
	.detail = &alone_kind,
	.measure = measure_neighbour,
};
static const struct bench_system limited = {
	.name = "limited",
	.summary = "beside a greedy DC with limits",
	.class = BENCH_DVS,
	.patterns = DIMENSIONS,
	.detail = &limited_kind,
	.measure = measure_neighbour,
};
static const struct bench_system unlimited = {
	.name = "unlimited",
	.summary = "beside a greedy DC without limits",
	.class = BENCH_KERNEL,
	.patterns = DIMENSIONS,
	.detail = &unlimited_kind,
	.measure = measure_neighbour,
};

static const struct bench_system *const systems[] = { &alone, &limited, &unlimited };

static const struct bench_cell cells[] = {
	{ BENCH_NEIGHBOUR_CPU, 1, 1, 64, true, false },
	{ BENCH_NEIGHBOUR_MEMORY, 1, 1, 64, true, false },
	{ BENCH_NEIGHBOUR_PROCESSES, 1, 1, 64, true, false },
	{ BENCH_NEIGHBOUR_DISK, 1, 1, 64, true, false },
};

static const struct bench_system *const *neighbour_systems(size_t *count)
{
	*count = ARRAY_LEN(systems);
	return systems;
}

static const struct bench_cell *neighbour_cells(size_t *count)
{
	*count = ARRAY_LEN(cells);
	return cells;
}

static void neighbour_end(struct bench_lab *lab)
{
	static const struct bench_command clean[] = {
		{ .path = "rm", COMMAND("rm", "-rf", DATA), .may_fail = true },
	};
	struct bench_heard heard;
	struct bench_fault fault;

	(void)!bench_commands_run(lab, &(struct bench_commands){ .list = clean, .n = 1 }, &heard,
				  &fault);
	bench_net_stop(lab->net);
	lab->net = NULL;
}

static dvs_err neighbour_begin(struct bench_lab *lab, const struct bench_options *options,
			       struct bench_fault *fault)
{
	char cpu[CPUS_BYTES];
	const struct bench_command list[] = {
		{ .path = "mkdir", COMMAND("mkdir", "-p", "-m", "1777", DATA) },
		{ .path = "chmod", COMMAND("chmod", "1777", DATA) },
		{ .path = BENCH_SELF,
		  COMMAND("dvs", "dc", "create", QUIET, "--nodes", "0", "--cpuset", cpu, "--volume",
			  VOLUME) },
	};
	struct bench_heard heard;
	dvs_err err;

	(void)options;
	if (geteuid() != 0)
		return bench_fail(fault, DVS_DENIED, "containers need root");
	snprintf(cpu, sizeof(cpu), "%d", lab->cpus[0]);
	err = bench_net_start(&(struct bench_net_setup){ .n_nodes = 1 }, &lab->net, fault);
	if (err != DVS_OK)
		return err;
	err = bench_commands_run(
		lab, &(struct bench_commands){ .list = list, .n = ARRAY_LEN(list) }, &heard, fault);
	if (err != DVS_OK)
		neighbour_end(lab);
	return err;
}

const struct bench_suite bench_suite_neighbour = {
	.name = "neighbour",
	.purpose = "Measure what a DC loses to a greedy one beside it, with limits and without.",
	.usage = "",
	.quick_time = "under 90 s",
	.svg_kernel = "without limits",
	.svg_limit = "alone",
	.patterns = DIMENSIONS,
	.repeats_full = 7,
	.repeats_quick = 3,
	.sample_full_ms = WORK_MS,
	.sample_quick_ms = WORK_MS,
	.cells = neighbour_cells,
	.systems = neighbour_systems,
	.begin = neighbour_begin,
	.end = neighbour_end,
};
