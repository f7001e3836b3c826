/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of `dvs bench vdd`, and the programs that serve them, in a lab of four nodes: servers are on the first, backups on the next two, and a client is on the first (place local) or the last one (place remote). */
#ifndef DVS_MANAGE_BENCH_VDD_DISKS_H
#define DVS_MANAGE_BENCH_VDD_DISKS_H

#include "manage/bench/internal.h"
#include "manage/bench/remote/program.h"

enum {
	DISKS_SERVER_NODE = 0,
	DISKS_CLIENT_NODE = 3,
	DISKS_NODES = 4,
	DISKS_REPLICAS_MAX = 3,
	DISKS_PROGRAMS_MAX = 16,
	DISKS_PORT_MEMORY = 10810,
	DISKS_PORT_FILE = 10811,
};

#define DISKS_BYTES (UINT64_C(128) << 20)
#define DISKS_BYTES_TEXT "128M"
#define DISKS_DC "bench"
/* Of those whose servers are killed: a DC has one server on a node. */
#define DISKS_TROUBLE_DC "trouble"
#define DISKS_RESYNC "trouble/resync"
#define DISKS_FAILOVER "trouble/failover"
/* On each node of the lab a place of its own, in memory. */
#define DISKS_DIR "/run/dvs-bench-vdd"

/* Patterns in which somebody is killed. */
#define BENCH_DISK_TROUBLE \
	(1u << BENCH_DISK_RESYNC | 1u << BENCH_DISK_FAILOVER | 1u << BENCH_DISK_FAILOVER_NODE)

struct bench_disks {
	struct bench_program programs[DISKS_PROGRAMS_MAX];
	size_t n_programs;
	unsigned volumes; /* bit n: that with n replicas is there */
	unsigned missing; /* and cannot be made */
	bool has_trouble_dc;
	bool has_resync;
	bool has_failover;
};

DVS_MUST_USE dvs_err bench_disks_open(struct bench_lab *lab, struct bench_fault *fault);
void bench_disks_close(struct bench_lab *lab);
/* Make sure that there is a volume with so many replicas. */
DVS_MUST_USE dvs_err bench_disks_volume(struct bench_lab *lab, unsigned replicas,
					struct bench_fault *fault);
/* The same for PATTERN, one of BENCH_DISK_TROUBLE: its volume, with replicas on the second and the third node. */
DVS_MUST_USE dvs_err bench_disks_trouble(struct bench_lab *lab, enum bench_pattern pattern,
					 struct bench_fault *fault);
/* A program that serves on NODE until the end. BADSTATE: it is not installed. */
DVS_MUST_USE dvs_err bench_disks_serve(struct bench_lab *lab, unsigned node,
				       const char *const *argv, struct bench_fault *fault);
/* Write to all of a disk, so that reads find something. */
DVS_MUST_USE dvs_err bench_disks_fill(const struct bench_lab *lab, unsigned node, const char *way,
				      const char *target, struct bench_fault *fault);
/* One sample of CELL: the client's part. */
DVS_MUST_USE dvs_err bench_disks_measure(const struct bench_lab *lab, const char *way,
					 const char *target, const struct bench_cell *cell,
					 unsigned sample_ms, struct bench_sample *sample,
					 struct bench_fault *fault);

/* One sample of such a pattern, with the volume TARGET. */
DVS_MUST_USE dvs_err bench_failover_measure(struct bench_lab *lab, const char *target,
					    const struct bench_cell *cell,
					    struct bench_sample *sample, struct bench_fault *fault);
DVS_MUST_USE dvs_err bench_resync_measure(struct bench_lab *lab, const char *target,
					  const struct bench_cell *cell,
					  struct bench_sample *sample, struct bench_fault *fault);

/* What tells the systems apart, in bench_system.detail. */
struct bench_disk_system {
	const char *way; /* of `dvs bench work disk` */
	/* For a printf() with the number of replicas; NULL: not at that place. */
	const char *local;
	const char *remote;
	unsigned replicas_min;
	unsigned replicas_max;
	size_t bytes; /* only requests of that size; 0: all */
};

bool bench_disk_fits(const struct bench_system *system, const struct bench_cell *cell);
dvs_err bench_disk_measure(struct bench_lab *lab, const struct bench_system *system,
			   const struct bench_cell *cell, const struct bench_options *options,
			   struct bench_sample *sample, struct bench_fault *fault);

extern const struct bench_system bench_disk_ipc;
extern const struct bench_system bench_disk_nbd;
extern const struct bench_system bench_disk_nbdkit_memory;
extern const struct bench_system bench_disk_nbdkit_file;
extern const struct bench_system bench_disk_quorum;
extern const struct bench_system bench_disk_raw_file;
extern const struct bench_system bench_disk_iperf3;

/* `dvs bench work disk ...`; ARGV[0] is "work". */
int bench_disk_work_main(int argc, char **argv);

#endif
