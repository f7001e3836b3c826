/* SPDX-License-Identifier: Apache-2.0 */
/* dvs bench container: how long it takes to make a DC's containers and to run a program in one, beside crun alone, and what DCs cost in memory.
 *
 * crun alone is what `crun spec` describes, with a root file system of one program; the DC is one as `dvs dc create` makes it without options. */
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "manage/bench/container/commands.h"
#include "manage/bench/remote/net.h"

#define DC "bench"
#define CRUN_DIR "/run/dvs-bench"
#define CRUN_STATE "/run/dvs-bench/state"
#define COMMAND(...) .argv = { __VA_ARGS__, NULL }

enum { NODES = 3, TOKEN_BUSY_MS = 3000, EXECS = 10, DCS_MAX = 200 };

/* What the DCs of the pattern footprint have added to each program of a node, in bytes. */
struct bench_footprint {
	unsigned n_dcs;
	double create_ns;
	uint64_t before[BENCH_FOOTPRINT_PROGRAMS];
	uint64_t after[BENCH_FOOTPRINT_PROGRAMS];
};

static const char *const programs[BENCH_FOOTPRINT_PROGRAMS] = { "dvsd", "dvs-agent" };

/* ---- crun alone ---- */

static const struct bench_command crun_prepare[] = {
	{ .path = "mkdir",
	  COMMAND("mkdir", "-p", CRUN_DIR "/rootfs/bin", CRUN_DIR "/rootfs/proc",
		  CRUN_DIR "/rootfs/sys", CRUN_DIR "/rootfs/dev") },
	{ .path = "cp", COMMAND("cp", "/bin/busybox", CRUN_DIR "/rootfs/bin/sleep") },
	{ .path = "cp", COMMAND("cp", "/bin/busybox", CRUN_DIR "/rootfs/bin/true") },
	{ .path = "sh",
	  COMMAND("sh", "-ec",
		  "cd " CRUN_DIR "; rm -f config.json; crun spec; sed -i "
		  "-e 's/\"terminal\": true/\"terminal\": false/' "
		  "-e 's/^\\([[:space:]]*\\)\"sh\"/\\1\"sleep\", \"1000000\"/' config.json") },
};

static dvs_err crun_start(struct bench_lab *lab, struct bench_fault *fault)
{
	struct bench_heard heard;

	if (access("/bin/busybox", X_OK) != 0)
		return bench_fail(fault, DVS_BADSTATE,
				  "there is no /bin/busybox: install busybox-static");
	return bench_commands_run(
		lab, &(struct bench_commands){ .list = crun_prepare, .n = ARRAY_LEN(crun_prepare) },
		&heard, fault);
}

static void crun_stop(struct bench_lab *lab)
{
	static const struct bench_command clean[] = {
		{ .path = "crun",
		  COMMAND("crun", "--root", CRUN_STATE, "delete", "--force", DC),
		  .may_fail = true },
		{ .path = "rm", COMMAND("rm", "-rf", CRUN_DIR), .may_fail = true },
	};
	struct bench_heard heard;
	struct bench_fault fault;

	(void)!bench_commands_run(lab,
				  &(struct bench_commands){ .without_v2 = true,
							    .list = clean,
							    .n = ARRAY_LEN(clean) },
				  &heard, &fault);
}

/* ---- samples ---- */

static dvs_err sample_of(const struct bench_lab *lab, const struct bench_commands *commands,
			 unsigned times, struct bench_sample *sample, struct bench_fault *fault)
{
	struct bench_heard heard;
	dvs_err err = bench_commands_run(lab, commands, &heard, fault);

	if (err != DVS_OK)
		return err;
	*sample = (struct bench_sample){ .rt_ns = heard.ns / times,
					 .msg_per_s = 1e9 * times / heard.ns };
	return DVS_OK;
}

static dvs_err measure_crun(struct bench_lab *lab, const struct bench_system *system,
			    const struct bench_cell *cell, const struct bench_options *options,
			    struct bench_sample *sample, struct bench_fault *fault)
{
	bool exec = cell->pattern == BENCH_CONTAINER_EXEC;
	const struct bench_command list[] = {
		{ .path = "crun",
		  COMMAND("crun", "--root", CRUN_STATE, "run", "--detach", "--bundle", CRUN_DIR,
			  DC),
		  .timed = !exec },
		{ .path = "crun",
		  COMMAND("crun", "--root", CRUN_STATE, "exec", DC, "true"),
		  .times = EXECS,
		  .timed = true },
		{ .path = "crun", COMMAND("crun", "--root", CRUN_STATE, "delete", "--force", DC) },
	};
	/* Without the exec when the start is measured. */
	const struct bench_command start[] = { list[0], list[2] };

	(void)system;
	(void)options;
	return sample_of(lab,
			 &(struct bench_commands){ .without_v2 = true,
						   .list = exec ? list : start,
						   .n = exec ? ARRAY_LEN(list) : ARRAY_LEN(start) },
			 exec ? EXECS : 1, sample, fault);
}

