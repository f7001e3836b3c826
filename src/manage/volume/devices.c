/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/volume/devices.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/calls.h"
#include "manage/container/reach.h"

/* The volume's server may take so long to answer. */
#define ATTACH_MS 60000u
#define FLAG_READ_ONLY 1u
#define FLAG_SHARED 2u
#define MS_PER_S 1000u

static int open_node(struct cli *cli, struct reach *reach, const struct dvk_node_info **node)
{
	int status = reach_open(cli, reach);

	if (status != EXIT_DONE)
		return status;
	*node = nodes_named(cli, &reach->nodes, cli->values[OPTION_NODE]);
	return *node ? EXIT_DONE : EXIT_USAGE;
}

int devices_attach(struct cli *cli, const char *volume, char device[DEVICES_PATH_BYTES])
{
	struct agent_volume_attach_req req = { .flags = 0 };
	struct agent_volume_attach_rep rep;
	const struct dvk_node_info *node = NULL;
	struct reach reach;
	int status = open_node(cli, &reach, &node);
	dvs_err err;

	if (status == EXIT_DONE) {
		(void)snprintf(req.volume, sizeof(req.volume), "%s", volume);
		req.flags = (cli_has(cli, OPTION_READ_ONLY) ? FLAG_READ_ONLY : 0) |
			    (cli_has(cli, OPTION_SHARED) ? FLAG_SHARED : 0);
		err = agent_call_volume_attach(reach.agents, node->node, &req, &rep, ATTACH_MS);
		if (err)
			status = reach_fail(cli, reach.agents, err, "node %s", node->name);
		else
			(void)snprintf(device, DEVICES_PATH_BYTES, "%s", rep.device);
	}
	reach_close(&reach);
	return status;
}

int devices_detach(struct cli *cli, const char *what, uint32_t timeout_ms)
{
	struct agent_volume_detach_req req = { .force = cli_has(cli, OPTION_FORCE) };
	const struct dvk_node_info *node = NULL;
	struct reach reach;
	int status = open_node(cli, &reach, &node);
	dvs_err err;

	if (status == EXIT_DONE) {
		(void)snprintf(req.what, sizeof(req.what), "%s", what);
		req.timeout_s = (timeout_ms + MS_PER_S - 1) / MS_PER_S;
		err = agent_call_volume_detach(reach.agents, node->node, &req, NULL,
					       timeout_ms + ATTACH_MS);
		if (err)
			status = reach_fail(cli, reach.agents, err, "node %s: detach %s",
					    node->name, what);
	}
	reach_close(&reach);
	return status;
}

/* ---- which there are ---- */

static dvs_err take_rows(const struct agent_attachments_rep *rep, const char *node, json_t *rows)
{
	json_t *list = json_loadb((const char *)rep->attachments, rep->n_attachments, 0, NULL);
	size_t i;
	json_t *row;
	dvs_err err = json_is_array(list) ? DVS_OK : DVS_PROTO;

	json_array_foreach(list, i, row)
	{
		if (!json_is_object(row))
			err = DVS_PROTO;
		else if (json_object_set_new(row, "node", json_string(node)) ||
			 json_array_append(rows, row))
			err = DVS_NOMEM;
	}
	json_decref(list);
	return err;
}

static int list_one(struct cli *cli, const struct reach *reach, const struct dvk_node_info *node,
		    json_t *rows)
{
	AUTO_FREE struct agent_attachments_rep *rep = malloc(sizeof(*rep));
	dvs_err err = DVS_NOMEM;

	if (rep)
		err = agent_call_attachments(reach->agents, node->node, NULL, rep, REACH_MS);
	if (!err)
		err = take_rows(rep, node->name, rows);
	return err ? reach_fail(cli, reach->agents, err, "node %s: list the attachments",
				node->name) :
		     EXIT_DONE;
}

int devices_list(struct cli *cli, json_t *rows)
{
	const struct dvk_node_info *chosen = NULL;
	struct reach reach;
	int status = cli_has(cli, OPTION_NODE) ? open_node(cli, &reach, &chosen) :
						 reach_open(cli, &reach);
	int worst = status;

	for (size_t i = 0; status == EXIT_DONE && i < reach.nodes.n; i++) {
		const struct dvk_node_info *node = &reach.nodes.node[i];
		int one = EXIT_DONE;

		if (chosen ? node == chosen : node->state == DVK_NODE_UP)
			one = list_one(cli, &reach, node, rows);
		worst = one == EXIT_DONE ? worst : one;
	}
	reach_close(&reach);
	return worst;
}
