/* SPDX-License-Identifier: Apache-2.0 */
/* Beside the container's other files (RUN_DIR/containers/DC) stand "fuse-N", which says what process it is, and "fuse-N.log", what it says. */
#include "agent/gateway.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "container/host.h"

#define BACKOFF_FIRST_NS (100 * CLOCK_NS_PER_MS)
#define BACKOFF_LAST_NS (5 * CLOCK_NS_PER_S)
/* Who lived that long begins with the shortest back-off again. */
#define LIVED_NS (10 * CLOCK_NS_PER_S)
/* It gives up by itself when no server answers; this is for one that hangs. */
#define START_NS (90 * CLOCK_NS_PER_S)
/* The end of its container ends it. If it does not: SIGTERM, then SIGKILL, after so long each. */
#define END_NS (5 * CLOCK_NS_PER_S)
#define LOG_BYTES_MAX 262144
#define SAID_BYTES 512u
#define EXIT_CANNOT_EXECUTE 127
#define PROGRAM "dvs-fuse"
/* Its descriptors. */
#define CONTAINER_AT 3
#define READY_AT 4

struct gateway {
	struct agent *agent;
	char dc[DVS_NAME_MAX + 1];
	dvs_dcid id;
	pid_t init;
	size_t index;
	char *name;
	char *target;
	bool is_read_only;
	void (*changed)(void *context);
	void *context;
	pid_t pid; /* 0: none runs */
	int pidfd;
	int ready_fd;
	bool is_up;
	bool is_dropped;
	bool was_told; /* to end */
	uint64_t started_ns;
	uint64_t backoff_ns;
	char why[SAID_BYTES + 128];
	struct loop_watch ended;
	struct loop_watch ready;
	struct loop_timer timer; /* to start it, or to end it */
	struct loop_timer tell;
};

static void spawn(struct gateway *gateway);

/* ---- its files ---- */

static void file_path(const struct gateway *gateway, const char *end, char path[PATH_BYTES])
{
	char rest[64];

	(void)snprintf(rest, sizeof(rest), "/fuse-%zu%s", gateway->index, end);
	container_dir(&gateway->agent->host, gateway->dc, rest, path);
}

/* Which process it is, in a way that a later one with the same number is not taken for it. */
static void keep_pid(const struct gateway *gateway)
{
	char path[PATH_BYTES], text[64];

	file_path(gateway, "", path);
	(void)snprintf(text, sizeof(text), "%d %" PRIu64 " %d\n", gateway->pid,
		       process_started(gateway->pid), gateway->is_up);
	if (!file_replace(path, text, strlen(text), 0600, false))
		log_warning(&gateway->agent->log, "the next agent will not know a gateway",
			    LOG_STR("file", path), LOG_STR("why", strerror(errno)));
}

/* The one of a former agent, if it runs; *IS_UP: it has mounted. */
static pid_t known_pid(const struct gateway *gateway, bool *is_up)
{
	char path[PATH_BYTES], text[64];
	uint64_t started;
	char *at;
	long pid;

	file_path(gateway, "", path);
	if (!file_read(path, text, sizeof(text)))
		return 0;
	pid = strtol(text, &at, 10);
	started = strtoull(at, &at, 10);
	*is_up = strtol(at, NULL, 10) == 1;
	return pid > 1 && pid <= INT32_MAX && started > 0 &&
			       process_started((pid_t)pid) == started ?
		       (pid_t)pid :
		       0;
}

/* The last line of its log says why it has ended. */
static void last_line(const struct gateway *gateway, char said[SAID_BYTES])
{
	char path[PATH_BYTES];
	AUTO_CLOSE int fd = -1;
	off_t end;
	ssize_t len;
	char *line;

	file_path(gateway, ".log", path);
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
	end = fd < 0 ? 0 : lseek(fd, 0, SEEK_END);
	len = fd < 0 ? 0 :
		       pread(fd, said, SAID_BYTES - 1,
			     end > (off_t)SAID_BYTES - 1 ? end - (off_t)SAID_BYTES + 1 : 0);
	said[len > 0 ? len : 0] = '\0';
	if (len > 0 && said[len - 1] == '\n')
		said[len - 1] = '\0';
	line = strrchr(said, '\n');
	if (line)
		memmove(said, line + 1, strlen(line + 1) + 1);
	if (strncmp(said, PROGRAM ": ", strlen(PROGRAM ": ")) == 0)
		memmove(said, said + strlen(PROGRAM ": "), strlen(said) - strlen(PROGRAM ": ") + 1);
}

