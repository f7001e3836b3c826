/* SPDX-License-Identifier: Apache-2.0 */
/* Bindings: how they begin and how they end.
 *
 * A number gets a new generation with each new primary, so that who knew the former one is
 * refused; backups and replicas join the generation that is there. When a primary ends, the
 * oldest backup follows in the same generation. */
#include <assert.h>
#include <stdlib.h>

#include "core/internal.h"

bool core_is_client_number(uint32_t node, uint32_t number)
{
	return number / CORE_CLIENTS == node + 1;
}

bool core_is_any_client_number(uint32_t number)
{
	return number >= CORE_CLIENTS && number < (CORE_NODES_MAX + 1) * CORE_CLIENTS;
}

/* Round robin, so that a number is used again as late as possible. */
static dvs_err client_number(struct core_dc *dc, uint32_t node, uint32_t *number)
{
	for (uint32_t i = 0; i < CORE_CLIENTS; i++) {
		uint32_t offset = (dc->next_client[node] + i) % CORE_CLIENTS;
		uint32_t candidate = (node + 1) * CORE_CLIENTS + offset;
		const struct core_number *entry = number_find(dc, candidate);

		if (!entry || !entry->endpoint) {
			*number = candidate;
			return DVS_OK;
		}
	}
	return DVS_FULL;
}

/* Whether a binding of this kind can join what ENDPOINT (may be NULL) is. */
static dvs_err bind_check(const struct core_endpoint *endpoint, const struct core_command *command)
{
	if (!endpoint)
		return command->kind == DVK_BACKUP ? DVS_NODEST : DVS_OK;
	if (dvs_ep_generation((dvs_ep){ command->ep }) != 0 && endpoint->ep.n != command->ep)
		return DVS_NODEST;
	if (core_binding_of(endpoint, &command->process))
		return DVS_INUSE;
	if (command->kind == DVK_LOCAL)
		return DVS_INUSE;
	if (command->kind == DVK_BACKUP && endpoint->replica)
		return DVS_INUSE;
	if (command->kind == DVK_REPLICA &&
	    (!endpoint->replica || core_primary(endpoint, command->process.node)))
		return DVS_INUSE;
	return endpoint->n_bindings < CORE_BINDINGS_MAX ? DVS_OK : DVS_FULL;
}

static dvs_err bind_check_args(const struct core_command *command)
{
	dvs_ep want = { command->ep };

	if (command->kind < DVK_LOCAL || command->kind > DVK_REPLICA)
		return DVS_BADARG;
	if (command->process.node >= CORE_NODES_MAX || command->process.pid == 0)
		return DVS_BADARG;
	if (command->privileges.n_call_to > DVS_RANGES_MAX)
		return DVS_BADARG;
	if (dvs_ep_is_any(want))
		return command->kind == DVK_LOCAL ? DVS_OK : DVS_BADARG;
	return dvs_ep_number(want) <= DVS_EP_NUMBER_MAX ? DVS_OK : DVS_BADARG;
}

/* Everything that can fail is done before anything changes that would show. GENERATION 0: the next one. */
static dvs_err bind_make(struct core *core, struct core_dc *dc, uint32_t number,
			 uint32_t generation, const struct core_command *command,
			 struct core_binding **made)
{
	struct core_binding *binding = calloc(1, sizeof(*binding));
	struct core_endpoint *endpoint;
	struct core_holder *holder;
	struct core_number *entry;

	if (!binding || number_page(dc, number, &entry) != DVS_OK)
		goto undo_binding;
	if (holder_get(core, &command->process, command->area, &holder) != DVS_OK)
		goto undo_binding;
	endpoint = entry->endpoint;
	if (!endpoint) {
		if (generation == 0)
			generation = entry->generation % CORE_GENERATION_MAX + 1;
		endpoint = endpoint_add(core, dc, number, generation);
		if (!endpoint)
			goto undo_holder;
		endpoint->replica = command->kind == DVK_REPLICA;
		endpoint->privileges = command->privileges;
	}
	binding->id = core->next_binding++;
	binding->kind = (enum dvk_kind)command->kind;
	binding->role = command->kind == DVK_BACKUP ? CORE_BACKUP : CORE_PRIMARY;
	binding->node = command->process.node;
	binding->slot = command->slot;
	binding->given = (command->flags & CORE_F_GIVEN) != 0;
	binding->inside = (command->flags & CORE_F_INSIDE) != 0;
	binding_attach(binding, endpoint, holder);
	*made = binding;
	return DVS_OK;

undo_holder:
	holder_put(core, holder);
undo_binding:
	free(binding);
	return DVS_NOMEM;
}

