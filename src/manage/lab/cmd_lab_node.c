/* SPDX-License-Identifier: Apache-2.0 */
/* dvs lab pause, resume, kill and start: faults of a node, or of a process in it. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "manage/cli.h"
#include "manage/command.h"
#include "manage/lab/faults.h"
#include "manage/lab/lab.h"
#include "manage/lab/traffic.h"

static bool open_node(struct cli *cli, struct lab *lab, uint32_t *node)
{
	if (lab_open(lab, cli->values[OPTION_NAME]) && lab_lock(lab) &&
	    lab_parse_node(lab, cli->words[0], node))
		return true;
	lab_close(lab);
	return false;
}

/* Everything of the node, and not one process. */
static bool take_process(struct cli *cli, struct lab *lab, struct lab_fault *fault, bool *whole)
{
	const char *word = cli->n_words > 1 ? cli->words[1] : "all";

	fault->process = word;
	*whole = strcmp(word, "all") == 0;
	if (*whole || strcmp(word, "dvsd") == 0 || strcmp(word, "corosync") == 0 ||
	    strcmp(word, "proxy") == 0)
		return true;
	return lab_fail(lab, "'%s' is none of dvsd, corosync, proxy and all", word);
}

static bool refuse_off(struct lab *lab, uint32_t node)
{
	return !lab_node_is(lab, node, LAB_OFF) ||
	       lab_fail(lab, "node n%u is off; 'dvs lab start n%u' starts it", node, node);
}

static bool do_signal(struct cli *cli, struct lab *lab, uint32_t node, int signal)
{
	struct lab_fault fault = { .signal = signal };
	bool whole;

	if (!take_process(cli, lab, &fault, &whole) || !refuse_off(lab, node))
		return false;
	if (whole && !lab_node_mark(lab, node, LAB_PAUSED, signal == SIGSTOP))
		return false;
	return lab_inside(lab, node, lab_job_signal, &fault);
}

static bool do_kill(struct cli *cli, struct lab *lab, uint32_t node)
{
	struct lab_fault fault = { .signal = SIGKILL };
	bool whole;

	if (!take_process(cli, lab, &fault, &whole) || !refuse_off(lab, node))
		return false;
	if (!whole)
		return lab_inside(lab, node, lab_job_signal, &fault);
	if (!lab_node_mark(lab, node, LAB_OFF, true) ||
	    !lab_node_mark(lab, node, LAB_PAUSED, false) ||
	    !lab_inside(lab, node, lab_job_signal, &fault))
		return false;
	return cli_has(cli, OPTION_KEEP) || lab_inside(lab, node, lab_job_forget, NULL);
}

/* What NODE will see when it runs; nothing is expected when that cannot be told, or is no quorum. */
static struct lab_expected expect(struct lab *lab, uint32_t node)
{
	struct lab_traffic *traffic = calloc(1, sizeof(*traffic));
	struct lab_processes *processes = calloc(1, sizeof(*processes));
	struct lab_expected expected = { .n_corosync = 1, .n_dvsd = 1 };
	bool known = traffic && processes && lab_traffic_read(lab, traffic);

	if (known)
		lab_find_processes(lab, processes);
	for (uint32_t i = 0; known && i < lab->options.n_nodes; i++) {
		const struct lab_lives *lives = &processes->of_node[i];

		known = !lab_traffic_is_cut(traffic, i);
		if (i == node || lives->n_stopped > 0 || !lives->corosync)
			continue;
		expected.n_corosync++;
		expected.n_dvsd += lives->dvsd > 0;
	}
	free(traffic);
	free(processes);
	if (!known || 2 * expected.n_corosync <= lab->options.n_nodes)
		expected.n_corosync = 0;
	if (!known || 2 * expected.n_dvsd <= lab->options.n_nodes)
		expected.n_dvsd = 0;
	return expected;
}

static bool do_start(struct lab *lab, uint32_t node)
{
	struct lab_expected expected = expect(lab, node);

	if (lab_node_is(lab, node, LAB_PAUSED))
		return lab_fail(lab, "node n%u is paused; 'dvs lab resume n%u' continues it", node,
				node);
	return lab_node_mark(lab, node, LAB_OFF, false) && lab_find_programs(lab) &&
	       lab_inside(lab, node, lab_services_start, &expected);
}

static int finish(struct cli *cli, struct lab *lab, bool good)
{
	lab_close(lab);
	return good ? EXIT_DONE : lab_say_failure(cli, lab);
}

int cmd_lab_pause(struct cli *cli)
{
	struct lab lab;
	uint32_t node;

	return finish(cli, &lab,
		      open_node(cli, &lab, &node) && do_signal(cli, &lab, node, SIGSTOP));
}

int cmd_lab_resume(struct cli *cli)
{
	struct lab lab;
	uint32_t node;

	return finish(cli, &lab,
		      open_node(cli, &lab, &node) && do_signal(cli, &lab, node, SIGCONT));
}

int cmd_lab_kill(struct cli *cli)
{
	struct lab lab;
	uint32_t node;

	return finish(cli, &lab, open_node(cli, &lab, &node) && do_kill(cli, &lab, node));
}

int cmd_lab_start(struct cli *cli)
{
	struct lab lab;
	uint32_t node;

	return finish(cli, &lab, open_node(cli, &lab, &node) && do_start(&lab, node));
}
