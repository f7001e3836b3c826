/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/vdd/disks.h"

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "manage/bench/container/commands.h"
#include "manage/bench/remote/net.h"

#define COMMAND(...) .argv = { __VA_ARGS__, NULL }

enum { TOKEN_BUSY_MS = 3000 };

static dvs_err run_on(const struct bench_lab *lab, unsigned node, const struct bench_command *list,
		      size_t n, struct bench_heard *heard, struct bench_fault *fault)
{
	return bench_commands_run(
		lab, &(struct bench_commands){ .node = node, .list = list, .n = n }, heard, fault);
}

/* bench/r1 to r3, when they are needed first: their primary is on the first node. */
dvs_err bench_disks_volume(struct bench_lab *lab, unsigned replicas, struct bench_fault *fault)
{
	static const char *const nodes[DISKS_REPLICAS_MAX] = { "0", "0,1", "0,1,2" };
	char name[32];
	const struct bench_command create = {
		.path = BENCH_SELF,
		COMMAND("dvs", "vol", "create", name, "--size", DISKS_BYTES_TEXT, "--store", "ram",
			"--progress", "none", "--nodes", nodes[replicas - 1]),
	};
	struct bench_heard heard;
	dvs_err err;

	if (lab->disks->volumes >> replicas & 1)
		return DVS_OK;
	if (lab->disks->missing >> replicas & 1)
		return bench_fail(fault, DVS_IO, "there is no volume with %u replicas", replicas);
	snprintf(name, sizeof(name), DISKS_DC "/r%u", replicas);
	err = run_on(lab, DISKS_SERVER_NODE, &create, 1, &heard, fault);
	if (!err)
		err = bench_disks_fill(lab, DISKS_SERVER_NODE, "volume", name, fault);
	if (err)
		lab->disks->missing |= 1u << replicas;
	else
		lab->disks->volumes |= 1u << replicas;
	return err;
}

dvs_err bench_disks_trouble(struct bench_lab *lab, enum bench_pattern pattern,
			    struct bench_fault *fault)
{
	static const struct bench_command dc = {
		.path = BENCH_SELF,
		COMMAND("dvs", "dc", "create", DISKS_TROUBLE_DC, "--no-container"),
	};
	static const char first[] = "1=" DISKS_DIR "/resync.img";
	static const char second[] = "2=" DISKS_DIR "/resync.img";
	/* A server that was killed finds what was in a file again. */
	static const struct bench_command resync = {
		.path = BENCH_SELF,
		COMMAND("dvs", "vol", "create", DISKS_RESYNC, "--size", DISKS_BYTES_TEXT, "--store",
			"file", "--progress", "none", "--nodes", "1,2", "--place", first, "--place",
			second),
	};
	static const struct bench_command failover = {
		.path = BENCH_SELF,
		COMMAND("dvs", "vol", "create", DISKS_FAILOVER, "--size", "16M", "--store", "ram",
			"--progress", "none", "--nodes", "1,2"),
	};
	bool is_resync = pattern == BENCH_DISK_RESYNC;
	struct bench_disks *disks = lab->disks;
	bool *is_there = is_resync ? &disks->has_resync : &disks->has_failover;
	struct bench_heard heard;
	dvs_err err = DVS_OK;

	if (!disks->has_trouble_dc)
		err = run_on(lab, DISKS_SERVER_NODE, &dc, 1, &heard, fault);
	disks->has_trouble_dc |= !err;
	if (!err && !*is_there)
		err = run_on(lab, DISKS_SERVER_NODE, is_resync ? &resync : &failover, 1, &heard,
			     fault);
	*is_there |= !err;
	return err;
}

