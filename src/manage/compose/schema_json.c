/* SPDX-License-Identifier: Apache-2.0 */
/* The table as a JSON schema (2020-12), for editors and other tools. */
#include <string.h>

#include "manage/compose/schema.h"
#include "manage/compose/units.h"

#define SIZE_PATTERN "^[0-9]+(\\.[0-9]{1,3})?([KMGT](i?B)?|B)?$"
#define TIME_PATTERN "^([0-9]+(\\.[0-9]{1,3})?(ms|s|m|h)|0)$"

static const struct {
	enum schema_part part;
	const char *name;
} parts[] = {
	{ SCHEMA_DC, "dc" },	     { SCHEMA_PROGRAM, "program" },
	{ SCHEMA_SERVER, "server" }, { SCHEMA_HEALTH, "health" },
	{ SCHEMA_VOLUME, "volume" }, { SCHEMA_DEVICE, "device" },
	{ SCHEMA_IO, "io" },	     { SCHEMA_CAPABILITIES, "capabilities" },
	{ SCHEMA_DISK, "disk" },     { SCHEMA_FILESYSTEM, "filesystem" },
};
#define N_PARTS (sizeof(parts) / sizeof(parts[0]))

static json_t *reference(enum schema_part part)
{
	for (size_t i = 0; i < N_PARTS; i++) {
		if (parts[i].part == part)
			return json_pack("{s:s++}", "$ref", "#/$defs/", parts[i].name, "");
	}
	return NULL;
}

static json_t *typed(const char *type)
{
	return json_pack("{s:s}", "type", type);
}

/* What a text, number or truth value in YAML can be where a text is wanted. */
static json_t *scalar(void)
{
	return json_pack("{s:[s,s,s,s]}", "type", "string", "number", "boolean", "null");
}

static json_t *list_of(json_t *items, uint64_t min, uint64_t max)
{
	return json_pack("{s:s, s:o, s:I, s:I}", "type", "array", "items", items, "minItems",
			 (json_int_t)min, "maxItems", (json_int_t)max);
}

static json_t *mapping_to(json_t *values)
{
	return json_pack("{s:s, s:o}", "type", "object", "additionalProperties", values);
}

static json_t *either(json_t *a, json_t *b)
{
	return json_pack("{s:[o,o]}", "anyOf", a, b);
}

static json_t *number(uint64_t min, uint64_t max)
{
	return json_pack("{s:s, s:I, s:I}", "type", "integer", "minimum", (json_int_t)min,
			 "maximum", (json_int_t)max);
}

static json_t *size(void)
{
	return json_pack("{s:[s,s], s:s}", "type", "string", "integer", "pattern", SIZE_PATTERN);
}

static json_t *choice(const char *const *names)
{
	json_t *list = json_array();

	for (size_t i = 0; names[i]; i++) {
		/* What could not be added is missed when the whole is packed: it fails, too, without memory. */
		if (json_array_append_new(list, json_string(names[i])) != 0) {
			json_decref(list);
			list = NULL;
			break;
		}
	}
	return json_pack("{s:o}", "enum", list);
}

static json_t *rlimit(void)
{
	return either(number(0, INT64_MAX), json_pack("{s:s}", "const", "unlimited"));
}

/* Lists, mappings and what can be written in several ways. */
static json_t *type_of_many(const struct schema_row *row)
{
	switch ((unsigned int)row->kind) {
	case SCHEMA_TEXTS:
	case SCHEMA_COMMAND:
		return either(typed("string"), list_of(scalar(), row->min, row->max));
	case SCHEMA_PAIRS:
		return either(mapping_to(scalar()), list_of(typed("string"), 0, row->max));
	case SCHEMA_RLIMITS:
		return mapping_to(either(rlimit(), list_of(rlimit(), 2, 2)));
	case SCHEMA_SIZES:
		return mapping_to(size());
	case SCHEMA_REPLICAS:
		return either(number(row->min, row->max), json_pack("{s:s}", "const", "each"));
	case SCHEMA_NODES:
		return either(json_pack("{s:s}", "const", "all"),
			      list_of(scalar(), row->min, row->max));
	case SCHEMA_MAPPING:
		return reference(row->sub);
	case SCHEMA_VOLUMES:
	case SCHEMA_DEVICES:
		return list_of(either(typed("string"), reference(row->sub)), row->min, row->max);
	case SCHEMA_LIST:
		return list_of(reference(row->sub), row->min, row->max);
	default:
		return mapping_to(reference(row->sub));
	}
}

static json_t *type_of(const struct schema_row *row)
{
	switch ((unsigned int)row->kind) {
	case SCHEMA_NAME:
	case SCHEMA_ROOT:
	case SCHEMA_IMAGE:
		return typed("string");
	case SCHEMA_TEXT:
		return json_pack("{s:[s,s]}", "type", "string", "number");
	case SCHEMA_NUMBER:
	case SCHEMA_ENDPOINT:
		return number(row->min, row->max);
	case SCHEMA_CPUS:
		return json_pack("{s:s, s:f}", "type", "number", "minimum", 0.01);
	case SCHEMA_BYTES:
		return size();
	case SCHEMA_DURATION:
		return json_pack("{s:[s,s], s:s}", "type", "string", "integer", "pattern",
				 TIME_PATTERN);
	case SCHEMA_BOOL:
		return typed("boolean");
	case SCHEMA_CHOICE:
		return choice(row->names);
	default:
		return type_of_many(row);
	}
}

static bool add_row(json_t *properties, json_t *required, const struct schema_row *row)
{
	json_t *type = type_of(row);

	if (json_object_set_new(type, "description", json_string(row->doc)) != 0 ||
	    (row->fallback &&
	     json_object_set_new(type, "x-default", json_string(row->fallback)) != 0)) {
		json_decref(type);
		return false;
	}
	return json_object_set_new(properties, row->key, type) == 0 &&
	       (!row->must_be || json_array_append_new(required, json_string(row->key)) == 0);
}

static json_t *part_schema(enum schema_part part)
{
	json_t *properties = json_object();
	json_t *required = json_array();

	for (size_t i = 0; i < schema_n_rows; i++) {
		if ((schema_rows[i].parts & part) &&
		    !add_row(properties, required, &schema_rows[i])) {
			json_decref(properties);
			properties = NULL;
			break;
		}
	}
	return json_pack("{s:s, s:o, s:o, s:b}", "type", "object", "properties", properties,
			 "required", required, "additionalProperties", 0);
}

json_t *schema_json(void)
{
	json_t *definitions = json_object();

	for (size_t i = 0; i < N_PARTS; i++) {
		json_t *part = part_schema(parts[i].part);

		/* Keys of one's own, as a place for anchors. */
		if (parts[i].part == SCHEMA_DC &&
		    json_object_set_new(part, "patternProperties", json_pack("{s:{}}", "^x-")) !=
			    0) {
			json_decref(part);
			part = NULL;
		}
		if (json_object_set_new(definitions, parts[i].name, part) != 0) {
			json_decref(definitions);
			return NULL;
		}
	}
	return json_pack("{s:s, s:s, s:s, s:o}", "$schema",
			 "https://json-schema.org/draft/2020-12/schema", "title", "dvs.yaml",
			 "$ref", "#/$defs/dc", "$defs", definitions);
}
