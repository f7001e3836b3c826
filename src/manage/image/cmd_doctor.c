/* SPDX-License-Identifier: Apache-2.0 */
/* dvs doctor: what this machine, or each node, can do for containers; works without dvsd. */
#include <stdlib.h>
#include <string.h>

#include "client/calls.h"
#include "container/doctor.h"
#include "manage/image/images.h"

#define LIB_DIR "/var/lib/dvs"
#define NODE_MS 120000u

static const struct output_column columns[] = {
	{ "NODE", "node_name", false },	    { "WHAT", "what", false },
	{ "STATE", "state", false },	    { "FOUND", "found", false },
	{ "WITHOUT IT", "disables", true }, { "CURE", "cure", true },
};

/* Of one machine the first column says nothing. */
static const struct output_shape shape_all = { "findings", columns, ARRAY_LEN(columns) };
static const struct output_shape shape_one = { "findings", columns + 1, ARRAY_LEN(columns) - 1 };

struct visit {
	const char *node; /* NULL: this machine */
	json_t *rows;
	bool failed;	  /* memory ran out */
	size_t n_missing; /* or could not be asked */
};

static const char *state_word(unsigned state)
{
	return state == DOCTOR_GOOD ? "good" : state == DOCTOR_LESS ? "less" : "missing";
}

static void add(struct visit *visit, const char *what, unsigned state, const char *found,
		const char *disables, const char *cure)
{
	json_t *row = json_pack("{s:s, s:s?, s:s, s:s, s:s, s:s, s:s}", "name", what, "node_name",
				visit->node, "what", what, "state", state_word(state), "found",
				found, "disables", disables, "cure", cure);

	if (json_array_append_new(visit->rows, row) != 0)
		visit->failed = true;
	if (state == DOCTOR_MISSING)
		visit->n_missing++;
}

static void take(void *context, const struct doctor_finding *finding)
{
	add(context, finding->what, finding->state, finding->found, finding->disables,
	    finding->cure);
}

static const char *field(const json_t *row, const char *key)
{
	const char *text = json_string_value(json_object_get(row, key));

	return text ? text : "";
}

static bool alike(const json_t *a, const json_t *b)
{
	return strcmp(field(a, "what"), field(b, "what")) == 0 &&
	       strcmp(field(a, "state"), field(b, "state")) == 0 &&
	       strcmp(field(a, "found"), field(b, "found")) == 0;
}

/* Whether a row before the one at PLACE told the same. */
static bool is_told(const json_t *rows, size_t place)
{
	for (size_t i = 0; i < place; i++) {
		if (alike(json_array_get(rows, i), json_array_get(rows, place)))
			return true;
	}
	return false;
}

/* What to do about it, below the table: once for all nodes that have it alike. */
static void print_cures(const struct visit *visit, FILE *out)
{
	for (size_t i = 0; i < json_array_size(visit->rows); i++) {
		const json_t *row = json_array_get(visit->rows, i);

		if (strcmp(field(row, "state"), "good") == 0 || is_told(visit->rows, i))
			continue;
		fputc('\n', out);
		for (size_t k = i; k < json_array_size(visit->rows); k++) {
			const json_t *other = json_array_get(visit->rows, k);

			if (alike(row, other) && field(other, "node_name")[0])
				fprintf(out, "%s ", field(other, "node_name"));
		}
		fprintf(out, "%s, %s: %s\n    without it: %s\n    cure: %s\n", field(row, "what"),
			field(row, "state"), field(row, "found"), field(row, "disables"),
			field(row, "cure"));
	}
}

static int print(struct cli *cli, const struct visit *visit, bool all)
{
	if (visit->failed || !output_rows(&cli->output, all ? &shape_all : &shape_one, visit->rows))
		return cli_fail(cli, DVS_NOMEM, "print the findings");
	if (cli->output.format == OUTPUT_TABLE)
		print_cures(visit, cli->output.file);
	return visit->n_missing > 0 ? EXIT_FAILED : EXIT_DONE;
}

static dvs_err visit_node(struct reach *reach, const struct dvk_node_info *node,
			  struct visit *visit)
{
	struct agent_doctor_rep *rep = malloc(sizeof(*rep));
	dvs_err err = DVS_NOMEM;

	if (!rep)
		return err;
	visit->node = node->name;
	err = agent_call_doctor(reach->agents, node->node, NULL, rep, NODE_MS);
	for (size_t i = 0; err == DVS_OK && i < rep->n_findings; i++)
		add(visit, rep->findings[i].what, rep->findings[i].state, rep->findings[i].found,
		    rep->findings[i].disables, rep->findings[i].cure);
	free(rep);
	return err;
}

static int visit_all(struct cli *cli, struct visit *visit)
{
	struct reach reach;
	int status = reach_open(cli, &reach);

	for (size_t i = 0; status == EXIT_DONE && i < reach.nodes.n; i++) {
		const struct dvk_node_info *node = &reach.nodes.node[i];
		dvs_err err = node->state == DVK_NODE_DOWN ? DVS_NODEDOWN :
							     visit_node(&reach, node, visit);

		visit->node = node->name;
		if (err == DVS_OK)
			continue;
		add(visit, "agent", DOCTOR_MISSING, dvs_strerror(err), "all containers of the node",
		    err == DVS_NODEDOWN ?
			    "start it, or see why it is cut off" :
			    "run 'dvs doctor' on that node, and see the log of its dvsd");
	}
	visit->node = NULL;
	if (status == EXIT_DONE)
		status = print(cli, visit, true);
	reach_close(&reach);
	return status;
}

int cmd_doctor(struct cli *cli)
{
	const struct doctor_where where = { .lib_dir = LIB_DIR };
	struct visit visit = { .rows = json_array() };
	int status;

	if (!visit.rows)
		return cli_fail(cli, DVS_NOMEM, "look at this machine");
	if (cli_has(cli, OPTION_ALL_NODES)) {
		status = visit_all(cli, &visit);
	} else {
		doctor_run(&where, take, &visit);
		status = print(cli, &visit, false);
	}
	json_decref(visit.rows);
	return status;
}
