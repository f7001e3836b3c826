/* SPDX-License-Identifier: Apache-2.0 */
/* DCs with containers (docs/decisions/0018): which nodes are to have one, how far each is, and what follows when one cannot.
 *
 *	CREATING  -- all READY --> RUNS -- remove --> REMOVING -- all GONE --> forgotten
 *	    |                                                        ^
 *	    +-- one BROKEN or down --> FAILED -- all GONE -----------+
 *
 * Nobody waits for a node that is down: it counts as GONE. When it is up again its agent finds no such DC, or finds itself wanted, and does what is to be done.
 * A DC that RUNS can have no node left: its records stay, and what hangs on them (volumes). */
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

/* Host users of a DC's containers, as src/container/container.h has them. */
#define OWNER_FIRST 0x10000000u
#define OWNER_USERS 65536u
#define OWNER_DCS 32768u

#define ALL_NODES ((UINT64_C(1) << CORE_NODES_MAX) - 1)

static const char went_down[] =
	"the node went down before its container was ready: leave it out, or try again when 'dvs node ls' shows it up";

static uint64_t bit(uint32_t node)
{
	return UINT64_C(1) << node;
}

static bool is_going(const struct core_containers *containers)
{
	return containers->phase == DVK_FAILED || containers->phase == DVK_REMOVING;
}

bool core_container_concerns(const struct core_dc *dc, uint32_t node)
{
	const struct core_containers *containers = dc->containers;

	if (!containers || node >= CORE_NODES_MAX)
		return false;
	if (containers->leaving & bit(node))
		return true;
	return (containers->nodes & bit(node)) && containers->on[node].state != DVK_GONE;
}

bool core_node_has_containers(const struct core *core, uint32_t node)
{
	for (size_t i = 0; i < core->n_dcs; i++) {
		if (core_container_concerns(core->dcs[i], node))
			return true;
	}
	return false;
}

bool core_has_records(const struct core *core, const char *prefix)
{
	for (size_t i = 0; i < core->n_dcs; i++) {
		const struct core_record *record = core_record_after(core->dcs[i], prefix);

		if (record && strncmp(record->key, prefix, strlen(prefix)) == 0)
			return true;
	}
	return false;
}

static bool node_is_down(const struct core *core, uint32_t node)
{
	return core->nodes[node].state == CORE_DOWN;
}

/* Whether nothing of a DC that goes is left on any node that is not down. */
static bool all_gone(const struct core *core, const struct core_dc *dc)
{
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		if (core_container_concerns(dc, node) && !node_is_down(core, node))
			return false;
	}
	return true;
}

/* DC may be freed. */
static void end_if_gone(struct core *core, struct core_dc *dc, struct core_effects *effects)
{
	if (is_going(dc->containers) && all_gone(core, dc))
		dc_end(core, dc, effects);
}

static bool all_ready(const struct core_containers *containers)
{
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		if ((containers->nodes & bit(node)) && containers->on[node].state != DVK_READY)
			return false;
	}
	return true;
}

/* Texts are cut at a byte 0; what is behind their end is zero. */
static void text_take(char to[DVK_TEXT_MAX + 1], const void *from, size_t len)
{
	if (len > DVK_TEXT_MAX)
		len = DVK_TEXT_MAX;
	memset(to, 0, DVK_TEXT_MAX + 1);
	if (len > 0)
		memcpy(to, from, len);
	len = strlen(to);
	memset(to + len, 0, DVK_TEXT_MAX + 1 - len);
}

static void refused(struct core_containers *containers, uint32_t node, const char *text)
{
	containers->refuser = node;
	text_take(containers->refusal, text, strlen(text));
}

/* Whether all of NODES are known and none is down. */
static dvs_err nodes_check(const struct core *core, uint64_t nodes)
{
	if (nodes & ~ALL_NODES)
		return DVS_NODEST;
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		if (!(nodes & bit(node)))
			continue;
		if (!core_node_find(core, node))
			return DVS_NODEST;
		if (node_is_down(core, node))
			return DVS_NODEDOWN;
	}
	return DVS_OK;
}

