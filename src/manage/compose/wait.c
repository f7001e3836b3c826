/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting for programs. Which instances there are to be, and where, is computed as the agents do it (container/program.h); what there is, they are asked. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "container/program.h"
#include "manage/compose/run.h"
#include "manage/container/programs.h"
#include "manage/progress.h"
#include "manage/terminal.h"

/* Agents tell about programs when they are asked, so they are asked now and then. */
#define LOOK_NS (100 * CLOCK_NS_PER_MS)
#define HEALTHY 2

enum verdict { IS_READY, IS_COMING, IS_LOST };

struct waiting {
	struct run *run;
	struct cli quiet; /* what a node does not answer now it may answer the next time */
	struct run_dc *of;
	const struct run_instances *before;
	struct programs programs;
	struct placement_node nodes[DVS_NODES_MAX];
	char names[DVS_NODES_MAX][DVS_NAME_MAX + 1];
	size_t n_nodes;
	bool *expected; /* of each of programs */
	size_t n_ready;
	size_t n_all;
	char missing[512]; /* one of those that are not ready, and why */
	enum verdict verdict;
	char prefix[COMPOSE_PATH_MAX]; /* of the program that is lost */
};

/* ---- what was before ---- */

static uint64_t digest_of(json_t *json)
{
	AUTO_FREE struct program *program = malloc(sizeof(*program));
	char why[DESCRIPTION_TEXT_MAX];
	uint64_t digest;

	if (!program || program_from_json(json, program, why) != DVS_OK)
		return 0;
	digest = program_digest(program);
	program_free(program);
	return digest;
}

/* Another number of replicas lets those that run go on. */
static bool is_started_again(const struct plan_now *now, size_t at,
			     const struct compose_program *program)
{
	return at == SIZE_MAX || digest_of(now->programs[at].json) != digest_of(program->json);
}

int run_note_instances(struct run *run, const struct run_dc *of, struct run_instances *before)
{
	struct programs programs;
	int status;

	*before = (struct run_instances){ 0 };
	if (of->plan.create || of->plan.n_changes == 0)
		return EXIT_DONE;
	status = programs_load(run->cli, &run->reach, of->dc->name, &programs);
	before->one = calloc(programs.n + 1, sizeof(*before->one));
	if (!before->one) {
		programs_free(&programs);
		return cli_fail(run->cli, DVS_NOMEM, "list the programs");
	}
	for (size_t i = 0; status == EXIT_DONE && i < programs.n; i++) {
		const struct agent_program *program = &programs.one[i].program;
		size_t at = SIZE_MAX;
		bool changes = false;

		for (size_t k = 0; k < of->dc->n_programs && !changes; k++)
			changes = strcmp(of->dc->programs[k].name, program->record) == 0 &&
				  plan_program_differs(&of->now, &of->dc->programs[k], &at) &&
				  is_started_again(&of->now, at, &of->dc->programs[k]);
		if (changes)
			before->one[before->n++] = (struct run_instance){ programs.one[i].node,
									  program->id,
									  program->started_ns };
	}
	programs_free(&programs);
	return status;
}

static bool is_as_before(const struct run_instances *before, const struct program_on *on)
{
	for (size_t i = 0; i < before->n; i++) {
		if (before->one[i].node.n == on->node.n && before->one[i].id == on->program.id &&
		    before->one[i].started_ns == on->program.started_ns)
			return true;
	}
	return false;
}

/* ---- one look ---- */

static dvs_err load_nodes(struct waiting *waiting)
{
	struct run *run = waiting->run;
	struct dvk_container_info *info = &waiting->of->info;
	dvs_err err;

	if (nodes_load(&waiting->quiet, run->admin, &run->reach.nodes) != EXIT_DONE)
		return DVS_NOQUORUM;
	err = reach_look(run->admin, waiting->of->dc->name, info);
	if (err != DVS_OK)
		return err;
	waiting->n_nodes = 0;
	for (uint32_t i = 0; i < info->n_nodes; i++) {
		const struct dvk_node_info *node = nodes_at(&run->reach.nodes, info->nodes[i].node);
		size_t n = waiting->n_nodes;

		if (!node || info->nodes[i].state == DVK_LEAVING ||
		    info->nodes[i].state == DVK_GONE)
			continue;
		(void)snprintf(waiting->names[n], sizeof(waiting->names[n]), "%s", node->name);
		waiting->nodes[n] =
			(struct placement_node){ node->node.n, waiting->names[n],
						 node->state != DVK_NODE_DOWN &&
							 info->nodes[i].state != DVK_BROKEN,
						 node->draining };
		waiting->n_nodes++;
	}
	return DVS_OK;
}

static const struct program_on *find(struct waiting *waiting, const char *name,
				     const struct placement_node *node)
{
	const struct program_on *found = NULL;

	for (size_t i = 0; i < waiting->programs.n; i++) {
		const struct program_on *on = &waiting->programs.one[i];

		if (on->node.n != node->node || strcmp(on->program.name, name) != 0)
			continue;
		waiting->expected[i] = true;
		/* Of several of one name, the one that lives. */
		if (!found || on->program.state != PROGRAM_ENDED)
			found = on;
	}
	return found;
}

