/* SPDX-License-Identifier: Apache-2.0 */
/* The programs of a container as the agent has them, with a real dc-init. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/task.h"
#include "stage.h"

TEST(a_program_runs_is_read_and_waited_for)
{
	struct stage *stage = stage_open();
	struct started one = run(stage, "one", "echo $GIVEN; echo oops >&2; exit 3", 0);
	uint32_t status;
	char *text;

	ck_assert_msg(one.err == DVS_OK, "%s", one.text);
	ck_assert_str_eq(one.name, "one");
	text = read_to_end(stage, one.attach, &status, NULL);
	ck_assert(strstr(text, "to all\n") && strstr(text, "oops\n"));
	ck_assert_uint_eq(status, EXITED(3));
	ck_assert_uint_eq(wait_for(stage, one.program), EXITED(3));
	ck_assert_uint_eq(row_of(stage, one.program).state, TASK_ENDED);
	check_log(stage, one.program, "stdout F to all\n");
	check_log(stage, one.program, "stderr F oops\n");
	free(text);
	stage_close(stage);
}
END_TEST

TEST(its_row_tells_what_it_is)
{
	struct stage *stage = stage_open();
	struct started one = run(stage, "", "echo a; read x; exit 0", RUN_STDIN);
	struct agent_program row;
	char path[64];

	read_until(stage, one.attach, "a\n");
	row = row_of(stage, one.program);
	ck_assert_str_eq(row.dc, "web");
	ck_assert_str_eq(row.name, one.name);
	ck_assert_int_eq(strncmp(row.name, "sh-", 3), 0);
	ck_assert_str_eq(row.command, "sh -c echo a; read x; exit 0");
	ck_assert_uint_eq(row.state, TASK_RUNS);
	ck_assert_uint_eq(row.attached, 1);
	ck_assert_uint_gt(row.inner_pid, 1);
	/* Its number on this host is a process that is dc-init's child. */
	(void)snprintf(path, sizeof(path), "/proc/%u/stat", row.pid);
	ck_assert_uint_gt(row.pid, 1);
	ck_assert_int_eq(access(path, F_OK), 0);
	ck_assert_int_eq(write_to(stage, one.attach, "\n", false), DVS_OK);
	ck_assert_uint_eq(wait_for(stage, one.program), 0);
	ck_assert_uint_eq(row_of(stage, one.program).pid, 0);
	stage_close(stage);
}
END_TEST

TEST(stdin_is_written_and_ends)
{
	struct stage *stage = stage_open();
	struct started cat = run(stage, "cat", "cat", RUN_STDIN);
	struct started none = run(stage, "none", "cat; echo over", 0);
	uint32_t status;
	char *text;

	ck_assert_int_eq(write_to(stage, cat.attach, "some ", false), DVS_OK);
	ck_assert_int_eq(write_to(stage, cat.attach, "text", true), DVS_OK);
	text = read_to_end(stage, cat.attach, &status, NULL);
	ck_assert_str_eq(text, "some text");
	ck_assert_uint_eq(status, 0);
	free(text);
	ck_assert_int_eq(write_to(stage, none.attach, "x", false), DVS_BADSTATE);
	text = read_to_end(stage, none.attach, &status, NULL);
	ck_assert_str_eq(text, "over\n");
	free(text);
	stage_close(stage);
}
END_TEST

static void until_stopped(struct stage *stage, uint32_t pid)
{
	uint64_t deadline_ns = clock_deadline_ns(STAGE_WAIT_NS);
	char path[64];
	char state = '?';

	(void)snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	while (state != 'T' && !clock_is_past(deadline_ns)) {
		FILE *file = fopen(path, "r");

		ck_assert_ptr_nonnull(file);
		ck_assert_int_eq(fscanf(file, "%*d (sh) %c", &state), 1);
		(void)fclose(file);
		stage_turn(stage, 5);
	}
	ck_assert_int_eq(state, 'T');
}

