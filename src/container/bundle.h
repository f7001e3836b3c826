/* SPDX-License-Identifier: Apache-2.0 */
/* The OCI bundle of a container: what crun is told. Made without looking at the node, but for what is handed in. */
#ifndef CONTAINER_BUNDLE_H
#define CONTAINER_BUNDLE_H

#include <string.h>

#include "container/internal.h"

/* Where things are in a container. */
#define BUNDLE_INIT "/run/dvs-init"
#define BUNDLE_CONTROL "/run/dvs"

/* What container_create() has arranged on the node. */
struct bundle_of {
	const struct container_plan *plan;
	const char *cgroup;   /* "/dvs-1f2e3d4c/web" */
	const char *dir;      /* run_dir/containers/NAME */
	const char *init;     /* the program dc-init on the host */
	bool has_cgroup;      /* it gets a namespace of cgroups and sees its own, to read */
	bool filters_devices; /* see host_filters_devices() */
	bool may_raise; /* resource limits; most_files is what even then is the most for files */
	uint64_t most_files;
	bool has_resolver; /* the node's /etc/resolv.conf, hosts: for names on the node's network */
	bool has_hosts;
};

/* To be freed with json_decref(); NULL: no memory. */
json_t *bundle_make(const struct bundle_of *of);
json_t *bundle_seccomp(const struct description *is);
json_t *bundle_mounts(const struct bundle_of *of);

#endif