static void miss(struct waiting *waiting, const char *name, const char *node, const char *why)
{
	if (!waiting->missing[0])
		(void)snprintf(waiting->missing, sizeof(waiting->missing), "%s%s%s %s", name,
			       node ? " on " : "", node ? node : "", why);
}

static enum verdict judge(const struct waiting *waiting, const struct program *program,
			  const struct program_on *on, char *why, size_t room)
{
	const struct agent_program *is = &on->program;
	enum verdict verdict = IS_COMING;

	if (is_as_before(waiting->before, on)) {
		(void)snprintf(why, room, "is still the one of before");
	} else if (is->state == PROGRAM_RUNS) {
		if (program->health.n_command == 0 || is->health == HEALTHY)
			return IS_READY;
		(void)snprintf(why, room, "is not healthy yet");
	} else if (is->state == PROGRAM_STUCK) {
		(void)snprintf(why, room, "cannot be started: %s", is->text);
		verdict = IS_LOST;
	} else if (is->state == PROGRAM_ENDED && is->status == 0 &&
		   program->restart != PROGRAM_ALWAYS) {
		return IS_READY;
	} else if (is->state == PROGRAM_ENDED) {
		(void)snprintf(why, room, "has ended with status %d",
			       programs_exit_status(is->status));
		verdict = IS_LOST;
	} else if (is->state == PROGRAM_PAUSES) {
		(void)snprintf(
			why, room,
			"has ended with status %d and waits to be started again (%u times so "
			"far)",
			programs_exit_status(is->status), is->restarts);
	} else {
		(void)snprintf(why, room, "starts");
	}
	return verdict;
}

static void look_at(struct waiting *waiting, const struct compose_program *from,
		    const struct program *program, size_t replica, size_t where)
{
	const struct placement_node *node = where == SIZE_MAX ? NULL : &waiting->nodes[where];
	const struct program_on *on;
	char name[DVS_NAME_MAX + 16];
	char why[384] = "is not there yet";
	enum verdict verdict = IS_COMING;

	(void)snprintf(name, sizeof(name), "%s.%zu", from->name, replica);
	waiting->n_all++;
	if (!node) {
		miss(waiting, name, NULL, "has no node that can take it");
		return;
	}
	on = find(waiting, name, node);
	if (on)
		verdict = judge(waiting, program, on, why, sizeof(why));
	if (verdict == IS_READY) {
		waiting->n_ready++;
		return;
	}
	/* What cannot come any more is what people are told. */
	if (verdict == IS_LOST && waiting->verdict != IS_LOST) {
		waiting->verdict = IS_LOST;
		waiting->missing[0] = '\0';
		(void)snprintf(waiting->prefix, sizeof(waiting->prefix),
			       RUN_PROGRAM_PREFIX "%s:", from->name);
	}
	miss(waiting, name, node->name, why);
}

static dvs_err look_at_program(struct waiting *waiting, const struct compose_program *from)
{
	AUTO_FREE struct program *program = malloc(sizeof(*program));
	AUTO_FREE size_t *where = calloc(PROGRAM_REPLICAS_MAX, sizeof(*where));
	char why[DESCRIPTION_TEXT_MAX];
	size_t n = 0;
	dvs_err err = program && where ? program_from_json(from->json, program, why) : DVS_NOMEM;

	if (err != DVS_OK)
		return err;
	placement(from->name, program, waiting->nodes, waiting->n_nodes, where, &n);
	for (size_t i = 0; i < n; i++) {
		/* Of "each", numbers that are no node's, and nodes that are down, have none. */
		if (program->replicas != PROGRAM_EACH || where[i] != SIZE_MAX)
			look_at(waiting, from, program, i, where[i]);
	}
	program_free(program);
	return DVS_OK;
}

/* Instances of programs that are not in the file any more, or were elsewhere. */
static void look_for_others(struct waiting *waiting)
{
	for (size_t i = 0; i < waiting->programs.n; i++) {
		const struct program_on *on = &waiting->programs.one[i];
		char name[DVS_NAME_MAX + 1];

		if (waiting->expected[i] || on->program.record[0] == '\0' ||
		    on->program.state == PROGRAM_ENDED || on->program.state == PROGRAM_STUCK)
			continue;
		waiting->n_all++;
		miss(waiting, on->program.name,
		     nodes_name(&waiting->run->reach.nodes, on->node, name), "has not ended yet");
	}
}

