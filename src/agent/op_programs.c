/* SPDX-License-Identifier: Apache-2.0 */
/* The operations on programs (src/proto/agent.toml). */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

#include "agent/mounts.h"
#include "agent/task.h"
#include "base/err.h"

/* The task, or NULL: the request is answered then. */
static struct task *task_asked(struct agent *agent, struct request *request, uint64_t id)
{
	struct task *task = task_find(agent->programs, id);

	if (!task)
		request_fail(request, DVS_NOTFOUND,
			     "there is no program %016" PRIx64
			     " on this node; list the programs with 'dvs ps'",
			     id);
	return task;
}

static struct attachment *attachment_asked(struct agent *agent, struct request *request,
					   uint64_t id)
{
	struct attachment *attachment = attachment_find(agent->programs, id);

	if (!attachment)
		request_fail(
			request, DVS_NOTFOUND,
			"this attachment has ended, or the agent was started anew: attach again");
	return attachment;
}

/* ---- run ---- */

static bool is_strings(const uint8_t *bytes, uint32_t len)
{
	return len == 0 || bytes[len - 1] == '\0';
}

static bool run_is_good(const struct agent_run_req *req, struct request *request)
{
	if ((req->n_args == 0 ? (req->flags & RUN_EXEC) != 0 : req->args[0] == '\0') ||
	    !is_strings(req->args, req->n_args) || !is_strings(req->env, req->n_env)) {
		request_fail(request, DVS_BADARG,
			     "a program and its arguments are wanted, each ended by a zero byte");
		return false;
	}
	for (uint32_t at = 0; at < req->n_env;
	     at += (uint32_t)strlen((const char *)req->env + at) + 1) {
		const char *entry = (const char *)req->env + at;

		if (entry[0] == '=' || !strchr(entry, '=')) {
			request_fail(request, DVS_BADARG,
				     "'%.64s' is no NAME=VALUE for the environment", entry);
			return false;
		}
	}
	if ((req->flags & RUN_EXEC) && ((req->flags & RUN_DETACH) || req->restart != 0)) {
		request_fail(request, DVS_BADARG,
			     "what ends with its attachment cannot be detached or started again");
		return false;
	}
	return true;
}

void op_run(struct agent *agent, struct request *request)
{
	struct agent_run_req *req = &agent->programs->body.run;
	char why[AGENT_WHY_MAX + 1];
	struct launch how;
	struct box *box;
	dvs_err err;

	if (!REQUEST_DECODE(request, run, req) || !run_is_good(req, request))
		return;
	box = box_find(agent->programs, req->dc);
	if (!box || !box->link) {
		request_fail(
			request, DVS_NODC,
			"DC %s has no container that runs on this node; see 'dvs dc inspect %s'",
			req->dc, req->dc);
		return;
	}
	if (box->closing) {
		request_fail(request, DVS_BADSTATE, "the container of DC %s is being removed",
			     req->dc);
		return;
	}
	if (box->frozen) {
		request_fail(request, DVS_BADSTATE,
			     "DC %s is frozen: let it go on with 'dvs dc thaw %s'", req->dc,
			     req->dc);
		return;
	}
	if (mounts_hold(agent->mounts, req->dc, request, op_run))
		return;
	how = (struct launch){ .name = req->name,
			       .record = "",
			       .args = req->args,
			       .env = req->env,
			       .n_args = req->n_args,
			       .n_env = req->n_env,
			       .cwd = req->cwd,
			       .user = req->user,
			       .flags = req->flags,
			       .rows = req->rows,
			       .cols = req->cols,
			       .restart = req->restart,
			       .retries = req->retries,
			       .backoff_ms = req->backoff_ms };
	err = launch(box, &how, request, why);
	if (err != DVS_OK)
		request_fail(request, err, "%s", why);
}

/* ---- attachments ---- */

static void terminal_size(const struct task *task, uint16_t rows, uint16_t cols)
{
	struct winsize size = { .ws_row = rows, .ws_col = cols };

	if ((task->flags & RUN_TTY) && rows > 0 && cols > 0 && task->pumps[0].fd >= 0)
		(void)ioctl(task->pumps[0].fd, TIOCSWINSZ, &size);
}

