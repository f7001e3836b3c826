/* SPDX-License-Identifier: Apache-2.0 */
#include "client/volume.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "base/cleanup.h"
#include "client/record.h"
#include "container/reader.h"

#define RECORD_PREFIX "volume/"
#define ID_BYTES 36u
#define NODE_MAX (DVS_NODES_MAX - 1)

_Static_assert(sizeof(RECORD_PREFIX) - 1 + VOLUME_NAME_MAX <= DVS_NAME_MAX, "a record's key");

#define AT(member) offsetof(struct volume, member)
#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.";

static bool is_name(const char *name, size_t len, size_t max)
{
	return len > 0 && len <= max && strspn(name, letters) >= len && name[0] != '.';
}

bool volume_name_ok(const char *name)
{
	return is_name(name, strlen(name), VOLUME_NAME_MAX) && name[0] != '-';
}

/* The name from *AT up to END, and *AT behind it. */
static bool take(const char **at, const char *end, size_t max, char *to)
{
	size_t len = (size_t)(end - *at);

	if (!is_name(*at, len, max))
		return false;
	memcpy(to, *at, len);
	to[len] = '\0';
	*at = end + (*end != '\0');
	return true;
}

bool volume_name_split(const char *text, char dc[DVS_NAME_MAX + 1], char name[VOLUME_NAME_MAX + 1],
		       char snapshot[DVS_NAME_MAX + 1])
{
	const char *slash = strchr(text, '/');
	const char *end;

	snapshot[0] = '\0';
	if (!slash || !take(&text, slash, DVS_NAME_MAX, dc))
		return false;
	end = strchrnul(text, '@');
	if (!take(&text, end, VOLUME_NAME_MAX, name) || name[0] == '-')
		return false;
	return *end == '\0' || take(&text, strchr(text, '\0'), DVS_NAME_MAX, snapshot);
}

/* ---- from a record ---- */

static bool is_id(const char *text)
{
	if (strlen(text) != ID_BYTES)
		return false;
	for (size_t i = 0; i < ID_BYTES; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;

		if (dash ? text[i] != '-' : !strchr("0123456789abcdef", text[i]))
			return false;
	}
	return true;
}

static bool read_id(const struct place *place, const json_t *value, const struct reader_key *row,
		    void *to)
{
	struct volume *volume = to;
	const char *text = reader_text(place, value, 1, ID_BYTES);

	(void)row;
	if (!text)
		return false;
	if (!is_id(text))
		return reader_fail(place, "must be a UUID of small letters and digits, such as "
					  "5f0c7a52-14a4-4b52-9a3c-0d1f5ab4c1de");
	memcpy(volume->id, text, ID_BYTES + 1);
	return true;
}

static bool read_bytes(const struct place *place, const json_t *value, const struct reader_key *row,
		       void *to)
{
	if (!read_u64(place, value, row, to))
		return false;
	if (((struct volume *)to)->bytes % VOLUME_BLOCK_BYTES != 0)
		return reader_fail(place, "must be a multiple of %u", VOLUME_BLOCK_BYTES);
	return true;
}

static bool read_of(const struct place *place, const json_t *value, const struct reader_key *row,
		    void *to)
{
	struct volume *volume = to;
	const char *text = reader_text(place, value, 0, VOLUME_NAME_MAX);

	(void)row;
	if (!text)
		return false;
	if (text[0] && !volume_name_ok(text))
		return reader_fail(place, "is no name of a volume");
	memcpy(volume->of, text, strlen(text) + 1);
	return true;
}

const char *const volume_stores[] = { "ram", "file", "raw", "nbd", NULL };
static const char *const accesses[] = { "managers", "dc", NULL };

static bool read_store(const struct place *place, const json_t *value, const struct reader_key *row,
		       void *to)
{
	static const struct reader_key choice = { .names = volume_stores };
	uint32_t number = 0;

	(void)row;
	if (!read_choice(place, value, &choice, &number))
		return false;
	((struct volume *)to)->store = (enum volume_store)number;
	return true;
}

