/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/container/place.h"

#include <string.h>

#include "manage/target.h"

/* The path without what says how it is meant. */
static bool take_path(struct cli *cli, const char *text, struct place *place)
{
	bool relative = place->kind == PLACE_CONTAINER && text[0] != '/';
	size_t len = strlen(text);

	if (len == 0) {
		cli_usage(cli, "'%s' has no path; write DC:/PATH", place->word);
		return false;
	}
	/* With a slash before it, or "/." behind it, it must fit still. */
	if (len + 4 >= sizeof(place->path)) {
		cli_usage(cli, "the path is longer than %zu bytes; give a shorter one",
			  sizeof(place->path) - 5);
		return false;
	}
	/* In a container paths begin at its root. */
	snprintf(place->path, sizeof(place->path), "%s%s", relative ? "/" : "", text);
	len = strlen(place->path);
	place->contents = strcmp(place->path, ".") == 0 ||
			  (len >= 2 && strcmp(place->path + len - 2, "/.") == 0);
	place->must_be_directory = place->contents || place->path[len - 1] == '/';
	if (place->contents && len >= 2)
		place->path[--len] = '\0';
	while (len > 1 && place->path[len - 1] == '/')
		place->path[--len] = '\0';
	if (strcmp(place->path, "/") == 0)
		place->contents = true;
	return true;
}

bool place_parse(struct cli *cli, const char *word, struct place *place)
{
	const char *colon = strchr(word, ':');
	size_t len = colon ? (size_t)(colon - word) : 0;
	size_t dc_len = strcspn(word, "@:");

	*place = (struct place){ .word = word, .kind = PLACE_HERE };
	if (strcmp(word, "-") == 0) {
		place->kind = PLACE_STREAM;
		return true;
	}
	/* "./a:b" is a file. */
	if (!colon || memchr(word, '/', len))
		return take_path(cli, word, place);
	place->kind = PLACE_CONTAINER;
	if (dc_len >= sizeof(place->dc) || len - dc_len > sizeof(place->node_name)) {
		cli_usage(cli, "'%s' has a name that is too long; write DC:/PATH or DC@NODE:/PATH",
			  word);
		return false;
	}
	memcpy(place->dc, word, dc_len);
	if (dc_len < len)
		memcpy(place->node_name, word + dc_len + 1, len - dc_len - 1);
	return target_check_dc_name(cli, place->dc) && take_path(cli, colon + 1, place);
}

static bool has_container(const struct dvk_container_info *info, dvs_nodeid node)
{
	for (uint32_t i = 0; i < info->n_nodes; i++) {
		if (info->nodes[i].node.n == node.n && info->nodes[i].state == DVK_READY)
			return true;
	}
	return false;
}

int place_find(struct cli *cli, struct reach *reach, struct place *place)
{
	const struct dvk_node_info *self = nodes_self(&reach->nodes);
	const struct dvk_node_info *node = NULL;
	struct dvk_container_info info;
	int status;

	if (place->kind != PLACE_CONTAINER)
		return EXIT_DONE;
	status = reach_find_containers(cli, agents_admin(reach->agents), place->dc, "copy", &info);
	if (status != EXIT_DONE)
		return status;
	if (place->node_name[0]) {
		node = nodes_named(cli, &reach->nodes, place->node_name);
		if (!node)
			return EXIT_USAGE;
		if (!has_container(&info, node->node))
			node = NULL;
	} else if (self && has_container(&info, self->node)) {
		node = self;
	}
	for (size_t i = 0; !node && !place->node_name[0] && i < reach->nodes.n; i++) {
		if (reach->nodes.node[i].state == DVK_NODE_UP &&
		    has_container(&info, reach->nodes.node[i].node))
			node = &reach->nodes.node[i];
	}
	if (node) {
		place->node = node->node;
		return EXIT_DONE;
	}
	cli_note(cli,
		 "copy %s: dc %s has no container that runs %s%s; 'dvs dc inspect %s' tells where",
		 place->word, place->dc, place->node_name[0] ? "on node " : "on a node that is up",
		 place->node_name, place->dc);
	return EXIT_FAILED;
}

const char *place_name(const struct place *place)
{
	const char *slash = strrchr(place->path, '/');

	if (place->contents)
		return "";
	return slash ? slash + 1 : place->path;
}
