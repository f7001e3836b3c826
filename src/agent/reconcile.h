/* SPDX-License-Identifier: Apache-2.0 */
/* Makes of this node's containers what is wanted (dvs/container.h), and reports. */
#ifndef AGENT_RECONCILE_H
#define AGENT_RECONCILE_H

#include "agent/agent.h"

/* FIRST is called once, when all that is there has been looked at for the first time. */
DVS_MUST_USE dvs_err reconcile_open(struct agent *agent, void (*first)(struct agent *agent),
				    struct reconcile **reconcile);

/* Something has changed: look at all that is wanted, and at all that is there. Soon, once for many calls. */
void reconcile_look(struct reconcile *reconcile);
/* The same for one DC. */
void reconcile_look_at(struct reconcile *reconcile, const char *dc);
/* The link with process INIT, the dc-init of DC, ended or cannot be made. Of a process that is not that of the container any more, nothing happens. */
void reconcile_init_gone(struct reconcile *reconcile, const char *dc, pid_t init);

/* What of its container a row needs that only reconcile knows. False: no container of DC is known here. */
struct reconcile_row {
	bool is_up;
	bool is_busy; /* being made or taken away */
	dvs_err err;  /* of the last look */
	char why[DESCRIPTION_TEXT_MAX];
	uint64_t job; /* of the image that it waits for; 0: none */
};
bool reconcile_row(const struct reconcile *reconcile, const char *dc, struct reconcile_row *row);

#endif
