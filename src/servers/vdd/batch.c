/* SPDX-License-Identifier: Apache-2.0 */
/* Many requests in one call. All changes among them are one entry (so one message to each replica, and one place in the order); its items have no order among each other. Reads are done each
 * for itself. The answer is made up when all are over. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/compiler.h"
#include "base/cursor.h"
#include "servers/vdd/job.h"

struct item {
	struct vdd_item is;
	dvs_err err;
	size_t at; /* WRITE: in the request's data; READ: in the answer */
};

struct piece {
	struct disk_io io;
	struct job *job;
	struct item *item;
};

struct batch {
	uint32_t count;
	uint32_t n_reads;
	uint32_t n_changes; /* that have no error yet; among them: */
	uint32_t n_flushes;
	uint32_t n_trims; /* and zeroes */
	size_t data_at;	  /* of the request */
	uint64_t claim;
	size_t in_bytes;  /* data of the writes that have no error yet */
	size_t out_bytes; /* the whole answer */
	bool was_done;	  /* the changes, by a former primary; */
	dvs_err was_err;  /* with this result */
	struct piece *pieces;
	struct item items[];
};

static void put_u32(uint8_t *at, uint32_t value)
{
	struct writer out = writer_over(at, sizeof(value));

	writer_u32(&out, value);
}

/* ---- what is asked ---- */

static dvs_err check_kind(const struct vdd_item *item)
{
	switch (item->kind) {
	case VDD_READ:
	case VDD_FLUSH:
		return item->flags ? DVS_BADARG : DVS_OK;
	case VDD_WRITE:
	case VDD_TRIM:
		return item->flags & ~DISK_FUA ? DVS_BADARG : DVS_OK;
	case VDD_ZERO:
		return item->flags & ~(DISK_FUA | DISK_KEEP) ? DVS_BADARG : DVS_OK;
	default:
		return DVS_PROTO;
	}
}

static dvs_err check_item(struct unit *unit, const struct vdd_item *item, uint64_t claim)
{
	uint64_t size;
	dvs_err err;

	if (item->kind == VDD_FLUSH)
		return disks_bytes(unit->disks, item->minor, &size);
	err = ops_check_range(unit, item->minor, item->offset, item->bytes);
	return err || item->kind == VDD_READ ? err : ops_check_claim(unit, item->minor, claim);
}

/* Where the data of ITEM is. PROTO, TOOBIG: the whole batch is refused. */
static dvs_err place(struct batch *batch, const struct skeleton_request *request, struct item *item,
		     size_t *in)
{
	if (item->is.kind == VDD_WRITE) {
		if (item->is.bytes > request->data_bytes - *in)
			return DVS_PROTO;
		item->at = *in;
		*in += item->is.bytes;
	} else if (item->is.kind == VDD_READ) {
		if (item->is.bytes > DVS_DATA_MAX - batch->out_bytes)
			return DVS_TOOBIG;
		item->at = batch->out_bytes;
		batch->out_bytes += item->is.bytes;
	}
	return DVS_OK;
}

static void note(struct batch *batch, const struct item *item)
{
	if (item->err)
		return;
	if (item->is.kind == VDD_READ)
		batch->n_reads++;
	else
		batch->n_changes++;
	if (item->is.kind == VDD_WRITE)
		batch->in_bytes += item->is.bytes;
	batch->n_flushes += item->is.kind == VDD_FLUSH;
	batch->n_trims += item->is.kind == VDD_TRIM || item->is.kind == VDD_ZERO;
}

