/* SPDX-License-Identifier: Apache-2.0 */
/* What dvsd tells, as JSON objects with the names of fields that dvs(1) promises, and the
 * columns under which tables show them. */
#ifndef MANAGE_DESCRIBE_H
#define MANAGE_DESCRIBE_H

#include <jansson.h>

#include <dvs/dvk.h>

#include "manage/output.h"

/* All return an object that the caller owns, or NULL without memory. */
json_t *describe_endpoint(const char *dc, const struct dvk_endpoint_info *info);
json_t *describe_dc(const struct dvk_dc_info *info);
json_t *describe_dvs(const struct dvk_dvs_info *info);

/* {"manage": ["bind", ...], "call_to": [[first, last], ...]} */
json_t *describe_privileges(const struct dvk_privileges *privileges);

/* "17.3": number and generation; "any"; NULL (JSON's null) for none. */
json_t *describe_ep(dvs_ep ep);

/* A counter; what JSON readers cannot hold is cut. */
json_t *describe_count(uint64_t n);

/* Nanoseconds since 1970 as "2031-02-03T04:05:06.789012Z". */
json_t *describe_time(uint64_t realtime_ns);

extern const struct output_shape describe_endpoints_shape;
extern const struct output_shape describe_endpoint_fields;
extern const struct output_shape describe_dc_fields;

/* A link to another node, for dvs proxy ls and dvs top. */
json_t *describe_link(const struct dvk_link_info *info);

#endif
