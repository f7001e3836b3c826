/* SPDX-License-Identifier: Apache-2.0 */
/* Records: named texts of a DC, which say what is wanted in it. The core keeps them and never reads them.
 *
 * Versions of records and changes of DCs come from one counter, so that none is used twice, whatever was removed. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "core/internal.h"

/* What keeping one takes beside its value. */
#define RECORD_BYTES sizeof(struct core_record)

bool core_key_ok(const char *key)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "0123456789-_./";
	size_t len = strlen(key);

	return len > 0 && len <= DVS_NAME_MAX && strspn(key, letters) == len;
}

static struct core_record *record_at(struct list *link)
{
	return CONTAINER_OF(link, struct core_record, of_dc);
}

struct core_record *core_record_find(const struct core_dc *dc, const char *key)
{
	LIST_FOREACH(at, &dc->records) {
		if (strcmp(record_at(at)->key, key) == 0)
			return record_at(at);
	}
	return NULL;
}

struct core_record *core_record_after(const struct core_dc *dc, const char *key)
{
	LIST_FOREACH(at, &dc->records) {
		if (strcmp(record_at(at)->key, key) > 0)
			return record_at(at);
	}
	return NULL;
}

void dc_touch(struct core *core, struct core_dc *dc)
{
	dc->change = ++core->last_version;
}

void effects_add_dc(struct core_effects *effects, enum core_effect_kind kind,
		    const struct core_dc *dc, uint32_t node, const char *text)
{
	struct core_effect *effect = effects_add(effects, kind, NULL, NULL);

	effect->dc = dc->id;
	effect->node = node;
	effect->text = text;
}

struct core_record *record_new(const struct core_command *command, const char *key)
{
	struct core_record *record = calloc(1, sizeof(*record) + command->n_value);

	if (!record)
		return NULL;
	assert(strlen(key) < sizeof(record->key));
	memcpy(record->key, key, strlen(key) + 1);
	record->len = command->n_value;
	if (record->len > 0)
		memcpy(record->value, command->value, record->len);
	return record;
}

void record_add(struct core *core, struct core_dc *dc, struct core_record *record, uint64_t version)
{
	struct core_record *after = core_record_after(dc, record->key);
	struct list *next = after ? &after->of_dc : &dc->records;

	record->version = version;
	list_insert_between(&record->of_dc, next->prev, next);
	dc->n_records++;
	core->record_bytes += RECORD_BYTES + record->len;
}

static void record_free(struct core *core, struct core_dc *dc, struct core_record *record)
{
	list_remove(&record->of_dc);
	dc->n_records--;
	core->record_bytes -= RECORD_BYTES + record->len;
	free(record);
}

void records_free(struct core *core, struct core_dc *dc)
{
	LIST_FOREACH_SAFE(at, &dc->records)
		record_free(core, dc, record_at(at));
}

bool records_are_full(const struct core *core, const struct core_dc *dc, size_t len)
{
	return (dc && dc->n_records == DVK_RECORDS_MAX) ||
	       core->record_bytes + RECORD_BYTES + len > CORE_RECORD_BYTES_MAX;
}

/* Of a DC that goes nothing is wanted any more. */
static struct core_dc *dc_that_stays(const struct core *core, dvs_dcid id)
{
	struct core_dc *dc = core_dc_find(core, id);

	if (dc && dc->containers && dc->containers->phase != DVK_CREATING &&
	    dc->containers->phase != DVK_RUNS)
		return NULL;
	return dc;
}

dvs_err step_record_set(struct core *core, const struct core_command *command,
			struct core_effects *effects)
{
	struct core_dc *dc = dc_that_stays(core, command->dc);
	struct core_record *former = dc ? core_record_find(dc, command->name) : NULL;
	struct core_record *record;

	if (!core_key_ok(command->name) || command->n_value > DVK_VALUE_MAX)
		return DVS_BADARG;
	if (!dc)
		return DVS_NODC;
	if (command->count == 0 && former)
		return DVS_EXISTS;
	if (command->count != 0 && command->count != DVK_VERSION_ANY &&
	    (!former || former->version != command->count))
		return former ? DVS_EXISTS : DVS_NOTFOUND;
	if (records_are_full(core, former ? NULL : dc, command->n_value))
		return DVS_FULL;
	if (effects_reserve(effects, 1) != DVS_OK)
		return DVS_NOMEM;
	record = record_new(command, command->name);
	if (!record)
		return DVS_NOMEM;
	if (former)
		record_free(core, dc, former);
	dc_touch(core, dc);
	record_add(core, dc, record, dc->change);
	effects_add_dc(effects, CORE_DC_CHANGED, dc, CORE_NODES_MAX, NULL);
	return DVS_OK;
}

dvs_err step_record_remove(struct core *core, const struct core_command *command,
			   struct core_effects *effects)
{
	struct core_dc *dc = dc_that_stays(core, command->dc);
	struct core_record *record = dc ? core_record_find(dc, command->name) : NULL;

	if (!dc)
		return DVS_NODC;
	if (!record)
		return DVS_NOTFOUND;
	if (dc->containers && strcmp(record->key, CORE_DESCRIPTION) == 0)
		return DVS_BADARG;
	if (effects_reserve(effects, 1) != DVS_OK)
		return DVS_NOMEM;
	record_free(core, dc, record);
	dc_touch(core, dc);
	effects_add_dc(effects, CORE_DC_CHANGED, dc, CORE_NODES_MAX, NULL);
	return DVS_OK;
}

dvs_err step_restore_record(struct core *core, const struct core_command *command,
			    struct core_effects *effects)
{
	struct core_dc *dc = core_dc_find(core, command->dc);
	struct core_record *record;

	(void)effects;
	if (!dc)
		return DVS_NODC;
	if (!core_key_ok(command->name) || command->n_value > DVK_VALUE_MAX ||
	    command->count == 0 || command->count > core->last_version)
		return DVS_BADARG;
	if (core_record_find(dc, command->name))
		return DVS_EXISTS;
	if (records_are_full(core, dc, command->n_value))
		return DVS_FULL;
	record = record_new(command, command->name);
	if (!record)
		return DVS_NOMEM;
	record_add(core, dc, record, command->count);
	return DVS_OK;
}

dvs_err records_emit(const struct core_dc *dc, core_emit emit, void *context)
{
	dvs_err err = DVS_OK;

	LIST_FOREACH(at, &dc->records) {
		const struct core_record *record = record_at(at);
		struct core_command command = { .op = CORE_RESTORE_RECORD,
						.dc = dc->id,
						.count = record->version,
						.value = record->value,
						.n_value = record->len };

		memcpy(command.name, record->key, sizeof(command.name));
		err = emit(context, &command);
		if (err != DVS_OK)
			break;
	}
	return err;
}
