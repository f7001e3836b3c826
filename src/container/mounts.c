/* SPDX-License-Identifier: Apache-2.0 */
/* Mounts by the new calls (open_tree, move_mount, mount_setattr), which work on descriptors and can change ids. */
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/internal.h"

/* "\040" and its like, as the kernel writes blanks in paths. */
static void unescape(char *text)
{
	char *to = text;

	for (char *at = text; *at; at++) {
		if (at[0] == '\\' && at[1] >= '0' && at[1] <= '3' && at[2] && at[3]) {
			*to++ = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + (at[3] - '0'));
			at += 3;
		} else {
			*to++ = *at;
		}
	}
	*to = '\0';
}

/* "36 35 98:0 /root /path opts tags - type source super-options" */
static bool take_line(char *line, struct mount_entry *entry)
{
	char *rest = strstr(line, " - ");
	char path[PATH_BYTES];
	char options[sizeof(entry->options)];

	if (!rest || sscanf(line, "%*d %*d %*s %*s %511s", path) != 1 ||
	    sscanf(rest + 3, "%31s %*s %253s", entry->type, options) != 2)
		return false;
	unescape(path);
	(void)snprintf(entry->path, sizeof(entry->path), "%s", path);
	(void)snprintf(entry->options, sizeof(entry->options), ",%.253s,", options);
	return true;
}

struct mount_entry *mounts_read(size_t *n)
{
	AUTO_FCLOSE FILE *file = fopen("/proc/self/mountinfo", "re");
	struct mount_entry *entries = NULL;
	AUTO_FREE char *line = NULL;
	size_t room = 0, has_room = 0;

	*n = 0;
	while (file && getline(&line, &room, file) > 0) {
		if (*n == has_room) {
			struct mount_entry *more;

			has_room = has_room ? has_room * 2 : 64;
			more = realloc(entries, has_room * sizeof(*entries));
			if (!more) {
				free(entries);
				return NULL;
			}
			entries = more;
		}
		if (take_line(line, &entries[*n]))
			(*n)++;
	}
	return entries;
}

bool mounts_detach(const char *path)
{
	size_t n;
	size_t len = strlen(path);
	AUTO_FREE struct mount_entry *entries = mounts_read(&n);
	bool good = entries != NULL;

	for (size_t i = n; good && i > 0; i--) {
		const char *at = entries[i - 1].path;

		if (strncmp(at, path, len) != 0 || (at[len] != '\0' && at[len] != '/'))
			continue;
		/* One above it may have taken it along. */
		if (umount2(at, MNT_DETACH | UMOUNT_NOFOLLOW) != 0 && errno != EINVAL &&
		    errno != ENOENT)
			good = false;
	}
	return good;
}

static bool put_map(pid_t pid, const char *which, uint32_t first)
{
	char path[64];
	char map[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/%s", pid, which);
	(void)snprintf(map, sizeof(map), "0 %u %u\n", first, CONTAINER_UIDS);
	return file_put(path, map);
}

/* Until it is killed, or its parent is. */
static _Noreturn void wait_for_end(pid_t parent)
{
	if (prctl(PR_SET_PDEATHSIG, SIGKILL) != 0 || getppid() != parent)
		_exit(1);
	for (;;)
		(void)pause();
}

/* A user namespace needs a process to be made; it has done its work when the namespace is open. */
int mount_users(uint32_t uid)
{
	pid_t self = getpid();
	pid_t pid = (pid_t)syscall(SYS_clone, CLONE_NEWUSER | SIGCHLD, 0, 0, 0, 0);
	char path[64];
	int fd = -1;
	int saved;

	if (pid == 0)
		wait_for_end(self);
	if (pid < 0)
		return -1;
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/user", pid);
	if (put_map(pid, "uid_map", uid) && put_map(pid, "gid_map", uid))
		fd = open(path, O_RDONLY | O_CLOEXEC);
	saved = errno;
	(void)kill(pid, SIGKILL);
	while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
		;
	errno = saved;
	return fd;
}

bool mount_copy(const char *source, const char *target, int users, uint64_t flags)
{
	AUTO_CLOSE int tree = open_tree(AT_FDCWD, source, OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC);
	struct mount_attr attr = { .attr_set = flags, .propagation = MS_PRIVATE };

	if (tree < 0)
		return false;
	if (users >= 0) {
		attr.attr_set |= MOUNT_ATTR_IDMAP;
		attr.userns_fd = (uint64_t)users;
	}
	if (mount_setattr(tree, "", AT_EMPTY_PATH, &attr, sizeof(attr)) != 0)
		return false;
	return move_mount(tree, "", AT_FDCWD, target, MOVE_MOUNT_F_EMPTY_PATH) == 0;
}
