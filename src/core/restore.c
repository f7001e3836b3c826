/* SPDX-License-Identifier: Apache-2.0 */
/* Snapshots: the state as the commands that rebuild it, and those commands. A snapshot comes
 * from a file or from another node, so what it says is checked like any other command. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

dvs_err step_restore_counters(struct core *core, const struct core_command *command,
			      struct core_effects *effects)
{
	(void)effects;
	/* versions are never used up by counting */
	if (command->count == 0 || command->count > UINT32_MAX || command->area > UINT64_MAX / 2)
		return DVS_BADARG;
	if (core->n_dcs > 0)
		return DVS_BADSTATE;
	core->next_dc = (uint32_t)command->count;
	core->next_binding = command->id;
	core->last_version = command->area;
	return DVS_OK;
}

dvs_err step_restore_clients(struct core *core, const struct core_command *command,
			     struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);

	(void)effects;
	if (!dc)
		return DVS_NODC;
	if (command->node >= CORE_NODES_MAX || command->count >= CORE_CLIENTS)
		return DVS_BADARG;
	dc->next_client[command->node] = (uint32_t)command->count;
	return DVS_OK;
}

dvs_err step_restore_number(struct core *core, const struct core_command *command,
			    struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);
	uint32_t number = dvs_ep_number((dvs_ep){ command->ep });
	struct core_number *entry;

	(void)core;
	(void)effects;
	if (!dc)
		return DVS_NODC;
	if (number > DVS_EP_NUMBER_MAX)
		return DVS_BADARG;
	if (number_page(dc, number, &entry) != DVS_OK)
		return DVS_NOMEM;
	if (entry->endpoint)
		return DVS_INUSE;
	entry->generation = dvs_ep_generation((dvs_ep){ command->ep });
	return DVS_OK;
}

dvs_err step_restore_endpoint(struct core *core, const struct core_command *command,
			      struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);
	uint32_t number = dvs_ep_number((dvs_ep){ command->ep });
	uint32_t generation = dvs_ep_generation((dvs_ep){ command->ep });
	struct core_endpoint *endpoint;
	struct core_number *entry;

	(void)effects;
	if (!dc)
		return DVS_NODC;
	if ((command->flags & CORE_F_MIGRATING) && (command->flags & CORE_F_REPLICA))
		return DVS_BADARG;
	if (number > DVS_EP_NUMBER_MAX || generation == 0 ||
	    command->privileges.n_call_to > DVS_RANGES_MAX)
		return DVS_BADARG;
	if (number_page(dc, number, &entry) != DVS_OK)
		return DVS_NOMEM;
	if (entry->endpoint)
		return DVS_INUSE;
	endpoint = endpoint_add(core, dc, number, generation);
	if (!endpoint)
		return DVS_NOMEM;
	endpoint->migrating = (command->flags & CORE_F_MIGRATING) != 0;
	endpoint->migration = command->migration;
	endpoint->replica = (command->flags & CORE_F_REPLICA) != 0;
	endpoint->privileges = command->privileges;
	return DVS_OK;
}

static dvs_err restore_check(const struct core_endpoint *endpoint,
			     const struct core_command *command)
{
	bool orphan = (command->flags & CORE_F_ORPHAN) != 0;
	const struct core_binding *primary = core_primary(endpoint, command->node);

	if (command->kind < DVK_LOCAL || command->kind > DVK_REPLICA ||
	    command->node >= CORE_NODES_MAX || command->process.node >= CORE_NODES_MAX)
		return DVS_BADARG;
	if (command->role != CORE_PRIMARY && command->role != CORE_BACKUP)
		return DVS_BADARG;
	if (!orphan && (command->process.pid == 0 || command->process.node != command->node))
		return DVS_BADARG;
	if (endpoint->replica != (command->kind == DVK_REPLICA) ||
	    (endpoint->replica && command->role != CORE_PRIMARY))
		return DVS_BADARG;
	if (endpoint->n_bindings == CORE_BINDINGS_MAX)
		return DVS_FULL;
	if (command->role == CORE_PRIMARY && primary)
		return DVS_INUSE;
	if (!orphan && core_binding_of(endpoint, &command->process))
		return DVS_INUSE;
	if (orphan && (!endpoint->migrating || command->role != CORE_PRIMARY))
		return DVS_BADARG;
	return DVS_OK;
}

