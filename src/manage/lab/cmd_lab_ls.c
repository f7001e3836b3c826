/* SPDX-License-Identifier: Apache-2.0 */
/* dvs lab ls: the nodes of labs, what runs in them, and which faults they have. Read from the
 * processes that are there, so that it is true also after something died. */
#include <dirent.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/cli.h"
#include "manage/command.h"
#include "manage/lab/faults.h"
#include "manage/lab/lab.h"
#include "manage/lab/traffic.h"

static const struct output_column columns[] = {
	{ "LAB", "lab", false },	   { "NODE", "name", false },
	{ "ADDRESS", "address", false },   { "STATE", "state", false },
	{ "COROSYNC", "corosync", false }, { "DVSD", "dvsd", false },
	{ "PROXIES", "proxies", true },	   { "PROCESSES", "processes", false },
	{ "HOLDER", "holder", true },	   { "HUB", "hub", true },
	{ "CUT TO", "cut_to", false },	   { "SLOW TO", "slow_to", false },
};

static const struct output_shape shape = {
	.list = "nodes",
	.columns = columns,
	.n_columns = ARRAY_LEN(columns),
};

struct listing {
	struct lab lab;
	struct lab_traffic traffic;
	struct lab_processes processes;
};

static const char *state_of(const struct listing *of, uint32_t node)
{
	const struct lab_lives *lives = &of->processes.of_node[node];
	bool wants_corosync = of->lab.options.engine == CONFIG_COROSYNC;

	if (!of->lab.holders[node])
		return "gone";
	if (lab_node_is(&of->lab, node, LAB_OFF))
		return "off";
	if (lab_node_is(&of->lab, node, LAB_PAUSED))
		return "paused";
	if ((wants_corosync && !lives->corosync) || (!of->lab.options.bare && !lives->dvsd))
		return "broken";
	return lives->n_stopped > 0 ? "hung" : "up";
}

static json_t *pid_or_null(pid_t pid)
{
	return pid > 0 ? json_integer(pid) : json_null();
}

static json_t *proxies_of(const struct lab_lives *lives)
{
	json_t *list = json_array();

	for (size_t i = 0; list && i < lives->n_proxies; i++)
		(void)json_array_append_new(list, json_integer(lives->proxies[i]));
	return list;
}

/* The nodes that NODE's frames do not reach, or reach slowly. */
static json_t *rules_of(const struct listing *of, uint32_t node, bool cut)
{
	json_t *list = json_array();

	for (uint32_t to = 0; list && to < of->lab.options.n_nodes; to++) {
		const struct lab_rule *rule = &of->traffic.rules[node][to];

		if (cut ? rule->cut : rule->rate_kbit || rule->delay_us)
			(void)json_array_append_new(list, json_sprintf("n%u", to));
	}
	return list;
}

static json_t *describe_node(const struct listing *of, uint32_t node)
{
	const struct lab_lives *lives = &of->processes.of_node[node];
	char address[LAB_ADDRESS_BYTES];

	lab_node_address(node, address);
	return json_pack("{s:s, s:o, s:i, s:s, s:s, s:o, s:o, s:o, s:i, s:o, s:o, s:o, s:o}", "lab",
			 of->lab.name, "name", json_sprintf("n%u", node), "number", (int)node,
			 "address", address, "state", state_of(of, node), "corosync",
			 pid_or_null(lives->corosync), "dvsd", pid_or_null(lives->dvsd), "proxies",
			 proxies_of(lives), "processes", (int)lives->n, "holder",
			 pid_or_null(of->lab.holders[node]), "hub",
			 pid_or_null(of->lab.holders[LAB_HUB]), "cut_to", rules_of(of, node, true),
			 "slow_to", rules_of(of, node, false));
}

/* A lab that cannot be listed is told about, and the others are listed. */
static bool list_lab(struct cli *cli, const char *name, json_t *rows)
{
	struct listing *of = calloc(1, sizeof(*of));
	bool good;

	if (!of)
		return false;
	good = lab_open(&of->lab, name) && lab_traffic_read(&of->lab, &of->traffic);
	if (good)
		lab_find_processes(&of->lab, &of->processes);
	for (uint32_t i = 0; good && i < of->lab.options.n_nodes; i++)
		good = json_array_append_new(rows, describe_node(of, i)) == 0;
	if (!good && of->lab.holders[LAB_HUB] == 0 && !cli_has(cli, OPTION_NAME)) {
		cli_note(cli,
			 "only files are left of lab '%s'; 'dvs lab down --name %s' removes them",
			 name, name);
		good = true;
	} else if (!good) {
		(void)lab_say_failure(cli, &of->lab);
	}
	free(of);
	return good;
}

/* ---- all labs ---- */

struct names {
	char name[256][LAB_NAME_MAX + 1];
	size_t n;
};

static void take_name(void *arg, pid_t pid, const char *name, const char *role)
{
	struct names *names = arg;

	(void)pid;
	(void)role;
	if (!name[0])
		return;
	for (size_t i = 0; i < names->n; i++) {
		if (strcmp(names->name[i], name) == 0)
			return;
	}
	if (names->n < ARRAY_LEN(names->name) && strlen(name) <= LAB_NAME_MAX)
		memcpy(names->name[names->n++], name, strlen(name) + 1);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(a, b);
}

/* Also those of which only the directory is left, so that they get removed. */
static void take_left(struct names *names)
{
	char base[128];
	AUTO_CLOSEDIR DIR *dir = NULL;
	struct dirent *entry;

	if (lab_base_dir(base, sizeof(base)))
		dir = opendir(base);
	while (dir && (entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] != '.')
			take_name(names, 0, entry->d_name, "");
	}
}

int cmd_lab_ls(struct cli *cli)
{
	struct names *names = calloc(1, sizeof(*names));
	json_t *rows = json_array();
	bool good = true;

	if (!names || !rows) {
		free(names);
		json_decref(rows);
		return cli_fail(cli, DVS_NOMEM, "list the labs");
	}
	if (cli_has(cli, OPTION_NAME)) {
		good = list_lab(cli, cli->values[OPTION_NAME], rows);
	} else {
		lab_each_holder(take_name, names);
		take_left(names);
		qsort(names->name, names->n, sizeof(names->name[0]), compare_names);
		for (size_t i = 0; i < names->n; i++)
			good = list_lab(cli, names->name[i], rows) && good;
	}
	if (!output_rows(&cli->output, &shape, rows))
		good = cli_fail(cli, DVS_NOMEM, "list the labs") == EXIT_DONE;
	json_decref(rows);
	free(names);
	return good ? EXIT_DONE : EXIT_FAILED;
}
