/* SPDX-License-Identifier: Apache-2.0 */
/* dvs kill and wait: signals to programs, and their ends. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/calls.h"
#include "container/names.h"
#include "manage/container/programs.h"
#include "manage/container/reach.h"

#define GRACE_MS 10000u
#define GRACE_MS_MAX (3600u * 1000)

struct kill {
	struct cli *cli;
	struct reach reach;
	struct programs programs;
	struct agent_signal_req req;
};

/* "TERM", "SIGTERM", "15" */
static bool take_signal(struct cli *cli, uint32_t *signo)
{
	const char *text = cli->values[OPTION_SIGNAL];
	char *end;
	unsigned long number;

	/* As kill(1) and docker: the one is asked for, the other is not. */
	*signo = cli_has(cli, OPTION_STOP) ? SIGTERM : SIGKILL;
	if (!text)
		return true;
	number = strtoul(text, &end, 10);
	if (text[0] >= '0' && text[0] <= '9' && !*end && number >= 1 && number <= SIGNALS_MAX) {
		*signo = (uint32_t)number;
		return true;
	}
	if (signal_number(text, signo))
		return true;
	cli_usage(cli,
		  "there is no signal '%s'; give a name, as TERM or HUP, or a number from 1 to %u",
		  text, SIGNALS_MAX);
	return false;
}

static int kill_one(struct kill *kill, const char *word)
{
	const struct program_on *on;
	int status = programs_find(kill->cli, &kill->programs, word, "kill", &on);
	dvs_err err;

	if (status != EXIT_DONE)
		return status;
	kill->req.program = on->program.id;
	err = agent_call_signal(kill->reach.agents, on->node, &kill->req, NULL,
				REACH_MS + kill->req.grace_ms);
	if (err == DVS_BADSTATE && !agents_text(kill->reach.agents)[0])
		return cli_fail_hint(kill->cli, err, "it has ended", "kill %s", word);
	if (err != DVS_OK)
		return reach_fail(kill->cli, kill->reach.agents, err, "kill %s", word);
	if (kill->cli->output.format == OUTPUT_NAME)
		fprintf(kill->cli->output.file, "%s/%s\n", on->program.dc, on->program.name);
	return EXIT_DONE;
}

/* One after the other, as far as it goes. */
static int kill_all(struct kill *kill)
{
	int status = programs_load(kill->cli, &kill->reach, NULL, &kill->programs);

	if (status != EXIT_DONE)
		return status;
	for (size_t i = 0; i < kill->cli->n_words; i++) {
		int one = kill_one(kill, kill->cli->words[i]);

		status = one == EXIT_DONE ? status : one;
	}
	return status;
}

int cmd_kill(struct cli *cli)
{
	AUTO_FREE struct kill *kill = calloc(1, sizeof(*kill));
	int status;

	if (!kill)
		return cli_fail(cli, DVS_NOMEM, "kill");
	kill->cli = cli;
	if (!take_signal(cli, &kill->req.signo) ||
	    !cli_seconds(cli, OPTION_GRACE, 0, GRACE_MS_MAX, GRACE_MS, &kill->req.grace_ms))
		return EXIT_USAGE;
	kill->req.stop = cli_has(cli, OPTION_STOP);
	if (cli_has(cli, OPTION_GRACE) && !kill->req.stop)
		return cli_usage(cli,
				 "--grace is for --stop: a signal alone ends nothing by force");
	status = reach_open(cli, &kill->reach);
	if (status == EXIT_DONE)
		status = kill_all(kill);
	programs_free(&kill->programs);
	reach_close(&kill->reach);
	return status;
}

/* ---- wait ---- */

static int wait_one(struct cli *cli, struct reach *reach)
{
	struct program_on on;
	struct agent_wait_rep rep;
	dvs_err err;
	int status = programs_look(cli, reach, cli->words[0], "wait for", &on);

	if (status != EXIT_DONE)
		return status;
	do {
		err = agent_call_wait(reach->agents, on.node,
				      &(struct agent_wait_req){ .program = on.program.id }, &rep,
				      DVS_FOREVER);
		/* The next agent answers. */
	} while (err == DVS_PEERDEAD);
	if (err != DVS_OK)
		return reach_fail(cli, reach->agents, err, "wait for %s", cli->words[0]);
	if (cli->output.format == OUTPUT_JSON) {
		if (!output_document(
			    &cli->output,
			    json_pack("{s:o, s:i}", "name",
				      json_sprintf("%s/%s", on.program.dc, on.program.name),
				      "exit_status", programs_exit_status(rep.status)),
			    false))
			return cli_fail(cli, DVS_NOMEM, "print the result");
		return EXIT_DONE;
	}
	fprintf(cli->output.file, "%d\n", programs_exit_status(rep.status));
	return EXIT_DONE;
}

int cmd_wait(struct cli *cli)
{
	struct reach reach;
	int status = reach_open(cli, &reach);

	if (status == EXIT_DONE)
		status = wait_one(cli, &reach);
	reach_close(&reach);
	return status;
}