static void nodes_want(struct core_containers *containers, uint64_t nodes)
{
	containers->nodes |= nodes;
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		if (!(nodes & bit(node)))
			continue;
		containers->on[node] = (struct core_container){ .state = DVK_WANTED };
	}
}

/* ---- made and removed ---- */

static struct core_containers *containers_new(void)
{
	struct core_containers *containers = calloc(1, sizeof(*containers));

	if (containers) {
		containers->phase = DVK_CREATING;
		containers->refuser = CORE_NODES_MAX;
	}
	return containers;
}

static dvs_err create_check(const struct core *core, const struct core_command *command)
{
	if (!core_name_ok(command->name) || command->id == 0 || command->n_value == 0 ||
	    command->n_value > DVK_VALUE_MAX)
		return DVS_BADARG;
	if (core->next_dc == UINT32_MAX || records_are_full(core, NULL, command->n_value))
		return DVS_FULL;
	return nodes_check(core, command->id);
}

dvs_err step_container_create(struct core *core, const struct core_command *command,
			      struct core_effects *effects)
{
	uint32_t owner_uid = command->owner_uid;
	struct core_containers *containers;
	struct core_record *description;
	struct core_dc *dc;
	dvs_err err = create_check(core, command);

	if (err != DVS_OK)
		return err;
	if (owner_uid == DVK_OWNER_CONTAINER)
		owner_uid = OWNER_FIRST + core->next_dc % OWNER_DCS * OWNER_USERS;
	containers = containers_new();
	description = record_new(command, CORE_DESCRIPTION);
	err = containers && description ? effects_reserve(effects, 1) : DVS_NOMEM;
	if (err == DVS_OK)
		err = dc_add(core, core->next_dc, command->name, owner_uid, &dc);
	if (err != DVS_OK) {
		free(containers);
		free(description);
		return err;
	}
	core->next_dc++;
	dc->containers = containers;
	nodes_want(containers, command->id);
	dc_touch(core, dc);
	record_add(core, dc, description, dc->change);
	effects_add_dc(effects, CORE_DC_CREATED, dc, 0, NULL);
	return DVS_OK;
}

/* Whether a process of a node itself, outside of its containers, is bound in DC. */
static bool has_outsiders(const struct core_dc *dc)
{
	const struct core_endpoint *endpoint = core_endpoint_from(dc, 0);

	for (; endpoint; endpoint = core_endpoint_from(dc, dvs_ep_number(endpoint->ep) + 1)) {
		LIST_FOREACH(link, &endpoint->bindings) {
			if (!CONTAINER_OF(link, struct core_binding, of_endpoint)->inside)
				return true;
		}
	}
	return false;
}

dvs_err step_container_remove(struct core *core, const struct core_command *command,
			      struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);

	if (!dc)
		return DVS_NODC;
	if (!dc->containers)
		return step_dc_remove(core, command, effects);
	if (has_outsiders(dc) && !(command->flags & CORE_F_FORCE))
		return DVS_BADSTATE;
	if (effects_reserve(effects, 1 + dc_end_effects(dc)) != DVS_OK)
		return DVS_NOMEM;
	if (!is_going(dc->containers)) {
		dc->containers->phase = DVK_REMOVING;
		dc_touch(core, dc);
		effects_add_dc(effects, CORE_DC_CHANGED, dc, CORE_NODES_MAX, NULL);
	}
	end_if_gone(core, dc, effects);
	return DVS_OK;
}

/* ---- while it runs ---- */

static dvs_err find_running(const struct core *core, dvs_dcid id, struct core_dc **dc)
{
	*dc = core_dc_find(core, id);
	if (!*dc)
		return DVS_NODC;
	return (*dc)->containers && (*dc)->containers->phase == DVK_RUNS ? DVS_OK : DVS_BADSTATE;
}

