/* SPDX-License-Identifier: Apache-2.0 */
/* What is not reading and writing: sizes, snapshots, how the volume is. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/compiler.h"
#include "base/cursor.h"
#include "servers/vdd/job.h"

_Static_assert(ARRAY_LEN(((struct vdd_status_rep *)0)->latencies) ==
		       LATENCY_KINDS * HISTOGRAM_BUCKETS,
	       "the status has room for all of them");

#define GEOMETRY_READ_ONLY 1u
#define GEOMETRY_TRIMS 2u
#define EXTENT_HOLE 1u
#define EXTENT_ZERO 2u
/* Told in one answer. */
#define EXTENTS_MAX 1024u
/* Marks of chunks cool so often. */
#define COOL_NS (5 * CLOCK_NS_PER_S)
#define KIND_SNAPSHOT 2u

/* ---- what there is ---- */

static dvs_err find(const struct unit *unit, uint32_t minor, struct disk_info *info)
{
	dvs_err err = ops_check_role(unit);

	if (!err)
		err = disks_look(unit->disks, minor, info);
	return !err && info->minor != minor ? DVS_NOTFOUND : err;
}

void admin_geometry(void *state, struct skeleton_request *request,
		    const struct vdd_geometry_req *req)
{
	const struct unit *unit = state;
	struct disk_info info;
	dvs_err err = find(state, req->minor, &info);
	struct vdd_geometry_rep rep = { .block_bytes = DISK_BLOCK_BYTES, .flags = GEOMETRY_TRIMS };

	if (!err) {
		rep.bytes = info.bytes;
		rep.life = disks_life(unit->disks);
		rep.flags |= info.kind == KIND_SNAPSHOT ? GEOMETRY_READ_ONLY : 0;
	}
	vdd_geometry_answer(request, err, &rep);
}

static dvs_err put_extents(const struct unit *unit, const struct vdd_extents_req *req,
			   struct writer *out, uint32_t max, uint32_t *count)
{
	uint64_t at = req->offset;
	uint64_t left = req->bytes;
	dvs_err err = DVS_OK;

	while (!err && left > 0 && *count < max) {
		struct vdd_extent extent = { .flags = 0 };
		bool is_hole = false;

		err = disks_extent(unit->disks, req->minor, at, left, &extent.bytes, &is_hole);
		/* It cannot be: but then this would not end. */
		if (err || extent.bytes == 0 || extent.bytes > left)
			return err ? err : DVS_IO;
		extent.flags = is_hole ? EXTENT_HOLE | EXTENT_ZERO : 0;
		vdd_extent_put(out, &extent);
		at += extent.bytes;
		left -= extent.bytes;
		(*count)++;
	}
	return err;
}

void admin_extents(void *state, struct skeleton_request *request, const struct vdd_extents_req *req)
{
	struct unit *unit = state;
	uint8_t data[EXTENTS_MAX * VDD_EXTENT_BYTES_MAX];
	struct writer out = writer_over(data, sizeof(data));
	struct vdd_extents_rep rep = { .count = 0 };
	size_t max = request->reply_cap / VDD_EXTENT_BYTES_MAX;
	dvs_err err = ops_check_role(unit);

	if (!err)
		err = ops_check_range(unit, req->minor, req->offset, req->bytes);
	if (!err && max == 0)
		err = DVS_TOOBIG;
	if (!err)
		err = put_extents(unit, req, &out, max < EXTENTS_MAX ? (uint32_t)max : EXTENTS_MAX,
				  &rep.count);
	vdd_extents_answer_data(request, err, &rep, err ? NULL : data, err ? 0 : writer_len(&out));
}

void admin_disks(void *state, struct skeleton_request *request, const struct vdd_disks_req *req)
{
	struct unit *unit = state;
	struct vdd_disks_rep rep = { .n_disks = 0 };
	struct disk_info info;
	uint32_t minor = req->cursor;
	dvs_err err = ops_check_role(unit);

	while (!err && rep.n_disks < ARRAY_LEN(rep.disks) &&
	       disks_look(unit->disks, minor, &info) == DVS_OK) {
		struct vdd_disk *disk = &rep.disks[rep.n_disks++];

		*disk = (struct vdd_disk){ .minor = info.minor,
					   .kind = (uint8_t)info.kind,
					   .parent = info.parent,
					   .bytes = info.bytes,
					   .used_bytes = info.used_bytes,
					   .created_ns = info.created_ns };
		memcpy(disk->name, info.name, sizeof(disk->name));
		minor = info.minor + 1;
	}
	vdd_disks_answer(request, err, &rep);
}

