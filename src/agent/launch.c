/* SPDX-License-Identifier: Apache-2.0 */
/* From a run or a record to a program: its environment, its user (which a worker looks up in the container), its pipes, and the request to dc-init. */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "agent/task.h"
#include "base/cleanup.h"
#include "base/clock.h"
#include "container/host.h"

#define PATH_DEFAULT "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* A name in the container's files is looked up. */
struct lookup {
	struct work work;
	struct programs *programs;
	uint64_t id; /* of the task, which may be gone by then */
	pid_t init;
	char user[128];
	uint32_t uid, gid, n_groups, groups[32];
	char home[256];
	char why[DESCRIPTION_TEXT_MAX + 1];
	dvs_err err;
};

/* ---- the environment ---- */

static size_t name_len(const char *entry)
{
	const char *equals = strchr(entry, '=');

	return equals ? (size_t)(equals - entry) : strlen(entry);
}

/* Where ENTRY's name stands in the environment of REQ, or NULL. */
static uint8_t *env_find(struct init_start_req *req, const char *entry)
{
	size_t len = name_len(entry);

	for (uint8_t *at = req->env; at < req->env + req->n_env;
	     at += strlen((const char *)at) + 1) {
		if (name_len((const char *)at) == len && memcmp(at, entry, len) == 0)
			return at;
	}
	return NULL;
}

/* The last one of a name counts. */
static bool env_put(struct init_start_req *req, const char *entry)
{
	uint8_t *old = env_find(req, entry);
	size_t len = strlen(entry) + 1;

	if (old) {
		size_t old_len = strlen((const char *)old) + 1;

		memmove(old, old + old_len, (size_t)(req->env + req->n_env - old) - old_len);
		req->n_env -= (uint32_t)old_len;
	}
	if (req->n_env + len > sizeof(req->env))
		return false;
	memcpy(req->env + req->n_env, entry, len);
	req->n_env += (uint32_t)len;
	return true;
}

static bool env_put_all(struct init_start_req *req, const char *strings, size_t len)
{
	for (const char *at = strings; at < strings + len; at += strlen(at) + 1) {
		if (!env_put(req, at))
			return false;
	}
	return true;
}

static bool env_build(struct init_start_req *req, const struct box *box, const struct launch *how)
{
	const char *own = (const char *)how->env;

	return env_put(req, PATH_DEFAULT) &&
	       (!(how->flags & RUN_TTY) || env_put(req, "TERM=xterm")) &&
	       env_put_all(req, box->says.env, box->says.env_len) &&
	       env_put_all(req, own, how->n_env);
}

/* ---- what is asked of dc-init ---- */

static struct init_start_req *start_build(const struct box *box, const struct launch *how,
					  uint64_t id)
{
	struct init_start_req *req = calloc(1, sizeof(*req));

	if (!req)
		return NULL;
	req->id = id;
	memcpy(req->args, how->args, how->n_args);
	req->n_args = (uint32_t)how->n_args;
	if (!env_build(req, box, how)) {
		free(req);
		return NULL;
	}
	(void)snprintf(req->cwd, sizeof(req->cwd), "%s", how->cwd);
	req->tty = (how->flags & RUN_TTY) != 0;
	req->rows = how->rows;
	req->cols = how->cols;
	req->restart = how->restart;
	req->retries = how->retries;
	req->backoff_ms = how->backoff_ms;
	req->kept = 1;
	for (; req->n_rlimits < how->n_rlimits && req->n_rlimits < ARRAY_LEN(req->rlimits);
	     req->n_rlimits++)
		req->rlimits[req->n_rlimits] =
			(struct init_rlimit){ .which = how->rlimits[req->n_rlimits].which,
					      .soft = how->rlimits[req->n_rlimits].soft,
					      .hard = how->rlimits[req->n_rlimits].hard };
	return req;
}

static void command_text(char *text, size_t size, const uint8_t *args, size_t n_args)
{
	size_t n = 0;

	for (; n + 1 < size && n + 1 < n_args; n++)
		text[n] = (char)(args[n] == '\0' || args[n] == '\n' ? ' ' : args[n]);
	text[n] = '\0';
	/* Not in the middle of a character. */
	while (n > 0 && n + 1 == size && ((unsigned char)text[n - 1] & 0xc0) == 0x80)
		text[--n] = '\0';
}

/* ---- pipes ---- */

static void close_all(int *fds, size_t n)
{
	for (size_t i = 0; i < n; i++)
		cleanup_close(&fds[i]);
}

