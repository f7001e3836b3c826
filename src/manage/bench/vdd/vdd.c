/* SPDX-License-Identifier: Apache-2.0 */
/* dvs bench vdd: volumes beside other virtual disks, and what replicas cost. */
#include <unistd.h>

#include "base/compiler.h"
#include "manage/bench/vdd/disks.h"

enum { KIB = 1 << 10, MIB = 1 << 20 };

/* In a row: replicas, depth, bytes, by --quick too, remote. */
#define DISK_CELLS(pattern)                                                                       \
	{ pattern, 1, 1, 4 * KIB, true, false }, { pattern, 1, 16, 4 * KIB, true, false },        \
		{ pattern, 1, 32, 4 * KIB, false, false },                                        \
		{ pattern, 1, 1, 64 * KIB, false, false },                                        \
		{ pattern, 1, 16, 64 * KIB, true, false },                                        \
		{ pattern, 1, 32, 64 * KIB, false, false }, { pattern, 1, 1, MIB, false, false }, \
		{ pattern, 1, 8, MIB, false, false }, { pattern, 1, 1, 4 * KIB, true, true },     \
		{ pattern, 1, 16, 4 * KIB, false, true },                                         \
		{ pattern, 1, 16, 64 * KIB, true, true },                                         \
	{                                                                                         \
		pattern, 1, 8, MIB, true, true                                                    \
	}
#define MIRROR_CELLS(pattern)                                                                    \
	{ pattern, 2, 1, 4 * KIB, true, false }, { pattern, 2, 16, 4 * KIB, false, false },      \
		{ pattern, 2, 16, 64 * KIB, true, false }, { pattern, 2, 8, MIB, false, false }, \
		{ pattern, 3, 1, 4 * KIB, false, false },                                        \
	{                                                                                        \
		pattern, 3, 16, 64 * KIB, false, false                                           \
	}
#define MIRROR_REMOTE_CELLS(pattern)                                                          \
	{ pattern, 2, 1, 4 * KIB, true, true }, { pattern, 2, 16, 64 * KIB, true, true },     \
		{ pattern, 2, 8, MIB, false, true }, { pattern, 3, 1, 4 * KIB, false, true }, \
	{                                                                                     \
		pattern, 3, 16, 64 * KIB, false, true                                         \
	}

static const struct bench_cell cells[] = {
	DISK_CELLS(BENCH_DISK_SEQ_READ),
	MIRROR_CELLS(BENCH_DISK_SEQ_READ),
	DISK_CELLS(BENCH_DISK_SEQ_WRITE),
	MIRROR_CELLS(BENCH_DISK_SEQ_WRITE),
	MIRROR_REMOTE_CELLS(BENCH_DISK_SEQ_WRITE),
	DISK_CELLS(BENCH_DISK_RAND_READ),
	DISK_CELLS(BENCH_DISK_RAND_WRITE),
	MIRROR_CELLS(BENCH_DISK_RAND_WRITE),
	MIRROR_REMOTE_CELLS(BENCH_DISK_RAND_WRITE),
	/* Resync comes before there are volumes beside its own that would be brought up to date, too. */
	{ BENCH_DISK_RESYNC, 2, 1, 0, true, true },
	{ BENCH_DISK_RESYNC, 2, 1, DISKS_BYTES / 128, true, true },
	{ BENCH_DISK_FAILOVER, 2, 4, 4 * KIB, true, true },
	{ BENCH_DISK_FAILOVER_NODE, 2, 4, 4 * KIB, true, true },
};
_Static_assert(ARRAY_LEN(cells) <= BENCH_CELLS_MAX, "the cell table has its bound");

static const struct bench_system *const systems[] = {
	&bench_disk_ipc,	 &bench_disk_nbd,    &bench_disk_nbdkit_memory,
	&bench_disk_nbdkit_file, &bench_disk_quorum, &bench_disk_raw_file,
	&bench_disk_iperf3,
};

static const struct bench_system *const *vdd_systems(size_t *count)
{
	*count = ARRAY_LEN(systems);
	return systems;
}

static const struct bench_cell *vdd_cells(size_t *count)
{
	*count = ARRAY_LEN(cells);
	return cells;
}

static dvs_err vdd_begin(struct bench_lab *lab, const struct bench_options *options,
			 struct bench_fault *fault)
{
	dvs_err err;

	(void)options;
	if (geteuid() != 0)
		return bench_fail(fault, DVS_DENIED, "volumes need root");
	err = bench_disks_open(lab, fault);
	if (err)
		bench_disks_close(lab);
	return err;
}

static dvs_err vdd_cell(struct bench_lab *lab, const struct bench_options *options,
			const struct bench_cell *cell, struct bench_fault *fault)
{
	(void)options;
	if (1u << cell->pattern & BENCH_DISK_TROUBLE)
		return bench_disks_trouble(lab, cell->pattern, fault);
	return bench_disks_volume(lab, cell->servers, fault);
}

const struct bench_suite bench_suite_vdd = {
	.name = "vdd",
	.purpose = "Measure volumes beside other virtual disks, in a lab of four nodes.",
	.usage = "",
	.quick_time = "about 3 minutes",
	.svg_kernel = "other disks",
	.svg_limit = "a file, the network",
	.patterns = 1u << BENCH_DISK_SEQ_READ | 1u << BENCH_DISK_SEQ_WRITE |
		    1u << BENCH_DISK_RAND_READ | 1u << BENCH_DISK_RAND_WRITE | BENCH_DISK_TROUBLE,
	.repeats_full = 5,
	.repeats_quick = 3,
	.sample_full_ms = 300,
	.sample_quick_ms = 100,
	.cells = vdd_cells,
	.systems = vdd_systems,
	.fits = bench_disk_fits,
	.begin = vdd_begin,
	.end = bench_disks_close,
	.cell = vdd_cell,
};
