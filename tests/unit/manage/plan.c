/* SPDX-License-Identifier: Apache-2.0 */
/* Two files, of which the first one is what the DVS has: what the plan says. */
#include "manage/compose/plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

struct pair {
	struct compose before;
	struct compose after;
	struct plan_now now;
	struct plan plan;
	char lines[4096];
};

static const char *name_of(const void *context, uint32_t node, char *name)
{
	(void)context;
	snprintf(name, DVS_NAME_MAX + 1, "n%u", node);
	return name;
}

static void read_yaml(const char *yaml, struct compose *compose)
{
	char text[COMPOSE_TEXT_MAX];

	ck_assert_msg(compose_read("f", yaml, strlen(yaml), compose, text) == DVS_OK, "%s", text);
}

/* The plan as lines "OP PATH OLD > NEW[ !]". BEFORE NULL: the DC does not exist. */
static const char *plan_lines(struct pair *pair, const char *before, uint64_t nodes_before,
			      const char *after, uint64_t nodes)
{
	size_t used = 0;

	memset(pair, 0, sizeof(*pair));
	if (before) {
		read_yaml(before, &pair->before);
		pair->now = (struct plan_now){ true,
					       true,
					       nodes_before,
					       pair->before.dcs[0].description,
					       pair->before.dcs[0].programs,
					       pair->before.dcs[0].n_programs,
					       pair->before.dcs[0].disks,
					       pair->before.dcs[0].n_disks,
					       pair->before.dcs[0].filesystems,
					       pair->before.dcs[0].n_filesystems };
	}
	read_yaml(after, &pair->after);
	ck_assert(plan_make(&pair->after.dcs[0], &pair->now, nodes, name_of, NULL, &pair->plan));
	for (size_t i = 0; i < pair->plan.n_changes; i++) {
		const struct plan_change *change = &pair->plan.changes[i];

		used += (size_t)snprintf(pair->lines + used, sizeof(pair->lines) - used,
					 "%c %s %s > %s%s\n", (char)change->op, change->path,
					 change->old ? change->old : "",
					 change->new ? change->new : "", change->anew ? " !" : "");
	}
	return pair->lines;
}

static void end(struct pair *pair)
{
	plan_free(&pair->plan);
	if (pair->now.exists)
		compose_free(&pair->before);
	compose_free(&pair->after);
}

static const char *const web =
	"name: web\n"
	"memory: 256M\n"
	"env: { A: 1, B: 2 }\n"
	"programs:\n"
	"  http: { command: httpd -v, replicas: 2, health: { command: 'true' } }\n"
	"  cron: { command: cron }\n"
	"servers: { rs: { endpoint: 5, program: /sbin/rs } }\n";

TEST(the_same_file_is_no_change)
{
	struct pair pair;

	ck_assert_str_eq(plan_lines(&pair, web, 3, web, 3), "");
	ck_assert(!pair.plan.create && !pair.plan.description && pair.plan.anew[0] == '\0');
	end(&pair);
	ck_assert_str_eq(plan_lines(&pair, "name: a\ncpus: 1\n", 3, "name: a\ncpus: 1.0\n", 3), "");
	end(&pair);
}

TEST(a_dc_that_is_not_there_is_created_with_all)
{
	struct pair pair;

	ck_assert_str_eq(
		plan_lines(&pair, NULL, 0, web, 5),
		"+ nodes  > n0\n+ nodes  > n2\n+ env  > {\"A\":\"1\",\"B\":\"2\"}\n+ memory  > 256M\n"
		"+ root  > host\n"
		"+ programs.http  > {\"command\":[\"httpd\",\"-v\"],\"health\":{\"command\":[\"true\"]},"
		"\"replicas\":2}\n+ programs.cron  > {\"command\":[\"cron\"]}\n"
		"+ servers.rs  > {\"command\":[\"/sbin/rs\"],\"server\":{\"endpoint\":5}}\n");
	ck_assert(pair.plan.create && pair.plan.anew[0] == '\0');
	ck_assert_uint_eq(pair.plan.add, 5);
	end(&pair);
}

