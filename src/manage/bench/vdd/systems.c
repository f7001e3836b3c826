/* SPDX-License-Identifier: Apache-2.0 */
/* The systems of `dvs bench vdd`: what is started for each, and where its client finds it. */
#include <jansson.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "manage/bench/container/commands.h"
#include "manage/bench/remote/net.h"
#include "manage/bench/remote/pull.h"
#include "manage/bench/vdd/disks.h"

#define ALL_PATTERNS                                                                           \
	(1u << BENCH_DISK_SEQ_READ | 1u << BENCH_DISK_SEQ_WRITE | 1u << BENCH_DISK_RAND_READ | \
	 1u << BENCH_DISK_RAND_WRITE)
#define SOCKET(name) "nbd+unix:///?socket=" DISKS_DIR "/" name ".sock"
/* The lab's first node. */
#define SERVER "10.86.0.1"
#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)

/* A file, and the sockets of the servers. */
static const char image[] = DISKS_DIR "/disk.img";
static const char dvs_socket[] = DISKS_DIR "/dvs.sock";
static const char memory_socket[] = DISKS_DIR "/memory.sock";
static const char file_socket[] = DISKS_DIR "/file.sock";
static const char left_socket[] = DISKS_DIR "/left.sock";
static const char right_socket[] = DISKS_DIR "/right.sock";
static const char quorum_socket[] = DISKS_DIR "/quorum.sock";

bool bench_disk_fits(const struct bench_system *system, const struct bench_cell *cell)
{
	const struct bench_disk_system *detail = system->detail;

	return (cell->remote ? detail->remote : detail->local) &&
	       cell->servers >= detail->replicas_min && cell->servers <= detail->replicas_max &&
	       (!detail->bytes || detail->bytes == cell->bytes);
}

/* %u in a target is the number of replicas. */
static void expand(const char *target, unsigned replicas, char *text, size_t size)
{
	const char *at = strstr(target, "%u");

	if (at)
		snprintf(text, size, "%.*s%u%s", (int)(at - target), target, replicas, at + 2);
	else
		snprintf(text, size, "%s", target);
}

dvs_err bench_disk_measure(struct bench_lab *lab, const struct bench_system *system,
			   const struct bench_cell *cell, const struct bench_options *options,
			   struct bench_sample *sample, struct bench_fault *fault)
{
	const struct bench_disk_system *detail = system->detail;
	char target[160];

	if (cell->pattern == BENCH_DISK_RESYNC)
		return bench_resync_measure(lab, DISKS_RESYNC, cell, sample, fault);
	if (1u << cell->pattern & BENCH_DISK_TROUBLE)
		return bench_failover_measure(lab, DISKS_FAILOVER, cell, sample, fault);
	expand(cell->remote ? detail->remote : detail->local, cell->servers, target,
	       sizeof(target));
	return bench_disks_measure(lab, detail->way, target, cell, options->sample_ms, sample,
				   fault);
}

/* ---- ours ---- */

/* A gateway on the node of either client. */
static dvs_err nbd_start(struct bench_lab *lab, struct bench_fault *fault)
{
	static const unsigned nodes[] = { DISKS_SERVER_NODE, DISKS_CLIENT_NODE };
	char program[PATH_MAX];
	ssize_t len = readlink(BENCH_SELF, program, sizeof(program) - 16);
	char *slash;
	dvs_err err = DVS_OK;

	program[len > 0 ? len : 0] = '\0';
	slash = strrchr(program, '/');
	strcpy(slash ? slash + 1 : program, "dvs-nbd");
	if (access(program, X_OK) != 0)
		strcpy(program, "dvs-nbd");
	for (size_t i = 0; i < ARRAY_LEN(nodes) && !err; i++) {
		const char *argv[] = { program,	  "--socket", dvs_socket, "--log-level",
				       "warning", DISKS_DC,   NULL };

		err = bench_disks_serve(lab, nodes[i], argv, fault);
	}
	return err;
}

static const struct bench_disk_system ipc = {
	.way = "volume",
	.local = DISKS_DC "/r%u",
	.remote = DISKS_DC "/r%u",
	.replicas_min = 1,
	.replicas_max = DISKS_REPLICAS_MAX,
};
static const struct bench_disk_system nbd = {
	.way = "nbd",
	.local = "nbd+unix:///r%u?socket=" DISKS_DIR "/dvs.sock",
	.remote = "nbd+unix:///r%u?socket=" DISKS_DIR "/dvs.sock",
	.replicas_min = 1,
	.replicas_max = DISKS_REPLICAS_MAX,
};