static int open_log(const struct gateway *gateway)
{
	char path[PATH_BYTES];
	struct stat status;
	int fd;

	file_path(gateway, ".log", path);
	fd = open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0 && fstat(fd, &status) == 0 && status.st_size > LOG_BYTES_MAX)
		(void)!ftruncate(fd, 0);
	return fd;
}

/* ---- telling ---- */

static void tell_fired(struct loop_timer *timer)
{
	const struct gateway *gateway = CONTAINER_OF(timer, struct gateway, tell);

	gateway->changed(gateway->context);
}

static void tell(struct gateway *gateway)
{
	if (!gateway->is_dropped)
		loop_timer_set(gateway->agent->loop, &gateway->tell, 0, tell_fired);
}

static void gateway_free(struct gateway *gateway)
{
	struct loop *loop = gateway->agent->loop;

	loop_timer_cancel(loop, &gateway->timer);
	loop_timer_cancel(loop, &gateway->tell);
	free(gateway->name);
	free(gateway->target);
	free(gateway);
}

static void start_fired(struct loop_timer *timer)
{
	spawn(CONTAINER_OF(timer, struct gateway, timer));
}

static void start_later(struct gateway *gateway)
{
	if (gateway->backoff_ns == 0)
		gateway->backoff_ns = BACKOFF_FIRST_NS;
	loop_timer_set(gateway->agent->loop, &gateway->timer,
		       clock_deadline_ns(gateway->backoff_ns), start_fired);
	gateway->backoff_ns = gateway->backoff_ns * 2 < BACKOFF_LAST_NS ? gateway->backoff_ns * 2 :
									  BACKOFF_LAST_NS;
}

/* ---- its life ---- */

static void close_ready(struct gateway *gateway)
{
	loop_unwatch(gateway->agent->loop, &gateway->ready);
	cleanup_close(&gateway->ready_fd);
}

static void say_why(struct gateway *gateway, const char *why)
{
	(void)snprintf(gateway->why, sizeof(gateway->why),
		       "volumes[%zu]: file system %s cannot be mounted at %.64s: %s",
		       gateway->index, gateway->name, gateway->target,
		       why[0] ? why : PROGRAM " has died");
}

static void process_ended(struct loop_watch *watch, uint32_t events)
{
	struct gateway *gateway = CONTAINER_OF(watch, struct gateway, ended);
	struct agent *agent = gateway->agent;
	char said[SAID_BYTES];

	(void)events;
	/* That of a former agent is nobody's child here. */
	(void)waitpid(gateway->pid, NULL, WNOHANG);
	loop_unwatch(agent->loop, watch);
	cleanup_close(&gateway->pidfd);
	close_ready(gateway);
	loop_timer_cancel(agent->loop, &gateway->timer);
	gateway->pid = 0;
	if (gateway->is_dropped) {
		gateway_free(gateway);
		return;
	}
	last_line(gateway, said);
	if (clock_now_ns() - gateway->started_ns > LIVED_NS)
		gateway->backoff_ns = 0;
	if (gateway->is_up)
		log_warning(&agent->log, "a gateway has ended and is started again",
			    LOG_STR("dc", gateway->dc), LOG_STR("fs", gateway->name),
			    LOG_STR("said", said));
	else if (!gateway->was_told)
		say_why(gateway, said);
	gateway->is_up = gateway->was_told = false;
	start_later(gateway);
	tell(gateway);
}

static void mounted(struct loop_watch *watch, uint32_t events)
{
	struct gateway *gateway = CONTAINER_OF(watch, struct gateway, ready);
	char byte;
	bool is_up = read(gateway->ready_fd, &byte, 1) == 1;

	(void)events;
	close_ready(gateway);
	/* That it has ended is told by its own descriptor. */
	if (!is_up || gateway->is_dropped)
		return;
	loop_timer_cancel(gateway->agent->loop, &gateway->timer);
	gateway->is_up = true;
	gateway->why[0] = '\0';
	keep_pid(gateway);
	log_info(&gateway->agent->log, "a file system is mounted in a container",
		 LOG_STR("dc", gateway->dc), LOG_STR("fs", gateway->name),
		 LOG_STR("target", gateway->target), LOG_I64("pid", gateway->pid));
	tell(gateway);
}