/* FDS: stdin, stdout, stderr of the program, then the far ends. */
static bool pipes_open(const struct task *task, int fds[6])
{
	uint32_t base = container_uid(task->box->id.n);

	for (size_t i = 0; i < 3; i++) {
		int ends[2];

		if (i == 0 && !(task->flags & RUN_STDIN)) {
			fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
			fds[3] = open("/dev/null", O_RDONLY | O_CLOEXEC);
			if (fds[0] < 0 || fds[3] < 0)
				return false;
			continue;
		}
		if (pipe2(ends, O_CLOEXEC) != 0)
			return false;
		fds[i] = ends[i == 0 ? 0 : 1];
		fds[3 + i] = ends[i == 0 ? 1 : 0];
		/* So that the program can open /dev/stdout. */
		if (task->start->uid < CONTAINER_UIDS && task->start->gid < CONTAINER_UIDS &&
		    fchown(ends[0], base + task->start->uid, base + task->start->gid) != 0)
			return false;
	}
	return true;
}

/* ---- starting ---- */

static void answer_run(struct task *task)
{
	struct agent_run_rep rep = { .program = task->id,
				     .attach = task->first ? task->first->id : 0 };

	if (!task->starter)
		return;
	(void)snprintf(rep.name, sizeof(rep.name), "%s", task->name);
	REQUEST_ANSWER(TAKE_PTR(task->starter), run, &rep);
}

void launch_known(struct task *task)
{
	free(TAKE_PTR(task->start));
	answer_run(task);
}

static void not_started(struct task *task, dvs_err err)
{
	const char *program = (const char *)task->start->args;

	if (err == DVS_NOTFOUND && task->start->tty)
		task_cannot(
			task, err,
			"start %s: no such program, or no folder %s, or no /dev/ptmx for a terminal in the container; see what its root file system has",
			program, task->start->cwd);
	else if (err == DVS_NOTFOUND)
		task_cannot(
			task, err,
			"start %s: no such program, or no folder %s, in the container; give its whole path, or see what its root file system has",
			program, task->start->cwd[0] ? task->start->cwd : "/");
	else if (err == DVS_DENIED)
		task_cannot(task, err,
			    "start %s: that may not be executed as user %" PRIu32
			    " in the container; see its mode, and the user",
			    program, task->start->uid);
	else if (err == DVS_BADARG)
		task_cannot(
			task, err,
			"start %s: it is not executable here; is it for another machine, or are its arguments too long?",
			program);
	else if (err == DVS_FULL)
		task_cannot(
			task, err,
			"start %s: the container has as many processes, programs or descriptors as it may; raise its limit pids with 'dvs dc set'",
			program);
	else
		task_cannot(task, err, "start %s: %s; try it again", program, dvs_strerror(err));
}

static bool launched(void *context, dvs_err err, struct cursor *body, int *fds, size_t n_fds)
{
	struct task *task = context;
	struct init_start_rep rep;

	/* Whether it runs is seen in the list of the next connection. */
	task->unsure = err == DVS_PEERDEAD;
	if (err == DVS_PEERDEAD || task->state != TASK_STARTS)
		return true;
	if (err == DVS_OK && (init_start_rep_decode(body, &rep) != DVS_OK || rep.pid < 2 ||
			      n_fds != (task->flags & RUN_TTY ? 1u : 0u)))
		return false;
	if (err != DVS_OK) {
		not_started(task, err);
		return true;
	}
	task->inner_pid = rep.pid;
	task->state = TASK_RUNS;
	if (task->flags & RUN_TTY)
		task_connect(task, fds, n_fds);
	health_start(task);
	store_save(task);
	launch_known(task);
	if (task->stopping)
		task_stop(task, task->stop_signo, task->stop_grace_ms);
	return true;
}

static void send_start(struct task *task)
{
	struct init_link *link = task->box->link;
	int fds[6] = { -1, -1, -1, -1, -1, -1 };
	struct writer out = init_link_body(link);
	bool tty = task->flags & RUN_TTY;
	dvs_err err = DVS_OK;

	if (!tty && !pipes_open(task, fds)) {
		close_all(fds, 6);
		task_cannot(
			task, DVS_FULL,
			"start %s: the agent has no pipe to give; end some programs of this node",
			task->name);
		return;
	}
	if (!tty)
		task_connect(task, fds + 3, 3);
	task->started_ns = clock_real_ns();
	store_save(task);
	init_start_req_encode(&out, task->start);
	err = init_link_ask(link, INIT_START, &out, fds, tty ? 0 : 6, launched, task);
	if (err != DVS_OK) {
		not_started(task, err);
		return;
	}
	task->sent = true;
	/* A listing that is under way was asked for before: that it is not in it says nothing. */
	task->seen = task->box->listing;
}

