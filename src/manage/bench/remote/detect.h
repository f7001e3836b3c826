/* SPDX-License-Identifier: Apache-2.0 */
/* The pattern detect: a node is killed, and the others find out. */
#ifndef DVS_MANAGE_BENCH_REMOTE_DETECT_H
#define DVS_MANAGE_BENCH_REMOTE_DETECT_H

#include "manage/bench/internal.h"

enum bench_detect {
	BENCH_DETECT_ENGINE,   /* corosync tells that a member of a group is gone */
	BENCH_DETECT_ENDPOINT, /* a call to an endpoint of the dead node ends */
};

/* From the death of the node until the last of the others knows. Both are seen at the same death: who asks second gets
 * what was seen when the other one asked. */
DVS_MUST_USE dvs_err bench_detect(struct bench_lab *lab, enum bench_detect what,
				  struct bench_sample *sample, struct bench_fault *fault);

#endif
