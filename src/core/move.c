/* SPDX-License-Identifier: Apache-2.0 */
/* Migration in three steps, and promotion.
 *
 * Between start and commit the endpoint belongs to its process still, but nobody new may talk
 * to it: the host holds that back. Commit gives the binding to another process, rollback lets
 * it go on. Should the process die in between, the binding stays without one, an orphan,
 * until the commit finds it a new process or the rollback ends it. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

static dvs_err find_endpoint(const struct core *core, const struct core_command *command,
			     struct core_endpoint **endpoint)
{
	const struct core_dc *dc = core_dc_find(core, command->dc);

	if (!dc)
		return DVS_NODC;
	*endpoint = core_endpoint_find(dc, command->ep);
	return *endpoint ? DVS_OK : DVS_NODEST;
}

/* Under a new number, so that what is told for a former one is not taken for this one. */
static void migration_begin(struct core_endpoint *endpoint, struct core_effects *effects)
{
	endpoint->migrating = true;
	endpoint->migration = endpoint->migration == UINT32_MAX ? 1 : endpoint->migration + 1;
	endpoint->n_taken = 0;
	effects_add(effects, CORE_MIGRATING, endpoint, core_primary(endpoint, 0));
}

dvs_err step_migrate_start(struct core *core, const struct core_command *command,
			   struct core_effects *effects)
{
	struct core_endpoint *endpoint;
	dvs_err err = find_endpoint(core, command, &endpoint);

	if (err != DVS_OK)
		return err;
	if (endpoint->migrating || endpoint->replica)
		return DVS_BADSTATE;
	if (effects_reserve(effects, 1) != DVS_OK)
		return DVS_NOMEM;
	migration_begin(endpoint, effects);
	return DVS_OK;
}

dvs_err step_migrate_again(struct core *core, const struct core_command *command,
			   struct core_effects *effects)
{
	struct core_endpoint *endpoint;
	dvs_err err = find_endpoint(core, command, &endpoint);

	if (err != DVS_OK)
		return err;
	if (!endpoint->migrating || endpoint->parked)
		return DVS_BADSTATE;
	if (effects_reserve(effects, 1) != DVS_OK)
		return DVS_NOMEM;
	migration_begin(endpoint, effects);
	return DVS_OK;
}

/* Several commands can tell it; all but the last have CORE_F_MORE. */
dvs_err step_parked(struct core *core, const struct core_command *command,
		    struct core_effects *effects)
{
	struct core_endpoint *endpoint;
	struct core_taken *taken;
	dvs_err err = find_endpoint(core, command, &endpoint);

	(void)effects;
	if (err != DVS_OK)
		return err;
	if (!endpoint->migrating || endpoint->parked || endpoint->migration != command->migration)
		return DVS_BADSTATE;
	if (command->n_taken > CORE_COMMAND_TAKEN)
		return DVS_BADARG;
	if (endpoint->n_taken + command->n_taken > CORE_TAKEN_MAX)
		return DVS_FULL;
	if (command->n_taken > 0) {
		taken = realloc(endpoint->taken,
				(endpoint->n_taken + command->n_taken) * sizeof(*taken));
		if (!taken)
			return DVS_NOMEM;
		memcpy(taken + endpoint->n_taken, command->taken,
		       command->n_taken * sizeof(*taken));
		endpoint->taken = taken;
		endpoint->n_taken += command->n_taken;
	}
	endpoint->parked = !(command->flags & CORE_F_MORE);
	return DVS_OK;
}

dvs_err step_migrate_commit(struct core *core, const struct core_command *command,
			    struct core_effects *effects)
{
	struct core_endpoint *endpoint;
	struct core_binding *binding;
	struct core_holder *holder;
	dvs_err err = find_endpoint(core, command, &endpoint);

	if (err != DVS_OK)
		return err;
	if (!endpoint->migrating || core_binding_of(endpoint, &command->process))
		return DVS_BADSTATE;
	if (command->migration != 0 && command->migration != endpoint->migration)
		return DVS_BADSTATE;
	if (command->process.node >= CORE_NODES_MAX || command->process.pid == 0)
		return DVS_BADARG;
	if (!node_can_hold(core, command->process.node))
		return DVS_NODEDOWN;
	if (node_is_draining(core, command->process.node) &&
	    core_primary(endpoint, 0)->node != command->process.node)
		return DVS_BADSTATE;
	if (effects_reserve(effects, 1) != DVS_OK)
		return DVS_NOMEM;
	err = holder_get(core, &command->process, command->area, &holder);
	if (err != DVS_OK)
		return err;
	binding = core_primary(endpoint, 0);
	assert(binding);
	effects_add(effects, CORE_MOVED, endpoint, binding);
	binding_detach_holder(core, binding);
	binding_hold(binding, holder);
	binding->slot = command->slot;
	binding->node = command->process.node;
	binding->given = true;
	binding->inside = (command->flags & CORE_F_INSIDE) != 0;
	endpoint->migrating = endpoint->parked = false;
	return DVS_OK;
}

dvs_err step_migrate_rollback(struct core *core, const struct core_command *command,
			      struct core_effects *effects)
{
	struct core_endpoint *endpoint;
	struct core_binding *binding;
	dvs_err err = find_endpoint(core, command, &endpoint);

	if (err != DVS_OK)
		return err;
	if (!endpoint->migrating)
		return DVS_BADSTATE;
	if (effects_reserve(effects, 3) != DVS_OK)
		return DVS_NOMEM;
	binding = core_primary(endpoint, 0);
	assert(binding);
	if (!binding->holder) {
		binding_end(core, binding, effects);
		return DVS_OK;
	}
	endpoint->migrating = endpoint->parked = false;
	endpoint->n_taken = 0;
	effects_add(effects, CORE_ROLLED_BACK, endpoint, binding);
	return DVS_OK;
}

/* The former primary becomes the youngest backup. */
void primary_hand_over(struct core_endpoint *endpoint, struct core_binding *next,
		       struct core_effects *effects)
{
	struct core_binding *former = core_primary(endpoint, 0);

	assert(former);
	effects_add(effects, CORE_DEMOTED, endpoint, former);
	former->role = CORE_BACKUP;
	former->kind = DVK_BACKUP;
	list_remove(&former->of_endpoint);
	list_add_tail(&endpoint->bindings, &former->of_endpoint);
	backup_promote(endpoint, next, effects);
}

dvs_err step_promote(struct core *core, const struct core_command *command,
		     struct core_effects *effects)
{
	struct core_endpoint *endpoint;
	struct core_binding *next;
	dvs_err err = find_endpoint(core, command, &endpoint);

	if (err != DVS_OK)
		return err;
	if (endpoint->migrating)
		return DVS_BADSTATE;
	if (command->process.pid == 0)
		next = core_heir(core, endpoint);
	else
		next = core_binding_of(endpoint, &command->process);
	if (!next || next->role != CORE_BACKUP)
		return DVS_NOPROC;
	if (node_is_draining(core, next->node))
		return DVS_BADSTATE;
	if (effects_reserve(effects, 2) != DVS_OK)
		return DVS_NOMEM;
	primary_hand_over(endpoint, next, effects);
	return DVS_OK;
}
