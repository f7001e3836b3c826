/* SPDX-License-Identifier: Apache-2.0 */
/* The life of a program: STARTING until exec, RUNS, then WAITS and STARTING again as its restart policy says, or ENDED. */
#include <errno.h>
#include <signal.h>
#include <sys/epoll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "container/init/init.h"

/* The dead that are buried before the agent is listened to again. */
#define REAP_BATCH 256
/* As a shell has it: what was to be run could not be. */
#define STATUS_NOT_RUN (127u << 8)

dvs_err program_launch(struct init *init, struct row *row)
{
	AUTO_CLOSE int tty = -1;
	dvs_err err = DVS_OK;

	if (row->tty)
		err = terminal_near(row->far[0], row->uid, &tty);
	if (err == DVS_OK)
		err = spawn(init, row, tty, &row->pid, &row->exec_pipe);
	if (err != DVS_OK)
		return err;
	row->state = ROW_STARTING;
	row->since_ns = clock_now_ns();
	row->started_ns = clock_real_ns();
	/* Without this its end is seen when the process is reaped. */
	(void)init_watch(init, EPOLL_CTL_ADD, row->exec_pipe, EPOLLIN);
	return DVS_OK;
}

static void tell_exited(struct init *init, const struct row *row, pid_t pid, uint32_t restart_ms,
			uint64_t ran_ns)
{
	struct init_exited_req event = { .id = row->id,
					 .pid = (uint32_t)pid,
					 .status = row->status,
					 .restart_ms = restart_ms,
					 .ran_ns = ran_ns };
	struct writer out = link_body(init, (struct init_frame){ .op = INIT_EXITED });

	init_exited_req_encode(&out, &event);
	link_send(init, &out, NULL, 0);
}

static void tell_started(struct init *init, const struct row *row, dvs_err err)
{
	struct init_started_req event = { .id = row->id,
					  .pid = (uint32_t)row->pid,
					  .err = (uint32_t)err,
					  .restarts = row->restarts };
	struct writer out = link_body(init, (struct init_frame){ .op = INIT_STARTED });

	init_started_req_encode(&out, &event);
	link_send(init, &out, NULL, 0);
}

/* Its process is no more: it ran for RAN_NS and ended with STATUS. */
static void program_ended(struct init *init, struct row *row, uint32_t status, uint64_t ran_ns)
{
	uint32_t restart_ms = BACKOFF_NEVER_MS;
	pid_t pid = row->pid;

	if (!row->stopping && !init->ending)
		restart_ms = backoff_after(&row->backoff, status, ran_ns);
	row->pid = 0;
	row->status = status;
	row->ended_ns = clock_real_ns();
	if (restart_ms != BACKOFF_NEVER_MS) {
		row->state = ROW_WAITS;
		row->due_ns = clock_deadline_ns(restart_ms * CLOCK_NS_PER_MS);
	} else {
		row->state = ROW_ENDED;
		row_close(row->near, 3);
	}
	tell_exited(init, row, pid, restart_ms, ran_ns);
	if (restart_ms == BACKOFF_NEVER_MS && !row->kept)
		row_free(init, row);
}

static void answer_start(struct init *init, const struct row *row, uint32_t request)
{
	struct init_start_rep reply = { .pid = (uint32_t)row->pid };
	struct writer out = link_body(init, (struct init_frame){ .op = INIT_START, .id = request });

	init_start_rep_encode(&out, &reply);
	link_send(init, &out, row->far, row->tty ? 1 : 0);
}

/* It could not be started: a program that never ran is forgotten with that answer, one that did is treated as if it had ended at once. */
static void program_failed(struct init *init, struct row *row, dvs_err err)
{
	if (row->request != 0) {
		uint32_t request = row->request;

		row_free(init, row);
		link_answer(init, INIT_START, request, err);
		return;
	}
	row->pid = 0;
	tell_started(init, row, err);
	program_ended(init, row, STATUS_NOT_RUN, 0);
}

