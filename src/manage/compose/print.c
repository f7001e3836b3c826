/* SPDX-License-Identifier: Apache-2.0 */
/* The plans as lines with + - ~ for people, or as JSON. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/compose/run.h"
#include "manage/text.h"

#define GREEN "\033[32m"
#define RED "\033[31m"
#define YELLOW "\033[33m"
#define PLAIN "\033[m"

static const char *colour_of(const struct output *output, enum plan_op op)
{
	if (!output->colour)
		return "";
	switch (op) {
	case PLAN_ADD:
		return GREEN;
	case PLAN_REMOVE:
		return RED;
	case PLAN_CHANGE:
		return YELLOW;
	}
	return "";
}

static bool print_change(const struct output *output, const struct plan_change *change)
{
	AUTO_FREE char *path = text_printable(change->path);
	AUTO_FREE char *old = change->old ? text_printable(change->old) : NULL;
	AUTO_FREE char *new = change->new ? text_printable(change->new) : NULL;

	if (!path || (change->old && !old) || (change->new && !new))
		return false;
	fprintf(output->file, "  %s%c %s:%s%s%s%s%s%s%s\n", colour_of(output, change->op),
		(char)change->op, path, old ? " " : "", old ? old : "", old && new ? " ->" : "",
		new ? " " : "", new ? new : "", change->anew ? "  (needs new containers)" : "",
		output->colour ? PLAIN : "");
	return true;
}

static bool print_lines(const struct run *run)
{
	const struct output *output = &run->cli->output;

	for (size_t i = 0; i < run->compose.n_dcs; i++) {
		const struct plan *plan = &run->dcs[i].plan;

		fprintf(output->file, "dc %s: %s\n", plan->dc->name,
			plan->create	     ? "is not there and will be created" :
			plan->n_changes == 0 ? "nothing to change" :
			plan->anew[0] ? "will be changed; this needs new containers (--recreate)" :
					"will be changed");
		for (size_t k = 0; k < plan->n_changes; k++) {
			if (!print_change(output, &plan->changes[k]))
				return false;
		}
	}
	return true;
}

static json_t *changes_of(const struct plan *plan)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < plan->n_changes; i++) {
		const struct plan_change *change = &plan->changes[i];
		const char *op = change->op == PLAN_ADD	   ? "add" :
				 change->op == PLAN_REMOVE ? "remove" :
							     "change";
		/* s?: NULL becomes null */
		json_t *one = json_pack("{s:s, s:s, s:s?, s:s?, s:b}", "op", op, "path",
					change->path, "old", change->old, "new", change->new,
					"needs_new_containers", change->anew);

		if (json_array_append_new(list, one) != 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return list;
}

static bool print_json(const struct run *run)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < run->compose.n_dcs; i++) {
		const struct plan *plan = &run->dcs[i].plan;
		const char *action = plan->create	  ? "create" :
				     plan->n_changes == 0 ? "none" :
				     plan->anew[0]	  ? "recreate" :
							    "change";
		json_t *one = json_pack("{s:s, s:s, s:o}", "name", plan->dc->name, "action", action,
					"changes", changes_of(plan));

		if (json_array_append_new(list, one) != 0) {
			json_decref(list);
			list = NULL;
		}
	}
	return output_document(&run->cli->output,
			       json_pack("{s:o, s:I}", "dcs", list, "n_changes",
					 (json_int_t)run_count(run)),
			       false);
}

int run_print(const struct run *run)
{
	bool good = run->cli->output.format == OUTPUT_JSON ? print_json(run) : print_lines(run);

	return good ? EXIT_DONE : cli_fail(run->cli, DVS_NOMEM, "print the plan");
}