/* OK also when some do not answer: then not all is ready. */
static dvs_err look(struct waiting *waiting)
{
	struct run *run = waiting->run;
	const struct compose_dc *dc = waiting->of->dc;
	dvs_err err;

	waiting->n_ready = waiting->n_all = 0;
	waiting->missing[0] = '\0';
	waiting->verdict = IS_COMING;
	err = load_nodes(waiting);
	if (err == DVS_NODC || err == DVS_NODVSD)
		return err;
	if (err != DVS_OK || programs_load(&waiting->quiet, &run->reach, dc->name,
					   &waiting->programs) != EXIT_DONE) {
		programs_free(&waiting->programs);
		waiting->n_all = 1;
		miss(waiting, "the nodes", NULL, "do not answer");
		return DVS_OK;
	}
	waiting->expected = calloc(waiting->programs.n + 1, sizeof(*waiting->expected));
	if (!waiting->expected)
		err = DVS_NOMEM;
	for (size_t i = 0; err == DVS_OK && i < dc->n_programs; i++)
		err = look_at_program(waiting, &dc->programs[i]);
	if (err == DVS_OK)
		look_for_others(waiting);
	if (waiting->programs.n_silent > 0) {
		waiting->n_all++;
		miss(waiting, "a node", NULL, "does not answer");
	}
	free(waiting->expected);
	programs_free(&waiting->programs);
	return err;
}

/* ---- until they run ---- */

static int give_up(struct waiting *waiting)
{
	char why[640];

	(void)snprintf(why, sizeof(why), "%s; 'dvs ps' and 'dvs logs' tell more", waiting->missing);
	return run_fail(waiting->run, waiting->of->dc, waiting->prefix, NULL, why);
}

static int out_of_time(const struct waiting *waiting)
{
	cli_note(waiting->run->cli,
		 "dc %s: %zu of %zu programs are as wanted when the time is over: %s; it goes on, "
		 "'dvs ps' and 'dvs logs' tell more",
		 waiting->of->dc->name, waiting->n_ready, waiting->n_all, waiting->missing);
	return EXIT_FAILED;
}

static int wait_all(struct waiting *waiting, struct interrupts *interrupts,
		    struct progress *progress, uint64_t deadline_ns)
{
	char what[DVS_NAME_MAX + 8];
	char state[640];

	(void)snprintf(what, sizeof(what), "dc %s", waiting->of->dc->name);
	for (;;) {
		dvs_err err = look(waiting);

		if (err != DVS_OK)
			return cli_fail(waiting->run->cli, err, "wait for dc %s",
					waiting->of->dc->name);
		if (waiting->n_ready == waiting->n_all)
			return EXIT_DONE;
		if (waiting->verdict == IS_LOST)
			return give_up(waiting);
		if (clock_is_past(deadline_ns))
			return out_of_time(waiting);
		(void)snprintf(state, sizeof(state), "%zu of %zu programs run; %s",
			       waiting->n_ready, waiting->n_all, waiting->missing);
		progress_text(progress, what, state);
		if (interrupts_wait(interrupts, -1, clock_deadline_ns(LOOK_NS)) == EVENT_END) {
			progress_end(progress);
			cli_note(waiting->run->cli,
				 "dc %s: it goes on; 'dvs ps' tells how far it is",
				 waiting->of->dc->name);
			return EXIT_FAILED;
		}
	}
}

int run_wait(struct run *run, struct run_dc *of, const struct run_instances *before,
	     uint64_t deadline_ns)
{
	AUTO_FREE struct waiting *waiting = calloc(1, sizeof(*waiting));
	AUTO_FCLOSE FILE *nowhere = fopen("/dev/null", "we");
	struct interrupts interrupts;
	struct progress progress;
	int status;

	if (!waiting || !nowhere)
		return cli_fail(run->cli, DVS_NOMEM, "wait for dc %s", of->dc->name);
	if (!interrupts_open(&interrupts, false))
		return cli_fail_errno(run->cli, errno, "", "take signals");
	waiting->run = run;
	waiting->quiet = *run->cli;
	waiting->quiet.err = nowhere;
	waiting->of = of;
	waiting->before = before;
	progress_begin(&progress, run->cli->err);
	status = wait_all(waiting, &interrupts, &progress, deadline_ns);
	progress_end(&progress);
	interrupts_close(&interrupts);
	return status;
}

/* ---- until one has ended ---- */

static bool is_alive(const struct agent_program *program)
{
	return program->state != PROGRAM_ENDED && program->state != PROGRAM_STUCK;
}

int run_wait_gone(struct cli *cli, struct reach *reach, const char *dc, const char *record,
		  uint64_t deadline_ns, bool *gone)
{
	AUTO_FCLOSE FILE *nowhere = fopen("/dev/null", "we");
	const struct timespec pause = clock_timespec(LOOK_NS);
	struct cli quiet = *cli;

	if (!nowhere)
		return cli_fail_errno(cli, errno, "", "wait for program %s", record);
	quiet.err = nowhere;
	for (*gone = false; !*gone;) {
		struct programs programs;
		size_t n = programs_load(&quiet, reach, dc, &programs) != EXIT_DONE;

		n += programs.n_silent;
		for (size_t i = 0; i < programs.n; i++)
			n += strcmp(programs.one[i].program.record, record) == 0 &&
			     is_alive(&programs.one[i].program);
		programs_free(&programs);
		*gone = n == 0;
		if (n > 0 && clock_is_past(deadline_ns))
			break;
		if (n > 0)
			(void)nanosleep(&pause, NULL);
	}
	return EXIT_DONE;
}
