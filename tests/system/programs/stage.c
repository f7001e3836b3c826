/* SPDX-License-Identifier: Apache-2.0 */
#include "stage.h"

#include <fcntl.h>
#include <ftw.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "agent/mounts.h"
#include "agent/reconcile.h"
#include "agent/task.h"
#include "base/cleanup.h"

/* ---- in the place of the server, reconcile and the room of containers ---- */

static void answered(struct request *request, dvs_err err, const void *body, size_t len)
{
	struct call *call = CONTAINER_OF(request, struct call, request);

	list_remove(&request->kept);
	ck_assert(!call->done);
	call->done = true;
	call->err = err;
	call->len = len;
	call->reply = calloc(1, len + 1);
	ck_assert_ptr_nonnull(call->reply);
	if (len > 0)
		memcpy(call->reply, body, len);
	loop_stop(request->agent->loop);
}

void request_reply(struct request *request, const void *body, size_t len)
{
	answered(request, DVS_OK, body, len);
}

void request_done(struct request *request)
{
	answered(request, DVS_OK, NULL, 0);
}

void request_fail(struct request *request, dvs_err err, const char *format, ...)
{
	char text[1001];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	answered(request, err, text, strlen(text));
}

bool request_malformed(struct request *request)
{
	request_fail(request, DVS_PROTO, "malformed");
	return false;
}

static struct writer shared_writer;
static uint8_t shared_bytes[AGENT_BODY_BYTES_MAX];

struct writer *request_writer(struct request *request)
{
	(void)request;
	shared_writer = writer_over(shared_bytes, sizeof(shared_bytes));
	return &shared_writer;
}

void request_written(struct request *request)
{
	ck_assert(writer_ok(&shared_writer));
	answered(request, DVS_OK, shared_bytes, writer_len(&shared_writer));
}

/* These containers have no file systems. */
bool mounts_hold(struct mounts *mounts, const char *dc, struct request *request,
		 agent_op_handler again)
{
	(void)mounts;
	(void)dc;
	(void)request;
	(void)again;
	return false;
}

void reconcile_init_gone(struct reconcile *reconcile, const char *dc, pid_t init)
{
	struct stage *stage;

	memcpy(&stage, &reconcile, sizeof(stage));
	ck_assert_str_eq(dc, "web");
	ck_assert_int_eq(init, stage->init);
	stage->gone++;
	loop_stop(stage->agent.loop);
}

dvs_err container_user(pid_t init, const char *user, uint32_t *uid, uint32_t *gid,
		       uint32_t groups[32], uint32_t *n_groups, char *home, size_t home_size,
		       char *why)
{
	(void)init;
	if (strcmp(user, "nobody") != 0) {
		(void)snprintf(why, DESCRIPTION_TEXT_MAX, "there is no user %s", user);
		return DVS_NOTFOUND;
	}
	*uid = *gid = 65534;
	groups[0] = 7;
	*n_groups = 1;
	(void)snprintf(home, home_size, "/home/nobody");
	return DVS_OK;
}

/* ---- dc-init ---- */

static void init_exec(const char *path)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	const char *build = getenv("DVS_BUILD");
	char program[256];
	int fd = socket(AF_UNIX, SOCK_SEQPACKET, 0);

	(void)snprintf(address.sun_path, sizeof(address.sun_path), "%.100s", path);
	(void)snprintf(program, sizeof(program), "%s/dc-init", build ? build : "build");
	(void)unlink(path);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(fd, 4) != 0 || (fd != 3 && dup2(fd, 3) < 0) ||
	    mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
	    mount("proc", "/proc", "proc", 0, NULL) != 0)
		_exit(99);
	(void)execl(program, "dc-init", NULL);
	_exit(98);
}

static void init_start(struct stage *stage)
{
	int ends[2];

	ck_assert_int_eq(pipe(ends), 0);
	stage->holder = fork();
	ck_assert_int_ge(stage->holder, 0);
	if (stage->holder == 0) {
		pid_t pid;

		if (unshare(CLONE_NEWPID | CLONE_NEWNS) != 0)
			_exit(97);
		pid = fork();
		if (pid == 0) {
			/* The reading end keeps number 3 free. */
			(void)close(ends[0]);
			(void)close(ends[1]);
			init_exec(stage->socket);
		}
		if (write(ends[1], &pid, sizeof(pid)) != sizeof(pid))
			_exit(96);
		(void)waitpid(pid, NULL, 0);
		_exit(0);
	}
	(void)close(ends[1]);
	ck_assert_int_eq(read(ends[0], &stage->init, sizeof(stage->init)), sizeof(stage->init));
	(void)close(ends[0]);
	while (access(stage->socket, F_OK) != 0)
		ck_assert_int_eq(waitpid(stage->holder, NULL, WNOHANG), 0);
}