dvs_err bench_disks_open(struct bench_lab *lab, struct bench_fault *fault)
{
	static const struct bench_command directory[] = {
		{ .path = "mkdir", COMMAND("mkdir", "-p", DISKS_DIR) },
	};
	struct bench_heard heard;
	dvs_err err;

	lab->disks = calloc(1, sizeof(*lab->disks));
	if (!lab->disks)
		return bench_fail_errno(fault, "allocate");
	/* Without filters: what stands beside it does not encrypt either. */
	err = bench_net_start(&(struct bench_net_setup){ .n_nodes = DISKS_NODES,
							 .token_ms = TOKEN_BUSY_MS },
			      &lab->net, fault);
	if (!err)
		err = bench_net_make_dc(lab->net, fault);
	for (unsigned node = 0; node < DISKS_NODES && !err; node++)
		err = run_on(lab, node, directory, ARRAY_LEN(directory), &heard, fault);
	return err;
}

void bench_disks_close(struct bench_lab *lab)
{
	for (size_t i = lab->disks ? lab->disks->n_programs : 0; i-- > 0;)
		bench_program_stop(&lab->disks->programs[i]);
	free(lab->disks);
	lab->disks = NULL;
	bench_net_stop(lab->net);
	lab->net = NULL;
}

dvs_err bench_disks_serve(struct bench_lab *lab, unsigned node, const char *const *argv,
			  struct bench_fault *fault)
{
	struct bench_disks *disks = lab->disks;
	char find[128];
	const struct bench_command look = { .path = "sh", COMMAND("sh", "-c", find) };
	struct bench_heard heard;
	dvs_err err;

	if (disks->n_programs >= DISKS_PROGRAMS_MAX)
		return bench_fail(fault, DVS_FULL, "too many programs");
	snprintf(find, sizeof(find), "command -v %.100s >/dev/null", argv[0]);
	err = run_on(lab, node, &look, 1, &heard, fault);
	if (err == DVS_WOKEN)
		return err;
	if (err)
		return bench_fail(fault, DVS_BADSTATE, "the program %s is not there: install it",
				  argv[0]);
	err = bench_program_start(lab, (enum bench_side)node, argv,
				  &disks->programs[disks->n_programs], fault);
	disks->n_programs += err ? 0 : 1;
	return err;
}

static dvs_err work(const struct bench_lab *lab, unsigned node, const char *way, const char *target,
		    const char *pattern, size_t bytes, unsigned depth, unsigned ms,
		    struct bench_heard *heard, struct bench_fault *fault)
{
	char numbers[4][24];
	const struct bench_command command = {
		.path = BENCH_SELF,
		COMMAND("dvs", "bench", "work", "disk", way, target, pattern, numbers[0],
			numbers[1], numbers[2], numbers[3]),
		.heard = true,
	};

	snprintf(numbers[0], sizeof(numbers[0]), "%zu", bytes);
	snprintf(numbers[1], sizeof(numbers[1]), "%u", depth);
	snprintf(numbers[2], sizeof(numbers[2]), "%llu", (unsigned long long)DISKS_BYTES);
	snprintf(numbers[3], sizeof(numbers[3]), "%u", ms);
	return run_on(lab, node, &command, 1, heard, fault);
}

dvs_err bench_disks_fill(const struct bench_lab *lab, unsigned node, const char *way,
			 const char *target, struct bench_fault *fault)
{
	struct bench_heard heard;

	return work(lab, node, way, target, "fill", BENCH_PAYLOAD_MAX_BYTES, 4, 0, &heard, fault);
}

dvs_err bench_disks_measure(const struct bench_lab *lab, const char *way, const char *target,
			    const struct bench_cell *cell, unsigned sample_ms,
			    struct bench_sample *sample, struct bench_fault *fault)
{
	struct bench_heard heard = { .ns = 0 };
	dvs_err err = work(lab, cell->remote ? DISKS_CLIENT_NODE : DISKS_SERVER_NODE, way, target,
			   bench_pattern_name(cell->pattern), cell->bytes, cell->clients, sample_ms,
			   &heard, fault);

	return err ? err : bench_heard_sample(&heard, sample, fault);
}
