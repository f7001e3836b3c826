/* SPDX-License-Identifier: Apache-2.0 */
/* What is kept of a request until it is answered. A job is over, is answered and freed when nothing of it is under way any more: no entry that the replica has, no disk_io, no wait for the
 * lease. */
#ifndef SERVERS_VDD_JOB_H
#define SERVERS_VDD_JOB_H

#include "servers/vdd/change.h"
#include "servers/vdd/unit.h"

struct batch;

struct job {
	struct list of_unit;
	struct unit *unit;
	struct skeleton_request *request; /* NULL: nobody is to be answered (any more) */
	uint64_t number;		  /* among all of this unit */
	uint64_t began_ns;
	uint32_t op;
	uint32_t pending;
	dvs_err err; /* the first */
	/* of a change: */
	struct replica_entry entry;
	struct change change;
	bool is_ordered; /* the entry is the replica's, until it is done */
	bool has_change; /* it was begun */
	/* of a read: */
	struct replica_reader reader;
	struct disk_io io;
	struct batch *batch;
	/* malloc'ed: */
	void *data;	     /* of the entry, or what is read */
	uint8_t *entry_data; /* of a batch's entry */
	void *also;
	/* Answer JOB->request with JOB->err. */
	void (*answer)(struct job *job);
};

/* A job for REQUEST (or NULL), with one thing under way: its beginning. NULL: no memory; REQUEST is answered. */
struct job *job_begin(struct unit *unit, struct skeleton_request *request,
		      void (*answer)(struct job *job));
/* One thing less is under way. JOB may be freed. */
void job_less(struct job *job, dvs_err err);
/* JOB's request is about to be answered: count how long it took. */
void job_note_latency(const struct job *job);
/* Order JOB->entry, whose head and data are set. */
void job_submit(struct job *job);
/* REQUEST, which is resent, may be one that is under way here: then it is answered in place of the former one. */
DVS_MUST_USE bool job_takes_over(struct unit *unit, struct skeleton_request *request);
/* Whether REQUEST was carried out by a former primary; then it is to be answered with *ERR. */
bool job_was_done(const struct unit *unit, const struct skeleton_request *request, dvs_err *err);
/* This replica is not the primary any more: nobody is answered. */
void jobs_drop(struct unit *unit);
/* Free all that is kept for later jobs. */
void jobs_free(struct unit *unit);
/* For struct replica_owner. */
void job_apply(void *context, struct replica_entry *entry);

/* ---- the handlers ---- */

/* The one place where it is decided whether a range is one of the disk: NOTFOUND, BADARG (empty, or not of whole sectors), RANGE. */
DVS_MUST_USE dvs_err ops_check_range(const struct unit *unit, uint32_t minor, uint64_t offset,
				     uint64_t bytes);
/* Whether changes of MINOR may be made under CLAIM: STALE. */
DVS_MUST_USE dvs_err ops_check_claim(struct unit *unit, uint32_t minor, uint64_t claim);
/* Whether requests are answered here at all: BADSTATE. */
DVS_MUST_USE dvs_err ops_check_role(const struct unit *unit);
/* Reading IO for JOB has failed with ERR: another replica is to answer, if there is one. */
void ops_read_failed(struct job *job, const struct disk_io *io, dvs_err err);
/* Carry IO out now, on a store that needs no waiting (disks_can_map()). */
DVS_MUST_USE dvs_err ops_do_now(struct unit *unit, struct disk_io *io);

void ops_read(void *state, struct skeleton_request *request, const struct vdd_read_req *req);
void ops_write(void *state, struct skeleton_request *request, const struct vdd_write_req *req);
void ops_flush(void *state, struct skeleton_request *request, const struct vdd_flush_req *req);
void ops_trim(void *state, struct skeleton_request *request, const struct vdd_trim_req *req);
void ops_zero(void *state, struct skeleton_request *request, const struct vdd_zero_req *req);
/* The requests of a batch took NS. */
void batch_note_latency(struct unit *unit, const struct batch *batch, uint64_t ns);
void ops_batch(void *state, struct skeleton_request *request, const struct vdd_batch_req *req);

void admin_geometry(void *state, struct skeleton_request *request,
		    const struct vdd_geometry_req *req);
void admin_extents(void *state, struct skeleton_request *request,
		   const struct vdd_extents_req *req);
void admin_resize(void *state, struct skeleton_request *request, const struct vdd_resize_req *req);
void admin_snapshot(void *state, struct skeleton_request *request,
		    const struct vdd_snapshot_req *req);
void admin_clone(void *state, struct skeleton_request *request, const struct vdd_clone_req *req);
void admin_remove(void *state, struct skeleton_request *request, const struct vdd_remove_req *req);
void admin_claim(void *state, struct skeleton_request *request, const struct vdd_claim_req *req);
void admin_disks(void *state, struct skeleton_request *request, const struct vdd_disks_req *req);
void admin_status(void *state, struct skeleton_request *request, const struct vdd_status_req *req);
void admin_verify(void *state, struct skeleton_request *request, const struct vdd_verify_req *req);
void admin_hand_over(void *state, struct skeleton_request *request,
		     const struct vdd_hand_over_req *req);
void admin_tune(void *state, struct skeleton_request *request, const struct vdd_tune_req *req);
/* An entry that lets old marks of the dirty chunks go, when all replicas are members and something is marked. */
void admin_cool(struct unit *unit);

#endif
