/* SPDX-License-Identifier: Apache-2.0 */
/* dvs bench web: web servers of DCs beside one of the host, in the configurations of the paper (000, IV.D, tables II and III). */
#include <unistd.h>

#include "base/compiler.h"
#include "manage/bench/web/web.h"

enum { MIB = 1 << 20, MANY = 8 };

/* In a row: store, connections, bytes, by --quick too, remote. */
#define SIZES(pattern, store, quick, remote)                     \
	{ pattern, store, MANY, WEB_PAGE_BYTES, quick, remote }, \
		{ pattern, store, 1, 10 * MIB, quick, remote },  \
		{ pattern, store, 1, 50 * MIB, false, remote },  \
	{                                                        \
		pattern, store, 1, 100 * MIB, false, remote      \
	}

static const struct bench_cell cells[] = {
	SIZES(BENCH_WEB_WARM, FILES_RAM, true, false),
	SIZES(BENCH_WEB_WARM, FILES_FILE, false, false), /* configuration B */
	SIZES(BENCH_WEB_WARM, FILES_VDD, false, false),	 /* C */
	SIZES(BENCH_WEB_WARM, FILES_FAR, false, false),	 /* D */
	SIZES(BENCH_WEB_WARM, FILES_MIRROR, true, false),
	SIZES(BENCH_WEB_WARM, FILES_RAM, true, true),
	SIZES(BENCH_WEB_WARM, FILES_FILE, false, true), /* E */
	SIZES(BENCH_WEB_WARM, FILES_VDD, false, true),	/* F */
	SIZES(BENCH_WEB_WARM, FILES_MIRROR, false, true),
	SIZES(BENCH_WEB_COLD, FILES_RAM, true, false),
	SIZES(BENCH_WEB_COLD, FILES_VDD, false, false),
	SIZES(BENCH_WEB_COLD, FILES_RAM, true, true),
	SIZES(BENCH_WEB_COLD, FILES_VDD, false, true),
	SIZES(BENCH_WEB_COLD, FILES_MIRROR, false, true),
};
_Static_assert(ARRAY_LEN(cells) <= BENCH_CELLS_MAX, "the cell table has its bound");

static const struct bench_system *const systems[] = {
	&bench_web_nginx_host,	   &bench_web_nginx_dvs, &bench_web_nginx_host_open,
	&bench_web_nginx_dvs_open, &bench_web_nweb_dvs,	 &bench_web_iperf3,
};

static const struct bench_system *const *web_systems(size_t *count)
{
	*count = ARRAY_LEN(systems);
	return systems;
}

static const struct bench_cell *web_cells(size_t *count)
{
	*count = ARRAY_LEN(cells);
	return cells;
}

static dvs_err web_begin(struct bench_lab *lab, const struct bench_options *options,
			 struct bench_fault *fault)
{
	dvs_err err;

	(void)options;
	if (geteuid() != 0)
		return bench_fail(fault, DVS_DENIED, "file systems need root");
	err = bench_web_open(lab, fault);
	if (err)
		bench_web_close(lab);
	return err;
}

static dvs_err web_cell(struct bench_lab *lab, const struct bench_options *options,
			const struct bench_cell *cell, struct bench_fault *fault)
{
	(void)options;
	return bench_web_make(lab, (enum files_store)cell->servers, fault);
}

const struct bench_suite bench_suite_web = {
	.name = "web",
	.purpose = "Measure web servers of DCs beside one of the host, in a lab of three nodes.",
	.usage = "",
	.quick_time = "about a minute",
	.svg_kernel = "other web servers",
	.svg_limit = "the network",
	.patterns = UINT64_C(1) << BENCH_WEB_WARM | UINT64_C(1) << BENCH_WEB_COLD,
	.repeats_full = 5,
	.repeats_quick = 3,
	.sample_full_ms = 300,
	.sample_quick_ms = 100,
	.cells = web_cells,
	.systems = web_systems,
	.fits = bench_web_fits,
	.begin = web_begin,
	.end = bench_web_close,
	.cell = web_cell,
};