/* NODE is to have none any more; one that is down has none. */
static void node_take_off(const struct core *core, struct core_containers *containers,
			  uint32_t node)
{
	containers->nodes &= ~bit(node);
	containers->adding &= ~bit(node);
	if (node_is_down(core, node))
		memset(&containers->on[node], 0, sizeof(*containers->on));
	else
		containers->leaving |= bit(node);
}

dvs_err step_container_nodes(struct core *core, const struct core_command *command,
			     struct core_effects *effects)
{
	uint64_t remove = command->count;
	struct core_containers *containers;
	uint64_t add;
	struct core_dc *dc;
	dvs_err err = find_running(core, command->dc, &dc);

	if (err != DVS_OK)
		return err;
	containers = dc->containers;
	add = command->id & ~containers->nodes;
	if (command->id & remove)
		return DVS_BADARG;
	if (remove & ~containers->nodes)
		return DVS_NODEST;
	err = nodes_check(core, add);
	if (err != DVS_OK)
		return err;
	if (add & containers->leaving)
		return DVS_BADSTATE;
	if (add == 0 && remove == 0)
		return DVS_OK;
	if (effects_reserve(effects, 1) != DVS_OK)
		return DVS_NOMEM;
	nodes_want(containers, add);
	containers->adding |= add;
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		if (remove & bit(node))
			node_take_off(core, containers, node);
	}
	dc_touch(core, dc);
	effects_add_dc(effects, CORE_DC_CHANGED, dc, CORE_NODES_MAX, NULL);
	return DVS_OK;
}

dvs_err step_container_freeze(struct core *core, const struct core_command *command,
			      struct core_effects *effects)
{
	bool on = (command->flags & CORE_F_FROZEN) != 0;
	struct core_dc *dc;
	dvs_err err = find_running(core, command->dc, &dc);

	if (err != DVS_OK || dc->containers->frozen == on)
		return err;
	if (effects_reserve(effects, 1) != DVS_OK)
		return DVS_NOMEM;
	dc->containers->frozen = on;
	dc_touch(core, dc);
	effects_add_dc(effects, CORE_DC_CHANGED, dc, CORE_NODES_MAX, NULL);
	return DVS_OK;
}

/* ---- what nodes say ---- */

static void report_gone(struct core *core, struct core_dc *dc, uint32_t node,
			struct core_effects *effects)
{
	struct core_containers *containers = dc->containers;

	containers->on[node] = (struct core_container){ .state = DVK_GONE };
	if (containers->leaving & bit(node)) {
		containers->leaving &= ~bit(node);
		memset(&containers->on[node], 0, sizeof(*containers->on));
	}
	effects_add_dc(effects, CORE_DC_CHANGED, dc, node, NULL);
	end_if_gone(core, dc, effects);
}

static void report_broken(const struct core *core, struct core_dc *dc, uint32_t node,
			  struct core_effects *effects)
{
	struct core_containers *containers = dc->containers;
	const char *text = containers->on[node].text;

	if (containers->phase == DVK_CREATING) {
		containers->phase = DVK_FAILED;
		refused(containers, node, text);
		effects_add_dc(effects, CORE_DC_FAILED, dc, node, containers->refusal);
	} else if (containers->adding & bit(node)) {
		refused(containers, node, text);
		node_take_off(core, containers, node);
		effects_add_dc(effects, CORE_DC_REFUSED, dc, node, containers->refusal);
	} else {
		effects_add_dc(effects, CORE_DC_CHANGED, dc, node, NULL);
	}
}

static void report_ready(struct core_dc *dc, uint32_t node, struct core_effects *effects)
{
	struct core_containers *containers = dc->containers;

	containers->adding &= ~bit(node);
	if (containers->phase == DVK_CREATING && all_ready(containers)) {
		containers->phase = DVK_RUNS;
		effects_add_dc(effects, CORE_DC_UP, dc, node, NULL);
	} else {
		effects_add_dc(effects, CORE_DC_CHANGED, dc, node, NULL);
	}
}

