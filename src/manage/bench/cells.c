/* SPDX-License-Identifier: Apache-2.0 */
/* The patterns, and the sizes each is measured at. */
#include "manage/bench/internal.h"

#include <string.h>

#include "manage/bench/fs/files.h"

/* clang-format off */
static const struct bench_pattern_row patterns[BENCH_PATTERNS] = {
	[BENCH_PAIR] = {
		.name = "pair",
		.title = "one client and one server, each on a CPU of its own, 64 B",
		.placement = BENCH_TWO_CPUS,
		.against = { { "x kernel", NULL }, { "x raw", "raw" } },
	},
	[BENCH_SLEEPY] = {
		.name = "sleepy",
		.title = "one client that sleeps 100 µs between calls, left to the scheduler, 64 B",
		.against = { { "x kernel", NULL }, { "x raw", "raw" } },
	},
	[BENCH_ONE_CPU] = {
		.name = "one-cpu",
		.title = "one client and one server held on one CPU, 64 B",
		.placement = BENCH_SAME_CPU,
		.against = { { "x kernel", NULL }, { "x raw", "raw" } },
	},
	[BENCH_PAIRS] = {
		.name = "pairs",
		.title = "several pairs at once, left to the scheduler, 64 B",
		.against = { { "x kernel", NULL }, { "x raw", "raw" } },
	},
	[BENCH_FAN_IN] = {
		.name = "fan-in",
		.title = "several clients of one server, left to the scheduler, 64 B",
		.against = { { "x kernel", NULL }, { "x raw", "raw" } },
	},
	[BENCH_DATA] = {
		.name = "data",
		.title = "one pair, a large request and a 64 B reply, left to the scheduler",
		.shows_mb = true,
		.against = { { "x kernel", NULL }, { "x raw", "raw" } },
	},
	[BENCH_REMOTE_RT] = {
		.name = "rt",
		.title = "clients with a server each on the other node, 64 B",
		.by_rate = true,
		.against = { { "x tcp", "tcp" }, { "x peers", NULL } },
	},
	[BENCH_REMOTE_FAN_IN] = {
		.name = "fan-in",
		.title = "several clients of one server on the other node, 64 B",
		.by_rate = true,
		.against = { { "x tcp", "tcp" }, { "x peers", NULL } },
	},
	[BENCH_REMOTE_DATA] = {
		.name = "data",
		.title = "8 large requests in flight to one server on the other node, 64 B replies",
		.shows_mb = true,
		.by_rate = true,
		.against = { { "x iperf3", "iperf3" }, { "x peers", NULL } },
	},
	[BENCH_REMOTE_MCAST] = {
		.name = "mcast",
		.title = "bind of a server's endpoint on all of 3 nodes, and one ordered multicast",
		.against = { { "x corosync", "corosync" }, { "x peers", NULL } },
	},
	[BENCH_REMOTE_DETECT] = {
		.name = "detect",
		.title = "one of 3 nodes is killed: until its endpoints are dead on the others",
		.against = { { "x corosync", "corosync" }, { "x peers", NULL } },
	},
	[BENCH_CONTAINER_EXEC] = {
		.name = "exec",
		.title = "a program that does nothing, in a container that is there",
		.against = { { "x crun", "crun" }, { "x plain", "plain" } },
	},
	[BENCH_CONTAINER_START] = {
		.name = "start",
		.title = "new containers, and one of crun alone",
		.against = { { "x crun", "crun" }, { "x peers", NULL } },
	},
	[BENCH_CONTAINER_FOOTPRINT] = {
		.name = "footprint",
		.title = "many DCs on 3 nodes: memory for each, on each node",
		.shows_memory = true,
		.against = { { "x dvsd", "dvsd" }, { "x peers", NULL } },
	},
	[BENCH_NEIGHBOUR_CPU] = {
		.name = "cpu",
		.title = "computing beside a DC that keeps all CPUs busy",
		.by_rate = true,
		.against = { { "x alone", "alone" }, { "x unlimited", "unlimited" } },
	},
	[BENCH_NEIGHBOUR_MEMORY] = {
		.name = "memory",
		.title = "using memory beside a DC that takes all it gets",
		.by_rate = true,
		.against = { { "x alone", "alone" }, { "x unlimited", "unlimited" } },
	},
	[BENCH_NEIGHBOUR_PROCESSES] = {
		.name = "processes",
		.title = "starting processes beside a DC that starts ever more",
		.by_rate = true,
		.against = { { "x alone", "alone" }, { "x unlimited", "unlimited" } },
	},
	[BENCH_NEIGHBOUR_DISK] = {
		.name = "disk",
		.title = "writing to the disk beside a DC that writes all it can",
		.by_rate = true,
		.against = { { "x alone", "alone" }, { "x unlimited", "unlimited" } },
	},
	[BENCH_DISK_SEQ_READ] = {
		.name = "seq-read",
		.title = "reads from a disk, one after the other",
		.shows_mb = true,
		.by_rate = true,
		.is_of_disks = true,
		.against = { { "x nbdkit", "nbdkit-memory" }, { "x iperf3", "iperf3" } },
	},
	[BENCH_DISK_SEQ_WRITE] = {
		.name = "seq-write",
		.title = "writes to a disk, one after the other",
		.shows_mb = true,
		.by_rate = true,
		.is_of_disks = true,
		.against = { { "x nbdkit", "nbdkit-memory" }, { "x peers", NULL } },
	},
	[BENCH_DISK_RAND_READ] = {
		.name = "rand-read",
		.title = "reads from a disk at random places",
		.shows_mb = true,
		.by_rate = true,
		.is_of_disks = true,
		.against = { { "x nbdkit", "nbdkit-memory" }, { "x peers", NULL } },
	},
	[BENCH_DISK_RAND_WRITE] = {
		.name = "rand-write",
		.title = "writes to a disk at random places",
		.shows_mb = true,
		.by_rate = true,
		.is_of_disks = true,
		.against = { { "x nbdkit", "nbdkit-memory" }, { "x peers", NULL } },
	},
	[BENCH_DISK_RESYNC] = {
		.name = "resync",
		.title = "a backup that was away while all of the disk was written",
		.shows_mb = true,
		.is_of_disks = true,
		.compares = true,
		.against = { { "x kernel", NULL }, { "x peers", NULL } },
		.figures = { { "compared_bytes", "compared", false }, { "sent_bytes", "sent", false } },
	},
	[BENCH_DISK_FAILOVER] = {
		.name = "failover",
		.title = "the server that has the primary is killed: the longest pause of a writer",
		.is_of_disks = true,
		.against = { { "x kernel", NULL }, { "x peers", NULL } },
		.figures = { { "detection_ns", "detection", true }, { "beyond_ns", "beyond", true } },
	},
	[BENCH_DISK_FAILOVER_NODE] = {
		.name = "failover-node",
		.title = "the node that has the primary is killed: the longest pause of a writer",
		.is_of_disks = true,
		.against = { { "x kernel", NULL }, { "x peers", NULL } },
		.figures = { { "detection_ns", "detection", true }, { "beyond_ns", "beyond", true } },
	},
	[BENCH_FILE_SEQ_READ] = {
		.name = "seq-read",
		.title = "reads from a file that the node does not have in memory, one after the other",
		.shows_mb = true,
		.by_rate = true,
		.is_of_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x iperf3", "iperf3" } },
	},
	[BENCH_FILE_SEQ_WRITE] = {
		.name = "seq-write",
		.title = "writes to a file, one after the other",
		.shows_mb = true,
		.by_rate = true,
		.is_of_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x iperf3", "iperf3" } },
	},
	[BENCH_FILE_RAND_READ] = {
		.name = "rand-read",
		.title = "reads from a file that the node does not have in memory, at random places",
		.shows_mb = true,
		.by_rate = true,
		.is_of_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x tmpfs", "tmpfs" } },
	},
	[BENCH_FILE_RAND_WRITE] = {
		.name = "rand-write",
		.title = "writes to a file at random places",
		.shows_mb = true,
		.by_rate = true,
		.is_of_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x tmpfs", "tmpfs" } },
	},
	[BENCH_FILE_READ_CACHED] = {
		.name = "read-cached",
		.title = "reads from a file that the node has in memory",
		.shows_mb = true,
		.by_rate = true,
		.is_of_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x tmpfs", "tmpfs" } },
	},
	[BENCH_FILE_CREATE] = {
		.name = "create",
		.title = "new files in a directory with others",
		.by_rate = true,
		.is_of_files = true,
		.counts_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x fuse", "dvs-fuse" } },
	},
	[BENCH_FILE_STAT] = {
		.name = "stat",
		.title = "stat of files that another one has just made",
		.by_rate = true,
		.is_of_files = true,
		.counts_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x fuse", "dvs-fuse" } },
	},
	[BENCH_FILE_STAT_CACHED] = {
		.name = "stat-cached",
		.title = "stat of files that the node knows",
		.by_rate = true,
		.is_of_files = true,
		.counts_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x tmpfs", "tmpfs" } },
	},
	[BENCH_FILE_RENAME] = {
		.name = "rename",
		.title = "files get other names",
		.by_rate = true,
		.is_of_files = true,
		.counts_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x ext4", "ext4" } },
	},
	[BENCH_FILE_UNLINK] = {
		.name = "unlink",
		.title = "files are removed",
		.by_rate = true,
		.is_of_files = true,
		.counts_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x ext4", "ext4" } },
	},
	[BENCH_FILE_SMALL] = {
		.name = "small",
		.title = "a file of 4 KiB is made, written, closed, opened, read, closed, removed",
		.by_rate = true,
		.is_of_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x ext4", "ext4" } },
	},
	[BENCH_FILE_FSYNC] = {
		.name = "fsync",
		.title = "4 KiB are appended and made durable",
		.by_rate = true,
		.is_of_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x ext4", "ext4" } },
	},
	[BENCH_FILE_READDIR] = {
		.name = "readdir",
		.title = "all names of a directory are read",
		.by_rate = true,
		.is_of_files = true,
		.counts_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x ext4", "ext4" } },
	},
	[BENCH_FILE_COPY] = {
		.name = "cp",
		.title = "a tree of small files is copied",
		.is_of_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x ext4", "ext4" } },
	},
	[BENCH_FILE_UNTAR] = {
		.name = "untar",
		.title = "an archive of sources is unpacked",
		.is_of_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x ext4", "ext4" } },
	},
	[BENCH_FILE_COMPILE] = {
		.name = "make",
		.title = "those sources are compiled",
		.is_of_files = true,
		.against = { { "x passthr.", "passthrough" }, { "x ext4", "ext4" } },
	},
	[BENCH_WEB_WARM] = {
		.name = "warm",
		.title = "files that were loaded before",
		.shows_mb = true,
		.by_rate = true,
		.is_of_files = true,
		.against = { { "x nginx", "nginx-host" }, { "x n.-open", "nginx-host-open" } },
	},
	[BENCH_WEB_COLD] = {
		.name = "cold",
		.title = "files that the web server's node does not have in memory",
		.shows_mb = true,
		.by_rate = true,
		.is_of_files = true,
		.against = { { "x iperf3", "iperf3" }, { "x mounted", "nginx-dvs" } },
	},
};
/* clang-format on */