void op_attach(struct agent *agent, struct request *request)
{
	struct agent_attach_req req;
	struct agent_attach_rep rep;
	struct attachment *attachment;
	struct task *task;
	dvs_err err;

	if (!REQUEST_DECODE(request, attach, &req) ||
	    !(task = task_asked(agent, request, req.program)))
		return;
	if (task_has_ended(task)) {
		request_fail(request, DVS_BADSTATE,
			     "program %s has ended; 'dvs logs' tells what it wrote", task->name);
		return;
	}
	err = attachment_new(task, request->source, &attachment);
	if (err != DVS_OK) {
		request_fail(request, err, "attach to %s: %s; the agent keeps %u attachments",
			     task->name, dvs_strerror(err), ATTACHMENTS_MAX);
		return;
	}
	terminal_size(task, req.rows, req.cols);
	rep.attach = attachment->id;
	rep.tty = (task->flags & RUN_TTY) != 0;
	REQUEST_ANSWER(request, attach, &rep);
}

void op_read(struct agent *agent, struct request *request)
{
	struct agent_read_req req;
	struct attachment *attachment;

	if (!REQUEST_DECODE(request, read, &req) ||
	    !(attachment = attachment_asked(agent, request, req.attach)))
		return;
	if (attachment->reader)
		request_fail(request, DVS_BADSTATE, "somebody reads from this attachment already");
	else
		attachment_read(attachment, request);
}

void op_write(struct agent *agent, struct request *request)
{
	struct agent_write_req *req = &agent->programs->body.write;
	struct attachment *attachment;
	struct task *task;

	if (!REQUEST_DECODE(request, write, req) ||
	    !(attachment = attachment_asked(agent, request, req->attach)))
		return;
	task = attachment->task;
	if (task->input.fd >= 0)
		input_add(task, request);
	else if (task->flags & (RUN_STDIN | RUN_TTY))
		request_fail(request, DVS_PEERDEAD, "the stdin of program %s is closed",
			     task->name);
	else
		request_fail(request, DVS_BADSTATE,
			     "program %s was started without stdin; start it with -i", task->name);
}

void op_resize(struct agent *agent, struct request *request)
{
	struct agent_resize_req req;
	struct attachment *attachment;

	if (!REQUEST_DECODE(request, resize, &req) ||
	    !(attachment = attachment_asked(agent, request, req.attach)))
		return;
	if (!(attachment->task->flags & RUN_TTY)) {
		request_fail(request, DVS_BADSTATE, "program %s has no terminal",
			     attachment->task->name);
		return;
	}
	terminal_size(attachment->task, req.rows, req.cols);
	request_done(request);
}

void op_detach(struct agent *agent, struct request *request)
{
	struct agent_detach_req req;
	struct attachment *attachment;

	if (!REQUEST_DECODE(request, detach, &req) ||
	    !(attachment = attachment_asked(agent, request, req.attach)))
		return;
	attachment_end(attachment);
	request_done(request);
}

/* ---- signals and ends ---- */

static bool signalled(void *context, dvs_err err, struct cursor *body, int *fds, size_t n_fds)
{
	(void)context;
	(void)fds;
	return (err != DVS_OK || cursor_left(body) == 0) && n_fds == 0;
}

void op_signal(struct agent *agent, struct request *request)
{
	struct agent_signal_req req;
	struct init_signal_req say;
	struct task *task;
	struct writer out;

	if (!REQUEST_DECODE(request, signal, &req) ||
	    !(task = task_asked(agent, request, req.program)))
		return;
	if (task_has_ended(task) || task->over || !task->box->link) {
		request_fail(request, DVS_BADSTATE, "program %s has ended", task->name);
		return;
	}
	if (req.stop) {
		task->stop_signo = req.signo;
		task->stop_grace_ms = req.grace_ms;
		task_stop(task, req.signo, req.grace_ms);
		request_done(request);
		return;
	}
	say = (struct init_signal_req){ .id = task->id, .signo = req.signo };
	out = init_link_body(task->box->link);
	init_signal_req_encode(&out, &say);
	if (task->state != TASK_RUNS)
		request_fail(request, DVS_BADSTATE, "program %s does not run now", task->name);
	else if (init_link_ask(task->box->link, INIT_SIGNAL, &out, NULL, 0, signalled, task))
		request_fail(request, DVS_FULL, "dc-init of DC %s does not answer", task->box->dc);
	else
		request_done(request);
}

void op_wait(struct agent *agent, struct request *request)
{
	struct agent_wait_req req;
	struct agent_wait_rep rep;
	struct task *task;

	if (!REQUEST_DECODE(request, wait, &req) ||
	    !(task = task_asked(agent, request, req.program)))
		return;
	rep.status = task->status;
	if (task_has_ended(task))
		REQUEST_ANSWER(request, wait, &rep);
	else
		list_add_tail(&task->waiters, &request->kept);
}

