/* SPDX-License-Identifier: Apache-2.0 */
/* dvs bench ipc: messages and data between processes of this machine. */
#include "manage/bench/internal.h"

const struct bench_suite bench_suite_ipc = {
	.name = "ipc",
	.purpose =
		"Measure message round trips and data transfer between processes of this machine.",
	.usage = "",
	.quick_time = "under 20 s",
	.svg_kernel = "what the host offers",
	.svg_limit = "limits: spinning, and copying within one process",
	.patterns = BENCH_IPC_PATTERNS,
	.repeats_full = 7,
	.repeats_quick = 3,
	.sample_full_ms = 80,
	.sample_quick_ms = 30,
	.cells = bench_ipc_cells,
	.systems = bench_ipc_systems,
};
