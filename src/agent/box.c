/* SPDX-License-Identifier: Apache-2.0 */
/* A container as far as its programs go: the link with its dc-init, the listing with which each connection begins, and what records want in it. */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "agent/box.h"
#include "agent/reconcile.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "container/init/frame.h"

/* As waitpid() gives it: what runs in a container ends with it. */
#define STATUS_KILLED SIGKILL

static void ask_list(struct box *box, uint64_t cursor);

struct box *box_find(const struct programs *programs, const char *dc)
{
	LIST_FOREACH(link, &programs->boxes) {
		struct box *box = CONTAINER_OF(link, struct box, of_programs);

		if (strcmp(box->dc, dc) == 0)
			return box;
	}
	return NULL;
}

static struct task *task_in(const struct box *box, uint64_t id)
{
	LIST_FOREACH(link, &box->tasks) {
		struct task *task = CONTAINER_OF(link, struct task, of_box);

		if (task->id == id)
			return task;
	}
	return NULL;
}

/* ---- what is wanted ---- */

static const struct wanted *wanted_for(const struct box *box, const struct task *task)
{
	for (size_t i = 0; i < box->n_wanted; i++) {
		if (box->wanted[i].version == task->version &&
		    strcmp(box->wanted[i].name, task->name) == 0 &&
		    strcmp(box->wanted[i].record, task->record) == 0)
			return &box->wanted[i];
	}
	return NULL;
}

const struct program *box_program_of(const struct task *task)
{
	const struct wanted *wanted = wanted_for(task->box, task);

	return wanted ? &wanted->program : NULL;
}

static void stop_unwanted(struct box *box)
{
	LIST_FOREACH_SAFE(link, &box->tasks) {
		struct task *task = CONTAINER_OF(link, struct task, of_box);

		if (task->record[0] == '\0' || wanted_for(box, task))
			continue;
		if (task_has_ended(task))
			task_forget(task);
		else if (!task->stopping)
			task_stop(task, task->stop_signo, task->stop_grace_ms);
	}
}

/* Whether WANTED is to be started now. What has ended by itself, as its restart policy has it, stays so. */
static bool is_missing(const struct box *box, const struct wanted *wanted)
{
	const struct task *task = task_by_name(box, wanted->name);

	if (!task)
		return true;
	if (!task_has_ended(task))
		return false;
	return task->state == TASK_CANNOT || task->lost || task->version != wanted->version ||
	       strcmp(task->record, wanted->record) != 0;
}

static void again_fire(struct loop_timer *timer)
{
	struct box *box = CONTAINER_OF(timer, struct box, again);

	LIST_FOREACH_SAFE(link, &box->tasks) {
		struct task *task = CONTAINER_OF(link, struct task, of_box);

		if (task->state == TASK_CANNOT && task->record[0])
			task_forget(task);
	}
	box_look(box);
}

void box_look_later(struct box *box)
{
	loop_timer_set(box->programs->loop, &box->again,
		       clock_deadline_ns(RETRY_MS * CLOCK_NS_PER_MS), again_fire);
}

void box_look(struct box *box)
{
	char why[AGENT_WHY_MAX + 1];

	if (!box->link || !box->listed || box->closing)
		return;
	stop_unwanted(box);
	for (size_t i = 0; i < box->n_wanted; i++) {
		const struct task *task = task_by_name(box, box->wanted[i].name);

		if (!is_missing(box, &box->wanted[i]))
			continue;
		/* Which could not be started has its own time. */
		if (task && task->state == TASK_CANNOT && box->again.is_set &&
		    task->version == box->wanted[i].version)
			continue;
		if (launch_record(box, &box->wanted[i], why) != DVS_OK) {
			log_warning(&box->programs->agent->log, "a program cannot be started",
				    LOG_STR("dc", box->dc), LOG_STR("program", box->wanted[i].name),
				    LOG_STR("why", why));
			box_look_later(box);
		}
	}
}

/* ---- what dc-init says ---- */

static bool taken(void *context, dvs_err err, struct cursor *body, int *fds, size_t n_fds)
{
	struct task *task = context;
	struct init_take_rep rep;

	if (err == DVS_PEERDEAD)
		return true;
	if (err == DVS_OK && (init_take_rep_decode(body, &rep) != DVS_OK ||
			      rep.tty != (task->flags & RUN_TTY ? 1 : 0)))
		return false;
	if (!task->taken)
		task_connect(task, fds, err == DVS_OK ? n_fds : 0);
	pumps_run(task);
	task_settle(task);
	return true;
}

static bool forgotten(void *context, dvs_err err, struct cursor *body, int *fds, size_t n_fds)
{
	(void)context;
	(void)fds;
	return (err != DVS_OK || cursor_left(body) == 0) && n_fds == 0;
}

