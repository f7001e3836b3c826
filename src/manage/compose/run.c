/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/compose/run.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/nearest.h"
#include "container/program.h"
#include "manage/container/dc.h"

/* A DC that is being created or removed is looked at again and again, so long. */
#define LOOK_NS (50 * CLOCK_NS_PER_MS)
#define SETTLED_NS (30 * CLOCK_NS_PER_S)
/* And so long one that has programs of the nodes in it which are about to end. */
#define LEFT_NS (20 * CLOCK_NS_PER_S)

/* ---- the file ---- */

static int load(struct cli *cli, const char *path, char *bytes, size_t *len)
{
	bool is_stdin = strcmp(path, "-") == 0;
	FILE *file = is_stdin ? stdin : fopen(path, "re");
	int failed = 0;

	if (!file)
		return cli_fail_errno(cli, errno,
				      "name the file that says what is wanted, see dvs.yaml(5)",
				      "read %s", path);
	*len = fread(bytes, 1, COMPOSE_FILE_MAX + 1, file);
	if (ferror(file))
		failed = errno;
	if (!is_stdin)
		fclose(file);
	if (failed)
		return cli_fail_errno(cli, failed, "see whether it is a file", "read %s", path);
	if (*len > COMPOSE_FILE_MAX)
		return cli_fail_hint(cli, DVS_TOOBIG, "a dvs.yaml has 1 MiB at most", "read %s",
				     path);
	return EXIT_DONE;
}

int run_read(struct cli *cli, const char *path, struct compose *compose)
{
	AUTO_FREE char *bytes = malloc(COMPOSE_FILE_MAX + 1);
	char text[COMPOSE_TEXT_MAX] = "";
	size_t len = 0;
	dvs_err err;
	int status;

	*compose = (struct compose){ .path = NULL };
	if (!bytes)
		return cli_fail(cli, DVS_NOMEM, "read %s", path);
	status = load(cli, path, bytes, &len);
	if (status != EXIT_DONE)
		return status;
	err = compose_read(path, bytes, len, compose, text);
	if (err == DVS_OK)
		return EXIT_DONE;
	if (err != DVS_BADARG)
		return cli_fail(cli, err, "read %s", path);
	cli_note(cli, "%s", text);
	return EXIT_FAILED;
}

int run_fail(const struct run *run, const struct compose_dc *dc, const char *prefix,
	     const char *node, const char *why)
{
	const char *colon = strstr(why, ": ");
	size_t len = colon ? (size_t)(colon - why) + 2 : 0;
	char sentence[COMPOSE_TEXT_MAX];
	char text[COMPOSE_TEXT_MAX];

	if (memchr(why, ' ', len > 0 ? len - 1 : 0))
		len = 0;
	if (node)
		(void)snprintf(sentence, sizeof(sentence), "%.*snode %s: %s", (int)len, why, node,
			       why + len);
	else
		(void)snprintf(sentence, sizeof(sentence), "%s", why);
	compose_locate(&run->compose, dc, prefix, sentence, text);
	cli_note(run->cli, "%s", text);
	return EXIT_FAILED;
}

/* ---- what the DVS has ---- */

void run_free_now(struct plan_now *now)
{
	json_decref(now->description);
	for (size_t i = 0; i < now->n_programs; i++)
		json_decref(now->programs[i].json);
	for (size_t i = 0; i < now->n_disks; i++)
		json_decref(now->disks[i].json);
	free(now->programs);
	for (size_t i = 0; i < now->n_filesystems; i++)
		json_decref(now->filesystems[i].json);
	free(now->disks);
	free(now->filesystems);
	*now = (struct plan_now){ 0 };
}

/* What is no JSON differs from all that can be wanted. */
static bool add_program(struct plan_now *now, const char *name, const void *value, size_t len)
{
	struct compose_program *programs =
		reallocarray(now->programs, now->n_programs + 1, sizeof(*programs));
	json_t *json = json_loadb(value, len, 0, NULL);

	if (!programs) {
		json_decref(json);
		return false;
	}
	now->programs = programs;
	programs += now->n_programs++;
	(void)snprintf(programs->name, sizeof(programs->name), "%s", name);
	programs->json = json ? json : json_null();
	return true;
}

