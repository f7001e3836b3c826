/* SPDX-License-Identifier: Apache-2.0 */
/* The form of corosync.conf: sections "name {" to "}", values "key: value", comments "#", one of these in a line. */
#include "manage/cluster/nodelist.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINE_MAX_BYTES 512u
#define DEPTH_MAX 4u
#define WORD_MAX 64u

/* One line, taken apart. */
struct line {
	enum { LINE_NOTHING, LINE_OPEN, LINE_CLOSE, LINE_VALUE, LINE_WRONG } kind;
	char key[WORD_MAX];
	char value[LINE_MAX_BYTES];
};

/* Where in the file we are. */
struct place {
	char sections[DEPTH_MAX][WORD_MAX];
	size_t depth;
};

static void trim(const char **from, size_t *len)
{
	while (*len > 0 && strchr(" \t\r", (*from)[0])) {
		(*from)++;
		(*len)--;
	}
	while (*len > 0 && strchr(" \t\r", (*from)[*len - 1]))
		(*len)--;
}

static bool copy(char *to, size_t size, const char *from, size_t len)
{
	trim(&from, &len);
	if (len == 0 || len >= size || memchr(from, '\0', len))
		return false;
	memcpy(to, from, len);
	to[len] = '\0';
	return true;
}

static void take_apart(const char *text, size_t len, struct line *line)
{
	const char *colon;

	trim(&text, &len);
	line->kind = LINE_NOTHING;
	if (len == 0 || text[0] == '#')
		return;
	colon = memchr(text, ':', len);
	if (len == 1 && text[0] == '}')
		line->kind = LINE_CLOSE;
	else if (text[len - 1] == '{' && copy(line->key, sizeof(line->key), text, len - 1))
		line->kind = LINE_OPEN;
	else if (colon && copy(line->key, sizeof(line->key), text, (size_t)(colon - text)) &&
		 copy(line->value, sizeof(line->value), colon + 1,
		      len - (size_t)(colon + 1 - text)))
		line->kind = LINE_VALUE;
	else
		line->kind = LINE_WRONG;
}

static bool at(const struct place *place, const char *outer, const char *inner)
{
	return place->depth == (inner ? 2 : 1) && strcmp(place->sections[0], outer) == 0 &&
	       (!inner || strcmp(place->sections[1], inner) == 0);
}

/* Follow an opening or a closing. */
static bool step(struct place *place, const struct line *line)
{
	if (line->kind == LINE_OPEN) {
		if (place->depth == DEPTH_MAX)
			return false;
		memcpy(place->sections[place->depth++], line->key, sizeof(line->key));
	} else if (line->kind == LINE_CLOSE) {
		if (place->depth == 0)
			return false;
		place->depth--;
	}
	return line->kind != LINE_WRONG;
}

static bool take_value(const struct place *place, const struct line *line, struct nodelist *nodes)
{
	struct nodelist_node *node = &nodes->list[nodes->n];
	unsigned long id;
	char *end;

	if (at(place, "totem", NULL) && strcmp(line->key, "cluster_name") == 0)
		return copy(nodes->cluster, sizeof(nodes->cluster), line->value,
			    strlen(line->value));
	if (!at(place, "nodelist", "node"))
		return true;
	if (strcmp(line->key, "name") == 0)
		return copy(node->name, sizeof(node->name), line->value, strlen(line->value));
	if (strcmp(line->key, "ring0_addr") == 0)
		return copy(node->address, sizeof(node->address), line->value, strlen(line->value));
	if (strcmp(line->key, "nodeid") != 0)
		return true;
	errno = 0;
	id = strtoul(line->value, &end, 10);
	if (errno != 0 || *end || id < 1 || id > CONFIG_NODES_MAX)
		return false;
	node->node = (uint32_t)id - 1;
	return true;
}

static bool end_node(struct nodelist *nodes)
{
	const struct nodelist_node *node = &nodes->list[nodes->n];

	for (size_t i = 0; i < nodes->n; i++) {
		if (nodes->list[i].node == node->node)
			return false;
	}
	if (node->node == UINT32_MAX || node->address[0] == '\0')
		return false;
	nodes->n++;
	return true;
}