static void init_end(struct stage *stage)
{
	(void)kill(stage->init, SIGKILL);
	(void)waitpid(stage->holder, NULL, 0);
	(void)unlink(stage->socket);
}

/* ---- the agent ---- */

static void agent_open(struct stage *stage)
{
	struct agent *agent = &stage->agent;

	ck_assert_int_eq(loop_open(&agent->loop), DVS_OK);
	ck_assert_int_eq(workers_open(agent->loop, 1, &agent->workers), DVS_OK);
	ck_assert_int_eq(programs_open(agent, &agent->programs), DVS_OK);
	memcpy(&agent->reconcile, &stage, sizeof(stage));
}

void stage_up(struct stage *stage)
{
	struct description description = { .n_env = 1 };

	description.env[0] = (struct description_pair){ .name = "GIVEN", .value = "to all" };
	programs_container_up(stage->agent.programs, "web", (dvs_dcid){ 3 }, stage->init,
			      &description);
}

struct stage *stage_open(void)
{
	struct stage *stage = calloc(1, sizeof(*stage));
	struct agent *agent = &stage->agent;
	char folder[200];

	ck_assert_ptr_nonnull(stage);
	(void)snprintf(stage->root, sizeof(stage->root), "/tmp/dvs-prog.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(stage->root));
	agent->log = log_to_stderr(LOG_LEVEL_WARNING);
	(void)snprintf(agent->options.run_dir, sizeof(agent->options.run_dir), "%s", stage->root);
	(void)snprintf(agent->options.lib_dir, sizeof(agent->options.lib_dir), "%s/lib",
		       stage->root);
	(void)snprintf(agent->host.run_dir, sizeof(agent->host.run_dir), "%s", stage->root);
	container_socket(&agent->host, "web", stage->socket);
	(void)snprintf(folder, sizeof(folder), "%s", stage->socket);
	*strrchr(folder, '/') = '\0';
	ck_assert_int_eq(mkdir(folder, 0700), 0);
	init_start(stage);
	agent_open(stage);
	stage_up(stage);
	return stage;
}

void stage_new_agent(struct stage *stage)
{
	programs_close(stage->agent.programs);
	agent_open(stage);
	stage_up(stage);
}

void stage_new_init(struct stage *stage)
{
	init_end(stage);
	init_start(stage);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
	(void)info;
	(void)kind;
	(void)where;
	return remove(path);
}

void stage_close(struct stage *stage)
{
	programs_close(stage->agent.programs);
	init_end(stage);
	(void)nftw(stage->root, remove_one, 16, FTW_DEPTH | FTW_PHYS);
	free(stage);
}

/* ---- the loop ---- */

static void alarm_fire(struct loop_timer *timer)
{
	struct stage *stage = CONTAINER_OF(timer, struct stage, alarm);

	stage->late = true;
	loop_stop(stage->agent.loop);
}

void stage_until(struct stage *stage, const bool *it)
{
	stage->late = false;
	loop_timer_set(stage->agent.loop, &stage->alarm, clock_deadline_ns(STAGE_WAIT_NS),
		       alarm_fire);
	while (!*it && !stage->late)
		ck_assert_int_eq(loop_run(stage->agent.loop), DVS_OK);
	loop_timer_cancel(stage->agent.loop, &stage->alarm);
	ck_assert_msg(*it, "nothing came");
}

void stage_turn(struct stage *stage, uint64_t ms)
{
	stage->late = false;
	loop_timer_set(stage->agent.loop, &stage->alarm, clock_deadline_ns(ms * CLOCK_NS_PER_MS),
		       alarm_fire);
	while (!stage->late)
		ck_assert_int_eq(loop_run(stage->agent.loop), DVS_OK);
}

/* ---- requests ---- */

static agent_op_handler handler_of(uint32_t op)
{
	static const struct {
		uint32_t op;
		agent_op_handler handler;
	} rows[] = {
		{ AGENT_RUN, op_run },	     { AGENT_ATTACH, op_attach },
		{ AGENT_READ, op_read },     { AGENT_WRITE, op_write },
		{ AGENT_RESIZE, op_resize }, { AGENT_DETACH, op_detach },
		{ AGENT_SIGNAL, op_signal }, { AGENT_WAIT, op_wait },
		{ AGENT_FORGET, op_forget }, { AGENT_PROGRAMS, op_programs },
		{ AGENT_LOGS, op_logs },
	};

	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		if (rows[i].op == op)
			return rows[i].handler;
	}
	return NULL;
}

