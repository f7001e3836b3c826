/* SPDX-License-Identifier: Apache-2.0 */
/* Lists and mappings in a dvs.yaml, with their short forms. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "manage/compose/units.h"
#include "manage/compose/values.h"

#define WORDS_MAX 512u

/* ---- lists ---- */

static bool is_list(const struct reading *reading, const struct schema_row *row,
		    const yaml_node_t *node)
{
	size_t n;

	if (node->type != YAML_SEQUENCE_NODE)
		return reading_fail(
			reading, node,
			"must be a list ([a, b] or lines that begin with '-'), but here "
			"stands %s",
			document_kind(node));
	n = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
	if (n < row->min || n > row->max)
		return reading_fail(reading, node, "must have %llu to %llu entries, but has %zu",
				    (unsigned long long)row->min, (unsigned long long)row->max, n);
	return true;
}

/* The texts of NODE, or the one that it is, into LIST. */
static bool texts_of(struct reading *reading, const struct schema_row *row, const yaml_node_t *node,
		     json_t *list)
{
	struct reading_level level;

	if (node->type == YAML_SCALAR_NODE) {
		const char *text = value_text(reading, node);

		return text && value_append(reading, node, list, json_string(text));
	}
	if (!is_list(reading, row, node))
		return false;
	for (const yaml_node_item_t *item = node->data.sequence.items.start;
	     item < node->data.sequence.items.top; item++) {
		const yaml_node_t *value = reading_node(reading, *item);
		const char *text;

		if (!reading_enter_entry(reading, value, json_array_size(list), &level))
			return false;
		text = value_any_text(reading, value);
		if (!text || !value_append(reading, value, list, json_string(text)))
			return false;
		reading_leave(reading, level);
	}
	return true;
}

bool value_read_texts(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into)
{
	json_t *list = json_array();

	return value_put(reading, node, into, row->json, list) &&
	       texts_of(reading, row, node, list);
}

static bool split(const struct reading *reading, const struct schema_row *row,
		  const yaml_node_t *node, json_t *list)
{
	const char *text = value_text(reading, node);
	const char *words[WORDS_MAX];
	const char *why;
	char *buffer;
	size_t n;
	bool good = true;

	if (!text)
		return false;
	buffer = malloc(strlen(text) + 1);
	if (!buffer)
		return reading_no_memory(reading, node);
	n = units_words(text, buffer, words, row->max, &why);
	if (n == 0)
		good = reading_fail(reading, node, "%s", why);
	for (size_t i = 0; good && i < n; i++)
		good = value_append(reading, node, list, json_string(words[i]));
	free(buffer);
	return good;
}

bool value_read_command(struct reading *reading, const struct schema_row *row,
			const yaml_node_t *node, json_t *into)
{
	json_t *list = json_array();

	if (!value_put(reading, node, into, row->json, list))
		return false;
	if (node->type == YAML_SCALAR_NODE)
		return split(reading, row, node, list);
	return texts_of(reading, row, node, list);
}

bool value_read_nodes(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into)
{
	(void)into;
	if (node->type == YAML_SCALAR_NODE && strcmp(reading_text(node), "all") == 0)
		return true;
	json_decref(reading->dc->nodes);
	reading->dc->nodes = json_array();
	if (!reading->dc->nodes)
		return reading_no_memory(reading, node);
	return texts_of(reading, row, node, reading->dc->nodes);
}

/* ---- mappings ---- */

static bool pairs_of_list(struct reading *reading, const struct schema_row *row,
			  const yaml_node_t *node, json_t *object)
{
	if (!is_list(reading, row, node))
		return false;
	for (const yaml_node_item_t *item = node->data.sequence.items.start;
	     item < node->data.sequence.items.top; item++) {
		const yaml_node_t *value = reading_node(reading, *item);
		const char *text = value_text(reading, value);
		const char *equals = text ? strchr(text, '=') : NULL;
		char shown[DOCUMENT_SHOWN_BYTES];
		char name[COMPOSE_PATH_MAX];

		if (!text)
			return false;
		if (!equals || equals == text || (size_t)(equals - text) >= sizeof(name))
			return reading_fail(reading, value, "'%s' is not NAME=VALUE",
					    document_shown(value, shown));
		(void)snprintf(name, sizeof(name), "%.*s", (int)(equals - text), text);
		if (json_object_get(object, name))
			return reading_fail(reading, value, "'%s' stands here twice; leave out one",
					    document_shown(value, shown));
		if (!value_put(reading, value, object, name, json_string(equals + 1)))
			return false;
	}
	return true;
}

/* Each entry of the mapping NODE by READ, into OBJECT under its own name. */
static bool each_entry(struct reading *reading, const struct schema_row *row,
		       const yaml_node_t *node, json_t *object, value_reader read)
{
	struct reading_pairs *pairs = malloc(sizeof(*pairs));
	bool good = pairs && reading_pairs(reading, node, pairs);

	if (good && pairs->n > row->max)
		good = reading_fail(reading, node, "has more than %llu entries",
				    (unsigned long long)row->max);
	for (size_t i = 0; good && i < pairs->n; i++) {
		const char *name = reading_text(pairs->pair[i].key);
		const struct schema_row entry = { .json = name, .max = row->max, .sub = row->sub };
		struct reading_level level;

		good = reading_enter(reading, pairs->pair[i].value, name, name, &level) &&
		       read(reading, &entry, pairs->pair[i].value, object);
		if (good)
			reading_leave(reading, level);
	}
	if (!pairs)
		good = reading_no_memory(reading, node);
	free(pairs);
	return good;
}

static bool read_pair(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into)
{
	const char *text = value_any_text(reading, node);

	return text && value_put(reading, node, into, row->json, json_string(text));
}

