/* SPDX-License-Identifier: Apache-2.0 */
/* Two replicas of a volume in one thread: a primary and another one, real disks in memory, and a replica library that is only an order. What is submitted or told stands in one stream, and is delivered when the test says so; what the
 * primary submits it carries out itself now or later; a write is held there until the other side has it. */
#ifndef TESTS_SYNC_WORLD_H
#define TESTS_SYNC_WORLD_H

#include "servers/vdd/sync.h"
#include "unit.h"
#include "vdd_help.h"

enum { PRIMARY = 0, OTHER = 1 };

struct replica {
	struct world *world;
	uint32_t side;
};

struct side {
	struct replica replica;
	struct turns turns;
	struct disks *disks;
	struct sync *sync;
	char dir[64];
};

struct world {
	struct side side[2];
	struct log log;
	uint64_t seed;
	uint64_t first_seed;
	struct list submitted; /* not yet carried out by the primary */
	struct list stream;    /* to the other side */
	struct list answers;   /* back */
	uint32_t n_applying;   /* entries that the other side has begun */
	uint32_t n_entries;    /* that are not over */
	uint32_t n_heard;      /* words that are not answered */
	struct list timers;
	uint32_t n_timers; /* that were set */
	bool is_member;	   /* verified: else it joins */
	uint32_t n_current;
	bool is_away;
	bool has_snapshots;			  /* what the test does may be refused */
	bool is_same;				  /* the other side has the same disks */
	void (*spoil)(struct replica_word *word); /* on its way */
	void (*lose)(
		struct world *w); /* the other side's next flush fails; this is what it costs */
};

/* With BYTES each. */
struct world *world_open(uint64_t bytes, uint64_t seed);
void world_close(struct world *w);

uint32_t world_random(struct world *w, uint32_t end);

/* An entry: BYTES at OFFSET become what SEED fills them with (WRITE), or zeroes. */
void world_change(struct world *w, enum disk_op op, uint32_t minor, uint64_t offset, uint64_t bytes,
		  uint64_t seed);
/* A control operation as an entry: fields of IO as needed. */
void world_control(struct world *w, const struct disk_io *io);
/* The same without the other side. */
void side_change(struct side *side, enum disk_op op, uint32_t minor, uint64_t offset,
		 uint64_t bytes, uint64_t seed);
/* The other side says hello, and joins. */
void world_join(struct world *w, bool is_empty);
/* It goes: what is told to it ends. */
void world_leave(struct world *w);
/* Do one thing that can be done, which one by chance; false: there is none. */
bool world_step(struct world *w);
/* All there is to do, timers too. */
void world_finish(struct world *w);
/* Both have the same, of all disks. */
void world_is_equal(struct world *w);

#endif
