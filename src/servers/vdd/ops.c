/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing. What a client attaches lies in memory that it can change at any time, and that is gone with it: it is copied before anything is made of it, but for a disk in
 * memory whose only replica is here: there it is copied to where it belongs. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compiler.h"
#include "servers/vdd/job.h"

#define READ_BYTES_MAX ((uint32_t)DVS_DATA_MAX)

dvs_err ops_check_range(const struct unit *unit, uint32_t minor, uint64_t offset, uint64_t bytes)
{
	uint64_t size;
	dvs_err err = disks_bytes(unit->disks, minor, &size);

	if (err)
		return err;
	if (bytes == 0 || bytes % DISK_SECTOR_BYTES || offset % DISK_SECTOR_BYTES)
		return DVS_BADARG;
	/* Their sum may be more than 64 bits hold. */
	return bytes > size || offset > size - bytes ? DVS_RANGE : DVS_OK;
}

dvs_err ops_check_claim(struct unit *unit, uint32_t minor, uint64_t claim)
{
	if (!claim || claim >= disks_claim(unit->disks, minor))
		return DVS_OK;
	unit->figures.refused++;
	return DVS_STALE;
}

dvs_err ops_check_role(const struct unit *unit)
{
	return replica_role(unit->replica) == REPLICA_PRIMARY ? DVS_OK : DVS_BADSTATE;
}

static dvs_err check(const struct unit *unit, uint32_t minor, uint64_t offset, uint64_t bytes)
{
	dvs_err err = ops_check_role(unit);

	return err ? err : ops_check_range(unit, minor, offset, bytes);
}

static dvs_err check_change(struct unit *unit, uint32_t minor, uint64_t offset, uint64_t bytes,
			    uint64_t claim)
{
	dvs_err err = check(unit, minor, offset, bytes);

	return err ? err : ops_check_claim(unit, minor, claim);
}

/* ---- at once ---- */

struct now {
	bool is_done;
	dvs_err err;
};

static void now_done(struct disk_io *io, dvs_err err)
{
	struct now *now = io->keeper;

	now->is_done = true;
	now->err = err;
}

dvs_err ops_do_now(struct unit *unit, struct disk_io *io)
{
	struct now now = { .is_done = false };

	io->done = now_done;
	io->keeper = &now;
	disks_submit(unit->disks, io);
	/* The memory of a RAM store is at hand. */
	assert(now.is_done);
	io->keeper = NULL;
	return now.err;
}

/* ---- read ---- */

static void read_answer(struct job *job)
{
	vdd_read_answer_data(job->request, job->err, NULL, job->err ? NULL : job->data,
			     job->err ? 0 : job->io.bytes);
}

/* What could not be read is marked, so that this replica gets it anew from whoever takes over. */
void ops_read_failed(struct job *job, const struct disk_io *io, dvs_err err)
{
	struct unit *unit = job->unit;
	uint64_t chunk = io->offset / DISK_CHUNK_BYTES;

	if (!unit->replica || (err != DVS_IO && err != DVS_CORRUPT && err != DVS_NOSPACE))
		return;
	for (; chunk * DISK_CHUNK_BYTES < io->offset + io->bytes; chunk++)
		disks_mark_dirty(unit->disks, io->minor, chunk);
	if (!replica_step_down(unit->replica))
		return;
	log_warning(&unit->process->log, "a replica steps down, because its store cannot be read",
		    LOG_STR("volume", unit->volume.name), LOG_STR("why", dvs_strerror(err)),
		    LOG_U64("minor", io->minor), LOG_U64("offset", io->offset));
	if (job->request)
		skeleton_drop(TAKE_PTR(job->request));
}

static void read_done(struct disk_io *io, dvs_err err)
{
	struct job *job = CONTAINER_OF(io, struct job, io);

	if (err)
		ops_read_failed(job, io, err);
	job_less(job, err);
}

/* From the store's own memory into the client's window. */
static bool read_now(struct job *job)
{
	struct unit *unit = job->unit;
	dvs_err err;

	if (!disks_can_map(unit->disks, job->io.minor, job->io.offset, job->io.bytes))
		return false;
	err = ops_do_now(unit, &job->io);
	job_note_latency(job);
	vdd_read_answer_data(TAKE_PTR(job->request), err, NULL, err ? NULL : job->io.buffer,
			     err ? 0 : job->io.bytes);
	job_less(job, DVS_OK);
	return true;
}

static void read_begin(struct job *job)
{
	if (read_now(job))
		return;
	job->data = aligned_alloc(DISK_BLOCK_BYTES, (job->io.bytes + DISK_BLOCK_BYTES - 1) &
							    ~(uint64_t)(DISK_BLOCK_BYTES - 1));
	if (!job->data) {
		job_less(job, DVS_NOMEM);
		return;
	}
	job->io.buffer = job->data;
	job->io.done = read_done;
	disks_submit(job->unit->disks, &job->io);
}

static void read_may(struct replica_reader *reader, dvs_err err)
{
	struct job *job = CONTAINER_OF(reader, struct job, reader);

	if (err && job->request)
		skeleton_drop(TAKE_PTR(job->request));
	if (err || !job->request)
		job_less(job, err);
	else
		read_begin(job);
}

void ops_read(void *state, struct skeleton_request *request, const struct vdd_read_req *req)
{
	struct unit *unit = state;
	struct job *job;
	dvs_err err = check(unit, req->minor, req->offset, req->bytes);

	if (!err && req->flags)
		err = DVS_BADARG;
	if (!err && (req->bytes > READ_BYTES_MAX || req->bytes > request->reply_cap))
		err = DVS_TOOBIG;
	if (err) {
		vdd_read_answer(request, err, NULL);
		return;
	}
	job = job_begin(unit, request, read_answer);
	if (!job)
		return;
	unit->figures.reads++;
	unit->figures.read_bytes += req->bytes;
	job->io = (struct disk_io){
		.op = DISK_READ, .minor = req->minor, .offset = req->offset, .bytes = req->bytes
	};
	job->reader.ready = read_may;
	if (replica_may_read(unit->replica, &job->reader))
		read_begin(job);
}