static void looked_up(struct work *work)
{
	struct lookup *lookup = CONTAINER_OF(work, struct lookup, work);
	struct task *task = task_find(lookup->programs, lookup->id);

	if (!task || task->state != TASK_STARTS)
		free(TAKE_PTR(lookup));
	else if (task->stopping)
		task_cannot(task, DVS_BADSTATE, "start %s: it was stopped before", task->name);
	else if (!task->box->link)
		task_cannot(task, DVS_BADSTATE, "start %s: the container has ended", task->name);
	else if (lookup->err != DVS_OK)
		task_cannot(task, lookup->err, "start %s: %s", task->name, lookup->why);
	else {
		char home[sizeof(lookup->home) + 8];

		(void)snprintf(home, sizeof(home), "HOME=%s", lookup->home);
		task->start->uid = lookup->uid;
		task->start->gid = lookup->gid;
		task->start->n_groups = lookup->n_groups;
		memcpy(task->start->groups, lookup->groups, sizeof(lookup->groups));
		if (lookup->home[0] && !env_find(task->start, home))
			(void)env_put(task->start, home);
		send_start(task);
	}
	free(lookup);
}

static void look_up(struct work *work)
{
	struct lookup *lookup = CONTAINER_OF(work, struct lookup, work);

	lookup->err = container_user(lookup->init, lookup->user, &lookup->uid, &lookup->gid,
				     lookup->groups, &lookup->n_groups, lookup->home,
				     sizeof(lookup->home), lookup->why);
}

static dvs_err start_as(struct task *task, const char *user)
{
	struct lookup *lookup;

	if (user[0] == '\0') {
		if (!env_find(task->start, "HOME="))
			(void)env_put(task->start, "HOME=/root");
		send_start(task);
		return DVS_OK;
	}
	lookup = calloc(1, sizeof(*lookup));
	if (!lookup)
		return DVS_NOMEM;
	lookup->programs = task->programs;
	lookup->id = task->id;
	lookup->init = task->box->init;
	(void)snprintf(lookup->user, sizeof(lookup->user), "%s", user);
	workers_add(task->programs->agent->workers, &lookup->work, look_up, looked_up);
	return DVS_OK;
}

/* ---- the entrance ---- */

static void starter_gone(struct request *request)
{
	struct task *task = request->keeper;

	task->starter = NULL;
}

/* The last part of the program's path and a piece of its number. */
static void choose_name(struct task *task)
{
	const char *path = task->command;
	size_t len = strcspn(path, " ");
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		char c = path[i];
		bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			     (c >= '0' && c <= '9');

		if (c == '/')
			n = 0;
		else if (plain && n < 40)
			task->name[n++] = c;
	}
	(void)snprintf(task->name + n, sizeof(task->name) - n, "%s%06" PRIx64, n > 0 ? "-" : "p",
		       task->id & 0xffffff);
}

static dvs_err name_check(struct box *box, const char *name, char *why)
{
	struct task *old = task_by_name(box, name);

	if (!container_name_ok(name)) {
		(void)snprintf(why, AGENT_WHY_MAX,
			       "'%.64s' is no name of a program: take letters, digits and '-_.'",
			       name);
		return DVS_BADARG;
	}
	if (old && !task_has_ended(old)) {
		(void)snprintf(
			why, AGENT_WHY_MAX,
			"a program named %s runs in DC %s already; choose another name, or end it with 'dvs kill'",
			name, box->dc);
		return DVS_EXISTS;
	}
	/* A new one takes the place of one that has ended. */
	if (old)
		task_forget(old);
	return DVS_OK;
}

static dvs_err task_fill(struct task *task, const struct launch *how)
{
	char folder[400];

	task->flags = how->flags;
	task->version = how->version;
	if (how->stop_signo != 0)
		task->stop_signo = how->stop_signo;
	task->stop_grace_ms = how->stop_grace_ms;
	(void)snprintf(task->record, sizeof(task->record), "%s", how->record);
	command_text(task->command, sizeof(task->command), how->args, how->n_args);
	if (how->name[0])
		(void)snprintf(task->name, sizeof(task->name), "%s", how->name);
	else
		choose_name(task);
	store_log_folder(task->programs, task->box->dc, folder, sizeof(folder));
	if (!(how->flags & RUN_EXEC) && logs_open(folder, task->id, &task->logs) != DVS_OK)
		return DVS_NOMEM;
	task->start = start_build(task->box, how, task->id);
	return task->start ? DVS_OK : DVS_TOOBIG;
}

