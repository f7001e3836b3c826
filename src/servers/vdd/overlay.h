/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of a snapshot or clone that are its own: a row of slots, each with a head and a granule. Which granule is in which slot is in
 * memory; at opening it is found by reading the heads.
 *
 * A snapshot's slot is written once, with a checksum, and is on stable storage before what it keeps is overwritten elsewhere; one that was torn by a power cut is left out, because then nothing was overwritten yet.
 * A clone's slots are written again and again in place. Until one was flushed, its head names the machine's boot: after a power cut it is left out, because nothing
 * says that its data is whole; when only the process was killed the page cache has it.
 *
 * In memory (of disks in memory) there are no heads. */
#ifndef SERVERS_VDD_OVERLAY_H
#define SERVERS_VDD_OVERLAY_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "servers/vdd/disks.h"
#include "servers/vdd/store.h"

struct overlay;

#define OVERLAY_HEAD_BYTES 4096u
/* What overlay_put() takes: room for a head, then the granule. */
#define OVERLAY_ROOM_BYTES (OVERLAY_HEAD_BYTES + DISK_GRANULE_BYTES)

/* IS_CLONE: as above. NOMEM. */
DVS_MUST_USE dvs_err overlay_open_ram(bool is_clone, struct overlay **overlay);
/* File NAME of directory DIR, which is made when DO_MAKE (and then on stable storage, but for its name). ID: the volume's. Slots of granules from END on are dropped. CORRUPT, EXISTS, NOTFOUND, NOSPACE, IO, NOMEM. */
DVS_MUST_USE dvs_err overlay_open_file(int dir, const char *name, const char *id, bool is_clone,
				       bool do_make, uint64_t end, const struct store_help *help,
				       struct overlay **overlay, char *why);
void overlay_close(struct overlay *overlay);

struct overlay_slot {
	struct store *store;
	uint64_t offset; /* of the granule's data */
	bool is_zero;	 /* all zeroes, nothing is stored */
};

/* False: GRANULE is not in it. */
bool overlay_find(const struct overlay *overlay, uint64_t granule, struct overlay_slot *slot);
/* The first one that is in it, in some order that stays while nothing is put or dropped; *AT begins with 0. */
bool overlay_next(const struct overlay *overlay, uint64_t *at, uint64_t *granule);
uint64_t overlay_used(const struct overlay *overlay);

struct overlay_put {
	uint64_t granule;
	uint8_t *room; /* of OVERLAY_ROOM_BYTES, the submitter's until `done`; NULL: all zeroes */
	void (*done)(struct overlay_put *put, dvs_err err);
	/* the overlay's own */
	struct overlay *overlay;
	struct list putting;
	struct store_io io;
	uint64_t slot;
	uint64_t number;
	uint8_t head[64];
};

/* Nobody else puts the same granule meanwhile. GRANULE is in it when `done` is called: on stable storage for a snapshot, for a clone after a flush. */
void overlay_put(struct overlay *overlay, struct overlay_put *put);
/* Before something of a clone's slot is written in place: it is not all zeroes any more. */
void overlay_touch(struct overlay *overlay, uint64_t granule);

struct overlay_flush {
	void (*done)(struct overlay_flush *flush, dvs_err err);
	struct list queued; /* the overlay's own */
};

/* `done` when what was put and written before is on stable storage. */
void overlay_flush(struct overlay *overlay, struct overlay_flush *flush);

/* Zeroes from byte FROM of GRANULE on, if a clone has it; blocks. */
DVS_MUST_USE dvs_err overlay_blank(struct overlay *overlay, uint64_t granule, uint64_t from);
/* Forget the granules from END on, of a clone that nobody uses meanwhile; blocks. IO. */
DVS_MUST_USE dvs_err overlay_cut(struct overlay *overlay, uint64_t end);

#endif
