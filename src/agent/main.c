/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-agent: keeps the containers and volumes of one node. Started by dvsd; it ends with it, and what runs in the containers goes on without it. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "agent/end.h"
#include "agent/happenings.h"
#include "agent/jobs.h"
#include "agent/mounts.h"
#include "agent/programs.h"
#include "agent/reconcile.h"
#include "agent/server.h"
#include "agent/streams.h"
#include "agent/volumes.h"
#include "agent/workers.h"
#include "base/arguments.h"
#include "base/clock.h"
#include "container/image.h"

#define N_WORKERS 4
#define NO_NODE UINT32_MAX

static int parse(int argc, char **argv, struct agent *agent, bool *is_end)
{
	struct agent_options *options = &agent->options;
	const struct argument rows[] = {
		{ "run-dir", "DIR", "of dvsd", ARGUMENT_DIR, .is_needed = true,
		  .to = options->run_dir, .size = sizeof(options->run_dir) },
		{ "lib-dir", "DIR", "for images and what containers write", ARGUMENT_DIR,
		  .is_needed = true, .to = options->lib_dir, .size = sizeof(options->lib_dir) },
		{ "node", "N", "number of this node", ARGUMENT_NUMBER, .to = &agent->node,
		  .most = DVS_NODES_MAX - 1 },
		{ "end", NULL, "end all that goes on without dvsd, and itself", ARGUMENT_FLAG,
		  .to = is_end },
		{ "log-level", "LEVEL", ARGUMENT_LEVEL_HELP, ARGUMENT_LEVEL,
		  .to = &options->log_level },
	};
	const struct arguments arguments = {
		.program = "dvs-agent",
		.synopsis = "--run-dir DIR --lib-dir DIR {--node N | --end} [options]",
		.about = "Keep the containers and volumes of this node. dvsd starts it when there"
			 " are some.",
		.rows = rows,
		.n_rows = ARRAY_LEN(rows),
	};
	int first;
	int status;

	options->log_level = LOG_LEVEL_INFO;
	agent->node = NO_NODE;
	status = arguments_parse(&arguments, argc, argv, &first);
	if (status == ARGUMENTS_RUN && (agent->node == NO_NODE) != *is_end)
		return arguments_wrong(&arguments, *is_end ? "--node and --end exclude each other" :
							     "it needs --node");
	return status;
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
		err = mounts_open(agent, &agent->mounts);
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
	bool is_end = false;
	int status = parse(argc, argv, &agent, &is_end);
	dvs_err err;

	if (status != ARGUMENTS_RUN)
		return status;
	agent.log = log_to_stderr(agent.options.log_level);
	if (is_end)
		return end_all(&agent) ? EXIT_FAILURE : EXIT_SUCCESS;
	agent.started_ns = now_ns();
	/* Before it gets mounts of its own. */
	agent.node_mounts = open("/proc/self/ns/mnt", O_RDONLY | O_CLOEXEC);
	(void)signal(SIGPIPE, SIG_IGN);
	(void)umask(022);
	err = serve(&agent);
	/* Without a word to the threads: whatever they leave half made the next agent finds and ends. */
	_exit(err ? EXIT_FAILURE : EXIT_SUCCESS);
}
