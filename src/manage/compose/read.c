/* SPDX-License-Identifier: Apache-2.0 */
/* From YAML to the JSON that the DVS keeps. The table (schema.c) decides about keys, types and units; what the DVS itself refuses (container/description.h,
 * program.h) is asked of it, and its answer is brought back to the spot in the file. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"
#include "container/program.h"
#include "manage/compose/reading.h"

/* A chain of "<<" is not longer, and does not bring more. */
#define MERGE_DEPTH_MAX 8u
#define MERGED_MAX 20000u
#define MANUAL "dvs.yaml(5)"

/* ---- where we are ---- */

static const char *what(const struct reading *reading)
{
	return reading->yaml[0] ? reading->yaml : "the DC";
}

bool reading_fail(const struct reading *reading, const yaml_node_t *node, const char *format, ...)
{
	char sentence[512];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(sentence, sizeof(sentence), format, args);
	va_end(args);
	return document_fail(reading->document, node, "%s: %s", what(reading), sentence);
}

bool reading_no_memory(const struct reading *reading, const yaml_node_t *node)
{
	return reading_fail(reading, node, "there is no memory left for it");
}

const yaml_node_t *reading_node(const struct reading *reading, int index)
{
	return yaml_document_get_node(&reading->document->yaml, index);
}

static bool add_spot(struct reading *reading, const yaml_node_t *node)
{
	struct compose_dc *dc = reading->dc;
	struct compose_spot *spot;

	if (dc->n_spots % 64 == 0) {
		struct compose_spot *more = realloc(dc->spots, (dc->n_spots + 64) * sizeof(*more));

		if (!more)
			return reading_no_memory(reading, node);
		dc->spots = more;
	}
	spot = &dc->spots[dc->n_spots];
	spot->json = strdup(reading->json);
	spot->yaml = strdup(reading->yaml);
	spot->line = node->start_mark.line + 1;
	spot->column = node->start_mark.column + 1;
	dc->n_spots++;
	return spot->json && spot->yaml ? true : reading_no_memory(reading, node);
}

/* Paths are for complaints: what does not fit is left out. Nothing in them may steer a terminal. */
static void append(char *path, const char *key)
{
	size_t len = strlen(path);
	bool first = len == 0 || path[len - 1] == ':';

	(void)snprintf(path + len, COMPOSE_PATH_MAX - len, "%s%s", first ? "" : ".", key);
	for (char *at = path + len; *at; at++) {
		if ((unsigned char)*at < 0x20 || (unsigned char)*at >= 0x7f)
			*at = '?';
	}
}

bool reading_enter(struct reading *reading, const yaml_node_t *node, const char *key,
		   const char *json, struct reading_level *level)
{
	*level = (struct reading_level){ strlen(reading->yaml), strlen(reading->json) };
	append(reading->yaml, key);
	if (json)
		append(reading->json, json);
	return json ? add_spot(reading, node) : true;
}

bool reading_enter_entry(struct reading *reading, const yaml_node_t *node, size_t index,
			 struct reading_level *level)
{
	*level = (struct reading_level){ strlen(reading->yaml), strlen(reading->json) };
	(void)snprintf(reading->yaml + level->yaml, COMPOSE_PATH_MAX - level->yaml, "[%zu]", index);
	(void)snprintf(reading->json + level->json, COMPOSE_PATH_MAX - level->json, "[%zu]", index);
	return add_spot(reading, node);
}

void reading_leave(struct reading *reading, struct reading_level level)
{
	reading->yaml[level.yaml] = '\0';
	reading->json[level.json] = '\0';
}

/* ---- mappings ---- */

static bool is_key(const struct reading *reading, const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE)
		return reading_fail(reading, node, "a key is one value, but here stands %s",
				    document_kind(node));
	if (node->data.scalar.length == 0 || strlen(reading_text(node)) != node->data.scalar.length)
		return reading_fail(reading, node, "a key is empty or has a zero byte in it");
	return true;
}

static bool has_key(const struct reading_pairs *pairs, const yaml_node_t *key)
{
	for (size_t i = 0; i < pairs->n; i++) {
		if (strcmp(reading_text(pairs->pair[i].key), reading_text(key)) == 0)
			return true;
	}
	return false;
}

