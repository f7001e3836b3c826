/* SPDX-License-Identifier: Apache-2.0 */
#include "container/ending.h"

#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "container/host.h"
#include "container/internal.h"

/* Of one round; there may be more of them. */
#define FOUND_MAX 4096u

/* ---- processes ---- */

/* The descriptor stays with the process that it was opened for, so that one is looked at, and signalled. */
static int find(const char *name, processes_wanted *wanted, const void *arg)
{
	pid_t pid = (pid_t)strtol(name, NULL, 10);
	AUTO_CLOSE int fd = pid > 0 ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

	return fd >= 0 && wanted(arg, pid) ? take_fd(&fd) : -1;
}

size_t processes_end(processes_wanted *wanted, const void *arg, int number, uint64_t deadline_ns)
{
	AUTO_CLOSEDIR DIR *dir = opendir("/proc");
	const struct dirent *entry;
	int found[FOUND_MAX];
	size_t n = 0;
	size_t left = 0;

	while (dir && n < FOUND_MAX && (entry = readdir(dir)) != NULL) {
		int fd = find(entry->d_name, wanted, arg);

		if (fd < 0)
			continue;
		(void)syscall(SYS_pidfd_send_signal, fd, number, NULL, 0);
		found[n++] = fd;
	}
	for (size_t i = 0; i < n; i++) {
		left += pidfd_ended(found[i], deadline_ns) ? 0 : 1;
		(void)close(found[i]);
	}
	return left;
}

/* ---- containers ---- */

/* The first process of a container: "NSpid:	4711	1". */
static bool is_init_in(const void *group, pid_t pid)
{
	char path[64];
	char text[4096];
	const char *at;

	if (!process_in(pid, group))
		return false;
	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (!file_read(path, text, sizeof(text)))
		return false;
	at = strstr(text, "\nNSpid:");
	at = at ? strchr(at + 1, '\n') : NULL;
	return at && at - text > 2 && at[-1] == '1' && at[-2] == '\t';
}

dvs_err container_host_stop(const char *lib_dir, uint32_t grace_ms, char *why)
{
	char group[CONTAINER_GROUP_BYTES];

	if (!container_host_group(lib_dir, group))
		return DVS_OK;
	(void)processes_end(is_init_in, group, SIGTERM,
			    clock_deadline_ns(grace_ms * CLOCK_NS_PER_MS));
	return container_host_remove(group, why);
}
