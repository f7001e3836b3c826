/* SPDX-License-Identifier: Apache-2.0 */
#include "client/fs_record.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/compiler.h"
#include "client/record.h"
#include "client/volume.h"
#include "container/reader.h"

#define RECORD_PREFIX "fs/"
#define ID_BYTES 36u

_Static_assert(sizeof(RECORD_PREFIX) - 1 + FS_RECORD_NAME_MAX <= DVS_NAME_MAX, "a record's key");
_Static_assert(FS_RECORD_NAME_MAX == VOLUME_NAME_MAX, "one rule for names");

#define AT(member) offsetof(struct fs_record, member)

const char *const fs_record_stores[] = { "ram", "file", "raw", "volume", NULL };
static const char *const accesses[] = { "managers", "dc", NULL };

bool fs_record_name_ok(const char *name)
{
	return volume_name_ok(name);
}

bool fs_record_is_on(const struct fs_record *record, uint32_t node)
{
	for (uint32_t i = 0; i < record->n_nodes; i++) {
		if (record->nodes[i] == node)
			return true;
	}
	return false;
}

/* ---- from a record ---- */

/* Text into the member at the row's offset, which has room for its `max` bytes and a zero. */
static bool read_chars(const struct place *place, const json_t *value, const struct reader_key *row,
		       void *to)
{
	const char *text = reader_text(place, value, (size_t)row->min, (size_t)row->max);

	if (!text)
		return false;
	memcpy((char *)to + row->offset, text, strlen(text) + 1);
	return true;
}

static bool read_number(const struct place *place, const json_t *value, const char *const *names,
			uint32_t *number)
{
	const struct reader_key choice = { .names = names };

	return read_choice(place, value, &choice, number);
}

static bool read_store(const struct place *place, const json_t *value, const struct reader_key *row,
		       void *to)
{
	uint32_t number = 0;

	(void)row;
	if (!read_number(place, value, fs_record_stores, &number))
		return false;
	((struct fs_record *)to)->store = (enum fs_store)number;
	return true;
}

static bool read_access(const struct place *place, const json_t *value,
			const struct reader_key *row, void *to)
{
	uint32_t number = 0;

	(void)row;
	if (!read_number(place, value, accesses, &number))
		return false;
	((struct fs_record *)to)->access_dc = number == 1;
	return true;
}

static bool read_nodes(const struct place *place, const json_t *value, const struct reader_key *row,
		       void *to)
{
	static const struct reader_key one = { .max = DVS_NODES_MAX - 1 };
	struct fs_record *record = to;

	(void)row;
	if (!reader_is_list(place, value, 1, DVS_NODES_MAX))
		return false;
	for (size_t i = 0; i < json_array_size(value); i++) {
		const struct place at = { place->reader, place, NULL, i };
		uint32_t node = 0;

		if (!read_u32(&at, json_array_get(value, i), &one, &node))
			return false;
		if (fs_record_is_on(record, node))
			return reader_fail(&at, "node %u is named already", node);
		record->nodes[record->n_nodes++] = node;
	}
	return true;
}

static const struct reader_key keys[] = {
	{ "id", read_chars, AT(id), ID_BYTES, ID_BYTES, NULL, true },
	{ "endpoint", read_u32, AT(endpoint), FS_EP_FIRST, FS_EP_LAST, NULL, true },
	{ "store", read_store, 0, 0, 0, NULL, true },
	{ "place", read_chars, AT(place), 0, FS_RECORD_PLACE_MAX, NULL, false },
	{ "volume", read_chars, AT(volume), 0, FS_RECORD_NAME_MAX, NULL, false },
	{ "bytes", read_u64, AT(bytes), 0, FS_BYTES_MAX, NULL, false },
	{ "nodes", read_nodes, 0, 0, 0, NULL, true },
	{ "access", read_access, 0, 0, 0, NULL, false },
};

static bool fail_at(const struct place *document, const char *key, const char *text)
{
	const struct place at = { document->reader, document, key, 0 };

	return reader_fail(&at, "%s", text);
}

