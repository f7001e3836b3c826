/* SPDX-License-Identifier: Apache-2.0 */
/* Where the things of a container are, and the trees of cgroups that host.c arranges. */
#ifndef CONTAINER_HOST_H
#define CONTAINER_HOST_H

#include "container/cgroup.h"

void container_dir(const struct container_host *host, const char *name, const char *rest,
		   char path[PATH_BYTES]);
void container_upper_dir(const struct container_host *host, const char *name, const char *rest,
			 char path[PATH_BYTES]);
void container_cgroup(const struct container_host *host, const char *name, char path[128]);
bool container_name_ok(const char *name);

/* Mount the v1 tree of CONTROLLER, which nobody has mounted, in our namespace. */
bool host_mount_controller(const char *controller);

#endif
