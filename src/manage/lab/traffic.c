/* SPDX-License-Identifier: Apache-2.0 */
/* What happens to the frames from one node to another. Each port of the bridge sends to one
 * node; frames are told apart there by the address of the node that they came from. So a rule
 * concerns one pair in one direction, whatever the frames carry, and nothing that the nodes
 * can see of their network changes: as if a switch in between lost them.
 *
 * The qdisc of a port is there while the port has rules. A class of it is the sender's number
 * + 1. Rules come and go one by one, for another pair must not be whole for an instant. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "manage/lab/lab.h"
#include "manage/lab/traffic.h"

/* More than a veth pair carries. */
#define FAST_KBIT 100000000u

/* ---- the file ---- */

static bool read_rule(FILE *file, uint32_t *from, uint32_t *to, struct lab_rule *rule)
{
	uint32_t numbers[5];
	char line[80];
	char *at = line;

	if (!fgets(line, sizeof(line), file))
		return false;
	for (size_t i = 0; i < ARRAY_LEN(numbers); i++)
		numbers[i] = (uint32_t)strtoul(at, &at, 10);
	*from = numbers[0];
	*to = numbers[1];
	*rule = (struct lab_rule){ .cut = numbers[2] != 0,
				   .rate_kbit = numbers[3],
				   .delay_us = numbers[4] };
	return *from < LAB_NODES_MAX && *to < LAB_NODES_MAX;
}

bool lab_traffic_read(struct lab *lab, struct lab_traffic *traffic)
{
	char path[300];
	uint32_t from;
	uint32_t to;
	struct lab_rule rule;
	AUTO_FCLOSE FILE *file = NULL;

	memset(traffic, 0, sizeof(*traffic));
	(void)snprintf(path, sizeof(path), "%s/traffic", lab->dir);
	file = fopen(path, "re");
	if (!file && errno == ENOENT)
		return true;
	while (file && read_rule(file, &from, &to, &rule))
		traffic->rules[from][to] = rule;
	if (file && feof(file))
		return true;
	return lab_fail(lab, "read %s: it is damaged; 'dvs lab down' removes the lab", path);
}

static bool write_traffic(struct lab *lab, const struct lab_traffic *traffic)
{
	char path[300];
	char next[310];
	FILE *file;
	bool good;

	(void)snprintf(path, sizeof(path), "%s/traffic", lab->dir);
	(void)snprintf(next, sizeof(next), "%s.new", path);
	file = fopen(next, "we");
	if (!file)
		return lab_fail(lab, "write %s: %s", next, strerror(errno));
	for (uint32_t from = 0; from < LAB_NODES_MAX; from++) {
		for (uint32_t to = 0; to < LAB_NODES_MAX; to++) {
			const struct lab_rule *rule = &traffic->rules[from][to];

			if (lab_rule_is_set(rule))
				fprintf(file, "%u %u %u %u %u\n", from, to, rule->cut,
					rule->rate_kbit, rule->delay_us);
		}
	}
	good = !ferror(file);
	if (fclose(file) == 0 && good && rename(next, path) == 0)
		return true;
	return lab_fail(lab, "write %s: %s", path, strerror(errno));
}

/* ---- the rules ---- */

static bool port_has_rules(const struct lab_traffic *traffic, uint32_t to)
{
	for (uint32_t from = 0; from < LAB_NODES_MAX; from++) {
		if (lab_rule_is_set(&traffic->rules[from][to]))
			return true;
	}
	return false;
}

static bool rules_are_equal(const struct lab_rule *a, const struct lab_rule *b)
{
	return a->cut == b->cut && a->rate_kbit == b->rate_kbit && a->delay_us == b->delay_us;
}