/* What was not asked for is as the image says. */
static dvs_err as_the_image_says(const struct box *box, struct launch *how, char *why)
{
	const struct says *says = &box->says;

	if (how->n_args == 0 && says->args_len == 0) {
		(void)snprintf(
			why, AGENT_WHY_MAX,
			"what is to run? DC %s has no image that says a command; give one after the DC",
			box->dc);
		return DVS_BADARG;
	}
	if (how->n_args == 0) {
		how->args = (const uint8_t *)says->args;
		how->n_args = says->args_len;
	}
	if (how->n_args > sizeof(((struct init_start_req *)NULL)->args)) {
		(void)snprintf(why, AGENT_WHY_MAX, "the arguments have more than %zu bytes",
			       sizeof(((struct init_start_req *)NULL)->args));
		return DVS_TOOBIG;
	}
	if (!how->cwd[0] && says->cwd)
		how->cwd = says->cwd;
	if (!how->user[0] && says->user)
		how->user = says->user;
	return DVS_OK;
}

dvs_err launch(struct box *box, const struct launch *asked, struct request *starter, char *why)
{
	struct launch how_it_is = *asked;
	const struct launch *how = &how_it_is;
	struct task *task = NULL;
	dvs_err err = how->name[0] ? name_check(box, how->name, why) : DVS_OK;

	if (err == DVS_OK)
		err = as_the_image_says(box, &how_it_is, why);

	if (err != DVS_OK)
		return err;
	err = task_new(box, 0, &task);
	if (err == DVS_OK)
		err = task_fill(task, how);
	if (err == DVS_OK && starter && !(how->flags & RUN_DETACH))
		err = attachment_new(task, starter->source, &task->first);
	if (err == DVS_OK) {
		task->starter = starter;
		if (starter) {
			starter->keeper = task;
			starter->gone = starter_gone;
		}
		err = start_as(task, how->user);
	}
	if (err == DVS_OK)
		return DVS_OK;
	(void)snprintf(why, AGENT_WHY_MAX, "start a program in DC %s: %s; %s", box->dc,
		       dvs_strerror(err), dvs_err_hint(err));
	if (task) {
		task->starter = NULL;
		task_forget(task);
	}
	return err;
}

static bool put_string(uint8_t *into, size_t size, size_t *n, const char *name, const char *value)
{
	int len = snprintf((char *)into + *n, size - *n, "%s%s%s", name, value ? "=" : "",
			   value ? value : "");

	if (len < 0 || (size_t)len >= size - *n)
		return false;
	*n += (size_t)len + 1;
	return true;
}

dvs_err launch_record(struct box *box, const struct wanted *wanted, char *why)
{
	const struct program *program = &wanted->program;
	struct agent_run_req *run = &box->programs->body.run;
	char endpoint[32];
	struct launch how = { .name = wanted->name,
			      .record = wanted->record,
			      .version = wanted->version,
			      .args = run->args,
			      .env = run->env,
			      .cwd = program->cwd ? program->cwd : "",
			      .user = program->user ? program->user : "",
			      .flags = program->tty ? RUN_TTY : 0,
			      .rows = 24,
			      .cols = 80,
			      .restart = (uint8_t)program->restart,
			      .retries = program->retries,
			      .backoff_ms = program->backoff_ms,
			      .stop_signo = program->stop_signal,
			      .stop_grace_ms = program->stop_grace_ms,
			      .rlimits = program->rlimits,
			      .n_rlimits = program->n_rlimits };
	bool fits = true;

	for (size_t i = 0; i < program->n_command && fits; i++)
		fits = put_string(run->args, sizeof(run->args), &how.n_args, program->command[i],
				  NULL);
	for (size_t i = 0; i < program->n_env && fits; i++)
		fits = put_string(run->env, sizeof(run->env), &how.n_env, program->env[i].name,
				  program->env[i].value);
	(void)snprintf(endpoint, sizeof(endpoint), "%" PRIu32, program->endpoint);
	if (fits && program->endpoint != UINT32_MAX)
		fits = put_string(run->env, sizeof(run->env), &how.n_env, "DVS_ENDPOINT", endpoint);
	if (!fits) {
		(void)snprintf(
			why, AGENT_WHY_MAX,
			"start %s: its arguments or its environment have more than %zu bytes",
			wanted->name, sizeof(run->args));
		return DVS_TOOBIG;
	}
	return launch(box, &how, NULL, why);
}
