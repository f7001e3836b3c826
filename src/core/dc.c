/* SPDX-License-Identifier: Apache-2.0 */
/* DCs: made, found, removed. Ids rise and are never used again. */
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

bool core_name_ok(const char *name)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_.";
	size_t len = strlen(name);

	return len > 0 && len <= DVS_NAME_MAX && name[0] != '.' && strspn(name, letters) == len;
}

bool core_name_is_hidden(const char *name)
{
	return name[0] == '.';
}

static bool dc_name_ok(const char *name, bool hidden)
{
	return core_name_ok(hidden && core_name_is_hidden(name) ? name + 1 : name);
}

/* The place of the first DC whose id is at least ID. */
static size_t dc_place(const struct core *core, uint32_t id)
{
	size_t low = 0;
	size_t high = core->n_dcs;

	while (low < high) {
		size_t middle = (low + high) / 2;

		if (core->dcs[middle]->id.n < id)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct core_dc *core_dc_find(const struct core *core, dvs_dcid dc)
{
	size_t at = dc_place(core, dc.n);

	return at < core->n_dcs && core->dcs[at]->id.n == dc.n ? core->dcs[at] : NULL;
}

struct core_dc *core_dc_by_name(const struct core *core, const char *name)
{
	for (size_t i = 0; i < core->n_dcs; i++) {
		if (strcmp(core->dcs[i]->name, name) == 0)
			return core->dcs[i];
	}
	return NULL;
}

struct core_dc *core_dc_next(const struct core *core, uint32_t after)
{
	size_t at = after == UINT32_MAX ? core->n_dcs : dc_place(core, after + 1);

	return at < core->n_dcs ? core->dcs[at] : NULL;
}

size_t core_n_dcs(const struct core *core)
{
	return core->n_dcs;
}

void dc_free(struct core *core, struct core_dc *dc)
{
	records_free(core, dc);
	free(dc->containers);
	for (size_t i = 0; i < CORE_PAGES; i++)
		free(dc->pages[i]);
	free(dc);
}

dvs_err dc_add(struct core *core, uint32_t id, const char *name, uint32_t owner_uid,
	       struct core_dc **added)
{
	struct core_dc *dc;
	size_t at = dc_place(core, id);

	if (core_dc_by_name(core, name) || (at < core->n_dcs && core->dcs[at]->id.n == id))
		return DVS_EXISTS;
	if (core->n_dcs == CORE_DCS_MAX)
		return DVS_FULL;
	dc = calloc(1, sizeof(*dc));
	if (!dc)
		return DVS_NOMEM;
	dc->id.n = id;
	dc->owner_uid = owner_uid;
	list_init(&dc->groups);
	list_init(&dc->records);
	memcpy(dc->name, name, strlen(name) + 1);
	memmove(&core->dcs[at + 1], &core->dcs[at], (core->n_dcs - at) * sizeof(struct core_dc *));
	core->dcs[at] = dc;
	core->n_dcs++;
	*added = dc;
	return DVS_OK;
}

dvs_err step_dc_create(struct core *core, const struct core_command *command,
		       struct core_effects *effects)
{
	struct core_dc *dc;
	dvs_err err;

	if (!dc_name_ok(command->name, command->flags & CORE_F_HIDDEN))
		return DVS_BADARG;
	if (core->next_dc == UINT32_MAX)
		return DVS_FULL;
	err = effects_reserve(effects, 1);
	if (err == DVS_OK)
		err = dc_add(core, core->next_dc, command->name, command->owner_uid, &dc);
	if (err != DVS_OK)
		return err;
	core->next_dc++;
	effects_add(effects, CORE_DC_CREATED, NULL, NULL)->dc = dc->id;
	return DVS_OK;
}

dvs_err step_restore_dc(struct core *core, const struct core_command *command,
			struct core_effects *effects)
{
	struct core_dc *dc;
	dvs_err err;

	if (command->dc.n == 0 || command->dc.n >= core->next_dc ||
	    !dc_name_ok(command->name, true) || command->count > core->last_version)
		return DVS_BADARG;
	err = effects_reserve(effects, 1);
	if (err == DVS_OK)
		err = dc_add(core, command->dc.n, command->name, command->owner_uid, &dc);
	if (err != DVS_OK)
		return err;
	dc->change = command->count;
	effects_add(effects, CORE_DC_CREATED, NULL, NULL)->dc = command->dc;
	return DVS_OK;
}

size_t dc_end_effects(const struct core_dc *dc)
{
	return (size_t)dc->n_bindings + dc->n_endpoints + 1;
}

void dc_end(struct core *core, struct core_dc *dc, struct core_effects *effects)
{
	struct core_endpoint *endpoint;
	uint32_t number = 0;
	size_t at;

	while ((endpoint = core_endpoint_from(dc, number)) != NULL) {
		number = dvs_ep_number(endpoint->ep);
		endpoint_end(core, endpoint, effects);
	}
	at = dc_place(core, dc->id.n);
	core->n_dcs--;
	memmove(&core->dcs[at], &core->dcs[at + 1], (core->n_dcs - at) * sizeof(struct core_dc *));
	effects_add(effects, CORE_DC_REMOVED, NULL, NULL)->dc = dc->id;
	dc_free(core, dc);
}

/* One with containers ends with them: CORE_CONTAINER_REMOVE. */
dvs_err step_dc_remove(struct core *core, const struct core_command *command,
		       struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);

	if (!dc)
		return DVS_NODC;
	if (dc->containers || (dc->n_endpoints > 0 && !(command->flags & CORE_F_FORCE)))
		return DVS_BADSTATE;
	if (effects_reserve(effects, dc_end_effects(dc)) != DVS_OK)
		return DVS_NOMEM;
	dc_end(core, dc, effects);
	return DVS_OK;
}
