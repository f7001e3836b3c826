/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/remote/processes.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"

enum { END_MS = 5000, LINK_BYTES = 64, COMM_BYTES = 20 };

static ssize_t read_link(pid_t pid, char link[LINK_BYTES])
{
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/ns/pid", (int)pid);
	return readlink(path, link, LINK_BYTES);
}

static bool is_called(pid_t pid, const char *name)
{
	char path[64], comm[COMM_BYTES] = "";
	AUTO_CLOSE int fd = -1;

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || read(fd, comm, sizeof(comm) - 1) <= 0)
		return false;
	comm[strcspn(comm, "\n")] = '\0';
	return strcmp(comm, name) == 0;
}

size_t bench_find_processes(pid_t holder, const char *name, pid_t *pids, size_t room)
{
	AUTO_CLOSEDIR DIR *proc = opendir("/proc");
	char wanted[LINK_BYTES], found[LINK_BYTES];
	ssize_t wanted_bytes = read_link(holder, wanted);
	struct dirent *entry;
	size_t n = 0;

	while (proc && wanted_bytes > 0 && n < room && (entry = readdir(proc)) != NULL) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid > 0 && pid != holder && (!name || is_called(pid, name)) &&
		    read_link(pid, found) == wanted_bytes &&
		    memcmp(found, wanted, (size_t)wanted_bytes) == 0)
			pids[n++] = pid;
	}
	return n;
}

pid_t bench_inner_pid(pid_t pid)
{
	char path[64], line[128];
	AUTO_FCLOSE FILE *status = NULL;
	pid_t inner = 0;

	snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
	status = fopen(path, "re");
	while (status && fgets(line, sizeof(line), status)) {
		char *end = line + 6;

		if (strncmp(line, "NSpid:", 6) != 0)
			continue;
		(void)strtol(end, &end, 10); /* ours */
		inner = (pid_t)strtol(end, NULL, 10);
	}
	return inner;
}

/* It is no child of ours. */
static void wait_for_end(int pid_fd)
{
	struct pollfd fd = { .fd = pid_fd, .events = POLLIN };

	while (poll(&fd, 1, END_MS) < 0 && errno == EINTR)
		;
}

void bench_kill_processes(const pid_t *pids, size_t n)
{
	int fds[BENCH_PROCESSES_MAX];

	for (size_t i = 0; i < n; i++) {
		fds[i] = (int)syscall(SYS_pidfd_open, pids[i], 0);
		kill(pids[i], SIGKILL);
	}
	for (size_t i = 0; i < n; i++) {
		if (fds[i] >= 0) {
			wait_for_end(fds[i]);
			close(fds[i]);
		}
	}
}
