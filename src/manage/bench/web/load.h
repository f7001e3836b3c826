/* SPDX-License-Identifier: Apache-2.0 */
/* A client that loads files by HTTP: over some connections that stay it asks for one file after the other, one at a time on each, and looks at all that comes. */
#ifndef DVS_MANAGE_BENCH_WEB_LOAD_H
#define DVS_MANAGE_BENCH_WEB_LOAD_H

#include <stdint.h>

#include <dvs/error.h>

#include "manage/bench/internal.h"

struct load {
	uint16_t port;	  /* of 127.0.0.1 */
	const char *path; /* of a directory with such files; "" is the root */
	const char *
		drop; /* the same directory, of which the kernel forgets before each pass what it has; NULL: it may remember */
	uint64_t bytes;
	unsigned connections;
	uint64_t duration_ns;
};

struct load_done {
	double per_s;
	double latency_ns;
};

DVS_MUST_USE dvs_err load_run(const struct load *load, struct load_done *done,
			      struct bench_fault *fault);

#endif