/* A program that nobody here knows: it was a check, or its start was given up. */
static void end_unknown(struct box *box, const struct init_program *row)
{
	struct init_stop_req stop = { .id = row->id, .signo = SIGKILL };
	struct init_forget_req forget = { .id = row->id };
	bool ended = row->state == 2;
	struct writer out = init_link_body(box->link);
	dvs_err err;

	if (ended)
		init_forget_req_encode(&out, &forget);
	else
		init_stop_req_encode(&out, &stop);
	err = init_link_ask(box->link, ended ? INIT_FORGET : INIT_STOP, &out, NULL, 0, forgotten,
			    box);
	if (err != DVS_OK)
		log_debug(&box->programs->agent->log, "an unknown program cannot be ended now",
			  LOG_STR("dc", box->dc));
}

static void take(struct task *task)
{
	struct init_take_req req = { .id = task->id };
	struct writer out = init_link_body(task->box->link);

	init_take_req_encode(&out, &req);
	if (init_link_ask(task->box->link, INIT_TAKE, &out, NULL, 0, taken, task) != DVS_OK)
		log_warning(&task->programs->agent->log, "the output of a program is lost",
			    LOG_STR("program", task->name));
}

/* A row of the listing is a program that is known here. */
static void adopt(struct task *task, const struct init_program *row)
{
	bool ended = row->state == 2;

	if (task_has_ended(task)) {
		/* It was ended by us, and dc-init was not told. */
		end_unknown(task->box, row);
		return;
	}
	task->seen = task->box->listing;
	task->sent = true;
	task->state = row->state == 3 ? TASK_WAITS : TASK_RUNS;
	task->inner_pid = row->pid;
	task->restarts = row->restarts;
	task->started_ns = row->started_ns;
	task->status = row->status;
	task->ended_ns = row->ended_ns;
	if (!task->taken)
		take(task);
	launch_known(task);
	if (ended) {
		task_over(task, row->status, row->ended_ns);
		return;
	}
	if ((task->flags & RUN_EXEC) && list_is_empty(&task->attachments))
		task_stop(task, SIGHUP, 0);
	else if (task->stopping)
		task_stop(task, task->stop_signo, task->stop_grace_ms);
	health_start(task);
}

/* What was running and is not in the list has ended, and how is not known any more. */
static void lose_unseen(struct box *box)
{
	struct list mine;
	struct list *link;

	list_init(&mine);
	/* Any of them may forget itself, and others of its name. */
	while ((link = list_take_head(&box->tasks)))
		list_add_tail(&mine, link);
	while ((link = list_take_head(&mine))) {
		struct task *task = CONTAINER_OF(link, struct task, of_box);

		list_add_tail(&box->tasks, link);
		if (task_has_ended(task) || !task->sent || task->seen == box->listing)
			continue;
		/* Its answer is still to come. */
		if (task->start && !task->unsure && box->link)
			continue;
		task->sent = false;
		if (task->state == TASK_STARTS && task->start) {
			task_cannot(task, DVS_PEERDEAD,
				    "start %s: the connection with dc-init broke; try it again",
				    task->name);
			continue;
		}
		task->lost = true;
		task->taken = true;
		if (task->over)
			task_settle(task);
		else
			task_over(task, STATUS_KILLED, clock_real_ns());
	}
}

static bool listed(void *context, dvs_err err, struct cursor *body, int *fds, size_t n_fds)
{
	struct box *box = context;
	struct init_list_rep rep;
	uint64_t cursor = 0;

	(void)fds;
	if (err == DVS_PEERDEAD)
		return true;
	if (err != DVS_OK || init_list_rep_decode(body, &rep) != DVS_OK || n_fds != 0)
		return false;
	for (size_t i = 0; i < rep.n_programs; i++) {
		struct task *task = task_in(box, rep.programs[i].id);

		/* By rising id, or it would go on for ever. */
		if (rep.programs[i].id <= cursor)
			return false;
		cursor = rep.programs[i].id;
		if (task)
			adopt(task, &rep.programs[i]);
		else
			end_unknown(box, &rep.programs[i]);
	}
	if (rep.n_programs == ARRAY_LEN(rep.programs) &&
	    ++box->pages <= INIT_PROGRAMS_MAX / ARRAY_LEN(rep.programs)) {
		ask_list(box, cursor);
		return true;
	}
	lose_unseen(box);
	box->listed = true;
	box_look(box);
	return true;
}

static void ask_list(struct box *box, uint64_t cursor)
{
	struct init_list_req req = { .cursor = cursor };
	struct writer out = init_link_body(box->link);

	init_list_req_encode(&out, &req);
	if (init_link_ask(box->link, INIT_LIST, &out, NULL, 0, listed, box) != DVS_OK)
		log_error(&box->programs->agent->log, "dc-init cannot be asked what runs",
			  LOG_STR("dc", box->dc));
}