static bool is_merge(const yaml_node_t *key)
{
	return key->data.scalar.style == YAML_PLAIN_SCALAR_STYLE &&
	       strcmp(reading_text(key), "<<") == 0;
}

static bool add_pair(const struct reading *reading, struct reading_pairs *pairs,
		     const yaml_node_t *key, const yaml_node_t *value)
{
	if (pairs->n == READING_PAIRS_MAX)
		return reading_fail(reading, key, "there are more than %u entries",
				    READING_PAIRS_MAX);
	pairs->pair[pairs->n++] = (struct reading_pair){ key, value };
	return true;
}

static bool own_pairs(struct reading *reading, const yaml_node_t *node, struct reading_pairs *pairs)
{
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = reading_node(reading, pair->key);

		if (!is_key(reading, key))
			return false;
		if (is_merge(key))
			continue;
		if (has_key(pairs, key)) {
			char text[DOCUMENT_SHOWN_BYTES];

			return reading_fail(reading, key, "'%s' stands here twice; leave out one",
					    document_shown(key, text));
		}
		if (!add_pair(reading, pairs, key, reading_node(reading, pair->value)))
			return false;
	}
	return true;
}

static bool merge(struct reading *reading, const yaml_node_t *node, struct reading_pairs *pairs,
		  unsigned int depth);

/* What the mappings behind the "<<" of NODE bring. */
static bool merge_all(struct reading *reading, const yaml_node_t *node, struct reading_pairs *pairs,
		      unsigned int depth)
{
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = reading_node(reading, pair->key);
		const yaml_node_t *value = reading_node(reading, pair->value);

		if (!is_key(reading, key))
			return false;
		if (!is_merge(key))
			continue;
		if (value->type != YAML_SEQUENCE_NODE) {
			if (!merge(reading, value, pairs, depth + 1))
				return false;
			continue;
		}
		for (const yaml_node_item_t *item = value->data.sequence.items.start;
		     item < value->data.sequence.items.top; item++) {
			if (!merge(reading, reading_node(reading, *item), pairs, depth + 1))
				return false;
		}
	}
	return true;
}

/* What NODE says goes to PAIRS, but for the keys that are there already. */
static bool merge(struct reading *reading, const yaml_node_t *node, struct reading_pairs *pairs,
		  unsigned int depth)
{
	if (node->type != YAML_MAPPING_NODE)
		return reading_fail(reading, node,
				    "'<<' takes a mapping or a list of mappings, but "
				    "here stands %s",
				    document_kind(node));
	if (depth > MERGE_DEPTH_MAX)
		return reading_fail(reading, node, "'<<' goes on over more than %u mappings",
				    MERGE_DEPTH_MAX);
	for (const yaml_node_pair_t *pair = node->data.mapping.pairs.start;
	     pair < node->data.mapping.pairs.top; pair++) {
		const yaml_node_t *key = reading_node(reading, pair->key);

		if (++reading->merged > MERGED_MAX)
			return reading_fail(reading, key, "'<<' brings more than %u entries",
					    MERGED_MAX);
		if (!is_key(reading, key))
			return false;
		if (is_merge(key) || has_key(pairs, key))
			continue;
		if (!add_pair(reading, pairs, key, reading_node(reading, pair->value)))
			return false;
	}
	return merge_all(reading, node, pairs, depth);
}

bool reading_pairs(struct reading *reading, const yaml_node_t *node, struct reading_pairs *pairs)
{
	pairs->n = 0;
	if (node->type != YAML_MAPPING_NODE)
		return reading_fail(reading, node,
				    "must be a mapping of keys to values, but here stands %s",
				    document_kind(node));
	return own_pairs(reading, node, pairs) && merge_all(reading, node, pairs, 0);
}

static bool unknown_key(const struct reading *reading, const yaml_node_t *key,
			enum schema_part part)
{
	const char *names[SCHEMA_KEYS_MAX];
	size_t n = schema_keys(part, names);
	const char *nearest = nearest_word(reading_text(key), names, n);
	char list[400] = "";
	size_t used = 0;
	char text[DOCUMENT_SHOWN_BYTES];

	if (nearest)
		return reading_fail(reading, key, "there is no key '%s'; did you mean '%s'?",
				    document_shown(key, text), nearest);
	for (size_t i = 0; i < n && used < sizeof(list); i++)
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s%s",
					 i == 0 ? "" : ", ", names[i]);
	return reading_fail(reading, key, "there is no key '%s'; there are %s",
			    document_shown(key, text), list);
}

