/* SPDX-License-Identifier: Apache-2.0 */
/* The programs and servers of a dvs.yaml: records of the DC by name. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "container/program.h"
#include "manage/compose/reading.h"

static bool is_program_name(const char *name)
{
	size_t len =
		strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_");

	return len > 0 && name[len] == '\0' && len <= COMPOSE_PROGRAM_NAME_MAX;
}

static bool check_name(const struct reading *reading, const yaml_node_t *key)
{
	char shown[DOCUMENT_SHOWN_BYTES];

	if (!is_program_name(reading_text(key)))
		return reading_fail(reading, key,
				    "'%s' is not made of %u letters, digits, '-' and '_' at most",
				    document_shown(key, shown), COMPOSE_PROGRAM_NAME_MAX);
	for (size_t i = 0; i < reading->dc->n_programs; i++) {
		if (strcmp(reading->dc->programs[i].name, reading_text(key)) == 0)
			return reading_fail(reading, key,
					    "'%s' stands above already; programs and servers have "
					    "names of their own",
					    document_shown(key, shown));
	}
	return true;
}

/* Whether the DVS would take it. */
static bool check_program(const struct reading *reading, const yaml_node_t *node,
			  const struct compose_program *from)
{
	struct program *program = malloc(sizeof(*program));
	char prefix[COMPOSE_PATH_MAX];
	char why[DESCRIPTION_TEXT_MAX] = "";
	size_t len = 0;
	char *text;
	bool good;

	if (!program)
		return reading_no_memory(reading, node);
	(void)snprintf(prefix, sizeof(prefix), "program/%s:", from->name);
	good = program_from_json(from->json, program, why) == DVS_OK;
	if (good)
		program_free(program);
	else
		reading_refused(reading, prefix, why);
	free(program);
	text = description_text(from->json, &len);
	free(text);
	if (good && len > COMPOSE_RECORD_MAX)
		return reading_fail(reading, node,
				    "it takes %zu bytes, and %u are kept at most; put what is long "
				    "into a file or an image",
				    len, COMPOSE_RECORD_MAX);
	return good;
}

struct compose_program *reading_add(struct compose_program **list, size_t *n, const char *name)
{
	struct compose_program *more = realloc(*list, (*n + 1) * sizeof(*more));

	if (!more)
		return NULL;
	*list = more;
	more += *n;
	more->json = json_object();
	if (!more->json)
		return NULL;
	(void)snprintf(more->name, sizeof(more->name), "%s", name);
	++*n;
	return more;
}

static bool read_program(struct reading *reading, const struct schema_row *row,
			 const yaml_node_t *key, const yaml_node_t *node)
{
	struct compose_dc *dc = reading->dc;
	struct compose_program *program;
	struct reading_level level;
	char prefix[COMPOSE_PATH_MAX];

	if (!check_name(reading, key))
		return false;
	program = reading_add(&dc->programs, &dc->n_programs, reading_text(key));
	if (!program)
		return reading_no_memory(reading, node);
	(void)snprintf(prefix, sizeof(prefix), "program/%s:", program->name);
	if (!reading_enter(reading, key, program->name, prefix, &level) ||
	    !reading_part(reading, node, row->sub, program->json) ||
	    !check_program(reading, node, program))
		return false;
	reading_leave(reading, level);
	return true;
}

bool reading_programs(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node)
{
	struct reading_pairs *pairs = malloc(sizeof(*pairs));
	bool good = pairs && reading_pairs(reading, node, pairs);

	if (good && reading->dc->n_programs + pairs->n > row->max)
		good = reading_fail(reading, node, "a DC has at most %llu programs",
				    (unsigned long long)row->max);
	for (size_t i = 0; good && i < pairs->n; i++)
		good = read_program(reading, row, pairs->pair[i].key, pairs->pair[i].value);
	if (!pairs)
		good = reading_no_memory(reading, node);
	free(pairs);
	return good;
}
