/* SPDX-License-Identifier: Apache-2.0 */
/* The systems of `dvs bench fs`: what is started for each, and where its client finds it. */
#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "manage/bench/container/commands.h"
#include "manage/bench/fs/files.h"
#include "manage/bench/remote/pull.h"

#define PATTERN(name) (UINT64_C(1) << BENCH_FILE_##name)
#define DATA_PATTERNS \
	(PATTERN(SEQ_READ) | PATTERN(SEQ_WRITE) | PATTERN(RAND_READ) | PATTERN(RAND_WRITE))
#define NAME_PATTERNS                                                                           \
	(PATTERN(CREATE) | PATTERN(STAT) | PATTERN(RENAME) | PATTERN(UNLINK) | PATTERN(SMALL) | \
	 PATTERN(FSYNC) | PATTERN(READDIR))
#define CACHED_PATTERNS (PATTERN(READ_CACHED) | PATTERN(STAT_CACHED))
#define TREE_PATTERNS (PATTERN(COPY) | PATTERN(UNTAR) | PATTERN(COMPILE))
#define ALL_PATTERNS (DATA_PATTERNS | NAME_PATTERNS | CACHED_PATTERNS | TREE_PATTERNS)

enum { READY_MS = 10000, SAMPLE_FILES = 1000 };

bool bench_file_fits(const struct bench_system *system, const struct bench_cell *cell)
{
	const struct bench_file_system *detail = system->detail;

	if (system == &bench_file_iperf3)
		return cell->remote && cell->servers == FILES_RAM &&
		       cell->bytes == BENCH_PAYLOAD_MAX_BYTES;
	return detail->is_ours || (!cell->remote && cell->servers == FILES_RAM);
}

/* %s in a target is the store. */
static const char *expand(const char *target, const struct bench_cell *cell, char *text,
			  size_t size)
{
	const char *at = strstr(target, "%s");

	if (at)
		snprintf(text, size, "%.*s%s%s", (int)(at - target), target,
			 bench_files_store_name((enum files_store)cell->servers), at + 2);
	else
		snprintf(text, size, "%s", target);
	return text;
}

static unsigned node_of(const struct bench_cell *cell)
{
	return cell->remote ? FILES_CLIENT_NODE : FILES_SERVER_NODE;
}

/* ---- samples ---- */

/* What is done with programs: how long it takes as a whole. */
static dvs_err measure_tree(const struct bench_lab *lab, const struct bench_cell *cell,
			    const char *dir, struct bench_sample *sample, struct bench_fault *fault)
{
	static const char copy[] = "cp -a " FILES_DIR "/trees/docs \"$1\"/tree";
	static const char untar[] = "mkdir \"$1\"/tree && tar -xf " FILES_DIR
				    "/trees/source.tar -C \"$1\"/tree";
	static const char compile[] = "make -s -j2 -C \"$1\"/tree/source CC=cc CFLAGS=-O0";
	const char *script = cell->pattern == BENCH_FILE_COPY  ? copy :
			     cell->pattern == BENCH_FILE_UNTAR ? untar :
								 compile;
	const struct bench_command list[] = {
		{ .path = "sh", .argv = { "sh", "-c", "rm -rf \"$1\"/tree", "sh", dir, NULL } },
		{ .path = "sh",
		  .argv = { "sh", "-c", cell->pattern == BENCH_FILE_COMPILE ? untar : "true", "sh",
			    dir, NULL } },
		{ .path = "sh", .argv = { "sh", "-c", script, "sh", dir, NULL }, .timed = true },
	};
	struct bench_heard heard = { .ns = 0 };
	dvs_err err = bench_commands_run(lab,
					 &(struct bench_commands){ .node = node_of(cell),
								   .list = list,
								   .n = ARRAY_LEN(list) },
					 &heard, fault);

	if (err)
		return err;
	*sample = (struct bench_sample){ .rt_ns = heard.ns, .msg_per_s = 1e9 / heard.ns };
	return DVS_OK;
}

static dvs_err measure(struct bench_lab *lab, const struct bench_system *system,
		       const struct bench_cell *cell, const struct bench_options *options,
		       struct bench_sample *sample, struct bench_fault *fault)
{
	const struct bench_file_system *detail = system->detail;
	bool counts_files = bench_pattern_row(cell->pattern)->counts_files;
	char target[96], maker[96], numbers[4][24];
	const struct bench_command command = {
		.path = BENCH_SELF,
		.argv = { "dvs", "bench", "work", "files", detail->way, target,
			  bench_pattern_name(cell->pattern), numbers[0], numbers[1], numbers[2],
			  numbers[3], detail->maker_way ? detail->maker_way : detail->way, maker,
			  NULL },
		.heard = true,
	};

	expand(detail->target, cell, target, sizeof(target));
	expand(detail->maker_target ? detail->maker_target : detail->target, cell, maker,
	       sizeof(maker));
	if (TREE_PATTERNS >> cell->pattern & 1)
		return measure_tree(lab, cell, target, sample, fault);
	snprintf(numbers[0], sizeof(numbers[0]), "%zu", counts_files ? (size_t)4096 : cell->bytes);
	snprintf(numbers[1], sizeof(numbers[1]), "%zu",
		 counts_files ? cell->bytes : (size_t)SAMPLE_FILES);
	snprintf(numbers[2], sizeof(numbers[2]), "%u", cell->clients);
	snprintf(numbers[3], sizeof(numbers[3]), "%u", options->sample_ms);
	return bench_command_sample(lab, node_of(cell), &command, sample, fault);
}

/* ---- ours ---- */

