/* SPDX-License-Identifier: Apache-2.0 */
/* The table of calls and errors, tests/calls/table.def, as the fixture sees it. */
#ifndef TESTS_DVS_ROWS_H
#define TESTS_DVS_ROWS_H

#include <stddef.h>

struct row {
	const char *program;
	const char *call;
	const char *error;
	const char *test;
};

extern const struct row rows[];
extern const size_t n_rows;

#endif
