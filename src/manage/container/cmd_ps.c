/* SPDX-License-Identifier: Apache-2.0 */
/* dvs ps: the programs of all nodes in one list: those in containers, and processes of the nodes themselves that have
 * endpoints. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/container/programs.h"
#include "manage/container/reach.h"
#include "manage/describe.h"
#include "manage/link.h"
#include "manage/snapshot.h"
#include "manage/target.h"

struct ps {
	struct cli *cli;
	const char *dc; /* NULL: all */
	struct link link;
	struct reach reach;
	struct programs programs;
	struct snapshot snapshot;
	json_t *rows;
};

static bool is_shown(const struct ps *ps, const struct agent_program *program)
{
	return cli_has(ps->cli, OPTION_ALL) ||
	       (program->state != PROGRAM_ENDED && program->state != PROGRAM_STUCK);
}

static bool add_programs(struct ps *ps)
{
	for (size_t i = 0; i < ps->programs.n; i++) {
		const struct program_on *on = &ps->programs.one[i];

		if (is_shown(ps, &on->program) &&
		    json_array_append_new(ps->rows, programs_describe(&ps->reach.nodes, on)) != 0)
			return false;
	}
	return true;
}

static bool is_a_program(const struct ps *ps, const struct dvk_endpoint_info *info)
{
	for (size_t i = 0; i < ps->programs.n; i++) {
		if (ps->programs.one[i].node.n == info->node.n &&
		    (pid_t)ps->programs.one[i].program.pid == info->pid)
			return true;
	}
	return false;
}

/* Processes with several endpoints come once. */
static bool is_repeated(const struct snapshot *snapshot, size_t row)
{
	const struct dvk_endpoint_info *info = &snapshot->rows[row].info;

	for (size_t i = 0; i < row; i++) {
		const struct snapshot_row *other = &snapshot->rows[i];

		if (strcmp(other->dc, snapshot->rows[row].dc) == 0 && info->pid > 0 &&
		    other->info.node.n == info->node.n && other->info.pid == info->pid)
			return true;
	}
	return false;
}

static bool add_process(struct ps *ps, const struct snapshot_row *row)
{
	char node[DVS_NAME_MAX + 1];
	json_t *endpoint = describe_endpoint(row->dc, &row->info);
	json_t *object = json_pack(
		"{s:O, s:O, s:s, s:s, s:n, s:n, s:n, s:s, s:s, s:n, s:n, s:n, s:O, s:O}", "name",
		json_object_get(endpoint, "name"), "node", json_object_get(endpoint, "node"),
		"node_name", nodes_name(&ps->reach.nodes, row->info.node, node), "dc", row->dc,
		"program", "record", "id", "state", "running", "state_text", "running", "short_id",
		"up", "restarts", "pid", json_object_get(endpoint, "pid"), "command",
		json_object_get(endpoint, "program"));

	json_decref(endpoint);
	return json_array_append_new(ps->rows, object) == 0;
}

static bool add_processes(struct ps *ps)
{
	for (size_t i = 0; i < ps->snapshot.n_rows; i++) {
		const struct snapshot_row *row = &ps->snapshot.rows[i];

		if (!is_a_program(ps, &row->info) && !is_repeated(&ps->snapshot, i) &&
		    !add_process(ps, row))
			return false;
	}
	return true;
}

static json_t *describe_endpoints(const struct snapshot *snapshot)
{
	json_t *list = json_array();

	for (size_t i = 0; i < snapshot->n_rows && list; i++) {
		if (json_array_append_new(list, describe_endpoint(snapshot->rows[i].dc,
								  &snapshot->rows[i].info)) == 0)
			continue;
		json_decref(list);
		list = NULL;
	}
	return list;
}

static bool print(struct ps *ps)
{
	struct cli *cli = ps->cli;

	if (!add_programs(ps))
		return false;
	if (cli->output.format == OUTPUT_JSON)
		return output_document(&cli->output,
				       json_pack("{s:O, s:o}", "programs", ps->rows, "endpoints",
						 describe_endpoints(&ps->snapshot)),
				       false);
	/* Names are those of programs, for commands that take them. */
	if (cli->output.format != OUTPUT_NAME && !add_processes(ps))
		return false;
	return output_rows(&cli->output, &programs_shape, ps->rows);
}

/* Where there are no agents there are no programs in containers. */
static int load_programs(struct ps *ps)
{
	dvs_err err;
	uint64_t on;
	int status = nodes_load(ps->cli, ps->link.dvk, &ps->reach.nodes);

	if (status != EXIT_DONE || !ps->link.admin)
		return status;
	status = programs_nodes(ps->cli, ps->link.dvk, ps->dc, &on);
	/* No agent is to be started for nothing. */
	if (status != EXIT_DONE || on == 0)
		return status;
	err = agents_open(link_run_dir(ps->cli), &ps->reach.agents);
	if (err == DVS_NOAGENT)
		return EXIT_DONE;
	if (err == DVS_NOQUORUM) {
		cli_fail(ps->cli, err, "list the programs");
		return EXIT_DONE;
	}
	return err == DVS_OK ? programs_load(ps->cli, &ps->reach, ps->dc, &ps->programs) :
			       link_fail_admin(ps->cli, err);
}

int cmd_ps(struct cli *cli)
{
	AUTO_FREE struct ps *ps = calloc(1, sizeof(*ps));
	int status;

	if (!ps)
		return cli_fail(cli, DVS_NOMEM, "list the programs");
	ps->cli = cli;
	ps->dc = cli->n_words > 0 ? cli->words[0] : NULL;
	if (ps->dc && !target_check_dc_name(cli, ps->dc))
		return EXIT_USAGE;
	status = link_open(cli, &ps->link);
	if (status != EXIT_DONE)
		return status;
	status = snapshot_take(cli, &ps->link, ps->dc, &ps->snapshot);
	if (status == EXIT_DONE)
		status = load_programs(ps);
	ps->rows = json_array();
	if (status == EXIT_DONE && !print(ps))
		status = cli_fail(cli, DVS_NOMEM, "print the programs");
	json_decref(ps->rows);
	programs_free(&ps->programs);
	snapshot_free(&ps->snapshot);
	reach_close(&ps->reach);
	link_close(&ps->link);
	return status;
}