/* Keys that begin with "x-" are the user's own: a place for anchors. */
static bool is_extension(const yaml_node_t *key)
{
	return strncmp(reading_text(key), "x-", 2) == 0;
}

bool reading_part(struct reading *reading, const yaml_node_t *node, enum schema_part part,
		  json_t *into)
{
	struct reading_pairs *pairs = malloc(sizeof(*pairs));
	bool good = pairs && reading_pairs(reading, node, pairs);

	for (size_t i = 0; good && i < pairs->n; i++) {
		const yaml_node_t *key = pairs->pair[i].key;
		const struct schema_row *row = schema_find(part, reading_text(key));

		if (!row && part == SCHEMA_DC && is_extension(key))
			continue;
		good = row ? reading_value(reading, row, pairs->pair[i].value, into) :
			     unknown_key(reading, key, part);
	}
	for (size_t i = 0; good && i < schema_n_rows; i++) {
		const struct schema_row *row = &schema_rows[i];
		bool found = !(row->parts & part) || !row->must_be;

		for (size_t k = 0; k < pairs->n && !found; k++)
			found = strcmp(reading_text(pairs->pair[k].key), row->key) == 0;
		if (!found)
			good = reading_fail(reading, node, "lacks the key '%s'", row->key);
	}
	if (!pairs)
		good = reading_no_memory(reading, node);
	free(pairs);
	return good;
}

/* ---- what the DVS says to it ---- */

const struct compose_spot *compose_spot(const struct compose_dc *dc, const char *json)
{
	char path[COMPOSE_PATH_MAX];

	(void)snprintf(path, sizeof(path), "%s", json);
	for (;;) {
		size_t len = strlen(path);

		for (size_t i = 0; i < dc->n_spots; i++) {
			if (strcmp(dc->spots[i].json, path) == 0)
				return &dc->spots[i];
		}
		if (len == 0 || path[len - 1] == ':')
			return &dc->spots[0];
		/* "a.b[1]" is part of "a.b", that of "a"; and "program/NAME:a" of "program/NAME:". */
		while (len > 0 && !strchr(".[:", path[len - 1]))
			len--;
		path[len > 0 && path[len - 1] != ':' ? len - 1 : len] = '\0';
	}
}

/* In the file these are one value. */
static bool is_one_value(const struct compose_spot *spot)
{
	const char *colon = strrchr(spot->json, ':');

	return strcmp(spot->json, "root") == 0 || (colon && strcmp(colon, ":server") == 0);
}

static void locate(const char *file, const struct compose_dc *dc, const char *prefix,
		   const char *why, char *text)
{
	const char *sentence = strstr(why, ": ");
	char json[2 * COMPOSE_PATH_MAX];
	const struct compose_spot *spot;
	const char *rest;
	size_t len = sentence ? (size_t)(sentence - why) : 0;

	/* "the description: ...", or no path at all */
	if (memchr(why, ' ', len))
		len = 0;
	(void)snprintf(json, sizeof(json), "%s%.*s", prefix, (int)len, why);
	spot = compose_spot(dc, json);
	if (len > 0 || strncmp(why, "the description: ", 17) == 0 ||
	    strncmp(why, "the program: ", 13) == 0)
		why = sentence + 2;
	/* What has no spot of its own is named after the one of what it is a part of. */
	rest = json + strlen(json);
	if (!is_one_value(spot) && strncmp(json, spot->json, strlen(spot->json)) == 0)
		rest = json + strlen(spot->json);
	(void)snprintf(text, COMPOSE_TEXT_MAX, "%s:%zu:%zu: %s%s%s: %s", file, spot->line,
		       spot->column, spot->yaml,
		       rest[0] == '\0' || strchr(".[", rest[0]) ? "" :
		       spot->json[0] == '\0'			? ": " :
								  ".",
		       rest, why);
}

void compose_locate(const struct compose *compose, const struct compose_dc *dc, const char *prefix,
		    const char *why, char *text)
{
	locate(compose->path, dc, prefix, why, text);
}

bool reading_refused(const struct reading *reading, const char *prefix, const char *why)
{
	locate(reading->document->path, reading->dc, prefix, why, reading->document->text);
	return false;
}

