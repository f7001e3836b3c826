/* SPDX-License-Identifier: Apache-2.0 */
/* How long the requests of a volume took, as its server has counted them. */
#ifndef MANAGE_VOLUME_LATENCY_H
#define MANAGE_VOLUME_LATENCY_H

#include <jansson.h>

#include "proto/vdd_proto.h"

/* {"latencies": {"read": {"count", "p50_ns", "p99_ns", "max_ns", "last": {the same}}, "write", "flush"}, "read_p50": "120us", ...}: since the server is the primary, and in `last` and the
 * texts since BEFORE (NULL: there is none, and nothing came). The caller owns it; NULL: no memory. */
json_t *latency_describe(const struct vdd_status_rep *before, const struct vdd_status_rep *now);

#endif
