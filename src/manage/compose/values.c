/* SPDX-License-Identifier: Apache-2.0 */
/* A reader for each kind of value in the table; those of lists and mappings are in lists.c. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"

#include "manage/compose/units.h"
#include "manage/compose/values.h"

#define CHOICES_MAX 16u

bool value_put(const struct reading *reading, const yaml_node_t *node, json_t *into,
	       const char *key, json_t *value)
{
	if (!value || json_object_set_new(into, key, value) != 0)
		return reading_no_memory(reading, node);
	return true;
}

bool value_append(const struct reading *reading, const yaml_node_t *node, json_t *list,
		  json_t *value)
{
	if (!value || json_array_append_new(list, value) != 0)
		return reading_no_memory(reading, node);
	return true;
}

/* The text of NODE, which may be empty; NULL after a complaint. */
const char *value_any_text(const struct reading *reading, const yaml_node_t *node)
{
	if (node->type != YAML_SCALAR_NODE)
		reading_fail(reading, node, "must be one value, but here stands %s",
			     document_kind(node));
	else if (strlen(reading_text(node)) != node->data.scalar.length)
		reading_fail(reading, node, "has a zero byte in it");
	else
		return reading_text(node);
	return NULL;
}

const char *value_text(const struct reading *reading, const yaml_node_t *node)
{
	const char *text = value_any_text(reading, node);

	if (text && text[0] == '\0') {
		reading_fail(reading, node, "is empty; give it a value or leave the line out");
		return NULL;
	}
	return text;
}

static bool read_name(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into)
{
	const char *text = value_text(reading, node);
	char shown[DOCUMENT_SHOWN_BYTES];

	(void)into;
	if (!text)
		return false;
	if (!document_is_name(text) || strlen(text) > row->max)
		return reading_fail(reading, node,
				    "'%s' is not made of %u letters, digits, '-', '_' and '.' (not "
				    "first) at most",
				    document_shown(node, shown), (unsigned int)row->max);
	(void)snprintf(reading->dc->name, sizeof(reading->dc->name), "%s", text);
	return true;
}

static bool read_text(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into)
{
	const char *text = value_text(reading, node);

	return text && value_put(reading, node, into, row->json, json_string(text));
}

/* A whole number in digits. */
bool value_digits(const char *text, uint64_t *number)
{
	char *end;
	unsigned long long value;

	if (text[0] < '0' || text[0] > '9')
		return false;
	errno = 0;
	value = strtoull(text, &end, 10);
	*number = value;
	return errno == 0 && *end == '\0' && value <= INT64_MAX;
}

static bool number_of(const struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, uint64_t *number)
{
	const char *text = value_text(reading, node);
	char shown[DOCUMENT_SHOWN_BYTES];

	if (!text)
		return false;
	if (!value_digits(text, number) || *number < row->min || *number > row->max)
		return reading_fail(reading, node, "'%s' is not a whole number from %llu to %llu",
				    document_shown(node, shown), (unsigned long long)row->min,
				    (unsigned long long)row->max);
	return true;
}

static bool read_number(struct reading *reading, const struct schema_row *row,
			const yaml_node_t *node, json_t *into)
{
	uint64_t number = 0;

	return number_of(reading, row, node, &number) &&
	       value_put(reading, node, into, row->json, json_integer((json_int_t)number));
}

static bool read_endpoint(struct reading *reading, const struct schema_row *row,
			  const yaml_node_t *node, json_t *into)
{
	uint64_t number = 0;

	return number_of(reading, row, node, &number) &&
	       value_put(reading, node, into, row->json,
			 json_pack("{s:I}", "endpoint", (json_int_t)number));
}

/* At most three decimals, so that what is kept is what was written. */
static bool read_cpus(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into)
{
	const char *text = value_text(reading, node);
	char shown[DOCUMENT_SHOWN_BYTES];
	uint64_t millis = 0;
	size_t whole;
	size_t part;

	if (!text)
		return false;
	whole = strspn(text, "0123456789");
	part = text[whole] == '.' ? strspn(text + whole + 1, "0123456789") : 0;
	if (whole == 0 || whole > 5 || part > 3 ||
	    text[whole + (text[whole] == '.') + part] != '\0' || (text[whole] == '.' && part == 0))
		return reading_fail(reading, node, "'%s' is not a number of CPUs, such as 1.5",
				    document_shown(node, shown));
	for (size_t i = 0; i < whole; i++)
		millis = millis * 10 + (uint64_t)(text[i] - '0');
	for (size_t i = 0; i < 3; i++)
		millis = millis * 10 + (i < part ? (uint64_t)(text[whole + 1 + i] - '0') : 0);
	return value_put(reading, node, into, row->json,
			 millis % 1000 == 0 ? json_integer((json_int_t)(millis / 1000)) :
					      json_real((double)millis / 1000));
}