dvs_err step_restore_binding(struct core *core, const struct core_command *command,
			     struct core_effects *effects)
{
	const struct core_dc *dc = core_dc_find(core, command->dc);
	struct core_endpoint *endpoint = dc ? core_endpoint_find(dc, command->ep) : NULL;
	struct core_holder *holder = NULL;
	struct core_binding *binding;
	dvs_err err;

	if (!dc)
		return DVS_NODC;
	if (!endpoint)
		return DVS_NODEST;
	err = restore_check(endpoint, command);
	if (err == DVS_OK)
		err = effects_reserve(effects, 1);
	if (err != DVS_OK)
		return err;
	binding = calloc(1, sizeof(*binding));
	if (!binding)
		return DVS_NOMEM;
	if (!(command->flags & CORE_F_ORPHAN))
		err = holder_get(core, &command->process, command->area, &holder);
	if (err != DVS_OK) {
		free(binding);
		return err;
	}
	binding->id = command->id;
	binding->kind = (enum dvk_kind)command->kind;
	binding->role = (enum core_role)command->role;
	binding->node = command->node;
	binding->slot = command->slot;
	binding->given = (command->flags & CORE_F_GIVEN) != 0;
	binding->inside = (command->flags & CORE_F_INSIDE) != 0;
	binding_attach(binding, endpoint, holder);
	effects_add(effects, CORE_BOUND, endpoint, binding);
	return DVS_OK;
}

/* What an endpoint that migrates owes, as the commands that told it. */
static void restore_end_dc(struct core *core, const struct core_dc *dc)
{
	struct core_endpoint *endpoint;
	uint32_t number = 0;

	while ((endpoint = core_endpoint_from(dc, number)) != NULL) {
		struct core_binding *binding = core_heir(core, endpoint);

		number = dvs_ep_number(endpoint->ep) + 1;
		if (endpoint->n_bindings == 0) {
			endpoint_free(core, endpoint);
		} else if (binding && !core_primary(endpoint, binding->node)) {
			binding->role = CORE_PRIMARY;
			binding->kind = DVK_LOCAL;
			endpoint->n_backups--;
		}
	}
}

void restore_end(struct core *core)
{
	if (!core->restoring)
		return;
	core->restoring = false;
	for (size_t i = 0; i < core->n_dcs; i++) {
		restore_end_dc(core, core->dcs[i]);
		groups_restore_end(core->dcs[i]);
	}
}

static dvs_err emit_parked(const struct core_endpoint *endpoint, core_emit emit, void *context)
{
	struct core_command command = { .op = CORE_PARKED,
					.dc = endpoint->dc->id,
					.ep = endpoint->ep.n,
					.migration = endpoint->migration };
	uint32_t done = 0;
	dvs_err err = DVS_OK;

	if (!endpoint->migrating || (!endpoint->parked && endpoint->n_taken == 0))
		return DVS_OK;
	do {
		uint32_t left = endpoint->n_taken - done;

		command.n_taken = left < CORE_COMMAND_TAKEN ? left : CORE_COMMAND_TAKEN;
		if (command.n_taken > 0)
			memcpy(command.taken, endpoint->taken + done,
			       command.n_taken * sizeof(*command.taken));
		done += command.n_taken;
		command.flags = done < endpoint->n_taken || !endpoint->parked ? CORE_F_MORE : 0;
		err = emit(context, &command);
	} while (err == DVS_OK && done < endpoint->n_taken);
	return err;
}

