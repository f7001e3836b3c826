/* SPDX-License-Identifier: Apache-2.0 */
/* The file systems of a dvs.yaml, as far as the file alone tells what is wrong with them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "client/fs_record.h"
#include "manage/compose/reading.h"

static bool check_name(const struct reading *reading, const yaml_node_t *key)
{
	char shown[DOCUMENT_SHOWN_BYTES];

	if (fs_record_name_ok(reading_text(key)))
		return true;
	return reading_fail(
		reading, key,
		"'%s' is not made of %d letters, digits, '-', '_' and '.' (the first no '-' or "
		"'.') at most",
		document_shown(key, shown), FS_RECORD_NAME_MAX);
}

/* What it is on, said or not. */
static const char *store_of(const json_t *json)
{
	const char *store = json_string_value(json_object_get(json, "store"));

	if (store)
		return store;
	return json_object_get(json, "volume") ? "volume" :
	       json_object_get(json, "place")  ? "raw" :
						 "file";
}

/* What is wrong with it as "KEY: sentence"; false: nothing. */
static bool is_wrong(const json_t *json, char *why, size_t room)
{
	const char *store = store_of(json);
	const char *volume = json_string_value(json_object_get(json, "volume"));
	const char *place = json_string_value(json_object_get(json, "place"));
	uint64_t bytes = (uint64_t)json_integer_value(json_object_get(json, "bytes"));
	bool on_volume = strcmp(store, "volume") == 0;
	bool on_device = strcmp(store, "raw") == 0;

	if (on_volume && !volume)
		(void)snprintf(why, room, "store: say which volume: 'disk: NAME'");
	else if (on_device && !place)
		(void)snprintf(why, room, "store: say which device: 'device: /dev/NAME'");
	else if (volume && !on_volume)
		(void)snprintf(why, room, "volume: goes with 'store: volume' only");
	else if (place && !on_device)
		(void)snprintf(why, room, "place: goes with 'store: raw' only");
	else if (volume && !fs_record_name_ok(volume))
		(void)snprintf(why, room, "volume: is no name of a volume");
	else if (place && (place[0] != '/' || strlen(place) > FS_RECORD_PLACE_MAX))
		(void)snprintf(why, room, "place: must be an absolute path of at most %d bytes",
			       FS_RECORD_PLACE_MAX);
	else if (bytes && (on_volume || on_device))
		(void)snprintf(why, room, "bytes: it is as large as what it is on; leave it out");
	else if (!bytes && !on_volume && !on_device)
		(void)snprintf(why, room, "lacks 'size', or 'disk', the volume that it is on");
	else if (bytes % 4096 != 0)
		(void)snprintf(why, room, "bytes: must be a multiple of 4096 bytes");
	else if (!on_volume && json_array_size(json_object_get(json, "nodes")) > 1)
		(void)snprintf(why, room, "nodes: only one on a volume ('disk') can have backups");
	else
		return false;
	return true;
}

static bool read_filesystem(struct reading *reading, const struct schema_row *row,
			    const yaml_node_t *key, const yaml_node_t *node)
{
	struct compose_dc *dc = reading->dc;
	struct compose_program *fs;
	struct reading_level level;
	char prefix[COMPOSE_PATH_MAX];
	char why[256];

	if (!check_name(reading, key))
		return false;
	fs = reading_add(&dc->filesystems, &dc->n_filesystems, reading_text(key));
	if (!fs)
		return reading_no_memory(reading, node);
	(void)snprintf(prefix, sizeof(prefix), "fs/%s:", fs->name);
	if (!reading_enter(reading, key, fs->name, prefix, &level) ||
	    !reading_part(reading, node, row->sub, fs->json))
		return false;
	if (is_wrong(fs->json, why, sizeof(why)))
		return strncmp(why, "lacks", 5) == 0 ? reading_fail(reading, key, "%s", why) :
						       reading_refused(reading, prefix, why);
	if (json_object_set_new(fs->json, "store", json_string(store_of(fs->json))) != 0)
		return reading_no_memory(reading, node);
	reading_leave(reading, level);
	return true;
}

bool reading_filesystems(struct reading *reading, const struct schema_row *row,
			 const yaml_node_t *node)
{
	struct reading_pairs *pairs = malloc(sizeof(*pairs));
	bool good = pairs && reading_pairs(reading, node, pairs);

	if (good && pairs->n > row->max)
		good = reading_fail(reading, node, "a DC has at most %llu file systems",
				    (unsigned long long)row->max);
	for (size_t i = 0; good && i < pairs->n; i++)
		good = read_filesystem(reading, row, pairs->pair[i].key, pairs->pair[i].value);
	if (!pairs)
		good = reading_no_memory(reading, node);
	free(pairs);
	return good;
}
