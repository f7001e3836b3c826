/* SPDX-License-Identifier: Apache-2.0 */
/* The disks of one replica of a volume: minor 0 is the volume, the others its snapshots and clones. No word of messages in here: operations come as disk_io, on one thread, and
 * end by `done` on the same thread, perhaps before disks_submit() returns.
 *
 *	DIR/meta          which disks there are, under a checksum; replaced as a whole
 *	DIR/dirty         chunks that were written while not all replicas had them (dirty.h)
 *	DIR/disk.img      the volume, when its store is "file"
 *	DIR/cow-N         blocks of a snapshot or clone that are its own (overlay.h)
 *
 * Order: two requests whose ranges overlap take effect in the order of submission. A flush waits for all that was submitted before, a control
 * operation (resize, snapshot, clone, remove) too, and all that comes later waits for it. A write that was done and is held (DISK_HOLD) because other replicas do not have it yet keeps reads of
 * its range waiting until disk_io_release(), a held read keeps writes waiting; nothing else waits for what is held.
 */
#ifndef SERVERS_VDD_DISKS_H
#define SERVERS_VDD_DISKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/post.h"

#define DISK_SECTOR_BYTES 512u
#define DISK_BLOCK_BYTES 4096u
#define DISK_GRANULE_BYTES 65536u	     /* what is copied for a snapshot */
#define DISK_CHUNK_BYTES (UINT64_C(4) << 20) /* of the dirty bitmap */
#define DISK_BYTES_MAX (UINT64_C(16) << 40)
#define DISK_MINORS_MAX 64u
#define DISK_NAME_MAX 63u
#define DISK_WHY_MAX 255u
#define DISK_IO_OWN_BYTES 512u

struct disks;

enum disk_store { DISK_RAM, DISK_FILE, DISK_RAW, DISK_NBD };

struct disks_config {
	char id[37]; /* of the volume, a UUID: a directory of another one is refused */
	const char *
		dir; /* made when it is missing, mode 0700; of a RAM store too (dirty is kept in memory there) */
	enum disk_store store;
	const char *
		place; /* RAW: the device, NBD: a URI, FILE: NULL or another path than DIR/disk.img */
	bool direct;   /* FILE: O_DIRECT and io_uring; else page cache */
	uint64_t bytes;	      /* when it is made */
	struct poster poster; /* to the thread that calls */
};

/* A request is the caller's until `done`; a held one until disk_io_release(). */
enum disk_op {
	DISK_READ = 1,
	DISK_WRITE,
	DISK_FLUSH,
	DISK_TRIM,
	DISK_ZERO,
	DISK_RESIZE,   /* bytes: the new size */
	DISK_SNAPSHOT, /* of minor; name, made */
	DISK_CLONE,    /* of snapshot minor; name, made */
	DISK_CLAIM,    /* claim: the number of the lowest that may change minor from now on */
	DISK_REMOVE,
	/* the room's own */
	DISK_MERGE,
	DISK_DROP,
};

#define DISK_FUA 1u  /* on stable storage when it is done */
#define DISK_KEEP 2u /* ZERO: no hole */
#define DISK_BEHIND \
	4u /* bringing up to date: nothing is marked dirty. WRITE, TRIM, ZERO: no copy on write, and snapshots can be written. SNAPSHOT, CLONE: `made` says which minor it is to be */
#define DISK_HOLD \
	8u /* READ, WRITE, TRIM, ZERO that is OK: the range is held until disk_io_release() */

struct disk_io {
	enum disk_op op;
	uint32_t flags;
	uint32_t minor;
	uint64_t offset; /* multiples of DISK_SECTOR_BYTES */
	uint64_t bytes;
	/* READ: where to (or NULL: see disks_can_map()); WRITE: from where. The caller's until `done`. Any alignment. */
	void *buffer;
	char name[DISK_NAME_MAX + 1];
	uint32_t
		made; /* SNAPSHOT, CLONE: the new minor: the lowest that is free, so all replicas give the same */
	uint64_t
		now_ns; /* SNAPSHOT, CLONE: when it was made, CLOCK_REALTIME, as the primary said */
	/* OK, RANGE, NOTFOUND, READONLY, NOSPACE, IO, BADARG (not of whole sectors), BADSTATE, EXISTS, FULL, NOMEM. */
	void (*done)(struct disk_io *io, dvs_err err);
	uint64_t
		claim; /* CLAIM: its number; one that is not higher than what is known changes nothing */
	void *keeper;					   /* the caller's */
	_Alignas(16) unsigned char own[DISK_IO_OWN_BYTES]; /* the room's own */
};

struct disk_info {
	uint32_t minor;
	uint32_t kind; /* 1 the volume, 2 a snapshot, 3 a clone */
	uint32_t parent;
	char name[DISK_NAME_MAX + 1];
	uint64_t bytes;
	uint64_t used_bytes;
	uint64_t created_ns;
	uint64_t claim; /* the highest that is on stable storage */
	uint32_t
		rank; /* those of a lower rank must be brought up to date before it: it shows what they have (the volume 0, its newest snapshot 1, ...) */
};

