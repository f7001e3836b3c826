/* SPDX-License-Identifier: Apache-2.0 */
/* The client and server processes of a sample, and the board on which they and their parent write. */
#ifndef DVS_MANAGE_BENCH_WORKER_H
#define DVS_MANAGE_BENCH_WORKER_H

#include "base/compiler.h"
#include "manage/bench/internal.h"

struct bench_report {
	uint64_t calls;
	uint64_t busy_ns; /* in calls, without thinking */
	uint64_t begin_ns;
	uint64_t end_ns;
	struct bench_fault fault; /* what ended the process, if it failed */
};

/* In memory that all map. Clients look at STOP before each call, so it has lines of its own. */
struct bench_board {
	_Alignas(BENCH_LINE_BYTES) uint32_t go;
	_Alignas(BENCH_LINE_BYTES) uint32_t stop;
	_Alignas(BENCH_LINE_BYTES) struct bench_report reports[BENCH_WORKERS_MAX];
};

struct bench_worker {
	struct bench_link *link;
	struct bench_board *board;
	struct bench_report *report;
	bool is_server;
	unsigned client; /* of a client: its number at its server */
	int cpu;	 /* the CPU it is held on, or -1 */
	int ready_fd;	 /* an eventfd: one more process is ready */
	uint64_t seed;
	uint64_t think_ns;
	uint64_t warm_up_ns;
	pid_t parent;
};

/* The node that it is on, when there are nodes. */
static inline enum bench_side bench_worker_side(const struct bench_worker *worker)
{
	return worker->is_server ? BENCH_SERVER_SIDE : BENCH_CLIENT_SIDE;
}

/* Be that process: returns its exit status, with the reason in its report if it is not 0. */
MUST_USE int bench_worker_run(const struct bench_worker *worker);

#endif
