/* SPDX-License-Identifier: Apache-2.0 */
/* Two nodes in one process: endpoints, the mirrors between them, and the memory that a dvsd would have made. */
#ifndef TESTS_FAULT_MIRRORED_H
#define TESTS_FAULT_MIRRORED_H

#include "fake_link.h"
#include "ipc/endpoint.h"
#include "proxy/mirror.h"

#define MIRRORED_PARTIES_MAX 8u
#define MIRRORED_GRAVES_MAX 128u

/* An endpoint. */
struct party {
	struct endpoint ep;
	unsigned node;
	uint32_t n_channels;
	struct ipc_inbox *inbox;
	struct ipc_stats stats;
	struct channel channel[MIRRORED_PARTIES_MAX]; /* by the partner's number */
	_Atomic bool wake;
	_Atomic(dvs_err) gone; /* not OK: its channels are, when it looks */
};

/* One half of a channel: the memory of one node. */
struct half {
	struct mirror_channel channel;
	bool carried;
};

struct mirrored {
	struct fake_wire *wire;
	uint64_t seed;
	struct ipc_inbox *inbox[2]; /* of the mirrors */
	struct mirror *mirror[2];
	struct peer_link *link[2];
	struct log log;
	uint32_t n_indexes[2];
	uint32_t n_instances;
	struct party party[MIRRORED_PARTIES_MAX];
	/* [a][b]: a on node 0, b on node 1 */
	struct half half[2][MIRRORED_PARTIES_MAX][MIRRORED_PARTIES_MAX];
	struct channel_memory grave[MIRRORED_GRAVES_MAX]; /* a mirror may still look at it */
	unsigned n_graves;
	_Atomic uint32_t n_news;
};

void mirrored_open(struct mirrored *m, unsigned n_parties, const unsigned *node);
void mirrored_close(struct mirrored *m);
/* Memory for the channel of A (on node 0) with B (on node 1), on NODE, in place of what there is, and the endpoint of that node gets it. */
void mirrored_join(struct mirrored *m, unsigned node, unsigned a, unsigned b);
/* Let the mirror of NODE carry it. */
void mirrored_carry(struct mirrored *m, unsigned node, unsigned a, unsigned b);
struct mirror_name mirrored_name(unsigned node, unsigned a, unsigned b);
/* A mirror, and its end of the link. */
void mirrored_start(struct mirrored *m, unsigned node);
void mirrored_stop(struct mirrored *m, unsigned node);
/* Wait for news of NODE. */
struct mirror_news mirrored_news(struct mirrored *m, unsigned node);

/* Check's own writes to a pipe each time it passes. */
#define MUST(condition)                                      \
	do {                                                 \
		if (!(condition))                            \
			ck_abort_msg("not so: " #condition); \
	} while (0)

#endif
