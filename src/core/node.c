/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes: who is up, and what becomes of the bindings of one that is not. */
#include <string.h>

#include "core/internal.h"

const struct core_node *core_node_find(const struct core *core, uint32_t node)
{
	if (node >= CORE_NODES_MAX || core->nodes[node].state == CORE_NODE_UNKNOWN)
		return NULL;
	return &core->nodes[node];
}

bool node_can_hold(const struct core *core, uint32_t node)
{
	return node < CORE_NODES_MAX && core->nodes[node].state != CORE_DOWN;
}

bool node_is_draining(const struct core *core, uint32_t node)
{
	return core->nodes[node].draining;
}

/* How good NODE is as the place of a primary. */
static unsigned int fitness(const struct core *core, uint32_t node)
{
	const struct core_node *known = &core->nodes[node];

	if (known->state == CORE_DOWN)
		return 1;
	if (known->state == CORE_AWAY)
		return 2;
	return known->draining ? 3 : 4;
}

struct core_binding *core_heir(const struct core *core, const struct core_endpoint *endpoint)
{
	struct core_binding *best = NULL;
	unsigned int best_fitness = 0;

	LIST_FOREACH(link, &endpoint->bindings) {
		struct core_binding *binding = CONTAINER_OF(link, struct core_binding, of_endpoint);
		unsigned int its = fitness(core, binding->node);

		if (binding->role == CORE_BACKUP && its > best_fitness) {
			best = binding;
			best_fitness = its;
		}
	}
	return best;
}

uint32_t core_node_endpoints(const struct core *core, uint32_t node)
{
	uint32_t n = 0;

	for (size_t i = 0; i < core->n_dcs; i++) {
		const struct core_endpoint *endpoint = core_endpoint_from(core->dcs[i], 0);

		if (core_name_is_hidden(core->dcs[i]->name))
			continue;
		for (; endpoint;
		     endpoint = core_endpoint_from(core->dcs[i], dvs_ep_number(endpoint->ep) + 1)) {
			const struct core_binding *primary = core_primary(endpoint, node);

			n += primary && primary->node == node;
		}
	}
	return n;
}

uint32_t core_node_bindings(const struct core *core, uint32_t node)
{
	uint32_t n = 0;

	for (size_t i = 0; i < core->n_dcs; i++) {
		const struct core_endpoint *endpoint = core_endpoint_from(core->dcs[i], 0);

		if (core_name_is_hidden(core->dcs[i]->name))
			continue;
		for (; endpoint;
		     endpoint = core_endpoint_from(core->dcs[i], dvs_ep_number(endpoint->ep) + 1)) {
			LIST_FOREACH(link, &endpoint->bindings)
				n += CONTAINER_OF(link, struct core_binding, of_endpoint)->node ==
				     node;
		}
	}
	return n;
}

static void effects_add_node(struct core_effects *effects, enum core_effect_kind kind,
			     uint32_t node, enum core_node_state before)
{
	struct core_effect *effect = effects_add(effects, kind, NULL, NULL);

	effect->node = node;
	effect->state_before = before;
}

static bool address_is_ok(const char *address)
{
	for (; *address; address++) {
		if (*address <= ' ' || *address > '~')
			return false;
	}
	return true;
}

dvs_err step_node_up(struct core *core, const struct core_command *command,
		     struct core_effects *effects)
{
	struct core_node *node;

	if (command->node >= CORE_NODES_MAX || !core_name_ok(command->name) ||
	    !address_is_ok(command->address))
		return DVS_BADARG;
	if (effects_reserve(effects, 1) != DVS_OK)
		return DVS_NOMEM;
	node = &core->nodes[command->node];
	effects_add_node(effects, CORE_NODE_IS_UP, command->node, node->state);
	if (node->incarnation != command->count)
		groups_leave_node(core, command->node);
	node->state = CORE_UP;
	node->incarnation = command->count;
	memcpy(node->name, command->name, sizeof(node->name));
	memcpy(node->address, command->address, sizeof(node->address));
	return DVS_OK;
}

dvs_err step_node_away(struct core *core, const struct core_command *command,
		       struct core_effects *effects)
{
	struct core_node *node;

	if (command->node >= CORE_NODES_MAX)
		return DVS_BADARG;
	node = &core->nodes[command->node];
	if (node->state != CORE_UP || (command->count != 0 && node->incarnation != command->count))
		return DVS_BADSTATE;
	if (effects_reserve(effects, 1) != DVS_OK)
		return DVS_NOMEM;
	effects_add_node(effects, CORE_NODE_IS_AWAY, command->node, node->state);
	node->state = CORE_AWAY;
	groups_leave_node(core, command->node);
	return DVS_OK;
}

static void endpoint_end_node(struct core *core, struct core_endpoint *endpoint, uint32_t node,
			      struct core_effects *effects)
{
	LIST_FOREACH_SAFE(link, &endpoint->bindings) {
		struct core_binding *binding = CONTAINER_OF(link, struct core_binding, of_endpoint);
		bool last = endpoint->n_bindings == 1;

		if (binding->node != node)
			continue;
		binding_end(core, binding, effects);
		if (last)
			return; /* the endpoint is freed */
	}
}

