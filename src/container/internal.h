/* SPDX-License-Identifier: Apache-2.0 */
/* What the files behind container.h share.
 *
 *	run_dir/containers/NAME/	0711, on a file system that a restart of the machine empties
 *		config.json		the bundle
 *		state			"PID START-TIME": it runs
 *		mark			"VERSION"
 *		rootfs, volumes/N, nodes, sys	where the agent mounts what crun then takes; empty when it has
 *	run_dir/init/NAME		the socket of dc-init, in a directory that only root may pass
 *	lib_dir/dcs/NAME/upper, work	what the container wrote into its root
 */
#ifndef CONTAINER_INTERNAL_H
#define CONTAINER_INTERNAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "container/container.h"
#include "container/why.h"

#define PATH_BYTES 512u

/* ---- files.c ---- */

/* At most SIZE - 1 bytes of a file, terminated; false: errno. */
bool file_read(const char *path, char *text, size_t size);
/* Into a file that is there, in one write, as cgroup files want it. */
bool file_put(const char *path, const char *text);
/* A whole file anew, by another name first, so that it is there whole or not at all. LASTING: it outlives a loss of power. */
bool file_replace(const char *path, const char *text, size_t len, mode_t mode, bool lasting);
/* PATH and what is missing above it. */
bool dir_make(const char *path, mode_t mode);
/* PATH and all below it, but no other file system: what is mounted there makes it fail (EXDEV, EBUSY). Follows no link. OK when there is nothing. */
bool dir_remove(const char *path);

/* The number at *AT, after blanks, and *AT behind it; false: there is none, or it is too large. */
bool text_number(const char **at, uint64_t *value);
/* "254:3", likewise. */
bool text_device(const char **at, unsigned int *major_number, unsigned int *minor_number);

/* ---- mounts.c: in this process's mount namespace ---- */

struct mount_entry {
	char path[PATH_BYTES];
	char type[32];
	char options[256]; /* of the file system, with a comma at both ends */
};

/* All mounts, oldest first; to be freed. NULL: errno. */
struct mount_entry *mounts_read(size_t *n);
/* Unmount all at and below PATH, the youngest first. */
bool mounts_detach(const char *path);
/* A user namespace in which 0 and so on is UID and so on: for id-mapped mounts. -1: errno. */
int mount_users(uint32_t uid);
/* Mount a copy of what is at SOURCE at TARGET, which has the ids of USERS (-1: its own). FLAGS: MOUNT_ATTR_*. errno EINVAL: that file system cannot have other ids. */
bool mount_copy(const char *source, const char *target, int users, uint64_t flags);

/* ---- process.c ---- */

/* What the program may raise its own limits to, if that is more than it has. */
struct process_limits {
	uint32_t which[16];
	uint64_t hard[16];
	size_t n;
};

/* Run ARGV (a path in front) with FD, if it is not -1, as its descriptor 3 and nothing as its stdin, stdout and stderr. LIMITS may be NULL. *STATUS as of waitpid(). TIMEOUT: it was killed. */
dvs_err process_run(const char *const argv[], int fd, const struct process_limits *limits,
		    uint32_t timeout_ms, int *status);
/* When PID was started, in ticks since boot; 0: there is none, or it has ended. */
uint64_t process_started(pid_t pid);
/* The path of PID's cgroup in some tree is GROUP or below it: it can be said of a process that is as it was when it was found. */
bool process_in(pid_t pid, const char *group);
/* Kill PID if it is in GROUP. False: it is not, or there is no such process. */
bool process_kill_in(pid_t pid, const char *group);
/* Whether the process of that pidfd has ended, waiting at most until DEADLINE_NS. */
bool pidfd_ended(int pidfd, uint64_t deadline_ns);
/* Whether PID has ended, waiting at most until DEADLINE_NS. */
bool process_gone(pid_t pid, uint64_t deadline_ns);

#endif
