/* SPDX-License-Identifier: Apache-2.0 */
#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "agent/reconcile.h"
#include "agent/task.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "container/init/frame.h"

struct task *task_find(const struct programs *programs, uint64_t id)
{
	LIST_FOREACH(at, &programs->boxes) {
		const struct box *box = CONTAINER_OF(at, struct box, of_programs);

		LIST_FOREACH(link, &box->tasks) {
			struct task *task = CONTAINER_OF(link, struct task, of_box);

			if (task->id == id)
				return task;
		}
	}
	return NULL;
}

struct task *task_by_name(const struct box *box, const char *name)
{
	LIST_FOREACH(link, &box->tasks) {
		struct task *task = CONTAINER_OF(link, struct task, of_box);

		if (strcmp(task->name, name) == 0)
			return task;
	}
	return NULL;
}

bool task_has_ended(const struct task *task)
{
	return task->state == TASK_ENDED || task->state == TASK_CANNOT;
}

/* Those that were forgotten have files that could be met again: an id is never used twice. */
static bool new_id(const struct programs *programs, uint64_t *id)
{
	do {
		if (getentropy(id, sizeof(*id)) != 0)
			return false;
		*id &= UINT64_MAX >> 1;
	} while (*id == 0 || task_find(programs, *id));
	return true;
}

static void task_init(struct task *task, struct box *box, uint64_t id)
{
	task->programs = box->programs;
	task->box = box;
	task->id = id;
	task->state = TASK_STARTS;
	task->stop_signo = SIGTERM;
	task->input.fd = -1;
	for (size_t i = 0; i < 2; i++)
		task->pumps[i] = (struct pump){ .task = task, .fd = -1 };
	list_init(&task->input.writes);
	list_init(&task->attachments);
	list_init(&task->waiters);
	list_init(&task->followers);
}

dvs_err task_new(struct box *box, uint64_t id, struct task **made)
{
	struct programs *programs = box->programs;
	struct task *task;

	if (programs->n_tasks >= TASKS_MAX)
		return DVS_FULL;
	task = calloc(1, sizeof(*task));
	if (!task || (id == 0 && !new_id(programs, &id))) {
		free(task);
		return DVS_NOMEM;
	}
	task_init(task, box, id);
	list_add_tail(&box->tasks, &task->of_box);
	programs->n_tasks++;
	*made = task;
	return DVS_OK;
}

/* ---- its end ---- */

static void forget_in_init(struct task *task)
{
	struct init_forget_req req = { .id = task->id };
	struct writer out;

	if (!task->box->link || !task->sent || task->lost)
		return;
	out = init_link_body(task->box->link);
	init_forget_req_encode(&out, &req);
	/* When it is not heard, its row is forgotten at the next listing. */
	if (init_link_ask(task->box->link, INIT_FORGET, &out, NULL, 0, NULL, NULL) == DVS_OK)
		task->sent = false;
}

static void fail_all(struct list *requests, dvs_err err, const char *name)
{
	while (!list_is_empty(requests))
		request_fail(CONTAINER_OF(requests->next, struct request, kept), err,
			     "program %s was forgotten", name);
}

void task_free(struct task *task)
{
	health_end(task);
	loop_timer_cancel(task->programs->loop, &task->lag);
	if (task->box->link)
		init_link_forget(task->box->link, task);
	if (task->starter)
		request_fail(TAKE_PTR(task->starter), DVS_BADSTATE, "program %s was forgotten",
			     task->name);
	while (!list_is_empty(&task->attachments))
		attachment_free(CONTAINER_OF(task->attachments.next, struct attachment, of_task));
	fail_all(&task->waiters, DVS_NOTFOUND, task->name);
	fail_all(&task->followers, DVS_NOTFOUND, task->name);
	input_close(task, DVS_PEERDEAD);
	for (size_t i = 0; i < 2; i++)
		pump_close(&task->pumps[i]);
	logs_close(task->logs);
	free(task->start);
	list_remove(&task->of_box);
	task->programs->n_tasks--;
	free(task);
}

