/* SPDX-License-Identifier: Apache-2.0 */
/* dvs dc create: a DC with a container on each of its nodes, or one for programs of the nodes themselves. */
#include <pwd.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/description.h"
#include "manage/container/dc.h"
#include "manage/container/limits.h"
#include "manage/container/reach.h"
#include "manage/container/settle.h"
#include "manage/link.h"
#include "manage/target.h"

#define AGENT_MS 20000u

struct create {
	struct cli *cli;
	const char *name;
	struct link link;
	struct agents *agents;
	struct nodes nodes;
	uint64_t on; /* bits of nodes */
	json_t *document;
	char *description;
	size_t len;
	uint32_t owner_uid;
	dvs_dcid id;
	struct dvk_refusal refusal;
};

static bool owner_of(struct cli *cli, uint32_t fallback, uint32_t *uid)
{
	const char *text = cli->values[OPTION_OWNER];
	const struct passwd *user;
	uint64_t number;

	if (text && !(text[0] >= '0' && text[0] <= '9')) {
		user = getpwnam(text);
		if (!user) {
			cli_usage(cli, "there is no user '%s'; give a name or a number", text);
			return false;
		}
		*uid = user->pw_uid;
		return true;
	}
	/* The largest number means "no user" to the kernel. */
	if (!cli_number(cli, OPTION_OWNER, 0, UINT32_MAX - 1, fallback, &number))
		return false;
	*uid = (uint32_t)number;
	return true;
}

/* A DC for programs of the nodes themselves. */
static int create_plain(struct create *create)
{
	struct cli *cli = create->cli;
	dvs_err err;

	if (!owner_of(cli, getuid(), &create->owner_uid))
		return EXIT_USAGE;
	err = dvk_dc_create(create->link.dvk, create->name, create->owner_uid, &create->id);
	if (err != DVS_OK)
		return cli_fail(cli, err, "create dc %s", create->name);
	return cli_result(cli, create->name,
			  json_pack("{s:s, s:I, s:I}", "name", create->name, "id",
				    (json_int_t)create->id.n, "owner_uid",
				    (json_int_t)create->owner_uid));
}

/* ---- with containers ---- */

/* Start the agents of all its nodes. *PLAIN: none of them can have one, and nobody said that they must. */
static int start_agents(struct create *create, bool *plain)
{
	struct cli *cli = create->cli;
	const char *said = cli_has(cli, OPTION_NODES) ? "nodes" : limits_given(cli);
	size_t n_agents = 0;
	int status = EXIT_DONE;
	bool none = true;

	for (size_t i = 0; i < create->nodes.n; i++) {
		const struct dvk_node_info *node = &create->nodes.node[i];
		dvs_ep ep;
		dvs_err err;

		if (!(create->on & nodes_bit(node->node)))
			continue;
		err = dvk_agent_start(create->link.dvk, node->node, AGENT_MS, &ep);
		n_agents += err == DVS_OK;
		if (err != DVS_NOAGENT)
			none = false;
		/* Told below, once it is known whether that matters. */
		if (err == DVS_NOAGENT && !said)
			continue;
		if (err != DVS_OK)
			status = cli_fail(cli, err, "create dc %s: node %s", create->name,
					  node->name);
	}
	*plain = none && !said;
	if (*plain || status != EXIT_DONE)
		return status;
	for (size_t i = 0; i < create->nodes.n && !said && n_agents > 0; i++) {
		const struct dvk_node_info *node = &create->nodes.node[i];
		dvs_ep ep;

		if ((create->on & nodes_bit(node->node)) &&
		    dvk_agent_start(create->link.dvk, node->node, AGENT_MS, &ep) == DVS_NOAGENT)
			status = cli_fail_hint(
				cli, DVS_NOAGENT,
				"leave it out with --nodes, or see 'dvs doctor' there",
				"create dc %s: node %s", create->name, node->name);
	}
	return status;
}

static dvs_err call_create(void *create_void)
{
	struct create *create = create_void;

	return dvk_container_create(create->link.dvk, create->name, create->owner_uid, create->on,
				    create->description, create->len,
				    cli_has(create->cli, OPTION_DETACH) ? 0 : SETTLE_CREATE_MS,
				    &create->id, &create->refusal);
}

static int print_created(struct create *create)
{
	struct dvk_container_info info;
	json_t *nodes = json_array();

	for (size_t i = 0; i < create->nodes.n; i++) {
		const struct dvk_node_info *node = &create->nodes.node[i];

		/* A failure is seen when the whole is packed. */
		if ((create->on & nodes_bit(node->node)) &&
		    json_array_append_new(nodes, json_string(node->name)) != 0)
			nodes = NULL;
	}
	if (reach_look(create->link.dvk, create->name, &info) == DVS_OK) {
		create->owner_uid = info.owner_uid;
		create->id = info.dc;
	}
	return cli_result(create->cli, create->name,
			  json_pack("{s:s, s:I, s:I, s:o}", "name", create->name, "id",
				    (json_int_t)create->id.n, "owner_uid",
				    (json_int_t)create->owner_uid, "nodes", nodes));
}