TEST(each_field_that_differs_is_a_line_with_the_units_of_the_file)
{
	struct pair pair;

	ck_assert_str_eq(
		plan_lines(
			&pair, web, 3,
			"name: web\n"
			"memory: 1G\n"
			"pids: 100\n"
			"env: { A: 1, C: 2, B: 3 }\n"
			"programs:\n"
			"  http: { command: httpd, replicas: 2, health: { command: 'true', interval: 5s } }\n"
			"  new: { command: a }\n"
			"servers: { rs: { endpoint: 6, program: /sbin/rs } }\n",
			6),
		"- nodes n0 > \n+ nodes  > n2\n"
		"~ env.B \"2\" > \"3\"\n+ env.C  > \"2\"\n~ memory 256M > 1G\n+ pids  > 100\n"
		"~ programs.http.command [\"httpd\",\"-v\"] > [\"httpd\"]\n"
		"+ programs.http.health.interval  > 5s\n"
		"+ programs.new  > {\"command\":[\"a\"]}\n"
		"~ servers.rs.endpoint 5 > 6\n"
		"- programs.cron {\"command\":[\"cron\"]} > \n");
	ck_assert_str_eq(pair.plan.anew, "");
	ck_assert_uint_eq(pair.plan.add, 4);
	ck_assert_uint_eq(pair.plan.remove, 1);
	end(&pair);
}

TEST(what_needs_new_containers_is_marked)
{
	struct pair pair;

	ck_assert_str_eq(
		plan_lines(
			&pair, web, 3,
			"name: web\n"
			"hostname: w\n"
			"root: /srv\n"
			"memory: 1G\n"
			"env: { A: 1, B: 2 }\n"
			"programs:\n"
			"  http: { command: httpd -v, replicas: 2, health: { command: 'true' } }\n"
			"  cron: { command: cron }\n"
			"servers: { rs: { endpoint: 5, program: /sbin/rs } }\n",
			3),
		"+ hostname  > \"w\" !\n~ memory 256M > 1G\n~ root host > /srv !\n");
	ck_assert_msg(strncmp(pair.plan.anew, "hostname: ", 10) == 0, "%s", pair.plan.anew);
	end(&pair);
	ck_assert_str_eq(plan_lines(&pair, "name: web\n", 0, "name: web\nhostname: w\n", 1),
			 "+ nodes  > n0\n+ hostname  > \"w\"\n");
	end(&pair);
}

/* What a volume has that the file does not name stays, and volumes that are not in the file do, too. */
TEST(of_volumes_only_what_the_file_names_is_compared)
{
	struct pair pair;
	const char *const before =
		"name: web\n"
		"disks:\n"
		"  data: { size: 1G, nodes: [n0, n1], async: true, lag: 8M, access: dc,\n"
		"          places: { n0: /srv/a } }\n"
		"  old: { size: 1M }\n";

	ck_assert_str_eq(plan_lines(&pair, before, 1, "name: web\n", 1), "");
	end(&pair);
	ck_assert_str_eq(plan_lines(&pair, before, 1,
				    "name: web\n"
				    "disks: { data: { size: 1024M, nodes: [n1, n0] } }\n",
				    1),
			 "");
	end(&pair);
	ck_assert_str_eq(
		plan_lines(
			&pair, before, 1,
			"name: web\n"
			"disks:\n"
			"  data: { size: 2G, nodes: [n1, n2], async: false, places: { n2: /b } }\n"
			"  new: { size: 4K }\n",
			1),
		"~ disks.data.async true > false\n~ disks.data.size 1G > 2G\n"
		"~ disks.data.nodes [\"n0\",\"n1\"] > [\"n1\",\"n2\"]\n"
		"+ disks.new  > {\"bytes\":4096}\n");
	ck_assert(!pair.plan.description && pair.plan.anew[0] == '\0');
	end(&pair);
}

/* The same of file systems. */
TEST(of_file_systems_only_what_the_file_names_is_compared)
{
	struct pair pair;
	const char *const before = "name: web\nfilesystems:\n"
				   "  site: { disk: d, nodes: [n0, n1], quota: 1G, access: dc }\n"
				   "  old: { size: 1G }\n";

	ck_assert_str_eq(plan_lines(&pair, before, 1,
				    "name: web\n"
				    "filesystems: { site: { disk: d, nodes: [n1, n0] } }\n",
				    1),
			 "");
	end(&pair);
	ck_assert_str_eq(plan_lines(&pair, before, 1,
				    "name: web\n"
				    "filesystems:\n"
				    "  site: { disk: d, nodes: [n0], quota: 2G }\n"
				    "  new: { size: 16M }\n",
				    1),
			 "~ filesystems.site.nodes [\"n0\",\"n1\"] > [\"n0\"]\n"
			 "~ filesystems.site.quota 1G > 2G\n"
			 "+ filesystems.new  > {\"bytes\":16777216,\"store\":\"file\"}\n");
	ck_assert(!pair.plan.description && pair.plan.anew[0] == '\0');
	end(&pair);
}

UNIT_MAIN("manage-plan", of_volumes_only_what_the_file_names_is_compared,
	  of_file_systems_only_what_the_file_names_is_compared, the_same_file_is_no_change,
	  a_dc_that_is_not_there_is_created_with_all,
	  each_field_that_differs_is_a_line_with_the_units_of_the_file,
	  what_needs_new_containers_is_marked)
