/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that come, go, and are told of. */
#include "node/api.h"

static const char *effect_text(enum core_effect_kind kind)
{
	if (kind == CORE_NODE_IS_UP)
		return "a node is up";
	if (kind == CORE_NODE_IS_AWAY)
		return "the dvsd of a node is gone";
	if (kind == CORE_NODE_IS_DOWN)
		return "a node is down";
	return kind == CORE_NODE_REMOVED ? "a node was removed" :
					   "a node drains, or no longer does";
}

void node_changed(struct host *host, const struct core_effect *effect)
{
	const struct core_node *node = core_node_find(host->core, effect->node);

	log_info(&host->log, effect_text(effect->kind), LOG_U64("node", effect->node),
		 LOG_STR("name", node ? node->name : ""));
}