static dvs_err take(struct batch *batch, struct unit *unit, const struct skeleton_request *request)
{
	uint8_t copy[CHANGE_ITEMS_MAX * VDD_ITEM_BYTES_MAX];
	struct cursor in;
	size_t at = batch->data_at;

	/* The client can change it at any time: what is looked at is the copy. */
	memcpy(copy, request->data, batch->count * (size_t)VDD_ITEM_BYTES_MAX);
	in = cursor_over(copy, batch->count * (size_t)VDD_ITEM_BYTES_MAX);
	batch->out_bytes = batch->count * sizeof(uint32_t);
	for (uint32_t i = 0; i < batch->count; i++) {
		struct item *item = &batch->items[i];
		dvs_err err;

		vdd_item_get(&in, &item->is);
		err = check_kind(&item->is);
		if (err == DVS_PROTO)
			return err;
		item->err = err ? err : check_item(unit, &item->is, batch->claim);
		err = place(batch, request, item, &at);
		if (err)
			return err;
		note(batch, item);
	}
	return batch->out_bytes > request->reply_cap ? DVS_TOOBIG : DVS_OK;
}

/* ---- the answer ---- */

static void batch_answer(struct job *job)
{
	struct batch *batch = job->batch;
	uint8_t *out = job->data;

	/* Something of the whole: no memory. */
	if (job->err && !job->has_change && !batch->was_done) {
		vdd_batch_answer(job->request, job->err, NULL);
		return;
	}
	for (uint32_t i = 0; i < batch->count; i++) {
		struct item *item = &batch->items[i];

		if (!item->err && item->is.kind != VDD_READ)
			item->err = batch->was_done ? batch->was_err : job->err;
		put_u32(out + i * sizeof(uint32_t), (uint32_t)item->err);
		if (item->err && item->is.kind == VDD_READ)
			memset(out + item->at, 0, item->is.bytes);
	}
	vdd_batch_answer_data(job->request, DVS_OK, NULL, out, batch->out_bytes);
}

/* ---- all at once: memory of this process, and nothing that other replicas must have ---- */

static bool can_do_now(const struct unit *unit, const struct batch *batch)
{
	bool can_change = unit->is_alone && !unit->has_copies && unit->volume.store == VOLUME_RAM;

	if (batch->n_changes && !can_change)
		return false;
	for (uint32_t i = 0; i < batch->count; i++) {
		const struct item *item = &batch->items[i];

		if (!item->err && item->is.kind != VDD_FLUSH &&
		    !disks_can_map(unit->disks, item->is.minor, item->is.offset, item->is.bytes))
			return false;
	}
	return true;
}

static void do_item(struct unit *unit, const struct skeleton_request *request, struct item *item,
		    uint8_t *out)
{
	static const enum disk_op ops[] = { [VDD_READ] = DISK_READ,
					    [VDD_WRITE] = DISK_WRITE,
					    [VDD_FLUSH] = DISK_FLUSH,
					    [VDD_TRIM] = DISK_TRIM,
					    [VDD_ZERO] = DISK_ZERO };
	struct disk_io io = { .op = ops[item->is.kind],
			      .flags = item->is.flags,
			      .minor = item->is.minor,
			      .offset = item->is.offset,
			      .bytes = item->is.bytes };

	if (item->is.kind == VDD_READ)
		io.buffer = out + item->at;
	else if (item->is.kind == VDD_WRITE)
		io.buffer = (void *)(uintptr_t)(request->data + item->at);
	item->err = ops_do_now(unit, &io);
}

static void do_now(struct job *job)
{
	struct batch *batch = job->batch;
	struct unit *unit = job->unit;
	size_t cap = 0;
	uint8_t *out = skeleton_window(job->request, &cap);

	if (!out || cap < batch->out_bytes) {
		skeleton_drop(TAKE_PTR(job->request));
		job_less(job, DVS_OK);
		return;
	}
	for (uint32_t i = 0; i < batch->count; i++) {
		struct item *item = &batch->items[i];

		if (!item->err)
			do_item(unit, job->request, item, out);
		if (item->err && item->is.kind == VDD_READ)
			memset(out + item->at, 0, item->is.bytes);
		put_u32(out + i * sizeof(uint32_t), (uint32_t)item->err);
	}
	job_note_latency(job);
	vdd_batch_answer_data(TAKE_PTR(job->request), DVS_OK, NULL, out, batch->out_bytes);
	job_less(job, DVS_OK);
}