static const struct bench_file_system fuse = {
	.way = "dir",
	.target = FILES_DIR "/%s",
	.maker_way = "ipc",
	.maker_target = FILES_DC "/%s",
	.is_ours = true,
};
static const struct bench_file_system ipc = {
	.way = "ipc",
	.target = FILES_DC "/%s",
	.is_ours = true,
};

const struct bench_system bench_file_fuse = {
	.name = "dvs-fuse",
	.summary = "a file system of a DC, mounted by dvs-fuse on the client's node",
	.class = BENCH_DVS,
	.patterns = ALL_PATTERNS,
	.detail = &fuse,
	.measure = measure,
};
const struct bench_system bench_file_ipc = {
	.name = "dvs-ipc",
	.summary = "the same file system, asked by M3-IPC: nothing is remembered at the client",
	.class = BENCH_DVS,
	.patterns = DATA_PATTERNS | NAME_PATTERNS,
	.detail = &ipc,
	.measure = measure,
};

/* ---- others ---- */

static dvs_err passthrough_start(struct bench_lab *lab, struct bench_fault *fault)
{
	static const char *const argv[] = { BENCH_SELF,
					    "bench",
					    "work",
					    "passthrough",
					    FILES_DIR "/source",
					    FILES_DIR "/passthrough",
					    NULL };
	char said[240];
	dvs_err err = bench_files_script(lab, FILES_SERVER_NODE,
					 "mkdir -p \"$1\"/source \"$1\"/passthrough", FILES_DIR,
					 fault);

	if (!err)
		err = bench_program_start(lab, (enum bench_side)FILES_SERVER_NODE, argv,
					  &lab->files->passthrough, fault);
	if (!err)
		err = bench_program_read(lab, &lab->files->passthrough, "\n", said, sizeof(said),
					 READY_MS, fault);
	if (!err && strncmp(said, "ready", 5) != 0)
		err = bench_fail(fault, DVS_BADSTATE, "%.200s", said);
	return err;
}

static const struct bench_file_system passthrough = {
	.way = "dir",
	.target = FILES_DIR "/passthrough",
	.maker_way = "dir",
	.maker_target = FILES_DIR "/source",
};

const struct bench_system bench_file_passthrough = {
	.name = "passthrough",
	.summary = "a FUSE file system that hands all on to tmpfs, as libfuse's passthrough_ll",
	.class = BENCH_KERNEL,
	.patterns = ALL_PATTERNS,
	.detail = &passthrough,
	.measure = measure,
	.start = passthrough_start,
};

/* The loop device goes with its mount, and that with the node. */
static dvs_err ext4_start(struct bench_lab *lab, struct bench_fault *fault)
{
	static const char script[] = "command -v mkfs.ext4 >/dev/null ||"
				     " { echo mkfs.ext4 is not installed >&2; exit 1; };"
				     " cd \"$1\" && mkdir -p ext4 && truncate -s 1G ext4.img &&"
				     " mkfs.ext4 -q -F ext4.img && mount -o loop ext4.img ext4";
	dvs_err err = bench_files_script(lab, FILES_SERVER_NODE, script, FILES_DIR, fault);

	return err == DVS_IO ? DVS_BADSTATE : err;
}

static const struct bench_file_system ext4 = {
	.way = "dir",
	.target = FILES_DIR "/ext4",
};

const struct bench_system bench_file_ext4 = {
	.name = "ext4",
	.summary = "the host's ext4, on a loop device over a file in memory",
	.class = BENCH_KERNEL,
	.patterns = ALL_PATTERNS,
	.detail = &ext4,
	.measure = measure,
	.start = ext4_start,
};

static dvs_err tmpfs_start(struct bench_lab *lab, struct bench_fault *fault)
{
	return bench_files_script(lab, FILES_SERVER_NODE, "mkdir -p \"$1\"", FILES_DIR "/tmpfs",
				  fault);
}

static const struct bench_file_system tmpfs = {
	.way = "dir",
	.target = FILES_DIR "/tmpfs",
};

const struct bench_system bench_file_tmpfs = {
	.name = "tmpfs",
	.summary = "the host's file system in memory",
	.class = BENCH_LIMIT,
	.patterns = ALL_PATTERNS,
	.detail = &tmpfs,
	.measure = measure,
	.start = tmpfs_start,
};

/* ---- what the network carries ---- */

dvs_err bench_files_iperf3_start(struct bench_lab *lab, struct bench_fault *fault)
{
	return bench_pull_start(lab, FILES_SERVER_NODE, fault);
}

/* As the data of the cell go: reads to the client, writes from it. */
dvs_err bench_files_iperf3_measure(struct bench_lab *lab, const struct bench_system *system,
				   const struct bench_cell *cell,
				   const struct bench_options *options, struct bench_sample *sample,
				   struct bench_fault *fault)
{
	const struct bench_pull pull = {
		.client_node = FILES_CLIENT_NODE,
		.server_node = FILES_SERVER_NODE,
		.bytes = cell->bytes,
		.is_push = cell->pattern == BENCH_FILE_SEQ_WRITE,
		.clients = cell->clients,
		.ms = options->sample_ms,
	};

	(void)system;
	return bench_pull_measure(lab, &pull, sample, fault);
}

const struct bench_system bench_file_iperf3 = {
	.name = "iperf3",
	.summary = "one TCP stream between the nodes: what the network carries",
	.class = BENCH_LIMIT,
	.patterns = PATTERN(SEQ_READ) | PATTERN(SEQ_WRITE),
	.measure = bench_files_iperf3_measure,
	.start = bench_files_iperf3_start,
	.stop = bench_pull_stop,
};
