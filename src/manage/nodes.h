/* SPDX-License-Identifier: Apache-2.0 */
/* The nodes of the DVS, and how users name them: by name or number, in lists as "n0,n1" or "all". */
#ifndef MANAGE_NODES_H
#define MANAGE_NODES_H

#include <dvs/dvk.h>

#include "manage/cli.h"

struct nodes {
	struct dvk_node_info node[DVS_NODES_MAX];
	size_t n;
};

/* Ask which nodes there are. Returns an exit status, EXIT_DONE if all went well; else the message
 * is out. */
MUST_USE int nodes_load(struct cli *cli, struct dvk *dvk, struct nodes *nodes);

/* The one that WORD names; NULL: there is none. */
const struct dvk_node_info *nodes_find(const struct nodes *nodes, const char *word);

/* The same, with a message that names the nearest. */
const struct dvk_node_info *nodes_named(struct cli *cli, const struct nodes *nodes,
					const char *word);

/* The one with that number; NULL: there is none. */
const struct dvk_node_info *nodes_at(const struct nodes *nodes, dvs_nodeid node);

/* Its name; its number as a text when there is no such node. Room for DVS_NAME_MAX + 1. */
const char *nodes_name(const struct nodes *nodes, dvs_nodeid node, char *name);

/* The one that answers; NULL: none says so. */
const struct dvk_node_info *nodes_self(const struct nodes *nodes);

/* All that are up and not drained, as bits. */
uint64_t nodes_ready(const struct nodes *nodes);

/* Those of LIST, names or numbers with commas between, or "all" (nodes_ready()), as bits. Returns as
 * nodes_load(). */
MUST_USE int nodes_choose(struct cli *cli, const struct nodes *nodes, const char *list,
			  uint64_t *chosen);

static inline uint64_t nodes_bit(dvs_nodeid node)
{
	return UINT64_C(1) << node.n;
}

#endif