/* What NODE may say at present: of what goes only that it is gone, or why it cannot go. */
static dvs_err report_check(const struct core *core, const struct core_dc *dc,
			    const struct core_command *command)
{
	const struct core_containers *containers = dc->containers;
	bool goes;

	if (!containers || node_is_down(core, command->node) ||
	    !((containers->nodes | containers->leaving) & bit(command->node)))
		return DVS_BADSTATE;
	goes = is_going(containers) || (containers->leaving & bit(command->node));
	if (command->kind == (goes ? DVK_READY : DVK_GONE))
		return DVS_BADSTATE;
	return DVS_OK;
}

/* Agents may say the same again and again: then nothing changes. */
dvs_err step_container_report(struct core *core, const struct core_command *command,
			      struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);
	uint32_t node = command->node;
	struct core_container told = { .state = (enum dvk_container_state)command->kind,
				       .frozen = (command->flags & CORE_F_FROZEN) != 0,
				       .version = command->count };
	struct core_container *known;
	dvs_err err;

	if (node >= CORE_NODES_MAX || command->kind < DVK_READY || command->kind > DVK_GONE ||
	    command->n_value > DVK_TEXT_MAX)
		return DVS_BADARG;
	if (!dc)
		return DVS_NODC;
	err = report_check(core, dc, command);
	if (err != DVS_OK)
		return err;
	text_take(told.text, command->value, command->n_value);
	known = &dc->containers->on[node];
	if (known->state == told.state &&
	    (told.state == DVK_GONE ||
	     (known->frozen == told.frozen && known->version == told.version &&
	      strcmp(known->text, told.text) == 0)))
		return DVS_OK;
	if (effects_reserve(effects, 1 + dc_end_effects(dc)) != DVS_OK)
		return DVS_NOMEM;
	dc_touch(core, dc);
	*known = told;
	if (told.state == DVK_READY)
		report_ready(dc, node, effects);
	else if (told.state == DVK_BROKEN)
		report_broken(core, dc, node, effects);
	else
		report_gone(core, dc, node, effects);
	return DVS_OK;
}

/* ---- nodes that go ---- */

size_t containers_down_effects(const struct core *core)
{
	size_t n = 0;

	for (size_t i = 0; i < core->n_dcs; i++) {
		if (core->dcs[i]->containers)
			n += 1 + dc_end_effects(core->dcs[i]);
	}
	return n;
}

/* DC may be freed. */
static void dc_node_down(struct core *core, struct core_dc *dc, uint32_t node,
			 struct core_effects *effects)
{
	struct core_containers *containers = dc->containers;
	bool leaves = (containers->leaving & bit(node)) != 0;

	dc_touch(core, dc);
	containers->leaving &= ~bit(node);
	if (leaves)
		memset(&containers->on[node], 0, sizeof(*containers->on));
	else if (containers->on[node].state != DVK_GONE)
		containers->on[node] = (struct core_container){ .state = DVK_WANTED };
	if (containers->phase == DVK_CREATING && !leaves) {
		containers->phase = DVK_FAILED;
		refused(containers, node, went_down);
		effects_add_dc(effects, CORE_DC_FAILED, dc, node, went_down);
	} else if (containers->adding & bit(node)) {
		refused(containers, node, went_down);
		node_take_off(core, containers, node);
		effects_add_dc(effects, CORE_DC_REFUSED, dc, node, went_down);
	} else {
		effects_add_dc(effects, CORE_DC_CHANGED, dc, node, NULL);
	}
	end_if_gone(core, dc, effects);
}

/* From the last DC on: one that ends leaves the places of those before it as they are. */
void containers_node_down(struct core *core, uint32_t node, struct core_effects *effects)
{
	for (size_t i = core->n_dcs; i-- > 0;) {
		struct core_containers *containers = core->dcs[i]->containers;

		if (containers && ((containers->nodes | containers->leaving) & bit(node)))
			dc_node_down(core, core->dcs[i], node, effects);
	}
}