dvs_err step_bind(struct core *core, const struct core_command *command,
		  struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);
	struct core_binding *binding;
	uint32_t number = dvs_ep_number((dvs_ep){ command->ep });
	bool any = dvs_ep_is_any((dvs_ep){ command->ep });
	dvs_err err = bind_check_args(command);

	if (err != DVS_OK)
		return err;
	if (!dc)
		return DVS_NODC;
	if (!node_can_hold(core, command->process.node))
		return DVS_NODEDOWN;
	if (any) {
		err = client_number(dc, command->process.node, &number);
	} else {
		const struct core_number *entry = number_find(dc, number);

		err = bind_check(entry ? entry->endpoint : NULL, command);
	}
	if (err == DVS_OK)
		err = effects_reserve(effects, 1);
	if (err == DVS_OK)
		err = bind_make(core, dc, number, 0, command, &binding);
	if (err != DVS_OK)
		return err;
	if (any)
		dc->next_client[command->process.node] = (number + 1) % CORE_CLIENTS;
	effects_add(effects, CORE_BOUND, binding->endpoint, binding);
	return DVS_OK;
}

/* Nobody may have had the number since: then the generation is the one that its partners know. A backup comes back only to the
 * primary that was cut off with it; with any other it has missed something. */
static dvs_err rebind_check(const struct core_dc *dc, const struct core_command *command)
{
	const struct core_number *entry = number_find(dc, dvs_ep_number((dvs_ep){ command->ep }));
	const struct core_endpoint *endpoint = entry ? entry->endpoint : NULL;
	const struct core_binding *primary;

	if (dvs_ep_generation((dvs_ep){ command->ep }) == 0)
		return DVS_BADARG;
	if (entry && entry->generation != 0 &&
	    entry->generation != dvs_ep_generation((dvs_ep){ command->ep }))
		return DVS_INUSE;
	if (command->kind == DVK_BACKUP && endpoint) {
		primary = core_primary(endpoint, command->process.node);
		if (!primary || primary->node != command->process.node)
			return DVS_INUSE;
	}
	return bind_check(endpoint, command);
}

dvs_err step_rebind(struct core *core, const struct core_command *command,
		    struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);
	struct core_binding *binding;
	dvs_err err = bind_check_args(command);

	if (err == DVS_OK && dvs_ep_is_any((dvs_ep){ command->ep }))
		err = DVS_BADARG;
	if (err != DVS_OK)
		return err;
	if (!dc)
		return DVS_NODC;
	if (!node_can_hold(core, command->process.node))
		return DVS_NODEDOWN;
	err = rebind_check(dc, command);
	if (err == DVS_OK)
		err = effects_reserve(effects, 1);
	if (err == DVS_OK)
		err = bind_make(core, dc, dvs_ep_number((dvs_ep){ command->ep }),
				dvs_ep_generation((dvs_ep){ command->ep }), command, &binding);
	if (err == DVS_OK)
		effects_add(effects, CORE_BOUND, binding->endpoint, binding);
	return err;
}

static void binding_drop(struct core *core, struct core_binding *binding,
			 struct core_effects *effects)
{
	effects_add(effects, CORE_UNBOUND, binding->endpoint, binding)->binding = NULL;
	binding_free(core, binding);
}

void backup_promote(struct core_endpoint *endpoint, struct core_binding *next,
		    struct core_effects *effects)
{
	effects_add(effects, CORE_PROMOTED, endpoint, next);
	next->role = CORE_PRIMARY;
	next->kind = DVK_LOCAL;
}

void binding_end(struct core *core, struct core_binding *binding, struct core_effects *effects)
{
	struct core_endpoint *endpoint = binding->endpoint;
	bool was_primary = binding->role == CORE_PRIMARY;
	struct core_binding *next;

	if (was_primary)
		endpoint->migrating = endpoint->parked = false;
	binding_drop(core, binding, effects);
	next = was_primary ? core_heir(core, endpoint) : NULL;
	if (next) {
		backup_promote(endpoint, next, effects);
		endpoint->n_backups--;
	}
	if (endpoint->n_bindings == 0) {
		effects_add(effects, CORE_OVER, endpoint, NULL);
		endpoint_free(core, endpoint);
	}
}

