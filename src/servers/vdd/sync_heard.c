/* SPDX-License-Identifier: Apache-2.0 */
/* The other side: what the primary tells to a replica that it brings up to date or compares with. A word is worked on at its place of the order, because requests to the disks are submitted when it is heard. */
#include <stdlib.h>
#include <string.h>

#include "servers/vdd/sync_internal.h"

static struct sync_job *job_new(struct sync *sync, struct replica_heard *heard)
{
	struct list *link = list_take_head(&sync->free_jobs);
	struct sync_job *job;

	if (link) {
		job = CONTAINER_OF(link, struct sync_job, at);
	} else {
		job = sync->n_jobs < SYNC_JOBS_MAX ? calloc(1, sizeof(*job)) : NULL;
		if (!job)
			return NULL;
		list_init(&job->at);
		sync->n_jobs++;
	}
	job->sync = sync;
	job->heard = heard;
	sync->n_jobs_open++;
	return job;
}

static void job_end(struct sync_job *job, dvs_err err, const void *answer, size_t n)
{
	struct sync *sync = job->sync;

	sync->n_jobs_open--;
	list_add_head(&sync->free_jobs, &job->at);
	replica_answer(sync->replica, job->heard, err, answer, n);
}

void sync_free_jobs(struct sync *sync)
{
	struct list *link;

	assert(sync->n_jobs_open == 0);
	while ((link = list_take_head(&sync->free_jobs)) != NULL) {
		struct sync_job *job = CONTAINER_OF(link, struct sync_job, at);

		free(job->buffer);
		free(job);
	}
}

/* ---- comparing ---- */

/* What cannot be read is not what it should be: it is written anew. */
static void has_read(struct disk_io *io, dvs_err err)
{
	struct sync_job *job = CONTAINER_OF(io, struct sync_job, io);
	size_t n = (io->bytes + DISK_GRANULE_BYTES - 1) / DISK_GRANULE_BYTES;

	if (err == DVS_IO || err == DVS_CORRUPT || err == DVS_NOSPACE) {
		memset(job->sums, 0xff, n * SYNC_SUM_BYTES);
		err = DVS_OK;
	} else if (err == DVS_OK)
		sync_sums(io->buffer, (uint32_t)io->bytes, job->seed, job->sums);
	job_end(job, err, job->sums, err == DVS_OK ? n * SYNC_SUM_BYTES : 0);
}

static bool is_hole(struct sync *sync, const struct disk_io *io)
{
	uint64_t from;
	uint64_t to;

	if (disks_next_change(sync->disks, NULL, io->minor, io->offset, &from, &to) &&
	    from < io->offset + io->bytes)
		return false;
	return sync_hole(sync->disks, io->minor, io->offset, io->bytes) >= io->bytes;
}

static dvs_err compare(struct sync_job *job, struct cursor *in)
{
	struct sync *sync = job->sync;
	struct disk_io *io = &job->io;

	*io = (struct disk_io){ .op = DISK_READ, .done = has_read };
	io->minor = cursor_u32(in);
	io->offset = cursor_u64(in);
	io->bytes = cursor_u32(in);
	job->seed = cursor_u64(in);
	if (!cursor_done(in) || io->minor >= DISK_MINORS_MAX || io->bytes == 0 ||
	    io->bytes > SYNC_SEGMENT_BYTES || io->offset > DISK_BYTES_MAX)
		return DVS_PROTO;
	if (is_hole(sync, io)) {
		sync_sums(NULL, (uint32_t)io->bytes, job->seed, job->sums);
		job_end(job, DVS_OK, job->sums,
			(io->bytes + DISK_GRANULE_BYTES - 1) / DISK_GRANULE_BYTES * SYNC_SUM_BYTES);
		return DVS_OK;
	}
	if (!disks_can_map(sync->disks, io->minor, io->offset, io->bytes)) {
		if (!job->buffer)
			job->buffer = malloc(SYNC_SEGMENT_BYTES);
		if (!job->buffer)
			return DVS_NOMEM;
		io->buffer = job->buffer;
	}
	disks_submit(sync->disks, io);
	return DVS_OK;
}

