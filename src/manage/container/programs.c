/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/container/programs.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/nearest.h"
#include "client/calls.h"
#include "manage/describe.h"
#include "manage/text.h"

#define PROGRAMS_MAX 100000u /* of all nodes together */
#define NEAREST_MAX 256u
/* How long a node may take: the others are not to wait for one that hangs. */
#define LIST_MS 10000u

static const struct output_column columns[] = {
	{ "NODE", "node_name", false },
	{ "DC", "dc", false },
	{ "NAME", "program", false },
	{ "ID", "short_id", false },
	{ "STATE", "state_text", false },
	{ "UP", "up", false },
	{ "RESTARTS", "restarts", false },
	{ "HEALTH", "health", true },
	{ "PID", "pid", false },
	{ "INNER PID", "inner_pid", true },
	{ "TTY", "tty", true },
	{ "COMMAND", "command", false },
	{ "WHY", "why", true },
};

const struct output_shape programs_shape = { .list = "programs",
					     .columns = columns,
					     .n_columns = ARRAY_LEN(columns) };

void programs_free(struct programs *programs)
{
	free(programs->one);
	*programs = (struct programs){ .one = NULL };
}

static bool append(struct programs *programs, dvs_nodeid node, const struct agent_program *program)
{
	if (programs->n == programs->room) {
		size_t room = programs->room ? 2 * programs->room : 16;
		struct program_on *one = reallocarray(programs->one, room, sizeof(*one));

		if (!one)
			return false;
		programs->one = one;
		programs->room = room;
	}
	programs->one[programs->n++] = (struct program_on){ .node = node, .program = *program };
	return true;
}

static dvs_err load_node(struct agents *agents, dvs_nodeid node, const char *dc,
			 struct agent_programs_rep *rep, struct programs *programs)
{
	struct agent_programs_req req = { .cursor = 0 };
	dvs_err err;

	if (dc)
		snprintf(req.dc, sizeof(req.dc), "%s", dc);
	do {
		err = agent_call_programs(agents, node, &req, rep, LIST_MS);
		if (err != DVS_OK)
			return err;
		for (uint32_t i = 0; i < rep->n_programs; i++) {
			/* What does not count upwards would never end. */
			if (rep->programs[i].id <= req.cursor || programs->n == PROGRAMS_MAX)
				return DVS_PROTO;
			req.cursor = rep->programs[i].id;
			if (!append(programs, node, &rep->programs[i]))
				return DVS_NOMEM;
		}
	} while (rep->n_programs == ARRAY_LEN(rep->programs));
	return DVS_OK;
}

int programs_nodes(struct cli *cli, struct dvk *admin, const char *dc, uint64_t *on)
{
	AUTO_FREE struct dvk_container_info *info = malloc(sizeof(*info));
	uint32_t cursor = 0;
	dvs_err err;

	*on = 0;
	if (!info)
		return cli_fail(cli, DVS_NOMEM, "list the containers");
	while ((err = dvk_container_next(admin, &cursor, 0, info)) == DVS_OK) {
		for (uint32_t i = 0; i < info->n_nodes && (!dc || strcmp(dc, info->name) == 0); i++)
			*on |= nodes_bit(info->nodes[i].node);
	}
	return err == DVS_NODC ? EXIT_DONE : cli_fail(cli, err, "list the containers");
}

int programs_load(struct cli *cli, struct reach *reach, const char *dc, struct programs *programs)
{
	AUTO_FREE struct agent_programs_rep *rep = malloc(sizeof(*rep));
	uint64_t on;
	int status;

	*programs = (struct programs){ .one = NULL };
	if (!rep)
		return cli_fail(cli, DVS_NOMEM, "list the programs");
	status = programs_nodes(cli, agents_admin(reach->agents), dc, &on);
	if (status != EXIT_DONE)
		return status;
	for (size_t i = 0; i < reach->nodes.n; i++) {
		const struct dvk_node_info *node = &reach->nodes.node[i];
		dvs_err err;

		if (node->state == DVK_NODE_DOWN || !(on & nodes_bit(node->node)))
			continue;
		err = load_node(reach->agents, node->node, dc, rep, programs);
		if (err == DVS_NOMEM)
			return cli_fail(cli, err, "list the programs");
		if (err != DVS_OK && err != DVS_NOAGENT) {
			reach_fail(cli, reach->agents, err, "list the programs of node %s",
				   node->name);
			programs->n_silent++;
		}
	}
	return EXIT_DONE;
}