static void link_up(void *context)
{
	struct box *box = context;

	box->listed = false;
	box->listing++;
	box->pages = 0;
	ask_list(box, 0);
}

static void gone_fire(struct loop_timer *timer)
{
	struct box *box = CONTAINER_OF(timer, struct box, gone);

	reconcile_init_gone(box->programs->agent->reconcile, box->dc, box->init);
}

/* From the loop: what reconcile then does may close the link that is telling this. */
static void tell_gone(struct box *box)
{
	loop_timer_set(box->programs->loop, &box->gone, 0, gone_fire);
}

static void link_down(void *context, bool refused)
{
	struct box *box = context;

	box->listed = false;
	if (refused)
		tell_gone(box);
}

static void init_exited(void *context, const struct init_exited_req *event)
{
	struct box *box = context;
	struct task *task = task_in(box, event->id);

	if (!task) {
		(void)health_exited(box, event->id, event->status);
		return;
	}
	if (!task->sent || task->state == TASK_STARTS || task_has_ended(task) || task->over)
		return;
	task->status = event->status;
	task->ended_ns = clock_real_ns();
	if (event->restart_ms == INIT_NO_RESTART) {
		task_over(task, event->status, task->ended_ns);
		return;
	}
	task->state = TASK_WAITS;
	task->inner_pid = 0;
	health_end(task);
}

static void init_started(void *context, const struct init_started_req *event)
{
	struct box *box = context;
	struct task *task = task_in(box, event->id);

	if (!task || !task->sent || task->state == TASK_STARTS || task_has_ended(task) ||
	    task->over || event->err != 0)
		return;
	task->state = TASK_RUNS;
	task->inner_pid = event->pid;
	task->restarts = event->restarts;
	task->started_ns = clock_real_ns();
	/* A terminal has somebody at its other end again. */
	pumps_run(task);
	health_start(task);
}

static const struct init_link_calls link_calls = {
	.up = link_up,
	.down = link_down,
	.exited = init_exited,
	.started = init_started,
};

/* ---- its life ---- */

static void init_died(struct loop_watch *watch, uint32_t events)
{
	struct box *box = CONTAINER_OF(watch, struct box, init_watch);
	int fd = watch->fd;

	(void)events;
	loop_unwatch(box->programs->loop, watch);
	cleanup_close(&fd);
	tell_gone(box);
}

static void watch_init(struct box *box)
{
	int fd = (int)syscall(SYS_pidfd_open, box->init, 0);

	if (fd < 0 || loop_watch(box->programs->loop, &box->init_watch, fd, EPOLLIN, init_died)) {
		cleanup_close(&fd);
		tell_gone(box);
	}
}

struct box *box_new(struct programs *programs, const char *dc)
{
	struct box *box = calloc(1, sizeof(*box));

	if (!box)
		return NULL;
	box->programs = programs;
	(void)snprintf(box->dc, sizeof(box->dc), "%s", dc);
	list_init(&box->tasks);
	list_add_tail(&programs->boxes, &box->of_programs);
	return box;
}

void box_disconnect(struct box *box)
{
	struct loop *loop = box->programs->loop;
	int fd = box->init_watch.fd;

	loop_timer_cancel(loop, &box->gone);
	if (box->init_watch.is_on) {
		loop_unwatch(loop, &box->init_watch);
		cleanup_close(&fd);
	}
	init_link_close(TAKE_PTR(box->link));
	box->listed = false;
}

dvs_err box_connect(struct box *box, pid_t init, const char *path)
{
	dvs_err err;

	box->init = init;
	box->closing = false;
	err = init_link_open(box->programs->loop, path, &link_calls, box, &box->link);
	if (err == DVS_OK)
		watch_init(box);
	return err;
}

void box_wanted_clear(struct box *box)
{
	for (size_t i = 0; i < box->n_wanted; i++)
		program_free(&box->wanted[i].program);
	free(TAKE_PTR(box->wanted));
	box->n_wanted = 0;
}

/* All that ran ended with dc-init. */
void box_ended(struct box *box)
{
	box_disconnect(box);
	box->listing++;
	LIST_FOREACH(link, &box->tasks) {
		struct task *task = CONTAINER_OF(link, struct task, of_box);

		/* Those that were not sent, too. */
		if (!task_has_ended(task))
			task->sent = true;
	}
	lose_unseen(box);
}

void box_free(struct box *box, bool forget)
{
	box_disconnect(box);
	loop_timer_cancel(box->programs->loop, &box->again);
	while (!list_is_empty(&box->tasks)) {
		struct task *task = CONTAINER_OF(box->tasks.next, struct task, of_box);

		if (forget)
			task_forget(task);
		else
			task_free(task);
	}
	box_wanted_clear(box);
	says_free(&box->says);
	list_remove(&box->of_programs);
	free(box);
}