static dvs_err measure_dvs(struct bench_lab *lab, const struct bench_system *system,
			   const struct bench_cell *cell, const struct bench_options *options,
			   struct bench_sample *sample, struct bench_fault *fault)
{
	bool exec = cell->pattern == BENCH_CONTAINER_EXEC;
	const char *nodes = cell->servers == 1 ? "0" : "0,1,2";
	const struct bench_command list[] = {
		{ .path = BENCH_SELF,
		  COMMAND("dvs", "dc", "create", DC, "--nodes", nodes),
		  .timed = !exec },
		{ .path = BENCH_SELF,
		  COMMAND("dvs", system->detail, DC, "true"),
		  .times = EXECS,
		  .timed = true },
		{ .path = BENCH_SELF, COMMAND("dvs", "dc", "rm", "--force", DC) },
	};
	const struct bench_command start[] = { list[0], list[2] };

	(void)options;
	return sample_of(lab,
			 &(struct bench_commands){ .list = exec ? list : start,
						   .n = exec ? ARRAY_LEN(list) : ARRAY_LEN(start) },
			 exec ? EXECS : 1, sample, fault);
}

static dvs_err measure_plain(struct bench_lab *lab, const struct bench_system *system,
			     const struct bench_cell *cell, const struct bench_options *options,
			     struct bench_sample *sample, struct bench_fault *fault)
{
	static const struct bench_command list[] = {
		{ .path = "true", COMMAND("true"), .times = EXECS, .timed = true },
	};

	(void)system;
	(void)cell;
	(void)options;
	return sample_of(lab, &(struct bench_commands){ .list = list, .n = ARRAY_LEN(list) }, EXECS,
			 sample, fault);
}

/* ---- footprint ---- */

static void memory_of_all(const struct bench_lab *lab, uint64_t bytes[BENCH_FOOTPRINT_PROGRAMS])
{
	for (unsigned i = 0; i < BENCH_FOOTPRINT_PROGRAMS; i++)
		bytes[i] = bench_net_memory_bytes(lab->net, programs[i]);
}

static dvs_err dcs_do(struct bench_lab *lab, const char *verb, unsigned n,
		      struct bench_heard *heard, struct bench_fault *fault)
{
	static const char creates[] = "i=0; while [ $i -lt $2 ]; do "
				      "\"$1\" dc create " DC "-$i --nodes all || exit 1; "
				      "i=$((i+1)); done";
	static const char removes[] = "i=0; while [ $i -lt $2 ]; do "
				      "\"$1\" dc rm --force " DC "-$i || exit 1; "
				      "i=$((i+1)); done";
	char self[PATH_MAX], count[16];
	ssize_t len = readlink(BENCH_SELF, self, sizeof(self) - 1);
	const struct bench_command list[] = {
		{ .path = "sh",
		  COMMAND("sh", "-c", verb[0] == 'c' ? creates : removes, "sh", self, count),
		  .timed = true },
	};

	self[len > 0 ? len : 0] = '\0';
	snprintf(count, sizeof(count), "%u", n);
	return bench_commands_run(lab, &(struct bench_commands){ .list = list, .n = 1 }, heard,
				  fault);
}

static void footprint_end(struct bench_lab *lab)
{
	struct bench_heard heard;
	struct bench_fault fault;

	if (!lab->footprint)
		return;
	(void)!dcs_do(lab, "remove", lab->footprint->n_dcs, &heard, &fault);
	free(lab->footprint);
	lab->footprint = NULL;
}

static dvs_err footprint_begin(struct bench_lab *lab, unsigned n_dcs, struct bench_fault *fault)
{
	struct bench_footprint *footprint = calloc(1, sizeof(*footprint));
	struct bench_heard heard;
	dvs_err err;

	if (!footprint)
		return bench_fail_errno(fault, "allocate");
	lab->footprint = footprint;
	/* The first one makes the agents start. */
	footprint->n_dcs = 1;
	err = dcs_do(lab, "create", 1, &heard, fault);
	if (err == DVS_OK)
		err = dcs_do(lab, "remove", 1, &heard, fault);
	if (err != DVS_OK)
		return err;
	memory_of_all(lab, footprint->before);
	footprint->n_dcs = n_dcs;
	err = dcs_do(lab, "create", n_dcs, &heard, fault);
	footprint->create_ns = heard.ns;
	memory_of_all(lab, footprint->after);
	return err;
}

static dvs_err measure_footprint(struct bench_lab *lab, const struct bench_system *system,
				 const struct bench_cell *cell, const struct bench_options *options,
				 struct bench_sample *sample, struct bench_fault *fault)
{
	const struct bench_footprint *footprint = lab->footprint;
	const unsigned *program = system->detail;
	double grown;