/* Open what is in DIR or make it. *IS_EMPTY: it was made now, or never was current (disks_set_current()); a RAM store always is. WHY gets a sentence (what, why, what to try). CORRUPT: damaged, truncated, or of another version; nothing
 * was changed. EXISTS: of another volume. INUSE: another process has it. NOSPACE, DENIED, NOTFOUND, IO, NOMEM. */
DVS_MUST_USE dvs_err disks_open(const struct disks_config *config, struct disks **disks,
				bool *is_empty, char why[DISK_WHY_MAX + 1]);
/* Nothing may be under way. NULL is fine. */
void disks_close(struct disks *disks);
/* Remove all that a volume has in DIR (and nothing else), also of one that cannot be opened. A raw device or an NBD volume is left as it is. */
DVS_MUST_USE dvs_err disks_destroy(const char *dir);
/* It has all that the volume ever had, or (false) must be compared with others as a whole. Kept across restarts. */
DVS_MUST_USE dvs_err disks_set_current(struct disks *disks, bool is_current);

/* A number that stays the same as long as everything is there that was ever answered, flushed or not: drawn when the disks are opened, taken over from the primary by who is brought up to date. */
uint64_t disks_life(const struct disks *disks);
void disks_set_life(struct disks *disks, uint64_t life);
/* Draw another one: something that was answered may be lost. */
void disks_new_life(struct disks *disks);

/* A flush of what they are stored in has failed: nobody knows what the medium has, and nothing is written any more until they are opened anew. Then they must be compared as a whole. */
bool disks_are_broken(const struct disks *disks);

/* `done` can come before this returns; it may submit more. */
void disks_submit(struct disks *disks, struct disk_io *io);
/* End the hold on a range, after `done`. Harmless for a request that is not held. */
void disk_io_release(struct disks *disks, struct disk_io *io);
/* Whether a read that is submitted now is done at once, from the store's own memory (RAM): then DISK_READ with buffer NULL gets io->buffer set to that
 * memory, for reading, until the next call of anything here. */
bool disks_can_map(const struct disks *disks, uint32_t minor, uint64_t offset, uint64_t bytes);

/* Of the requests that were submitted after IO, which is held or was just done (NULL: of all that are not over): the first range from OFFSET on of MINOR that one of them changes. *TO UINT64_MAX: it is not known yet what will change, because of a control operation, or because of one that
 * may be refused. False: there is none. */
bool disks_next_change(const struct disks *disks, const struct disk_io *io, uint32_t minor,
		       uint64_t offset, uint64_t *from, uint64_t *to);
/* A control operation is not over. */
bool disks_is_changing(const struct disks *disks);

/* The first disk with a minor number from MINOR on. NOTFOUND: that was all. */
DVS_MUST_USE dvs_err disks_look(const struct disks *disks, uint32_t minor, struct disk_info *info);
/* Changes of MINOR under a claim of a lower number are to be refused; of a disk that is not there 0. */
uint64_t disks_claim(const struct disks *disks, uint32_t minor);
/* Refuse them from now on, before DISK_CLAIM with that number is done. */
void disks_expect_claim(struct disks *disks, uint32_t minor, uint64_t claim);
/* The size of MINOR. NOTFOUND. */
DVS_MUST_USE dvs_err disks_bytes(const struct disks *disks, uint32_t minor, uint64_t *bytes);
/* The extent that begins at OFFSET: *IS_HOLE, and *BYTES up to at most LIMIT. NOTFOUND, RANGE, IO. */
DVS_MUST_USE dvs_err disks_extent(struct disks *disks, uint32_t minor, uint64_t offset,
				  uint64_t limit, uint64_t *bytes, bool *is_hole);

/* ---- what may differ between replicas: chunks of DISK_CHUNK_BYTES ---- */

/* A write marks its chunk, on stable storage, before it begins, and a resize or control operation what it touches. */
bool disks_is_dirty(const struct disks *disks, uint32_t minor, uint64_t chunk);
/* The first dirty chunk from CHUNK on of MINOR; false: there is none. */
bool disks_next_dirty(const struct disks *disks, uint32_t minor, uint64_t *chunk);
void disks_mark_dirty(struct disks *disks, uint32_t minor, uint64_t chunk);
/* All replicas are current: marks that are older than the last call of this are taken off (so a chunk that is written again and again stays marked). To be
 * called at the same place of the order on all of them. */
void disks_cool(struct disks *disks);
/* How often these disks have cooled. Who has cooled twice less than others was left out of their set of replicas meanwhile: its marks and theirs do not tell what it
 * lacks. Kept across restarts. */
uint64_t disks_cooled(const struct disks *disks);
void disks_set_cooled(struct disks *disks, uint64_t cooled);
/* The marks of all minors as bytes: up to CAP into ROOM; the length. False: they do not fit, everything is to be taken for dirty. */
bool disks_dirty_encode(const struct disks *disks, void *room, size_t cap, size_t *len);
/* Add marks that another replica gave. PROTO. */
DVS_MUST_USE dvs_err disks_dirty_add(struct disks *disks, const void *data, size_t len);

/* Until the marks that there are now are on stable storage; WAIT's `done` may come at once. */
struct sync_wait;
void disks_dirty_settle(struct disks *disks, struct sync_wait *wait);

#endif
