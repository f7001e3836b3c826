/* SPDX-License-Identifier: Apache-2.0 */
/* dvs run, exec and attach: a program in a container of a DC, on whatever node, as if it were run here. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "client/calls.h"
#include "container/program.h"
#include "manage/container/programs.h"
#include "manage/container/reach.h"
#include "manage/container/session.h"
#include "manage/link.h"
#include "manage/target.h"

#define RUN_TTY 1u
#define RUN_STDIN 2u
#define RUN_DETACH 4u
#define RUN_EXEC 8u
#define RUN_REMOVE 16u
#define BACKOFF_MS 100u
/* An agent that has just been started has to find its containers first. */
#define READY_TRIES 50
#define READY_EVERY_NS (100 * CLOCK_NS_PER_MS)

struct run {
	struct cli *cli;
	const char *dc;
	char dc_of_program[DVS_NAME_MAX + 1];
	struct agents *agents;
	struct nodes nodes; /* loaded when a node must be named */
	dvs_nodeid node;
	bool node_is_chosen;
	struct agent_run_req req;
	struct agent_run_rep rep;
};

/* ---- what the options say ---- */

static bool append(struct cli *cli, uint8_t *list, uint32_t *len, size_t room, const char *what,
		   const char *text)
{
	size_t n = strlen(text) + 1;

	if (n > room - *len) {
		cli_usage(cli, "the %s take more than %zu bytes together; give less", what, room);
		return false;
	}
	memcpy(list + *len, text, n);
	*len += (uint32_t)n;
	return true;
}

/* Without a command the image's is run; `exec` has none. */
static bool take_args(struct run *run, bool is_wanted)
{
	struct cli *cli = run->cli;
	int first = cli->n_rest > 0 && strcmp(cli->rest[0], "--") == 0;

	if (first >= cli->n_rest && is_wanted) {
		cli_usage(cli, "COMMAND is missing; usage: dvs %s %s", cli->command->name,
			  cli->command->arguments);
		return false;
	}
	for (int i = first; i < cli->n_rest; i++) {
		if (!append(cli, run->req.args, &run->req.n_args, sizeof(run->req.args),
			    "arguments", cli->rest[i]))
			return false;
	}
	return true;
}

static bool add_env(struct run *run, const char *text)
{
	return append(run->cli, run->req.env, &run->req.n_env, sizeof(run->req.env),
		      "variables of --env", text);
}

/* "A=B", or "A": with the value that it has here. */
static bool take_env(struct run *run)
{
	const char *term = getenv("TERM");
	const char *text;
	size_t cursor = 0;

	if ((run->req.flags & RUN_TTY) && term) {
		AUTO_FREE char *line = NULL;

		if (asprintf(&line, "TERM=%s", term) < 0 || !add_env(run, line))
			return false;
	}
	while ((text = cli_each(run->cli, OPTION_ENV, &cursor)) != NULL) {
		AUTO_FREE char *line = NULL;
		const char *value = getenv(text);

		if (text[0] == '=' || !text[0]) {
			cli_usage(run->cli, "--env does not take '%s'; write NAME=VALUE", text);
			return false;
		}
		if (strchr(text, '=')) {
			if (!add_env(run, text))
				return false;
		} else if (value) {
			if (asprintf(&line, "%s=%s", text, value) < 0 || !add_env(run, line))
				return false;
		}
	}
	return true;
}

