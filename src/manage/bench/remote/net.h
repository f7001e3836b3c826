/* SPDX-License-Identifier: Apache-2.0 */
/* The two nodes between which `dvs bench remote` measures: network namespaces of this machine, so that all
 * systems have the same way between them. */
#ifndef DVS_MANAGE_BENCH_REMOTE_NET_H
#define DVS_MANAGE_BENCH_REMOTE_NET_H

#include "manage/bench/internal.h"

struct bench_net;

/* BADSTATE: this machine does not let us. */
DVS_MUST_USE dvs_err bench_net_start(struct bench_net **net, struct bench_fault *fault);
/* NULL is fine. */
void bench_net_stop(struct bench_net *net);

/* Take this process to the node of SIDE; for processes of one thread that end there. */
DVS_MUST_USE dvs_err bench_net_enter(const struct bench_net *net, enum bench_side side,
				     struct bench_fault *fault);
/* The IPv4 address of the node of SIDE. */
const char *bench_net_address(const struct bench_net *net, enum bench_side side);

#endif
