/* SPDX-License-Identifier: Apache-2.0 */
/* dvs dc set: other limits for containers that run. All nodes are asked first; if one then cannot, what was is set back. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "container/container.h"
#include "container/description.h"
#include "manage/container/dc.h"
#include "manage/container/limits.h"
#include "manage/container/reach.h"
#include "manage/container/settle.h"
#include "manage/target.h"
#include "manage/terminal.h"

#define LOOK_NS (50 * CLOCK_NS_PER_MS)

struct change {
	struct cli *cli;
	struct reach reach;
	struct dvk *admin;
	const char *dc;
	struct dvk_container_info info;
	uint64_t former_version;
	json_t *former;
	json_t *document;
	struct dvk_refusal refusal;
};

/* Whether what is new can be applied to a container that runs. */
static int check_live(struct change *change)
{
	struct description former;
	struct description wanted;
	char why[DESCRIPTION_TEXT_MAX];
	const char *sentence;
	const char *option;
	bool can;

	if (description_from_json(change->former, &former, why) != DVS_OK)
		return cli_fail(change->cli, DVS_PROTO, "read the description of dc %s",
				change->dc);
	if (description_from_json(change->document, &wanted, why) != DVS_OK) {
		description_free(&former);
		return cli_usage(change->cli, "%s", why);
	}
	can = container_can_update(&former, &wanted, why);
	description_free(&former);
	description_free(&wanted);
	if (can)
		return EXIT_DONE;
	option = limits_option(change->cli, why, &sentence);
	cli_note(change->cli, "set dc %s: %s%s%s%s", change->dc, option ? "--" : "",
		 option ? option : "", option ? ": " : "", sentence);
	return EXIT_FAILED;
}

static uint64_t nodes_of(const struct dvk_container_info *info)
{
	uint64_t on = 0;

	for (uint32_t i = 0; i < info->n_nodes; i++)
		on |= nodes_bit(info->nodes[i].node);
	return on;
}

/* Its nodes that are up: the others apply it when they come. */
static uint64_t present_nodes(const struct change *change)
{
	uint64_t on = 0;

	for (size_t i = 0; i < change->reach.nodes.n; i++) {
		const struct dvk_node_info *node = &change->reach.nodes.node[i];

		if (node->state == DVK_NODE_UP)
			on |= nodes_bit(node->node);
	}
	return on & nodes_of(&change->info);
}

/* How many nodes have not applied VERSION yet; what one refused goes to the refusal. */
static dvs_err count_left(struct change *change, uint64_t version, size_t *n)
{
	dvs_err err = reach_look(change->admin, change->dc, &change->info);
	uint64_t present = present_nodes(change);

	*n = 0;
	for (uint32_t i = 0; err == DVS_OK && i < change->info.n_nodes; i++) {
		const struct dvk_container_node *node = &change->info.nodes[i];

		if (!(present & nodes_bit(node->node)))
			continue;
		if (node->state == DVK_BROKEN) {
			change->refusal.err = DVS_BADSTATE;
			change->refusal.node = node->node;
			if (dvk_container_why(change->admin, change->dc, node->node,
					      change->refusal.text) != DVS_OK)
				change->refusal.text[0] = '\0';
			return DVS_OK;
		}
		*n += node->state != DVK_READY || node->version < version;
	}
	return err;
}

/* Until all nodes have applied VERSION or one has refused. */
static int wait_applied(struct change *change, uint64_t version)
{
	struct interrupts interrupts;
	uint64_t deadline_ns = clock_deadline_ns(SETTLE_MS * CLOCK_NS_PER_MS);
	size_t n = 1;
	dvs_err err = DVS_OK;
	int status = EXIT_DONE;

	if (!interrupts_open(&interrupts, false))
		return cli_fail_errno(change->cli, errno, "", "take signals");
	while (err == DVS_OK && status == EXIT_DONE) {
		err = count_left(change, version, &n);
		if (err != DVS_OK || n == 0 || change->refusal.err != DVS_OK)
			break;
		if (clock_is_past(deadline_ns))
			err = DVS_TIMEOUT;
		else if (interrupts_wait(&interrupts, -1, clock_deadline_ns(LOOK_NS)) == EVENT_END)
			status = EXIT_FAILED;
	}
	interrupts_close(&interrupts);
	if (status != EXIT_DONE)
		cli_note(change->cli, "set dc %s: goes on; 'dvs dc inspect %s' tells how far it is",
			 change->dc, change->dc);
	return err == DVS_OK ? status : cli_fail(change->cli, err, "set dc %s", change->dc);
}