/* It is down, so nobody waits for it. */
void containers_node_forget(struct core *core, uint32_t node, struct core_effects *effects)
{
	for (size_t i = 0; i < core->n_dcs; i++) {
		struct core_containers *containers = core->dcs[i]->containers;

		if (!containers || !(containers->nodes & bit(node)))
			continue;
		node_take_off(core, containers, node);
		dc_touch(core, core->dcs[i]);
		effects_add_dc(effects, CORE_DC_CHANGED, core->dcs[i], node, NULL);
	}
}

/* ---- snapshots ---- */

dvs_err step_restore_containers(struct core *core, const struct core_command *command,
				struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);
	struct core_containers *containers;

	(void)effects;
	if (!dc)
		return DVS_NODC;
	if (dc->containers)
		return DVS_EXISTS;
	if (command->kind < DVK_CREATING || command->kind > DVK_REMOVING ||
	    ((command->id | command->area) & ~ALL_NODES) || (command->id & command->area) ||
	    (command->count & ~command->id) || command->node > CORE_NODES_MAX ||
	    command->n_value > DVK_TEXT_MAX)
		return DVS_BADARG;
	containers = containers_new();
	if (!containers)
		return DVS_NOMEM;
	containers->phase = (enum dvk_phase)command->kind;
	containers->frozen = (command->flags & CORE_F_FROZEN) != 0;
	nodes_want(containers, command->id | command->area);
	containers->nodes = command->id;
	containers->leaving = command->area;
	containers->adding = command->count;
	containers->refuser = command->node;
	text_take(containers->refusal, command->value, command->n_value);
	dc->containers = containers;
	return DVS_OK;
}

dvs_err step_restore_container(struct core *core, const struct core_command *command,
			       struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);
	struct core_container *container;

	(void)effects;
	if (!dc)
		return DVS_NODC;
	if (command->node >= CORE_NODES_MAX || command->kind < DVK_WANTED ||
	    command->kind > DVK_GONE || command->n_value > DVK_TEXT_MAX || !dc->containers ||
	    !((dc->containers->nodes | dc->containers->leaving) & bit(command->node)))
		return DVS_BADARG;
	container = &dc->containers->on[command->node];
	container->state = (enum dvk_container_state)command->kind;
	container->frozen = (command->flags & CORE_F_FROZEN) != 0;
	container->version = command->count;
	text_take(container->text, command->value, command->n_value);
	return DVS_OK;
}

static void value_of(struct core_command *command, const char *text)
{
	command->value = (const uint8_t *)text;
	command->n_value = (uint32_t)strlen(text);
}

dvs_err containers_emit(const struct core_dc *dc, core_emit emit, void *context)
{
	const struct core_containers *containers = dc->containers;
	struct core_command command = { .op = CORE_RESTORE_CONTAINERS, .dc = dc->id };
	dvs_err err;

	if (!containers)
		return DVS_OK;
	command.kind = containers->phase;
	command.flags = containers->frozen ? CORE_F_FROZEN : 0;
	command.node = containers->refuser;
	command.id = containers->nodes;
	command.area = containers->leaving;
	command.count = containers->adding;
	value_of(&command, containers->refusal);
	err = emit(context, &command);
	for (uint32_t node = 0; node < CORE_NODES_MAX && err == DVS_OK; node++) {
		const struct core_container *container = &containers->on[node];

		if (!((containers->nodes | containers->leaving) & bit(node)))
			continue;
		command = (struct core_command){ .op = CORE_RESTORE_CONTAINER,
						 .dc = dc->id,
						 .node = node,
						 .kind = container->state,
						 .flags = container->frozen ? CORE_F_FROZEN : 0,
						 .count = container->version };
		value_of(&command, container->text);
		err = emit(context, &command);
	}
	return err;
}
