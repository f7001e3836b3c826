/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes that come, go, and are told of. */
#include "node/api.h"
#include "node/ask.h"
#include "node/carrier.h"
#include "node/cluster.h"

static const char *event_of(enum core_effect_kind kind, const struct core_node *node)
{
	if (kind == CORE_NODE_IS_UP)
		return "node.up";
	if (kind == CORE_NODE_IS_AWAY)
		return "node.away";
	if (kind == CORE_NODE_IS_DOWN)
		return "node.down";
	if (kind == CORE_NODE_REMOVED)
		return "node.removed";
	return node && node->draining ? "node.drains" : "node.undrained";
}

/* ---- away for too long ---- */

static void on_down(struct host *host, struct order *order, dvs_err err)
{
	if (err != DVS_OK && err != DVS_BADSTATE)
		node_await(host, order->ep);
}

/* Every node has this timer; the first one whose command comes has done it for all. */
static void on_away(struct host *host, struct timer *timer)
{
	uint32_t node = (uint32_t)(timer - host->away_timers);
	const struct core_node *known = core_node_find(host->core, node);
	struct core_command command = { .op = CORE_NODE_DOWN, .node = node };
	const struct order order = { .done = on_down, .ep = node };

	if (!known || known->state != CORE_AWAY)
		return;
	command.count = known->incarnation;
	order_command(host, &command, &order, false);
}

void node_await(struct host *host, uint32_t node)
{
	struct timer *timer = &host->away_timers[node];

	if (timer->place == 0 && host_timer(host, timer, NODE_AWAY_NS, on_away) != DVS_OK)
		log_error(&host->log, "out of memory: a node that is away is not watched",
			  LOG_U64("node", node));
}

static void node_carry(struct host *host, uint32_t number)
{
	const struct core_node *node = core_node_find(host->core, number);
	dvs_err err;

	if (number == host->config.node)
		return;
	if (!node || node->state == CORE_DOWN) {
		carrier_close(host, number);
	} else if (node->state == CORE_UP) {
		err = carrier_open(host, number, node->address);
		if (err != DVS_OK)
			log_error(&host->log, "no channels can be made with a node",
				  LOG_U64("node", number), LOG_STR("why", dvs_strerror(err)));
	}
}

void nodes_carry(struct host *host)
{
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++)
		node_carry(host, node);
}

void node_changed(struct host *host, const struct core_effect *effect)
{
	const struct core_node *node = core_node_find(host->core, effect->node);
	struct news what = { .what = event_of(effect->kind, node),
			     .node = effect->node,
			     .text = node ? node->name : "" };

	log_info(&host->log, what.what, LOG_U64("node", effect->node), LOG_STR("name", what.text));
	happened(host, &what);
	node_carry(host, effect->node);
	if (effect->kind == CORE_NODE_IS_AWAY || effect->kind == CORE_NODE_IS_DOWN)
		asks_node_down(host, effect->node);
	if (effect->kind == CORE_NODE_IS_DOWN)
		watch_touch_all(host);
	if (effect->kind == CORE_NODE_IS_AWAY)
		node_await(host, effect->node);
	else if (effect->kind != CORE_NODE_DRAINS)
		timer_cancel(&host->timers, &host->away_timers[effect->node]);
}
