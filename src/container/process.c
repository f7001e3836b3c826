/* SPDX-License-Identifier: Apache-2.0 */
/* Other programs: run to their end, with a deadline, and looked at by pid and start time, since a pid comes again. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static bool has_ended(int pidfd, uint64_t deadline_ns)
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

	return fd < 0 || has_ended(fd, deadline_ns);
}

/* The agent's signal mask and handlers are its own: the program starts with none. */
static dvs_err start(const char *const argv[], int fd, pid_t *pid)
{
	static const char *const env[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL
	};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int err;

	sigemptyset(&none);
	sigfillset(&all);
	if (posix_spawnattr_init(&attr) != 0)
		return DVS_NOMEM;
	if (posix_spawn_file_actions_init(&actions) != 0) {
		(void)posix_spawnattr_destroy(&attr);
		return DVS_NOMEM;
	}
	(void)posix_spawnattr_setsigmask(&attr, &none);
	(void)posix_spawnattr_setsigdefault(&attr, &all);
	/* A signal from a terminal is for the agent, if at all. */
	(void)posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
						      POSIX_SPAWN_SETSID);
	err = posix_spawn_file_actions_addopen(&actions, 0, "/dev/null", O_RDWR, 0);
	if (err == 0)
		err = posix_spawn_file_actions_adddup2(&actions, 0, 1);
	if (err == 0)
		err = posix_spawn_file_actions_adddup2(&actions, 0, 2);
	if (err == 0 && fd >= 0)
		err = posix_spawn_file_actions_adddup2(&actions, fd, 3);
	if (err == 0)
		err = posix_spawn(pid, argv[0], &actions, &attr, (char *const *)(uintptr_t)argv,
				  (char *const *)(uintptr_t)env);
	(void)posix_spawn_file_actions_destroy(&actions);
	(void)posix_spawnattr_destroy(&attr);
	return err == 0 ? DVS_OK : dvs_from_errno(err);
}

dvs_err process_run(const char *const argv[], int fd, uint32_t timeout_ms, int *status)
{
	pid_t pid;
	dvs_err err = start(argv, fd, &pid);

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
	char *at;
	char state;
	unsigned long long started;

	(void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!file_read(path, text, sizeof(text)))
		return 0;
	/* The name, in brackets, can hold anything. */
	at = strrchr(text, ')');
	if (!at ||
	    sscanf(at + 1,
		   " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %llu",
		   &state, &started) != 2)
		return 0;
	return state == 'Z' || state == 'X' ? 0 : started;
}
