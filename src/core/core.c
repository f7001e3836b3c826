/* SPDX-License-Identifier: Apache-2.0 */
#include "core/core.h"

#include <stdlib.h>

#include "core/internal.h"

static const core_handler handlers[CORE_OPS_END] = {
	[CORE_DC_CREATE] = step_dc_create,
	[CORE_DC_REMOVE] = step_dc_remove,
	[CORE_BIND] = step_bind,
	[CORE_UNBIND] = step_unbind,
	[CORE_ENDPOINT_END] = step_endpoint_end,
	[CORE_PROCESS_DEAD] = step_process_dead,
	[CORE_PROCESS_AREA] = step_process_area,
	[CORE_PRIVILEGES_SET] = step_privileges_set,
	[CORE_MIGRATE_START] = step_migrate_start,
	[CORE_MIGRATE_AGAIN] = step_migrate_again,
	[CORE_PARKED] = step_parked,
	[CORE_MIGRATE_COMMIT] = step_migrate_commit,
	[CORE_MIGRATE_ROLLBACK] = step_migrate_rollback,
	[CORE_PROMOTE] = step_promote,
	[CORE_NODE_DOWN] = step_node_down,
	[CORE_RESTORE_COUNTERS] = step_restore_counters,
	[CORE_RESTORE_DC] = step_restore_dc,
	[CORE_RESTORE_CLIENTS] = step_restore_clients,
	[CORE_RESTORE_NUMBER] = step_restore_number,
	[CORE_RESTORE_ENDPOINT] = step_restore_endpoint,
	[CORE_RESTORE_BINDING] = step_restore_binding,
	[CORE_RESTORE_NODE] = step_restore_node,
	[CORE_NODE_UP] = step_node_up,
	[CORE_NODE_AWAY] = step_node_away,
	[CORE_NODE_REMOVE] = step_node_remove,
	[CORE_NODE_DRAIN] = step_node_drain,
	[CORE_REBIND] = step_rebind,
	[CORE_GROUP_JOIN] = step_group_join,
	[CORE_GROUP_LEAVE] = step_group_leave,
	[CORE_GROUP_GIVEN] = step_group_given,
	[CORE_RESTORE_VIEWS] = step_restore_views,
	[CORE_RESTORE_GROUP] = step_restore_group,
	[CORE_RESTORE_MEMBER] = step_restore_member,
	[CORE_CONTAINER_CREATE] = step_container_create,
	[CORE_CONTAINER_REMOVE] = step_container_remove,
	[CORE_CONTAINER_NODES] = step_container_nodes,
	[CORE_CONTAINER_FREEZE] = step_container_freeze,
	[CORE_CONTAINER_REPORT] = step_container_report,
	[CORE_RECORD_SET] = step_record_set,
	[CORE_RECORD_REMOVE] = step_record_remove,
	[CORE_RESTORE_CONTAINERS] = step_restore_containers,
	[CORE_RESTORE_CONTAINER] = step_restore_container,
	[CORE_RESTORE_RECORD] = step_restore_record,
};

dvs_err core_create(struct core **core)
{
	struct core *made = calloc(1, sizeof(*made));

	if (!made)
		return DVS_NOMEM;
	made->next_dc = 1;
	made->next_binding = 1;
	*core = made;
	return DVS_OK;
}

static void dc_destroy(struct core *core, struct core_dc *dc)
{
	struct core_endpoint *endpoint;

	while ((endpoint = core_endpoint_from(dc, 0)) != NULL) {
		LIST_FOREACH_SAFE(link, &endpoint->bindings)
			binding_free(core, CONTAINER_OF(link, struct core_binding, of_endpoint));
		endpoint_free(core, endpoint);
	}
	dc_free(core, dc);
}

void core_destroy(struct core *core)
{
	if (!core)
		return;
	for (size_t i = 0; i < core->n_dcs; i++)
		dc_destroy(core, core->dcs[i]);
	map_destroy(&core->holders);
	free(core);
}

bool core_op_is_restore(enum core_op op)
{
	return (op >= CORE_RESTORE_COUNTERS && op <= CORE_RESTORE_NODE) ||
	       (op >= CORE_RESTORE_VIEWS && op <= CORE_RESTORE_MEMBER) ||
	       (op >= CORE_RESTORE_CONTAINERS && op <= CORE_RESTORE_RECORD);
}

dvs_err core_step(struct core *core, const struct core_command *command,
		  struct core_effects *effects)
{
	effects->n = 0;
	if ((unsigned int)command->op >= CORE_OPS_END || !handlers[command->op])
		return DVS_BADARG;
	if (core_op_is_restore(command->op)) {
		if (core->live)
			return DVS_BADSTATE;
		core->restoring = true;
	} else if (command->op != CORE_PARKED || !core->restoring) {
		/* what endpoints owe is part of a snapshot */
		restore_end(core);
		core->live = true;
	}
	return handlers[command->op](core, command, effects);
}

size_t core_n_endpoints(const struct core *core)
{
	return core->n_endpoints;
}
