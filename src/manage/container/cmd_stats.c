/* SPDX-License-Identifier: Apache-2.0 */
/* dvs stats: what the containers of all nodes use, against what they may. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "client/calls.h"
#include "manage/container/reach.h"
#include "manage/describe.h"
#include "manage/live.h"
#include "manage/target.h"

#define NO_LIMIT UINT64_MAX
#define CONTAINERS_MAX 16384u

struct figure {
	dvs_nodeid node;
	struct agent_usage usage;
};

struct look {
	struct figure *figures;
	size_t n;
	size_t room;
};

struct stats {
	struct cli *cli;
	const char *dc; /* NULL: all */
	struct reach reach;
	struct look now;
	struct look before;
	uint64_t silent; /* nodes that have been named as such */
};

static const struct output_column columns[] = {
	{ "DC", "dc", false },
	{ "NODE", "node_name", false },
	{ "CPU", "cpu", false },
	{ "OF", "cpu_limit", false },
	{ "THROTTLED", "throttled", true },
	{ "MEMORY", "memory", false },
	{ "OF", "memory_limit_text", false },
	{ "PEAK", "memory_peak_text", true },
	{ "OOM KILLS", "oom_kills", true },
	{ "PIDS", "pids", false },
	{ "OF", "pids_limit", false },
	{ "READ", "io_read", false },
	{ "WRITTEN", "io_written", false },
	{ "PROGRAMS", "programs", false },
	{ "FROZEN", "frozen", true },
};

static const struct output_shape shape = { .list = "containers",
					   .columns = columns,
					   .n_columns = ARRAY_LEN(columns) };

/* ---- figures ---- */

static bool append(struct look *look, dvs_nodeid node, const struct agent_usage *usage)
{
	if (look->n == look->room) {
		size_t room = look->room ? 2 * look->room : 16;
		struct figure *figures = reallocarray(look->figures, room, sizeof(*figures));

		if (!figures)
			return false;
		look->figures = figures;
		look->room = room;
	}
	look->figures[look->n++] = (struct figure){ .node = node, .usage = *usage };
	return true;
}

static dvs_err load_node(struct stats *stats, dvs_nodeid node)
{
	AUTO_FREE struct agent_usage_rep *rep = malloc(sizeof(*rep));
	struct agent_usage_req req = { .dc = "" };
	dvs_err err;

	if (!rep)
		return DVS_NOMEM;
	if (stats->dc)
		snprintf(req.dc, sizeof(req.dc), "%s", stats->dc);
	do {
		err = agent_call_usage(stats->reach.agents, node, &req, rep, REACH_MS);
		if (err != DVS_OK)
			return err;
		for (uint32_t i = 0; i < rep->n_usages; i++) {
			if (strcmp(rep->usages[i].dc, req.after) <= 0 ||
			    stats->now.n == CONTAINERS_MAX)
				return DVS_PROTO;
			memcpy(req.after, rep->usages[i].dc, sizeof(req.after));
			if (!append(&stats->now, node, &rep->usages[i]))
				return DVS_NOMEM;
		}
	} while (rep->n_usages == ARRAY_LEN(rep->usages));
	return DVS_OK;
}

/* A node that does not answer is told of once. */
static int load(void *stats_void)
{
	struct stats *stats = stats_void;
	struct look former = stats->before;

	stats->before = stats->now;
	stats->now = former;
	stats->now.n = 0;
	for (size_t i = 0; i < stats->reach.nodes.n; i++) {
		const struct dvk_node_info *node = &stats->reach.nodes.node[i];
		dvs_err err;

		if (node->state == DVK_NODE_DOWN)
			continue;
		err = load_node(stats, node->node);
		if (err == DVS_OK || err == DVS_NOAGENT || err == DVS_NODC)
			continue;
		if (err == DVS_NOMEM)
			return cli_fail(stats->cli, err, "read the figures");
		if (!(stats->silent & nodes_bit(node->node)))
			reach_fail(stats->cli, stats->reach.agents, err,
				   "read the figures of node %s", node->name);
		stats->silent |= nodes_bit(node->node);
	}
	return EXIT_DONE;
}

static const struct agent_usage *former_of(const struct look *before, const struct figure *figure)
{
	for (size_t i = 0; i < before->n; i++) {
		if (before->figures[i].node.n == figure->node.n &&
		    strcmp(before->figures[i].usage.dc, figure->usage.dc) == 0)
			return &before->figures[i].usage;
	}
	return NULL;
}

/* Thousandths of a CPU between two looks; 0 when the container has been made anew in between. */
static uint64_t cpu_millis(const struct agent_usage *before, const struct agent_usage *now)
{
	if (!before || now->time_ns <= before->time_ns || now->cpu_ns < before->cpu_ns)
		return 0;
	return (now->cpu_ns - before->cpu_ns) * 1000 / (now->time_ns - before->time_ns);
}

