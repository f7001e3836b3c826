/* SPDX-License-Identifier: Apache-2.0 */
/* Programs of others, run on a node. */
#ifndef DVS_MANAGE_BENCH_REMOTE_PROGRAM_H
#define DVS_MANAGE_BENCH_REMOTE_PROGRAM_H

#include "manage/bench/remote/net.h"

struct bench_program {
	pid_t pid;  /* 0: not running */
	int out_fd; /* what it prints */
};

/* Start ARGV on the node of SIDE; it ends with this process. */
DVS_MUST_USE dvs_err bench_program_start(const struct bench_lab *lab, enum bench_side side,
					 const char *const *argv, struct bench_program *program,
					 struct bench_fault *fault);
/* Read what it prints into TEXT, which is ended by 0, until UNTIL is in it (NULL: until its end). WOKEN: a signal
 * has come; TIMEOUT: not within PATIENCE_MS; TOOBIG. */
DVS_MUST_USE dvs_err bench_program_read(const struct bench_lab *lab, struct bench_program *program,
					const char *until, char *text, size_t text_bytes,
					int patience_ms, struct bench_fault *fault);
/* Kill it if it still runs. Fine for one that never ran, with all zeros. */
void bench_program_stop(struct bench_program *program);

#endif
