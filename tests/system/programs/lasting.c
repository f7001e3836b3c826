/* SPDX-License-Identifier: Apache-2.0 */
/* What outlives an agent or a container, what records want, and what many do. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/task.h"
#include "stage.h"

TEST(a_new_agent_goes_on_with_what_runs)
{
	struct stage *stage = stage_open();
	struct started one = run(stage, "one", "echo before; read x; echo after $x; exit 8",
				 RUN_STDIN | RUN_DETACH);
	struct started tty = run(stage, "tty", "echo here; read x; echo tty $x; exit 9",
				 RUN_TTY | RUN_STDIN | RUN_DETACH);
	struct started quick = run(stage, "quick", "sleep 0.1; echo quick; exit 10", RUN_DETACH);
	struct started old = run(stage, "old", "echo old; exit 11", RUN_DETACH);
	struct started exec = run(stage, "exec", "sleep 1000", RUN_EXEC);
	struct agent_attach_req req = { .program = one.program };
	struct agent_attach_rep rep;
	struct agent_program row;
	struct call *call;
	struct writer out;
	struct cursor in;

	ck_assert_uint_eq(wait_for(stage, old.program), EXITED(11));
	/* Nobody reads the pipes for a while: what is in them is not lost. */
	programs_close(stage->agent.programs);
	(void)usleep(300000);
	stage->agent.programs = NULL;
	stage_new_agent(stage);
	ck_assert_uint_eq(wait_for(stage, quick.program), EXITED(10));
	check_log(stage, quick.program, "stdout F quick\n");
	row = row_of(stage, old.program);
	ck_assert_uint_eq(row.state, TASK_ENDED);
	ck_assert_uint_eq(row.status, EXITED(11));
	check_log(stage, old.program, "stdout F old\n");
	row = until_state(stage, one.program, TASK_RUNS);
	ck_assert_str_eq(row.name, "one");
	ck_assert_str_eq(row.command, "sh -c echo before; read x; echo after $x; exit 8");
	check_log(stage, one.program, "stdout F before\n");
	for (int i = 0; i < 2; i++) {
		req.program = i == 0 ? one.program : tty.program;
		call = call_begin(stage, AGENT_ATTACH);
		out = call_body(call);
		agent_attach_req_encode(&out, &req);
		call_send(call, &out);
		in = cursor_over(call->reply, call->len);
		ck_assert_int_eq(agent_attach_rep_decode(&in, &rep), DVS_OK);
		call_free(call);
		ck_assert_uint_eq(rep.tty, i);
		ck_assert_int_eq(write_to(stage, rep.attach, "that\n", false), DVS_OK);
		read_until(stage, rep.attach, i == 0 ? "after that\n" : "tty that\r\n");
		ck_assert_uint_eq(wait_for(stage, req.program), EXITED(i == 0 ? 8 : 9));
	}
	check_log(stage, tty.program, "here");
	/* An exec ended with the agent that its client was attached by. */
	while (row_of(stage, exec.program).id != 0)
		stage_turn(stage, 10);
	stage_close(stage);
}
END_TEST

TEST(programs_end_with_their_container)
{
	struct stage *stage = stage_open();
	struct started one = run(stage, "one", "echo a; sleep 1000", 0);
	uint32_t status;
	char *text;

	read_until(stage, one.attach, "a\n");
	stage_new_init(stage);
	stage_up(stage);
	text = read_to_end(stage, one.attach, &status, NULL);
	ck_assert_uint_eq(status, SIGKILL);
	free(text);
	ck_assert_int_eq(run(stage, "one", "true", 0).err, DVS_OK);
	stage_close(stage);
}
END_TEST

TEST(reconcile_hears_that_dc_init_has_died)
{
	struct stage *stage = stage_open();
	bool told = false;

	ck_assert_int_eq(run(stage, "one", "true", 0).err, DVS_OK);
	ck_assert_uint_eq(stage->gone, 0);
	(void)kill(stage->init, SIGKILL);
	for (int i = 0; i < 600 && !told; i++) {
		stage_turn(stage, 10);
		told = stage->gone > 0;
	}
	ck_assert(told);
	stage_close(stage);
}
END_TEST

/* ---- records ---- */

static struct programs_wanted wanted_of(const char *json, const char *name, uint64_t version,
					struct program *program)
{
	struct programs_wanted wanted = { .version = version, .program = program };
	char why[DESCRIPTION_TEXT_MAX + 1];