struct call *call_begin(struct stage *stage, uint32_t op)
{
	struct call *call = calloc(1, sizeof(*call));

	ck_assert_ptr_nonnull(call);
	call->request.agent = &stage->agent;
	call->request.op = op;
	call->request.source = dvs_ep_of(77);
	call->request.body = call->body;
	list_init(&call->request.kept);
	list_init(&call->request.of_server);
	return call;
}

struct writer call_body(struct call *call)
{
	return writer_over(call->body, sizeof(call->body));
}

void call_send(struct call *call, const struct writer *out)
{
	ck_assert(writer_ok(out));
	call->request.len = writer_len(out);
	call->request.in = cursor_over(call->body, call->request.len);
	handler_of(call->request.op)(call->request.agent, &call->request);
}

void call_wait(struct call *call)
{
	stage_until(CONTAINER_OF(call->request.agent, struct stage, agent), &call->done);
}

void call_free(struct call *call)
{
	ck_assert(call->done);
	free(call->reply);
	free(call);
}

void call_drop(struct call *call)
{
	ck_assert(!call->done);
	if (call->request.gone)
		call->request.gone(&call->request);
	list_remove(&call->request.kept);
	free(call);
}

/* ---- shorter ---- */

static void put_string(uint8_t *into, uint32_t *n, const char *text)
{
	memcpy(into + *n, text, strlen(text) + 1);
	*n += (uint32_t)strlen(text) + 1;
}

struct agent_run_req *shell(const char *name, const char *script, uint32_t flags)
{
	static struct agent_run_req req;

	memset(&req, 0, sizeof(req));
	(void)snprintf(req.dc, sizeof(req.dc), "web");
	(void)snprintf(req.name, sizeof(req.name), "%s", name);
	put_string(req.args, &req.n_args, "sh");
	put_string(req.args, &req.n_args, "-c");
	put_string(req.args, &req.n_args, script);
	req.flags = flags;
	req.rows = 24;
	req.cols = 80;
	return &req;
}

struct started run_as(struct stage *stage, const struct agent_run_req *req)
{
	struct call *call = call_begin(stage, AGENT_RUN);
	struct writer out = call_body(call);
	struct started started = { .program = 0 };
	struct agent_run_rep rep;

	agent_run_req_encode(&out, req);
	call_send(call, &out);
	call_wait(call);
	started.err = call->err;
	if (call->err == DVS_OK) {
		struct cursor in = cursor_over(call->reply, call->len);

		ck_assert_int_eq(agent_run_rep_decode(&in, &rep), DVS_OK);
		started.program = rep.program;
		started.attach = rep.attach;
		(void)snprintf(started.name, sizeof(started.name), "%s", rep.name);
	} else {
		(void)snprintf(started.text, sizeof(started.text), "%s", (char *)call->reply);
	}
	call_free(call);
	return started;
}

struct started run(struct stage *stage, const char *name, const char *script, uint32_t flags)
{
	return run_as(stage, shell(name, script, flags));
}

static struct agent_read_rep *read_once(struct stage *stage, uint64_t attach)
{
	static struct agent_read_rep rep;
	struct agent_read_req req = { .attach = attach };
	struct call *call = call_begin(stage, AGENT_READ);
	struct writer out = call_body(call);
	struct cursor in;

	agent_read_req_encode(&out, &req);
	call_send(call, &out);
	call_wait(call);
	ck_assert_msg(call->err == DVS_OK, "read: %s", (char *)call->reply);
	in = cursor_over(call->reply, call->len);
	ck_assert_int_eq(agent_read_rep_decode(&in, &rep), DVS_OK);
	call_free(call);
	return &rep;
}

char *read_to_end(struct stage *stage, uint64_t attach, uint32_t *status, uint64_t *lost)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (lost)
		*lost = 0;
	for (;;) {
		const struct agent_read_rep *rep = read_once(stage, attach);

		if (rep->stream == 3) {
			*status = rep->status;
			break;
		}
		if (rep->stream == 4 && lost)
			*lost += rep->count;
		(void)fwrite(rep->data, 1, rep->n_data, out);
	}
	(void)fclose(out);
	return text;
}