void program_launched(struct init *init, struct row *row)
{
	uint32_t number = 0;
	ssize_t len = read(row->exec_pipe, &number, sizeof(number));
	uint32_t request = row->request;

	if (len < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	/* Not by closing alone: a child that has not come to exec yet has it open, too. */
	(void)init_watch(init, EPOLL_CTL_DEL, row->exec_pipe, 0);
	cleanup_close(&row->exec_pipe);
	if (len == sizeof(number) && number != DVS_OK) {
		program_failed(init, row, dvs_err_from_number(number));
		return;
	}
	row->state = ROW_RUNS;
	row->request = 0;
	if (row->backoff.restart == 0)
		row_close(row->near, 3);
	if (request != 0)
		answer_start(init, row, request);
	else
		tell_started(init, row, DVS_OK);
}

void program_stop(struct init *init, struct row *row, int signo, uint32_t grace_ms)
{
	row->stopping = true;
	if (row->state == ROW_WAITS) {
		row->state = ROW_ENDED;
		row_close(row->near, 3);
		tell_exited(init, row, 0, BACKOFF_NEVER_MS, 0);
		if (!row->kept)
			row_free(init, row);
		return;
	}
	row->due_ns = clock_deadline_ns(grace_ms * CLOCK_NS_PER_MS);
	(void)kill(row->pid, signo);
}

static struct row *row_of_pid(struct init *init, pid_t pid)
{
	for (size_t i = 0; i < init->n_rows; i++) {
		if (init->rows[i]->pid == pid)
			return init->rows[i];
	}
	return NULL;
}

static void bury(struct init *init, pid_t pid)
{
	struct row *row = row_of_pid(init, pid);
	int status = 0;

	/* What it left of its session, while nobody else can have its number. */
	if (row && row->stopping)
		session_kill(pid, SIGKILL);
	if (waitpid(pid, &status, WNOHANG) != pid || !row)
		return;
	if (row->state == ROW_STARTING) {
		uint64_t id = row->id;

		/* It lived so short that the news of exec has not been read. */
		program_launched(init, row);
		row = row_find(init, id);
		if (!row || row->pid != pid)
			return;
	}
	program_ended(init, row, (uint32_t)status, clock_now_ns() - row->since_ns);
}

void programs_reap(struct init *init)
{
	init->more_dead = true;
	for (int i = 0; i < REAP_BATCH; i++) {
		siginfo_t dead = { .si_pid = 0 };

		if (waitid(P_ALL, 0, &dead, WEXITED | WNOHANG | WNOWAIT) != 0 && errno == ECHILD)
			init->over = init->ending;
		if (dead.si_pid == 0) {
			init->more_dead = false;
			return;
		}
		bury(init, dead.si_pid);
	}
}

/* A program waits until its time has come. */
static void program_again(struct init *init, struct row *row)
{
	dvs_err err;

	row->restarts++;
	err = program_launch(init, row);
	if (err != DVS_OK)
		program_failed(init, row, err);
}

static uint64_t program_tick(struct init *init, struct row *row, uint64_t now_ns)
{
	bool waits = row->state == ROW_WAITS;
	bool stops = row->stopping && row->pid != 0 && row->due_ns != 0;

	if (!waits && !stops)
		return CLOCK_NEVER_NS;
	if (row->due_ns > now_ns)
		return row->due_ns;
	row->due_ns = 0;
	if (stops) {
		session_kill(row->pid, SIGKILL);
		return CLOCK_NEVER_NS;
	}
	program_again(init, row);
	return now_ns;
}

uint64_t programs_tick(struct init *init, uint64_t now_ns)
{
	uint64_t cursor = 0;
	uint64_t next_ns = CLOCK_NEVER_NS;
	struct row *row;

	if (init->ending && now_ns >= init->kill_ns) {
		(void)kill(-1, SIGKILL);
		init->over = true;
	}
	/* By id: a row can go while it is looked at. */
	while ((row = row_after(init, cursor))) {
		uint64_t due_ns;

		cursor = row->id;
		due_ns = program_tick(init, row, now_ns);
		if (due_ns < next_ns)
			next_ns = due_ns;
	}
	if (init->ending && init->kill_ns < next_ns)
		next_ns = init->kill_ns;
	return next_ns;
}