static bool read_access(const struct place *place, const json_t *value,
			const struct reader_key *row, void *to)
{
	static const struct reader_key choice = { .names = accesses };
	uint32_t number = 0;

	(void)row;
	if (!read_choice(place, value, &choice, &number))
		return false;
	((struct volume *)to)->access_dc = number == 1;
	return true;
}

static bool read_place(const struct place *place, const json_t *value, const struct reader_key *row,
		       void *to)
{
	const char *text = NULL;
	struct reader_key any = *row;

	any.offset = 0;
	if (!read_text(place, value, &any, &text))
		return false;
	memcpy(((struct volume_replica *)to)->place, text, strlen(text) + 1);
	return true;
}

static const struct reader_key replica_keys[] = {
	{ "node", read_u32, offsetof(struct volume_replica, node), 0, NODE_MAX, NULL, true },
	{ "place", read_place, 0, 0, VOLUME_PLACE_MAX, NULL, false },
};

static bool read_replicas(const struct place *place, const json_t *value,
			  const struct reader_key *row, void *to)
{
	struct volume *volume = to;

	(void)row;
	if (!reader_is_list(place, value, 0, DVS_NODES_MAX))
		return false;
	for (size_t i = 0; i < json_array_size(value); i++) {
		const struct place at = { place->reader, place, NULL, i };
		struct volume_replica *replica = &volume->replicas[i];

		if (!reader_object(&at, json_array_get(value, i), replica_keys, COUNT(replica_keys),
				   replica))
			return false;
		if (volume_replica_on(volume, replica->node))
			return reader_fail(&at, "node %u has a replica already", replica->node);
		volume->n_replicas++;
	}
	return true;
}

static const struct reader_key keys[] = {
	{ "id", read_id, 0, 0, 0, NULL, true },
	{ "bytes", read_bytes, AT(bytes), VOLUME_BLOCK_BYTES, VOLUME_BYTES_MAX, NULL, true },
	{ "endpoint", read_u32, AT(endpoint), VOLUME_EP_FIRST, VOLUME_EP_LAST, NULL, true },
	{ "minor", read_u32, AT(minor), 0, VOLUME_MINOR_MAX, NULL, false },
	{ "store", read_store, 0, 0, 0, NULL, false },
	{ "direct", read_bool, AT(direct), 0, 0, NULL, false },
	{ "replicas", read_replicas, 0, 0, 0, NULL, false },
	{ "first", read_u32, AT(first), 0, NODE_MAX, NULL, false },
	{ "async", read_bool, AT(async), 0, 0, NULL, false },
	{ "lag_bytes", read_u64, AT(lag_bytes), 0, VOLUME_LAG_MAX, NULL, false },
	{ "resync_bytes_per_s", read_u64, AT(resync_bytes_per_s), 0, INT64_MAX, NULL, false },
	{ "access", read_access, 0, 0, 0, NULL, false },
	{ "of", read_of, 0, 0, 0, NULL, false },
};

bool volume_place_ok(enum volume_store store, const char *place, const char **why)
{
	*why = "";
	switch (store) {
	case VOLUME_RAM:
		*why = "a store in memory has no place";
		return place[0] == '\0';
	case VOLUME_FILE:
		*why = "must be an absolute path, or nothing: then the node keeps the file in its "
		       "library directory";
		return place[0] == '\0' || place[0] == '/';
	case VOLUME_RAW:
		*why = "must be the absolute path of a block device";
		return place[0] == '/' && place[1] != '\0';
	case VOLUME_NBD:
		*why = "must be an NBD URI, such as nbd://host/export or "
		       "nbd+unix:///export?socket=/path";
		return strncmp(place, "nbd://", 6) == 0 || strncmp(place, "nbds://", 7) == 0 ||
		       strncmp(place, "nbd+unix://", 11) == 0 ||
		       strncmp(place, "nbds+unix://", 12) == 0;
	}
	return false;
}