/* What no key says alone. */
static bool fits(const struct place *document, const struct fs_record *record)
{
	bool has_size = record->store == FS_STORE_RAM || record->store == FS_STORE_FILE;

	if (has_size != (record->bytes > 0))
		return fail_at(document, "bytes",
			       has_size ? "must say how large it is" :
					  "is that of the device or volume: leave it out");
	if (has_size && (record->bytes < FS_BYTES_MIN || record->bytes % VOLUME_BLOCK_BYTES))
		return fail_at(document, "bytes", "must be a multiple of 4096, at least 16 MiB");
	if ((record->store == FS_STORE_VOLUME) != (record->volume[0] != '\0'))
		return fail_at(document, "volume",
			       "goes with store \"volume\", and only with that");
	if (record->volume[0] && !volume_name_ok(record->volume))
		return fail_at(document, "volume", "is no name of a volume");
	if (record->store == FS_STORE_RAW && record->place[0] != '/')
		return fail_at(document, "place", "must be the absolute path of a block device");
	if (record->store == FS_STORE_FILE && record->place[0] && record->place[0] != '/')
		return fail_at(document, "place",
			       "must be an absolute path, or nothing: then the node keeps the "
			       "file in its library directory");
	if (record->store != FS_STORE_VOLUME && record->n_nodes > 1)
		return fail_at(document, "nodes",
			       "only a file system on a volume can have backups");
	return true;
}

dvs_err fs_record_parse(const char *name, const void *value, size_t len, struct fs_record *record,
			char why[FS_RECORD_WHY_MAX + 1])
{
	char text[DESCRIPTION_TEXT_MAX] = "";
	struct reader reader = { "the file system", text };
	const struct place document = { &reader, NULL, NULL, 0 };
	json_t *json;
	dvs_err err;
	bool ok;

	why[0] = '\0';
	if (!fs_record_name_ok(name)) {
		snprintf(why, FS_RECORD_WHY_MAX + 1,
			 "the name of a file system is 1 to %d letters, digits, '-', '_' and '.', "
			 "not first a '.' or '-'",
			 FS_RECORD_NAME_MAX);
		return DVS_BADARG;
	}
	*record = (struct fs_record){ .store = FS_STORE_RAM };
	memcpy(record->name, name, strlen(name) + 1);
	json = reader_parse("the file system", value, len, text, &err);
	if (json) {
		ok = reader_object(&document, json, keys, sizeof(keys) / sizeof(keys[0]), record) &&
		     fits(&document, record);
		json_decref(json);
		err = ok ? DVS_OK : DVS_BADARG;
	}
	snprintf(why, FS_RECORD_WHY_MAX + 1, "%.*s", FS_RECORD_WHY_MAX, text);
	return err;
}

/* ---- to a record ---- */

static bool add(json_t *document, const char *key, json_t *value)
{
	return json_object_set_new(document, key, value) == 0;
}

static json_t *nodes_json(const struct fs_record *record)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < record->n_nodes; i++) {
		if (json_array_append_new(list, json_integer(record->nodes[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *record_json(const struct fs_record *record)
{
	json_t *document = json_object();

	if (document && add(document, "id", json_string(record->id)) &&
	    add(document, "endpoint", json_integer(record->endpoint)) &&
	    add(document, "store", json_string(fs_record_stores[record->store])) &&
	    (!record->place[0] || add(document, "place", json_string(record->place))) &&
	    (!record->volume[0] || add(document, "volume", json_string(record->volume))) &&
	    (!record->bytes || add(document, "bytes", json_integer((json_int_t)record->bytes))) &&
	    add(document, "nodes", nodes_json(record)) &&
	    add(document, "access", json_string(accesses[record->access_dc])))
		return document;
	json_decref(document);
	return NULL;
}

dvs_err fs_record_print(const struct fs_record *record, char **text)
{
	return record_print(record_json(record), text);
}

/* ---- over a link ---- */

void fs_record_key(const char *name, char key[DVS_NAME_MAX + 1])
{
	snprintf(key, DVS_NAME_MAX + 1, RECORD_PREFIX "%.*s", FS_RECORD_NAME_MAX, name);
}

static const struct record_kind records = { RECORD_PREFIX, fs_record_name_ok };

dvs_err fs_record_get(struct dvk *admin, const char *dc, const char *name, struct fs_record *record,
		      uint64_t *version)
{
	struct record_value value;
	char why[FS_RECORD_WHY_MAX + 1];
	dvs_err err = record_get(admin, dc, &records, name, &value);

	if (err)
		return err;
	if (version)
		*version = value.version;
	return fs_record_parse(name, value.at, value.len, record, why);
}

dvs_err fs_record_next(struct dvk *admin, const char *dc, char *name, struct fs_record *record,
		       uint64_t *version)
{
	struct record_value value;
	char why[FS_RECORD_WHY_MAX + 1];
	dvs_err err = record_next(admin, dc, &records, name, &value);

	if (err)
		return err;
	if (version)
		*version = value.version;
	return fs_record_parse(name, value.at, value.len, record, why);
}