static dvs_err holes(struct sync_job *job, struct cursor *in)
{
	uint64_t offset = cursor_u64(in);
	uint64_t bytes = cursor_u64(in);
	struct sync_plan plan;
	uint8_t answer[8];
	struct writer out = writer_over(answer, sizeof(answer));

	if (!cursor_done(in) || offset > DISK_BYTES_MAX || bytes > DISK_BYTES_MAX)
		return DVS_PROTO;
	sync_plan_make(job->sync->disks, &plan);
	for (uint32_t i = 0; i < plan.n; i++) {
		uint64_t from;
		uint64_t to;

		/* A write that was ordered before is not over: there will be data. */
		if (disks_next_change(job->sync->disks, NULL, plan.at[i].minor, offset, &from,
				      &to) &&
		    from < offset + bytes)
			bytes = from > offset ? from - offset : 0;
	}
	writer_u64(&out, sync_plan_holes(job->sync->disks, &plan, offset, bytes));
	job_end(job, DVS_OK, answer, writer_len(&out));
	return DVS_OK;
}

/* ---- taking over ---- */

static void has_changed(struct disk_io *io, dvs_err err)
{
	job_end(CONTAINER_OF(io, struct sync_job, io), err, NULL, 0);
}

static dvs_err fill(struct sync_job *job, struct cursor *in, bool clears)
{
	struct disk_io *io = &job->io;

	*io = (struct disk_io){ .op = clears ? DISK_TRIM : DISK_WRITE,
				.flags = DISK_BEHIND,
				.bytes = job->heard->bytes,
				/* It is only read. */
				.buffer = (void *)(uintptr_t)job->heard->data,
				.done = has_changed };
	io->minor = cursor_u32(in);
	io->offset = cursor_u64(in);
	if (clears) {
		io->bytes = cursor_u64(in);
		io->buffer = NULL;
	}
	if (!cursor_done(in) || io->bytes == 0 || io->bytes > SYNC_SEGMENT_BYTES ||
	    io->minor >= DISK_MINORS_MAX)
		return DVS_PROTO;
	disks_submit(job->sync->disks, io);
	return DVS_OK;
}

static dvs_err flush(struct sync_job *job, struct cursor *in)
{
	if (!cursor_done(in))
		return DVS_PROTO;
	job->io = (struct disk_io){ .op = DISK_FLUSH, .done = has_changed };
	disks_submit(job->sync->disks, &job->io);
	return DVS_OK;
}

static void are_stable(struct sync_wait *wait, dvs_err err)
{
	job_end(CONTAINER_OF(wait, struct sync_job, stable), err, NULL, 0);
}

static dvs_err take_marks(struct sync_job *job, struct cursor *in)
{
	uint64_t cooled = cursor_u64(in);
	dvs_err err;

	if (!cursor_done(in))
		return DVS_PROTO;
	err = disks_dirty_add(job->sync->disks, job->heard->data, job->heard->bytes);
	if (err != DVS_OK)
		return err;
	disks_set_cooled(job->sync->disks, cooled);
	job->stable = (struct sync_wait){ .done = are_stable };
	disks_dirty_settle(job->sync->disks, &job->stable);
	return DVS_OK;
}

static dvs_err do_job(struct sync_job *job, uint8_t kind, struct cursor *in)
{
	if (kind == SYNC_COMPARE)
		return compare(job, in);
	if (kind == SYNC_HOLES)
		return holes(job, in);
	if (kind == SYNC_FILL || kind == SYNC_CLEAR)
		return fill(job, in, kind == SYNC_CLEAR);
	if (kind == SYNC_FLUSH)
		return flush(job, in);
	if (kind == SYNC_MARKS)
		return take_marks(job, in);
	return DVS_PROTO;
}

bool sync_heard(struct sync *sync, struct replica_heard *heard)
{
	struct cursor in = cursor_over(heard->head, heard->head_bytes);
	uint8_t kind = cursor_u8(&in);
	struct sync_job *job;
	dvs_err err;

	if (in.failed || kind >= 0x80)
		return false;
	if (kind == SYNC_LAYOUT) {
		uint8_t only_look = cursor_u8(&in);

		if (cursor_done(&in) && only_look <= 1)
			sync_layout_heard(sync, heard, only_look);
		else
			replica_answer(sync->replica, heard, DVS_PROTO, NULL, 0);
		return true;
	}
	job = job_new(sync, heard);
	if (!job) {
		replica_answer(sync->replica, heard, DVS_NOMEM, NULL, 0);
		return true;
	}
	err = do_job(job, kind, &in);
	if (err != DVS_OK)
		job_end(job, err, NULL, 0);
	return true;
}