bool value_read_pairs(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into)
{
	json_t *object = json_object();

	if (!value_put(reading, node, into, row->json, object))
		return false;
	if (node->type == YAML_SEQUENCE_NODE)
		return pairs_of_list(reading, row, node, object);
	return each_entry(reading, row, node, object, read_pair);
}

static bool rlimit_value(const struct reading *reading, const yaml_node_t *node, json_t *list)
{
	const char *text = value_text(reading, node);
	char shown[DOCUMENT_SHOWN_BYTES];
	uint64_t number;

	if (!text)
		return false;
	if (strcmp(text, "unlimited") == 0)
		return value_append(reading, node, list, json_string(text));
	if (!value_digits(text, &number))
		return reading_fail(reading, node, "'%s' is neither a whole number nor 'unlimited'",
				    document_shown(node, shown));
	return value_append(reading, node, list, json_integer((json_int_t)number));
}

static bool read_rlimit(struct reading *reading, const struct schema_row *row,
			const yaml_node_t *node, json_t *into)
{
	json_t *list = json_array();
	const yaml_node_t *soft = node;
	const yaml_node_t *hard = node;

	if (!value_put(reading, node, into, row->json, list))
		return false;
	if (node->type == YAML_SEQUENCE_NODE) {
		const yaml_node_item_t *items = node->data.sequence.items.start;

		if (node->data.sequence.items.top - items != 2)
			return reading_fail(reading, node, "must be one value, or [soft, hard]");
		soft = reading_node(reading, items[0]);
		hard = reading_node(reading, items[1]);
	}
	return rlimit_value(reading, soft, list) && rlimit_value(reading, hard, list);
}

bool value_read_rlimits(struct reading *reading, const struct schema_row *row,
			const yaml_node_t *node, json_t *into)
{
	json_t *object = json_object();

	return value_put(reading, node, into, row->json, object) &&
	       each_entry(reading, row, node, object, read_rlimit);
}

static bool read_size(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into)
{
	uint64_t bytes = 0;

	return value_bytes(reading, node, 0, UINT64_C(1) << 50, &bytes) &&
	       value_put(reading, node, into, row->json, json_integer((json_int_t)bytes));
}

bool value_read_sizes(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into)
{
	json_t *object = json_object();

	return value_put(reading, node, into, row->json, object) &&
	       each_entry(reading, row, node, object, read_size);
}

bool value_read_mapping(struct reading *reading, const struct schema_row *row,
			const yaml_node_t *node, json_t *into)
{
	json_t *object = json_object();

	return value_put(reading, node, into, row->json, object) &&
	       reading_part(reading, node, row->sub, object);
}

/* ---- lists of mappings, some with a short form ---- */

typedef bool (*short_form)(const struct reading *reading, const yaml_node_t *node, json_t *into);

static bool list_of_parts(struct reading *reading, const struct schema_row *row,
			  const yaml_node_t *node, json_t *into, short_form read_short)
{
	json_t *list = json_array();
	struct reading_level level;

	if (!value_put(reading, node, into, row->json, list) || !is_list(reading, row, node))
		return false;
	for (const yaml_node_item_t *item = node->data.sequence.items.start;
	     item < node->data.sequence.items.top; item++) {
		const yaml_node_t *value = reading_node(reading, *item);
		json_t *object = json_object();
		bool good;

		if (!reading_enter_entry(reading, value, json_array_size(list), &level) ||
		    !value_append(reading, value, list, object))
			return false;
		if (value->type == YAML_SCALAR_NODE && read_short)
			good = read_short(reading, value, object);
		else
			good = reading_part(reading, value, row->sub, object);
		if (!good)
			return false;
		reading_leave(reading, level);
	}
	return true;
}

static bool short_volume(const struct reading *reading, const yaml_node_t *node, json_t *into)
{
	const char *text = value_text(reading, node);
	char shown[DOCUMENT_SHOWN_BYTES];
	const char *target;
	const char *end;

	if (!text)
		return false;
	target = strchr(text, ':');
	end = target ? strchr(target + 1, ':') : NULL;
	if (!target || (end && strcmp(end, ":ro") != 0 && strcmp(end, ":rw") != 0))
		return reading_fail(reading, node, "'%s' is not SOURCE:TARGET or SOURCE:TARGET:ro",
				    document_shown(node, shown));
	if (end && strcmp(end, ":ro") == 0 &&
	    !value_put(reading, node, into, "readonly", json_true()))
		return false;
	return value_put(reading, node, into, "source",
			 json_stringn(text, (size_t)(target - text))) &&
	       value_put(reading, node, into, "target",
			 end ? json_stringn(target + 1, (size_t)(end - target - 1)) :
			       json_string(target + 1));
}

static bool short_device(const struct reading *reading, const yaml_node_t *node, json_t *into)
{
	const char *text = value_text(reading, node);
	const char *access = text ? strchr(text, ':') : NULL;

	if (!text)
		return false;
	if (access && !value_put(reading, node, into, "access", json_string(access + 1)))
		return false;
	return value_put(reading, node, into, "path",
			 access ? json_stringn(text, (size_t)(access - text)) : json_string(text));
}

bool value_read_volumes(struct reading *reading, const struct schema_row *row,
			const yaml_node_t *node, json_t *into)
{
	return list_of_parts(reading, row, node, into, short_volume);
}

bool value_read_devices(struct reading *reading, const struct schema_row *row,
			const yaml_node_t *node, json_t *into)
{
	return list_of_parts(reading, row, node, into, short_device);
}

bool value_read_list(struct reading *reading, const struct schema_row *row, const yaml_node_t *node,
		     json_t *into)
{
	return list_of_parts(reading, row, node, into, NULL);
}
