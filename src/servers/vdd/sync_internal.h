/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing up to date, inside. sync.c: who is brought up to date, and the calls of the server. sync_run.c: the way over the chunks. sync_step.c: one segment of them.
 * sync_end.c: what comes after them.
 * sync_plan.c: the disks there are. sync_layout.c: making another replica have the same. sync_heard.c: what the other side does.
 *
 * A segment is compared at one place of the order: this side reads it when it tells the other to, which reads it when it hears that. What differs is read here once more, under a hold. When it is told, some of it may have been changed by what came
 * into the order meanwhile and waits for the hold: that is left out, the other side gets it as it is ordered. */
#ifndef SERVERS_VDD_SYNC_INTERNAL_H
#define SERVERS_VDD_SYNC_INTERNAL_H

#include <assert.h>

#include "base/cursor.h"
#include "servers/vdd/crew.h"
#include "servers/vdd/sync.h"

#define SYNC_SEGMENT_BYTES (1024u << 10) /* so long the loop is busy with checksums at a time */
#define SYNC_GRANULES (SYNC_SEGMENT_BYTES / DISK_GRANULE_BYTES)
#define SYNC_SUM_BYTES 16u
#define SYNC_STEPS 16u /* words under way, for each other replica */
#define SYNC_JOBS_MAX 1024u
/* After an error it is tried again. */
#define SYNC_RETRY_NS CLOCK_NS_PER_S
#define SYNC_LAYOUT_BYTES_MAX (DISK_MINORS_MAX * 128u + 8u)
#define SYNC_MARKS_BYTES_MAX (1u << 20)
#define SYNC_HELLO_VERSION 2u

/* The first byte of a word's head. */
enum sync_word {
	SYNC_COMPARE =
		1, /* minor u32, offset u64, bytes u32, seed u64; answer: a checksum for each granule */
	SYNC_HOLES, /* offset u64, bytes u64; answer: for how many bytes from there on all disks have holes, u64 */
	SYNC_FILL,   /* minor u32, offset u64; data */
	SYNC_CLEAR,  /* minor u32, offset u64, bytes u64 */
	SYNC_LAYOUT, /* only_look u8; data: the disks; answer: minors that are new though they were there, u64; from where on all must be compared, u64 */
	SYNC_FLUSH,
	SYNC_MARKS, /* cooled u64; data: marks of chunks (disks_dirty_encode()), to be added there; answered when they are stable */
};

struct sync_sum {
	uint8_t bytes[SYNC_SUM_BYTES];
};

/* The disks in the order in which they are compared: what shows through in others first. */
struct sync_plan {
	uint32_t n;
	struct disk_info at[DISK_MINORS_MAX];
	uint64_t signature; /* changes when they do */
};

struct sync_run;

struct sync_step {
	struct list at;
	struct sync_run *run;
	struct replica_word word;
	struct disk_io io;
	uint32_t n_open; /* of word and io */
	dvs_err err;	 /* of either */
	uint32_t minor;
	uint32_t bytes;
	uint64_t offset;
	uint64_t signature;
	bool differs;
	struct sync_sum mine[SYNC_GRANULES];
	struct sync_sum theirs[SYNC_GRANULES];
	uint32_t n_theirs;
	uint32_t granule; /* up to here it is filled */
	uint64_t fill_at;
	uint64_t fill_end;
	uint64_t piece; /* that is told */
	uint8_t *buffer;
};

enum sync_state { SYNC_AT_LAYOUT = 1, SYNC_AT_CHUNKS, SYNC_AT_MARKS, SYNC_AT_FLUSH, SYNC_OVER };

/* One other replica that is brought up to date or verified. */
struct sync_run {
	struct list of_sync;
	struct sync *sync;
	dvs_nodeid node;
	bool is_verify;
	bool repairs;
	bool is_whole; /* everything is compared */
	bool has_due;  /* it was found out what is to be done */
	enum sync_state state;
	bool is_going;	 /* sync_run_go() is at work */
	bool has_failed; /* waits for what is under way, then for `timer` */
	dvs_err told;	 /* the last error that stands in the log */
	uint64_t *due;	 /* chunks, a bit for each */
	uint64_t *odd;	 /* chunks that differed */
	uint64_t *sent;	 /* chunks of which something was sent: not stable before the flush */
	uint64_t n_repaired;
	uint64_t n_chunks;
	uint64_t chunk; /* is being gone through */
	bool in_chunk;
	bool no_holes;	 /* of this chunk it was asked already */
	uint32_t disk;	 /* of the plan */
	uint64_t offset; /* in the chunk, of that disk */
	struct sync_plan plan;
	uint64_t seed;
	/* one word that stands alone: layout, holes, flush */
	struct replica_word word;
	struct disk_io io;
	bool word_is_out;
	uint8_t *layout;
	uint8_t *marks;
	struct list free;
	struct list busy;
	uint8_t *buffers;
	struct sync_step step[SYNC_STEPS];
	struct sync_progress progress;
	uint64_t next_ns; /* the rate limit: not before */
	uint64_t looked_ns;
	uint64_t looked_bytes;
	struct skeleton_timer timer;
};

