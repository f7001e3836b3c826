/* SPDX-License-Identifier: Apache-2.0 */
/* DCs with containers as JSON, and the columns under which tables show them. */
#ifndef MANAGE_CONTAINER_DESCRIBE_H
#define MANAGE_CONTAINER_DESCRIBE_H

#include <dvs/container.h>
#include <jansson.h>

#include "manage/cli.h"
#include "manage/link.h"
#include "manage/output.h"

/* Add to OBJECT, which describes a DC (describe_dc()), what dvs dc ls tells of its containers; DESCRIPTION may be NULL. False:
 * no memory. */
MUST_USE bool describe_add_containers(json_t *object, const struct dvk_container_info *info,
				      const json_t *description);

/* All of DC's containers: its phase, its nodes with their states, its description; JSON's null for a DC without
 * containers, and inside a DC, where nobody may look. Returns an exit status; else the message is out. */
MUST_USE int describe_containers(struct cli *cli, struct link *link, const char *dc,
				 json_t **containers);

/* What describe_containers() gave, for people. False: no memory. */
MUST_USE bool describe_print_containers(const struct output *output, const json_t *containers);

extern const struct output_shape describe_dc_rows_shape;

#endif