struct volume_replica *volume_replica_on(struct volume *volume, uint32_t node)
{
	for (uint32_t i = 0; i < volume->n_replicas; i++) {
		if (volume->replicas[i].node == node)
			return &volume->replicas[i];
	}
	return NULL;
}

static bool fail_at(const struct place *document, const char *key, const char *text)
{
	const struct place at = { document->reader, document, key, 0 };

	return reader_fail(&at, "%s", text);
}

static bool clone_fits(const struct place *document, const struct volume *volume)
{
	if (volume->minor == 0)
		return fail_at(document, "minor",
			       "is 0, which is the volume itself: a clone has another one");
	if (volume->n_replicas > 0)
		return fail_at(document, "replicas", "a clone has those of the volume in 'of'");
	return true;
}

static bool places_fit(const struct place *document, const struct volume *volume)
{
	const struct place list = { document->reader, document, "replicas", 0 };

	for (uint32_t i = 0; i < volume->n_replicas; i++) {
		const struct place entry = { document->reader, &list, NULL, i };
		const char *why;

		if (!volume_place_ok(volume->store, volume->replicas[i].place, &why))
			return fail_at(&entry, "place", why);
	}
	return true;
}

/* What no key says alone. */
static bool fits(const struct place *document, struct volume *volume, bool has_first)
{
	if (volume->of[0])
		return clone_fits(document, volume);
	if (volume->minor != 0)
		return fail_at(document, "minor",
			       "is not 0: that of a clone, which has a key 'of'");
	if (volume->n_replicas == 0)
		return fail_at(document, "replicas", "a volume has at least one");
	if (!has_first)
		volume->first = volume->replicas[0].node;
	if (!volume_replica_on(volume, volume->first))
		return fail_at(document, "first", "is no node that has a replica");
	if (volume->direct && volume->store != VOLUME_FILE)
		return fail_at(document, "direct", "only a store \"file\" can be direct");
	if (volume->async && volume->lag_bytes == 0)
		return fail_at(
			document, "lag_bytes",
			"must be said of an asynchronous volume: by how much its backups may "
			"be behind");
	if (!volume->async && volume->lag_bytes > 0)
		return fail_at(document, "lag_bytes", "only an asynchronous volume has a lag");
	return places_fit(document, volume);
}

static void set_name(struct volume *volume, const char *name)
{
	*volume = (struct volume){ .store = VOLUME_FILE };
	memcpy(volume->name, name, strlen(name) + 1);
}

dvs_err volume_parse(const char *name, const void *value, size_t len, struct volume *volume,
		     char why[VOLUME_WHY_MAX + 1])
{
	char text[DESCRIPTION_TEXT_MAX] = "";
	struct reader reader = { "the volume", text };
	const struct place document = { &reader, NULL, NULL, 0 };
	json_t *json;
	dvs_err err;
	bool ok;

	why[0] = '\0';
	if (!volume_name_ok(name)) {
		snprintf(why, VOLUME_WHY_MAX + 1,
			 "the name of a volume is 1 to %d letters, digits, '-', '_' and '.', not "
			 "first a '.' or '-'",
			 VOLUME_NAME_MAX);
		return DVS_BADARG;
	}
	set_name(volume, name);
	json = reader_parse("the volume", value, len, text, &err);
	if (json) {
		ok = reader_object(&document, json, keys, COUNT(keys), volume) &&
		     fits(&document, volume, json_object_get(json, "first") != NULL);
		json_decref(json);
		err = ok ? DVS_OK : DVS_BADARG;
	}
	snprintf(why, VOLUME_WHY_MAX + 1, "%.*s", VOLUME_WHY_MAX, text);
	return err;
}

/* ---- to a record ---- */

