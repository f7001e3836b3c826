/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#include "servers/vdd/sync_internal.h"

static void fill_next(struct sync_step *step);

static struct sync_step *of_word(struct replica_word *word)
{
	return CONTAINER_OF(word, struct sync_step, word);
}

static struct sync_step *of_io(struct disk_io *io)
{
	return CONTAINER_OF(io, struct sync_step, io);
}

static void note_error(struct sync_step *step, dvs_err err)
{
	if (step->err == DVS_OK)
		step->err = err;
}

/* The disk, or that part of it, is not there any more: there is nothing to compare. */
static bool is_gone(dvs_err err)
{
	return err == DVS_NOTFOUND || err == DVS_RANGE;
}

static void finish(struct sync_step *step)
{
	struct sync_run *run = step->run;
	struct sync_plan plan;

	list_remove(&step->at);
	list_add_tail(&run->free, &step->at);
	if (step->err == DVS_NODEDOWN) {
		sync_run_end(run);
		return;
	}
	if (step->err != DVS_OK && !is_gone(step->err) && !run->is_verify) {
		/* Some of it may have been sent. */
		if (step->differs)
			sync_run_differs(run, step->offset);
		sync_run_due(run, step->offset / DISK_CHUNK_BYTES);
		sync_run_fail(run, "a replica cannot be compared", step->err);
		return;
	}
	if (is_gone(step->err))
		sync_run_due(run, step->offset / DISK_CHUNK_BYTES);
	else
		step->differs |= step->err != DVS_OK;
	run->progress.done_bytes += step->bytes;
	if (step->differs) {
		sync_run_differs(run, step->offset);
		/* A snapshot that was made meanwhile has taken over on the other side what was wrong there. */
		sync_plan_make(run->sync->disks, &plan);
		if (plan.signature != step->signature)
			sync_run_due(run, step->offset / DISK_CHUNK_BYTES);
	}
	sync_run_go(run);
}

/* ---- filling ---- */

static bool is_zero(const uint8_t *data, uint64_t bytes)
{
	return bytes == 0 || (data[0] == 0 && memcmp(data, data + 1, bytes - 1) == 0);
}

static void fill_read(struct sync_step *step);

static void piece_done(struct replica_word *word, dvs_err err, const void *answer, size_t n)
{
	struct sync_step *step = of_word(word);

	(void)answer;
	(void)n;
	if (err != DVS_OK) {
		note_error(step, err);
		finish(step);
		return;
	}
	step->fill_at += step->piece;
	if (step->fill_at < step->fill_end)
		fill_read(step);
	else
		fill_next(step);
}

/* PIECE bytes from fill_at on. */
static void tell_piece(struct sync_step *step)
{
	struct sync_run *run = step->run;
	const uint8_t *data = step->buffer + (step->fill_at - step->io.offset);
	bool clears = is_zero(data, step->piece);
	struct writer out = sync_head(&step->word, clears ? SYNC_CLEAR : SYNC_FILL);

	writer_u32(&out, step->minor);
	writer_u64(&out, step->fill_at);
	if (clears)
		writer_u64(&out, step->piece);
	else
		run->progress.sent_bytes += step->piece;
	step->word.data = clears ? NULL : data;
	step->word.bytes = clears ? 0 : step->piece;
	step->word.done = piece_done;
	sync_tell(run, &step->word, &out);
}

/* Nothing may come into the order between this look and the telling. */
static bool find_piece(struct sync_step *step)
{
	uint64_t from;
	uint64_t to;

	while (disks_next_change(step->run->sync->disks, &step->io, step->minor, step->fill_at,
				 &from, &to) &&
	       from <= step->fill_at) {
		if (to >= step->fill_end) {
			step->fill_at = step->fill_end;
			return false;
		}
		step->fill_at = to;
	}
	step->piece = step->fill_end - step->fill_at;
	if (disks_next_change(step->run->sync->disks, &step->io, step->minor, step->fill_at, &from,
			      &to) &&
	    from < step->fill_end)
		step->piece = from - step->fill_at;
	return true;
}

static void fill_has_read(struct disk_io *io, dvs_err err)
{
	struct sync_step *step = of_io(io);
	struct disks *disks = step->run->sync->disks;
	uint64_t bytes = 0;
	uint64_t from;
	uint64_t to;

	if (err != DVS_OK) {
		note_error(step, err);
		finish(step);
		return;
	}
	if (step->run->state == SYNC_OVER) {
		disk_io_release(disks, io);
		finish(step);
		return;
	}
	replica_settle(step->run->sync->replica);
	/* The disk becomes another one, or something is going to be refused: wait for that. */
	if ((disks_next_change(disks, io, step->minor, step->fill_at, &from, &to) &&
	     to == UINT64_MAX) ||
	    disks_bytes(disks, step->minor, &bytes) != DVS_OK || bytes < step->fill_end) {
		disk_io_release(disks, io);
		fill_read(step);
		return;
	}
	if (find_piece(step)) {
		tell_piece(step);
		disk_io_release(disks, io);
		return;
	}
	disk_io_release(disks, io);
	fill_next(step);
}