static dvs_err emit_endpoint(const struct core_endpoint *endpoint, core_emit emit, void *context)
{
	struct core_command command = {
		.op = CORE_RESTORE_ENDPOINT,
		.dc = endpoint->dc->id,
		.ep = endpoint->ep.n,
		.flags = (endpoint->migrating ? CORE_F_MIGRATING : 0) |
			 (endpoint->replica ? CORE_F_REPLICA : 0),
		.migration = endpoint->migration,
		.privileges = endpoint->privileges,
	};
	dvs_err err = emit(context, &command);

	if (err != DVS_OK)
		return err;
	LIST_FOREACH(link, &endpoint->bindings) {
		const struct core_binding *binding =
			CONTAINER_OF(link, struct core_binding, of_endpoint);

		memset(&command, 0, sizeof(command));
		command.op = CORE_RESTORE_BINDING;
		command.dc = endpoint->dc->id;
		command.ep = endpoint->ep.n;
		command.id = binding->id;
		command.kind = binding->kind;
		command.role = binding->role;
		command.node = binding->node;
		command.slot = binding->slot;
		command.flags = (binding->given ? CORE_F_GIVEN : 0) |
				(binding->inside ? CORE_F_INSIDE : 0);
		if (binding->holder) {
			command.process = binding->holder->id;
			command.area = binding->holder->area;
		} else {
			command.flags |= CORE_F_ORPHAN;
		}
		err = emit(context, &command);
		if (err != DVS_OK)
			return err;
	}
	return emit_parked(endpoint, emit, context);
}

static dvs_err emit_number(const struct core_dc *dc, uint32_t number, core_emit emit, void *context)
{
	const struct core_number *entry =
		&dc->pages[number / CORE_PAGE_NUMBERS][number % CORE_PAGE_NUMBERS];
	struct core_command command = { .op = CORE_RESTORE_NUMBER, .dc = dc->id };

	if (entry->endpoint)
		return emit_endpoint(entry->endpoint, emit, context);
	if (entry->generation == 0)
		return DVS_OK;
	command.ep = entry->generation << DVS_EP_NUMBER_BITS | number;
	return emit(context, &command);
}

static dvs_err emit_dc(const struct core_dc *dc, core_emit emit, void *context)
{
	struct core_command command = {
		.op = CORE_RESTORE_DC, .dc = dc->id, .owner_uid = dc->owner_uid, .count = dc->change
	};
	dvs_err err;

	memcpy(command.name, dc->name, sizeof(command.name));
	err = emit(context, &command);
	if (err == DVS_OK)
		err = containers_emit(dc, emit, context);
	if (err == DVS_OK)
		err = records_emit(dc, emit, context);
	for (uint32_t node = 0; node < CORE_NODES_MAX && err == DVS_OK; node++) {
		command = (struct core_command){ .op = CORE_RESTORE_CLIENTS,
						 .dc = dc->id,
						 .node = node,
						 .count = dc->next_client[node] };
		if (command.count != 0)
			err = emit(context, &command);
	}
	for (uint32_t page = 0; page < CORE_PAGES && err == DVS_OK; page++) {
		if (!dc->pages[page])
			continue;
		for (uint32_t i = 0; i < CORE_PAGE_NUMBERS && err == DVS_OK; i++)
			err = emit_number(dc, page * CORE_PAGE_NUMBERS + i, emit, context);
	}
	return err;
}

dvs_err core_snapshot(const struct core *core, core_emit emit, void *context)
{
	struct core_command command = { .op = CORE_RESTORE_COUNTERS,
					.count = core->next_dc,
					.id = core->next_binding,
					.area = core->last_version };
	dvs_err err = emit(context, &command);

	if (err == DVS_OK)
		err = nodes_emit(core, emit, context);
	for (size_t i = 0; i < core->n_dcs && err == DVS_OK; i++)
		err = emit_dc(core->dcs[i], emit, context);
	return err == DVS_OK ? groups_emit(core, emit, context) : err;
}

/* FNV-1a over the bytes of the snapshot. */
static dvs_err digest_add(void *context, const struct core_command *command)
{
	uint8_t bytes[CORE_COMMAND_BYTES_MAX];
	struct writer out = writer_over(bytes, sizeof(bytes));
	uint64_t *digest = context;

	core_command_encode(&out, command);
	for (size_t i = 0; i < writer_len(&out); i++)
		*digest = (*digest ^ bytes[i]) * UINT64_C(0x100000001b3);
	return DVS_OK;
}

uint64_t core_digest(const struct core *core)
{
	uint64_t digest = UINT64_C(0xcbf29ce484222325);

	dvs_err err = core_snapshot(core, digest_add, &digest);

	assert(err == DVS_OK); /* digest_add never fails */
	(void)err;
	return digest;
}
