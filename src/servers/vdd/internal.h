/* SPDX-License-Identifier: Apache-2.0 */
/* The disks among themselves. disks.c: opening, looking. order.c: which request may begin when. run.c: carrying one out. cow.c: blocks of snapshots and clones.
 * control.c: what changes which disks there are. tidy.c: blocks of removed snapshots. */
#ifndef SERVERS_VDD_INTERNAL_H
#define SERVERS_VDD_INTERNAL_H

#include <assert.h>
#include <pthread.h>

#include "servers/vdd/dirty.h"
#include "servers/vdd/disks.h"
#include "servers/vdd/meta.h"
#include "servers/vdd/overlay.h"
#include "servers/vdd/store.h"

enum io_state { IO_WAITS = 1, IO_RUNS, IO_HELD, IO_OVER };

enum { DISK_IS_VOLUME = 1, DISK_IS_SNAPSHOT, DISK_IS_CLONE };

/* What a request has inside of its own. */
struct io_own {
	struct disks *disks;
	enum io_state state;
	struct list order;
	struct list ready;
	uint32_t blockers;
	bool is_wide;
	uint64_t lock_from;
	uint64_t lock_to;
	/* of what is under way */
	dvs_err err;
	struct store_io store_io;
	struct dirty_wait dirty;
	struct overlay_flush flush;
	/* Pieces of granules: `next` begins the one at `at`, `after` comes when all have ended. */
	void (*next)(struct disk_io *io);
	void (*after)(struct disk_io *io);
	uint64_t at;
	uint32_t pending;
	bool is_pumping;
	struct post post;
};
_Static_assert(sizeof(struct io_own) <= DISK_IO_OWN_BYTES, "it has room in a disk_io");

static inline struct io_own *own_of(const struct disk_io *io)
{
	return (struct io_own *)(uintptr_t)io->own;
}

static inline struct disk_io *io_of(struct io_own *own)
{
	return CONTAINER_OF((unsigned char(*)[DISK_IO_OWN_BYTES])own, struct disk_io, own);
}

struct disk {
	bool is_there;
	struct meta_disk is;
	/* The first is its own, the others of newer snapshots that were removed; those of a newer one stand later. */
	struct overlay *layer[META_LAYERS_MAX];
};

/* A control operation under way: there is one at most. */
struct plan {
	struct disk_io *io;
	struct disk disk[DISK_MINORS_MAX]; /* as it is to be */
	struct overlay *made;
	struct overlay *gone[META_LAYERS_MAX];
	uint32_t gone_id[META_LAYERS_MAX];
	uint32_t n_gone;
	uint32_t next_layer;
	uint64_t next_born;
	dvs_err err;
	struct job job;
	struct store_io store_io;
	struct overlay_flush flush;
	struct meta meta;
};

#define TIDY_BATCH 8u

/* Merging what a removed snapshot left into the next older one. */
struct tidy {
	bool is_running;
	uint32_t minor;
	uint32_t layer; /* its number */
	uint64_t at;
	uint32_t pending;
	bool has_failed;
	struct disk_io io[TIDY_BATCH];
	struct post post;
};

struct disks {
	struct poster poster;
	struct store_help help;
	struct store *store; /* of the volume */
	struct dirty *dirty;
	struct disk disk[DISK_MINORS_MAX];
	uint32_t n_disks;
	uint32_t next_layer;
	uint64_t next_born;
	int dir; /* -1: in memory */
	uint64_t life;
	uint64_t expected_claim[DISK_MINORS_MAX]; /* that is not on stable storage yet */
	/* Requests in the order of submission, until they are over. */
	struct list order;
	struct list ready; /* those that wait for nothing any more */
	bool is_starting;
	struct list pieces; /* all of them */
	struct plan plan;
	struct tidy tidy;
	pthread_mutex_t meta_lock;
	struct meta meta; /* under meta_lock: what the file says */
};

static inline bool io_is_control(const struct disk_io *io)
{
	return io->op >= DISK_RESIZE && io->op != DISK_MERGE;
}

static inline bool io_changes(const struct disk_io *io)
{
	return io->op == DISK_WRITE || io->op == DISK_TRIM || io->op == DISK_ZERO ||
	       io->op == DISK_MERGE;
}

/* ---- order.c ---- */

/* IO, which ran, has that result. It is the submitter's again. */
void order_finish(struct disk_io *io, dvs_err err);

/* ---- run.c ---- */

/* Nothing that it must wait for is under way. Ends in order_finish(). */
void run_start(struct disk_io *io);

/* ---- cow.c ---- */

/* Where the bytes of a granule are. */
struct source {
	struct store *store;
	uint64_t offset;
	uint64_t valid; /* bytes; the others of the granule are zeroes */
	bool is_zero;
};

struct source cow_resolve(const struct disks *disks, uint32_t minor, uint64_t granule);
/* The newest snapshot of MINOR, or NULL; the one that was made after SNAPSHOT, or NULL. */
struct disk *cow_newest(struct disks *disks, uint32_t minor);
const struct disk *cow_newer(const struct disks *disks, const struct disk *snapshot);
/* Keep for the newest snapshot what IO is about to overwrite; then AFTER (own->err says how it went). */
void cow_preserve(struct disk_io *io, void (*after)(struct disk_io *io));
/* Carry out a read, write, trim, zero of a snapshot or clone; then AFTER. */
void cow_apply(struct disk_io *io, void (*after)(struct disk_io *io));
/* Merge one granule of a removed snapshot; then AFTER. */
void cow_merge(struct disk_io *io, void (*after)(struct disk_io *io));
void cow_drop_pieces(struct disks *disks);

/* ---- control.c ---- */

/* Ends in order_finish(). */
void control_start(struct disk_io *io);
void control_layer_name(uint32_t layer, char name[32]);
/* Put what is in memory into the form of the file. */
void control_meta(const struct disks *disks, const struct disk *all, struct meta *meta);

/* ---- tidy.c ---- */

/* Begin, or go on, if there is something to do. */
void tidy_kick(struct disks *disks);

#endif