static int write_record(struct change *change, const json_t *document, uint64_t expected,
			uint64_t *version)
{
	size_t len = 0;
	AUTO_FREE char *text = description_text(document, &len);
	dvs_err err = text ? dvk_record_set(change->admin, change->dc, "dc", expected, text, len,
					    version) :
			     DVS_NOMEM;

	if (err == DVS_NOTFOUND || err == DVS_EXISTS)
		return cli_fail_hint(change->cli, err,
				     "somebody else has changed it in between: try again",
				     "set dc %s", change->dc);
	return err == DVS_OK ? EXIT_DONE : cli_fail(change->cli, err, "set dc %s", change->dc);
}

/* One node could not: no node is to differ. */
static int set_back(struct change *change, uint64_t version)
{
	struct dvk_refusal refusal = change->refusal;
	uint64_t back;
	char what[DVS_NAME_MAX + 16];
	int status = write_record(change, change->former, version, &back);

	snprintf(what, sizeof(what), "set dc %s", change->dc);
	dc_fail_refused(change->cli, &change->reach.nodes, &refusal, what);
	if (status == EXIT_DONE)
		cli_note(change->cli, "set dc %s: what was before holds again", change->dc);
	return EXIT_FAILED;
}

static int apply(struct change *change)
{
	size_t len = 0;
	AUTO_FREE char *text = description_text(change->document, &len);
	uint64_t version = 0;
	int status;

	if (!text)
		return cli_fail(change->cli, DVS_NOMEM, "set dc %s", change->dc);
	status = dc_check(change->cli, change->reach.agents, &change->reach.nodes,
			  present_nodes(change), change->dc, text, len);
	if (status == EXIT_DONE)
		status = write_record(change, change->document, change->former_version, &version);
	if (status == EXIT_DONE)
		status = wait_applied(change, version);
	if (status == EXIT_DONE && change->refusal.err != DVS_OK)
		status = set_back(change, version);
	if (status != EXIT_DONE)
		return status;
	return cli_result(change->cli, change->dc,
			  json_pack("{s:s, s:I, s:O}", "name", change->dc, "version",
				    (json_int_t)version, "description", change->document));
}

static int set(struct change *change)
{
	struct cli *cli = change->cli;
	int status;

	change->admin = agents_admin(change->reach.agents);
	status = reach_find_containers(cli, change->admin, change->dc, "set", &change->info);
	if (status == EXIT_DONE && change->info.phase != DVK_RUNS) {
		cli_note(cli, "set dc %s: it is in phase '%s'; only one that runs can be changed",
			 change->dc, reach_phase(change->info.phase));
		status = EXIT_FAILED;
	}
	if (status == EXIT_DONE)
		status = dc_load(cli, change->admin, change->dc, &change->former,
				 &change->former_version);
	if (status != EXIT_DONE)
		return status;
	change->document = json_deep_copy(change->former);
	if (!change->document)
		return cli_fail(cli, DVS_NOMEM, "set dc %s", change->dc);
	status = limits_take(cli, change->document);
	if (status == EXIT_DONE)
		status = check_live(change);
	return status == EXIT_DONE ? apply(change) : status;
}

int cmd_dc_set(struct cli *cli)
{
	AUTO_FREE struct change *change = calloc(1, sizeof(*change));
	int status;

	if (!change)
		return cli_fail(cli, DVS_NOMEM, "set a dc");
	change->cli = cli;
	change->dc = cli->words[0];
	if (!target_check_dc_name(cli, change->dc))
		return EXIT_USAGE;
	if (!limits_given(cli))
		return cli_usage(cli,
				 "say what is to change, as --memory 512M; 'dvs help dc set' lists "
				 "what can");
	status = reach_open(cli, &change->reach);
	if (status == EXIT_DONE)
		status = set(change);
	json_decref(change->former);
	json_decref(change->document);
	reach_close(&change->reach);
	return status;
}
