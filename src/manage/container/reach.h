/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands on containers stand on: the agents of all nodes, and how their complaints are told. */
#ifndef MANAGE_CONTAINER_REACH_H
#define MANAGE_CONTAINER_REACH_H

#include <dvs/container.h>

#include "client/agent.h"
#include "manage/cli.h"
#include "manage/nodes.h"

/* How long an agent may take for what it answers at once. */
#define REACH_MS 30000u

struct reach {
	struct agents *agents;
	struct nodes nodes;
};

/* The functions that return an int return an exit status, EXIT_DONE if all went well; else the
 * message is out. */

/* To be closed in any case. */
MUST_USE int reach_open(struct cli *cli, struct reach *reach);
void reach_close(struct reach *reach);

/* Say that a call of AGENTS failed: the agent's own sentence if it gave one. */
int reach_fail(struct cli *cli, const struct agents *agents, dvs_err err, const char *what, ...)
	PRINTF_LIKE(4, 5);

/* The DC called NAME. NODC: there is none. */
DVS_MUST_USE dvs_err reach_look(struct dvk *admin, const char *name,
				struct dvk_container_info *info);

/* The same, with a message that names the nearest; WHAT: what failed ("find"). */
MUST_USE int reach_find_dc(struct cli *cli, struct dvk *admin, const char *name, const char *what,
			   struct dvk_container_info *info);

/* The same for DCs that have containers. */
MUST_USE int reach_find_containers(struct cli *cli, struct dvk *admin, const char *name,
				   const char *what, struct dvk_container_info *info);

/* The words of users for these. */
const char *reach_phase(enum dvk_phase phase);
const char *reach_state(const struct dvk_container_node *node);

/* How many nodes of the DC have a container that runs. */
size_t reach_ready(const struct dvk_container_info *info);

#endif