const struct bench_system bench_disk_ipc = {
	.name = "dvs-ipc",
	.summary = "a volume in memory, asked by M3-IPC: an endpoint for each request under way",
	.class = BENCH_DVS,
	.patterns = ALL_PATTERNS | BENCH_DISK_TROUBLE,
	.detail = &ipc,
	.measure = bench_disk_measure,
};
const struct bench_system bench_disk_nbd = {
	.name = "dvs-nbd",
	.summary = "the same volume through dvs-nbd on the client's node, by a Unix socket",
	.class = BENCH_DVS,
	.patterns = ALL_PATTERNS,
	.detail = &nbd,
	.measure = bench_disk_measure,
	.start = nbd_start,
};

/* ---- nbdkit ---- */

static dvs_err memory_start(struct bench_lab *lab, struct bench_fault *fault)
{
	static const char *const here[] = { "nbdkit",	      "-f", "-U", memory_socket, "memory",
					    DISKS_BYTES_TEXT, NULL };
	static const char *const there[] = { "nbdkit",	       "-f", "-p", TEXT(10810), "memory",
					     DISKS_BYTES_TEXT, NULL };
	dvs_err err = bench_disks_serve(lab, DISKS_SERVER_NODE, here, fault);

	if (!err)
		err = bench_disks_serve(lab, DISKS_SERVER_NODE, there, fault);
	if (!err)
		err = bench_disks_fill(lab, DISKS_SERVER_NODE, "nbd", SOCKET("memory"), fault);
	if (!err)
		err = bench_disks_fill(lab, DISKS_CLIENT_NODE, "nbd", "nbd://" SERVER ":10810",
				       fault);
	return err;
}

static dvs_err make_image(struct bench_lab *lab, struct bench_fault *fault)
{
	static const struct bench_command make = {
		.path = "truncate",
		.argv = { "truncate", "-s", DISKS_BYTES_TEXT, image, NULL },
	};
	struct bench_heard heard;
	dvs_err err = bench_commands_run(
		lab, &(struct bench_commands){ .node = DISKS_SERVER_NODE, .list = &make, .n = 1 },
		&heard, fault);

	return err ? err : bench_disks_fill(lab, DISKS_SERVER_NODE, "file", image, fault);
}

static dvs_err file_start(struct bench_lab *lab, struct bench_fault *fault)
{
	static const char *const here[] = {
		"nbdkit", "-f", "-U", file_socket, "file", image, NULL
	};
	static const char *const there[] = {
		"nbdkit", "-f", "-p", TEXT(10811), "file", image, NULL
	};
	dvs_err err = make_image(lab, fault);

	if (!err)
		err = bench_disks_serve(lab, DISKS_SERVER_NODE, here, fault);
	return err ? err : bench_disks_serve(lab, DISKS_SERVER_NODE, there, fault);
}

static const struct bench_disk_system memory = {
	.way = "nbd",
	.local = SOCKET("memory"),
	.remote = "nbd://" SERVER ":10810",
	.replicas_min = 1,
	.replicas_max = 1,
};
static const struct bench_disk_system file = {
	.way = "nbd",
	.local = SOCKET("file"),
	.remote = "nbd://" SERVER ":10811",
	.replicas_min = 1,
	.replicas_max = 1,
};
static const struct bench_disk_system raw_file = {
	.way = "file",
	.local = DISKS_DIR "/disk.img",
	.replicas_min = 1,
	.replicas_max = 1,
};

const struct bench_system bench_disk_nbdkit_memory = {
	.name = "nbdkit-memory",
	.summary = "nbdkit's memory plugin, by a Unix socket or TCP",
	.class = BENCH_KERNEL,
	.patterns = ALL_PATTERNS,
	.detail = &memory,
	.measure = bench_disk_measure,
	.start = memory_start,
};
const struct bench_system bench_disk_nbdkit_file = {
	.name = "nbdkit-file",
	.summary = "nbdkit's file plugin on a file in memory",
	.class = BENCH_KERNEL,
	.patterns = ALL_PATTERNS,
	.detail = &file,
	.measure = bench_disk_measure,
	.start = file_start,
};
const struct bench_system bench_disk_raw_file = {
	.name = "raw-file",
	.summary = "the same file in memory, read and written without anybody between",
	.class = BENCH_LIMIT,
	.patterns = ALL_PATTERNS,
	.detail = &raw_file,
	.measure = bench_disk_measure,
	.start = make_image,
};

