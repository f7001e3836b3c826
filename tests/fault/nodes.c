/* SPDX-License-Identifier: Apache-2.0 */
/* Clients and servers on two nodes, while what lies between them is killed: proxies, and dvsd on either node. No call may fail or be
 * lost, as if all were on one. FAULT_KILLS says how often. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "crew.h"
#include "dvs_lab.h"
#include "unit.h"

#define NODES 2u
#define CLIENTS 8u
#define KILLS 20u
#define LIFE_US 300000u
#define START_NS (30 * CLOCK_NS_PER_S)

struct node {
	struct lab lab;
	unsigned int number;
};

struct nodes {
	char dir[64];
	struct node node[NODES];
	struct crew crew;
	uint64_t rng;
};

static _Noreturn void become_dvsd(const struct node *node)
{
	const char *build = getenv("DVS_BUILD");
	char program[512];
	char config[512];
	char log[128];
	int fd;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	(void)snprintf(log, sizeof(log), "%s/log", node->lab.run_dir);
	fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
	if (fd >= 0)
		(void)dup2(fd, STDERR_FILENO);
	(void)snprintf(program, sizeof(program), "%s/dvsd", build ? build : "build");
	if (lab_enter(node->number, config, sizeof(config)))
		(void)execl(program, "dvsd", "--run-dir", node->lab.run_dir, "--dc", "a",
			    "--config", config, (char *)NULL);
	_exit(127);
}

static void spawn_dvsd(struct node *node)
{
	(void)fflush(NULL);
	node->lab.dvsd = fork();
	ck_assert_int_ge(node->lab.dvsd, 0);
	if (node->lab.dvsd == 0)
		become_dvsd(node);
}

/* Until its DC is there, which the other node may have made. */
static void wait_dvsd(const struct node *node)
{
	uint64_t deadline_ns = clock_deadline_ns(START_NS);
	struct dvk *dvk = NULL;

	while (dvk_open(node->lab.control, &dvk) != DVS_OK) {
		ck_assert_msg(!clock_is_past(deadline_ns), "node %u does not come up",
			      node->number);
		(void)usleep(5000);
	}
	dvk_close(dvk);
}

static void nodes_open(struct nodes *nodes)
{
	memset(nodes, 0, sizeof(*nodes));
	nodes->rng = lab_seed();
	(void)snprintf(nodes->dir, sizeof(nodes->dir), "/tmp/dvs-nodes-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(nodes->dir));
	ck_assert_int_eq(setenv("DVS_CALLS_NODES", "2", 1), 0);
	ck_assert(lab_start(nodes->dir));
	for (unsigned int i = 0; i < NODES; i++) {
		struct node *node = &nodes->node[i];

		node->number = i;
		(void)snprintf(node->lab.run_dir, sizeof(node->lab.run_dir), "%.50s/n%u",
			       nodes->dir, i);
		(void)snprintf(node->lab.control, sizeof(node->lab.control), "%s/dc/a/control",
			       node->lab.run_dir);
		ck_assert_int_eq(mkdir(node->lab.run_dir, 0755), 0);
		spawn_dvsd(node);
	}
	for (unsigned int i = 0; i < NODES; i++)
		wait_dvsd(&nodes->node[i]);
	crew_open(&nodes->crew, &nodes->node[0].lab, CLIENTS, nodes->rng);
	nodes->crew.other_control = nodes->node[1].lab.control;
	nodes->crew.talk.dvsd_dies = true;
	crew_start(&nodes->crew);
}

static void nodes_close(struct nodes *nodes)
{
	char line[128];

	crew_stop(&nodes->crew);
	crew_report(&nodes->crew);
	crew_check_nothing_left(&nodes->node[0].lab, &nodes->crew);
	crew_check_nothing_left(&nodes->node[1].lab, &nodes->crew);
	for (unsigned int i = 0; i < NODES; i++) {
		int status;

		ck_assert_int_eq(kill(nodes->node[i].lab.dvsd, SIGTERM), 0);
		ck_assert_int_eq(waitpid(nodes->node[i].lab.dvsd, &status, 0),
				 nodes->node[i].lab.dvsd);
		ck_assert_int_eq(status, 0);
	}
	lab_stop();
	(void)snprintf(line, sizeof(line), "rm -r '%s'", nodes->dir);
	ck_assert_int_eq(system(line), 0); /* NOLINT(cert-env33-c): the test's own directory */
}

/* The proxies of a dvsd are its only children. */
static void kill_proxy(const struct node *node)
{
	char path[96];
	char text[64] = "";
	AUTO_CLOSE int fd = -1;
	long pid;

	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)node->lab.dvsd,
		       (int)node->lab.dvsd);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, text, sizeof(text) - 1) <= 0)
		return; /* it was killed just now */
	pid = strtol(text, NULL, 10);
	if (pid > 0)
		(void)kill((pid_t)pid, SIGKILL);
}

static void kill_dvsd(struct node *node)
{
	int status;

	ck_assert_int_eq(kill(node->lab.dvsd, SIGKILL), 0);
	ck_assert_int_eq(waitpid(node->lab.dvsd, &status, 0), node->lab.dvsd);
	spawn_dvsd(node);
}

static struct nodes nodes;

TEST(clients_and_servers_on_two_nodes_talk_as_on_one)
{
	nodes_open(&nodes);
	for (int i = 0; i < 10; i++) {
		rng_pause(&nodes.rng, LIFE_US);
		crew_check(&nodes.crew);
	}
	nodes_close(&nodes);
}

TEST(proxies_that_are_killed_lose_nothing)
{
	uint64_t n_kills = lab_option("FAULT_KILLS", KILLS);

	nodes_open(&nodes);
	for (uint64_t i = 0; i < n_kills; i++) {
		rng_pause(&nodes.rng, LIFE_US);
		kill_proxy(&nodes.node[rng_below(&nodes.rng, NODES)]);
		crew_check(&nodes.crew);
	}
	nodes_close(&nodes);
}

TEST(a_dvsd_that_is_killed_on_either_node_loses_nothing)
{
	uint64_t n_kills = lab_option("FAULT_KILLS", KILLS) / 2;

	nodes_open(&nodes);
	for (uint64_t i = 0; i < n_kills; i++) {
		struct node *node = &nodes.node[rng_below(&nodes.rng, NODES)];

		rng_pause(&nodes.rng, LIFE_US);
		kill_dvsd(node);
		wait_dvsd(node);
		crew_check(&nodes.crew);
	}
	nodes_close(&nodes);
}

UNIT_MAIN_TIMEOUT("fault-nodes", 3600, clients_and_servers_on_two_nodes_talk_as_on_one,
		  proxies_that_are_killed_lose_nothing,
		  a_dvsd_that_is_killed_on_either_node_loses_nothing)
