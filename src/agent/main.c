/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-agent: keeps the containers and volumes of one node. Started by dvsd; it ends with it, and what runs in the containers goes on without it. */
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/happenings.h"
#include "agent/jobs.h"
#include "agent/programs.h"
#include "agent/reconcile.h"
#include "agent/server.h"
#include "agent/streams.h"
#include "agent/volumes.h"
#include "agent/workers.h"
#include "base/clock.h"
#include "container/image.h"

/* As usual: 1 for a failure, 2 for a wrong command line. */
#define EXIT_USAGE 2
#define N_WORKERS 4

static const char usage[] =
	"usage: dvs-agent --run-dir DIR --lib-dir DIR --node N [options]\n"
	"\n"
	"Keep the containers and volumes of this node. dvsd starts it when there are some.\n"
	"\n"
	"  --run-dir DIR      of dvsd\n"
	"  --lib-dir DIR      for images and what containers write\n"
	"  --node N           number of this node\n"
	"  --log-level LEVEL  error, warning, info or debug; default info\n"
	"  --help, --version\n";

static const struct option known[] = {
	{ "run-dir", required_argument, NULL, 'r' },
	{ "lib-dir", required_argument, NULL, 'd' },
	{ "node", required_argument, NULL, 'n' },
	{ "log-level", required_argument, NULL, 'l' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, 'v' },
	{ NULL, 0, NULL, 0 },
};

static bool take_path(const char *option, const char *value, char *path, size_t size)
{
	if (value[0] == '/' && (size_t)snprintf(path, size, "%s", value) < size)
		return true;
	(void)fprintf(stderr, "dvs-agent: %s '%s' is no absolute path of less than %zu bytes\n",
		      option, value, size);
	return false;
}

static bool take_node(const char *value, uint32_t *node)
{
	char *end;
	unsigned long number = strtoul(value, &end, 10);

	*node = (uint32_t)number;
	if (end != value && *end == '\0' && value[0] != '-' && number < DVS_NODES_MAX)
		return true;
	(void)fprintf(stderr, "dvs-agent: the node '%s' is not a number from 0 to %d\n", value,
		      DVS_NODES_MAX - 1);
	return false;
}

static bool parse_one(int option, const char *value, struct agent *agent)
{
	struct agent_options *options = &agent->options;

	switch (option) {
	case 'r':
		return take_path("--run-dir", value, options->run_dir, sizeof(options->run_dir));
	case 'd':
		return take_path("--lib-dir", value, options->lib_dir, sizeof(options->lib_dir));
	case 'n':
		return take_node(value, &agent->node);
	case 'l':
		if (log_level_parse(value, &options->log_level))
			return true;
		(void)fprintf(stderr,
			      "dvs-agent: the log level '%s' is none of error, warning, info,"
			      " debug\n",
			      value);
		return false;
	default: /* getopt has complained */
		return false;
	}
}

static bool parse(int argc, char **argv, struct agent *agent)
{
	int option;

	*agent = (struct agent){ .node = UINT32_MAX, .options = { .log_level = LOG_LEVEL_INFO } };
	while ((option = getopt_long(argc, argv, "", known, NULL)) != -1) {
		if (option == 'h' || option == 'v') {
			(void)fputs(option == 'h' ? usage : "dvs-agent " DVS_VERSION "\n", stdout);
			exit(EXIT_SUCCESS);
		}
		if (!parse_one(option, optarg, agent))
			return false;
	}
	if (agent->options.run_dir[0] && agent->options.lib_dir[0] && agent->node != UINT32_MAX &&
	    optind == argc)
		return true;
	(void)fputs("dvs-agent: it needs --run-dir, --lib-dir and --node, and takes no other"
		    " arguments\n",
		    stderr);
	return false;
}

static dvs_err link_up(struct agent *agent)
{
	char path[sizeof(agent->options.run_dir) + sizeof("/dc/" DVK_AGENTS_DC "/control")];
	dvs_err err = dvk_admin_open(agent->options.run_dir, &agent->admin);

	(void)snprintf(path, sizeof(path), "%s/dc/" DVK_AGENTS_DC "/control",
		       agent->options.run_dir);
	/* So that it is told what happens in there, too. */
	if (!err)
		err = dvk_admin_enter(agent->admin, DVK_AGENTS_DC);
	if (!err)
		err = dvk_open(path, &agent->dvk);
	if (err)
		log_error(&agent->log, "no link with dvsd", LOG_STR("why", dvs_strerror(err)));
	return err;
}

/* The endpoint comes last: who can call the agent finds all of it. */
static void begin(struct agent *agent)
{
	dvs_err err = server_start(agent->server);

	if (err) {
		log_error(&agent->log, "cannot answer", LOG_STR("why", dvs_strerror(err)));
		loop_stop(agent->loop);
	}
}

static dvs_err open_all(struct agent *agent)
{
	dvs_err err = loop_open(&agent->loop);

	if (!err)
		err = link_up(agent);
	if (!err)
		err = workers_open(agent->loop, N_WORKERS, &agent->workers);
	if (!err)
		err = jobs_open(agent, &agent->jobs);
	if (!err)
		err = streams_open(agent, &agent->streams);
	if (!err)
		err = programs_open(agent, &agent->programs);
	if (!err)
		err = server_open(agent, &agent->server);
	if (!err)
		err = reconcile_open(agent, begin, &agent->reconcile);
	if (!err)
		err = volumes_open(agent, agent->node_mounts, &agent->volumes);
	if (!err)
		err = happenings_open(agent);
	return err;
}

static dvs_err serve(struct agent *agent)
{
	char why[DESCRIPTION_TEXT_MAX] = "";
	dvs_err err = container_host_open(agent->options.run_dir, agent->options.lib_dir,
					  &agent->host, why);

	if (!err) {
		image_store_open(agent->options.lib_dir);
		err = open_all(agent);
	}
	if (err) {
		log_error(&agent->log, "cannot start",
			  LOG_STR("why", why[0] ? why : dvs_strerror(err)));
		return err;
	}
	reconcile_look(agent->reconcile);
	volumes_look(agent->volumes);
	return loop_run(agent->loop);
}

static uint64_t now_ns(void)
{
	struct timespec now;

	(void)clock_gettime(CLOCK_REALTIME, &now);
	return (uint64_t)now.tv_sec * CLOCK_NS_PER_S + (uint64_t)now.tv_nsec;
}

int main(int argc, char **argv)
{
	static struct agent agent;
	dvs_err err;

	if (!parse(argc, argv, &agent)) {
		(void)fputs("Try 'dvs-agent --help'.\n", stderr);
		return EXIT_USAGE;
	}
	agent.log = log_to_stderr(agent.options.log_level);
	agent.started_ns = now_ns();
	/* Before it gets mounts of its own. */
	agent.node_mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(022);
	err = serve(&agent);
	/* Without a word to the threads: whatever they leave half made the next agent finds and ends. */
	_exit(err ? EXIT_FAILURE : EXIT_SUCCESS);
}