/* ---- a mirror of others ---- */

#define CHILD(name)                                                                                \
	"{\"driver\":\"nbd\",\"server\":{\"type\":\"unix\",\"path\":\"" DISKS_DIR "/" name ".sock" \
	"\"}}"
#define QUORUM                                                                                   \
	"json:{\"driver\":\"raw\",\"file\":{\"driver\":\"quorum\","                              \
	"\"vote-threshold\":1,\"read-pattern\":\"fifo\",\"children\":[" CHILD("left") "," CHILD( \
		"right") "]}}"

static dvs_err quorum_start(struct bench_lab *lab, struct bench_fault *fault)
{
	static const char *const left[] = { "nbdkit",	      "-f", "-U", left_socket, "memory",
					    DISKS_BYTES_TEXT, NULL };
	static const char *const right[] = { "nbdkit",	       "-f", "-U", right_socket, "memory",
					     DISKS_BYTES_TEXT, NULL };
	static const char *const mirror[] = { "qemu-nbd",    "--persistent", "--shared=16", "-k",
					      quorum_socket, QUORUM,	     NULL };
	dvs_err err = bench_disks_serve(lab, DISKS_SERVER_NODE, left, fault);

	if (!err)
		err = bench_disks_serve(lab, DISKS_SERVER_NODE, right, fault);
	/* qemu does not wait for the two: these fills do. */
	if (!err)
		err = bench_disks_fill(lab, DISKS_SERVER_NODE, "nbd", SOCKET("left"), fault);
	if (!err)
		err = bench_disks_fill(lab, DISKS_SERVER_NODE, "nbd", SOCKET("right"), fault);
	if (!err)
		err = bench_disks_serve(lab, DISKS_SERVER_NODE, mirror, fault);
	return err ? err : bench_disks_fill(lab, DISKS_SERVER_NODE, "nbd", SOCKET("quorum"), fault);
}

static const struct bench_disk_system quorum = {
	.way = "nbd",
	.local = SOCKET("quorum"),
	.replicas_min = 2,
	.replicas_max = 2,
};

const struct bench_system bench_disk_quorum = {
	.name = "qemu-quorum",
	.summary = "qemu-nbd with its quorum driver over two nbdkit memory disks of one node",
	.class = BENCH_KERNEL,
	.patterns = ALL_PATTERNS,
	.detail = &quorum,
	.measure = bench_disk_measure,
	.start = quorum_start,
};

/* ---- what the network carries ---- */

static dvs_err iperf3_start(struct bench_lab *lab, struct bench_fault *fault)
{
	return bench_pull_start(lab, DISKS_SERVER_NODE, fault);
}

static dvs_err iperf3_measure(struct bench_lab *lab, const struct bench_system *system,
			      const struct bench_cell *cell, const struct bench_options *options,
			      struct bench_sample *sample, struct bench_fault *fault)
{
	/* To the client, as the data of reads go. */
	const struct bench_pull pull = {
		.client_node = DISKS_CLIENT_NODE,
		.server_node = DISKS_SERVER_NODE,
		.bytes = cell->bytes,
		.clients = cell->clients,
		.ms = options->sample_ms,
	};

	(void)system;
	return bench_pull_measure(lab, &pull, sample, fault);
}

static const struct bench_disk_system iperf3 = {
	.way = "",
	.remote = "",
	.replicas_min = 1,
	.replicas_max = 1,
	.bytes = BENCH_PAYLOAD_MAX_BYTES,
};

const struct bench_system bench_disk_iperf3 = {
	.name = "iperf3",
	.summary = "one TCP stream to the client's node: what the network carries",
	.class = BENCH_LIMIT,
	.patterns = 1u << BENCH_DISK_SEQ_READ,
	.detail = &iperf3,
	.measure = iperf3_measure,
	.start = iperf3_start,
	.stop = bench_pull_stop,
};