TEST(writing_waits_for_who_does_not_read)
{
	struct stage *stage = stage_open();
	struct started slow = run(stage, "slow", "read go; cat | wc -c; exit 5", RUN_STDIN);
	static char big[60001];
	struct call *calls[10];
	uint32_t status;
	char *text;

	memset(big, 'x', sizeof(big) - 1);
	ck_assert_int_eq(order_signal(stage, slow.program, SIGSTOP, false), DVS_OK);
	until_stopped(stage, row_of(stage, slow.program).pid);
	for (size_t i = 0; i < 10; i++) {
		static struct agent_write_req req;
		struct writer out;

		calls[i] = call_begin(stage, AGENT_WRITE);
		out = call_body(calls[i]);
		req.attach = slow.attach;
		req.eof = i == 9;
		req.n_data = sizeof(big) - 1;
		memcpy(req.data, big, req.n_data);
		if (i == 0)
			req.data[0] = '\n';
		agent_write_req_encode(&out, &req);
		call_send(calls[i], &out);
	}
	stage_turn(stage, 100);
	ck_assert_msg(!calls[9]->done, "%s", (char *)calls[9]->reply);
	ck_assert_int_eq(order_signal(stage, slow.program, SIGCONT, false), DVS_OK);
	for (size_t i = 0; i < 10; i++) {
		call_wait(calls[i]);
		ck_assert_int_eq(calls[i]->err, DVS_OK);
		call_free(calls[i]);
	}
	text = read_to_end(stage, slow.attach, &status, NULL);
	ck_assert_str_eq(text, "599999\n");
	ck_assert_uint_eq(status, EXITED(5));
	free(text);
	stage_close(stage);
}
END_TEST

TEST(who_does_not_read_any_more_is_told)
{
	struct stage *stage = stage_open();
	struct started deaf = run(stage, "deaf", "exec <&-; echo a; sleep 1000", RUN_STDIN);

	read_until(stage, deaf.attach, "a\n");
	ck_assert_int_eq(write_to(stage, deaf.attach, "text", false), DVS_PEERDEAD);
	ck_assert_int_eq(order_signal(stage, deaf.program, SIGKILL, true), DVS_OK);
	ck_assert_uint_eq(wait_for(stage, deaf.program), SIGKILL);
	stage_close(stage);
}
END_TEST

static dvs_err resize(struct stage *stage, uint64_t attach, uint16_t rows, uint16_t cols)
{
	struct agent_resize_req req = { .attach = attach, .rows = rows, .cols = cols };
	struct call *call = call_begin(stage, AGENT_RESIZE);
	struct writer out = call_body(call);
	dvs_err err;

	agent_resize_req_encode(&out, &req);
	call_send(call, &out);
	err = call->err;
	call_free(call);
	return err;
}

TEST(a_terminal_has_size_and_signals_and_an_end)
{
	struct stage *stage = stage_open();
	struct started tty =
		run(stage, "tty", "stty size; read a; stty size; cat; exit 4", RUN_TTY | RUN_STDIN);
	struct started plain = run(stage, "plain", "sleep 1000", 0);
	uint32_t status;
	char *text;

	ck_assert_msg(tty.err == DVS_OK, "%s", tty.text);
	read_until(stage, tty.attach, "24 80");
	ck_assert_int_eq(resize(stage, tty.attach, 40, 100), DVS_OK);
	ck_assert_int_eq(write_to(stage, tty.attach, "\n", false), DVS_OK);
	read_until(stage, tty.attach, "40 100");
	ck_assert_int_eq(write_to(stage, tty.attach, "line\n", true), DVS_OK);
	text = read_to_end(stage, tty.attach, &status, NULL);
	ck_assert_ptr_nonnull(strstr(text, "line\r\n"));
	ck_assert_uint_eq(status, EXITED(4));
	free(text);
	ck_assert_int_eq(resize(stage, plain.attach, 1, 1), DVS_BADSTATE);
	stage_close(stage);
}
END_TEST