static const struct bench_cell ipc_cells[] = {
	{ BENCH_PAIR, 1, 1, 64, true, false },	    { BENCH_SLEEPY, 1, 1, 64, true, false },
	{ BENCH_ONE_CPU, 1, 1, 64, true, false },   { BENCH_PAIRS, 2, 2, 64, false, false },
	{ BENCH_PAIRS, 4, 4, 64, false, false },    { BENCH_PAIRS, 8, 8, 64, true, false },
	{ BENCH_PAIRS, 16, 16, 64, false, false },  { BENCH_FAN_IN, 1, 1, 64, false, false },
	{ BENCH_FAN_IN, 1, 8, 64, true, false },    { BENCH_FAN_IN, 1, 64, 64, true, false },
	{ BENCH_DATA, 1, 1, 64, false, false },	    { BENCH_DATA, 1, 1, 1024, false, false },
	{ BENCH_DATA, 1, 1, 4096, true, false },    { BENCH_DATA, 1, 1, 16384, false, false },
	{ BENCH_DATA, 1, 1, 65536, true, false },   { BENCH_DATA, 1, 1, 262144, false, false },
	{ BENCH_DATA, 1, 1, 1048576, true, false },
};
_Static_assert(sizeof(ipc_cells) / sizeof(ipc_cells[0]) <= BENCH_CELLS_MAX,
	       "the cell table has its bound");