static void end_fired(struct loop_timer *timer)
{
	struct gateway *gateway = CONTAINER_OF(timer, struct gateway, timer);

	(void)kill(gateway->pid, gateway->was_told ? SIGKILL : SIGTERM);
	gateway->was_told = true;
	loop_timer_set(gateway->agent->loop, timer, clock_deadline_ns(END_NS), end_fired);
}

static void hung_fired(struct loop_timer *timer)
{
	struct gateway *gateway = CONTAINER_OF(timer, struct gateway, timer);

	(void)kill(gateway->pid, SIGKILL);
}

/* ---- starting ---- */

/* Between fork and exec: only system calls. */
static _Noreturn void become_gateway(int mounts, const int fds[3], char *const *args)
{
	sigset_t none;
	int container = fcntl(fds[0], F_DUPFD, READY_AT + 1);
	int ready = fcntl(fds[1], F_DUPFD, READY_AT + 1);

	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)signal(SIGPIPE, SIG_DFL);
	(void)setsid();
	if (mounts >= 0)
		(void)setns(mounts, CLONE_NEWNS);
	if (container < 0 || ready < 0 || dup2(fds[2], STDERR_FILENO) < 0 ||
	    dup2(container, CONTAINER_AT) < 0 || dup2(ready, READY_AT) < 0)
		_exit(EXIT_CANNOT_EXECUTE);
	(void)syscall(SYS_close_range, READY_AT + 1, ~0U, 0U);
	(void)prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	(void)execv(args[0], args);
	_exit(EXIT_CANNOT_EXECUTE);
}

/* Where this program is. */
static bool find_program(char path[PATH_BYTES])
{
	ssize_t len = readlink("/proc/self/exe", path, PATH_BYTES - sizeof(PROGRAM) - 1);
	char *slash;

	path[len > 0 ? len : 0] = '\0';
	slash = strrchr(path, '/');
	if (!slash)
		return false;
	memcpy(slash + 1, PROGRAM, sizeof(PROGRAM));
	return true;
}

static pid_t fork_gateway(const struct gateway *gateway, const int fds[3])
{
	const struct agent *agent = gateway->agent;
	char program[PATH_BYTES], node[16], base[16], count[16];
	const char *wanted[] = {
		program,
		"--run-dir",
		agent->options.run_dir,
		"--dc",
		gateway->dc,
		"--fs",
		gateway->name,
		"--mount",
		gateway->target,
		"--node",
		node,
		"--uid-base",
		base,
		"--uid-count",
		count,
		"--container-fd",
		"3",
		"--ready-fd",
		"4",
		"--log-level",
		log_level_name(agent->options.log_level),
		gateway->is_read_only ? "--read-only" : NULL,
		NULL,
	};
	char *args[ARRAY_LEN(wanted)];
	pid_t pid;

	if (!find_program(program))
		return -1;
	(void)snprintf(node, sizeof(node), "%u", agent->node);
	(void)snprintf(base, sizeof(base), "%u", container_uid(gateway->id.n));
	(void)snprintf(count, sizeof(count), "%u", CONTAINER_UIDS);
	/* execv() only reads them */
	memcpy(args, wanted, sizeof(args));
	pid = fork();
	if (pid == 0)
		become_gateway(agent->node_mounts, fds, args);
	return pid;
}

/* Take PID over. */
static dvs_err watch_process(struct gateway *gateway, pid_t pid)
{
	struct loop *loop = gateway->agent->loop;
	dvs_err err;

	gateway->pidfd = (int)syscall(SYS_pidfd_open, pid, 0);
	if (gateway->pidfd < 0)
		return dvs_from_errno(errno);
	err = loop_watch(loop, &gateway->ended, gateway->pidfd, EPOLLIN, process_ended);
	if (err) {
		cleanup_close(&gateway->pidfd);
		return err;
	}
	gateway->pid = pid;
	gateway->started_ns = clock_now_ns();
	return DVS_OK;
}

