/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of the reader: what the readers of single values (values.c) and of lists and mappings (lists.c) give each other. */
#ifndef MANAGE_COMPOSE_VALUES_H
#define MANAGE_COMPOSE_VALUES_H

#include "manage/compose/reading.h"

typedef bool (*value_reader)(struct reading *reading, const struct schema_row *row,
			     const yaml_node_t *node, json_t *into);

/* VALUE, which is taken over (NULL: no memory), becomes KEY of INTO; or the next entry of LIST. */
bool value_put(const struct reading *reading, const yaml_node_t *node, json_t *into,
	       const char *key, json_t *value);
bool value_append(const struct reading *reading, const yaml_node_t *node, json_t *list,
		  json_t *value);
/* The text of NODE; NULL after a complaint. The first one may be empty. */
const char *value_any_text(const struct reading *reading, const yaml_node_t *node);
const char *value_text(const struct reading *reading, const yaml_node_t *node);
/* A whole number in digits. */
bool value_digits(const char *text, uint64_t *number);
/* A size from MIN to MAX. */
bool value_bytes(const struct reading *reading, const yaml_node_t *node, uint64_t min, uint64_t max,
		 uint64_t *bytes);

/* Readers of lists and mappings, for the table of kinds. */
bool value_read_texts(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into);
bool value_read_command(struct reading *reading, const struct schema_row *row,
			const yaml_node_t *node, json_t *into);
bool value_read_nodes(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into);
bool value_read_pairs(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into);
bool value_read_rlimits(struct reading *reading, const struct schema_row *row,
			const yaml_node_t *node, json_t *into);
bool value_read_sizes(struct reading *reading, const struct schema_row *row,
		      const yaml_node_t *node, json_t *into);
bool value_read_mapping(struct reading *reading, const struct schema_row *row,
			const yaml_node_t *node, json_t *into);
bool value_read_volumes(struct reading *reading, const struct schema_row *row,
			const yaml_node_t *node, json_t *into);
bool value_read_devices(struct reading *reading, const struct schema_row *row,
			const yaml_node_t *node, json_t *into);
bool value_read_list(struct reading *reading, const struct schema_row *row, const yaml_node_t *node,
		     json_t *into);

#endif