void op_forget(struct agent *agent, struct request *request)
{
	struct agent_forget_req req;
	struct task *task;

	if (!REQUEST_DECODE(request, forget, &req) ||
	    !(task = task_asked(agent, request, req.program)))
		return;
	if (!task_has_ended(task)) {
		request_fail(request, DVS_BADSTATE,
			     "program %s has not ended; end it with 'dvs kill'", task->name);
		return;
	}
	task_forget(task);
	request_done(request);
}

/* ---- the list ---- */

static void fill_program(struct agent_program *row, struct task *task)
{
	memset(row, 0, sizeof(*row));
	row->id = task->id;
	memcpy(row->dc, task->box->dc, sizeof(row->dc));
	memcpy(row->name, task->name, sizeof(row->name));
	memcpy(row->record, task->record, sizeof(row->record));
	row->pid = task_host_pid(task);
	row->inner_pid = task->inner_pid;
	row->state = (uint8_t)task->state;
	row->status = task->status;
	row->restarts = task->restarts;
	row->started_ns = task->started_ns;
	row->ended_ns = task->ended_ns;
	row->health = task->health.value;
	row->tty = (task->flags & RUN_TTY) != 0;
	row->attached = !list_is_empty(&task->attachments);
	memcpy(row->command, task->command, sizeof(row->command));
	memcpy(row->text, task->text, sizeof(row->text));
}

/* The task with the lowest id above CURSOR. */
static struct task *next_task(const struct programs *programs, const char *dc, uint64_t cursor)
{
	struct task *next = NULL;

	LIST_FOREACH(at, &programs->boxes) {
		const struct box *box = CONTAINER_OF(at, struct box, of_programs);

		if (dc[0] && strcmp(dc, box->dc) != 0)
			continue;
		LIST_FOREACH(link, &box->tasks) {
			struct task *task = CONTAINER_OF(link, struct task, of_box);

			if (task->id > cursor && (!next || task->id < next->id))
				next = task;
		}
	}
	return next;
}

void op_programs(struct agent *agent, struct request *request)
{
	struct agent_programs_rep *rep = &agent->programs->body.programs;
	struct agent_programs_req req;
	struct task *task;

	if (!REQUEST_DECODE(request, programs, &req))
		return;
	rep->n_programs = 0;
	while (rep->n_programs < ARRAY_LEN(rep->programs) &&
	       (task = next_task(agent->programs, req.dc, req.cursor))) {
		req.cursor = task->id;
		fill_program(&rep->programs[rep->n_programs++], task);
	}
	REQUEST_ANSWER(request, programs, rep);
}

/* ---- logs ---- */

/* Answer when there is something, or nothing will come, or it is not waited for. */
static bool logs_answer(struct task *task, struct request *request,
			const struct agent_logs_req *asked, bool wait)
{
	struct agent_logs_rep *rep = &task->programs->body.logs;
	uint64_t end = task->logs ? logs_end(task->logs) : 0;

	rep->cursor = asked->cursor;
	rep->n_data = 0;
	if (task->logs)
		rep->n_data = (uint32_t)logs_read(task->logs, &rep->cursor, asked->tail,
						  asked->since_ns, rep->data, sizeof(rep->data));
	rep->over = task_has_ended(task) && rep->cursor >= end;
	if (rep->n_data == 0 && !rep->over && wait)
		return false;
	REQUEST_ANSWER(request, logs, rep);
	return true;
}

static bool asked_again(const struct request *request, struct agent_logs_req *req)
{
	struct cursor in = cursor_over(request->body, request->len);

	return agent_logs_req_decode(&in, req) == DVS_OK;
}

void followers_feed(struct task *task)
{
	LIST_FOREACH_SAFE(link, &task->followers) {
		struct request *request = CONTAINER_OF(link, struct request, kept);
		struct agent_logs_req req;

		if (!asked_again(request, &req))
			continue;
		/* The tail was taken when it came. */
		if (req.cursor == 0 && req.tail != LOGS_ALL)
			memcpy(&req.cursor, &request->keeper, sizeof(req.cursor));
		req.tail = LOGS_ALL;
		(void)logs_answer(task, request, &req, true);
	}
}

void op_logs(struct agent *agent, struct request *request)
{
	struct agent_logs_req req;
	struct task *task;
	uint64_t place;

	if (!REQUEST_DECODE(request, logs, &req) ||
	    !(task = task_asked(agent, request, req.program)))
		return;
	place = task->logs ? logs_end(task->logs) : 0;
	if (logs_answer(task, request, &req, req.follow))
		return;
	/* There is nothing yet: what it waits for begins here. */
	memcpy(&request->keeper, &place, sizeof(place));
	list_add_tail(&task->followers, &request->kept);
}