/* ---- in their time ---- */

static void put_items(const struct batch *batch, struct writer *out)
{
	for (uint32_t i = 0; i < batch->count; i++) {
		const struct item *item = &batch->items[i];

		if (!item->err && item->is.kind != VDD_READ)
			vdd_item_put(out, &item->is);
	}
}

/* The changes as an entry. */
static dvs_err make_entry(struct job *job, uint8_t **data)
{
	const struct batch *batch = job->batch;
	size_t items_bytes = batch->n_changes * (size_t)VDD_ITEM_BYTES_MAX;
	size_t at = (items_bytes + DISK_BLOCK_BYTES - 1) / DISK_BLOCK_BYTES * DISK_BLOCK_BYTES;
	struct vdd_entry_batch_req head = { .count = batch->n_changes };
	struct writer out;

	/* Aligned for the disks when that fits into a message. */
	if (at + batch->in_bytes > DVS_DATA_MAX)
		at = items_bytes;
	if (at + batch->in_bytes > DVS_DATA_MAX)
		return DVS_TOOBIG;
	*data = aligned_alloc(DISK_BLOCK_BYTES, (at + batch->in_bytes + DISK_BLOCK_BYTES - 1) /
							DISK_BLOCK_BYTES * DISK_BLOCK_BYTES);
	if (!*data)
		return DVS_NOMEM;
	memset(*data, 0, at);
	out = writer_over(*data, items_bytes);
	put_items(batch, &out);
	assert(writer_ok(&out));
	for (uint32_t i = 0; i < batch->count; i++) {
		const struct item *item = &batch->items[i];

		if (item->err || item->is.kind != VDD_WRITE)
			continue;
		memcpy(*data + at, job->request->data + item->at, item->is.bytes);
		at += item->is.bytes;
	}
	head.data_at = (uint32_t)(at - batch->in_bytes);
	CHANGE_HEAD(&job->entry, batch, BATCH, &head);
	job->entry.data = *data;
	job->entry.bytes = at;
	return DVS_OK;
}

static void piece_done(struct disk_io *io, dvs_err err)
{
	struct piece *piece = CONTAINER_OF(io, struct piece, io);

	piece->item->err = err;
	if (err)
		ops_read_failed(piece->job, io, err);
	job_less(piece->job, DVS_OK);
}

static void reads_begin(struct job *job)
{
	struct batch *batch = job->batch;
	struct piece *piece = batch->pieces;
	uint8_t *out = job->data;

	job->pending += batch->n_reads;
	for (uint32_t i = 0; i < batch->count; i++) {
		struct item *item = &batch->items[i];

		if (item->err || item->is.kind != VDD_READ)
			continue;
		piece->job = job;
		piece->item = item;
		piece->io = (struct disk_io){ .op = DISK_READ,
					      .minor = item->is.minor,
					      .offset = item->is.offset,
					      .bytes = item->is.bytes,
					      .buffer = out + item->at,
					      .done = piece_done };
		/* It may be over before this returns; what is here is not, for the job has its beginning still. */
		disks_submit(job->unit->disks, &piece->io);
		piece++;
	}
}

static void reads_may(struct replica_reader *reader, dvs_err err)
{
	struct job *job = CONTAINER_OF(reader, struct job, reader);

	if (err && job->request)
		skeleton_drop(TAKE_PTR(job->request));
	if (!err && job->request)
		reads_begin(job);
	job_less(job, DVS_OK);
}

/* Room for the answer and what is under way. */
static bool make_room(struct job *job)
{
	struct batch *batch = job->batch;

	batch->pieces = NULL;
	if (batch->n_reads) {
		batch->pieces = malloc(batch->n_reads * sizeof(*batch->pieces));
		job->also = batch->pieces;
	}
	job->data = malloc(batch->out_bytes);
	return job->data && (batch->pieces || !batch->n_reads);
}

