/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/container/reach.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/nearest.h"
#include "manage/link.h"
#include "manage/text.h"

#define NAMES_MAX 256 /* compared for a "did you mean" */

int reach_open(struct cli *cli, struct reach *reach)
{
	dvs_err err;

	*reach = (struct reach){ .agents = NULL };
	err = agents_open(link_run_dir(cli), &reach->agents);
	if (err != DVS_OK)
		return link_fail_admin(cli, err);
	return nodes_load(cli, agents_admin(reach->agents), &reach->nodes);
}

void reach_close(struct reach *reach)
{
	agents_close(reach->agents);
	reach->agents = NULL;
}

int reach_fail(struct cli *cli, const struct agents *agents, dvs_err err, const char *what, ...)
{
	AUTO_FREE char *utf8 = text_utf8(agents_text(agents), AGENT_TEXT_MAX);
	AUTO_FREE char *why = utf8 ? text_printable(utf8) : NULL;
	AUTO_FREE char *text = NULL;
	va_list args;
	int len;

	va_start(args, what);
	len = vasprintf(&text, what, args);
	va_end(args);
	if (len < 0 || !why) {
		text = len < 0 ? NULL : text;
		return cli_fail(cli, DVS_NOMEM, "tell what failed");
	}
	if (!why[0])
		return cli_fail(cli, err, "%s", text);
	cli_note(cli, "%s: %s", text, why);
	return EXIT_FAILED;
}

dvs_err reach_look(struct dvk *admin, const char *name, struct dvk_container_info *info)
{
	uint32_t cursor = 0;
	dvs_err err;

	while ((err = dvk_container_next(admin, &cursor, 0, info)) == DVS_OK) {
		if (strcmp(info->name, name) == 0)
			return DVS_OK;
	}
	return err;
}

static int fail_no_dc(struct cli *cli, struct dvk *admin, const char *name, const char *what)
{
	struct dvk_container_info *info = malloc(sizeof(*info));
	char(*known)[DVS_NAME_MAX + 1] = calloc(NAMES_MAX, sizeof(*known));
	const char *names[NAMES_MAX];
	const char *nearest;
	uint32_t cursor = 0;
	size_t n = 0;

	while (info && known && n < NAMES_MAX &&
	       dvk_container_next(admin, &cursor, 0, info) == DVS_OK) {
		memcpy(known[n], info->name, sizeof(known[n]));
		names[n] = known[n];
		n++;
	}
	nearest = nearest_word(name, names, n);
	if (nearest) {
		char hint[DVS_NAME_MAX + 32];

		snprintf(hint, sizeof(hint), "did you mean '%s'?", nearest);
		cli_fail_hint(cli, DVS_NODC, hint, "%s dc %s", what, name);
	} else {
		cli_fail(cli, DVS_NODC, "%s dc %s", what, name);
	}
	free(known);
	free(info);
	return EXIT_FAILED;
}

int reach_find_dc(struct cli *cli, struct dvk *admin, const char *name, const char *what,
		  struct dvk_container_info *info)
{
	dvs_err err = reach_look(admin, name, info);

	if (err == DVS_NODC)
		return fail_no_dc(cli, admin, name, what);
	return err == DVS_OK ? EXIT_DONE : cli_fail(cli, err, "%s dc %s", what, name);
}

int reach_find_containers(struct cli *cli, struct dvk *admin, const char *name, const char *what,
			  struct dvk_container_info *info)
{
	int status = reach_find_dc(cli, admin, name, what, info);

	if (status != EXIT_DONE || info->phase != DVK_NO_CONTAINERS)
		return status;
	cli_note(
		cli,
		"%s dc %s: it has no containers: it was made for programs of the nodes themselves; "
		"make one that has some with 'dvs dc create NAME --nodes all'",
		what, name);
	return EXIT_FAILED;
}

const char *reach_phase(enum dvk_phase phase)
{
	switch (phase) {
	case DVK_NO_CONTAINERS:
		return "plain";
	case DVK_CREATING:
		return "creating";
	case DVK_RUNS:
		return "runs";
	case DVK_FAILED:
		return "failed";
	case DVK_REMOVING:
		return "removing";
	}
	return "unknown";
}

const char *reach_state(const struct dvk_container_node *node)
{
	switch (node->state) {
	case DVK_WANTED:
		return "wanted";
	case DVK_READY:
		return node->frozen ? "frozen" : "ready";
	case DVK_BROKEN:
		return "broken";
	case DVK_GONE:
		return "gone";
	case DVK_LEAVING:
		return "leaving";
	}
	return "unknown";
}

size_t reach_ready(const struct dvk_container_info *info)
{
	size_t n = 0;

	for (uint32_t i = 0; i < info->n_nodes; i++)
		n += info->nodes[i].state == DVK_READY;
	return n;
}
