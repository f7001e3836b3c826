/* SPDX-License-Identifier: Apache-2.0 */
/* Keeps a dvs-vdd for each DC that has a volume with a replica on this node (docs/decisions/0021), and a dvs-fs for each file system that has a server here (0026). They outlive this agent: the next one starts another, which waits until
 * the former has ended. */
#ifndef AGENT_VOLUMES_H
#define AGENT_VOLUMES_H

#include <stdbool.h>
#include <stddef.h>

#include "agent/agent.h"

struct volumes;

/* NODE_MOUNTS: of the mount namespace in which they are to live, -1: of the agent's own; it is the volumes' from now on. NOMEM. */
DVS_MUST_USE dvs_err volumes_open(struct agent *agent, int node_mounts, struct volumes **volumes);
/* Something has changed: look at all DCs. Soon, once for many calls. */
void volumes_look(struct volumes *volumes);
/* Where this program is, and those that it starts: a path that ends in a slash. */
bool volumes_folder(char *path, size_t size);
/* DC was removed: what it had in volumes is to go. */
void volumes_dc_removed(struct volumes *volumes, const char *dc);

#endif