static int look_for_programs(struct cli *cli, struct dvk *admin, const char *name,
			     struct plan_now *now)
{
	char key[DVS_NAME_MAX + 1] = RUN_PROGRAM_PREFIX;
	AUTO_FREE char *value = malloc(DVK_VALUE_MAX);
	size_t prefix = strlen(RUN_PROGRAM_PREFIX);
	size_t len = 0;
	dvs_err err = value ? DVS_OK : DVS_NOMEM;

	while (err == DVS_OK) {
		uint64_t version;

		err = dvk_record_next(admin, name, key, value, &len, &version);
		if (err != DVS_OK || strncmp(key, RUN_PROGRAM_PREFIX, prefix) != 0)
			break;
		if (!add_program(now, key + prefix, value, len))
			err = DVS_NOMEM;
	}
	return err == DVS_OK || err == DVS_NOTFOUND ?
		       EXIT_DONE :
		       cli_fail(cli, err, "read the programs of dc %s", name);
}

int run_look(struct cli *cli, struct dvk *admin, const char *name, struct dvk_container_info *info,
	     struct plan_now *now, uint64_t *version)
{
	dvs_err err = reach_look(admin, name, info);
	int status;

	*now = (struct plan_now){ 0 };
	if (err == DVS_NODC)
		return EXIT_DONE;
	if (err != DVS_OK)
		return cli_fail(cli, err, "find dc %s", name);
	now->exists = true;
	now->has_containers = info->phase != DVK_NO_CONTAINERS;
	if (!now->has_containers)
		return EXIT_DONE;
	for (uint32_t i = 0; i < info->n_nodes; i++) {
		if (info->nodes[i].state != DVK_LEAVING)
			now->nodes |= nodes_bit(info->nodes[i].node);
	}
	status = dc_load(cli, admin, name, &now->description, version);
	return status == EXIT_DONE ? look_for_programs(cli, admin, name, now) : status;
}

/* What another command has begun is over soon, also if that was killed: only then is it known what there is. */
static dvs_err wait_settled(const struct run *run, const struct run_dc *of)
{
	uint64_t deadline_ns = clock_deadline_ns(SETTLED_NS);
	const struct timespec pause = clock_timespec(LOOK_NS);
	AUTO_FREE struct dvk_container_info *info = malloc(sizeof(*info));
	dvs_err err = info ? DVS_OK : DVS_NOMEM;

	while (err == DVS_OK) {
		err = reach_look(run->admin, of->dc->name, info);
		if (err != DVS_OK || info->phase == DVK_RUNS || info->phase == DVK_NO_CONTAINERS ||
		    clock_is_past(deadline_ns))
			break;
		(void)nanosleep(&pause, NULL);
	}
	return err;
}

/* One that can be compared with the file. */
static int check_phase(const struct run *run, const struct run_dc *of)
{
	char why[256];

	if (!of->now.exists || of->info.phase == DVK_RUNS)
		return EXIT_DONE;
	if (!of->now.has_containers)
		(void)snprintf(
			why, sizeof(why),
			"name: there is a DC of that name without containers; choose another "
			"name, or remove it with 'dvs dc rm %s'",
			of->dc->name);
	else
		(void)snprintf(why, sizeof(why),
			       "name: the DC of that name is in phase '%s'; try again when that is "
			       "over ('dvs dc inspect %s' tells how far it is)",
			       reach_phase(of->info.phase), of->dc->name);
	return run_fail(run, of->dc, "", NULL, why);
}

dvs_err run_remove(struct dvk *admin, const char *dc, bool had_volumes, uint32_t timeout_ms)
{
	uint64_t deadline_ns = clock_deadline_ns(LEFT_NS);
	const struct timespec pause = clock_timespec(LOOK_NS);
	dvs_err err;

	while ((err = dvk_container_remove(admin, dc, 0, timeout_ms)) == DVS_BADSTATE) {
		if (!had_volumes || clock_is_past(deadline_ns))
			break;
		(void)nanosleep(&pause, NULL);
	}
	return err;
}

/* ---- nodes ---- */

