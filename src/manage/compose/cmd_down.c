/* SPDX-License-Identifier: Apache-2.0 */
/* dvs down: end the programs of a DC, the last one first, then remove it. A DC that has volumes stays as their home, without containers, unless --volumes was given. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "container/program.h"
#include "manage/compose/down_volumes.h"
#include "manage/compose/run.h"
#include "manage/container/settle.h"
#include "manage/target.h"

#define TIMEOUT_MS_DEFAULT 60000u
#define TIMEOUT_MS_MAX 86400000u

struct down {
	struct cli *cli;
	struct reach reach;
	struct dvk *admin;
	const char *dc;
	uint32_t timeout_ms;
	uint64_t nodes; /* to be taken off */
	bool must_exist;
	bool had_volumes; /* they have just been removed */
};

/* A path, or the name of a file (not a directory) that is there; else it is the name of a DC. */
static bool is_file(const char *word)
{
	struct stat status;

	return strcmp(word, "-") == 0 || strchr(word, '/') ||
	       (stat(word, &status) == 0 && !S_ISDIR(status.st_mode));
}

static int enter(struct down *down)
{
	int status = reach_open(down->cli, &down->reach);

	down->admin = status == EXIT_DONE ? agents_admin(down->reach.agents) : NULL;
	return status;
}

/* ---- one DC ---- */

static int stop_program(struct down *down, const char *name, uint64_t deadline_ns)
{
	char key[DVS_NAME_MAX + 1];
	bool gone = false;
	dvs_err err;
	int status;

	(void)snprintf(key, sizeof(key), RUN_PROGRAM_PREFIX "%s", name);
	err = dvk_record_remove(down->admin, down->dc, key);
	if (err == DVS_NOTFOUND)
		return EXIT_DONE;
	if (err != DVS_OK)
		return cli_fail(down->cli, err, "end program %s of dc %s", name, down->dc);
	status = run_wait_gone(down->cli, &down->reach, down->dc, name, deadline_ns, &gone);
	if (status == EXIT_DONE && !gone)
		cli_note(
			down->cli,
			"dc %s: program %s has not ended in time; it is killed with the containers",
			down->dc, name);
	return status;
}

/* Those of the file in its order, backwards; before them those that it does not have. */
static int stop_programs(struct down *down, const struct compose_dc *dc, struct plan_now *now)
{
	uint64_t deadline_ns = clock_deadline_ns(down->timeout_ms * CLOCK_NS_PER_MS);
	int status = EXIT_DONE;

	for (size_t i = now->n_programs; i-- > 0 && status == EXIT_DONE;) {
		bool later = false;

		for (size_t k = 0; dc && k < dc->n_programs && !later; k++)
			later = strcmp(dc->programs[k].name, now->programs[i].name) == 0;
		if (!later)
			status = stop_program(down, now->programs[i].name, deadline_ns);
	}
	for (size_t i = dc ? dc->n_programs : 0; i-- > 0 && status == EXIT_DONE;)
		status = stop_program(down, dc->programs[i].name, deadline_ns);
	return status;
}

/* All of its nodes. */
static dvs_err call_nodes(void *down_void)
{
	struct down *down = down_void;
	struct dvk_refusal refusal;

	return dvk_container_nodes(down->admin, down->dc, 0, down->nodes, down->timeout_ms,
				   &refusal);
}

static dvs_err call_remove(void *down_void)
{
	struct down *down = down_void;

	return run_remove(down->admin, down->dc, down->had_volumes, down->timeout_ms);
}

static int settle(struct down *down, dvs_err (*call)(void *down))
{
	char what[DVS_NAME_MAX + 32];
	struct settle settle = { .cli = down->cli,
				 .admin = down->admin,
				 .agents = down->reach.agents,
				 .nodes = &down->reach.nodes,
				 .dc = down->dc,
				 .what = what,
				 .call = call,
				 .context = down };
	dvs_err err;

	(void)snprintf(what, sizeof(what), "remove %sdc %s",
		       call == call_nodes ? "the containers of " : "", down->dc);
	err = settle_call(&settle);
	if (err == DVS_OK || err == DVS_NODC)
		return EXIT_DONE;
	if (err == DVS_TIMEOUT)
		return cli_fail_hint(down->cli, err,
				     "it goes on: see how far it is with 'dvs dc inspect'", "%s",
				     what);
	if (err == DVS_BADSTATE && call == call_remove)
		return cli_fail_hint(
			down->cli, err,
			"programs of the nodes are bound in it ('dvs ep ls' lists them): "
			"end them, or use 'dvs dc rm --force'",
			"%s", what);
	return cli_fail(down->cli, err, "%s", what);
}

