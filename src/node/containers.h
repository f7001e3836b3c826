/* SPDX-License-Identifier: Apache-2.0 */
/* DCs with containers, their records, and the agent of this node. */
#ifndef NODE_CONTAINERS_H
#define NODE_CONTAINERS_H

#include "node/api.h"

/* ---- containers.c ---- */

/* A CORE_DC_CHANGED, UP, FAILED or REFUSED. */
void containers_changed(struct host *host, const struct core_effect *effect);
/* The DC of NAME, which somebody wants to change. NODC; DENIED: it is hidden. */
DVS_MUST_USE dvs_err dc_for_change(const struct host *host, const char *name, dvs_dcid *id);
void op_container_create(struct host *host, struct request *request);
void op_container_remove(struct host *host, struct request *request);
void op_container_nodes(struct host *host, struct request *request);
void op_container_freeze(struct host *host, struct request *request);
void op_container_report(struct host *host, struct request *request);
void op_container_next(struct host *host, struct request *request);
void op_container_why(struct host *host, struct request *request);

/* ---- records.c ---- */

void op_record_set(struct host *host, struct request *request);
void op_record_get(struct host *host, struct request *request);
void op_record_remove(struct host *host, struct request *request);

/* ---- agent.c ---- */

/* Start the agent if it is wanted here and does not run. */
void agent_look(struct host *host);
/* It is told to end, and ended if it does not. */
void agent_stop(struct host *host);
void op_agent_start(struct host *host, struct request *request);

#endif
