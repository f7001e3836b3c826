/* SPDX-License-Identifier: Apache-2.0 */
/* From the plan to the DVS. All agents are asked before anything is begun; then each step is one that the DVS keeps together (docs/decisions/0018), and what
 * could not be done is taken back. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "client/calls.h"
#include "container/description.h"
#include "manage/compose/run.h"
#include "manage/container/settle.h"

#define LOOK_NS (50 * CLOCK_NS_PER_MS)

/* ---- before anything is begun ---- */

static uint64_t nodes_up(const struct run *run)
{
	uint64_t up = 0;

	for (size_t i = 0; i < run->reach.nodes.n; i++) {
		if (run->reach.nodes.node[i].state == DVK_NODE_UP)
			up |= nodes_bit(run->reach.nodes.node[i].node);
	}
	return up;
}

static int check_node(struct run *run, const struct run_dc *of, const struct dvk_node_info *node,
		      const struct agent_check_req *req)
{
	dvs_err err = agent_call_check(run->reach.agents, node->node, req, NULL, REACH_MS);

	if (err == DVS_OK)
		return EXIT_DONE;
	if (agents_text(run->reach.agents)[0])
		return run_fail(run, of->dc, "", node->name, agents_text(run->reach.agents));
	return cli_fail(run->cli, err, "ask node %s whether it could have dc %s", node->name,
			of->dc->name);
}

/* Ask those that are to have something new; nodes that are down apply it when they come. */
static int check_nodes(struct run *run, const struct run_dc *of, bool recreate)
{
	const struct plan *plan = &of->plan;
	AUTO_FREE struct agent_check_req *req = calloc(1, sizeof(*req));
	size_t len = 0;
	AUTO_FREE char *text = description_text(of->dc->description, &len);
	bool all = plan->create || plan->description || (recreate && plan->anew[0]);
	uint64_t on = (all ? plan->nodes : plan->add) & nodes_up(run);
	int status = EXIT_DONE;

	if (!req || !text)
		return cli_fail(run->cli, DVS_NOMEM, "check dc %s", of->dc->name);
	if (len > sizeof(req->description))
		return run_fail(run, of->dc, "", NULL, "its description is too long to be kept");
	(void)snprintf(req->dc, sizeof(req->dc), "%s", of->dc->name);
	memcpy(req->description, text, len);
	req->n_description = (uint32_t)len;
	req->fetch = 1;
	for (size_t i = 0; i < run->reach.nodes.n; i++) {
		const struct dvk_node_info *node = &run->reach.nodes.node[i];

		if ((on & nodes_bit(node->node)) && check_node(run, of, node, req) != EXIT_DONE)
			status = EXIT_FAILED;
	}
	return status;
}

int run_check(struct run *run, bool recreate)
{
	int status = EXIT_DONE;

	for (size_t i = 0; i < run->compose.n_dcs; i++) {
		struct run_dc *of = &run->dcs[i];

		if (of->now.exists && of->info.frozen && of->plan.n_changes > 0)
			status = run_fail(run, of->dc, "", NULL,
					  "name: the DC is frozen, so its programs can neither end "
					  "nor start; 'dvs dc thaw' lets it go on");
		if (of->plan.anew[0] && !recreate) {
			run_fail(run, of->dc, "", NULL, of->plan.anew);
			cli_note(
				run->cli,
				"dc %s: nothing was changed; --recreate ends its programs and makes it "
				"anew",
				of->dc->name);
			status = EXIT_FAILED;
		}
	}
	for (size_t i = 0; i < run->compose.n_dcs && status == EXIT_DONE; i++)
		status = check_nodes(run, &run->dcs[i], recreate);
	return status;
}

/* ---- steps that settle on all nodes ---- */

struct step {
	struct run *run;
	struct run_dc *of;
	uint32_t timeout_ms;
	uint64_t add, remove; /* nodes */
	const char *description;
	size_t len;
	struct dvk_refusal refusal;
};

static dvs_err call_create(void *step_void)
{
	struct step *step = step_void;
	dvs_dcid id;

	return dvk_container_create(step->run->admin, step->of->dc->name, DVK_OWNER_CONTAINER,
				    step->of->plan.nodes, step->description, step->len,
				    step->timeout_ms, &id, &step->refusal);
}

static dvs_err call_remove(void *step_void)
{
	struct step *step = step_void;

	bool had_servers = step->of->dc->n_disks > 0 || step->of->dc->n_filesystems > 0;

	return run_remove(step->run->admin, step->of->dc->name, had_servers, step->timeout_ms);
}

static dvs_err call_nodes(void *step_void)
{
	struct step *step = step_void;

	return dvk_container_nodes(step->run->admin, step->of->dc->name, step->add, step->remove,
				   step->timeout_ms, &step->refusal);
}

static int refused(const struct step *step)
{
	const struct run *run = step->run;
	char name[DVS_NAME_MAX + 1];

	nodes_name(&run->reach.nodes, step->refusal.node, name);
	return run_fail(run, step->of->dc, "", name,
			step->refusal.text[0] ? step->refusal.text :
						dvs_strerror(step->refusal.err));
}