int run_fail_no_node(const struct run *run, const struct compose_dc *dc, const char *prefix,
		     size_t index, const char *word)
{
	const char *names[DVS_NODES_MAX];
	const char *nearest;
	char why[256];

	for (size_t i = 0; i < run->reach.nodes.n; i++)
		names[i] = run->reach.nodes.node[i].name;
	nearest = nearest_word(word, names, run->reach.nodes.n);
	if (nearest)
		(void)snprintf(why, sizeof(why),
			       "nodes[%zu]: there is no node '%.64s'; did you mean '%s'?", index,
			       word, nearest);
	else
		(void)snprintf(why, sizeof(why),
			       "nodes[%zu]: there is no node '%.64s'; 'dvs node ls' lists them",
			       index, word);
	return run_fail(run, dc, prefix, NULL, why);
}

/* The nodes of LIST as bits; those that are to be new must be up. */
static int choose(const struct run *run, const struct run_dc *of, uint64_t *chosen)
{
	for (size_t i = 0; i < json_array_size(of->dc->nodes); i++) {
		const char *word = json_string_value(json_array_get(of->dc->nodes, i));
		const struct dvk_node_info *node = nodes_find(&run->reach.nodes, word);
		char why[256];

		if (!node)
			return run_fail_no_node(run, of->dc, "", i, word);
		if (*chosen & nodes_bit(node->node)) {
			(void)snprintf(why, sizeof(why), "nodes[%zu]: node %s stands here twice", i,
				       node->name);
			return run_fail(run, of->dc, "", NULL, why);
		}
		if (node->state != DVK_NODE_UP && !(of->now.nodes & nodes_bit(node->node))) {
			(void)snprintf(why, sizeof(why),
				       "nodes[%zu]: node %s is down; start it, or leave it out", i,
				       node->name);
			return run_fail(run, of->dc, "", NULL, why);
		}
		*chosen |= nodes_bit(node->node);
	}
	return EXIT_DONE;
}

/* Without a list: all that can take it, and all where it is already. */
static int choose_nodes(const struct run *run, const struct run_dc *of, uint64_t *chosen)
{
	uint64_t known = 0;

	*chosen = 0;
	if (of->dc->nodes)
		return choose(run, of, chosen);
	for (size_t i = 0; i < run->reach.nodes.n; i++)
		known |= nodes_bit(run->reach.nodes.node[i].node);
	*chosen = nodes_ready(&run->reach.nodes) | (of->now.nodes & known);
	if (*chosen == 0)
		return run_fail(run, of->dc, "", NULL,
				"nodes: no node is up and takes part; 'dvs node ls' lists them");
	return EXIT_DONE;
}

/* A program that no node of the DC may have would never run. */
static int check_placement(const struct run *run, const struct run_dc *of, uint64_t chosen)
{
	for (size_t i = 0; i < of->dc->n_programs; i++) {
		const struct compose_program *program = &of->dc->programs[i];
		const json_t *nodes = json_object_get(program->json, "nodes");
		char prefix[COMPOSE_PATH_MAX];
		bool has_one = !nodes;

		(void)snprintf(prefix, sizeof(prefix), RUN_PROGRAM_PREFIX "%s:", program->name);
		for (size_t k = 0; k < json_array_size(nodes); k++) {
			const char *word = json_string_value(json_array_get(nodes, k));
			const struct dvk_node_info *node = nodes_find(&run->reach.nodes, word);

			if (!node)
				return run_fail_no_node(run, of->dc, prefix, k, word);
			has_one = has_one || (chosen & nodes_bit(node->node));
		}
		if (!has_one)
			return run_fail(run, of->dc, prefix, NULL,
					"nodes: none of these is a node of the DC");
	}
	return EXIT_DONE;
}

/* ---- images ---- */

/* Nodes mean one tree by an image's name: its digest. What the file has is asked of the nodes; if none has the image any more, what the DC was
 * made from stays. */