/* "no", "on-failure", "always", with ":N" after it. */
static bool take_restart(struct run *run)
{
	static const char *const words[] = { [PROGRAM_NEVER] = "no",
					     [PROGRAM_ON_FAILURE] = "on-failure",
					     [PROGRAM_ALWAYS] = "always" };
	const char *text = run->cli->values[OPTION_RESTART];
	size_t len = text ? strcspn(text, ":") : 0;
	char *end;

	run->req.backoff_ms = BACKOFF_MS;
	if (!text)
		return true;
	for (size_t i = 0; i < ARRAY_LEN(words); i++) {
		unsigned long retries = 0;

		if (strlen(words[i]) != len || strncmp(words[i], text, len) != 0)
			continue;
		if (text[len]) {
			retries = strtoul(text + len + 1, &end, 10);
			if (text[len + 1] < '0' || text[len + 1] > '9' || *end ||
			    retries > UINT32_MAX || i == PROGRAM_NEVER)
				break;
		}
		run->req.restart = (uint8_t)i;
		run->req.retries = (uint32_t)retries;
		return true;
	}
	cli_usage(run->cli,
		  "--restart does not take '%s'; it takes no, on-failure, always, and the last two "
		  "with a number of times, as on-failure:5",
		  text);
	return false;
}

static bool take_text(struct cli *cli, enum option_id id, char *to, size_t room)
{
	const char *text = cli->values[id];

	if (!text)
		return true;
	if (strlen(text) >= room) {
		cli_usage(cli, "'%.40s...' is longer than %zu bytes; give a shorter one", text,
			  room - 1);
		return false;
	}
	memcpy(to, text, strlen(text) + 1);
	return true;
}

/* The DC, or the program beside which it is to run. */
static bool take_dc(struct run *run)
{
	const char *word = run->cli->words[0];
	size_t len = strcspn(word, "/");

	run->dc = word;
	if ((run->req.flags & RUN_EXEC) && word[len] == '/' && len < sizeof(run->dc_of_program)) {
		memcpy(run->dc_of_program, word, len);
		run->dc = run->dc_of_program;
	}
	if (!target_check_dc_name(run->cli, run->dc))
		return false;
	memcpy(run->req.dc, run->dc, strlen(run->dc) + 1);
	return true;
}

static bool take_options(struct run *run, unsigned flags)
{
	struct cli *cli = run->cli;

	run->req.flags = flags;
	if (cli_has(cli, OPTION_TTY))
		run->req.flags |= RUN_TTY;
	if (cli_has(cli, OPTION_DETACH))
		run->req.flags |= RUN_DETACH;
	/* A terminal's keys are for the program. */
	if (cli_has(cli, OPTION_STDIN) || cli_has(cli, OPTION_TTY))
		run->req.flags |= RUN_STDIN;
	if (cli_has(cli, OPTION_REMOVE))
		run->req.flags |= RUN_REMOVE;
	if (!take_dc(run) || !take_args(run, run->req.flags & RUN_EXEC) || !take_env(run) ||
	    !take_restart(run) ||
	    !take_text(cli, OPTION_NAME, run->req.name, sizeof(run->req.name)) ||
	    !take_text(cli, OPTION_WORKDIR, run->req.cwd, sizeof(run->req.cwd)) ||
	    !take_text(cli, OPTION_USER, run->req.user, sizeof(run->req.user)))
		return false;
	if (run->req.flags & RUN_DETACH) {
		if (!cli_has(cli, OPTION_STDIN))
			run->req.flags &= ~RUN_STDIN;
	} else if ((run->req.flags & RUN_TTY) && !isatty(STDIN_FILENO)) {
		cli_usage(cli, "standard input is no terminal, so --tty cannot be; leave it out");
		return false;
	}
	if (run->req.flags & RUN_TTY)
		session_size(&run->req.rows, &run->req.cols);
	return true;
}

/* ---- where it runs ---- */

static int load_nodes(struct run *run)
{
	return nodes_load(run->cli, agents_admin(run->agents), &run->nodes);
}

static int choose_by_name(struct run *run, const char *name)
{
	const struct dvk_node_info *node;
	int status = load_nodes(run);

	if (status != EXIT_DONE)
		return status;
	node = nodes_named(run->cli, &run->nodes, name);
	if (!node)
		return EXIT_USAGE;
	run->node = node->node;
	run->node_is_chosen = true;
	return EXIT_DONE;
}

