/* SPDX-License-Identifier: Apache-2.0 */
/* The volumes of a dvs.yaml, as far as the file alone tells what is wrong with them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/volume.h"
#include "manage/compose/reading.h"
#include "manage/compose/units.h"

static bool check_name(const struct reading *reading, const yaml_node_t *key)
{
	char shown[DOCUMENT_SHOWN_BYTES];

	if (volume_name_ok(reading_text(key)))
		return true;
	return reading_fail(
		reading, key,
		"'%s' is not made of %d letters, digits, '-', '_' and '.' (the first no '-' or "
		"'.') at most",
		document_shown(key, shown), VOLUME_NAME_MAX);
}

/* What is wrong with it as "KEY: sentence"; false: nothing. */
static bool is_wrong(const json_t *json, char *why, size_t room)
{
	uint64_t bytes = (uint64_t)json_integer_value(json_object_get(json, "bytes"));
	const char *store = json_string_value(json_object_get(json, "store"));
	bool is_file = !store || strcmp(store, "file") == 0;
	char text[UNITS_TEXT_BYTES];

	units_bytes_text((bytes / VOLUME_BLOCK_BYTES + 1) * VOLUME_BLOCK_BYTES, text);
	if (bytes % VOLUME_BLOCK_BYTES != 0)
		(void)snprintf(why, room, "bytes: must be a multiple of %u bytes; the next is %s",
			       VOLUME_BLOCK_BYTES, text);
	else if (json_object_get(json, "replicas") && json_object_get(json, "nodes"))
		(void)snprintf(why, room,
			       "replicas: 'nodes' says where they are, and so how many; leave out "
			       "one");
	else if (json_is_true(json_object_get(json, "direct")) && !is_file)
		(void)snprintf(why, room, "direct: only a store 'file' can be direct");
	else if (json_object_get(json, "lag_bytes") &&
		 !json_is_true(json_object_get(json, "async")))
		(void)snprintf(why, room,
			       "lag_bytes: only an asynchronous volume has a lag; say 'async: "
			       "true', too");
	else
		return false;
	return true;
}

static bool read_disk(struct reading *reading, const struct schema_row *row, const yaml_node_t *key,
		      const yaml_node_t *node)
{
	struct compose_dc *dc = reading->dc;
	struct compose_program *disk;
	struct reading_level level;
	char prefix[COMPOSE_PATH_MAX];
	char why[256];

	if (!check_name(reading, key))
		return false;
	disk = reading_add(&dc->disks, &dc->n_disks, reading_text(key));
	if (!disk)
		return reading_no_memory(reading, node);
	(void)snprintf(prefix, sizeof(prefix), "disk/%s:", disk->name);
	if (!reading_enter(reading, key, disk->name, prefix, &level) ||
	    !reading_part(reading, node, row->sub, disk->json))
		return false;
	if (is_wrong(disk->json, why, sizeof(why)))
		return reading_refused(reading, prefix, why);
	reading_leave(reading, level);
	return true;
}

bool reading_disks(struct reading *reading, const struct schema_row *row, const yaml_node_t *node)
{
	struct reading_pairs *pairs = malloc(sizeof(*pairs));
	bool good = pairs && reading_pairs(reading, node, pairs);

	if (good && pairs->n > row->max)
		good = reading_fail(reading, node, "a DC has at most %llu volumes",
				    (unsigned long long)row->max);
	for (size_t i = 0; good && i < pairs->n; i++)
		good = read_disk(reading, row, pairs->pair[i].key, pairs->pair[i].value);
	if (!pairs)
		good = reading_no_memory(reading, node);
	free(pairs);
	return good;
}
