/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/container/describe.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/container/dc.h"
#include "manage/container/reach.h"
#include "manage/text.h"

static const struct output_column dc_columns[] = {
	{ "NAME", "name", false },	    { "ID", "id", true },
	{ "PHASE", "phase", false },	    { "NODES", "nodes_ready", false },
	{ "ROOT", "root", false },	    { "CPUS", "cpus", false },
	{ "MEMORY", "memory_text", false }, { "PIDS", "pids", false },
	{ "OWNER", "owner", true },	    { "ENDPOINTS", "endpoints", false },
	{ "PROCESSES", "processes", true }, { "CHANNELS", "channels", true },
	{ "RECORDS", "records", true },
};

const struct output_shape describe_dc_rows_shape = { .list = "dcs",
						     .columns = dc_columns,
						     .n_columns = ARRAY_LEN(dc_columns) };

static const struct output_column node_columns[] = {
	{ "NODE", "name", false },	 { "STATE", "state", false }, { "UP", "node_state", false },
	{ "VERSION", "version", false }, { "WHY", "why", false },
};

static const struct output_shape nodes_shape = { .list = "nodes",
						 .columns = node_columns,
						 .n_columns = ARRAY_LEN(node_columns) };

/* "host", "image NAME", "directory PATH" */
static json_t *root_text(const json_t *description)
{
	json_t *root = json_object_get(description, "root");
	const char *kind = json_string_value(json_object_get(root, "kind"));
	const char *name = json_string_value(json_object_get(root, "name"));
	const char *path = json_string_value(json_object_get(root, "path"));

	if (!kind)
		return json_null();
	if (name || path)
		return json_sprintf("%s %s", kind, name ? name : path);
	return json_string(kind);
}

static json_t *number_text(const json_t *value)
{
	if (json_is_real(value))
		return json_sprintf("%g", json_real_value(value));
	return json_is_integer(value) ? json_integer(json_integer_value(value)) : json_null();
}

static json_t *size_text(const json_t *value)
{
	static const char units[] = "KMGTP";
	json_int_t bytes = json_integer_value(value);
	size_t unit = 0;

	if (!json_is_integer(value))
		return json_null();
	if (bytes < 1024 || bytes % 1024 != 0)
		return json_integer(bytes);
	for (bytes /= 1024; bytes >= 1024 && bytes % 1024 == 0 && units[unit + 1]; unit++)
		bytes /= 1024;
	return json_sprintf("%" JSON_INTEGER_FORMAT "%c", bytes, units[unit]);
}

bool describe_add_containers(json_t *object, const struct dvk_container_info *info,
			     const json_t *description)
{
	json_t *more;
	bool added;

	if (!info || info->phase == DVK_NO_CONTAINERS)
		more = json_pack("{s:s?}", "phase", info ? reach_phase(info->phase) : NULL);
	else
		more = json_pack("{s:s, s:b, s:o, s:o, s:o, s:o, s:o, s:o, s:I}", "phase",
				 info->frozen && info->phase == DVK_RUNS ? "frozen" :
									   reach_phase(info->phase),
				 "frozen", info->frozen != 0, "nodes_ready",
				 json_sprintf("%zu/%u", reach_ready(info), info->n_nodes), "root",
				 root_text(description), "cpus",
				 number_text(json_object_get(description, "cpus")), "memory",
				 number_text(json_object_get(description, "memory")), "memory_text",
				 size_text(json_object_get(description, "memory")), "pids",
				 number_text(json_object_get(description, "pids")), "records",
				 (json_int_t)info->n_records);
	added = object && more && json_object_update(object, more) == 0;
	json_decref(more);
	return added;
}

static json_t *describe_node(struct link *link, const struct nodes *nodes, const char *dc,
			     const struct dvk_container_node *node)
{
	const struct dvk_node_info *info = nodes_at(nodes, node->node);
	char name[DVS_NAME_MAX + 1];
	char why[DVK_TEXT_MAX + 1] = "";
	AUTO_FREE char *utf8 = NULL;

	if (node->state == DVK_BROKEN &&
	    dvk_container_why(link->dvk, dc, node->node, why) != DVS_OK)
		why[0] = '\0';
	utf8 = text_utf8(why, sizeof(why));
	return json_pack("{s:s, s:I, s:s, s:s, s:b, s:I, s:s?}", "name",
			 nodes_name(nodes, node->node, name), "node", (json_int_t)node->node.n,
			 "state", reach_state(node), "node_state",
			 info && info->state == DVK_NODE_UP ? "up" : "down", "frozen",
			 node->frozen != 0, "version", (json_int_t)node->version, "why",
			 why[0] ? utf8 : NULL);
}

int describe_containers(struct cli *cli, struct link *link, const char *dc, json_t **containers)
{
	AUTO_FREE struct nodes *nodes = malloc(sizeof(*nodes));
	struct dvk_container_info info;
	json_t *description = NULL;
	json_t *list;
	uint64_t version;
	int status = EXIT_DONE;

	*containers = NULL;
	if (!nodes)
		return cli_fail(cli, DVS_NOMEM, "look at dc %s", dc);
	if (!link->admin || reach_look(link->dvk, dc, &info) != DVS_OK ||
	    info.phase == DVK_NO_CONTAINERS) {
		*containers = json_null();
		return EXIT_DONE;
	}
	status = nodes_load(cli, link->dvk, nodes);
	if (status == EXIT_DONE)
		status = dc_load(cli, link->dvk, dc, &description, &version);
	if (status != EXIT_DONE)
		return status;
	list = json_array();
	for (uint32_t i = 0; i < info.n_nodes && list; i++) {
		if (json_array_append_new(list, describe_node(link, nodes, dc, &info.nodes[i])) ==
		    0)
			continue;
		json_decref(list);
		list = NULL;
	}
	*containers = json_pack("{s:s, s:b, s:I, s:I, s:o, s:o}", "phase", reach_phase(info.phase),
				"frozen", info.frozen != 0, "version", (json_int_t)info.version,
				"records", (json_int_t)info.n_records, "nodes", list, "description",
				description);
	return *containers ? EXIT_DONE : cli_fail(cli, DVS_NOMEM, "describe dc %s", dc);
}

bool describe_print_containers(const struct output *output, const json_t *containers)
{
	struct output table = *output;
	char *text;

	if (!json_is_object(containers))
		return true;
	table.format = OUTPUT_TABLE;
	fputs("\nContainers:\n", output->file);
	if (!output_rows(&table, &nodes_shape, json_object_get(containers, "nodes")))
		return false;
	text = json_dumps(json_object_get(containers, "description"),
			  JSON_INDENT(2) | JSON_SORT_KEYS);
	if (!text)
		return false;
	fprintf(output->file, "\nDescription:\n%s\n", text);
	free(text);
	return true;
}
