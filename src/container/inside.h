/* SPDX-License-Identifier: Apache-2.0 */
/* A child process inside a container: its mounts and users, and no others. What a path leads to there is the container's, whatever links it has, so nothing has to be believed of it. The
 * child is not in the container's process namespace: nobody in there can see, signal or trace it. */
#ifndef CONTAINER_INSIDE_H
#define CONTAINER_INSIDE_H

#include <sys/types.h>

#include "container/description.h"

/* Of a container's users and groups, as its files tell. */
struct inside_user {
	uint32_t uid, gid;
	uint32_t groups[32];
	uint32_t n_groups;
	char home[256];
};

/* What USER ("", "name", "uid", "name:group", "uid:gid") is by the texts of /etc/passwd and /etc/group. NOTFOUND, BADARG. */
DVS_MUST_USE dvs_err inside_find_user(const char *user, const char *passwd, const char *group,
				      struct inside_user *found, char *why);

/* In a child, right after fork(): go into the container whose dc-init is INIT, become its root, and keep nothing but the N_KEEP descriptors KEEP. NOTFOUND: it has ended. */
DVS_MUST_USE dvs_err inside_enter(pid_t init, const int *keep, size_t n_keep, char *why);

#endif