static int settle(struct step *step, const char *verb, dvs_err (*call)(void *))
{
	struct run *run = step->run;
	const char *name = step->of->dc->name;
	char what[DVS_NAME_MAX + 32];
	struct settle settle = { .cli = run->cli,
				 .admin = run->admin,
				 .agents = run->reach.agents,
				 .nodes = &run->reach.nodes,
				 .dc = name,
				 .what = what,
				 .call = call,
				 .context = step };
	dvs_err err;

	(void)snprintf(what, sizeof(what), "%s dc %s", verb, name);
	err = settle_call(&settle);
	if (err == DVS_TIMEOUT)
		return cli_fail_hint(run->cli, err,
				     "it goes on: see how far it is with 'dvs dc inspect'", "%s",
				     what);
	if (err == DVS_BADSTATE && call == call_remove)
		return cli_fail_hint(
			run->cli, err,
			"programs of the nodes are bound in it ('dvs ep ls' lists them): "
			"end them",
			"%s", what);
	if (err != DVS_OK)
		return cli_fail(run->cli, err, "%s", what);
	return step->refusal.err == DVS_OK ? EXIT_DONE : refused(step);
}

/* ---- records ---- */

static int set_program(struct run *run, const struct run_dc *of,
		       const struct compose_program *program)
{
	char key[DVS_NAME_MAX + 1];
	size_t len = 0;
	AUTO_FREE char *text = description_text(program->json, &len);
	dvs_err err = DVS_NOMEM;

	(void)snprintf(key, sizeof(key), RUN_PROGRAM_PREFIX "%s", program->name);
	if (text)
		err = dvk_record_set(run->admin, of->dc->name, key, DVK_VERSION_ANY, text, len,
				     NULL);
	return err == DVS_OK ? EXIT_DONE :
			       cli_fail(run->cli, err, "set program %s of dc %s", program->name,
					of->dc->name);
}

static int remove_program(struct run *run, const struct run_dc *of, const char *name)
{
	char key[DVS_NAME_MAX + 1];
	dvs_err err;

	(void)snprintf(key, sizeof(key), RUN_PROGRAM_PREFIX "%s", name);
	err = dvk_record_remove(run->admin, of->dc->name, key);
	return err == DVS_OK || err == DVS_NOTFOUND ?
		       EXIT_DONE :
		       cli_fail(run->cli, err, "remove program %s of dc %s", name, of->dc->name);
}

static bool is_wanted(const struct compose_dc *dc, const char *name)
{
	for (size_t i = 0; i < dc->n_programs; i++) {
		if (strcmp(dc->programs[i].name, name) == 0)
			return true;
	}
	return false;
}

/* What is not wanted goes first: it may hold what the others need. */
static int set_programs(struct run *run, const struct run_dc *of)
{
	int status = EXIT_DONE;
	size_t at;

	for (size_t i = 0; i < of->now.n_programs && status == EXIT_DONE; i++) {
		if (!is_wanted(of->dc, of->now.programs[i].name))
			status = remove_program(run, of, of->now.programs[i].name);
	}
	for (size_t i = 0; i < of->dc->n_programs && status == EXIT_DONE; i++) {
		if (plan_program_differs(&of->now, &of->dc->programs[i], &at))
			status = set_program(run, of, &of->dc->programs[i]);
	}
	return status;
}

/* ---- the description of one that runs ---- */

/* How many of its nodes that are up have not applied VERSION; one that could not is in the refusal. */
static dvs_err count_left(struct step *step, uint64_t version, size_t *n)
{
	struct run *run = step->run;
	struct dvk_container_info *info = &step->of->info;
	dvs_err err = reach_look(run->admin, step->of->dc->name, info);

	*n = 0;
	for (uint32_t i = 0; err == DVS_OK && i < info->n_nodes; i++) {
		const struct dvk_container_node *node = &info->nodes[i];

		if (!(nodes_up(run) & nodes_bit(node->node)))
			continue;
		if (node->state == DVK_BROKEN) {
			step->refusal.err = DVS_BADSTATE;
			step->refusal.node = node->node;
			return dvk_container_why(run->admin, step->of->dc->name, node->node,
						 step->refusal.text);
		}
		*n += node->state == DVK_WANTED ||
		      (node->state == DVK_READY && node->version < version);
	}
	return err;
}

static dvs_err wait_applied(struct step *step, uint64_t version)
{
	uint64_t deadline_ns = clock_deadline_ns(SETTLE_MS * CLOCK_NS_PER_MS);
	const struct timespec pause = clock_timespec(LOOK_NS);
	size_t n = 1;
	dvs_err err = DVS_OK;

	while (err == DVS_OK && n > 0 && step->refusal.err == DVS_OK) {
		err = count_left(step, version, &n);
		if (err == DVS_OK && n > 0 && clock_is_past(deadline_ns))
			err = DVS_TIMEOUT;
		/* Nodes report to the DVS, which tells nobody: so we look. */
		if (err == DVS_OK && n > 0)
			(void)nanosleep(&pause, NULL);
	}
	return err;
}

