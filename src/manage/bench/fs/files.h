/* SPDX-License-Identifier: Apache-2.0 */
/* The file systems of `dvs bench fs`, in a lab of three nodes: servers are on the first, the second replica of a volume is on the second, and a client is on the first (place local) or the last one (place remote). What
 * others offer is on the first node only. */
#ifndef DVS_MANAGE_BENCH_FS_FILES_H
#define DVS_MANAGE_BENCH_FS_FILES_H

#include "manage/bench/internal.h"
#include "manage/bench/remote/program.h"

enum {
	FILES_SERVER_NODE = 0,
	FILES_CLIENT_NODE = 2,
	FILES_NODES = 3,
};

#define FILES_DC "bench"
/* On each node of the lab a place of its own, in memory. */
#define FILES_DIR "/run/dvs-bench-fs"

/* bench_cell.servers of these cells. */
enum files_store {
	FILES_RAM = 1,
	FILES_FILE,
	FILES_VDD,
	FILES_MIRROR, /* a volume with two replicas */
	FILES_FAR,    /* a volume on another node than the file server */
	FILES_STORES,
};

const char *bench_files_store_name(enum files_store store);

struct bench_files {
	struct bench_program passthrough;
	unsigned made;	  /* bit n: the file system on store n is there, and mounted */
	unsigned missing; /* and cannot be made */
	bool has_trees;
};

DVS_MUST_USE dvs_err bench_files_open(struct bench_lab *lab, struct bench_fault *fault);
void bench_files_close(struct bench_lab *lab);
/* Make sure that there is a file system on STORE. */
DVS_MUST_USE dvs_err bench_files_make(struct bench_lab *lab, enum files_store store,
				      struct bench_fault *fault);
/* Make sure that there is what is copied, unpacked and compiled. */
DVS_MUST_USE dvs_err bench_files_trees(struct bench_lab *lab, struct bench_fault *fault);
/* Run a script of sh on NODE; ARGUMENT is its $1. */
DVS_MUST_USE dvs_err bench_files_script(const struct bench_lab *lab, unsigned node,
					const char *script, const char *argument,
					struct bench_fault *fault);

/* What tells the systems apart, in bench_system.detail. %s in the targets is the store. */
struct bench_file_system {
	const char *way; /* of `dvs bench work files` */
	const char *target;
	const char *maker_way; /* NULL: itself */
	const char *maker_target;
	bool is_ours; /* on all stores, and remote */
};

/* As bench_system.start and .measure: one TCP stream between the nodes of server and client, in the direction of the data. */
DVS_MUST_USE dvs_err bench_files_iperf3_start(struct bench_lab *lab, struct bench_fault *fault);
dvs_err bench_files_iperf3_measure(struct bench_lab *lab, const struct bench_system *system,
				   const struct bench_cell *cell,
				   const struct bench_options *options, struct bench_sample *sample,
				   struct bench_fault *fault);

bool bench_file_fits(const struct bench_system *system, const struct bench_cell *cell);

extern const struct bench_system bench_file_fuse;
extern const struct bench_system bench_file_ipc;
extern const struct bench_system bench_file_passthrough;
extern const struct bench_system bench_file_ext4;
extern const struct bench_system bench_file_tmpfs;
extern const struct bench_system bench_file_iperf3;

/* `dvs bench work files ...` and `dvs bench work passthrough SOURCE DIR`; ARGV[0] is "work". */
int bench_file_work_main(int argc, char **argv);
int bench_passthrough_main(int argc, char **argv);

#endif