/* Bindings are ended in the order of DCs and numbers, the same on every node. */
static void node_end(struct core *core, uint32_t node, struct core_effects *effects)
{
	for (size_t i = 0; i < core->n_dcs; i++) {
		struct core_endpoint *endpoint;
		uint32_t number = 0;

		while ((endpoint = core_endpoint_from(core->dcs[i], number)) != NULL) {
			number = dvs_ep_number(endpoint->ep) + 1;
			endpoint_end_node(core, endpoint, node, effects);
		}
	}
}

dvs_err step_node_down(struct core *core, const struct core_command *command,
		       struct core_effects *effects)
{
	struct core_node *node;
	size_t n = 1 + containers_down_effects(core);
	bool was_down;

	if (command->node >= CORE_NODES_MAX)
		return DVS_BADARG;
	node = &core->nodes[command->node];
	if (command->count != 0 &&
	    (node->state != CORE_AWAY || node->incarnation != command->count))
		return DVS_BADSTATE;
	for (size_t i = 0; i < core->n_dcs; i++)
		n += (size_t)core->dcs[i]->n_bindings * 3;
	if (effects_reserve(effects, n) != DVS_OK)
		return DVS_NOMEM;
	was_down = node->state == CORE_DOWN;
	if (node->state == CORE_UP || node->state == CORE_AWAY) {
		effects_add_node(effects, CORE_NODE_IS_DOWN, command->node, node->state);
		/* before its bindings end, so that none of them follows another one */
		node->state = CORE_DOWN;
	}
	node_end(core, command->node, effects);
	if (node->state == CORE_DOWN && !was_down)
		containers_node_down(core, command->node, effects);
	return DVS_OK;
}

dvs_err step_node_remove(struct core *core, const struct core_command *command,
			 struct core_effects *effects)
{
	const struct core_node *node = core_node_find(core, command->node);

	if (!node)
		return DVS_NODEST;
	if (node->state != CORE_DOWN)
		return DVS_BADSTATE;
	if (effects_reserve(effects, 1 + core->n_dcs) != DVS_OK)
		return DVS_NOMEM;
	effects_add_node(effects, CORE_NODE_REMOVED, command->node, node->state);
	containers_node_forget(core, command->node, effects);
	memset(&core->nodes[command->node], 0, sizeof(*core->nodes));
	return DVS_OK;
}

/* The primaries of NODE that have a backup at a better place change places with it. */
static void node_empty_dc(struct core *core, const struct core_dc *dc, uint32_t node,
			  struct core_effects *effects)
{
	struct core_endpoint *endpoint = core_endpoint_from(dc, 0);

	for (; endpoint; endpoint = core_endpoint_from(dc, dvs_ep_number(endpoint->ep) + 1)) {
		const struct core_binding *primary = core_primary(endpoint, node);
		struct core_binding *heir = core_heir(core, endpoint);

		if (endpoint->replica || endpoint->migrating || !primary || primary->node != node)
			continue;
		if (heir && fitness(core, heir->node) > fitness(core, node))
			primary_hand_over(endpoint, heir, effects);
	}
}

/* One that drains already is looked at again: there may be backups now that were not there. */
dvs_err step_node_drain(struct core *core, const struct core_command *command,
			struct core_effects *effects)
{
	bool on = (command->flags & CORE_F_DRAINING) != 0;
	const struct core_node *node = core_node_find(core, command->node);
	size_t n = 1;

	if (!node)
		return DVS_NODEST;
	for (size_t i = 0; i < core->n_dcs; i++)
		n += (size_t)core->dcs[i]->n_endpoints * 2;
	if (effects_reserve(effects, n) != DVS_OK)
		return DVS_NOMEM;
	if (node->draining != on)
		effects_add_node(effects, CORE_NODE_DRAINS, command->node, node->state);
	core->nodes[command->node].draining = on;
	for (size_t i = 0; i < core->n_dcs && on; i++)
		node_empty_dc(core, core->dcs[i], command->node, effects);
	return DVS_OK;
}

dvs_err step_restore_node(struct core *core, const struct core_command *command,
			  struct core_effects *effects)
{
	struct core_node *node;

	(void)effects;
	if (command->node >= CORE_NODES_MAX || command->kind < CORE_UP ||
	    command->kind > CORE_DOWN || !core_name_ok(command->name) ||
	    !address_is_ok(command->address))
		return DVS_BADARG;
	node = &core->nodes[command->node];
	node->state = (enum core_node_state)command->kind;
	node->draining = (command->flags & CORE_F_DRAINING) != 0;
	node->incarnation = command->count;
	memcpy(node->name, command->name, sizeof(node->name));
	memcpy(node->address, command->address, sizeof(node->address));
	return DVS_OK;
}

dvs_err nodes_emit(const struct core *core, core_emit emit, void *context)
{
	dvs_err err = DVS_OK;

	for (uint32_t n = 0; n < CORE_NODES_MAX && err == DVS_OK; n++) {
		const struct core_node *node = core_node_find(core, n);
		struct core_command command = { .op = CORE_RESTORE_NODE, .node = n };

		if (!node)
			continue;
		command.kind = node->state;
		command.flags = node->draining ? CORE_F_DRAINING : 0;
		command.count = node->incarnation;
		memcpy(command.name, node->name, sizeof(command.name));
		memcpy(command.address, node->address, sizeof(command.address));
		err = emit(context, &command);
	}
	return err;
}
