/* SPDX-License-Identifier: Apache-2.0 */
/* This dvsd among those of the other nodes. */
#ifndef NODE_CLUSTER_H
#define NODE_CLUSTER_H

#include "group/ordered.h"
#include "node/host.h"

/* Join the nodes with which the configuration says that this one works. The state file was read before. IO. */
DVS_MUST_USE dvs_err cluster_open(struct host *host);
/* The same over another engine; for tests. */
DVS_MUST_USE dvs_err cluster_join(struct host *host, ordered_open_engine open_engine,
				  void *argument);
void cluster_close(struct host *host);
/* These nodes are there; what follows from it is applied here. */
void cluster_view(struct host *host, const struct ordered_view *view);

/* Let the others know that this node is up, unless they do. */
void cluster_say_up(struct host *host);

/* nodes.c: NODE is away: unless it comes back it counts as down. */
void node_await(struct host *host, uint32_t node);

/* nodes.c: proxies for the nodes that are up, and for no others. */
void nodes_carry(struct host *host);

/* quorum.c */
void quorum_lost(struct host *host);
void quorum_won(struct host *host);
/* This dvsd has just started: it counts as outside if it is not in the quorum soon. NOMEM. */
DVS_MUST_USE dvs_err quorum_await(struct host *host);
/* Silence BINDING, a primary, if this node is outside the quorum and a backup of it is where the quorum can be. */
void binding_fence(struct host *host, struct binding *binding);
void binding_unfence(struct host *host, struct binding *binding);
/* OK: calls can reach CORE (may be NULL) as far as the quorum goes. NOQUORUM, NODEST. */
DVS_MUST_USE dvs_err quorum_reaches(const struct host *host, const struct core_binding *core);

/* adopt.c: CORE, of the other nodes, is the state from now on. Takes it over. */
void adopt(struct host *host, struct core *core);
/* PROCESS has it from before, without a binding in the core; NULL. */
struct binding *process_limbo(const struct process *process, uint32_t slot);
/* The core has BINDING again. */
void limbo_over(struct host *host, struct binding *binding);
void formers_free(struct host *host);

#endif