	(void)cell;
	(void)options;
	if (!footprint)
		return bench_fail(fault, DVS_BADSTATE, "there are no DCs");
	grown = (double)footprint->after[*program] - (double)footprint->before[*program];
	*sample = (struct bench_sample){
		.rt_ns = footprint->create_ns / footprint->n_dcs,
		.msg_per_s = 1e9 * footprint->n_dcs / footprint->create_ns,
		.memory_bytes = grown > 1 ? grown / footprint->n_dcs / NODES : 1,
	};
	return DVS_OK;
}

/* ---- the suite ---- */

#define STARTS (1u << BENCH_CONTAINER_EXEC | 1u << BENCH_CONTAINER_START)

static const unsigned footprint_dvsd = 0;
static const unsigned footprint_agent = 1;

static const struct bench_system dvs_run = {
	.name = "dvs-run",
	.summary = "dvs run in a DC, and dvs dc create",
	.class = BENCH_DVS,
	.patterns = STARTS,
	.detail = "run",
	.measure = measure_dvs,
};
static const struct bench_system dvs_exec = {
	.name = "dvs-exec",
	.summary = "dvs exec in a DC",
	.class = BENCH_DVS,
	.patterns = 1u << BENCH_CONTAINER_EXEC,
	.detail = "exec",
	.measure = measure_dvs,
};
static const struct bench_system crun = {
	.name = "crun",
	.summary = "crun exec and crun run alone",
	.class = BENCH_KERNEL,
	.patterns = STARTS,
	.measure = measure_crun,
	.start = crun_start,
	.stop = crun_stop,
};
static const struct bench_system plain = {
	.name = "plain",
	.summary = "the program without any container",
	.class = BENCH_LIMIT,
	.patterns = 1u << BENCH_CONTAINER_EXEC,
	.measure = measure_plain,
};
static const struct bench_system memory_dvsd = {
	.name = "dvsd",
	.summary = "memory of dvsd for each DC",
	.class = BENCH_DVS,
	.patterns = 1u << BENCH_CONTAINER_FOOTPRINT,
	.detail = &footprint_dvsd,
	.measure = measure_footprint,
};
static const struct bench_system memory_agent = {
	.name = "dvs-agent",
	.summary = "memory of the agent for each DC",
	.class = BENCH_DVS,
	.patterns = 1u << BENCH_CONTAINER_FOOTPRINT,
	.detail = &footprint_agent,
	.measure = measure_footprint,
};

static const struct bench_system *const systems[] = { &dvs_run, &dvs_exec,    &crun,
						      &plain,	&memory_dvsd, &memory_agent };

static const struct bench_cell cells[] = {
	{ BENCH_CONTAINER_EXEC, 1, 1, 64, true, false },
	{ BENCH_CONTAINER_START, 1, 1, 64, true, false },
	{ BENCH_CONTAINER_START, NODES, 1, 64, true, false },
	{ BENCH_CONTAINER_FOOTPRINT, 20, 1, 64, true, false },
	{ BENCH_CONTAINER_FOOTPRINT, DCS_MAX, 1, 64, false, false },
};

static const struct bench_system *const *container_systems(size_t *count)
{
	*count = ARRAY_LEN(systems);
	return systems;
}

static const struct bench_cell *container_cells(size_t *count)
{
	*count = ARRAY_LEN(cells);
	return cells;
}

static dvs_err container_begin(struct bench_lab *lab, const struct bench_options *options,
			       struct bench_fault *fault)
{
	(void)options;
	if (geteuid() != 0)
		return bench_fail(fault, DVS_DENIED, "containers need root");
	return bench_net_start(&(struct bench_net_setup){ .n_nodes = NODES,
							  .token_ms = TOKEN_BUSY_MS,
							  .has_keys = true },
			       &lab->net, fault);
}

static dvs_err container_cell(struct bench_lab *lab, const struct bench_options *options,
			      const struct bench_cell *cell, struct bench_fault *fault)
{
	(void)options;
	footprint_end(lab);
	return cell->pattern == BENCH_CONTAINER_FOOTPRINT ?
		       footprint_begin(lab, cell->servers, fault) :
		       DVS_OK;
}

static void container_end(struct bench_lab *lab)
{
	footprint_end(lab);
	bench_net_stop(lab->net);
	lab->net = NULL;
}

const struct bench_suite bench_suite_container = {
	.name = "container",
	.purpose = "Measure DCs with containers beside crun alone, in a lab of three nodes.",
	.usage = "",
	.quick_time = "under 60 s",
	.svg_kernel = "crun alone",
	.svg_limit = "no container",
	.patterns = STARTS | 1u << BENCH_CONTAINER_FOOTPRINT,
	.repeats_full = 9,
	.repeats_quick = 3,
	.sample_full_ms = 100,
	.sample_quick_ms = 50,
	.cells = container_cells,
	.systems = container_systems,
	.begin = container_begin,
	.end = container_end,
	.cell = container_cell,
};