bool value_bytes(const struct reading *reading, const yaml_node_t *node, uint64_t min, uint64_t max,
		 uint64_t *bytes)
{
	const char *text = value_text(reading, node);
	char shown[DOCUMENT_SHOWN_BYTES];
	char least[UNITS_TEXT_BYTES];
	char most[UNITS_TEXT_BYTES];

	if (!text)
		return false;
	if (!units_bytes(text, bytes))
		return reading_fail(
			reading, node,
			"'%s' is not a size; write bytes as 4096, or with a unit as 64K, "
			"256M, 1.5G",
			document_shown(node, shown));
	units_bytes_text(min, least);
	units_bytes_text(max, most);
	if (*bytes < min || *bytes > max)
		return reading_fail(reading, node, "'%s' is not a size from %s to %s",
				    document_shown(node, shown), least, most);
	return true;
}

static bool read_bytes(struct reading *reading, const struct schema_row *row,
		       const yaml_node_t *node, json_t *into)
{
	uint64_t bytes = 0;

	return value_bytes(reading, node, row->min, row->max, &bytes) &&
	       value_put(reading, node, into, row->json, json_integer((json_int_t)bytes));
}

static bool read_duration(struct reading *reading, const struct schema_row *row,
			  const yaml_node_t *node, json_t *into)
{
	const char *text = value_text(reading, node);
	char shown[DOCUMENT_SHOWN_BYTES];
	char least[UNITS_TEXT_BYTES];
	char most[UNITS_TEXT_BYTES];
	uint64_t ms = 0;

	if (!text)
		return false;
	if (!units_ms(text, &ms))
		return reading_fail(
			reading, node,
			"'%s' is not a time; write it with a unit, as 500ms, 10s, 5m, 1h",
			document_shown(node, shown));
	units_ms_text(row->min, least);
	units_ms_text(row->max, most);
	if (ms < row->min || ms > row->max)
		return reading_fail(reading, node, "'%s' is not a time from %s to %s",
				    document_shown(node, shown), least, most);
	return value_put(reading, node, into, row->json, json_integer((json_int_t)ms));
}

static bool read_bool(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into)
{
	const char *text = value_text(reading, node);
	char shown[DOCUMENT_SHOWN_BYTES];

	if (!text)
		return false;
	if (strcmp(text, "true") != 0 && strcmp(text, "false") != 0)
		return reading_fail(reading, node, "'%s' is neither true nor false",
				    document_shown(node, shown));
	return value_put(reading, node, into, row->json, json_boolean(strcmp(text, "true") == 0));
}

static bool read_choice(struct reading *reading, const struct schema_row *row,
			const yaml_node_t *node, json_t *into)
{
	const char *text = value_text(reading, node);
	const char *nearest;
	char list[128] = "";
	size_t used = 0;
	size_t n = 0;
	char shown[DOCUMENT_SHOWN_BYTES];

	if (!text)
		return false;
	for (; n < CHOICES_MAX && row->names[n]; n++) {
		if (strcmp(row->names[n], text) == 0)
			return value_put(reading, node, into, row->json, json_string(text));
		used += (size_t)snprintf(list + used, sizeof(list) - used, "%s'%s'",
					 n == 0 ? "" : ", ", row->names[n]);
	}
	nearest = nearest_word(text, row->names, n);
	if (nearest)
		return reading_fail(reading, node, "there is no '%s'; did you mean '%s'?",
				    document_shown(node, shown), nearest);
	return reading_fail(reading, node, "there is no '%s'; there are %s",
			    document_shown(node, shown), list);
}

/* ---- what stands for itself ---- */

static bool read_replicas(struct reading *reading, const struct schema_row *row,
			  const yaml_node_t *node, json_t *into)
{
	const char *text = value_text(reading, node);
	char shown[DOCUMENT_SHOWN_BYTES];
	uint64_t number;

	if (!text)
		return false;
	if (strcmp(text, "each") == 0)
		return value_put(reading, node, into, row->json, json_string(text));
	if (!value_digits(text, &number) || number > row->max)
		return reading_fail(reading, node,
				    "'%s' is neither a whole number from 0 to %llu nor 'each'",
				    document_shown(node, shown), (unsigned long long)row->max);
	return value_put(reading, node, into, row->json, json_integer((json_int_t)number));
}