/* exec beside a program: on its node. */
static int choose_by_program(struct run *run)
{
	struct reach reach = { .agents = run->agents };
	struct program_on on;
	int status = nodes_load(run->cli, agents_admin(run->agents), &reach.nodes);

	if (status == EXIT_DONE)
		status = programs_look(run->cli, &reach, run->cli->words[0], "exec", &on);
	if (status != EXIT_DONE)
		return status;
	run->node = on.node;
	run->node_is_chosen = true;
	return EXIT_DONE;
}

/* This node, if nobody said which: the agent says whether it has a container, which saves asking who has. */
static int choose(struct run *run)
{
	struct dvk_dvs_info info;
	dvs_err err;

	if (cli_has(run->cli, OPTION_NODE))
		return choose_by_name(run, run->cli->values[OPTION_NODE]);
	if (run->dc == run->dc_of_program)
		return choose_by_program(run);
	err = dvk_dvs_info(agents_admin(run->agents), &info);
	if (err != DVS_OK)
		return cli_fail(run->cli, err, "find out which node this is");
	run->node = info.node;
	return EXIT_DONE;
}

static int fail_none_ready(struct run *run, const struct dvk_container_info *info)
{
	char why[DVK_TEXT_MAX + 1] = "";

	for (uint32_t i = 0; i < info->n_nodes; i++) {
		if (info->nodes[i].state == DVK_BROKEN &&
		    dvk_container_why(agents_admin(run->agents), run->dc, info->nodes[i].node,
				      why) != DVS_OK)
			why[0] = '\0';
	}
	cli_note(run->cli,
		 "%s in dc %s: no node that is up has a container of it that runs (it is in phase "
		 "'%s')%s%s; see 'dvs dc inspect %s'",
		 run->cli->command->name, run->dc, reach_phase(info->phase), why[0] ? ": " : "",
		 why, run->dc);
	return EXIT_FAILED;
}

/* This node has none, or not yet: the first one that has. */
static int choose_another(struct run *run)
{
	struct dvk_container_info info;
	int status = reach_find_containers(run->cli, agents_admin(run->agents), run->dc,
					   run->cli->command->name, &info);

	if (status == EXIT_DONE)
		status = load_nodes(run);
	if (status != EXIT_DONE)
		return status;
	for (uint32_t i = 0; i < info.n_nodes; i++) {
		const struct dvk_node_info *node = nodes_at(&run->nodes, info.nodes[i].node);

		if (info.nodes[i].state != DVK_READY || !node || node->state != DVK_NODE_UP)
			continue;
		run->node = node->node;
		return EXIT_DONE;
	}
	return fail_none_ready(run, &info);
}

/* ---- running ---- */

static int fail_to_run(struct run *run, dvs_err err)
{
	struct dvk_container_info info;

	/* Which DC was meant is for us to say: the agent only knows those on its node. */
	if (err == DVS_NODC && reach_find_containers(run->cli, agents_admin(run->agents), run->dc,
						     run->cli->command->name, &info) != EXIT_DONE)
		return SESSION_FAILED;
	if (err == DVS_TIMEOUT && reach_look(agents_admin(run->agents), run->dc, &info) == DVS_OK &&
	    info.frozen) {
		cli_note(
			run->cli,
			"%s in dc %s: it is frozen, and what was asked begins when it goes on; let it "
			"with 'dvs dc thaw %s'",
			run->cli->command->name, run->dc, run->dc);
		return SESSION_FAILED;
	}
	reach_fail(run->cli, run->agents, err, "%s in dc %s", run->cli->command->name, run->dc);
	if (err == DVS_NOTFOUND)
		return SESSION_NOT_FOUND;
	return err == DVS_DENIED ? SESSION_NOT_EXECUTABLE : SESSION_FAILED;
}

static dvs_err start(struct run *run)
{
	return agent_call_run(run->agents, run->node, &run->req, &run->rep, REACH_MS);
}

