/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the reader: a YAML document on its way to JSON. */
#ifndef MANAGE_COMPOSE_READING_H
#define MANAGE_COMPOSE_READING_H

#include "config/document.h"
#include "manage/compose/compose.h"
#include "manage/compose/schema.h"

struct reading {
	struct document *document;
	struct compose_dc *dc;
	char yaml[COMPOSE_PATH_MAX]; /* where we are, for people */
	char json[COMPOSE_PATH_MAX];
	unsigned int merged; /* pairs that came by "<<" */
};

struct reading_level {
	size_t yaml, json;
};

struct reading_pair {
	const yaml_node_t *key;
	const yaml_node_t *value;
};

/* More entries than any mapping may have. */
#define READING_PAIRS_MAX 512u
struct reading_pairs {
	size_t n;
	struct reading_pair pair[READING_PAIRS_MAX];
};

/* Go down to KEY (JSON: its name there; NULL: it has none) or entry INDEX, whose value is NODE; what is found wrong by its path in JSON
 * will be said of NODE. False: the complaint is out. */
MUST_USE bool reading_enter(struct reading *reading, const yaml_node_t *node, const char *key,
			    const char *json, struct reading_level *level);
MUST_USE bool reading_enter_entry(struct reading *reading, const yaml_node_t *node, size_t index,
				  struct reading_level *level);
void reading_leave(struct reading *reading, struct reading_level level);

/* Complain about NODE, which is the value where we are. Returns false. */
bool reading_fail(const struct reading *reading, const yaml_node_t *node, const char *format, ...)
	PRINTF_LIKE(3, 4);
bool reading_no_memory(const struct reading *reading, const yaml_node_t *node);

/* The entries of the mapping NODE with those that it takes over by "<<"; no key stands twice. */
MUST_USE bool reading_pairs(struct reading *reading, const yaml_node_t *node,
			    struct reading_pairs *pairs);
static inline const char *reading_text(const yaml_node_t *scalar)
{
	return (const char *)scalar->data.scalar.value;
}
/* The mapping NODE by the rows of PART into the object INTO. */
MUST_USE bool reading_part(struct reading *reading, const yaml_node_t *node, enum schema_part part,
			   json_t *into);
/* One value by its row. */
MUST_USE bool reading_value(struct reading *reading, const struct schema_row *row,
			    const yaml_node_t *node, json_t *into);
/* The node behind an index. */
const yaml_node_t *reading_node(const struct reading *reading, int index);
/* Programs of a DC: SCHEMA_PROGRAMS. */
MUST_USE bool reading_programs(struct reading *reading, const struct schema_row *row,
			       const yaml_node_t *node);
/* Its volumes: SCHEMA_DISKS. */
MUST_USE bool reading_disks(struct reading *reading, const struct schema_row *row,
			    const yaml_node_t *node);
MUST_USE bool reading_filesystems(struct reading *reading, const struct schema_row *row,
				  const yaml_node_t *node);
/* One more of LIST, for NAME: an empty object. NULL: no memory. */
struct compose_program *reading_add(struct compose_program **list, size_t *n, const char *name);
/* JSON's "PATH: sentence" as a complaint about its spot. Returns false. */
bool reading_refused(const struct reading *reading, const char *prefix, const char *why);

#endif
