/* SPDX-License-Identifier: Apache-2.0 */
/* Makes of this node's containers what is wanted (dvs/container.h), and reports. */
#ifndef AGENT_RECONCILE_H
#define AGENT_RECONCILE_H

#include "agent/agent.h"

DVS_MUST_USE dvs_err reconcile_open(struct agent *agent, struct reconcile **reconcile);
/* Waits for the workers. NULL is fine. */
void reconcile_close(struct reconcile *reconcile);

/* Something has changed: look at what is wanted, and at what is there. Soon, once for many calls. */
void reconcile_look(struct reconcile *reconcile);
/* dc-init of DC ended, or its link cannot be made or broke (INIT: which process; only the container with that one is looked at). */
void reconcile_init_gone(struct reconcile *reconcile, const char *dc, pid_t init);

#endif