/* A word of the other side that is being worked on. */
struct sync_job {
	struct list at;
	struct sync *sync;
	struct replica_heard *heard;
	struct disk_io io;
	struct sync_wait stable;
	uint64_t seed;
	uint8_t *buffer; /* SYNC_SEGMENT_BYTES, when it was needed */
	struct sync_sum sums[SYNC_GRANULES];
};

struct sync {
	struct disks *disks;
	struct replica *replica;
	struct skeleton *skeleton;
	struct log *log;
	uint64_t bytes_per_s;
	struct list runs;
	struct sync_verify verify;
	struct list free_jobs;
	uint32_t n_jobs;
	uint32_t n_jobs_open;
};

/* ---- sync_plan.c ---- */

void sync_plan_make(const struct disks *disks, struct sync_plan *plan);
/* Bytes of CHUNK of all disks. */
uint64_t sync_plan_chunk_bytes(const struct sync_plan *plan, uint64_t chunk);
/* So much from OFFSET on is a hole of MINOR, at most LIMIT; 0: there are data, or the store cannot tell. */
uint64_t sync_hole(struct disks *disks, uint32_t minor, uint64_t offset, uint64_t limit);
/* From OFFSET on all disks have holes, up to *BYTES, at most LIMIT. An error of the store counts as none. */
uint64_t sync_plan_holes(struct disks *disks, const struct sync_plan *plan, uint64_t offset,
			 uint64_t limit);
/* Checksums of the granules of BYTES at DATA (NULL: zeroes). */
void sync_sums(const void *data, uint32_t bytes, uint64_t seed, struct sync_sum *sums);

/* ---- sync_run.c ---- */

/* For the caller to fill and then to sync_run_go(). */
dvs_err sync_run_new(struct sync *sync, dvs_nodeid node, struct sync_run **run);
void sync_run_due(struct sync_run *run, uint64_t chunk);
void sync_run_go(struct sync_run *run);
/* It ends as soon as nothing of it is under way; is then freed. */
void sync_run_end(struct sync_run *run);
void sync_run_fail(struct sync_run *run, const char *what, dvs_err err);
/* The other side could not make stable what it was sent: all of that is due again, and what was written since. */
void sync_run_is_not_stable(struct sync_run *run);
/* Of a place that was compared, and sent if this run does that: once for each chunk. */
void sync_run_differs(struct sync_run *run, uint64_t offset);

/* What ended a word that stands alone. True: it goes on. */
bool sync_run_answered(struct sync_run *run, dvs_err err, const char *what);

/* ---- sync_end.c ---- */

/* Both lead to the next state. */
void sync_tell_marks(struct sync_run *run);
void sync_tell_flush(struct sync_run *run);

/* ---- sync_step.c ---- */

/* STEP has minor, offset and bytes. */
void sync_step_begin(struct sync_step *step);

/* ---- sync.c ---- */

/* RUN has gone over everything. */
void sync_run_done(struct sync_run *run);
/* RUN is about to be freed. */
void sync_run_ended(struct sync_run *run);

/* ---- sync_layout.c ---- */

/* BUFFER has SYNC_LAYOUT_BYTES_MAX. */
size_t sync_layout_encode(const struct disks *disks, uint8_t *buffer);
void sync_layout_heard(struct sync *sync, struct replica_heard *heard, bool only_look);

/* ---- sync_heard.c ---- */

void sync_free_jobs(struct sync *sync);

static inline struct writer sync_head(struct replica_word *word, enum sync_word kind)
{
	struct writer out = writer_over(word->head, sizeof(word->head));

	writer_u8(&out, kind);
	return out;
}

static inline void sync_tell(struct sync_run *run, struct replica_word *word,
			     const struct writer *out)
{
	assert(writer_ok(out));
	word->head_bytes = (uint32_t)writer_len(out);
	replica_tell(run->sync->replica, run->node, word);
}

#endif