/* RUN about the volumes of the DC: outside of the agents' DC, a process is in one at a time. */
static int with_volumes(struct down *down, int (*run)(struct cli *cli, const char *dc))
{
	int status;

	reach_close(&down->reach);
	status = run(down->cli, down->dc);
	if (status == EXIT_DONE)
		status = enter(down);
	return status;
}

/* With its volumes, or as far as they let it. */
static int remove_dc(struct down *down, const struct plan_now *now)
{
	int status = run_has_volumes(down->cli, down->admin, down->dc, &down->had_volumes);

	/* The containers first, and the gateways in them: their servers are still there, and do not keep the DC. */
	down->nodes = now->nodes;
	if (status == EXIT_DONE && down->had_volumes && now->nodes)
		status = settle(down, call_nodes);
	if (status == EXIT_DONE && down->had_volumes && !cli_has(down->cli, OPTION_VOLUMES)) {
		fprintf(down->cli->output.file,
			"dc %s: removed but for its volumes and file systems; 'dvs down "
			"--volumes' removes them, too\n",
			down->dc);
		return status;
	}
	if (status == EXIT_DONE && down->had_volumes)
		status = with_volumes(down, down_volumes);
	if (status == EXIT_DONE)
		status = settle(down, call_remove);
	if (status == EXIT_DONE)
		fprintf(down->cli->output.file, "dc %s: removed\n", down->dc);
	return status;
}

/* DC: of the file; NULL: only its name is known. */
static int down_one(struct down *down, const char *name, const struct compose_dc *dc)
{
	struct dvk_container_info info;
	struct plan_now now;
	uint64_t version;
	int status;

	down->dc = name;
	status = run_look(down->cli, down->admin, name, &info, &now, &version);
	if (status == EXIT_DONE && !now.exists && down->must_exist)
		status = reach_find_dc(down->cli, down->admin, name, "remove", &info);
	if (status == EXIT_DONE && !now.exists) {
		fprintf(down->cli->output.file, "dc %s: it is not there\n", name);
		return EXIT_DONE;
	}
	if (status == EXIT_DONE && !now.has_containers)
		status = reach_find_containers(down->cli, down->admin, name, "remove", &info);
	/* What cannot be removed is said before anything ends. */
	if (status == EXIT_DONE && cli_has(down->cli, OPTION_VOLUMES))
		status = with_volumes(down, down_check_volumes);
	if (status == EXIT_DONE && info.phase == DVK_RUNS)
		status = stop_programs(down, dc, &now);
	if (status == EXIT_DONE)
		status = remove_dc(down, &now);
	run_free_now(&now);
	return status;
}

static int down_file(struct down *down, const char *path)
{
	struct compose compose;
	int status = run_read(down->cli, path, &compose);

	if (status == EXIT_DONE)
		status = enter(down);
	for (size_t i = compose.n_dcs; i-- > 0 && status == EXIT_DONE;)
		status = down_one(down, compose.dcs[i].name, &compose.dcs[i]);
	compose_free(&compose);
	return status;
}

static int down_name(struct down *down, const char *name)
{
	int status;

	if (!target_check_dc_name(down->cli, name))
		return EXIT_USAGE;
	status = enter(down);
	if (status != EXIT_DONE)
		return status;
	down->must_exist = true;
	return down_one(down, name, NULL);
}

int cmd_down(struct cli *cli)
{
	const char *word = cli->n_words > 0 ? cli->words[0] : RUN_FILE_DEFAULT;
	struct down down = { .cli = cli };
	int status;

	if (!cli_seconds(cli, OPTION_TIMEOUT, 100, TIMEOUT_MS_MAX, TIMEOUT_MS_DEFAULT,
			 &down.timeout_ms))
		return EXIT_USAGE;
	if (cli->n_words == 0 || is_file(word))
		status = down_file(&down, word);
	else
		status = down_name(&down, word);
	reach_close(&down.reach);
	return status;
}
