/* SPDX-License-Identifier: Apache-2.0 */
/* Which instances of the programs of a DC belong on this node. Every node computes it by itself from what all of them know. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "agent/settle.h"
#include "base/cleanup.h"

#define PROGRAM_PREFIX "program/"

struct around {
	struct placement_node nodes[DVS_NODES_MAX];
	char names[DVS_NODES_MAX][DVS_NAME_MAX + 1];
	size_t n;
	size_t own; /* the place of this node */
};

static dvs_err look_around(const struct settle *settle, struct around *around)
{
	around->n = 0;
	around->own = SIZE_MAX;
	for (uint32_t i = 0; i < settle->info.n_nodes; i++) {
		const struct dvk_container_node *row = &settle->info.nodes[i];
		struct placement_node *node = &around->nodes[around->n];
		uint32_t cursor = row->node.n;
		struct dvk_node_info info;
		dvs_err err;

		if (row->state == DVK_LEAVING || row->state == DVK_GONE)
			continue;
		err = dvk_node_next(settle->agent->admin, &cursor, &info);
		if (err && err != DVS_NODEST)
			return err;
		if (err || info.node.n != row->node.n)
			continue;
		(void)snprintf(around->names[around->n], sizeof(around->names[0]), "%s", info.name);
		if (info.node.n == settle->agent->node)
			around->own = around->n;
		/* A node whose dvsd is away runs on; one that cannot have its container runs nothing. */
		*node = (struct placement_node){ .node = info.node.n,
						 .name = around->names[around->n],
						 .up = info.state != DVK_NODE_DOWN &&
						       row->state != DVK_BROKEN,
						 .draining = info.draining != 0 };
		around->n++;
	}
	return DVS_OK;
}

static dvs_err add_wanted(struct settle *settle, const char *record, size_t instance,
			  uint64_t version, const struct program *program)
{
	struct programs_wanted *more =
		realloc(settle->wanted, (settle->n_wanted + 1) * sizeof(*more));
	struct programs_wanted *one;

	if (!more)
		return DVS_NOMEM;
	settle->wanted = more;
	one = &more[settle->n_wanted++];
	*one = (struct programs_wanted){ .version = version, .program = program };
	(void)snprintf(one->record, sizeof(one->record), "%s", record);
	if (snprintf(one->name, sizeof(one->name), "%s.%zu", record, instance) >=
	    (int)sizeof(one->name))
		settle->n_wanted--;
	return DVS_OK;
}

static dvs_err place_record(struct settle *settle, const struct around *around, const char *record,
			    const struct program *program)
{
	AUTO_FREE size_t *where = calloc(PROGRAM_REPLICAS_MAX, sizeof(*where));
	uint64_t version = program_digest(program);
	dvs_err err = DVS_OK;
	size_t n = 0;

	if (!where || version == 0)
		return DVS_NOMEM;
	placement(record, program, around->nodes, around->n, where, &n);
	for (size_t i = 0; i < n && !err; i++) {
		if (where[i] == around->own)
			err = add_wanted(settle, record, i, version, program);
	}
	return err;
}

static dvs_err take_program(struct settle *settle, const void *value, size_t len,
			    const struct program **out)
{
	struct settle_program *taken = malloc(sizeof(*taken));
	char why[DESCRIPTION_TEXT_MAX];
	dvs_err err;

	if (!taken)
		return DVS_NOMEM;
	err = program_parse(value, len, &taken->program, why);
	if (err) {
		free(taken);
		return err;
	}
	taken->next = settle->programs;
	settle->programs = taken;
	*out = &taken->program;
	return DVS_OK;
}

dvs_err settle_place(struct settle *settle)
{
	AUTO_FREE struct around *around = malloc(sizeof(*around));
	char key[DVS_NAME_MAX + 1] = "";
	uint8_t value[DVK_VALUE_MAX];
	dvs_err err;

	if (!around)
		return DVS_NOMEM;
	err = look_around(settle, around);
	if (err)
		return err;
	for (;;) {
		const struct program *program;
		size_t len = 0;

		err = dvk_record_next(settle->agent->admin, settle->dc, key, value, &len, NULL);
		if (err)
			break;
		if (strncmp(key, PROGRAM_PREFIX, strlen(PROGRAM_PREFIX)) != 0)
			continue;
		err = take_program(settle, value, len, &program);
		if (!err)
			err = place_record(settle, around, key + strlen(PROGRAM_PREFIX), program);
		else if (err != DVS_NOMEM)
			/* Who wrote it was told; another node may be of a newer version. */
			err = DVS_OK;
		if (err)
			return err;
	}
	settle->has_wanted = err == DVS_NOTFOUND;
	return settle->has_wanted ? DVS_OK : err;
}