static void begin(struct job *job)
{
	struct batch *batch = job->batch;
	bool may_read = true;
	dvs_err err = make_room(job) ? DVS_OK : DVS_NOMEM;

	if (!err && batch->n_changes && !batch->was_done)
		err = make_entry(job, &job->entry_data);
	if (err) {
		job_less(job, err);
		return;
	}
	if (job->entry_data)
		job_submit(job);
	if (batch->n_reads) {
		job->reader.ready = reads_may;
		job->pending++;
		may_read = replica_may_read(job->unit->replica, &job->reader);
	}
	if (batch->n_reads && may_read) {
		reads_begin(job);
		job_less(job, DVS_OK);
	}
	job_less(job, DVS_OK);
}

/* What could have been done at once had to wait for the lease; it cannot any more, perhaps. */
static void now_may(struct replica_reader *reader, dvs_err err)
{
	struct job *job = CONTAINER_OF(reader, struct job, reader);

	if (err && job->request)
		skeleton_drop(TAKE_PTR(job->request));
	if (err || !job->request)
		job_less(job, DVS_OK);
	else
		begin(job);
}

static dvs_err batch_new(struct unit *unit, const struct skeleton_request *request,
			 const struct vdd_batch_req *req, struct batch **out)
{
	struct batch *batch;
	dvs_err err = ops_check_role(unit);

	if (err)
		return err;
	if (req->count > CHANGE_ITEMS_MAX || req->data_at > request->data_bytes ||
	    req->data_at / VDD_ITEM_BYTES_MAX < req->count)
		return DVS_PROTO;
	batch = calloc(1, sizeof(*batch) + req->count * sizeof(batch->items[0]));
	if (!batch)
		return DVS_NOMEM;
	batch->count = req->count;
	batch->data_at = req->data_at;
	batch->claim = req->claim;
	err = take(batch, unit, request);
	if (err)
		free(batch);
	else
		*out = batch;
	return err;
}

static uint32_t n_writes(const struct batch *batch)
{
	return batch->n_changes - batch->n_flushes - batch->n_trims;
}

void batch_note_latency(struct unit *unit, const struct batch *batch, uint64_t ns)
{
	struct histogram *latency = unit->figures.latency;

	histogram_add(&latency[LATENCY_READ], ns, batch->n_reads);
	histogram_add(&latency[LATENCY_WRITE], ns, n_writes(batch));
	histogram_add(&latency[LATENCY_FLUSH], ns, batch->n_flushes);
}

static void count(struct unit *unit, const struct batch *batch)
{
	struct unit_figures *figures = &unit->figures;

	figures->reads += batch->n_reads;
	figures->read_bytes += batch->out_bytes - batch->count * sizeof(uint32_t);
	figures->writes += n_writes(batch);
	figures->written_bytes += batch->in_bytes;
	figures->flushes += batch->n_flushes;
	figures->trims += batch->n_trims;
}

void ops_batch(void *state, struct skeleton_request *request, const struct vdd_batch_req *req)
{
	struct unit *unit = state;
	struct batch *batch = NULL;
	bool is_now;
	struct job *job;
	dvs_err err = batch_new(unit, request, req, &batch);

	if (err) {
		vdd_batch_answer(request, err, NULL);
		return;
	}
	count(unit, batch);
	batch->was_done = job_was_done(unit, request, &batch->was_err);
	is_now = !batch->was_done && can_do_now(unit, batch);
	job = job_begin(unit, request, batch_answer);
	if (!job) {
		free(batch);
		return;
	}
	job->batch = batch;
	job->reader.ready = now_may;
	if (!is_now)
		begin(job);
	else if (unit->is_alone || replica_may_read(unit->replica, &job->reader))
		do_now(job);
}
