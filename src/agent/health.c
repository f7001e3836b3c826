/* SPDX-License-Identifier: Apache-2.0 */
/* The check of a program's health: a command in the same container, now and then. Its end with status 0 in time is well. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "agent/task.h"
#include "base/cleanup.h"
#include "base/clock.h"

enum health_value { HEALTH_NONE = 0, HEALTH_STARTING = 1, HEALTH_WELL = 2, HEALTH_ILL = 3 };

static void check_fire(struct loop_timer *timer);

static const struct program_health *health_of(const struct task *task)
{
	const struct program *program = box_program_of(task);

	return program && program->health.n_command > 0 ? &program->health : NULL;
}

static void next_check(struct task *task, uint32_t interval_ms)
{
	loop_timer_set(task->programs->loop, &task->health.timer,
		       clock_deadline_ns(interval_ms * CLOCK_NS_PER_MS), check_fire);
}

static void judge(struct task *task, bool well)
{
	const struct program_health *health = health_of(task);
	uint64_t ran_ms = (clock_real_ns() - task->started_ns) / CLOCK_NS_PER_MS;

	task->health.check = 0;
	if (!health || task->state != TASK_RUNS)
		return;
	if (well) {
		task->health.fails = 0;
		task->health.value = HEALTH_WELL;
	} else if (task->health.value != HEALTH_STARTING || ran_ms >= health->start_ms) {
		if (++task->health.fails >= health->retries)
			task->health.value = HEALTH_ILL;
	}
	next_check(task, health->interval_ms);
}

static bool check_started(void *context, dvs_err err, struct cursor *body, int *fds, size_t n_fds)
{
	struct task *task = context;
	struct init_start_rep rep;

	(void)fds;
	if (err == DVS_OK && (init_start_rep_decode(body, &rep) != DVS_OK || n_fds != 0))
		return false;
	if (err != DVS_OK && task->health.check != 0)
		judge(task, false);
	return true;
}

static void kill_check(struct task *task)
{
	struct init_stop_req req = { .id = task->health.check, .signo = SIGKILL };
	struct writer out;

	if (task->health.check == 0 || !task->box->link)
		return;
	out = init_link_body(task->box->link);
	init_stop_req_encode(&out, &req);
	if (init_link_ask(task->box->link, INIT_STOP, &out, NULL, 0, NULL, NULL) != DVS_OK)
		log_debug(&task->programs->agent->log, "a check cannot be ended",
			  LOG_STR("program", task->name));
}

/* As root of the container, with the environment that all its programs have. */
static bool start_check(struct task *task, const struct program_health *health)
{
	struct init_start_req *req = &task->programs->check;
	int fds[3];
	struct writer out;

	memset(req, 0, sizeof(*req));
	if (getentropy(&task->health.check, sizeof(task->health.check)) != 0)
		return false;
	req->id = task->health.check |= UINT64_C(1) << 63;
	for (size_t i = 0; i < health->n_command; i++) {
		size_t len = strlen(health->command[i]) + 1;

		if (req->n_args + len > sizeof(req->args))
			return false;
		memcpy(req->args + req->n_args, health->command[i], len);
		req->n_args += (uint32_t)len;
	}
	if (task->box->says.env_len > sizeof(req->env))
		return false;
	if (task->box->says.env_len > 0)
		memcpy(req->env, task->box->says.env, task->box->says.env_len);
	req->n_env = (uint32_t)task->box->says.env_len;
	fds[0] = open("/dev/null", O_RDWR | O_CLOEXEC);
	fds[1] = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
	fds[2] = fcntl(fds[0], F_DUPFD_CLOEXEC, 0);
	if (fds[2] < 0) {
		cleanup_close(&fds[0]);
		cleanup_close(&fds[1]);
		return false;
	}
	out = init_link_body(task->box->link);
	init_start_req_encode(&out, req);
	return init_link_ask(task->box->link, INIT_START, &out, fds, 3, check_started, task) ==
	       DVS_OK;
}

static void check_fire(struct loop_timer *timer)
{
	struct health *state = CONTAINER_OF(timer, struct health, timer);
	struct task *task = CONTAINER_OF(state, struct task, health);
	const struct program_health *health = health_of(task);

	if (!health || task->state != TASK_RUNS)
		return;
	if (task->box->frozen) {
		/* Neither the program nor its check can do anything. */
		next_check(task, state->check != 0 ? health->timeout_ms : health->interval_ms);
		return;
	}
	if (state->check != 0) {
		/* It took too long. */
		kill_check(task);
		judge(task, false);
		return;
	}
	if (init_link_is_up(task->box->link) && start_check(task, health)) {
		next_check(task, health->timeout_ms);
		return;
	}
	state->check = 0;
	next_check(task, health->interval_ms);
}

void health_start(struct task *task)
{
	const struct program_health *health = health_of(task);

	if (!health || task->health.timer.is_set || task->state != TASK_RUNS)
		return;
	task->health.value = HEALTH_STARTING;
	task->health.fails = 0;
	next_check(task, health->interval_ms);
}

void health_end(struct task *task)
{
	loop_timer_cancel(task->programs->loop, &task->health.timer);
	kill_check(task);
	task->health.check = 0;
	task->health.value = HEALTH_NONE;
}

bool health_exited(struct box *box, uint64_t id, uint32_t status)
{
	LIST_FOREACH(link, &box->tasks) {
		struct task *task = CONTAINER_OF(link, struct task, of_box);

		if (task->health.check == id) {
			judge(task, status == 0);
			return true;
		}
	}
	return false;
}
