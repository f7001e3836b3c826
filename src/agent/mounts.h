/* SPDX-License-Identifier: Apache-2.0 */
/* File systems of a DC in its containers: for each one that a container is to see a gateway (dvs-fuse, which mounts it there) is kept running. All calls are the loop's thread's, and none blocks.
 *
 * A gateway that dies is started again: it takes the dead mount away and makes a new one in its place. It ends with its container, whose end takes its mount, and it goes on without this agent: the next one finds it. */
#ifndef AGENT_MOUNTS_H
#define AGENT_MOUNTS_H

#include "agent/agent.h"

struct mounts;

DVS_MUST_USE dvs_err mounts_open(struct agent *agent, struct mounts **mounts);
/* The container of DC runs, its first process is INIT: see to what the description says that it was made from. Can be called again at any time with the same. */
void mounts_container_up(struct mounts *mounts, const char *dc, dvs_dcid id, pid_t init);
/* The container is no more. */
void mounts_container_down(struct mounts *mounts, const char *dc);
/* Whether all file systems of the container have been mounted in it: before that no program is to start. When they are, reconcile looks at the DC again. */
bool mounts_are_made(const struct mounts *mounts, const char *dc);
/* Whether one is not mounted now and could not be: WHY is the sentence. */
bool mounts_why(const struct mounts *mounts, const char *dc, char why[DESCRIPTION_TEXT_MAX]);
/* REQUEST, which is to start something in DC: false: it may. Else it is answered, now or later: AGAIN handles it anew when all is mounted. */
bool mounts_hold(struct mounts *mounts, const char *dc, struct request *request,
		 agent_op_handler again);
/* Something about file systems has changed: what could not be mounted is tried at once. */
void mounts_retry(struct mounts *mounts);

#endif