void task_forget(struct task *task)
{
	forget_in_init(task);
	if (task->logs)
		logs_remove(task->logs);
	store_remove(task);
	task_free(task);
}

/* The oldest of those that have ended make room. */
static void forget_old(struct box *box)
{
	struct task *oldest = NULL;
	size_t n = 0;

	LIST_FOREACH(link, &box->tasks) {
		struct task *task = CONTAINER_OF(link, struct task, of_box);

		if (!task_has_ended(task) || !list_is_empty(&task->attachments))
			continue;
		n++;
		if (!oldest || task->ended_ns < oldest->ended_ns)
			oldest = task;
	}
	if (n > TASKS_ENDED_MAX)
		task_forget(oldest);
}

/* Its attachments have read all, and nobody else is to know of it. */
static bool is_to_go(const struct task *task)
{
	return (task->flags & (RUN_REMOVE | RUN_EXEC)) && list_is_empty(&task->attachments);
}

static void tell_end(struct task *task)
{
	struct agent_wait_rep rep = { .status = task->status };

	while (!list_is_empty(&task->waiters))
		REQUEST_ANSWER(CONTAINER_OF(task->waiters.next, struct request, kept), wait, &rep);
	followers_feed(task);
	LIST_FOREACH_SAFE(link, &task->attachments) {
		struct attachment *attachment = CONTAINER_OF(link, struct attachment, of_task);

		if (attachment->reader && list_is_empty(&attachment->chunks)) {
			/* The last one takes the task along. */
			bool last = task->attachments.next->next == &task->attachments;

			attachment_feed(attachment);
			if (last)
				return;
		}
	}
	task_settle(task);
}

static bool pumps_are_done(const struct task *task)
{
	for (size_t i = 0; i < 2; i++) {
		if (task->pumps[i].fd >= 0 && !task->pumps[i].drained)
			return false;
	}
	return true;
}

void task_settle(struct task *task)
{
	struct box *box = task->box;

	if (task_has_ended(task)) {
		if (is_to_go(task))
			task_forget(task);
		return;
	}
	if (!task->over || !task->taken || !pumps_are_done(task))
		return;
	task->state = TASK_ENDED;
	health_end(task);
	input_close(task, DVS_PEERDEAD);
	forget_in_init(task);
	if (task->flags & RUN_EXEC)
		store_remove(task);
	else
		store_save(task);
	tell_end(task);
	box_look(box);
	forget_old(box);
}

void task_over(struct task *task, uint32_t status, uint64_t ended_ns)
{
	if (task->over || task_has_ended(task))
		return;
	task->over = true;
	task->status = status;
	task->ended_ns = ended_ns;
	task->inner_pid = 0;
	health_end(task);
	/* All that it wrote is in the pipes now. */
	pumps_run(task);
	task_settle(task);
}

void task_cannot(struct task *task, dvs_err err, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(task->text, sizeof(task->text), format, args);
	va_end(args);
	task->state = TASK_CANNOT;
	task->sent = false;
	if (task->starter) {
		request_fail(TAKE_PTR(task->starter), err, "%s", task->text);
		task_forget(task);
		return;
	}
	log_warning(&task->programs->agent->log, "a program cannot be started",
		    LOG_STR("dc", task->box->dc), LOG_STR("program", task->name),
		    LOG_STR("why", task->text));
	store_save(task);
	box_look_later(task->box);
}

/* ---- orders ---- */

static bool stopped(void *context, dvs_err err, struct cursor *body, int *fds, size_t n_fds)
{
	(void)context;
	(void)fds;
	return (err != DVS_OK || cursor_left(body) == 0) && n_fds == 0;
}

void task_stop(struct task *task, uint32_t signo, uint32_t grace_ms)
{
	struct init_stop_req req = { .id = task->id, .signo = signo, .grace_ms = grace_ms };
	struct writer out;

	task->stopping = true;
	if (!task->sent || !task->box->link)
		return;
	out = init_link_body(task->box->link);
	init_stop_req_encode(&out, &req);
	if (init_link_ask(task->box->link, INIT_STOP, &out, NULL, 0, stopped, task) != DVS_OK)
		log_warning(&task->programs->agent->log, "a program cannot be stopped now",
			    LOG_STR("program", task->name));
}

