/* SPDX-License-Identifier: Apache-2.0 */
/* What the files about copies share: copy.c (rights, the queue), copy_far.c (copies with other nodes). */
#ifndef NODE_COPY_H
#define NODE_COPY_H

#include "node/ask.h"
#include "node/carrier.h"
#include "node/copier.h"
#include "node/grant.h"

/* Which grant a copy uses; only compared. */
struct copy_use {
	const struct binding *binding;
	uint32_t grant; /* 0: its process's own memory */
};

/* A side of a copy as it was asked for. */
struct span {
	uint32_t ep;
	uint32_t grant;
	uint64_t offset;
	uint32_t right; /* that the grant must give */
};

struct copy {
	struct copy_job job;
	struct list of_host;
	struct link *link; /* NULL: it is gone, nobody waits for the answer */
	uint32_t id;
	struct copy_use use[2];
	struct asker asker; /* the node for which it is done; number 0: for LINK */
	dvs_err stopped;    /* why, if it was */
	dvs_dcid dc;
	/* With another node: */
	struct carrier *carrier; /* whose proxy does it; NULL: the copier */
	uint64_t number;
	struct span far;	      /* the grant there */
	const struct copy_side *near; /* the side here: job.from or job.to */
	dvs_ep by;
};

/* ---- copy.c ---- */

/* It is over, with ERR unless it was stopped before. */
void copy_done(struct host *host, struct copy *copy, dvs_err err);
DVS_MUST_USE dvs_err copy_side_of(const struct binding *binding, struct copy_side *side);
DVS_MUST_USE dvs_err span_allowed(const struct binding *owner, dvs_ep by, const struct span *span,
				  uint64_t bytes, struct copy_side *side);

/* ---- copy_far.c ---- */

/* Let COPY, whose near side is SIDE, be done by the carrier for OWNER's node. NODEDOWN. */
DVS_MUST_USE dvs_err far_copy_find(struct host *host, const struct core_binding *owner,
				   struct copy *copy, const struct copy_side *side);
void far_copy_start(struct host *host, struct copy *copy);
/* It was stopped; COPY may be over when this returns. */
void far_copy_stop(struct host *host, struct copy *copy);

/* Uses of grants here by copies of other nodes. */
bool foreign_uses(const struct host *host, const struct binding *binding, uint32_t grant);
void foreign_forget(struct host *host, const struct binding *binding);
void foreign_free(struct host *host);

#endif