static void fill_read(struct sync_step *step)
{
	step->io = (struct disk_io){
		.op = DISK_READ,
		.flags = DISK_HOLD,
		.minor = step->minor,
		.offset = step->fill_at,
		.bytes = step->fill_end - step->fill_at,
		.buffer = step->buffer,
		.done = fill_has_read,
	};
	disks_submit(step->run->sync->disks, &step->io);
}

static bool granule_differs(const struct sync_step *step, uint32_t i)
{
	return memcmp(&step->mine[i], &step->theirs[i], SYNC_SUM_BYTES) != 0;
}

/* The next granules that differ. */
static void fill_next(struct sync_step *step)
{
	struct sync_run *run = step->run;
	uint32_t n = (step->bytes + DISK_GRANULE_BYTES - 1) / DISK_GRANULE_BYTES;
	uint64_t end = step->offset + step->bytes;
	uint32_t i = step->granule;

	while (i < n && !granule_differs(step, i))
		i++;
	if (i == n || run->state == SYNC_OVER || (run->is_verify && !run->repairs)) {
		step->differs |= i < n;
		finish(step);
		return;
	}
	step->differs = true;
	step->fill_at = step->offset + (uint64_t)i * DISK_GRANULE_BYTES;
	while (i < n && granule_differs(step, i))
		i++;
	step->granule = i;
	step->fill_end = step->offset + (uint64_t)i * DISK_GRANULE_BYTES;
	if (step->fill_end > end)
		step->fill_end = end;
	fill_read(step);
}

/* ---- comparing ---- */

static void compared(struct sync_step *step)
{
	uint32_t n = (step->bytes + DISK_GRANULE_BYTES - 1) / DISK_GRANULE_BYTES;

	if (--step->n_open > 0)
		return;
	if (step->err == DVS_OK && step->n_theirs != n)
		step->err = DVS_PROTO;
	if (step->err != DVS_OK) {
		finish(step);
		return;
	}
	step->granule = 0;
	fill_next(step);
}

static void has_read(struct disk_io *io, dvs_err err)
{
	struct sync_step *step = of_io(io);

	if (err == DVS_OK)
		sync_sums(io->buffer, step->bytes, step->run->seed, step->mine);
	else
		note_error(step, err);
	compared(step);
}

static void has_compared(struct replica_word *word, dvs_err err, const void *answer, size_t n)
{
	struct sync_step *step = of_word(word);

	step->n_theirs = 0;
	if (err != DVS_OK) {
		note_error(step, err);
	} else if (n <= sizeof(step->theirs)) {
		if (n)
			memcpy(step->theirs, answer, n);
		step->n_theirs = (uint32_t)(n / SYNC_SUM_BYTES);
	}
	compared(step);
}

/* At this place of the order, and without reading it. */
static bool is_hole(struct sync_step *step)
{
	struct disks *disks = step->run->sync->disks;
	uint64_t from;
	uint64_t to;

	if (disks_next_change(disks, NULL, step->minor, step->offset, &from, &to) &&
	    from < step->offset + step->bytes)
		return false;
	return sync_hole(disks, step->minor, step->offset, step->bytes) >= step->bytes;
}

static void read_mine(struct sync_step *step)
{
	struct disks *disks = step->run->sync->disks;

	if (is_hole(step)) {
		sync_sums(NULL, step->bytes, step->run->seed, step->mine);
		compared(step);
		return;
	}
	step->io = (struct disk_io){
		.op = DISK_READ,
		.minor = step->minor,
		.offset = step->offset,
		.bytes = step->bytes,
		.buffer = disks_can_map(disks, step->minor, step->offset, step->bytes) ?
				  NULL :
				  step->buffer,
		.done = has_read,
	};
	disks_submit(disks, &step->io);
}

void sync_step_begin(struct sync_step *step)
{
	struct sync_run *run = step->run;
	struct writer out;

	step->err = DVS_OK;
	step->differs = false;
	step->n_open = 2;
	step->signature = run->plan.signature;
	replica_settle(run->sync->replica);
	out = sync_head(&step->word, SYNC_COMPARE);
	writer_u32(&out, step->minor);
	writer_u64(&out, step->offset);
	writer_u32(&out, step->bytes);
	writer_u64(&out, run->seed);
	step->word.data = NULL;
	step->word.bytes = 0;
	step->word.done = has_compared;
	sync_tell(run, &step->word, &out);
	read_mine(step);
}