/* ---- write and its like ---- */

static void change_answer(struct job *job)
{
	skeleton_answer(job->request, job->err, NULL, 0);
}

/* Whether a write can go from the client's window to the disk: this is the only replica, and what it does is done at once. */
static bool can_write_now(const struct unit *unit, uint32_t minor, uint64_t offset, uint64_t bytes)
{
	return unit->is_alone && !unit->has_copies && unit->volume.store == VOLUME_RAM &&
	       disks_can_map(unit->disks, minor, offset, bytes);
}

static void write_now(struct unit *unit, struct skeleton_request *request,
		      const struct vdd_write_req *req)
{
	struct disk_io io = { .op = DISK_WRITE,
			      .minor = req->minor,
			      .offset = req->offset,
			      .bytes = request->data_bytes,
			      /* It is only read, though disks have one pointer for both ways. */
			      .buffer = (void *)(uintptr_t)request->data };
	uint64_t began_ns = clock_now_ns();
	dvs_err err = ops_do_now(unit, &io);

	histogram_add(&unit->figures.latency[LATENCY_WRITE], clock_now_ns() - began_ns, 1);
	vdd_write_answer(request, err, NULL);
}

/* The data of REQUEST as the entry's. */
static bool job_copy(struct job *job, const void *data, size_t bytes)
{
	size_t room = (bytes + DISK_BLOCK_BYTES - 1) & ~(size_t)(DISK_BLOCK_BYTES - 1);

	/* Of whole pages, for stores that read them without a copy of their own. */
	job->data = aligned_alloc(DISK_BLOCK_BYTES, room);
	if (!job->data)
		return false;
	memcpy(job->data, data, bytes);
	job->entry.data = job->data;
	job->entry.bytes = bytes;
	return true;
}

void ops_write(void *state, struct skeleton_request *request, const struct vdd_write_req *req)
{
	struct unit *unit = state;
	const struct vdd_entry_write_req head = { .minor = req->minor,
						  .flags = req->flags,
						  .offset = req->offset };
	dvs_err err = check_change(unit, req->minor, req->offset, request->data_bytes, req->claim);
	struct job *job;

	if (!err && req->flags & ~DISK_FUA)
		err = DVS_BADARG;
	if (err || job_was_done(unit, request, &err)) {
		vdd_write_answer(request, err, NULL);
		return;
	}
	unit->figures.writes++;
	unit->figures.written_bytes += request->data_bytes;
	if (can_write_now(unit, req->minor, req->offset, request->data_bytes)) {
		write_now(unit, request, req);
		return;
	}
	job = job_begin(unit, request, change_answer);
	if (!job)
		return;
	CHANGE_HEAD(&job->entry, write, WRITE, &head);
	if (job_copy(job, request->data, request->data_bytes)) {
		job_submit(job);
		job_less(job, DVS_OK);
	} else {
		job_less(job, DVS_NOMEM);
	}
}

void ops_flush(void *state, struct skeleton_request *request, const struct vdd_flush_req *req)
{
	struct unit *unit = state;
	const struct vdd_entry_flush_req head = { .minor = req->minor };
	uint64_t size;
	struct job *job;
	dvs_err err = ops_check_role(unit);

	if (!err)
		err = disks_bytes(unit->disks, req->minor, &size);
	if (err || job_was_done(unit, request, &err)) {
		vdd_flush_answer(request, err, NULL);
		return;
	}
	unit->figures.flushes++;
	job = job_begin(unit, request, change_answer);
	if (!job)
		return;
	CHANGE_HEAD(&job->entry, flush, FLUSH, &head);
	job_submit(job);
	job_less(job, DVS_OK);
}

void ops_trim(void *state, struct skeleton_request *request, const struct vdd_trim_req *req)
{
	struct unit *unit = state;
	const struct vdd_entry_trim_req head = {
		.minor = req->minor, .flags = req->flags, .offset = req->offset, .bytes = req->bytes
	};
	dvs_err err = check_change(unit, req->minor, req->offset, req->bytes, req->claim);
	struct job *job;

	if (!err && req->flags & ~DISK_FUA)
		err = DVS_BADARG;
	if (err || job_was_done(unit, request, &err)) {
		vdd_trim_answer(request, err, NULL);
		return;
	}
	unit->figures.trims++;
	job = job_begin(unit, request, change_answer);
	if (!job)
		return;
	CHANGE_HEAD(&job->entry, trim, TRIM, &head);
	job_submit(job);
	job_less(job, DVS_OK);
}

void ops_zero(void *state, struct skeleton_request *request, const struct vdd_zero_req *req)
{
	struct unit *unit = state;
	const struct vdd_entry_zero_req head = {
		.minor = req->minor, .flags = req->flags, .offset = req->offset, .bytes = req->bytes
	};
	dvs_err err = check_change(unit, req->minor, req->offset, req->bytes, req->claim);
	struct job *job;

	if (!err && req->flags & ~(DISK_FUA | DISK_KEEP))
		err = DVS_BADARG;
	if (err || job_was_done(unit, request, &err)) {
		vdd_zero_answer(request, err, NULL);
		return;
	}
	unit->figures.trims++;
	job = job_begin(unit, request, change_answer);
	if (!job)
		return;
	CHANGE_HEAD(&job->entry, zero, ZERO, &head);
	job_submit(job);
	job_less(job, DVS_OK);
}