/* ---- control operations ---- */

static void plain_answer(struct job *job)
{
	skeleton_answer(job->request, job->err, NULL, 0);
}

/* Whether there are other disks than the volume decides what can be done at once. */
static void copies_changed(struct unit *unit)
{
	struct disk_info info;

	unit->has_copies = disks_look(unit->disks, 1, &info) == DVS_OK;
}

static void answer_made(struct skeleton_request *request, dvs_err err, uint32_t minor)
{
	struct vdd_snapshot_rep snapshot = { .minor = minor };
	struct vdd_clone_rep clone = { .minor = minor };

	if (request->op == VDD_SNAPSHOT)
		vdd_snapshot_answer(request, err, &snapshot);
	else
		vdd_clone_answer(request, err, &clone);
}

static void made_answer(struct job *job)
{
	copies_changed(job->unit);
	answer_made(job->request, job->err, job->change.one.made);
}

/* What a former primary made is found by its name. */
static uint32_t minor_named(const struct unit *unit, const char *name)
{
	struct disk_info info = { .minor = 0 };

	for (uint32_t minor = 1; disks_look(unit->disks, minor, &info) == DVS_OK;
	     minor = info.minor + 1) {
		if (strcmp(info.name, name) == 0)
			return info.minor;
	}
	return 0;
}

static bool job_name(struct job *job, const char *name)
{
	job->data = strdup(name);
	job->entry.data = job->data;
	job->entry.bytes = strlen(name);
	return job->data != NULL;
}

static void put_make(struct job *job, uint32_t minor)
{
	const struct vdd_entry_snapshot_req snapshot = { .minor = minor,
							 .now_ns = clock_real_ns() };
	const struct vdd_entry_clone_req clone = { .minor = minor, .now_ns = clock_real_ns() };

	if (job->op == VDD_SNAPSHOT)
		CHANGE_HEAD(&job->entry, snapshot, SNAPSHOT, &snapshot);
	else
		CHANGE_HEAD(&job->entry, clone, CLONE, &clone);
}

/* A snapshot or a clone of MINOR, as the request's operation says. */
static void make(struct unit *unit, struct skeleton_request *request, uint32_t minor,
		 const char *name)
{
	struct job *job;
	dvs_err err = ops_check_role(unit);

	if (!err && !name[0])
		err = DVS_BADARG;
	if (err || job_was_done(unit, request, &err)) {
		answer_made(request, err, minor_named(unit, name));
		return;
	}
	job = job_begin(unit, request, made_answer);
	if (!job)
		return;
	unit->has_copies = true;
	put_make(job, minor);
	if (job_name(job, name))
		job_submit(job);
	job_less(job, job->data ? DVS_OK : DVS_NOMEM);
}

void admin_snapshot(void *state, struct skeleton_request *request,
		    const struct vdd_snapshot_req *req)
{
	make(state, request, req->minor, req->name);
}

void admin_clone(void *state, struct skeleton_request *request, const struct vdd_clone_req *req)
{
	make(state, request, req->minor, req->name);
}

static void removed_answer(struct job *job)
{
	copies_changed(job->unit);
	plain_answer(job);
}

void admin_remove(void *state, struct skeleton_request *request, const struct vdd_remove_req *req)
{
	struct unit *unit = state;
	const struct vdd_entry_remove_req head = { .minor = req->minor };
	struct job *job;
	dvs_err err = ops_check_role(unit);

	if (!err && req->minor == 0)
		err = DVS_BADSTATE;
	if (err || job_was_done(unit, request, &err)) {
		vdd_remove_answer(request, err, NULL);
		return;
	}
	job = job_begin(unit, request, removed_answer);
	if (!job)
		return;
	CHANGE_HEAD(&job->entry, remove, REMOVE, &head);
	job_submit(job);
	job_less(job, DVS_OK);
}

void admin_resize(void *state, struct skeleton_request *request, const struct vdd_resize_req *req)
{
	struct unit *unit = state;
	const struct vdd_entry_resize_req head = { .minor = req->minor, .bytes = req->bytes };
	struct job *job;
	dvs_err err = ops_check_role(unit);

	if (!err &&
	    (req->bytes == 0 || req->bytes % DISK_SECTOR_BYTES || req->bytes > DISK_BYTES_MAX))
		err = DVS_BADARG;
	if (err || job_was_done(unit, request, &err)) {
		vdd_resize_answer(request, err, NULL);
		return;
	}
	job = job_begin(unit, request, plain_answer);
	if (!job)
		return;
	CHANGE_HEAD(&job->entry, resize, RESIZE, &head);
	job_submit(job);
	job_less(job, DVS_OK);
}

