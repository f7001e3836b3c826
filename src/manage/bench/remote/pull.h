/* SPDX-License-Identifier: Apache-2.0 */
/* What the network between two nodes carries: one TCP stream of iperf3, whose server runs. */
#ifndef DVS_MANAGE_BENCH_REMOTE_PULL_H
#define DVS_MANAGE_BENCH_REMOTE_PULL_H

#include "manage/bench/internal.h"

struct bench_pull {
	unsigned client_node;
	unsigned server_node;
	unsigned port;
	size_t bytes; /* of one read or write */
	bool is_push; /* from the client; else to it */
	unsigned ms;
};

/* SAMPLE->msg_per_s, of PULL->bytes each, as the receiver has seen it. */
DVS_MUST_USE dvs_err bench_pull_measure(const struct bench_lab *lab, const struct bench_pull *pull,
					struct bench_sample *sample, struct bench_fault *fault);

#endif
