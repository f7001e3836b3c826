/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/nodes.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/nearest.h"

int nodes_load(struct cli *cli, struct dvk *dvk, struct nodes *nodes)
{
	uint32_t cursor = 0;
	dvs_err err = DVS_OK;

	nodes->n = 0;
	while (nodes->n < DVS_NODES_MAX) {
		err = dvk_node_next(dvk, &cursor, &nodes->node[nodes->n]);
		if (err != DVS_OK)
			break;
		nodes->n++;
	}
	return err == DVS_OK || err == DVS_NODEST ? EXIT_DONE :
						    cli_fail(cli, err, "list the nodes");
}

static bool is_number_of(const char *word, uint32_t node)
{
	char *end;
	unsigned long value;

	errno = 0;
	value = strtoul(word, &end, 10);
	return errno == 0 && end != word && *end == '\0' && word[0] >= '0' && word[0] <= '9' &&
	       value == node;
}

const struct dvk_node_info *nodes_find(const struct nodes *nodes, const char *word)
{
	for (size_t i = 0; i < nodes->n; i++) {
		if (strcmp(nodes->node[i].name, word) == 0)
			return &nodes->node[i];
	}
	for (size_t i = 0; i < nodes->n; i++) {
		if (is_number_of(word, nodes->node[i].node.n))
			return &nodes->node[i];
	}
	return NULL;
}

const struct dvk_node_info *nodes_named(struct cli *cli, const struct nodes *nodes,
					const char *word)
{
	const struct dvk_node_info *found = nodes_find(nodes, word);
	const char *names[DVS_NODES_MAX];
	const char *nearest;

	if (found)
		return found;
	for (size_t i = 0; i < nodes->n; i++)
		names[i] = nodes->node[i].name;
	nearest = nearest_word(word, names, nodes->n);
	if (nearest)
		cli_usage(cli, "there is no node '%s'; did you mean '%s'?", word, nearest);
	else
		cli_usage(cli, "there is no node '%s'; 'dvs node ls' lists them", word);
	return NULL;
}

const struct dvk_node_info *nodes_at(const struct nodes *nodes, dvs_nodeid node)
{
	for (size_t i = 0; i < nodes->n; i++) {
		if (nodes->node[i].node.n == node.n)
			return &nodes->node[i];
	}
	return NULL;
}

const char *nodes_name(const struct nodes *nodes, dvs_nodeid node, char *name)
{
	const struct dvk_node_info *info = nodes_at(nodes, node);

	if (info)
		snprintf(name, DVS_NAME_MAX + 1, "%s", info->name);
	else
		snprintf(name, DVS_NAME_MAX + 1, "%u", node.n);
	return name;
}

const struct dvk_node_info *nodes_self(const struct nodes *nodes)
{
	for (size_t i = 0; i < nodes->n; i++) {
		if (nodes->node[i].is_self)
			return &nodes->node[i];
	}
	return NULL;
}

uint64_t nodes_ready(const struct nodes *nodes)
{
	uint64_t ready = 0;

	for (size_t i = 0; i < nodes->n; i++) {
		if (nodes->node[i].state == DVK_NODE_UP && !nodes->node[i].draining)
			ready |= nodes_bit(nodes->node[i].node);
	}
	return ready;
}

int nodes_choose(struct cli *cli, const struct nodes *nodes, const char *list, uint64_t *chosen)
{
	*chosen = 0;
	if (strcmp(list, "all") == 0) {
		*chosen = nodes_ready(nodes);
		return EXIT_DONE;
	}
	for (const char *at = list;; at++) {
		const struct dvk_node_info *info;
		char word[DVS_NAME_MAX + 1];
		size_t len = strcspn(at, ",");

		if (len == 0 || len > DVS_NAME_MAX)
			return cli_usage(cli,
					 "'%s' is no list of nodes; give names or numbers with "
					 "commas between, or 'all'",
					 list);
		snprintf(word, sizeof(word), "%.*s", (int)len, at);
		info = nodes_named(cli, nodes, word);
		if (!info)
			return EXIT_USAGE;
		*chosen |= nodes_bit(info->node);
		at += len;
		if (!*at)
			return EXIT_DONE;
	}
}
