/* SPDX-License-Identifier: Apache-2.0 */
/* The patterns, and the sizes each is measured at. */
#include "manage/bench/internal.h"

#include <string.h>

struct pattern_row {
	const char *name;
	const char *title;
	enum bench_placement placement;
};

static const struct pattern_row patterns[BENCH_PATTERNS] = {
	[BENCH_PAIR] = { "pair", "one client and one server, each on a CPU of its own, 64 B",
			 BENCH_TWO_CPUS },
	[BENCH_SLEEPY] = { "sleepy",
			   "one client that sleeps 100 µs between calls, left to the scheduler, 64 B",
			   BENCH_BY_SCHEDULER },
	[BENCH_ONE_CPU] = { "one-cpu", "one client and one server held on one CPU, 64 B",
			    BENCH_SAME_CPU },
	[BENCH_PAIRS] = { "pairs", "several pairs at once, left to the scheduler, 64 B",
			  BENCH_BY_SCHEDULER },
	[BENCH_FAN_IN] = { "fan-in", "several clients of one server, left to the scheduler, 64 B",
			   BENCH_BY_SCHEDULER },
	[BENCH_DATA] = { "data",
			 "one pair, a large request and a 64 B reply, left to the scheduler",
			 BENCH_BY_SCHEDULER },
};

static const struct bench_cell cells[] = {
	{ BENCH_PAIR, 1, 1, 64, true },	     { BENCH_SLEEPY, 1, 1, 64, true },
	{ BENCH_ONE_CPU, 1, 1, 64, true },   { BENCH_PAIRS, 2, 2, 64, false },
	{ BENCH_PAIRS, 4, 4, 64, false },    { BENCH_PAIRS, 8, 8, 64, true },
	{ BENCH_PAIRS, 16, 16, 64, false },  { BENCH_FAN_IN, 1, 1, 64, false },
	{ BENCH_FAN_IN, 1, 8, 64, true },    { BENCH_FAN_IN, 1, 64, 64, true },
	{ BENCH_DATA, 1, 1, 64, false },     { BENCH_DATA, 1, 1, 1024, false },
	{ BENCH_DATA, 1, 1, 4096, true },    { BENCH_DATA, 1, 1, 16384, false },
	{ BENCH_DATA, 1, 1, 65536, true },   { BENCH_DATA, 1, 1, 262144, false },
	{ BENCH_DATA, 1, 1, 1048576, true },
};
_Static_assert(sizeof(cells) / sizeof(cells[0]) <= BENCH_CELLS_MAX, "the cell table has its bound");

const char *bench_pattern_name(enum bench_pattern pattern)
{
	return patterns[pattern].name;
}

const char *bench_pattern_title(enum bench_pattern pattern)
{
	return patterns[pattern].title;
}

enum bench_placement bench_pattern_placement(enum bench_pattern pattern)
{
	return patterns[pattern].placement;
}

bool bench_pattern_find(const char *name, size_t length, enum bench_pattern *pattern)
{
	for (int i = 0; i < BENCH_PATTERNS; i++) {
		if (strlen(patterns[i].name) == length &&
		    memcmp(patterns[i].name, name, length) == 0) {
			*pattern = (enum bench_pattern)i;
			return true;
		}
	}
	return false;
}

const struct bench_cell *bench_cells(size_t *count)
{
	*count = sizeof(cells) / sizeof(cells[0]);
	return cells;
}

const char *bench_cell_label(const struct bench_cell *cell, char *text, size_t text_bytes)
{
	if (cell->pattern == BENCH_PAIRS)
		snprintf(text, text_bytes, "%u pairs", cell->servers);
	else if (cell->pattern == BENCH_FAN_IN)
		snprintf(text, text_bytes, "%u client%s", cell->clients,
			 cell->clients == 1 ? "" : "s");
	else if (cell->bytes >= 1 << 20)
		snprintf(text, text_bytes, "%zu MiB", cell->bytes >> 20);
	else if (cell->bytes >= 1 << 10)
		snprintf(text, text_bytes, "%zu KiB", cell->bytes >> 10);
	else
		snprintf(text, text_bytes, "%zu B", cell->bytes);
	return text;
}
