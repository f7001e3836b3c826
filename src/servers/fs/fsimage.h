/* SPDX-License-Identifier: Apache-2.0 */
/* What is on a medium: superblock, map of chunks, an SQLite database in some of the chunks, data blocks in others (decision 0026). One thread. */
#ifndef SERVERS_FS_FSIMAGE_H
#define SERVERS_FS_FSIMAGE_H

#include <sqlite3.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/compiler.h"
#include "base/log.h"
#include "servers/fs/medium.h"

#define FSIMAGE_BYTES_MIN (UINT64_C(16) << 20)
#define FSIMAGE_BYTES_MAX (UINT64_C(16) << 40)

struct fsimage;

struct fsimage_options {
	uint8_t id[16]; /* of the file system; zeroes: one is drawn */
	char label[64];
};

struct fsimage_figures {
	uint64_t bytes;
	uint64_t meta_bytes; /* in chunks of the database and its log */
	uint64_t free_bytes; /* that could be had: free runs, and chunks nobody has */
	uint64_t commits;
	uint64_t flushes;
	uint64_t epoch;
	uint8_t id[16];
	char label[64];
};

/* Make an empty one on MEDIUM; whatever was there is gone. SCHEMA is carried out in its database, in the same transaction (fs.h has it). NOSPACE: the medium is too small (16 MiB is the least); IO. */
DVS_MUST_USE dvs_err fsimage_create(struct medium *medium, const struct fsimage_options *options,
				    const char *schema, char *why);
/* Open what is on MEDIUM, which becomes the image's only on success. After a crash: the log is taken up; if the medium's incarnation is another one, extents of an epoch that was not over become holes. WHY gets a sentence. SCHEMA is the one it was made with: a database
 * with anything else in it is refused. CORRUPT: it is none, or damaged; NOTSUP: of another version; IO, NOMEM. */
DVS_MUST_USE dvs_err fsimage_open(struct medium *medium, const char *schema, struct log *log,
				  struct fsimage **image, char *why);
/* With all flushed if IN_ORDER. Statements that others prepared are finalized before. Closes the medium. NULL is fine. */
void fsimage_close(struct fsimage *image, bool in_order);

sqlite3 *fsimage_db(struct fsimage *image);
struct medium *fsimage_medium(struct fsimage *image);
/* What a result of SQLite's means: OK also for ROW and DONE, NOSPACE, NOMEM, TOOBIG, EXISTS (a constraint), BADSTATE (busy), IO, CORRUPT. The last two end all changes (fsimage_why()). */
DVS_MUST_USE dvs_err fsimage_sql(struct fsimage *image, int rc);

/* A change set: from fsimage_begin() to fsimage_commit() or fsimage_rollback(); they do not nest. Space that was allocated in it is given back by a rollback, what was freed is not free. */
DVS_MUST_USE dvs_err fsimage_begin(struct fsimage *image);
/* It is in the medium, not flushed. NOSPACE, IO: it was rolled back. */
DVS_MUST_USE dvs_err fsimage_commit(struct fsimage *image);
void fsimage_rollback(struct fsimage *image);
bool fsimage_is_changing(const struct fsimage *image);

/* All that was committed and written before is durable; the epoch is over, and what was freed in it can be used again. NOSPACE, IO: from then on the image is read only (fsimage_why()). */
DVS_MUST_USE dvs_err fsimage_sync(struct fsimage *image);
/* Whether something was committed since the last fsimage_sync(). */
bool fsimage_is_dirty(const struct fsimage *image);
/* Nobody opens it after this process: what only another server would need is not worth keeping. */
bool fsimage_is_volatile(const struct fsimage *image);
/* Damage was found: nothing can be changed any more, which is said once in the log. */
void fsimage_break(struct fsimage *image, const char *format, ...) PRINTF_LIKE(2, 3);
/* NULL, or why nothing can be changed any more. */
const char *fsimage_why(const struct fsimage *image);

/* The epoch that is not over, and the last one that is. */
uint64_t fsimage_epoch(const struct fsimage *image);
uint64_t fsimage_over(const struct fsimage *image);
/* The same as fsimage_epoch(), for an extent whose blocks are written first in this change set: so that fsimage_sync() ends the epoch. */
uint64_t fsimage_new_data(struct fsimage *image);
/* Up to BLOCKS blocks in one run, from block GOAL on if that is free, else anywhere (0: anywhere), in this change set: *START is a block of the medium, *GOT at least 1. If it is not at GOAL, AHEAD blocks
 * behind it are left alone by others as long as there is space elsewhere. NOSPACE; with *MUST_SYNC the space is there but waits for the end of the epoch: roll back, fsimage_sync(), try again. */
DVS_MUST_USE dvs_err fsimage_alloc(struct fsimage *image, uint64_t goal, uint64_t blocks,
				   uint64_t ahead, uint64_t *start, uint64_t *got, bool *must_sync);
/* In this change set; usable when the epoch is over. */
DVS_MUST_USE dvs_err fsimage_free(struct fsimage *image, uint64_t start, uint64_t blocks);
/* The medium has grown. */
DVS_MUST_USE dvs_err fsimage_grow(struct fsimage *image);
void fsimage_look(struct fsimage *image, struct fsimage_figures *figures);

/* Whether a run is wholly within chunks of data: what a damaged database says is to be asked this before it is used. */
bool fsimage_is_data(const struct fsimage *image, uint64_t start, uint64_t blocks);

/* Compare chunks, free runs and the table of extents: doubly used, lost, in no chunk of data; also PRAGMA integrity_check. FOUND gets a sentence for each. REPAIR, within a change set: blocks that nobody has become free. */
struct fsimage_check {
	bool repair;
	void (*found)(void *context, const char *text);
	void *context;
	uint32_t n_found;
	uint32_t n_repaired;
};
DVS_MUST_USE dvs_err fsimage_check(struct fsimage *image, struct fsimage_check *check);

#endif
