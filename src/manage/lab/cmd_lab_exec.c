/* SPDX-License-Identifier: Apache-2.0 */
/* dvs lab exec: run a program inside a node, as if it had been started here: its terminal,
 * its files and its exit status are ours. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "manage/cli.h"
#include "manage/command.h"
#include "manage/lab/faults.h"
#include "manage/lab/lab.h"

/* As a shell would say it. */
#define STATUS_NOT_STARTED 126
#define STATUS_NOT_FOUND 127
#define STATUS_OF_SIGNAL 128

/* Its words are its own: what follows the node belongs to the program. */
static bool take_words(struct cli *cli, const char **name, const char **node, char ***argv)
{
	int i = 0;

	*name = NULL;
	while (i < cli->n_rest && cli->rest[i][0] == '-') {
		const char *word = cli->rest[i];

		if (strcmp(word, "--name") == 0 && i + 1 < cli->n_rest) {
			*name = cli->rest[++i];
		} else if (strncmp(word, "--name=", 7) == 0) {
			*name = word + 7;
		} else if (strcmp(word, "--help") == 0 || strcmp(word, "-h") == 0) {
			*argv = NULL;
			return true;
		} else {
			(void)cli_usage(cli,
					"unknown option '%s'; what follows the node goes to "
					"the program",
					word);
			return false;
		}
		i++;
	}
	*node = i < cli->n_rest ? cli->rest[i++] : NULL;
	if (i < cli->n_rest && strcmp(cli->rest[i], "--") == 0)
		i++;
	if (i < cli->n_rest) {
		*argv = cli->rest + i;
		return true;
	}
	(void)cli_usage(cli, "NODE or COMMAND is missing; usage: dvs lab exec [--name LAB] NODE "
			     "[--] COMMAND...");
	return false;
}

static _Noreturn void become_program(const struct lab *lab, uint32_t node, char **argv)
{
	int status;

	/* Whoever kills us means the program. */
	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)signal(SIGINT, SIG_DFL);
	(void)signal(SIGQUIT, SIG_DFL);
	(void)signal(SIGTERM, SIG_DFL);
	(void)signal(SIGHUP, SIG_DFL);
	lab_set_environment(lab, node);
	execvp(argv[0], argv);
	status = errno == ENOENT ? STATUS_NOT_FOUND : STATUS_NOT_STARTED;
	dprintf(2, "dvs: lab exec: start %s: %s\n", argv[0], strerror(errno));
	_exit(status);
}

/* Wait for CHILD, passing on the signals that end programs. */
static int wait_for(pid_t child, const sigset_t *signals)
{
	int status;

	for (;;) {
		int signal;

		if (waitpid(child, &status, WNOHANG) == child)
			break;
		if (sigwait(signals, &signal) == 0 && signal != SIGCHLD)
			(void)kill(child, signal);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : STATUS_OF_SIGNAL + WTERMSIG(status);
}

static int run(struct cli *cli, struct lab *lab, uint32_t node, char **argv)
{
	sigset_t signals;
	sigset_t former;
	pid_t child;

	if (!lab_enter(lab->holders[node]))
		return cli_fail_errno(cli, errno, "see 'dvs lab ls'", "enter node n%u", node);
	sigemptyset(&signals);
	sigaddset(&signals, SIGCHLD);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGHUP);
	(void)sigprocmask(SIG_BLOCK, &signals, &former);
	/* The terminal sends these to the program too. */
	(void)signal(SIGINT, SIG_IGN);
	(void)signal(SIGQUIT, SIG_IGN);
	child = fork();
	if (child == 0) {
		(void)sigprocmask(SIG_SETMASK, &former, NULL);
		become_program(lab, node, argv);
	}
	if (child < 0)
		return cli_fail_errno(cli, errno, "", "start a process in node n%u", node);
	return wait_for(child, &signals);
}

int cmd_lab_exec(struct cli *cli)
{
	const char *name;
	const char *word;
	char **argv;
	struct lab lab;
	uint32_t node;
	int status;

	if (!take_words(cli, &name, &word, &argv))
		return EXIT_USAGE;
	if (!argv) {
		help_command(cli->output.file, cli->command);
		return EXIT_DONE;
	}
	if (!lab_open(&lab, name) || !lab_parse_node(&lab, word, &node) ||
	    !lab_node_serves(&lab, node))
		return lab_say_failure(cli, &lab);
	status = run(cli, &lab, node, argv);
	/* What this process forks is born in the node: nothing that runs at a usual exit, like a
	 * search for leaks with a helper, works any more. */
	fflush(NULL);
	_exit(status);
}
