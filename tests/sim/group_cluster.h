/* SPDX-License-Identifier: Apache-2.0 */
/* Members on the simulated engine, and what must be true of them at any time. */
#ifndef TESTS_SIM_GROUP_CLUSTER_H
#define TESTS_SIM_GROUP_CLUSTER_H

#include "group_app.h"
#include "group_world.h"

enum outcome { WAITING, APPLIED, TOLD_NOQUORUM, TOLD_APPLIED, TOLD_UNKNOWN, ORPHANED };

struct submitted {
	uint32_t node;
	bool keep;
	enum outcome outcome;
	/* It was applied by somebody, in that epoch, whose members all have had it. */
	bool committed;
	uint64_t epoch;
	uint64_t members;
};

struct member {
	struct cluster *cluster;
	uint32_t node;
	struct world_place place;
	struct ordered *ordered;
	struct state *state;
	struct state *loading;
	struct state_file file; /* an old one */
	struct state_file last; /* as it was when its process died */
	uint32_t starts;
	uint64_t agreed; /* the last epoch whose log it took over */
	bool paused;
	bool ready;
	uint64_t view_epoch;
	uint64_t view_members;
};

#define SIGHTS 32768u

struct sight {
	uint64_t name;
	uint64_t content;
};

struct cluster {
	struct world world;
	struct member members[WORLD_NODES_MAX];
	struct submitted submitted[APP_IDS_MAX];
	uint32_t n_submitted;
	/* What was seen under a name, by anyone. */
	struct sight sights[SIGHTS];
	uint64_t n_starts;
	uint32_t n_views;
	uint32_t n_snapshots;
	uint32_t n_noquorum;
	uint32_t n_unknown;
	uint32_t n_forgotten;
	uint32_t n_while_away;
	uint32_t n_node_lost;
	bool rough; /* a majority may forget what it had */
	bool failed;
};

#define EXPECT(cluster, condition)                                                       \
	do {                                                                             \
		if (!(condition) && !(cluster)->failed) {                                \
			printf("# %s:%d: not so: %s\n", __FILE__, __LINE__, #condition); \
			(cluster)->failed = true;                                        \
		}                                                                        \
	} while (0)

void cluster_open(struct cluster *cluster, uint64_t seed, uint32_t n_nodes);
void cluster_close(struct cluster *cluster);

enum memory { MEMORY_LAST, MEMORY_OLD, MEMORY_NONE };
/* A process for NODE, whose daemon is up, with the state it had. */
void member_start(struct cluster *cluster, uint32_t node, enum memory memory);
/* It dies, or stops orderly. */
void member_stop(struct cluster *cluster, uint32_t node, bool orderly);
void member_submit(struct cluster *cluster, uint32_t node, bool keep);
void member_dispatch(struct cluster *cluster, uint32_t node);
/* Let everything happen that is to happen. */
void cluster_settle(struct cluster *cluster);
/* After that: the majority is ready and of one mind, nobody else is. */
void cluster_check(struct cluster *cluster);

#endif