/* ---- names ---- */

static bool is_live(const struct agent_program *program)
{
	return program->state != PROGRAM_ENDED && program->state != PROGRAM_STUCK;
}

static bool has_name(const struct agent_program *program, const char *word)
{
	size_t len = strlen(program->dc);

	return strncmp(word, program->dc, len) == 0 && word[len] == '/' &&
	       strcmp(word + len + 1, program->name) == 0;
}

static bool has_id(const struct agent_program *program, const char *word)
{
	char id[17];

	snprintf(id, sizeof(id), "%016" PRIx64, program->id);
	return word[0] && strncmp(id, word, strlen(word)) == 0;
}

static int fail_unknown(struct cli *cli, const struct programs *programs, const char *word,
			const char *what)
{
	char names[NEAREST_MAX][2 * DVS_NAME_MAX + 2];
	const char *list[NEAREST_MAX];
	const char *nearest;
	size_t n = 0;

	for (size_t i = 0; i < programs->n && n < NEAREST_MAX; i++) {
		const struct agent_program *program = &programs->one[i].program;

		snprintf(names[n], sizeof(names[n]), "%s/%s", program->dc, program->name);
		list[n] = names[n];
		n++;
	}
	nearest = nearest_word(word, list, n);
	if (nearest)
		cli_note(cli, "%s %s: there is no such program; did you mean '%s'?", what, word,
			 nearest);
	else
		cli_note(cli, "%s %s: there is no such program; 'dvs ps -a' lists them", what,
			 word);
	return EXIT_FAILED;
}

int programs_find(struct cli *cli, const struct programs *programs, const char *word,
		  const char *what, const struct program_on **on)
{
	bool by_name = strchr(word, '/') != NULL;
	size_t n_live = 0;
	size_t n = 0;

	for (size_t i = 0; i < programs->n; i++) {
		const struct program_on *one = &programs->one[i];

		if (!(by_name ? has_name(&one->program, word) : has_id(&one->program, word)))
			continue;
		n++;
		n_live += is_live(&one->program);
		/* The last one that runs, else the last one that there was. */
		if (n == 1 || is_live(&one->program) || n_live == 0)
			*on = one;
	}
	if (n == 0)
		return fail_unknown(cli, programs, word, what);
	if (n == 1 || n_live == 1)
		return EXIT_DONE;
	cli_note(cli,
		 "%s %s: that names %zu programs; name one by its id, as 'dvs ps -a -w' tells it",
		 what, word, n_live > 1 ? n_live : n);
	return EXIT_FAILED;
}

int programs_look(struct cli *cli, struct reach *reach, const char *word, const char *what,
		  struct program_on *on)
{
	struct programs programs;
	const struct program_on *found;
	char dc[DVS_NAME_MAX + 1];
	size_t len = strcspn(word, "/");
	int status;

	snprintf(dc, sizeof(dc), "%.*s", (int)(len < sizeof(dc) ? len : sizeof(dc) - 1), word);
	status = programs_load(cli, reach, word[len] == '/' ? dc : NULL, &programs);
	if (status == EXIT_DONE)
		status = programs_find(cli, &programs, word, what, &found);
	if (status == EXIT_DONE)
		*on = *found;
	programs_free(&programs);
	return status;
}

/* ---- for people and programs ---- */

int programs_exit_status(uint32_t status)
{
	int wait_status = (int)status;

	if (WIFSIGNALED(wait_status))
		return 128 + WTERMSIG(wait_status);
	return WEXITSTATUS(wait_status);
}

