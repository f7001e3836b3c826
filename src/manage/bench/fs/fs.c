/* SPDX-License-Identifier: Apache-2.0 */
/* dvs bench fs: file systems of DCs beside other ones, and what places and stores cost. */
#include <unistd.h>

#include "base/compiler.h"
#include "manage/bench/fs/files.h"

enum { KIB = 1 << 10, MIB = 1 << 20, FILES = 1000, MANY_FILES = 1000000 };

/* In a row: store, depth, bytes or files, by --quick too, remote. */
#define DATA_CELLS(pattern)                                           \
	{ pattern, FILES_RAM, 1, 4 * KIB, true, false },              \
		{ pattern, FILES_RAM, 1, 128 * KIB, true, false },    \
		{ pattern, FILES_RAM, 1, MIB, true, false },          \
		{ pattern, FILES_RAM, 4, 4 * KIB, false, false },     \
		{ pattern, FILES_FILE, 1, 128 * KIB, false, false },  \
		{ pattern, FILES_VDD, 1, 128 * KIB, true, false },    \
		{ pattern, FILES_MIRROR, 1, 128 * KIB, true, false }, \
		{ pattern, FILES_RAM, 1, 4 * KIB, false, true },      \
		{ pattern, FILES_RAM, 1, MIB, true, true },           \
	{                                                             \
		pattern, FILES_VDD, 1, MIB, false, true               \
	}
#define NAME_CELLS(pattern, size)                                \
	{ pattern, FILES_RAM, 1, size, true, false },            \
		{ pattern, FILES_RAM, 4, size, false, false },   \
		{ pattern, FILES_FILE, 1, size, false, false },  \
		{ pattern, FILES_VDD, 1, size, false, false },   \
		{ pattern, FILES_MIRROR, 1, size, true, false }, \
	{                                                        \
		pattern, FILES_RAM, 1, size, true, true          \
	}
#define TREE_CELLS(pattern, quick)                                   \
	{ pattern, FILES_RAM, 1, 4 * KIB, quick, false },            \
		{ pattern, FILES_MIRROR, 1, 4 * KIB, false, false }, \
	{                                                            \
		pattern, FILES_RAM, 1, 4 * KIB, false, true          \
	}

static const struct bench_cell cells[] = {
	DATA_CELLS(BENCH_FILE_SEQ_READ),
	DATA_CELLS(BENCH_FILE_SEQ_WRITE),
	DATA_CELLS(BENCH_FILE_RAND_READ),
	DATA_CELLS(BENCH_FILE_RAND_WRITE),
	{ BENCH_FILE_READ_CACHED, FILES_RAM, 1, 4 * KIB, true, false },
	{ BENCH_FILE_READ_CACHED, FILES_RAM, 1, 128 * KIB, true, false },
	NAME_CELLS(BENCH_FILE_CREATE, FILES),
	{ BENCH_FILE_CREATE, FILES_RAM, 1, MANY_FILES, true, false },
	NAME_CELLS(BENCH_FILE_STAT, FILES),
	{ BENCH_FILE_STAT, FILES_RAM, 1, MANY_FILES, true, false },
	{ BENCH_FILE_STAT_CACHED, FILES_RAM, 1, FILES, true, false },
	NAME_CELLS(BENCH_FILE_RENAME, FILES),
	NAME_CELLS(BENCH_FILE_UNLINK, FILES),
	NAME_CELLS(BENCH_FILE_SMALL, 4 * KIB),
	NAME_CELLS(BENCH_FILE_FSYNC, 4 * KIB),
	{ BENCH_FILE_READDIR, FILES_RAM, 1, FILES, true, false },
	{ BENCH_FILE_READDIR, FILES_RAM, 1, FILES, false, true },
	TREE_CELLS(BENCH_FILE_COPY, true),
	TREE_CELLS(BENCH_FILE_UNTAR, true),
	TREE_CELLS(BENCH_FILE_COMPILE, false),
};
_Static_assert(ARRAY_LEN(cells) <= BENCH_CELLS_MAX, "the cell table has its bound");

static const struct bench_system *const systems[] = {
	&bench_file_fuse, &bench_file_ipc,   &bench_file_passthrough,
	&bench_file_ext4, &bench_file_tmpfs, &bench_file_iperf3,
};

static const struct bench_system *const *fs_systems(size_t *count)
{
	*count = ARRAY_LEN(systems);
	return systems;
}

static const struct bench_cell *fs_cells(size_t *count)
{
	*count = ARRAY_LEN(cells);
	return cells;
}

static dvs_err fs_begin(struct bench_lab *lab, const struct bench_options *options,
			struct bench_fault *fault)
{
	dvs_err err;

	(void)options;
	if (geteuid() != 0)
		return bench_fail(fault, DVS_DENIED, "file systems need root");
	err = bench_files_open(lab, fault);
	if (err)
		bench_files_close(lab);
	return err;
}

static dvs_err fs_cell(struct bench_lab *lab, const struct bench_options *options,
		       const struct bench_cell *cell, struct bench_fault *fault)
{
	dvs_err err = bench_files_make(lab, (enum files_store)cell->servers, fault);

	(void)options;
	if (!err && cell->pattern >= BENCH_FILE_COPY && cell->pattern <= BENCH_FILE_COMPILE)
		err = bench_files_trees(lab, fault);
	return err;
}

const struct bench_suite bench_suite_fs = {
	.name = "fs",
	.purpose = "Measure file systems of DCs beside other ones, in a lab of three nodes.",
	.usage = "  --many            create and stat also in a directory of a million files\n",
	.quick_time = "about 4 minutes",
	.svg_kernel = "other file systems",
	.svg_limit = "memory, the network",
	.patterns = ((UINT64_C(1) << (BENCH_FILE_COMPILE - BENCH_FILE_SEQ_READ + 1)) - 1)
		    << BENCH_FILE_SEQ_READ,
	.repeats_full = 5,
	.repeats_quick = 3,
	.sample_full_ms = 300,
	.sample_quick_ms = 100,
	.cells = fs_cells,
	.systems = fs_systems,
	.fits = bench_file_fits,
	.begin = fs_begin,
	.end = bench_files_close,
	.cell = fs_cell,
};
