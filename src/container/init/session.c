/* SPDX-License-Identifier: Apache-2.0 */
/* All that a program started: the processes of its session. Those of its own group are found without /proc, which a container need not have. */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "container/init/init.h"

/* Who forks faster than it is killed is left to the end of the container. */
#define SESSION_ROUNDS 4

/* The session of the process whose folder in /proc is NAME, or -1. */
static pid_t session_of(int proc, const char *name)
{
	char path[32];
	char text[512];
	char *at;
	ssize_t len;
	AUTO_CLOSE int fd = -1;

	(void)snprintf(path, sizeof(path), "%.15s/stat", name);
	/* Inside the container anything may have been mounted on /proc: a pipe must not hold us up. */
	fd = openat(proc, path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOFOLLOW);
	if (fd < 0)
		return -1;
	len = read(fd, text, sizeof(text) - 1);
	if (len <= 0)
		return -1;
	text[len] = '\0';
	/* The name of the program, in brackets, can have anything in it. */
	at = strrchr(text, ')');
	if (!at || at[1] != ' ' || at[2] == '\0')
		return -1;
	/* A letter, then parent, group, session. */
	at += 3;
	for (int i = 0; i < 2; i++)
		(void)strtol(at, &at, 10);
	return (pid_t)strtol(at, NULL, 10);
}

static size_t session_round(pid_t leader, int signo)
{
	AUTO_CLOSEDIR DIR *proc = opendir("/proc");
	const struct dirent *entry;
	size_t found = 0;

	while (proc && (entry = readdir(proc))) {
		long pid = strtol(entry->d_name, NULL, 10);

		if (pid <= 1 || pid == leader || session_of(dirfd(proc), entry->d_name) != leader)
			continue;
		found++;
		(void)kill((pid_t)pid, signo);
	}
	return found;
}

void session_kill(pid_t pid, int signo)
{
	(void)kill(-pid, signo);
	/* It has no group before its setsid(). */
	(void)kill(pid, signo);
	if (signo != SIGKILL) {
		(void)session_round(pid, signo);
		return;
	}
	for (int round = 0; round < SESSION_ROUNDS && session_round(pid, signo) > 0; round++)
		(void)0;
}