/* ---- the whole ---- */

static bool check_description(struct reading *reading, const yaml_node_t *node)
{
	struct compose_dc *dc = reading->dc;
	struct description *description = malloc(sizeof(*description));
	char why[DESCRIPTION_TEXT_MAX] = "";
	size_t len = 0;
	char *text;
	bool good;

	if (!description)
		return reading_no_memory(reading, node);
	good = description_from_json(dc->description, description, why) == DVS_OK;
	if (good)
		description_free(description);
	else
		reading_refused(reading, "", why);
	free(description);
	text = description_text(dc->description, &len);
	free(text);
	if (good && len > COMPOSE_RECORD_MAX)
		return reading_fail(reading, node,
				    "its description takes %zu bytes, and %u are "
				    "kept at most; shorten env or volumes",
				    len, COMPOSE_RECORD_MAX);
	return good;
}

static bool take_dc(struct document *document, void *context)
{
	struct compose *compose = context;
	const yaml_node_t *root = document_root(document);
	struct reading reading = { .document = document };
	struct compose_dc *dcs;
	struct compose_dc *dc;

	if (compose->n_dcs == COMPOSE_DCS_MAX)
		return document_fail(document, root, "there are more than %u DCs in this file",
				     COMPOSE_DCS_MAX);
	dcs = realloc(compose->dcs, (compose->n_dcs + 1) * sizeof(*dcs));
	if (!dcs)
		return document_fail(document, root, "there is no memory left");
	compose->dcs = dcs;
	dc = reading.dc = &dcs[compose->n_dcs++];
	*dc = (struct compose_dc){ .description = json_object() };
	if (!dc->description || !add_spot(&reading, root))
		return document_fail(document, root, "there is no memory left");
	if (!reading_part(&reading, root, SCHEMA_DC, dc->description))
		return false;
	if (!json_object_get(dc->description, "root") &&
	    json_object_set_new(dc->description, "root", json_pack("{s:s}", "kind", "host")) != 0)
		return reading_no_memory(&reading, root);
	for (size_t i = 0; i + 1 < compose->n_dcs; i++) {
		if (strcmp(dcs[i].name, dc->name) == 0)
			return reading_fail(&reading, root, "a DC called '%s' stands above already",
					    dc->name);
	}
	/* What has no better place is said of the DC by its name. */
	free(dc->spots[0].yaml);
	dc->spots[0].yaml = strdup(dc->name);
	return dc->spots[0].yaml ? check_description(&reading, root) :
				   reading_no_memory(&reading, root);
}

dvs_err compose_read(const char *path, const void *bytes, size_t len, struct compose *compose,
		     char *text)
{
	dvs_err err;

	*compose = (struct compose){ .path = strdup(path) };
	if (!compose->path)
		return DVS_NOMEM;
	text[0] = '\0';
	err = document_each(compose->path, MANUAL, bytes, len, text, COMPOSE_TEXT_MAX, take_dc,
			    compose);
	if (err == DVS_OK && compose->n_dcs == 0) {
		(void)snprintf(text, COMPOSE_TEXT_MAX,
			       "%s:1:1: there is no DC in it; see %s for an "
			       "example",
			       path, MANUAL);
		err = DVS_BADARG;
	}
	if (err != DVS_OK)
		compose_free(compose);
	return err;
}

static void free_dc(struct compose_dc *dc)
{
	json_decref(dc->nodes);
	json_decref(dc->description);
	for (size_t i = 0; i < dc->n_programs; i++)
		json_decref(dc->programs[i].json);
	for (size_t i = 0; i < dc->n_spots; i++) {
		free(dc->spots[i].json);
		free(dc->spots[i].yaml);
	}
	for (size_t i = 0; i < dc->n_disks; i++)
		json_decref(dc->disks[i].json);
	free(dc->programs);
	for (size_t i = 0; i < dc->n_filesystems; i++)
		json_decref(dc->filesystems[i].json);
	free(dc->disks);
	free(dc->filesystems);
	free(dc->spots);
}

void compose_free(struct compose *compose)
{
	for (size_t i = 0; i < compose->n_dcs; i++)
		free_dc(&compose->dcs[i]);
	free(compose->dcs);
	free(compose->path);
	*compose = (struct compose){ 0 };
}
