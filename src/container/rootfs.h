/* SPDX-License-Identifier: Apache-2.0 */
/* What the agent mounts below the directory of a container, for crun to take into the container. When crun has, rootfs_take_down() makes it as if it had not been:
 * the mounts live on in the container, and end with it. */
#ifndef CONTAINER_ROOTFS_H
#define CONTAINER_ROOTFS_H

#include "container/host.h"

/* rootfs/, volumes/, nodes/ and sys/ below run_dir/containers/NAME, which is there. */
DVS_MUST_USE dvs_err rootfs_make(const struct container_host *host,
				 const struct container_plan *plan, char *why);
bool rootfs_take_down(const struct container_host *host, const char *name);

/* The directory that is to be the root: "/" for the node's own. */
const char *rootfs_source(const struct container_plan *plan);
/* Whether TARGET is, in the tree ROOT, or could be made there without passing a link that leads out. *THERE: it is. */
bool rootfs_target(const char *root, const char *target, bool *there);

#endif