	ck_assert_msg(program_parse(json, strlen(json), program, why) == DVS_OK, "%s", why);
	(void)snprintf(wanted.name, sizeof(wanted.name), "%s", name);
	(void)snprintf(wanted.record, sizeof(wanted.record), "%.3s", name);
	return wanted;
}

/* The program of that name, in the state. */
static struct agent_program until_named(struct stage *stage, const char *name, uint8_t state,
					uint64_t other_than)
{
	uint64_t deadline_ns = clock_deadline_ns(STAGE_WAIT_NS);

	while (!clock_is_past(deadline_ns)) {
		struct box *box = box_find(stage->agent.programs, "web");
		const struct task *task = task_by_name(box, name);

		if (task && task->state == (enum task_state)state && task->id != other_than)
			return row_of(stage, task->id);
		stage_turn(stage, 10);
	}
	ck_abort_msg("no program %s in state %u", name, state);
	return (struct agent_program){ .id = 0 };
}

TEST(records_are_started_stopped_and_replaced)
{
	struct stage *stage = stage_open();
	struct program program[2];
	struct programs_wanted wanted[2] = {
		wanted_of("{\"command\": [\"sleep\", \"1000\"], \"env\": {\"A\": \"b\"}}", "web.0",
			  1, &program[0]),
		wanted_of("{\"command\": [\"sh\", \"-c\", \"exit 7\"], \"restart\": \"no\"}",
			  "one.0", 1, &program[1]),
	};
	struct agent_program first;
	struct agent_program second;

	programs_want(stage->agent.programs, "web", wanted, 2);
	first = until_named(stage, "web.0", TASK_RUNS, 0);
	ck_assert_str_eq(first.record, "web");
	second = until_named(stage, "one.0", TASK_ENDED, 0);
	ck_assert_uint_eq(second.status, EXITED(7));
	/* The same again changes nothing: also what has ended as it should stays so. */
	programs_want(stage->agent.programs, "web", wanted, 2);
	stage_turn(stage, 100);
	ck_assert_uint_eq(row_of(stage, first.id).state, TASK_RUNS);
	ck_assert_uint_eq(row_of(stage, second.id).state, TASK_ENDED);
	/* Nor does a new agent. */
	stage_new_agent(stage);
	programs_want(stage->agent.programs, "web", wanted, 2);
	until_state(stage, first.id, TASK_RUNS);
	stage_turn(stage, 100);
	ck_assert_uint_eq(row_of(stage, second.id).state, TASK_ENDED);
	/* Another version takes its place, in a container made anew too. */
	wanted[0].version = 2;
	programs_want(stage->agent.programs, "web", wanted, 2);
	first = until_named(stage, "web.0", TASK_RUNS, first.id);
	stage_new_init(stage);
	stage_up(stage);
	first = until_named(stage, "web.0", TASK_RUNS, first.id);
	programs_want(stage->agent.programs, "web", wanted, 0);
	while (row_of(stage, first.id).id != 0)
		stage_turn(stage, 10);
	ck_assert_uint_eq(row_of(stage, second.id).id, 0);
	program_free(&program[0]);
	program_free(&program[1]);
	stage_close(stage);
}
END_TEST

static void until_health(struct stage *stage, uint64_t program, uint8_t health)
{
	uint64_t deadline_ns = clock_deadline_ns(STAGE_WAIT_NS);

	while (row_of(stage, program).health != health && !clock_is_past(deadline_ns))
		stage_turn(stage, 10);
	ck_assert_uint_eq(row_of(stage, program).health, health);
}

TEST(health_is_checked)
{
	struct stage *stage = stage_open();
	struct program program;
	struct agent_program row;
	char json[512];
	char path[128];
	struct programs_wanted wanted;
	FILE *file;

	(void)snprintf(path, sizeof(path), "%s/well", stage->root);
	(void)snprintf(
		json, sizeof(json),
		"{\"command\": [\"sleep\", \"1000\"], \"health\": {\"command\": [\"/bin/sh\", "
		"\"-c\", \"test -e %s.hang && sleep 1000; test -e %s\"], \"interval_ms\": 100, "
		"\"timeout_ms\": 300, \"retries\": 2, \"start_ms\": 0}}",
		path, path);
	wanted = wanted_of(json, "web.0", 1, &program);
	programs_want(stage->agent.programs, "web", &wanted, 1);
	row = until_named(stage, "web.0", TASK_RUNS, 0);
	ck_assert_uint_eq(row.health, 1);
	until_health(stage, row.id, 3);
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	(void)fclose(file);
	until_health(stage, row.id, 2);
	/* One that hangs is as bad. */
	(void)strcat(path, ".hang");
	file = fopen(path, "w");
	ck_assert_ptr_nonnull(file);
	(void)fclose(file);
	until_health(stage, row.id, 3);
	(void)unlink(path);
	until_health(stage, row.id, 2);
	program_free(&program);
	stage_close(stage);
}
END_TEST

