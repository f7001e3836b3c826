/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands that make and change DCs with containers share. All return an exit status, EXIT_DONE if all went well;
 * else the message is out. */
#ifndef MANAGE_CONTAINER_DC_H
#define MANAGE_CONTAINER_DC_H

#include <dvs/container.h>
#include <jansson.h>

#include "client/agent.h"
#include "manage/cli.h"
#include "manage/nodes.h"

/* Write the digest of the image that DOCUMENT names beside its name, so that all nodes take the same. */
MUST_USE int dc_resolve_image(struct cli *cli, struct agents *agents, const struct nodes *nodes,
			      json_t *document);

/* Ask the agents of the nodes ON (bits) whether they could have a container of that description. All that refuse are told. */
MUST_USE int dc_check(struct cli *cli, struct agents *agents, const struct nodes *nodes,
		      uint64_t on, const char *dc, const char *description, size_t len);

/* Tell who refused WHAT, and why. */
int dc_fail_refused(struct cli *cli, const struct nodes *nodes, const struct dvk_refusal *refusal,
		    const char *what);

/* The JSON of the DC's record "dc"; its version. *DOCUMENT is the caller's. */
MUST_USE int dc_load(struct cli *cli, struct dvk *admin, const char *dc, json_t **document,
		     uint64_t *version);

#endif