static dvs_err set_description(struct step *step, const json_t *description, uint64_t expected,
			       uint64_t *version)
{
	size_t len = 0;
	AUTO_FREE char *text = description_text(description, &len);

	return text ? dvk_record_set(step->run->admin, step->of->dc->name, "dc", expected, text,
				     len, version) :
		      DVS_NOMEM;
}

static int change_description(struct step *step)
{
	struct run *run = step->run;
	const char *name = step->of->dc->name;
	uint64_t version = 0;
	uint64_t back;
	dvs_err err = set_description(step, step->of->dc->description, step->of->version, &version);

	if (err == DVS_NOTFOUND || err == DVS_EXISTS)
		return cli_fail_hint(run->cli, err,
				     "somebody else has changed it in between: try again",
				     "change dc %s", name);
	if (err == DVS_OK)
		err = wait_applied(step, version);
	if (err != DVS_OK)
		return cli_fail(run->cli, err, "change dc %s", name);
	if (step->refusal.err == DVS_OK)
		return EXIT_DONE;
	/* No node is to differ from the others. */
	refused(step);
	err = set_description(step, step->of->now.description, version, &back);
	if (err == DVS_OK)
		cli_note(run->cli, "dc %s: its description is as it was before", name);
	else
		cli_fail(run->cli, err, "set the description of dc %s back", name);
	return EXIT_FAILED;
}

/* ---- one DC ---- */

/* The volumes, and the file systems that may be on them. */
static int set_disks(const struct step *step)
{
	bool waits = !cli_has(step->run->cli, OPTION_DETACH);
	int status = run_apply_disks(step->run, step->of, waits);

	return status == EXIT_DONE ? run_apply_filesystems(step->run, step->of, waits) : status;
}

static int change_nodes(struct step *step, uint64_t add, uint64_t remove)
{
	step->timeout_ms = SETTLE_CREATE_MS;
	step->add = add;
	step->remove = remove;
	return add || remove ? settle(step, "change the nodes of", call_nodes) : EXIT_DONE;
}

/* Half a DC is none. */
static void undo_create(struct step *step)
{
	/* The containers first, and the gateways in them: they would keep the DC. */
	if (step->of->dc->n_filesystems > 0)
		(void)!change_nodes(step, 0, step->of->plan.nodes);
	run_forget_filesystems(step->run, step->of);
	run_forget_disks(step->run, step->of);
	step->timeout_ms = SETTLE_MS;
	if (settle(step, "remove", call_remove) == EXIT_DONE)
		cli_note(step->run->cli, "dc %s: it was removed again", step->of->dc->name);
}

static int create(struct step *step)
{
	AUTO_FREE char *text = description_text(step->of->dc->description, &step->len);
	int status;

	if (!text)
		return cli_fail(step->run->cli, DVS_NOMEM, "create dc %s", step->of->dc->name);
	step->description = text;
	step->timeout_ms = SETTLE_CREATE_MS;
	status = settle(step, "create", call_create);
	step->description = NULL;
	if (status != EXIT_DONE)
		return status;
	/* Programs may want the volumes from the beginning. */
	status = set_disks(step);
	if (status == EXIT_DONE)
		status = set_programs(step->run, step->of);
	if (status != EXIT_DONE)
		undo_create(step);
	return status;
}

static int change(struct step *step)
{
	const struct plan *plan = &step->of->plan;
	int status = EXIT_DONE;

	/* The first containers are made as the description says that is there. */
	if (step->of->now.nodes == 0 && plan->description)
		status = change_description(step);
	if (status == EXIT_DONE)
		status = change_nodes(step, plan->add, plan->remove);
	if (status == EXIT_DONE && step->of->now.nodes != 0 && plan->description)
		status = change_description(step);
	if (status == EXIT_DONE)
		status = set_disks(step);
	if (status == EXIT_DONE)
		status = set_programs(step->run, step->of);
	return status;
}

/* Containers anew around what must stay: without a node the DC keeps its volumes. */
static int change_anew(struct step *step)
{
	struct plan *plan = &step->of->plan;
	int status = change_nodes(step, 0, step->of->now.nodes);

	if (status != EXIT_DONE)
		return status;
	step->of->now.nodes = 0;
	plan->add = plan->nodes;
	plan->remove = 0;
	return change(step);
}

static int create_anew(struct step *step)
{
	bool has_volumes;
	int status =
		run_has_volumes(step->run->cli, step->run->admin, step->of->dc->name, &has_volumes);

	if (status != EXIT_DONE)
		return status;
	if (has_volumes)
		return change_anew(step);
	step->timeout_ms = SETTLE_MS;
	status = settle(step, "remove", call_remove);
	if (status != EXIT_DONE)
		return status;
	run_free_now(&step->of->now);
	step->of->plan.add = step->of->plan.nodes;
	return create(step);
}

int run_apply(struct run *run, struct run_dc *of, bool recreate)
{
	struct step step = { .run = run, .of = of };

	if (of->plan.n_changes == 0)
		return EXIT_DONE;
	if (of->plan.create)
		return create(&step);
	if (recreate && of->plan.anew[0])
		return create_anew(&step);
	return change(&step);
}
