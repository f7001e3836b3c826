/* SPDX-License-Identifier: Apache-2.0 */
/* The cgroups of one container: v1, where each controller has a tree of its own, and v2 alike. Which trees there are is handed in, so that tests have their own. */
#ifndef CONTAINER_CGROUP_H
#define CONTAINER_CGROUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "container/internal.h"

#define CGROUP_TREES_MAX 20u

struct cgroup_tree {
	char root[128];	       /* where it is mounted */
	char controllers[256]; /* with a comma at both ends */
};

struct cgroups {
	bool v2;
	size_t n;
	struct cgroup_tree trees[CGROUP_TREES_MAX];
};

/* The trees that this process has mounted. */
DVS_MUST_USE bool cgroups_find(struct cgroups *all);
/* The tree of v2 that is mounted at ROOT. */
void cgroups_at_v2(struct cgroups *all, const char *root);
/* The tree with CONTROLLER; NULL: there is none. */
const struct cgroup_tree *cgroups_with(const struct cgroups *all, const char *controller);

/* Files of GROUP ("/dvs-1f2e3d4c/web") in the tree of CONTROLLER; false: there is no such tree or file, or errno. */
bool cgroup_get(const struct cgroups *all, const char *controller, const char *group,
		const char *file, char *text, size_t size);
bool cgroup_set(const struct cgroups *all, const char *controller, const char *group,
		const char *file, const char *text);
bool cgroup_has(const struct cgroups *all, const char *controller, const char *group,
		const char *file);

/* Make GROUP and what is missing above it in all trees, with all controllers that can be had. false: errno. */
DVS_MUST_USE bool cgroup_make(const struct cgroups *all, const char *group);
/* Remove GROUP where nothing is in it. */
void cgroup_tidy(const struct cgroups *all, const char *group);
/* Whether GROUP is there in any tree. */
bool cgroup_exists(const struct cgroups *all, const char *group);
/* Kill all in GROUP and below, and wait until they are gone. TIMEOUT. */
dvs_err cgroup_kill(const struct cgroups *all, const char *group, uint64_t deadline_ns);
/* Remove GROUP and what is below it. OK when there is none. INUSE: a process is in it. */
dvs_err cgroup_remove(const struct cgroups *all, const char *group);
/* Returns when all of it stands still. TIMEOUT. NOTFOUND: no freezer here. */
dvs_err cgroup_freeze(const struct cgroups *all, const char *group, bool on, uint64_t deadline_ns);
bool cgroup_is_frozen(const struct cgroups *all, const char *group);

/* ---- limits.c ---- */

/* All limits of DESCRIPTION, also those that are none. Of what the kernel has no controller for, the description must want nothing (DENIED). IO, BADARG. */
DVS_MUST_USE dvs_err limits_apply(const struct cgroups *all, const char *group,
				  const struct description *description, char *why);
/* Whether limits_apply() has the controllers that it needs. */
DVS_MUST_USE dvs_err limits_check(const struct cgroups *all, const struct description *description,
				  char *why);
/* The number of the whole disk that PATH, a block device, is or is a part of. */
DVS_MUST_USE bool limits_disk(const char *path, unsigned int *major_number,
			      unsigned int *minor_number);

/* ---- usage.c ---- */

void usage_read(const struct cgroups *all, const char *group, struct container_usage *usage);

#endif