TEST(what_cannot_be_run_is_told_and_leaves_nothing)
{
	struct stage *stage = stage_open();
	struct agent_run_req *req = shell("x", "true", 0);
	struct started bad;

	memcpy(req->args, "no-such-thing", 14);
	req->n_args = 14;
	bad = run_as(stage, req);
	ck_assert_int_eq(bad.err, DVS_NOTFOUND);
	ck_assert_ptr_nonnull(strstr(bad.text, "no-such-thing"));
	req = shell("x", "true", 0);
	(void)snprintf(req->user, sizeof(req->user), "somebody");
	bad = run_as(stage, req);
	ck_assert_int_eq(bad.err, DVS_NOTFOUND);
	ck_assert_ptr_nonnull(strstr(bad.text, "somebody"));
	req = shell("x", "true", 0);
	(void)snprintf(req->dc, sizeof(req->dc), "other");
	ck_assert_int_eq(run_as(stage, req).err, DVS_NODC);
	ck_assert_int_eq(run(stage, "bad/name", "true", 0).err, DVS_BADARG);
	ck_assert_int_eq(run(stage, "x", "sleep 1000", 0).err, DVS_OK);
	ck_assert_int_eq(run(stage, "x", "true", 0).err, DVS_EXISTS);
	stage_close(stage);
}
END_TEST

TEST(a_program_has_its_user_and_environment)
{
	struct stage *stage = stage_open();
	struct agent_run_req *req = shell(
		"u", "id -u; id -G; echo $HOME $GIVEN $A; cat /dev/stdin; echo x >/dev/stdout", 0);
	struct started one;
	uint32_t status;
	char *text;

	(void)snprintf(req->user, sizeof(req->user), "nobody");
	memcpy(req->env, "A=1\0GIVEN=mine\0A=2", 19);
	req->n_env = 19;
	one = run_as(stage, req);
	ck_assert_msg(one.err == DVS_OK, "%s", one.text);
	text = read_to_end(stage, one.attach, &status, NULL);
	ck_assert_msg(strncmp(text, "65534\n65534 7\n/home/nobody mine 2\n", 34) == 0, "%s", text);
	free(text);
	stage_close(stage);
}
END_TEST

TEST(several_are_attached_and_each_gets_all)
{
	struct stage *stage = stage_open();
	struct started one = run(stage, "one", "read x; echo $x; read x; exit 1", RUN_STDIN);
	struct agent_attach_req req = { .program = one.program };
	struct agent_attach_rep rep;
	struct call *call = call_begin(stage, AGENT_ATTACH);
	struct writer out = call_body(call);
	struct cursor in;
	uint32_t status;
	char *text;

	agent_attach_req_encode(&out, &req);
	call_send(call, &out);
	ck_assert_int_eq(call->err, DVS_OK);
	in = cursor_over(call->reply, call->len);
	ck_assert_int_eq(agent_attach_rep_decode(&in, &rep), DVS_OK);
	call_free(call);
	ck_assert_int_eq(write_to(stage, rep.attach, "hello\n", false), DVS_OK);
	read_until(stage, one.attach, "hello\n");
	/* The first client dies; the second goes on. */
	ck_assert_int_eq(write_to(stage, one.attach, "", true), DVS_OK);
	text = read_to_end(stage, rep.attach, &status, NULL);
	ck_assert_str_eq(text, "hello\n");
	ck_assert_uint_eq(status, EXITED(1));
	free(text);
	stage_close(stage);
}
END_TEST

TEST(an_exec_ends_with_its_client_and_leaves_no_log)
{
	struct stage *stage = stage_open();
	struct started one = run(stage, "one", "echo a; sleep 1000", RUN_EXEC);
	struct started kept = run(stage, "kept", "echo a; sleep 1000", 0);
	uint64_t deadline_ns = clock_deadline_ns(STAGE_WAIT_NS);

	read_until(stage, one.attach, "a\n");
	programs_client_gone(stage->agent.programs, dvs_ep_of(77));
	while (row_of(stage, one.program).id != 0 && !clock_is_past(deadline_ns))
		stage_turn(stage, 10);
	ck_assert_uint_eq(row_of(stage, one.program).id, 0);
	ck_assert_uint_eq(row_of(stage, kept.program).state, TASK_RUNS);
	ck_assert_uint_eq(row_of(stage, kept.program).attached, 0);
	stage_close(stage);
}
END_TEST