/* The first of a pattern with --clients, and none else of it then. */
static const struct bench_cell remote_cells[] = {
	{ BENCH_REMOTE_RT, 1, 1, 64, true, false },
	{ BENCH_REMOTE_RT, 8, 8, 64, true, false },
	{ BENCH_REMOTE_RT, 64, 64, 64, true, false },
	{ BENCH_REMOTE_FAN_IN, 1, 8, 64, true, false },
	{ BENCH_REMOTE_FAN_IN, 1, 64, 64, false, false },
	{ BENCH_REMOTE_DATA, 1, 8, 65536, false, false },
	{ BENCH_REMOTE_DATA, 1, 8, 1048576, true, false },
	{ BENCH_REMOTE_MCAST, 1, 1, 64, true, false },
	{ BENCH_REMOTE_DETECT, 1, 1, 64, true, false },
};
_Static_assert(sizeof(remote_cells) / sizeof(remote_cells[0]) <= BENCH_CELLS_MAX,
	       "the cell table has its bound");

const struct bench_pattern_row *bench_pattern_row(enum bench_pattern pattern)
{
	return &patterns[pattern];
}

const char *bench_pattern_name(enum bench_pattern pattern)
{
	return patterns[pattern].name;
}

bool bench_pattern_find(const struct bench_suite *suite, const char *name, size_t length,
			enum bench_pattern *pattern)
{
	for (int i = 0; i < BENCH_PATTERNS; i++) {
		if ((suite->patterns >> i & 1) && strlen(patterns[i].name) == length &&
		    memcmp(patterns[i].name, name, length) == 0) {
			*pattern = (enum bench_pattern)i;
			return true;
		}
	}
	return false;
}

