/* SPDX-License-Identifier: Apache-2.0 */
/* Taking a container away, whatever state it is in: also one that a killed crun or agent left half made, or that crun is still making for an agent that is gone. So it
 * asks neither crun nor files that were to be written: it looks for processes, cgroups, mounts and files by the container's name. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "container/rootfs.h"

#define REMOVE_TIMEOUT_MS 30000u

static bool next_word(const char **at, const char *end)
{
	*at += strlen(*at) + 1;
	return *at < end;
}

/* Whether the command line is one of crun with our --root, for NAME. What crun forks has it, too, until it becomes the container's first process. */
static bool is_crun_of(pid_t pid, const char *root, const char *name)
{
	char path[64];
	char line[4096];
	AUTO_CLOSE int fd = -1;
	const char *at = line;
	const char *last = line;
	bool has_root = false;
	ssize_t n;

	(void)snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	n = fd >= 0 ? read(fd, line, sizeof(line) - 1) : -1;
	if (n <= 0)
		return false;
	line[n] = '\0';
	while (next_word(&at, line + n)) {
		has_root = has_root || (strcmp(last, "--root") == 0 && strcmp(at, root) == 0);
		last = at;
	}
	return has_root && strcmp(last, name) == 0;
}

/* Anybody can have such a command line. One that crun has is root, or on its way to be a container's root; and it is in no other container. */
static bool may_be_crun(const struct container_host *host, pid_t pid, const char *name)
{
	char path[64], text[4096], group[128];
	const char *at;
	unsigned long uid;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (!file_read(path, text, sizeof(text)))
		return false;
	at = strstr(text, "\nUid:");
	uid = at ? strtoul(at + 5, NULL, 10) : 1;
	if (uid != 0 && (uid < CONTAINER_UID_FIRST ||
			 uid - CONTAINER_UID_FIRST >= (uint64_t)CONTAINER_DCS * CONTAINER_UIDS))
		return false;
	container_cgroup(host, name, group);
	return process_in(pid, group) || !process_in(pid, host->cgroup);
}

/* Kill each crun that is at work on NAME, and wait for it. *N is how many there were. */
static bool kill_makers(const struct container_host *host, const char *name, uint64_t deadline_ns,
			size_t *n)
{
	AUTO_CLOSEDIR DIR *dir = opendir("/proc");
	char root[PATH_BYTES];
	struct dirent *entry;

	*n = 0;
	(void)snprintf(root, sizeof(root), "%s/crun", host->run_dir);
	while (dir && (entry = readdir(dir)) != NULL) {
		pid_t pid = (pid_t)strtol(entry->d_name, NULL, 10);

		if (pid <= 0 || !is_crun_of(pid, root, name) || !may_be_crun(host, pid, name))
			continue;
		(*n)++;
		(void)kill(pid, SIGKILL);
		if (!process_gone(pid, deadline_ns))
			return false;
	}
	return dir != NULL;
}

static dvs_err kill_all(const struct container_host *host, const struct cgroups *all,
			const char *name, char *why)
{
	uint64_t deadline_ns = clock_deadline_ns(REMOVE_TIMEOUT_MS * CLOCK_NS_PER_MS);
	char group[128];
	size_t n;

	container_cgroup(host, name, group);
	do {
		/* One that is killed may just have put a process into the cgroup. */
		if (!kill_makers(host, name, deadline_ns, &n) ||
		    cgroup_kill(all, group, deadline_ns) != DVS_OK)
			return why_say(
				why, DVS_TIMEOUT,
				"a process of %s does not end within %u s though it was killed; "
				"see 'ps -eo pid,stat,wchan,cmd' for what it waits",
				name, REMOVE_TIMEOUT_MS / 1000);
	} while (n > 0);
	return DVS_OK;
}

static dvs_err remove_files(const struct container_host *host, const char *name, char *why)
{
	char paths[3][PATH_BYTES];
	char socket_path[108];

	container_socket(host, name, socket_path);
	if (unlink(socket_path) != 0 && errno != ENOENT)
		return why_errno(why, errno, "remove %s", socket_path);
	(void)snprintf(paths[0], sizeof(paths[0]), "%s/crun/%s", host->run_dir, name);
	container_upper_dir(host, name, "", paths[1]);
	/* Last: while it is there, container_list() tells of the rest. */
	container_dir(host, name, "", paths[2]);
	for (size_t i = 0; i < ARRAY_LEN(paths); i++) {
		if (!dir_remove(paths[i]))
			return why_errno(why, errno, "remove %s", paths[i]);
	}
	return DVS_OK;
}

dvs_err container_remove(const struct container_host *host, const char *name, char *why)
{
	struct cgroups all;
	char group[128];
	dvs_err err;

	if (!container_name_ok(name))
		return why_say(why, DVS_BADARG, "'%s' cannot be the name of a container", name);
	if (!cgroups_find(&all))
		return why_say(why, DVS_NOTFOUND, "no cgroups are mounted");
	container_cgroup(host, name, group);
	err = kill_all(host, &all, name, why);
	if (err != DVS_OK)
		return err;
	err = cgroup_remove(&all, group);
	if (err != DVS_OK)
		return why_say(why, err, "remove the cgroup %s: %s", group, dvs_strerror(err));
	cgroup_tidy(&all, host->cgroup);
	if (!rootfs_take_down(host, name))
		return why_errno(why, errno, "unmount what is mounted for %s", name);
	return remove_files(host, name, why);
}
