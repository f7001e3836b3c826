/* SPDX-License-Identifier: Apache-2.0 */
/* dvs dc add-node, rm-node, freeze, thaw and rm: what happens to a DC as a whole. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "container/description.h"
#include "manage/container/dc.h"
#include "manage/container/reach.h"
#include "manage/container/settle.h"
#include "manage/link.h"
#include "manage/target.h"

struct change {
	struct cli *cli;
	const char *dc;
	struct link link;
	struct agents *agents;
	struct nodes nodes;
	struct dvk_container_info info;
	const char *verb;     /* "freeze" */
	uint64_t add, remove; /* nodes */
	int on;		      /* to freeze */
	struct dvk_refusal refusal;
};

static dvs_err call_nodes(void *change_void)
{
	struct change *change = change_void;

	return dvk_container_nodes(change->link.dvk, change->dc, change->add, change->remove,
				   change->add ? SETTLE_CREATE_MS : SETTLE_MS, &change->refusal);
}

static dvs_err call_freeze(void *change_void)
{
	struct change *change = change_void;

	return dvk_container_freeze(change->link.dvk, change->dc, change->on, SETTLE_MS);
}

static dvs_err call_remove(void *change_void)
{
	struct change *change = change_void;

	return dvk_container_remove(change->link.dvk, change->dc,
				    cli_has(change->cli, OPTION_FORCE), SETTLE_MS);
}

static dvs_err settle(struct change *change, dvs_err (*call)(void *change), char *what)
{
	struct settle how = { .cli = change->cli,
			      .admin = change->link.dvk,
			      .agents = change->agents,
			      .nodes = &change->nodes,
			      .dc = change->dc,
			      .what = what,
			      .call = call,
			      .context = change };

	return settle_call(&how);
}

static int print_done(struct change *change)
{
	return cli_result(change->cli, change->dc, json_pack("{s:s}", "name", change->dc));
}

/* ---- nodes ---- */

static bool has_node(const struct dvk_container_info *info, dvs_nodeid node)
{
	for (uint32_t i = 0; i < info->n_nodes; i++) {
		if (info->nodes[i].node.n == node.n)
			return true;
	}
	return false;
}

static int check_node(struct change *change, const struct dvk_node_info *node)
{
	json_t *document = NULL;
	char *text = NULL;
	uint64_t version;
	size_t len = 0;
	dvs_err err = agents_open(link_run_dir(change->cli), &change->agents);
	int status;

	if (err != DVS_OK)
		return link_fail_admin(change->cli, err);
	status = dc_load(change->cli, change->link.dvk, change->dc, &document, &version);
	if (status == EXIT_DONE) {
		text = description_text(document, &len);
		status = text ? dc_check(change->cli, change->agents, &change->nodes,
					 nodes_bit(node->node), change->dc, text, len) :
				cli_fail(change->cli, DVS_NOMEM, "check the description");
	}
	free(text);
	json_decref(document);
	return status;
}

static int change_nodes(struct change *change)
{
	struct cli *cli = change->cli;
	bool adds = strcmp(change->verb, "add-node") == 0;
	const struct dvk_node_info *node;
	char what[2 * DVS_NAME_MAX + 64];
	dvs_err err;
	int status;

	node = nodes_named(cli, &change->nodes, cli->words[1]);
	if (!node)
		return EXIT_USAGE;
	snprintf(what, sizeof(what), "%s node %s %s dc %s", adds ? "add" : "remove", node->name,
		 adds ? "to" : "from", change->dc);
	if (has_node(&change->info, node->node) == adds) {
		cli_note(
			cli,
			"%s: it has %s container there; 'dvs dc inspect %s' tells where it has one",
			what, adds ? "a" : "no", change->dc);
		return EXIT_FAILED;
	}
	if (adds) {
		status = check_node(change, node);
		if (status != EXIT_DONE)
			return status;
		change->add = nodes_bit(node->node);
	} else {
		change->remove = nodes_bit(node->node);
	}
	if (!adds && change->info.n_nodes == 1)
		return cli_fail_hint(cli, DVS_BADSTATE,
				     "it is its last node: remove the dc with 'dvs dc rm'", "%s",
				     what);
	err = settle(change, call_nodes, what);
	if (err != DVS_OK)
		return cli_fail(cli, err, "%s", what);
	if (change->refusal.err != DVS_OK)
		return dc_fail_refused(cli, &change->nodes, &change->refusal, what);
	return print_done(change);
}

/* ---- all of it ---- */

static int freeze(struct change *change)
{
	char what[DVS_NAME_MAX + 32];
	dvs_err err;

	snprintf(what, sizeof(what), "%s dc %s", change->verb, change->dc);
	change->on = strcmp(change->verb, "freeze") == 0;
	err = settle(change, call_freeze, what);
	if (err == DVS_BADSTATE)
		return cli_fail_hint(change->cli, err,
				     "only one that runs can be frozen; see 'dvs dc ls'", "%s",
				     what);
	return err == DVS_OK ? print_done(change) : cli_fail(change->cli, err, "%s", what);
}

static int with_change(struct cli *cli, const char *verb, int (*run)(struct change *change))
{
	AUTO_FREE struct change *change = calloc(1, sizeof(*change));
	int status;

	if (!change)
		return cli_fail(cli, DVS_NOMEM, "%s", verb);
	change->cli = cli;
	change->dc = cli->words[0];
	change->verb = verb;
	if (!target_check_dc_name(cli, change->dc))
		return EXIT_USAGE;
	status = link_open_admin(cli, &change->link);
	if (status != EXIT_DONE)
		return status;
	status = nodes_load(cli, change->link.dvk, &change->nodes);
	if (status == EXIT_DONE)
		status = run(change);
	agents_close(change->agents);
	link_close(&change->link);
	return status;
}

static int find_and_change_nodes(struct change *change)
{
	int status = reach_find_containers(change->cli, change->link.dvk, change->dc, change->verb,
					   &change->info);

	return status == EXIT_DONE ? change_nodes(change) : status;
}

static int find_and_freeze(struct change *change)
{
	int status = reach_find_containers(change->cli, change->link.dvk, change->dc, change->verb,
					   &change->info);

	return status == EXIT_DONE ? freeze(change) : status;
}

static int remove_dc(struct change *change)
{
	char what[DVS_NAME_MAX + 32];
	dvs_err err;

	snprintf(what, sizeof(what), "remove dc %s", change->dc);
	err = settle(change, call_remove, what);
	if (err == DVS_NODC)
		return link_fail_no_dc(change->cli, &change->link, change->dc, "remove");
	if (err == DVS_BADSTATE)
		return cli_fail_hint(
			change->cli, err,
			"endpoints are bound in it ('dvs ep ls' lists them): end their "
			"programs, or use --force",
			"%s", what);
	if (err == DVS_TIMEOUT)
		return cli_fail_hint(change->cli, err,
				     "it goes on: see with 'dvs dc inspect' what it waits for",
				     "%s", what);
	return err == DVS_OK ? print_done(change) : cli_fail(change->cli, err, "%s", what);
}

int cmd_dc_add_node(struct cli *cli)
{
	return with_change(cli, "add-node", find_and_change_nodes);
}

int cmd_dc_rm_node(struct cli *cli)
{
	return with_change(cli, "rm-node", find_and_change_nodes);
}

int cmd_dc_freeze(struct cli *cli)
{
	return with_change(cli, "freeze", find_and_freeze);
}

int cmd_dc_thaw(struct cli *cli)
{
	return with_change(cli, "thaw", find_and_freeze);
}

int cmd_dc_rm(struct cli *cli)
{
	return with_change(cli, "rm", remove_dc);
}