dvs_err nodelist_read(const char *text, struct nodelist *nodes, char why[NODELIST_WHY_MAX])
{
	struct place place = { .depth = 0 };
	size_t number = 0;

	memset(nodes, 0, sizeof(*nodes));
	while (*text) {
		size_t len = strcspn(text, "\n");
		struct line line;
		bool ok;

		number++;
		take_apart(text, len, &line);
		ok = line.kind != LINE_VALUE || take_value(&place, &line, nodes);
		if (line.kind == LINE_CLOSE && at(&place, "nodelist", "node"))
			ok = end_node(nodes);
		ok = ok && step(&place, &line);
		if (line.kind == LINE_OPEN && at(&place, "nodelist", "node")) {
			ok = ok && nodes->n < CONFIG_NODES_MAX;
			if (ok)
				nodes->list[nodes->n] =
					(struct nodelist_node){ .node = UINT32_MAX };
		}
		if (!ok) {
			(void)snprintf(why, NODELIST_WHY_MAX, "line %zu is not as it must be: %.*s",
				       number, (int)(len > 80 ? 80 : len), text);
			return DVS_BADARG;
		}
		text += len + (text[len] == '\n');
	}
	if (place.depth == 0)
		return DVS_OK;
	(void)snprintf(why, NODELIST_WHY_MAX, "the section '%s' has no end",
		       place.sections[place.depth - 1]);
	return DVS_BADARG;
}

static void write_nodes(FILE *out, const struct nodelist *nodes)
{
	(void)fprintf(out, "nodelist {\n");
	for (size_t i = 0; i < nodes->n; i++) {
		const struct nodelist_node *node = &nodes->list[i];

		(void)fprintf(out, "\tnode {\n\t\tnodeid: %u\n", node->node + 1);
		if (node->name[0])
			(void)fprintf(out, "\t\tname: %s\n", node->name);
		(void)fprintf(out, "\t\tring0_addr: %s\n\t}\n", node->address);
	}
	(void)fprintf(out, "}\n");
}

char *nodelist_replace(const char *text, const struct nodelist *nodes)
{
	struct place place = { .depth = 0 };
	char *result = NULL;
	size_t result_len = 0;
	FILE *out = open_memstream(&result, &result_len);

	if (!out)
		return NULL;
	while (*text) {
		size_t len = strcspn(text, "\n");
		struct line line;
		bool inside;

		take_apart(text, len, &line);
		/* The old list is left out from its opening line to its closing one. */
		inside = place.depth > 0 && strcmp(place.sections[0], "nodelist") == 0;
		if (!step(&place, &line))
			break;
		inside = inside || at(&place, "nodelist", NULL);
		if (!inside && line.kind == LINE_VALUE && at(&place, "quorum", NULL) &&
		    strcmp(line.key, "expected_votes") == 0)
			(void)fprintf(out, "\texpected_votes: %zu\n", nodes->n);
		else if (!inside)
			(void)fprintf(out, "%.*s\n", (int)len, text);
		text += len + (text[len] == '\n');
	}
	write_nodes(out, nodes);
	if (fclose(out) == 0)
		return result;
	free(result);
	return NULL;
}

const struct nodelist_node *nodelist_by_number(const struct nodelist *nodes, uint32_t node)
{
	for (size_t i = 0; i < nodes->n; i++) {
		if (nodes->list[i].node == node)
			return &nodes->list[i];
	}
	return NULL;
}

const struct nodelist_node *nodelist_by_name(const struct nodelist *nodes, const char *name)
{
	for (size_t i = 0; i < nodes->n; i++) {
		if (strcmp(nodes->list[i].name, name) == 0)
			return &nodes->list[i];
	}
	return NULL;
}

const struct nodelist_node *nodelist_by_address(const struct nodelist *nodes, const char *address)
{
	for (size_t i = 0; i < nodes->n; i++) {
		if (strcmp(nodes->list[i].address, address) == 0)
			return &nodes->list[i];
	}
	return NULL;
}

uint32_t nodelist_free_number(const struct nodelist *nodes)
{
	uint32_t after = 0;
	uint32_t number = 0;

	for (size_t i = 0; i < nodes->n; i++) {
		if (nodes->list[i].node >= after)
			after = nodes->list[i].node + 1;
	}
	if (after < CONFIG_NODES_MAX)
		return after;
	while (number < CONFIG_NODES_MAX && nodelist_by_number(nodes, number))
		number++;
	return number;
}

bool nodelist_is_example(const struct nodelist *nodes)
{
	return nodes->n == 0 || (nodes->n == 1 && strcmp(nodes->list[0].address, "127.0.0.1") == 0);
}
