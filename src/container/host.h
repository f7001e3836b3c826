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

/* CAP_SYS_RESOURCE: resource limits above its own can be given. */
bool host_may_raise(void);
/* Whether access to devices can be limited by number. On v2 that is a program in the kernel, for which crun needs to lock memory without a limit. Where it cannot be, a
 * container still has only the devices that it is shown: it can make none. */
bool host_filters_devices(const struct cgroups *all);

/* Mount the v1 tree of CONTROLLER, which nobody has mounted, in our namespace. */
bool host_mount_controller(const char *controller);

#endif
