/* SPDX-License-Identifier: Apache-2.0 */
/* Other programs: run to their end, with a deadline, and looked at by pid and start time, since a pid comes again. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "container/internal.h"

static int pidfd_of(pid_t pid)
{
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

bool pidfd_ended(int pidfd, uint64_t deadline_ns)
{
	struct pollfd poll_fd = { .fd = pidfd, .events = POLLIN };
	int n;

	do {
		n = poll(&poll_fd, 1, clock_poll_ms(deadline_ns));
	} while (n < 0 && errno == EINTR);
	return n == 1;
}

bool process_gone(pid_t pid, uint64_t deadline_ns)
{
	AUTO_CLOSE int fd = pidfd_of(pid);

	return fd < 0 || pidfd_ended(fd, deadline_ns);
}

bool process_in(pid_t pid, const char *group)
{
	char path[64];
	char text[8192];
	size_t len = strlen(group);

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", pid);
	if (!file_read(path, text, sizeof(text)))
		return false;
	/* "4:memory:/dvs-1f2e3d4c/web" */
	for (const char *at = strstr(text, group); at; at = strstr(at + 1, group)) {
		if (at > text && at[-1] == ':' && strchr("/\n", at[len]))
			return true;
	}
	return false;
}

/* The number may by now be somebody else's. The descriptor stays with the process that it was opened for, so it is looked at after that. */
bool process_kill_in(pid_t pid, const char *group)
{
	AUTO_CLOSE int fd = pidfd_of(pid);

	return fd >= 0 && process_in(pid, group) &&
	       syscall(SYS_pidfd_send_signal, fd, SIGKILL, NULL, 0) == 0;
}

/* Between fork and exec, where only simple calls are safe. The program dies with the thread that waits for it: were it to start after an agent that was killed, the
 * next agent would already have looked for it and found nothing. */
static void raise_limits(const struct process_limits *limits)
{
	for (size_t i = 0; limits && i < limits->n; i++) {
		__rlimit_resource_t which = (__rlimit_resource_t)limits->which[i];
		struct rlimit own;

		if (getrlimit(which, &own) != 0 || own.rlim_max >= limits->hard[i])
			continue;
		own.rlim_max = limits->hard[i];
		(void)setrlimit(which, &own);
	}
}

static _Noreturn void become(const char *const argv[], int fd, const struct process_limits *limits,
			     pid_t parent)
{
	static const char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL
	};
	sigset_t none;
	int null;

	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(127);
	/* The agent's signals are its own, and those of a terminal are for the agent, if at all. */
	for (int i = 1; i < NSIG; i++)
		(void)signal(i, SIG_DFL);
	sigemptyset(&none);
	(void)sigprocmask(SIG_SETMASK, &none, NULL);
	(void)setsid();
	raise_limits(limits);
	null = open("/dev/null", O_RDWR);
	if (null < 0 || dup2(null, 0) < 0 || dup2(null, 1) < 0 || dup2(null, 2) < 0)
		_exit(127);
	/* dup2() of a descriptor onto itself would leave it to be closed. */
	if (fd == 3 && fcntl(3, F_SETFD, 0) != 0)
		_exit(127);
	if (fd >= 0 && fd != 3 && dup2(fd, 3) < 0)
		_exit(127);
	if (null > 3 || (null == 3 && fd < 0))
		close(null);
	execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
	_exit(127);
}

static dvs_err start(const char *const argv[], int fd, const struct process_limits *limits,
		     pid_t *pid)
{
	pid_t self = getpid();

	*pid = fork();
	if (*pid == 0)
		become(argv, fd, limits, self);
	return *pid > 0 ? DVS_OK : dvs_from_errno(errno);
}

dvs_err process_run(const char *const argv[], int fd, const struct process_limits *limits,
		    uint32_t timeout_ms, int *status)
{
	pid_t pid;
	dvs_err err = start(argv, fd, limits, &pid);

	if (err != DVS_OK)
		return err;
	if (!process_gone(pid, clock_deadline_ns(timeout_ms * CLOCK_NS_PER_MS))) {
		(void)kill(pid, SIGKILL);
		err = DVS_TIMEOUT;
	}
	while (waitpid(pid, status, 0) < 0) {
		if (errno != EINTR)
			return DVS_IO;
	}
	return err;
}

uint64_t process_started(pid_t pid)
{
	char path[64];
	char text[1024];
	const char *at;
	char state;
	uint64_t started = 0;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!file_read(path, text, sizeof(text)))
		return 0;
	/* The name, in brackets, can hold anything. */
	at = strrchr(text, ')');
	if (!at || strlen(at) < 3)
		return 0;
	state = at[2];
	/* It is field 22, and the state, behind which we are, is field 3. */
	at += 3;
	for (int field = 4; field < 22 && at; field++)
		at = strchr(at + 1, ' ');
	if (!at || !text_number(&at, &started))
		return 0;
	return state == 'Z' || state == 'X' ? 0 : started;
}