void admin_claim(void *state, struct skeleton_request *request, const struct vdd_claim_req *req)
{
	struct unit *unit = state;
	const struct vdd_entry_claim_req head = { .minor = req->minor, .claim = req->claim };
	struct job *job;
	uint64_t size;
	dvs_err err = ops_check_role(unit);

	if (!err)
		err = disks_bytes(unit->disks, req->minor, &size);
	if (!err)
		err = ops_check_claim(unit, req->minor, req->claim);
	if (err || job_was_done(unit, request, &err)) {
		vdd_claim_answer(request, err, NULL);
		return;
	}
	job = job_begin(unit, request, plain_answer);
	if (!job)
		return;
	/* What comes from here on is ordered behind it. */
	disks_expect_claim(unit->disks, req->minor, req->claim);
	CHANGE_HEAD(&job->entry, claim, CLAIM, &head);
	job_submit(job);
	job_less(job, DVS_OK);
}

/* ---- how it is ---- */

static void put_member(const struct unit *unit, const struct replica_member_state *state,
		       struct vdd_member *member)
{
	struct sync_progress progress;

	*member = (struct vdd_member){ .node = state->node.n, .lag_bytes = state->lag_bytes };
	switch (state->role) {
	case REPLICA_PRIMARY:
		member->state = 1;
		break;
	case REPLICA_MEMBER:
		member->state = 2;
		break;
	case REPLICA_JOINING:
		member->state = 3;
		break;
	case REPLICA_ABSENT:
		member->state = 4;
		break;
	}
	if (!sync_look(unit->sync, state->node, &progress))
		return;
	member->done_bytes = progress.done_bytes;
	member->total_bytes = progress.total_bytes;
	member->sent_bytes = progress.sent_bytes;
	member->bytes_per_s = progress.bytes_per_s;
	member->eta_ms = progress.eta_ms;
}

static uint32_t n_waiting(struct unit *unit)
{
	uint32_t n = 0;

	LIST_FOREACH(link, &unit->jobs)
		n += CONTAINER_OF(link, struct job, of_unit)->request != NULL;
	return n;
}

static void put_latencies(const struct unit *unit, struct vdd_status_rep *rep)
{
	const struct histogram *latency = unit->figures.latency;

	rep->max_read_ns = latency[LATENCY_READ].max_ns;
	rep->max_write_ns = latency[LATENCY_WRITE].max_ns;
	rep->max_flush_ns = latency[LATENCY_FLUSH].max_ns;
	for (uint32_t kind = 0; kind < LATENCY_KINDS; kind++) {
		for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
			if (latency[kind].count[i] == 0)
				continue;
			rep->latencies[rep->n_latencies++] =
				(struct vdd_latency){ .kind = (uint8_t)(kind + 1),
						      .bucket = (uint16_t)i,
						      .count = latency[kind].count[i] };
		}
	}
}

void admin_status(void *state, struct skeleton_request *request, const struct vdd_status_req *req)
{
	struct unit *unit = state;
	struct replica_member_state states[DVS_NODES_MAX];
	struct sync_verify verify = { .state = 0 };
	struct vdd_status_rep rep;

	(void)req;
	sync_verify_look(unit->sync, &verify);
	rep = (struct vdd_status_rep){
		.epoch = replica_epoch(unit->replica),
		.sequence = replica_sequence(unit->replica),
		.waiting = n_waiting(unit),
		.paused_ms = replica_paused_ns(unit->replica) / CLOCK_NS_PER_MS,
		.reads = unit->figures.reads,
		.writes = unit->figures.writes,
		.read_bytes = unit->figures.read_bytes,
		.written_bytes = unit->figures.written_bytes,
		.flushes = unit->figures.flushes,
		.trims = unit->figures.trims,
		.refused = unit->figures.refused,
		.verify_state = (uint8_t)verify.state,
		.verify_done_bytes = verify.done_bytes,
		.verify_total_bytes = verify.total_bytes,
		.verify_differs = verify.differs,
		.verify_repaired = verify.repaired,
	};
	rep.n_members = replica_look(unit->replica, states);
	for (uint32_t i = 0; i < rep.n_members; i++)
		put_member(unit, &states[i], &rep.members[i]);
	put_latencies(unit, &rep);
	vdd_status_answer(request, DVS_OK, &rep);
}