const struct bench_cell *bench_ipc_cells(size_t *count)
{
	*count = sizeof(ipc_cells) / sizeof(ipc_cells[0]);
	return ipc_cells;
}

const struct bench_cell *bench_remote_cells(size_t *count)
{
	*count = sizeof(remote_cells) / sizeof(remote_cells[0]);
	return remote_cells;
}

static void bytes_label(size_t bytes, char *text, size_t text_bytes)
{
	if (bytes >= 1 << 20)
		snprintf(text, text_bytes, "%zu MiB", bytes >> 20);
	else if (bytes >= 1 << 10)
		snprintf(text, text_bytes, "%zu KiB", bytes >> 10);
	else
		snprintf(text, text_bytes, "%zu B", bytes);
}

/* Short, as it heads the column of names: "64K x16 +1 remote" is 64 KiB, depth 16, one backup. */
static void disk_label(const struct bench_cell *cell, char *text, size_t text_bytes)
{
	char backups[8] = "";
	bool is_large = cell->bytes >= 1 << 20;

	if (cell->servers > 1)
		snprintf(backups, sizeof(backups), " +%u", (cell->servers - 1) % 100);
	snprintf(text, text_bytes, "%zu%s x%u%s %s", cell->bytes >> (is_large ? 20 : 10),
		 is_large ? "M" : "K", cell->clients, backups, cell->remote ? "remote" : "local");
}

/* Of the whole disk. */
static void resync_label(const struct bench_cell *cell, char *text, size_t text_bytes)
{
	if (cell->bytes)
		snprintf(text, text_bytes, "%zu KiB changed", cell->bytes >> 10);
	else
		snprintf(text, text_bytes, "nothing changed");
}