TEST(a_client_that_reads_slowly_loses_nothing)
{
	struct stage *stage = stage_open();
	struct started big = run(stage, "big", "head -c 20000000 /dev/zero | tr '\\0' x", 0);
	uint64_t lost = 1;
	uint32_t status;
	char *text;

	/* Its buffer is full long before. */
	stage_turn(stage, 500);
	ck_assert_uint_eq(row_of(stage, big.program).state, TASK_RUNS);
	text = read_to_end(stage, big.attach, &status, &lost);
	ck_assert_uint_eq(strlen(text), 20000000);
	ck_assert_uint_eq(lost, 0);
	ck_assert_uint_eq(status, 0);
	free(text);
	stage_close(stage);
}
END_TEST

TEST(a_client_that_does_not_read_holds_nobody_up_for_ever)
{
	struct stage *stage = stage_open();
	struct started big = run(stage, "big", "head -c 5000000 /dev/zero | tr '\\0' x; exit 6", 0);
	uint64_t lost = 0;
	uint32_t status;
	char *text;

	ck_assert_uint_eq(wait_for(stage, big.program), EXITED(6));
	text = read_to_end(stage, big.attach, &status, &lost);
	ck_assert_uint_gt(lost, 0);
	ck_assert_uint_eq(strlen(text) + lost, 5000000);
	ck_assert_uint_eq(status, EXITED(6));
	free(text);
	stage_close(stage);
}
END_TEST

TEST(the_end_waits_for_nobody_who_has_the_output_open)
{
	struct stage *stage = stage_open();
	struct started one =
		run(stage, "one", "(sleep 0.3; echo late; sleep 1000) & echo a; exit 2", 0);
	uint32_t status;
	char *text = read_to_end(stage, one.attach, &status, NULL);
	uint64_t deadline_ns = clock_deadline_ns(STAGE_WAIT_NS);
	bool late = false;

	ck_assert_str_eq(text, "a\n");
	ck_assert_uint_eq(status, EXITED(2));
	free(text);
	while (!late && !clock_is_past(deadline_ns)) {
		stage_turn(stage, 50);
		text = log_of(stage, one.program);
		late = strstr(text, "late\n") != NULL;
		free(text);
	}
	ck_assert(late);
	stage_close(stage);
}
END_TEST

TEST(a_restarted_program_is_one_program)
{
	struct stage *stage = stage_open();
	struct agent_run_req *req = shell("again", "echo once more; exit 1", 0);
	struct started again;
	uint32_t status;
	char *text;

	req->restart = 1;
	req->retries = 3;
	req->backoff_ms = 1;
	again = run_as(stage, req);
	text = read_to_end(stage, again.attach, &status, NULL);
	ck_assert_str_eq(text, "once more\nonce more\nonce more\nonce more\n");
	ck_assert_uint_eq(status, EXITED(1));
	ck_assert_uint_eq(row_of(stage, again.program).restarts, 3);
	free(text);
	req = shell("tty", "echo in a terminal; exit 1", RUN_TTY);
	req->restart = 1;
	req->retries = 1;
	req->backoff_ms = 50;
	again = run_as(stage, req);
	text = read_to_end(stage, again.attach, &status, NULL);
	ck_assert_str_eq(text, "in a terminal\r\n"
			       "in a terminal\r\n");
	free(text);
	stage_close(stage);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
		a_program_runs_is_read_and_waited_for,
		its_row_tells_what_it_is,
		stdin_is_written_and_ends,
		writing_waits_for_who_does_not_read,
		who_does_not_read_any_more_is_told,
		a_terminal_has_size_and_signals_and_an_end,
		what_cannot_be_run_is_told_and_leaves_nothing,
		a_program_has_its_user_and_environment,
		several_are_attached_and_each_gets_all,
		an_exec_ends_with_its_client_and_leaves_no_log,
		a_client_that_reads_slowly_loses_nothing,
		a_client_that_does_not_read_holds_nobody_up_for_ever,
		the_end_waits_for_nobody_who_has_the_output_open,
		a_restarted_program_is_one_program,
	};

	if (geteuid() != 0) {
		printf("1..0 # SKIP needs root\n");
		return 0;
	}
	return unit_run("programs", tests, ARRAY_LEN(tests), 120);
}