static json_t *replicas_json(const struct volume *volume)
{
	json_t *list = json_array();

	for (uint32_t i = 0; list && i < volume->n_replicas; i++) {
		const struct volume_replica *replica = &volume->replicas[i];
		json_t *entry = json_pack("{s:I}", "node", (json_int_t)replica->node);

		if (entry && replica->place[0] &&
		    json_object_set_new(entry, "place", json_string(replica->place)) != 0) {
			json_decref(entry);
			entry = NULL;
		}
		if (!entry || json_array_append_new(list, entry) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

static json_t *volume_json(const struct volume *volume)
{
	json_t *document = json_pack("{s:s, s:I, s:I, s:s}", "id", volume->id, "bytes",
				     (json_int_t)volume->bytes, "endpoint",
				     (json_int_t)volume->endpoint, "access",
				     accesses[volume->access_dc]);
	bool ok = document != NULL;

	if (ok && volume->of[0])
		ok = json_object_set_new(document, "of", json_string(volume->of)) == 0 &&
		     json_object_set_new(document, "minor", json_integer(volume->minor)) == 0;
	else if (ok)
		ok = json_object_set_new(document, "store",
					 json_string(volume_stores[volume->store])) == 0 &&
		     json_object_set_new(document, "direct", json_boolean(volume->direct)) == 0 &&
		     json_object_set_new(document, "replicas", replicas_json(volume)) == 0 &&
		     json_object_set_new(document, "first", json_integer(volume->first)) == 0 &&
		     json_object_set_new(document, "async", json_boolean(volume->async)) == 0 &&
		     json_object_set_new(document, "lag_bytes",
					 json_integer((json_int_t)volume->lag_bytes)) == 0 &&
		     json_object_set_new(document, "resync_bytes_per_s",
					 json_integer((json_int_t)volume->resync_bytes_per_s)) == 0;
	if (ok)
		return document;
	json_decref(document);
	return NULL;
}

dvs_err volume_print(const struct volume *volume, char **text)
{
	return record_print(volume_json(volume), text);
}

static bool replicas_equal(const struct volume *a, const struct volume *b)
{
	if (a->n_replicas != b->n_replicas)
		return false;
	for (uint32_t i = 0; i < a->n_replicas; i++) {
		if (a->replicas[i].node != b->replicas[i].node ||
		    strcmp(a->replicas[i].place, b->replicas[i].place) != 0)
			return false;
	}
	return true;
}

bool volume_equal(const struct volume *a, const struct volume *b)
{
	return strcmp(a->name, b->name) == 0 && strcmp(a->id, b->id) == 0 && a->bytes == b->bytes &&
	       a->endpoint == b->endpoint && a->minor == b->minor && a->store == b->store &&
	       a->direct == b->direct && a->first == b->first && a->async == b->async &&
	       a->lag_bytes == b->lag_bytes && a->resync_bytes_per_s == b->resync_bytes_per_s &&
	       a->access_dc == b->access_dc && strcmp(a->of, b->of) == 0 && replicas_equal(a, b);
}

/* ---- over a link ---- */

void volume_key(const char *name, char key[DVS_NAME_MAX + 1])
{
	snprintf(key, DVS_NAME_MAX + 1, RECORD_PREFIX "%.*s", VOLUME_NAME_MAX, name);
}

static const struct record_kind records = { RECORD_PREFIX, volume_name_ok };

dvs_err volume_get(struct dvk *admin, const char *dc, const char *name, struct volume *volume,
		   uint64_t *version)
{
	struct record_value value;
	char why[VOLUME_WHY_MAX + 1];
	dvs_err err = record_get(admin, dc, &records, name, &value);

	if (err)
		return err;
	if (version)
		*version = value.version;
	return volume_parse(name, value.at, value.len, volume, why);
}

dvs_err volume_next(struct dvk *admin, const char *dc, char *name, struct volume *volume,
		    uint64_t *version)
{
	struct record_value value;
	char why[VOLUME_WHY_MAX + 1];
	dvs_err err = record_next(admin, dc, &records, name, &value);

	if (err)
		return err;
	if (version)
		*version = value.version;
	return volume_parse(name, value.at, value.len, volume, why);
}
