/* SPDX-License-Identifier: Apache-2.0 */
/* What the network between two nodes carries: one TCP stream of iperf3, beside which a suite sets its own figures. */
#ifndef DVS_MANAGE_BENCH_REMOTE_PULL_H
#define DVS_MANAGE_BENCH_REMOTE_PULL_H

#include "manage/bench/internal.h"

#define BENCH_PULL_PORT 20999

/* Start the one server of a run on NODE, and wait until it listens. BADSTATE: the program is not there. */
DVS_MUST_USE dvs_err bench_pull_start(struct bench_lab *lab, unsigned node,
				      struct bench_fault *fault);
/* As bench_system.stop. */
void bench_pull_stop(struct bench_lab *lab);

struct bench_pull {
	unsigned client_node;
	unsigned server_node;
	size_t bytes;	  /* of one read or write; at most BENCH_PAYLOAD_MAX_BYTES are taken */
	bool is_push;	  /* from the client; else to it */
	unsigned clients; /* as if so many had shared the stream: for the round trip */
	unsigned ms;
};

/* SAMPLE gets how often per second BYTES went through, as the receiver has seen it, and how long one client would wait for them. */
DVS_MUST_USE dvs_err bench_pull_measure(const struct bench_lab *lab, const struct bench_pull *pull,
					struct bench_sample *sample, struct bench_fault *fault);

#endif