static const char *state_word(const struct agent_program *program)
{
	static const char *const words[] = { "unknown",	   "running",  "ended",
					     "restarting", "starting", "broken" };

	return program->state < ARRAY_LEN(words) ? words[program->state] : words[0];
}

static json_t *state_text(const struct agent_program *program)
{
	int status = (int)program->status;

	if (program->state == PROGRAM_ENDED && WIFSIGNALED(status))
		return json_sprintf("ended by SIG%s", sigabbrev_np(WTERMSIG(status)) ?
							      sigabbrev_np(WTERMSIG(status)) :
							      "?");
	if (program->state == PROGRAM_ENDED)
		return json_sprintf("ended with %d", WEXITSTATUS(status));
	return json_string(state_word(program));
}

/* How long it has been running, or since when it has not. */
static json_t *up_text(const struct agent_program *program)
{
	char text[TEXT_SHORT_BYTES];
	struct timespec now;
	uint64_t now_ns;

	if (clock_gettime(CLOCK_REALTIME, &now) != 0 || program->state != PROGRAM_RUNS ||
	    program->started_ns == 0)
		return json_null();
	now_ns = (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
	text_span(now_ns > program->started_ns ? (now_ns - program->started_ns) / CLOCK_NS_PER_S :
						 0,
		  text);
	return json_string(text);
}

static json_t *clean(const char *text, size_t max_bytes)
{
	AUTO_FREE char *utf8 = text_utf8(text, max_bytes);

	return utf8 && utf8[0] ? json_string(utf8) : json_null();
}

static json_t *time_or_null(uint64_t ns)
{
	return ns ? describe_time(ns) : json_null();
}

static json_t *number_or_null(uint32_t number)
{
	return number ? json_integer((json_int_t)number) : json_null();
}

static json_t *exit_or_null(const struct agent_program *program)
{
	return program->state == PROGRAM_ENDED ?
		       json_integer((json_int_t)programs_exit_status(program->status)) :
		       json_null();
}

static json_t *short_id(uint64_t id)
{
	return json_sprintf("%0*" PRIx64, PROGRAMS_ID_DIGITS, id >> (64 - 4 * PROGRAMS_ID_DIGITS));
}

json_t *programs_describe(const struct nodes *nodes, const struct program_on *on)
{
	static const char *const healths[] = { NULL, "starting", "healthy", "unhealthy" };
	const struct agent_program *program = &on->program;
	const char *health = program->health < ARRAY_LEN(healths) ? healths[program->health] : NULL;
	char node[DVS_NAME_MAX + 1];
	json_t *more = json_pack("{s:o, s:o, s:o, s:o, s:I, s:o, s:o, s:b, s:b, s:s?, s:o, s:o}",
				 "up", up_text(program), "started",
				 time_or_null(program->started_ns), "ended",
				 time_or_null(program->ended_ns), "exit_status",
				 exit_or_null(program), "restarts", (json_int_t)program->restarts,
				 "pid", number_or_null(program->pid), "inner_pid",
				 number_or_null(program->inner_pid), "tty", program->tty != 0,
				 "attached", program->attached != 0, "health", health, "command",
				 clean(program->command, sizeof(program->command)), "why",
				 clean(program->text, sizeof(program->text)));
	json_t *object = json_pack("{s:o, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:s, s:o}", "name",
				   json_sprintf("%s/%s", program->dc, program->name), "node",
				   (json_int_t)on->node.n, "node_name",
				   nodes_name(nodes, on->node, node), "dc",
				   clean(program->dc, sizeof(program->dc)), "program",
				   clean(program->name, sizeof(program->name)), "record",
				   clean(program->record, sizeof(program->record)), "id",
				   json_sprintf("%016" PRIx64, program->id), "short_id",
				   short_id(program->id), "state", state_word(program),
				   "state_text", state_text(program));

	if (!more || !object || json_object_update(object, more) != 0) {
		json_decref(object);
		object = NULL;
	}
	json_decref(more);
	return object;
}