/* ---- its descriptors ---- */

/* A description of the file of our own: the flags of the one that came belong to dc-init, too, and a read must never block. */
static int own_end(int fd, int flags)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return open(path, flags | O_NONBLOCK | O_CLOEXEC);
}

/* What dc-init is to keep of FD from now on: /dev/null when it is closed. */
static int kept_end(int fd)
{
	return fd >= 0 ? own_end(fd, O_RDONLY) : open("/dev/null", O_RDWR | O_CLOEXEC);
}

void task_stdin_ended(struct task *task)
{
	struct init_give_req req = { .id = task->id };
	int fds[3] = { kept_end(-1), kept_end(task->pumps[0].fd), kept_end(task->pumps[1].fd) };
	struct writer out;

	if (task->box->link && task->sent && fds[0] >= 0 && fds[1] >= 0 && fds[2] >= 0) {
		out = init_link_body(task->box->link);
		init_give_req_encode(&out, &req);
		if (init_link_ask(task->box->link, INIT_GIVE, &out, fds, 3, NULL, NULL) == DVS_OK)
			return;
	}
	for (size_t i = 0; i < 3; i++)
		cleanup_close(&fds[i]);
}

static void connect_terminal(struct task *task, int *fds)
{
	int master = fds[0];

	if (!init_fd_is_terminal(master) || fcntl(master, F_SETFL, O_NONBLOCK) != 0)
		return;
	input_open(task, fcntl(master, F_DUPFD_CLOEXEC, 0));
	pump_open(task, 0, take_fd(&fds[0]), LOGS_STDOUT);
}

void task_connect(struct task *task, int *fds, size_t n_fds)
{
	task->taken = true;
	if (task->flags & RUN_TTY) {
		if (n_fds == 1)
			connect_terminal(task, fds);
		return;
	}
	if (n_fds != 3)
		return;
	if ((task->flags & RUN_STDIN) && init_fd_is_pipe(fds[0]))
		input_open(task, own_end(fds[0], O_WRONLY));
	for (size_t i = 0; i < 2; i++) {
		if (init_fd_is_pipe(fds[i + 1]))
			pump_open(task, i, own_end(fds[i + 1], O_RDONLY),
				  i == 0 ? LOGS_STDOUT : LOGS_STDERR);
	}
}

/* ---- its number on the host ---- */

static bool read_text(const char *path, char *text, size_t size)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t len = fd >= 0 ? read(fd, text, size - 1) : -1;

	if (len < 0)
		return false;
	text[len] = '\0';
	return true;
}

/* The number that process PID of the host has in its own PID namespace. */
static uint32_t inner_number(uint32_t pid)
{
	char path[64];
	char text[4096];
	const char *at;
	uint32_t last = 0;

	(void)snprintf(path, sizeof(path), "/proc/%" PRIu32 "/status", pid);
	if (!read_text(path, text, sizeof(text)) || !(at = strstr(text, "\nNSpid:")))
		return 0;
	for (at += 7; *at && *at != '\n'; at++) {
		if (isdigit((unsigned char)*at)) {
			char *end;

			last = (uint32_t)strtoul(at, &end, 10);
			at = end - 1;
		}
	}
	return last;
}

uint32_t task_host_pid(struct task *task)
{
	char path[64];
	static const size_t size = 64 * 1024;
	AUTO_FREE char *children = NULL;
	char *at;

	if (task->inner_pid == 0)
		return 0;
	if (task->pid_of == task->inner_pid)
		return task->pid;
	/* All programs are children of dc-init; what the kernel says of them dc-init cannot make up. */
	(void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", task->box->init,
		       task->box->init);
	children = malloc(size);
	if (!children || !read_text(path, children, size))
		return 0;
	for (at = children; *at;) {
		uint32_t pid = (uint32_t)strtoul(at, &at, 10);

		if (pid != 0 && inner_number(pid) == task->inner_pid) {
			task->pid = pid;
			task->pid_of = task->inner_pid;
			return pid;
		}
		while (*at == ' ')
			at++;
	}
	return 0;
}