static int resolve_image(const struct run *run, struct run_dc *of)
{
	json_t *root = json_object_get(of->dc->description, "root");
	json_t *root_now = json_object_get(of->now.description, "root");
	json_t *name = json_object_get(root, "name");
	AUTO_FREE char *said = NULL;
	size_t len = 0;
	FILE *stream;
	struct cli quiet = *run->cli;
	char why[COMPOSE_TEXT_MAX];
	int status;

	if (!name || json_object_get(root, "digest"))
		return EXIT_DONE;
	stream = open_memstream(&said, &len);
	if (!stream)
		return cli_fail(run->cli, DVS_NOMEM, "find the image");
	quiet.err = stream;
	status =
		dc_resolve_image(&quiet, run->reach.agents, &run->reach.nodes, of->dc->description);
	fclose(stream);
	if (status == EXIT_DONE)
		return EXIT_DONE;
	if (root_now && json_equal(json_object_get(root_now, "name"), name))
		return json_object_set(root, "digest", json_object_get(root_now, "digest")) == 0 ?
			       EXIT_DONE :
			       cli_fail(run->cli, DVS_NOMEM, "find the image");
	if (said && len > 0 && said[len - 1] == '\n')
		said[len - 1] = '\0';
	(void)snprintf(why, sizeof(why), "root: %s",
		       said && strncmp(said, "dvs: ", 5) == 0 ? said + 5 :
		       said				      ? said :
								"?");
	return run_fail(run, of->dc, "", NULL, why);
}

/* ---- the whole ---- */

static const char *name_of(const void *nodes, uint32_t node, char *name)
{
	return nodes_name(nodes, (dvs_nodeid){ node }, name);
}

static int plan_one(struct run *run, struct run_dc *of)
{
	uint64_t chosen = 0;
	dvs_err err = wait_settled(run, of);
	int status;

	if (err != DVS_OK && err != DVS_NODC)
		return cli_fail(run->cli, err, "find dc %s", of->dc->name);
	status = run_look(run->cli, run->admin, of->dc->name, &of->info, &of->now, &of->version);
	if (status == EXIT_DONE)
		status = check_phase(run, of);
	if (status == EXIT_DONE)
		status = choose_nodes(run, of, &chosen);
	if (status == EXIT_DONE)
		status = check_placement(run, of, chosen);
	if (status == EXIT_DONE)
		status = resolve_image(run, of);
	if (status == EXIT_DONE)
		status = run_look_disks(run, of);
	if (status == EXIT_DONE)
		status = run_look_filesystems(run, of);
	if (status != EXIT_DONE)
		return status;
	if (!plan_make(of->dc, &of->now, chosen, name_of, &run->reach.nodes, &of->plan))
		return cli_fail(run->cli, DVS_NOMEM, "compare dc %s", of->dc->name);
	return EXIT_DONE;
}

int run_open(struct cli *cli, const char *path, struct run *run)
{
	int status;

	*run = (struct run){ .cli = cli };
	status = run_read(cli, path, &run->compose);
	if (status == EXIT_DONE)
		status = run_enter(run);
	if (status != EXIT_DONE)
		return status;
	run->dcs = calloc(run->compose.n_dcs, sizeof(*run->dcs));
	if (!run->dcs)
		return cli_fail(cli, DVS_NOMEM, "read %s", path);
	for (size_t i = 0; i < run->compose.n_dcs && status == EXIT_DONE; i++) {
		run->dcs[i].dc = &run->compose.dcs[i];
		status = plan_one(run, &run->dcs[i]);
	}
	return status;
}

void run_leave(struct run *run)
{
	reach_close(&run->reach);
	run->admin = NULL;
}

int run_enter(struct run *run)
{
	int status = reach_open(run->cli, &run->reach);

	if (status == EXIT_DONE)
		run->admin = agents_admin(run->reach.agents);
	return status;
}

void run_close(struct run *run)
{
	for (size_t i = 0; run->dcs && i < run->compose.n_dcs; i++) {
		plan_free(&run->dcs[i].plan);
		run_free_now(&run->dcs[i].now);
	}
	free(run->dcs);
	compose_free(&run->compose);
	reach_close(&run->reach);
}

size_t run_count(const struct run *run)
{
	size_t n = 0;

	for (size_t i = 0; i < run->compose.n_dcs; i++)
		n += run->dcs[i].plan.n_changes;
	return n;
}