/* ---- for people and programs ---- */

static json_t *millis_text(uint64_t millis)
{
	if (millis == NO_LIMIT)
		return json_null();
	return json_sprintf("%llu.%02llu", (unsigned long long)(millis / 1000),
			    (unsigned long long)(millis % 1000 / 10));
}

static json_t *bytes_text(uint64_t bytes)
{
	static const char units[] = " KMGTPE";
	double number = (double)bytes;
	size_t unit = 0;

	if (bytes == NO_LIMIT)
		return json_null();
	for (; number >= 1024 && units[unit + 1]; unit++)
		number /= 1024;
	return unit == 0 ? json_sprintf("%llu", (unsigned long long)bytes) :
			   json_sprintf("%.1f%c", number, units[unit]);
}

static json_t *limit_or_null(uint64_t limit)
{
	return limit == NO_LIMIT ? json_null() : describe_count(limit);
}

static json_t *describe(const struct stats *stats, const struct figure *figure)
{
	const struct agent_usage *usage = &figure->usage;
	const struct agent_usage *before = former_of(&stats->before, figure);
	uint64_t millis = cpu_millis(before, usage);
	char node[DVS_NAME_MAX + 1];
	json_t *texts = json_pack("{s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o}", "cpu",
				  millis_text(millis), "cpu_limit", millis_text(usage->cpu_limit),
				  "throttled", millis_text(usage->throttled_ns / 1000000), "memory",
				  bytes_text(usage->memory_bytes), "memory_limit_text",
				  bytes_text(usage->memory_limit), "memory_peak_text",
				  bytes_text(usage->memory_peak), "io_read",
				  bytes_text(usage->io_read_bytes), "io_written",
				  bytes_text(usage->io_write_bytes));
	json_t *object = json_pack(
		"{s:o, s:s, s:I, s:s, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:o, s:I, "
		"s:b}",
		"name",
		json_sprintf("%s@%s", usage->dc,
			     nodes_name(&stats->reach.nodes, figure->node, node)),
		"dc", usage->dc, "node", (json_int_t)figure->node.n, "node_name", node,
		"cpu_millis", describe_count(millis), "cpu_limit_millis",
		limit_or_null(usage->cpu_limit), "cpu_ns", describe_count(usage->cpu_ns),
		"throttled_ns", describe_count(usage->throttled_ns), "memory_bytes",
		describe_count(usage->memory_bytes), "memory_limit",
		limit_or_null(usage->memory_limit), "memory_peak",
		describe_count(usage->memory_peak), "oom_kills", describe_count(usage->oom_kills),
		"pids", describe_count(usage->pids), "pids_limit", limit_or_null(usage->pids_limit),
		"io_read_bytes", describe_count(usage->io_read_bytes), "io_write_bytes",
		describe_count(usage->io_write_bytes), "programs", (json_int_t)usage->programs,
		"frozen", usage->frozen != 0);

	if (!texts || !object || json_object_update(object, texts) != 0) {
		json_decref(object);
		object = NULL;
	}
	json_decref(texts);
	return object;
}

static int print_to(void *stats_void, const struct output *output)
{
	struct stats *stats = stats_void;
	json_t *rows = json_array();
	bool done = rows != NULL;

	for (size_t i = 0; i < stats->now.n && done; i++)
		done = json_array_append_new(rows, describe(stats, &stats->now.figures[i])) == 0;
	done = done && output_rows(output, &shape, rows);
	json_decref(rows);
	return done ? EXIT_DONE : cli_fail(stats->cli, DVS_NOMEM, "print the figures");
}

int cmd_stats(struct cli *cli)
{
	AUTO_FREE struct stats *stats = calloc(1, sizeof(*stats));
	struct live live = { .cli = cli, .load = load, .print = print_to, .context = stats };
	struct dvk_container_info info;
	int status;

	if (!stats)
		return cli_fail(cli, DVS_NOMEM, "read the figures");
	stats->cli = cli;
	stats->dc = cli->n_words > 0 ? cli->words[0] : NULL;
	if ((stats->dc && !target_check_dc_name(cli, stats->dc)) || !live_options(&live))
		return EXIT_USAGE;
	status = reach_open(cli, &stats->reach);
	if (status == EXIT_DONE && stats->dc)
		status = reach_find_containers(cli, agents_admin(stats->reach.agents), stats->dc,
					       "watch", &info);
	if (status == EXIT_DONE)
		status = live_run(&live);
	free(stats->now.figures);
	free(stats->before.figures);
	reach_close(&stats->reach);
	return status;
}