static bool one_root(const struct reading *reading, const yaml_node_t *node, const json_t *into)
{
	if (json_object_get(into, "root"))
		return reading_fail(reading, node,
				    "'image' and 'root' both say what the root file "
				    "system is; leave out one");
	return true;
}

static bool read_root(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into)
{
	const char *text = value_text(reading, node);
	char shown[DOCUMENT_SHOWN_BYTES];

	(void)row;
	if (!text || !one_root(reading, node, into))
		return false;
	if (strcmp(text, "host") == 0)
		return value_put(reading, node, into, "root", json_pack("{s:s}", "kind", "host"));
	if (text[0] != '/')
		return reading_fail(
			reading, node,
			"'%s' is neither 'host' nor a path, which begins with '/'; for an "
			"image say 'image'",
			document_shown(node, shown));
	return value_put(reading, node, into, "root",
			 json_pack("{s:s, s:s}", "kind", "directory", "path", text));
}

static bool read_image(struct reading *reading, const struct schema_row *row,
		       const yaml_node_t *node, json_t *into)
{
	const char *text = value_text(reading, node);
	const char *digest;

	(void)row;
	if (!text || !one_root(reading, node, into))
		return false;
	digest = strchr(text, '@');
	if (!digest)
		return value_put(reading, node, into, "root",
				 json_pack("{s:s, s:s}", "kind", "image", "name", text));
	return value_put(reading, node, into, "root",
			 json_pack("{s:s, s:s%, s:s}", "kind", "image", "name", text,
				   (size_t)(digest - text), "digest", digest + 1));
}

static bool read_programs(struct reading *reading, const struct schema_row *row,
			  const yaml_node_t *node, json_t *into)
{
	(void)into;
	return reading_programs(reading, row, node);
}

static bool read_disks(struct reading *reading, const struct schema_row *row,
		       const yaml_node_t *node, json_t *into)
{
	(void)into;
	return reading_disks(reading, row, node);
}

static bool read_filesystems(struct reading *reading, const struct schema_row *row,
			     const yaml_node_t *node, json_t *into)
{
	(void)into;
	return reading_filesystems(reading, row, node);
}

static const value_reader readers[] = {
	[SCHEMA_NAME] = read_name,
	[SCHEMA_TEXT] = read_text,
	[SCHEMA_NUMBER] = read_number,
	[SCHEMA_CPUS] = read_cpus,
	[SCHEMA_BYTES] = read_bytes,
	[SCHEMA_DURATION] = read_duration,
	[SCHEMA_BOOL] = read_bool,
	[SCHEMA_CHOICE] = read_choice,
	[SCHEMA_TEXTS] = value_read_texts,
	[SCHEMA_COMMAND] = value_read_command,
	[SCHEMA_PAIRS] = value_read_pairs,
	[SCHEMA_RLIMITS] = value_read_rlimits,
	[SCHEMA_SIZES] = value_read_sizes,
	[SCHEMA_REPLICAS] = read_replicas,
	[SCHEMA_ROOT] = read_root,
	[SCHEMA_IMAGE] = read_image,
	[SCHEMA_NODES] = value_read_nodes,
	[SCHEMA_ENDPOINT] = read_endpoint,
	[SCHEMA_MAPPING] = value_read_mapping,
	[SCHEMA_VOLUMES] = value_read_volumes,
	[SCHEMA_DEVICES] = value_read_devices,
	[SCHEMA_LIST] = value_read_list,
	[SCHEMA_PROGRAMS] = read_programs,
	[SCHEMA_DISKS] = read_disks,
	[SCHEMA_FILESYSTEMS] = read_filesystems,
};

bool reading_value(struct reading *reading, const struct schema_row *row, const yaml_node_t *node,
		   json_t *into)
{
	struct reading_level level;
	const char *json = row->json;

	if (row->kind == SCHEMA_ROOT || row->kind == SCHEMA_IMAGE)
		json = "root";
	if (row->kind == SCHEMA_NODES || row->kind == SCHEMA_NAME)
		json = row->key;
	if (!reading_enter(reading, node, row->key, json, &level) ||
	    !readers[row->kind](reading, row, node, into))
		return false;
	reading_leave(reading, level);
	return true;
}