static dvs_err try_spawn(struct gateway *gateway)
{
	AUTO_CLOSE int container = (int)syscall(SYS_pidfd_open, gateway->init, 0);
	AUTO_CLOSE int log = open_log(gateway);
	AUTO_CLOSE int ready = -1;
	int pipes[2];
	pid_t pid;
	dvs_err err;

	if (container < 0 || log < 0 || pipe2(pipes, O_CLOEXEC) != 0)
		return dvs_from_errno(errno);
	gateway->ready_fd = pipes[0];
	ready = pipes[1];
	pid = fork_gateway(gateway, (const int[]){ container, ready, log });
	if (pid < 0)
		return dvs_from_errno(errno);
	err = watch_process(gateway, pid);
	if (!err)
		err = loop_watch(gateway->agent->loop, &gateway->ready, gateway->ready_fd, EPOLLIN,
				 mounted);
	if (!err || gateway->pid)
		return err;
	(void)kill(pid, SIGKILL);
	(void)waitpid(pid, NULL, 0);
	return err;
}

static void spawn(struct gateway *gateway)
{
	dvs_err err = try_spawn(gateway);

	if (!err) {
		keep_pid(gateway);
		loop_timer_set(gateway->agent->loop, &gateway->timer, clock_deadline_ns(START_NS),
			       hung_fired);
		return;
	}
	say_why(gateway, dvs_strerror(err));
	/* One whose word cannot be heard is ended, and its end starts the next. */
	if (gateway->pid) {
		(void)kill(gateway->pid, SIGKILL);
		return;
	}
	cleanup_close(&gateway->ready_fd);
	start_later(gateway);
	tell(gateway);
}

/* One that had not mounted when its agent ended is ended: whether it has since cannot be known. */
static bool adopt(struct gateway *gateway)
{
	bool is_up = false;
	pid_t pid = known_pid(gateway, &is_up);

	if (pid == 0 || watch_process(gateway, pid) != DVS_OK)
		return false;
	gateway->is_up = is_up;
	if (!is_up) {
		gateway->was_told = true;
		(void)kill(pid, SIGTERM);
		loop_timer_set(gateway->agent->loop, &gateway->timer, clock_deadline_ns(END_NS),
			       end_fired);
	}
	return true;
}

struct gateway *gateway_start(struct agent *agent, const struct gateway_plan *plan,
			      void (*changed)(void *context), void *context)
{
	struct gateway *gateway = calloc(1, sizeof(*gateway));

	if (!gateway)
		return NULL;
	gateway->agent = agent;
	gateway->id = plan->id;
	gateway->init = plan->init;
	gateway->index = plan->index;
	gateway->name = strdup(plan->name);
	gateway->target = strdup(plan->target);
	gateway->is_read_only = plan->is_read_only;
	gateway->changed = changed;
	gateway->context = context;
	gateway->pidfd = gateway->ready_fd = -1;
	(void)snprintf(gateway->dc, sizeof(gateway->dc), "%s", plan->dc);
	if (!gateway->name || !gateway->target) {
		gateway_free(gateway);
		return NULL;
	}
	if (!adopt(gateway))
		spawn(gateway);
	return gateway;
}

void gateway_drop(struct gateway *gateway)
{
	if (!gateway)
		return;
	gateway->is_dropped = true;
	loop_timer_cancel(gateway->agent->loop, &gateway->tell);
	if (!gateway->pid) {
		gateway_free(gateway);
		return;
	}
	loop_timer_set(gateway->agent->loop, &gateway->timer, clock_deadline_ns(END_NS), end_fired);
}

/* ---- questions ---- */

bool gateway_is_up(const struct gateway *gateway)
{
	return gateway && gateway->is_up;
}

bool gateway_why(const struct gateway *gateway, char why[DESCRIPTION_TEXT_MAX])
{
	const char *text = gateway ? gateway->why : dvs_strerror(DVS_NOMEM);

	if (gateway && (gateway->is_up || gateway->why[0] == '\0'))
		return false;
	(void)snprintf(why, DESCRIPTION_TEXT_MAX, "%s", text);
	return true;
}

void gateway_retry(struct gateway *gateway)
{
	if (!gateway || gateway->pid)
		return;
	gateway->backoff_ns = 0;
	gateway->why[0] = '\0';
	loop_timer_set(gateway->agent->loop, &gateway->timer, 0, start_fired);
}