static void put_rule(FILE *out, uint32_t from, uint32_t to, const struct lab_rule *rule)
{
	uint32_t class = from + 1;
	uint32_t rate_kbit = rule->rate_kbit && !rule->cut ? rule->rate_kbit : FAST_KBIT;

	fprintf(out, "class add dev p%u parent 1: classid 1:%x htb rate %ukbit quantum 1514\n", to,
		class, rate_kbit);
	if (rule->cut)
		fprintf(out, "qdisc add dev p%u parent 1:%x handle %x: blackhole\n", to, class,
			class + 1);
	else if (rule->delay_us)
		fprintf(out,
			"qdisc add dev p%u parent 1:%x handle %x: netem delay %uus limit "
			"10000\n",
			to, class, class + 1, rule->delay_us);
	fprintf(out,
		"filter add dev p%u parent 1: protocol all prio %u u32 "
		"match ether src 02:d5:00:00:00:%02x flowid 1:%x\n",
		to, class, from + 1, class);
}

static void put_change(FILE *out, const struct lab_traffic *was, const struct lab_traffic *is,
		       uint32_t from, uint32_t to)
{
	const struct lab_rule *old = &was->rules[from][to];
	const struct lab_rule *new = &is->rules[from][to];

	if (rules_are_equal(old, new))
		return;
	if (lab_rule_is_set(old))
		fprintf(out,
			"filter del dev p%u parent 1: protocol all prio %u\n"
			"class del dev p%u classid 1:%x\n",
			to, from + 1, to, from + 1);
	if (lab_rule_is_set(new))
		put_rule(out, from, to, new);
}

static void put_port(FILE *out, const struct lab_traffic *was, const struct lab_traffic *is,
		     uint32_t to)
{
	bool had = port_has_rules(was, to);
	bool has = port_has_rules(is, to);

	if (had && !has) {
		fprintf(out, "qdisc del dev p%u root\n", to);
		return;
	}
	if (!had && has)
		fprintf(out, "qdisc add dev p%u root handle 1: htb\n", to);
	for (uint32_t from = 0; from < LAB_NODES_MAX; from++)
		put_change(out, was, is, from, to);
}

/* What leads from WAS to IS, through the ports of the hub. */
static bool apply(struct lab *lab, const struct lab_traffic *was, const struct lab_traffic *is)
{
	char *text = NULL;
	size_t text_bytes;
	FILE *out = open_memstream(&text, &text_bytes);
	bool done;

	if (!out)
		return lab_fail(lab, "change the network: out of memory");
	for (uint32_t to = 0; to < lab->options.n_nodes; to++)
		put_port(out, was, is, to);
	done = fclose(out) == 0 && lab_run_batch(lab, lab->holders[LAB_HUB], "tc", text);
	free(text);
	return done;
}

/* From nothing, whatever is there now. */
static bool apply_anew(struct lab *lab, const struct lab_traffic *is)
{
	struct lab_traffic *none = calloc(1, sizeof(*none));
	bool done;

	if (!none)
		return lab_fail(lab, "change the network: out of memory");
	for (uint32_t to = 0; to < lab->options.n_nodes; to++) {
		struct lab quiet = *lab;
		char text[64];

		(void)snprintf(text, sizeof(text), "qdisc del dev p%u root\n", to);
		/* It fails where there is none. */
		if (!lab_run_batch(&quiet, lab->holders[LAB_HUB], "tc", text))
			continue;
	}
	done = apply(lab, none, is);
	free(none);
	return done;
}

bool lab_traffic_change(struct lab *lab, const struct lab_traffic *was,
			const struct lab_traffic *is)
{
	struct lab first = *lab;
	struct lab undo = *lab;

	/* If somebody died between a change and its record, the record is wrong: start anew. */
	if (apply(&first, was, is) || apply_anew(lab, is))
		return write_traffic(lab, is);
	if (strstr(lab->error, "qdisc kind is unknown")) {
		lab->error[0] = '\0';
		(void)lab_fail(lab, "this kernel cannot delay: it has no netem "
				    "(CONFIG_NET_SCH_NETEM); leave out --delay, --rate works");
	}
	return apply_anew(&undo, was) && false;
}
