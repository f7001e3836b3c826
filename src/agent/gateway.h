/* SPDX-License-Identifier: Apache-2.0 */
/* One dvs-fuse: a file system at a place in a container, kept there until it is dropped. For mounts.c. */
#ifndef AGENT_GATEWAY_H
#define AGENT_GATEWAY_H

#include "agent/agent.h"

struct gateway;

struct gateway_plan {
	const char *dc;
	dvs_dcid id;
	pid_t init;	  /* the first process of the container */
	size_t index;	  /* of the volume in the description: its files are called by it */
	const char *name; /* of the file system */
	const char *target;
	bool is_read_only;
};

/* Begin, or go on with the one that a former agent has started. CHANGED(CONTEXT) is called from the loop, never from here, whenever it is up or has failed. Without memory there is one that never comes up. */
struct gateway *gateway_start(struct agent *agent, const struct gateway_plan *plan,
			      void (*changed)(void *context), void *context);
/* Its container has ended, and with it its mount: see to its end. Nothing more is told of it. */
void gateway_drop(struct gateway *gateway);
bool gateway_is_up(const struct gateway *gateway);
/* Whether it is not up, because something failed: WHY. */
bool gateway_why(const struct gateway *gateway, char why[DESCRIPTION_TEXT_MAX]);
/* Do not wait any longer for the next try. */
void gateway_retry(struct gateway *gateway);

#endif
