/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/compose/schema.h"

#include <string.h>

#define DC SCHEMA_DC
#define PROGRAM SCHEMA_PROGRAM
#define SERVER SCHEMA_SERVER
#define BOTH (SCHEMA_PROGRAM | SCHEMA_SERVER)
#define HEALTH SCHEMA_HEALTH
#define DISK SCHEMA_DISK
#define FILESYSTEM SCHEMA_FILESYSTEM
#define TIB (UINT64_C(1) << 40)
#define MIB (UINT64_C(1) << 20)
#define HOUR UINT64_C(3600000)

static const char *const networks[] = { "node", "none", NULL };
static const char *const seccomps[] = { "default", "unconfined", NULL };
static const char *const stores[] = { "file", "ram", "raw", "nbd", NULL };
static const char *const accesses[] = { "managers", "dc", NULL };
static const char *const media[] = { "file", "ram", "raw", "volume", NULL };
static const char *const restarts[] = { "no", "on-failure", "always", NULL };

const struct schema_row schema_rows[] = {
	{ DC, "name", NULL, SCHEMA_NAME, 1, 63, NULL, 0, true, NULL,
	  "What the DC is called: letters, digits, '-', '_' and '.'." },
	{ DC, "nodes", NULL, SCHEMA_NODES, 1, 62, NULL, 0, false, "all",
	  "Where it has a container: names or numbers of nodes, or *all* that are up and take part." },
	{ DC, "image", NULL, SCHEMA_IMAGE, 0, 0, NULL, 0, false, NULL,
	  "Its root file system is made from that image (NAME, or NAME@sha256:HEX for exactly that one); "
	  "dvs-image(1) makes one. Nodes that do not have it copy it." },
	{ DC, "root", NULL, SCHEMA_ROOT, 0, 0, NULL, 0, false, "host",
	  "Without an image: *host*, which is the node's own files, read only, with private /tmp, /run and "
	  "/dev; or the path of a directory on each node." },
	{ DC, "hostname", "hostname", SCHEMA_TEXT, 0, 0, NULL, 0, false, "the DC's name",
	  "The name that programs see." },
	{ DC, "network", "network", SCHEMA_CHOICE, 0, 0, networks, 0, false, "node",
	  "*node*: the node's own; *none*: only the loopback." },
	{ DC, "cpus", "cpus", SCHEMA_CPUS, 0, 0, NULL, 0, false, NULL,
	  "So many CPUs at most on each node, such as 1.5." },
	{ DC, "cpu_weight", "cpu_weight", SCHEMA_NUMBER, 1, 10000, NULL, 0, false, "100",
	  "Its share of the CPUs when they are short." },
	{ DC, "cpuset", "cpuset", SCHEMA_TEXT, 0, 0, NULL, 0, false, NULL,
	  "Only these CPUs of a node, such as 0-3,5." },
	{ DC, "memory", "memory", SCHEMA_BYTES, 4 * MIB, 1024 * TIB, NULL, 0, false, NULL,
	  "So much memory at most on each node, such as 256M." },
	{ DC, "swap", "swap", SCHEMA_BYTES, 0, 1024 * TIB, NULL, 0, false, NULL,
	  "So much swap beside the memory; needs *memory*." },
	{ DC, "pids", "pids", SCHEMA_NUMBER, 2, 4194304, NULL, 0, false, "4096",
	  "So many processes and threads at most on each node." },
	{ DC, "io_weight", "io_weight", SCHEMA_NUMBER, 1, 10000, NULL, 0, false, "100",
	  "Its share of the disks when they are short." },
	{ DC, "io", "io", SCHEMA_LIST, 0, 32, NULL, SCHEMA_IO, false, NULL,
	  "Limits for single disks." },
	{ SCHEMA_IO, "device", "device", SCHEMA_TEXT, 0, 0, NULL, 0, true, NULL,
	  "The disk, such as /dev/vda." },
	{ SCHEMA_IO, "read_bps", "read_bps", SCHEMA_BYTES, 1, 1024 * TIB, NULL, 0, false, NULL,
	  "Bytes read in a second, such as 10M." },
	{ SCHEMA_IO, "write_bps", "write_bps", SCHEMA_BYTES, 1, 1024 * TIB, NULL, 0, false, NULL,
	  "Bytes written in a second." },
	{ SCHEMA_IO, "read_iops", "read_iops", SCHEMA_NUMBER, 1, UINT32_MAX, NULL, 0, false, NULL,
	  "Reads in a second." },
	{ SCHEMA_IO, "write_iops", "write_iops", SCHEMA_NUMBER, 1, UINT32_MAX, NULL, 0, false, NULL,
	  "Writes in a second." },
	{ DC, "hugetlb", "hugetlb", SCHEMA_SIZES, 0, 8, NULL, 0, false, NULL,
	  "So much in huge pages of a size, such as {2MB: 0}." },
	{ DC, "devices", "devices", SCHEMA_DEVICES, 0, 32, NULL, SCHEMA_DEVICE, false, NULL,
	  "Devices of the node that are there, as PATH, PATH:ACCESS or a mapping; beside the harmless "
	  "ones such as /dev/null." },
	{ SCHEMA_DEVICE, "path", "path", SCHEMA_TEXT, 0, 0, NULL, 0, true, NULL,
	  "The device, such as /dev/fuse." },
	{ SCHEMA_DEVICE, "access", "access", SCHEMA_TEXT, 0, 0, NULL, 0, false, "rwm",
	  "Of r (read), w (write), m (make a node of it)." },
	{ DC, "capabilities", "capabilities", SCHEMA_MAPPING, 0, 0, NULL, SCHEMA_CAPABILITIES,
	  false, NULL, "What is added to and taken from the usual capabilities." },
	{ SCHEMA_CAPABILITIES, "add", "add", SCHEMA_TEXTS, 0, 82, NULL, 0, false, NULL,
	  "Names such as NET_ADMIN, or ALL." },
	{ SCHEMA_CAPABILITIES, "drop", "drop", SCHEMA_TEXTS, 0, 82, NULL, 0, false, NULL,
	  "The same; ALL leaves only those that are added." },
	{ DC, "seccomp", "seccomp", SCHEMA_CHOICE, 0, 0, seccomps, 0, false, "default",
	  "The filter of system calls; *unconfined* is none." },
	{ DC, "no_new_privs", "no_new_privs", SCHEMA_BOOL, 0, 0, NULL, 0, false, "true",
	  "Whether programs such as sudo get no more rights than who calls them." },
	{ DC | BOTH, "rlimits", "rlimits", SCHEMA_RLIMITS, 0, 16, NULL, 0, false, NULL,
	  "Limits of each process by name (nofile, nproc, core, ...): one value, or [soft, hard], of numbers and "
	  "*unlimited*." },
	{ DC, "volumes", "volumes", SCHEMA_VOLUMES, 0, 32, NULL, SCHEMA_VOLUME, false, NULL,
	  "Directories and files of the node, and file systems of the DC, that are seen in it, as SOURCE:TARGET, "
	  "SOURCE:TARGET:ro or a mapping. Programs begin when they are mounted." },
	{ SCHEMA_VOLUME, "source", "source", SCHEMA_TEXT, 0, 0, NULL, 0, true, NULL,
	  "The path on the node; or the name of a file system of the DC (see *filesystems*, dvs-fs(1)), which does not "
	  "begin with a slash." },
	{ SCHEMA_VOLUME, "target", "target", SCHEMA_TEXT, 0, 0, NULL, 0, true, NULL,
	  "The path in the DC." },
	{ SCHEMA_VOLUME, "readonly", "readonly", SCHEMA_BOOL, 0, 0, NULL, 0, false, "false",
	  "Whether nothing can be written to it." },
	{ DC, "disks", NULL, SCHEMA_DISKS, 0, 128, NULL, DISK, false, NULL,
	  "Volumes of the DC (dvs-vol(1)) by name: disks with replicas, which outlive its containers and its nodes." },
	{ DISK, "size", "bytes", SCHEMA_BYTES, 4096, 16 * TIB, NULL, 0, true, NULL,
	  "As 512M or 10G, a multiple of 4096 bytes. It grows while it is in use, and does not shrink." },
	{ DISK, "store", "store", SCHEMA_CHOICE, 0, 0, stores, 0, false, "file",
	  "Where its replicas keep what is in it: *file*, a sparse file of the node; *ram*, memory; *raw*, a block device; "
	  "*nbd*, an NBD volume of somebody else." },
	{ DISK, "replicas", "replicas", SCHEMA_NUMBER, 1, 62, NULL, 0, false, "1",
	  "On so many nodes of the DVS, those that have the fewest." },
	{ DISK, "nodes", "nodes", SCHEMA_TEXTS, 1, 62, NULL, 0, false, NULL,
	  "In place of *replicas*: the nodes, by name or number; the first one begins as the primary." },
	{ DISK, "places", "places", SCHEMA_PAIRS, 0, 62, NULL, 0, false, NULL,
	  "The file, device or NBD URI of each node: a mapping, or a list of NODE=PLACE. *raw* and *nbd* need them." },
	{ DISK, "direct", "direct", SCHEMA_BOOL, 0, 0, NULL, 0, false, "false",
	  "Whether a *file* is read and written past the page cache." },
	{ DISK, "async", "async", SCHEMA_BOOL, 0, 0, NULL, 0, false, "false",
	  "Whether writes are answered before the backups have them: what they lag behind can be lost." },
	{ DISK, "lag", "lag_bytes", SCHEMA_BYTES, 1, TIB, NULL, 0, false, "64M",
	  "By how much the backups may lag behind; needs *async*." },
	{ DISK, "resync_rate", "resync_bytes_per_s", SCHEMA_BYTES, 0, 1024 * TIB, NULL, 0, false,
	  "0",
	  "So many bytes in a second for each replica that is brought up to date, such as 100M; 0: as fast as it goes." },
	{ DISK, "access", "access", SCHEMA_CHOICE, 0, 0, accesses, 0, false, "managers",
	  "Who may read and write it: *managers* or all programs of the *dc*." },
	{ DC, "filesystems", NULL, SCHEMA_FILESYSTEMS, 0, 128, NULL, FILESYSTEM, false, NULL,
	  "File systems of the DC (dvs-fs(1)) by name: the same files on all nodes. *volumes* says where its programs see them." },
	{ FILESYSTEM, "disk", "volume", SCHEMA_TEXT, 0, 0, NULL, 0, false, NULL,
	  "The volume of the DC that it is on, as one of *disks*: with more than one replica it outlives a node." },
	{ FILESYSTEM, "size", "bytes", SCHEMA_BYTES, 16 * MIB, 16 * TIB, NULL, 0, false, NULL,
	  "As 10G, without *disk* and *device*: those are as large as they are." },
	{ FILESYSTEM, "store", "store", SCHEMA_CHOICE, 0, 0, media, 0, false,
	  "volume with *disk*, raw with *device*, else file",
	  "What it is on: *file*, a file of the node; *ram*, memory; *raw*, a block device; *volume*." },
	{ FILESYSTEM, "device", "place", SCHEMA_TEXT, 0, 0, NULL, 0, false, NULL,
	  "The block device that it is on." },
	{ FILESYSTEM, "nodes", "nodes", SCHEMA_TEXTS, 1, 62, NULL, 0, false,
	  "those of its disk, else the first one of the DC",
	  "Names or numbers of the nodes that can serve it: the first one begins, the others are backups, which only one on a *disk* can have." },
	{ FILESYSTEM, "quota", "quota_bytes", SCHEMA_BYTES, 0, 16 * TIB, NULL, 0, false, NULL,
	  "So many bytes of files at most, such as 5G; 0: as many as fit." },
	{ FILESYSTEM, "quota_files", "quota_files", SCHEMA_NUMBER, 0, INT64_MAX, NULL, 0, false,
	  NULL, "So many files at most; 0: any number." },
	{ FILESYSTEM, "access", "access", SCHEMA_CHOICE, 0, 0, accesses, 0, false, "managers",
	  "Who may ask its server: *managers*, and gateways, by which programs see it; or all programs of the *dc* as well." },
	{ DC | BOTH, "env", "env", SCHEMA_PAIRS, 0, 128, NULL, 0, false, NULL,
	  "Variables of the environment: a mapping, or a list of NAME=VALUE. Those of a program go before "
	  "those of the DC." },
	{ DC, "labels", "labels", SCHEMA_PAIRS, 0, 64, NULL, 0, false, NULL,
	  "Texts for people and tools; DVS does not read them." },
	{ DC, "programs", NULL, SCHEMA_PROGRAMS, 0, 500, NULL, SCHEMA_PROGRAM, false, NULL,
	  "What runs in it, by name." },
	{ DC, "servers", NULL, SCHEMA_PROGRAMS, 0, 500, NULL, SCHEMA_SERVER, false, NULL,
	  "Servers of the virtual operating system that run in it, by name: programs that are reached at an endpoint. The first "
	  "replica is the primary, the others are its backups." },
	{ PROGRAM, "command", "command", SCHEMA_COMMAND, 1, 512, NULL, 0, false, NULL,
	  "The program and its arguments: a list; or a text, which is split into words as a shell does it, without "
	  "expanding anything. Without it, what the image of the DC says." },
	{ SERVER, "endpoint", "server", SCHEMA_ENDPOINT, 0, 1048574, NULL, 0, true, NULL,
	  "The number of its endpoint, which it gets as DVS_ENDPOINT." },
	{ SERVER, "program", "command", SCHEMA_COMMAND, 1, 512, NULL, 0, true, NULL,
	  "The path of the server in the DC, with arguments; as *command* of a program." },
	{ BOTH, "replicas", "replicas", SCHEMA_REPLICAS, 0, 1024, NULL, 0, false, "1",
	  "How many of it run, called NAME.0, NAME.1, ...; or *each*: one on every node, called by the node's number." },
	{ BOTH, "nodes", "nodes", SCHEMA_TEXTS, 1, 64, NULL, 0, false, "all of the DC",
	  "Names or numbers of nodes where it may run." },
	{ BOTH, "workdir", "cwd", SCHEMA_TEXT, 0, 0, NULL, 0, false, "that of the image, else /",
	  "The directory in which it starts." },
	{ BOTH, "user", "user", SCHEMA_TEXT, 0, 0, NULL, 0, false,
	  "that of the image, else root of the DC",
	  "NAME, UID or UID:GID, as the DC's own files know them." },
	{ BOTH, "tty", "tty", SCHEMA_BOOL, 0, 0, NULL, 0, false, "false",
	  "Whether it gets a terminal." },
	{ BOTH, "restart", "restart", SCHEMA_CHOICE, 0, 0, restarts, 0, false, "always",
	  "When it is started again after it has ended." },
	{ BOTH, "retries", "retries", SCHEMA_NUMBER, 0, 1000000, NULL, 0, false, "0",
	  "After so many failures in a row it is given up; 0: never." },
	{ BOTH, "backoff", "backoff_ms", SCHEMA_DURATION, 1, HOUR, NULL, 0, false, "100ms",
	  "The time before it is started again, doubled with each failure in a row." },
	{ BOTH, "stop_signal", "stop_signal", SCHEMA_TEXT, 0, 0, NULL, 0, false, "TERM",
	  "The signal that asks it to end." },
	{ BOTH, "stop_grace", "stop_grace_ms", SCHEMA_DURATION, 0, HOUR, NULL, 0, false, "10s",
	  "How long it may take to end before it is killed." },
	{ BOTH, "health", "health", SCHEMA_MAPPING, 0, 0, NULL, SCHEMA_HEALTH, false, NULL,
	  "A command that tells whether it works." },
	{ HEALTH, "command", "command", SCHEMA_COMMAND, 1, 64, NULL, 0, true, NULL,
	  "Run in the DC on the same node; it works if this ends with 0." },
	{ HEALTH, "interval", "interval_ms", SCHEMA_DURATION, 100, 24 * HOUR, NULL, 0, false, "10s",
	  "The time between two checks." },
	{ HEALTH, "timeout", "timeout_ms", SCHEMA_DURATION, 10, HOUR, NULL, 0, false, "5s",
	  "A check that takes longer has failed." },
	{ HEALTH, "retries", "retries", SCHEMA_NUMBER, 1, 1000, NULL, 0, false, "3",
	  "So many failures in a row make it unhealthy, and it is started again." },
	{ HEALTH, "start", "start_ms", SCHEMA_DURATION, 0, 24 * HOUR, NULL, 0, false, "0",
	  "Failures do not count so soon after its start." },
};
const size_t schema_n_rows = sizeof(schema_rows) / sizeof(schema_rows[0]);

const struct schema_row *schema_find(enum schema_part part, const char *key)
{
	for (size_t i = 0; i < schema_n_rows; i++) {
		if ((schema_rows[i].parts & part) && strcmp(schema_rows[i].key, key) == 0)
			return &schema_rows[i];
	}
	return NULL;
}

const struct schema_row *schema_find_json(enum schema_part part, const char *json)
{
	for (size_t i = 0; i < schema_n_rows; i++) {
		if ((schema_rows[i].parts & part) && schema_rows[i].json &&
		    strcmp(schema_rows[i].json, json) == 0)
			return &schema_rows[i];
	}
	return NULL;
}

size_t schema_keys(enum schema_part part, const char **names)
{
	size_t n = 0;

	for (size_t i = 0; i < schema_n_rows && n + 1 < SCHEMA_KEYS_MAX; i++) {
		if (schema_rows[i].parts & part)
			names[n++] = schema_rows[i].key;
	}
	names[n] = NULL;
	return n;
}
