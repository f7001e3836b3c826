/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes as JSON objects with the names of fields that dvs-vol(1) promises, and the columns under which tables show them. */
#ifndef MANAGE_VOLUME_DESCRIBE_H
#define MANAGE_VOLUME_DESCRIBE_H

#include <jansson.h>

#include "manage/output.h"
#include "manage/volume/vol.h"

/* What a server has told; NULL in place of one: it does not answer. */
struct vol_told {
	const struct vdd_status_rep *status;
	const struct vdd_disks_rep *disks;
	bool is_paused; /* requests wait now for members or the quorum */
};

/* All return what the caller owns, or NULL without memory. */

/* The row of VOL, whose volume and base are set. */
json_t *describe_volume(struct vol *vol, const struct vol_told *told);
/* Its replicas: where, in which state, how far. */
json_t *describe_replicas(struct vol *vol, const struct vol_told *told);
/* The disks that were made of it: snapshots and clones. */
json_t *describe_disks(const struct vol *vol, const struct vol_told *told);
/* Counters, and the last comparison of the replicas. */
json_t *describe_server(const struct vdd_status_rep *status);
/* "10G", "1.5M": exact, or with one digit behind the point. */
json_t *describe_size(uint64_t bytes);

extern const struct output_shape describe_volumes_shape;
/* Of a volume with what its server told. */
extern const struct output_shape describe_volume_fields;
extern const struct output_shape describe_replicas_shape;
extern const struct output_shape describe_disks_shape;

#endif