/* "128K x4 vdd local", "1000 ram remote": who works alone is not counted. */
static void file_label(const struct bench_cell *cell, char *text, size_t text_bytes)
{
	const char *store = bench_files_store_name((enum files_store)cell->servers);
	const char *place = cell->remote ? "remote" : "local";
	bool counts_files = bench_pattern_row(cell->pattern)->counts_files;
	bool is_large = cell->bytes >= 1 << 20 && !counts_files;
	char size[16] = "", crowd[8] = "";

	if (cell->pattern < BENCH_FILE_COPY || cell->pattern > BENCH_FILE_COMPILE)
		snprintf(size, sizeof(size), "%zu%s ",
			 counts_files ? cell->bytes : cell->bytes >> (is_large ? 20 : 10),
			 counts_files ? "" :
			 is_large     ? "M" :
					"K");
	if (cell->clients > 1)
		snprintf(crowd, sizeof(crowd), "x%u ", cell->clients % 100);
	snprintf(text, text_bytes, "%s%s%s %s", size, crowd, store, place);
}

static void count_label(unsigned n, const char *what, char *text, size_t text_bytes)
{
	snprintf(text, text_bytes, "%u %s%s", n, what, n == 1 ? "" : "s");
}

const char *bench_cell_label(const struct bench_cell *cell, char *text, size_t text_bytes)
{
	switch (cell->pattern) {
	case BENCH_PAIRS:
		count_label(cell->servers, "pair", text, text_bytes);
		break;
	case BENCH_FAN_IN:
	case BENCH_REMOTE_RT:
	case BENCH_REMOTE_FAN_IN:
		count_label(cell->clients, "client", text, text_bytes);
		break;
	case BENCH_REMOTE_MCAST:
	case BENCH_REMOTE_DETECT:
		snprintf(text, text_bytes, "3 nodes");
		break;
	case BENCH_CONTAINER_EXEC:
	case BENCH_CONTAINER_START:
		count_label(cell->servers, "node", text, text_bytes);
		break;
	case BENCH_CONTAINER_FOOTPRINT:
		count_label(cell->servers, "DC", text, text_bytes);
		break;
	case BENCH_NEIGHBOUR_CPU:
	case BENCH_NEIGHBOUR_MEMORY:
	case BENCH_NEIGHBOUR_PROCESSES:
	case BENCH_NEIGHBOUR_DISK:
		snprintf(text, text_bytes, "one neighbour");
		break;
	case BENCH_DISK_SEQ_READ:
	case BENCH_DISK_SEQ_WRITE:
	case BENCH_DISK_RAND_READ:
	case BENCH_DISK_RAND_WRITE:
	case BENCH_DISK_FAILOVER:
	case BENCH_DISK_FAILOVER_NODE:
		disk_label(cell, text, text_bytes);
		break;
	case BENCH_DISK_RESYNC:
		resync_label(cell, text, text_bytes);
		break;
	case BENCH_FILE_SEQ_READ:
	case BENCH_FILE_SEQ_WRITE:
	case BENCH_FILE_RAND_READ:
	case BENCH_FILE_RAND_WRITE:
	case BENCH_FILE_READ_CACHED:
	case BENCH_FILE_CREATE:
	case BENCH_FILE_STAT:
	case BENCH_FILE_STAT_CACHED:
	case BENCH_FILE_RENAME:
	case BENCH_FILE_UNLINK:
	case BENCH_FILE_SMALL:
	case BENCH_FILE_FSYNC:
	case BENCH_FILE_READDIR:
	case BENCH_FILE_COPY:
	case BENCH_FILE_UNTAR:
	case BENCH_FILE_COMPILE:
	case BENCH_WEB_WARM:
	case BENCH_WEB_COLD:
		file_label(cell, text, text_bytes);
		break;
	case BENCH_PAIR:
	case BENCH_SLEEPY:
	case BENCH_ONE_CPU:
	case BENCH_DATA:
	case BENCH_REMOTE_DATA:
	case BENCH_PATTERNS:
		bytes_label(cell->bytes, text, text_bytes);
		break;
	}
	return text;
}
