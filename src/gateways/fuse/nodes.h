/* SPDX-License-Identifier: Apache-2.0 */
/* What the kernel knows of files, and whether the gateway holds leases on them.
 *
 * The kernel may keep what it was told under a lease. Between the moment when the server answers and the moment when the kernel has the answer a recall can come and go; so everything
 * is compared by a clock that ticks with each recall: who asks the server reads it before, and what was answered counts only if no recall of that file came since. */
#ifndef GATEWAYS_FUSE_NODES_H
#define GATEWAYS_FUSE_NODES_H

#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "proto/fs_proto.h"
#include <dvs/error.h>

struct nodes;

DVS_MUST_USE dvs_err nodes_make(struct nodes **nodes);
void nodes_free(struct nodes *nodes);

/* To be read before the server is asked. */
uint64_t nodes_clock(const struct nodes *nodes);
/* Whoever has read it before has asked before this. */
uint64_t nodes_tick(struct nodes *nodes);

/* The kernel is going to know ATTR->ino, once more. */
DVS_MUST_USE dvs_err nodes_keep(struct nodes *nodes, const struct fs_attr *attr);
/* Whether the kernel knows it, or is going to. */
bool nodes_is_known(struct nodes *nodes, uint64_t ino);
/* True: it knows it no more. */
bool nodes_forget(struct nodes *nodes, uint64_t ino, uint64_t n);
/* These attributes were asked for at ASKED. True: they stand under a lease that still holds. */
bool nodes_took(struct nodes *nodes, const struct fs_attr *attr, uint64_t asked);
/* Whether there was a lease at ASKED, and is still the same. */
bool nodes_holds(struct nodes *nodes, uint64_t ino, uint64_t asked);
/* Whether there was one on its names when it was ASKED for one, and is still the same. */
bool nodes_holds_names(struct nodes *nodes, uint64_t ino, uint64_t asked);

/* ---- contents on their way to the kernel ---- */

enum nodes_verdict {
	NODES_GOOD, /* under a lease */
	NODES_OLD, /* the lease is being given up, and what was read may be old, as it may be until then: nodes_delivered() when the kernel has it */
	NODES_AGAIN, /* there is no lease: get one, read again */
};
enum nodes_verdict nodes_judge(struct nodes *nodes, uint64_t ino, uint64_t asked);
void nodes_delivered(struct nodes *nodes, uint64_t ino);
/* Whether the kernel may have contents of it. */
bool nodes_may_be_cached(struct nodes *nodes, uint64_t ino);

/* ---- recalls ---- */

struct nodes_recall {
	uint64_t ino;
	bool is_known; /* to the kernel */
	uint64_t n_delivered;
};
/* From now on there is no lease on INO. */
void nodes_recall_begin(struct nodes *nodes, uint64_t ino, struct nodes_recall *recall);
/* After the kernel was told. False: it has got something old meanwhile, tell it again. */
bool nodes_recall_end(struct nodes *nodes, struct nodes_recall *recall);
/* Up to MAX leases that are held, as op hold of fs.toml wants them; *CURSOR begins as 0 and says where to go on. */
size_t nodes_held(struct nodes *nodes, uint64_t *cursor, uint64_t *inos, size_t max);
/* All leases are gone. */
void nodes_lost(struct nodes *nodes);
/* Calls EACH for all that the kernel knows, with no lock held. */
void nodes_each(struct nodes *nodes, void (*each)(void *context, uint64_t ino), void *context);

#endif