void read_until(struct stage *stage, uint64_t attach, const char *text)
{
	char *all = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&all, &len);

	do {
		const struct agent_read_rep *rep = read_once(stage, attach);

		ck_assert_msg(rep->stream < 3, "the end, and no '%s' in '%s'", text, all);
		(void)fwrite(rep->data, 1, rep->n_data, out);
		(void)fflush(out);
	} while (!strstr(all, text));
	(void)fclose(out);
	free(all);
}

dvs_err write_to(struct stage *stage, uint64_t attach, const char *text, bool eof)
{
	static struct agent_write_req req;
	struct call *call = call_begin(stage, AGENT_WRITE);
	struct writer out = call_body(call);
	dvs_err err;

	req.attach = attach;
	req.eof = eof;
	req.n_data = (uint32_t)strlen(text);
	memcpy(req.data, text, req.n_data);
	agent_write_req_encode(&out, &req);
	call_send(call, &out);
	call_wait(call);
	err = call->err;
	call_free(call);
	return err;
}

uint32_t wait_for(struct stage *stage, uint64_t program)
{
	struct agent_wait_req req = { .program = program };
	struct agent_wait_rep rep;
	struct call *call = call_begin(stage, AGENT_WAIT);
	struct writer out = call_body(call);
	struct cursor in;

	agent_wait_req_encode(&out, &req);
	call_send(call, &out);
	call_wait(call);
	ck_assert_msg(call->err == DVS_OK, "wait: %s", (char *)call->reply);
	in = cursor_over(call->reply, call->len);
	ck_assert_int_eq(agent_wait_rep_decode(&in, &rep), DVS_OK);
	call_free(call);
	return rep.status;
}

struct agent_program row_of(struct stage *stage, uint64_t program)
{
	static struct agent_programs_rep rep;
	struct agent_programs_req req = { .cursor = program - 1 };
	struct call *call = call_begin(stage, AGENT_PROGRAMS);
	struct writer out = call_body(call);
	struct cursor in;

	agent_programs_req_encode(&out, &req);
	call_send(call, &out);
	in = cursor_over(call->reply, call->len);
	ck_assert_int_eq(agent_programs_rep_decode(&in, &rep), DVS_OK);
	call_free(call);
	if (rep.n_programs > 0 && rep.programs[0].id == program)
		return rep.programs[0];
	return (struct agent_program){ .id = 0 };
}

struct agent_program until_state(struct stage *stage, uint64_t program, uint8_t state)
{
	uint64_t deadline_ns = clock_deadline_ns(STAGE_WAIT_NS);
	struct agent_program row = row_of(stage, program);

	while (row.state != state && !clock_is_past(deadline_ns)) {
		stage_turn(stage, 10);
		row = row_of(stage, program);
	}
	ck_assert_uint_eq(row.state, state);
	return row;
}

char *log_of(struct stage *stage, uint64_t program)
{
	static struct agent_logs_rep rep;
	struct agent_logs_req req = { .program = program, .tail = LOGS_ALL };
	char *text = NULL;
	size_t len = 0;
	FILE *all = open_memstream(&text, &len);

	do {
		struct call *call = call_begin(stage, AGENT_LOGS);
		struct writer out = call_body(call);
		struct cursor in;

		agent_logs_req_encode(&out, &req);
		call_send(call, &out);
		ck_assert(call->done && call->err == DVS_OK);
		in = cursor_over(call->reply, call->len);
		ck_assert_int_eq(agent_logs_rep_decode(&in, &rep), DVS_OK);
		call_free(call);
		(void)fwrite(rep.data, 1, rep.n_data, all);
		req.cursor = rep.cursor;
	} while (rep.n_data > 0);
	(void)fclose(all);
	return text;
}

void check_log(struct stage *stage, uint64_t program, const char *text)
{
	char *log = log_of(stage, program);

	ck_assert_msg(strstr(log, text), "no '%s' in '%s'", text, log);
	free(log);
}

dvs_err order_signal(struct stage *stage, uint64_t program, uint32_t signo, bool stop)
{
	struct agent_signal_req req = { .program = program, .signo = signo, .stop = stop };
	struct call *call = call_begin(stage, AGENT_SIGNAL);
	struct writer out = call_body(call);
	dvs_err err;

	agent_signal_req_encode(&out, &req);
	call_send(call, &out);
	ck_assert(call->done);
	err = call->err;
	call_free(call);
	return err;
}
