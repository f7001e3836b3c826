/* SPDX-License-Identifier: Apache-2.0 */
/* dvs lab cut, heal and slow: faults of the network. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/cli.h"
#include "manage/command.h"
#include "manage/lab/lab.h"
#include "manage/lab/traffic.h"

#define RATE_MAX_MBIT 100000u
#define DELAY_MAX_MS 10000u

struct change {
	struct lab lab;
	struct lab_traffic was;
	struct lab_traffic is;
	uint32_t a;
	uint32_t b;
};

static bool take_pair(struct cli *cli, struct change *change)
{
	if (cli->n_words == 1)
		return lab_fail(&change->lab, "one node is not a pair; name two, or none for all");
	if (cli->n_words == 0)
		return true;
	if (!lab_parse_node(&change->lab, cli->words[0], &change->a) ||
	    !lab_parse_node(&change->lab, cli->words[1], &change->b))
		return false;
	return change->a != change->b ||
	       lab_fail(&change->lab, "a node's connection to itself stays; name two nodes");
}

/* CHANGE for the command's two nodes, with the lab locked; NULL: the message is out. */
static struct change *change_open(struct cli *cli)
{
	struct change *change = calloc(1, sizeof(*change));

	if (!change) {
		(void)cli_fail(cli, DVS_NOMEM, "change the network of the lab");
		return NULL;
	}
	if (lab_open(&change->lab, cli->values[OPTION_NAME]) && lab_lock(&change->lab) &&
	    take_pair(cli, change) && lab_traffic_read(&change->lab, &change->was)) {
		change->is = change->was;
		return change;
	}
	(void)lab_say_failure(cli, &change->lab);
	lab_close(&change->lab);
	free(change);
	return NULL;
}

static int change_finish(struct cli *cli, struct change *change)
{
	int status = lab_traffic_change(&change->lab, &change->was, &change->is) ?
			     EXIT_DONE :
			     lab_say_failure(cli, &change->lab);

	lab_close(&change->lab);
	free(change);
	return status;
}

int cmd_lab_cut(struct cli *cli)
{
	struct change *change = change_open(cli);

	if (!change)
		return EXIT_FAILED;
	change->is.rules[change->a][change->b].cut = true;
	if (!cli_has(cli, OPTION_ONE_WAY))
		change->is.rules[change->b][change->a].cut = true;
	return change_finish(cli, change);
}

int cmd_lab_heal(struct cli *cli)
{
	struct change *change = change_open(cli);

	if (!change)
		return EXIT_FAILED;
	if (cli->n_words == 0)
		memset(&change->is, 0, sizeof(change->is));
	memset(&change->is.rules[change->a][change->b], 0, sizeof(struct lab_rule));
	memset(&change->is.rules[change->b][change->a], 0, sizeof(struct lab_rule));
	return change_finish(cli, change);
}

int cmd_lab_slow(struct cli *cli)
{
	struct change *change;
	uint64_t rate_mbit;
	uint64_t delay_ms;

	if (!cli_number(cli, OPTION_RATE, 1, RATE_MAX_MBIT, 0, &rate_mbit) ||
	    !cli_number(cli, OPTION_DELAY, 1, DELAY_MAX_MS, 0, &delay_ms))
		return EXIT_USAGE;
	if (!rate_mbit && !delay_ms)
		return cli_usage(cli, "give --rate MBIT, --delay MS or both; 'dvs lab heal' ends "
				      "it");
	change = change_open(cli);
	if (!change)
		return EXIT_FAILED;
	for (int way = 0; way < 2; way++) {
		struct lab_rule *rule = way == 0 ? &change->is.rules[change->a][change->b] :
						   &change->is.rules[change->b][change->a];

		rule->rate_kbit = (uint32_t)rate_mbit * 1000;
		rule->delay_us = (uint32_t)delay_ms * 1000;
	}
	return change_finish(cli, change);
}