void endpoint_end(struct core *core, struct core_endpoint *endpoint, struct core_effects *effects)
{
	LIST_FOREACH_SAFE(link, &endpoint->bindings)
		binding_drop(core, CONTAINER_OF(link, struct core_binding, of_endpoint), effects);
	effects_add(effects, CORE_OVER, endpoint, NULL);
	endpoint_free(core, endpoint);
}

dvs_err step_unbind(struct core *core, const struct core_command *command,
		    struct core_effects *effects)
{
	const struct core_dc *dc = core_dc_find(core, command->dc);
	const struct core_endpoint *endpoint = dc ? core_endpoint_find(dc, command->ep) : NULL;
	struct core_binding *binding;

	if (!dc)
		return DVS_NODC;
	binding = endpoint ? core_binding_of(endpoint, &command->process) : NULL;
	if (!binding)
		return DVS_NODEST;
	if (effects_reserve(effects, 3) != DVS_OK)
		return DVS_NOMEM;
	binding_end(core, binding, effects);
	return DVS_OK;
}

dvs_err step_endpoint_end(struct core *core, const struct core_command *command,
			  struct core_effects *effects)
{
	const struct core_dc *dc = core_dc_find(core, command->dc);
	struct core_endpoint *endpoint = dc ? core_endpoint_find(dc, command->ep) : NULL;

	if (!dc)
		return DVS_NODC;
	if (!endpoint)
		return DVS_NODEST;
	if (effects_reserve(effects, (size_t)endpoint->n_bindings + 1) != DVS_OK)
		return DVS_NOMEM;
	endpoint_end(core, endpoint, effects);
	return DVS_OK;
}

/* The endpoint of a process that dies while it migrates stays, so that the commit can go on
 * without it. */
static void holder_end(struct core *core, struct core_holder *holder, struct core_effects *effects)
{
	/* the last round frees the holder */
	for (size_t left = holder->n_bindings; left > 0; left--) {
		struct core_binding *binding =
			CONTAINER_OF(holder->bindings.next, struct core_binding, of_holder);

		if (binding->endpoint->migrating && binding->role == CORE_PRIMARY) {
			effects_add(effects, CORE_ORPHANED, binding->endpoint, binding);
			binding_detach_holder(core, binding);
		} else {
			binding_end(core, binding, effects);
		}
	}
}

dvs_err step_process_dead(struct core *core, const struct core_command *command,
			  struct core_effects *effects)
{
	struct core_holder *holder = core_holder_find(core, &command->process);

	if (!holder)
		return DVS_NOPROC;
	if (effects_reserve(effects, holder->n_bindings * 3) != DVS_OK)
		return DVS_NOMEM;
	holder_end(core, holder, effects);
	return DVS_OK;
}

dvs_err step_process_area(struct core *core, const struct core_command *command,
			  struct core_effects *effects)
{
	struct core_holder *holder = core_holder_find(core, &command->process);

	(void)effects;
	if (!holder)
		return DVS_NOPROC;
	holder->area = command->area;
	return DVS_OK;
}

dvs_err step_privileges_set(struct core *core, const struct core_command *command,
			    struct core_effects *effects)
{
	const struct core_dc *dc = core_dc_find(core, command->dc);
	struct core_endpoint *endpoint = dc ? core_endpoint_find(dc, command->ep) : NULL;

	if (command->privileges.n_call_to > DVS_RANGES_MAX)
		return DVS_BADARG;
	if (!dc)
		return DVS_NODC;
	if (!endpoint)
		return DVS_NODEST;
	if (effects_reserve(effects, 1) != DVS_OK)
		return DVS_NOMEM;
	endpoint->privileges = command->privileges;
	effects_add(effects, CORE_PRIVILEGES_CHANGED, endpoint, NULL);
	return DVS_OK;
}

bool core_may_call(const struct core_endpoint *endpoint, uint32_t number)
{
	const struct dvk_privileges *privileges = &endpoint->privileges;

	for (uint32_t i = 0; i < privileges->n_call_to; i++) {
		if (number >= privileges->call_to[i].first && number <= privileges->call_to[i].last)
			return true;
	}
	return false;
}