static int create_everywhere(struct create *create)
{
	AUTO_FREE char *what = NULL;
	struct settle settle = { .cli = create->cli,
				 .admin = create->link.dvk,
				 .agents = create->agents,
				 .nodes = &create->nodes,
				 .dc = create->name,
				 .call = call_create,
				 .context = create };
	dvs_err err;

	if (asprintf(&what, "create dc %s", create->name) < 0)
		return cli_fail(create->cli, DVS_NOMEM, "create dc %s", create->name);
	settle.what = what;
	err = settle_call(&settle);
	if (err == DVS_TIMEOUT && cli_has(create->cli, OPTION_DETACH))
		return print_created(create);
	if (err == DVS_TIMEOUT)
		return cli_fail_hint(create->cli, err,
				     "it goes on: see how far it is with 'dvs dc ls'",
				     "create dc %s", create->name);
	if (err != DVS_OK)
		return cli_fail(create->cli, err, "create dc %s", create->name);
	if (create->refusal.err != DVS_OK)
		return dc_fail_refused(create->cli, &create->nodes, &create->refusal, what);
	return print_created(create);
}

static int describe(struct create *create)
{
	create->description = description_text(create->document, &create->len);
	if (!create->description)
		return cli_fail(create->cli, DVS_NOMEM, "describe dc %s", create->name);
	if (create->len <= DVK_VALUE_MAX)
		return EXIT_DONE;
	cli_note(create->cli,
		 "create dc %s: its description takes %zu bytes, the most is %u; give fewer "
		 "volumes, variables or labels",
		 create->name, create->len, DVK_VALUE_MAX);
	return EXIT_FAILED;
}

static int create_containers(struct create *create)
{
	struct cli *cli = create->cli;
	struct dvk_container_info info;
	dvs_err err = agents_open(link_run_dir(cli), &create->agents);
	int status;

	if (err != DVS_OK)
		return link_fail_admin(cli, err);
	if (reach_look(create->link.dvk, create->name, &info) == DVS_OK)
		return cli_fail(cli, DVS_EXISTS, "create dc %s", create->name);
	status = dc_resolve_image(cli, create->agents, &create->nodes, create->document);
	if (status == EXIT_DONE)
		status = describe(create);
	if (status == EXIT_DONE)
		status = dc_check(cli, create->agents, &create->nodes, create->on, create->name,
				  create->description, create->len);
	if (status == EXIT_DONE)
		status = create_everywhere(create);
	return status;
}

static int create_dc(struct create *create)
{
	struct cli *cli = create->cli;
	const char *list = cli->values[OPTION_NODES];
	bool plain = cli_has(cli, OPTION_NO_CONTAINER);
	int status;

	if (plain)
		return create_plain(create);
	if (!owner_of(cli, DVK_OWNER_CONTAINER, &create->owner_uid))
		return EXIT_USAGE;
	status = nodes_load(cli, create->link.dvk, &create->nodes);
	if (status == EXIT_DONE)
		status = nodes_choose(cli, &create->nodes, list ? list : "all", &create->on);
	if (status == EXIT_DONE)
		status = start_agents(create, &plain);
	if (status != EXIT_DONE)
		return status;
	if (plain) {
		cli_note(
			cli,
			"create dc %s: no node can have containers, so it has none (--no-container "
			"says so without this remark); 'dvs doctor' tells what is missing",
			create->name);
		return create_plain(create);
	}
	return create_containers(create);
}

int cmd_dc_create(struct cli *cli)
{
	AUTO_FREE struct create *create = calloc(1, sizeof(*create));
	uint32_t owner;
	int status = EXIT_DONE;

	if (!create)
		return cli_fail(cli, DVS_NOMEM, "create a dc");
	create->cli = cli;
	create->name = cli->words[0];
	if (!target_check_dc_name(cli, create->name) || !owner_of(cli, 0, &owner))
		return EXIT_USAGE;
	if (cli_has(cli, OPTION_NO_CONTAINER) && (limits_given(cli) || cli_has(cli, OPTION_NODES)))
		return cli_usage(cli,
				 "--no-container makes a dc without containers, so --%s means "
				 "nothing; leave one of them out",
				 limits_given(cli) ? limits_given(cli) : "nodes");
	if (!cli_has(cli, OPTION_NO_CONTAINER)) {
		create->document = json_object();
		status = limits_take(cli, create->document);
	}
	if (status == EXIT_DONE)
		status = link_open_admin(cli, &create->link);
	if (status == EXIT_DONE)
		status = create_dc(create);
	free(create->description);
	json_decref(create->document);
	agents_close(create->agents);
	link_close(&create->link);
	return status;
}