/* On a node that has reported a container which runs. */
static dvs_err start_on_ready(struct run *run)
{
	struct timespec pause = clock_timespec(READY_EVERY_NS);
	dvs_err err = start(run);

	for (int i = 0; err == DVS_NODC && i < READY_TRIES; i++) {
		nanosleep(&pause, NULL);
		err = start(run);
	}
	return err;
}

static int print_started(struct run *run)
{
	struct output *output = &run->cli->output;
	AUTO_FREE char *name = NULL;

	if (asprintf(&name, "%s/%s", run->dc, run->rep.name) < 0)
		return SESSION_FAILED;
	if (output->format != OUTPUT_JSON) {
		fprintf(output->file, "%s\n", name);
		return EXIT_DONE;
	}
	if (output_document(
		    output,
		    json_pack("{s:s, s:s, s:I, s:o}", "name", name, "dc", run->dc, "node",
			      (json_int_t)run->node.n, "id",
			      json_sprintf("%016llx", (unsigned long long)run->rep.program)),
		    false))
		return EXIT_DONE;
	cli_fail(run->cli, DVS_NOMEM, "print the result");
	return SESSION_FAILED;
}

static int run_there(struct run *run)
{
	dvs_err err;

	if (choose(run) != EXIT_DONE)
		return SESSION_FAILED;
	err = start(run);
	if ((err == DVS_NODC || err == DVS_NOAGENT) && !run->node_is_chosen) {
		if (choose_another(run) != EXIT_DONE)
			return SESSION_FAILED;
		err = start_on_ready(run);
	}
	if (err != DVS_OK)
		return fail_to_run(run, err);
	if (run->req.flags & RUN_DETACH)
		return print_started(run);
	return session_run(run->cli, run->agents,
			   &(struct session_of){ .node = run->node,
						 .program = run->rep.program,
						 .attach = run->rep.attach,
						 .tty = run->req.flags & RUN_TTY,
						 .input = run->req.flags & RUN_STDIN,
						 .ours = true });
}

static int run_program(struct cli *cli, unsigned flags)
{
	AUTO_FREE struct run *run = calloc(1, sizeof(*run));
	dvs_err err;
	int status;

	if (!run) {
		cli_fail(cli, DVS_NOMEM, "%s", cli->command->name);
		return SESSION_FAILED;
	}
	run->cli = cli;
	if (!take_options(run, flags))
		return SESSION_FAILED;
	err = agents_open(link_run_dir(cli), &run->agents);
	if (err != DVS_OK) {
		link_fail_admin(cli, err);
		return SESSION_FAILED;
	}
	status = run_there(run);
	agents_close(run->agents);
	return status;
}

int cmd_run(struct cli *cli)
{
	return run_program(cli, 0);
}

int cmd_exec(struct cli *cli)
{
	return run_program(cli, RUN_EXEC);
}

/* ---- attach ---- */

static int attach(struct cli *cli, struct reach *reach)
{
	struct agent_attach_req req = { .program = 0 };
	struct agent_attach_rep rep;
	struct program_on on;
	dvs_err err;

	if (programs_look(cli, reach, cli->words[0], "attach to", &on) != EXIT_DONE)
		return SESSION_FAILED;
	req.program = on.program.id;
	if (on.program.tty)
		session_size(&req.rows, &req.cols);
	err = agent_call_attach(reach->agents, on.node, &req, &rep, REACH_MS);
	if (err != DVS_OK) {
		reach_fail(cli, reach->agents, err, "attach to %s", cli->words[0]);
		return SESSION_FAILED;
	}
	return session_run(cli, reach->agents,
			   &(struct session_of){ .node = on.node,
						 .program = on.program.id,
						 .attach = rep.attach,
						 .tty = rep.tty && isatty(STDIN_FILENO),
						 .input = rep.tty || cli_has(cli, OPTION_STDIN) });
}

int cmd_attach(struct cli *cli)
{
	struct reach reach;
	int status = SESSION_FAILED;

	if (reach_open(cli, &reach) == EXIT_DONE)
		status = attach(cli, &reach);
	reach_close(&reach);
	return status;
}
