/* SPDX-License-Identifier: Apache-2.0 */
#include "dvs_rows.h"

const struct row rows[] = {
#define X(call, error, program, test, meaning) { #program, #call, #error, #test },
#include "table.def"
#undef X
};

const size_t n_rows = sizeof(rows) / sizeof(rows[0]);