void admin_verify(void *state, struct skeleton_request *request, const struct vdd_verify_req *req)
{
	struct unit *unit = state;
	dvs_err err = ops_check_role(unit);

	if (!err && req->start)
		err = sync_verify_start(unit->sync, req->repair != 0);
	else if (!err)
		sync_verify_stop(unit->sync);
	vdd_verify_answer(request, err, NULL);
}

static void handed_over(void *context, dvs_err err)
{
	job_less(context, err);
}

void admin_hand_over(void *state, struct skeleton_request *request,
		     const struct vdd_hand_over_req *req)
{
	struct unit *unit = state;
	struct job *job;
	dvs_err err = ops_check_role(unit);

	/* Also when it is asked again, of the one that has taken over. */
	if (err || req->node == unit->process->options.node) {
		vdd_hand_over_answer(request, err, NULL);
		return;
	}
	job = job_begin(unit, request, plain_answer);
	if (job)
		replica_hand_over(unit->replica, (dvs_nodeid){ req->node }, handed_over, job);
}

void admin_tune(void *state, struct skeleton_request *request, const struct vdd_tune_req *req)
{
	struct unit *unit = state;

	sync_tune(unit->sync, req->bytes_per_s);
	vdd_tune_answer(request, DVS_OK, NULL);
}

/* ---- dirty chunks ---- */

static bool has_marks(const struct unit *unit)
{
	struct disk_info info = { .minor = 0 };
	uint64_t chunk;

	for (uint32_t minor = 0; disks_look(unit->disks, minor, &info) == DVS_OK;
	     minor = info.minor + 1) {
		chunk = 0;
		if (disks_next_dirty(unit->disks, info.minor, &chunk))
			return true;
	}
	return false;
}

/* Whether a job up to NUMBER is under way. */
static bool is_any_old(struct unit *unit, uint64_t number)
{
	struct list *link = unit->jobs.next;

	return link != &unit->jobs && CONTAINER_OF(link, struct job, of_unit)->number <= number;
}

/* All members are to have on stable storage what loses its marks: one that comes back after a loss of power could lack it. */
static void flush_all(struct unit *unit)
{
	struct disk_info info = { .minor = 0 };

	for (uint32_t minor = 0; disks_look(unit->disks, minor, &info) == DVS_OK;
	     minor = info.minor + 1) {
		const struct vdd_entry_flush_req head = { .minor = info.minor };
		struct job *job = job_begin(unit, NULL, plain_answer);

		if (!job)
			return;
		CHANGE_HEAD(&job->entry, flush, FLUSH, &head);
		job_submit(job);
		job_less(job, DVS_OK);
	}
	unit->cool_flushed = unit->n_taken;
	unit->cool_epoch = replica_epoch(unit->replica);
}

/* Whether all members have carried out the flushes that were ordered. Who could not is out of the view, which is another one then. */
static bool is_flushed(struct unit *unit)
{
	if (unit->cool_flushed && unit->cool_epoch != replica_epoch(unit->replica))
		unit->cool_flushed = 0;
	if (!unit->cool_flushed) {
		flush_all(unit);
		return false;
	}
	return !is_any_old(unit, unit->cool_flushed) && !disks_are_broken(unit->disks);
}

void admin_cool(struct unit *unit)
{
	const struct vdd_entry_cool_req head = { .empty = 0 };
	uint64_t nodes = 0;
	struct job *job;

	for (uint32_t i = 0; i < unit->volume.n_replicas; i++)
		nodes |= UINT64_C(1) << unit->volume.replicas[i].node;
	if (ops_check_role(unit) || unit->volume.async ||
	    clock_now_ns() - unit->cool_ns < COOL_NS ||
	    (replica_members(unit->replica) & nodes) != nodes ||
	    /* What was begun before the last time may still be on its way to a member: its marks must stay. */
	    is_any_old(unit, unit->cooled) || !has_marks(unit) || !is_flushed(unit))
		return;
	job = job_begin(unit, NULL, plain_answer);
	if (!job)
		return;
	unit->cool_ns = clock_now_ns();
	unit->cooled = unit->n_taken;
	unit->cool_flushed = 0;
	CHANGE_HEAD(&job->entry, cool, COOL, &head);
	job_submit(job);
	job_less(job, DVS_OK);
}