/* ---- logs ---- */

TEST(logs_are_followed_to_the_end)
{
	struct stage *stage = stage_open();
	struct started one = run(stage, "one", "echo a; read x; echo b; exit 0", RUN_STDIN);
	static struct agent_logs_rep rep;
	struct agent_logs_req req = { .program = one.program, .tail = 0, .follow = 1 };
	char all[1000] = "";

	read_until(stage, one.attach, "a\n");
	for (int i = 0; !rep.over; i++) {
		struct call *call = call_begin(stage, AGENT_LOGS);
		struct writer out = call_body(call);
		struct cursor in;

		agent_logs_req_encode(&out, &req);
		call_send(call, &out);
		if (i == 0) {
			stage_turn(stage, 50);
			ck_assert(!call->done);
			ck_assert_int_eq(write_to(stage, one.attach, "\n", false), DVS_OK);
		}
		call_wait(call);
		in = cursor_over(call->reply, call->len);
		ck_assert_int_eq(agent_logs_rep_decode(&in, &rep), DVS_OK);
		call_free(call);
		(void)strncat(all, (const char *)rep.data, rep.n_data);
		req.cursor = rep.cursor;
	}
	ck_assert_ptr_null(strstr(all, "F a\n"));
	ck_assert_ptr_nonnull(strstr(all, "F b\n"));
	stage_close(stage);
}
END_TEST

TEST(who_is_gone_is_not_answered)
{
	struct stage *stage = stage_open();
	struct started one = run(stage, "one", "echo a; read x", RUN_STDIN);
	struct agent_read_req read = { .attach = one.attach };
	struct agent_wait_req wait = { .program = one.program };
	struct agent_logs_req logs = { .program = one.program, .tail = 0, .follow = 1 };
	struct call *calls[3];
	struct writer out;

	read_until(stage, one.attach, "a\n");
	calls[0] = call_begin(stage, AGENT_READ);
	out = call_body(calls[0]);
	agent_read_req_encode(&out, &read);
	call_send(calls[0], &out);
	calls[1] = call_begin(stage, AGENT_WAIT);
	out = call_body(calls[1]);
	agent_wait_req_encode(&out, &wait);
	call_send(calls[1], &out);
	calls[2] = call_begin(stage, AGENT_LOGS);
	out = call_body(calls[2]);
	agent_logs_req_encode(&out, &logs);
	call_send(calls[2], &out);
	for (size_t i = 0; i < 3; i++)
		call_drop(calls[i]);
	ck_assert_int_eq(write_to(stage, one.attach, "\n", false), DVS_OK);
	wait_for(stage, one.program);
	stage_close(stage);
}
END_TEST

TEST(a_thousand_short_programs_leave_nothing)
{
	struct stage *stage = stage_open();
	uint64_t before_ns = clock_now_ns();
	static struct call *calls[1000];

	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		struct writer out;

		calls[i] = call_begin(stage, AGENT_RUN);
		out = call_body(calls[i]);
		agent_run_req_encode(&out, shell("", "echo x", RUN_REMOVE | RUN_DETACH));
		call_send(calls[i], &out);
	}
	for (size_t i = 0; i < ARRAY_LEN(calls); i++) {
		call_wait(calls[i]);
		ck_assert_msg(calls[i]->err == DVS_OK, "%s", (char *)calls[i]->reply);
		call_free(calls[i]);
	}
	while (stage->agent.programs->n_tasks > 0)
		stage_turn(stage, 10);
	printf("# 1000 programs: %llu us each\n",
	       (unsigned long long)(clock_now_ns() - before_ns) / 1000000);
	stage_close(stage);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_new_agent_goes_on_with_what_runs,
		programs_end_with_their_container,
		reconcile_hears_that_dc_init_has_died,
		records_are_started_stopped_and_replaced,
		health_is_checked,
		logs_are_followed_to_the_end,
		who_is_gone_is_not_answered,
		a_thousand_short_programs_leave_nothing,
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	return unit_run("lasting", tests, ARRAY_LEN(tests), 120);
}
