/* SPDX-License-Identifier: Apache-2.0 */
/* dvs node: list the nodes, empty one, forget one. */
#include <errno.h>

#include "base/clock.h"
#include "manage/cli.h"
#include "manage/describe.h"
#include "manage/link.h"
#include "manage/nodes.h"
#include "manage/terminal.h"

/* How often the endpoints that a node still has are counted while it is emptied. */
#define DRAIN_LOOK_NS (500 * CLOCK_NS_PER_MS)

static const struct output_column columns[] = {
	{ "NODE", "node", false },	   { "NAME", "name", false },
	{ "ADDRESS", "address", false },   { "STATE", "state", false },
	{ "DRAINING", "draining", false }, { "ENDPOINTS", "endpoints", false },
	{ "SELF", "self", false },	   { "QUORATE", "quorate", true },
	{ "EPOCH", "epoch", true },	   { "APPLIED", "applied", true },
};

static const struct output_shape shape = { .list = "nodes",
					   .columns = columns,
					   .n_columns = ARRAY_LEN(columns) };

static const char *state_name(enum dvk_node_state state)
{
	if (state == DVK_NODE_UP)
		return "up";
	return state == DVK_NODE_AWAY ? "away" : "down";
}

static json_t *describe_node(const struct dvk_node_info *info)
{
	return json_pack("{s:I, s:s, s:s, s:s, s:b, s:I, s:b, s:b, s:o, s:o}", "node",
			 (json_int_t)info->node.n, "name", info->name, "address", info->address,
			 "state", state_name(info->state), "draining", info->draining, "endpoints",
			 (json_int_t)info->n_endpoints, "self", info->is_self, "quorate",
			 info->is_quorate, "epoch", describe_count(info->epoch), "applied",
			 describe_count(info->n_applied));
}

static int list_nodes(struct cli *cli, struct link *link, json_t *rows)
{
	struct dvk_node_info info;
	uint32_t cursor = 0;
	dvs_err err;

	while ((err = dvk_node_next(link->dvk, &cursor, &info)) == DVS_OK) {
		if (json_array_append_new(rows, describe_node(&info)) != 0)
			return cli_fail(cli, DVS_NOMEM, "list the nodes");
	}
	if (err != DVS_NODEST)
		return cli_fail(cli, err, "list the nodes");
	if (!output_rows(&cli->output, &shape, rows))
		return cli_fail(cli, DVS_NOMEM, "list the nodes");
	return EXIT_DONE;
}

int cmd_node_ls(struct cli *cli)
{
	struct link link;
	json_t *rows;
	int status = link_open(cli, &link);

	if (status != EXIT_DONE)
		return status;
	rows = json_array();
	status = rows ? list_nodes(cli, &link, rows) : cli_fail(cli, DVS_NOMEM, "list the nodes");
	json_decref(rows);
	link_close(&link);
	return status;
}

/* The node that WORD names, by its name or its number. */
static int find_node(struct cli *cli, struct link *link, const char *word,
		     struct dvk_node_info *info)
{
	struct nodes nodes;
	const struct dvk_node_info *found;
	int status = nodes_load(cli, link->dvk, &nodes);

	if (status != EXIT_DONE)
		return status;
	found = nodes_named(cli, &nodes, word);
	if (!found)
		return EXIT_USAGE;
	*info = *found;
	return EXIT_DONE;
}

static int print_drain(struct cli *cli, const struct dvk_node_info *info, bool on, uint32_t left)
{
	if (cli->output.format != OUTPUT_JSON)
		return EXIT_DONE;
	if (!output_document(&cli->output,
			     json_pack("{s:I, s:s, s:b, s:I}", "node", (json_int_t)info->node.n,
				       "name", info->name, "draining", on, "endpoints",
				       (json_int_t)left),
			     false))
		return cli_fail(cli, DVS_NOMEM, "print the result");
	return EXIT_DONE;
}

/* Until nothing is left on the node, or somebody ends us: it goes on draining then. */
static int wait_empty(struct cli *cli, struct link *link, const struct dvk_node_info *info,
		      uint32_t *left)
{
	struct interrupts interrupts;
	uint32_t shown = UINT32_MAX;
	dvs_err err = DVS_OK;

	if (!interrupts_open(&interrupts, false))
		return cli_fail_errno(cli, errno, "", "take signals");
	while (err == DVS_OK && *left > 0) {
		if (*left != shown)
			cli_note(cli, "node drain: %s has %u endpoints left%s", info->name, *left,
				 shown == UINT32_MAX ? "; 'dvs ep ls' lists them; Ctrl-C ends the "
						       "waiting, not the draining" :
						       "");
		shown = *left;
		if (interrupts_wait(&interrupts, -1, clock_deadline_ns(DRAIN_LOOK_NS)) ==
		    EVENT_END) {
			cli_note(cli, "node drain: %s goes on draining; --off ends that",
				 info->name);
			break;
		}
		err = dvk_node_drain(link->dvk, info->node, 1, left);
	}
	interrupts_close(&interrupts);
	if (err != DVS_OK)
		return cli_fail(cli, err, "drain node %s", info->name);
	return *left > 0 ? EXIT_FAILED : EXIT_DONE;
}

static int drain(struct cli *cli, struct link *link)
{
	bool on = !cli_has(cli, OPTION_OFF);
	struct dvk_node_info info;
	uint32_t left = 0;
	dvs_err err;
	int status = find_node(cli, link, cli->words[0], &info);

	if (status != EXIT_DONE)
		return status;
	err = dvk_node_drain(link->dvk, info.node, on, &left);
	if (err != DVS_OK)
		return cli_fail(cli, err, "drain node %s", info.name);
	if (on && !cli_has(cli, OPTION_DETACH))
		status = wait_empty(cli, link, &info, &left);
	return status == EXIT_DONE ? print_drain(cli, &info, on, left) : status;
}

int cmd_node_drain(struct cli *cli)
{
	struct link link;
	int status;

	if (cli_has(cli, OPTION_OFF) && cli_has(cli, OPTION_DETACH))
		return cli_usage(cli, "--off waits for nothing, so --detach makes no sense");
	status = link_open_admin(cli, &link);
	if (status != EXIT_DONE)
		return status;
	status = drain(cli, &link);
	link_close(&link);
	return status;
}

static int remove_node(struct cli *cli, struct link *link)
{
	struct dvk_node_info info;
	dvs_err err;
	int status = find_node(cli, link, cli->words[0], &info);

	if (status != EXIT_DONE)
		return status;
	err = dvk_node_remove(link->dvk, info.node);
	if (err == DVS_BADSTATE)
		return cli_fail_hint(cli, err, "only a node that is down can be forgotten",
				     "remove node %s", info.name);
	if (err != DVS_OK)
		return cli_fail(cli, err, "remove node %s", info.name);
	if (cli->output.format == OUTPUT_NAME)
		fprintf(cli->output.file, "%s\n", info.name);
	if (cli->output.format == OUTPUT_JSON &&
	    !output_document(&cli->output,
			     json_pack("{s:I, s:s}", "node", (json_int_t)info.node.n, "name",
				       info.name),
			     false))
		return cli_fail(cli, DVS_NOMEM, "print the result");
	return EXIT_DONE;
}

int cmd_node_rm(struct cli *cli)
{
	struct link link;
	int status = link_open_admin(cli, &link);

	if (status != EXIT_DONE)
		return status;
	status = remove_node(cli, &link);
	link_close(&link);
	return status;
}
