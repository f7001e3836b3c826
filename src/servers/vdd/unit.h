/* SPDX-License-Identifier: Apache-2.0 */
/* A volume's replica on this node, in a thread of its own: its skeleton, disks, replica and sync. Requests become jobs (ops.c, batch.c, admin.c); changes are entries that all members
 * carry out (change.h). */
#ifndef SERVERS_VDD_UNIT_H
#define SERVERS_VDD_UNIT_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/histogram.h"
#include "base/list.h"
#include "base/post.h"
#include "client/volume.h"
#include "replica/replica.h"
#include "servers/vdd/disks.h"
#include "servers/vdd/posts.h"
#include "servers/vdd/process.h"
#include "servers/vdd/sync.h"
#include "skeleton/skeleton.h"
#include "skeleton/vdd_serve.h"

struct job;

enum unit_latency { LATENCY_READ, LATENCY_WRITE, LATENCY_FLUSH, LATENCY_KINDS };

/* What the status tells of the requests. */
struct unit_figures {
	uint64_t reads;
	uint64_t writes;
	uint64_t read_bytes;
	uint64_t written_bytes;
	uint64_t flushes;
	uint64_t trims;				 /* and zeroes */
	uint64_t refused;			 /* changes under claims that are over */
	struct histogram latency[LATENCY_KINDS]; /* of those that were answered */
};

struct unit {
	struct process *process;
	struct list of_process; /* under the process's lock */
	pthread_t thread;
	char dir[320];
	/* under the process's lock: */
	struct volume wanted; /* its record as it was last read */
	bool is_changed;      /* since the thread looked */
	bool is_to_stop;
	bool is_to_leave;  /* the record names this node no more */
	bool is_over;	   /* the thread has ended */
	bool has_left;	   /* nobody needs this replica any more */
	bool is_reachable; /* `poster` is that of its skeleton */
	bool is_change_put;
	dvs_err err;
	struct poster poster;
	struct post change;
	struct post look;
	atomic_bool is_look_put;
	struct posts posts; /* where disks post to: it lasts longer than a skeleton */
	/* the main thread's: */
	uint64_t started_ns;
	bool is_seen;
	bool is_to_go; /* its files, too, when it is over */
	/* the thread's own from here on: */
	struct volume volume;
	struct skeleton *skeleton;
	struct disks *disks;
	struct replica *replica;
	struct sync *sync;
	struct skeleton_service services[2];
	struct replica_owner owner;
	struct skeleton_timer tick;
	bool is_empty; /* as the disks were when they were opened, until this replica had everything */
	uint32_t n_lost_looks;
	uint64_t n_lives; /* of the replica; each has its own entries */
	bool is_stopping;
	bool is_leaving;
	bool is_handing_over;
	bool is_done;	 /* it has left, and may be destroyed */
	bool is_alone;	 /* the primary, and nobody else gets the entries */
	bool has_copies; /* there are snapshots or clones */
	uint64_t joiners;
	struct list jobs; /* by the time of their coming */
	uint32_t n_jobs;
	uint32_t n_behind; /* entries of the primary that are being carried out here */
	uint64_t drain_ns;
	struct list free_jobs;
	uint32_t n_free_jobs;
	uint64_t n_taken; /* jobs ever */
	uint64_t cooled;  /* n_taken when it was last submitted */
	uint64_t cool_ns; /* when */
	uint64_t
		cool_flushed; /* the number of the last flush that was ordered for the next time; 0: none */
	uint64_t cool_epoch; /* of the view then */
	struct unit_figures figures;
};

/* Start the thread for a replica of VOLUME. NOMEM, FULL. */
DVS_MUST_USE dvs_err unit_start(struct process *process, const struct volume *volume,
				struct unit **unit);
/* For the main thread: its record is VOLUME now, which may be of other nodes. */
void unit_changed(struct unit *unit, const struct volume *volume, bool is_of_node);
void unit_stop(struct unit *unit);
/* For any thread, under the process's lock: look at the view and who is there. */
void unit_look_locked(struct unit *unit);
/* Wait for the thread, which is over or to stop. */
void unit_join(struct unit *unit);
/* Then. */
void unit_forget(struct unit *unit);

/* ---- its disks (unit_disks.c), for its thread ---- */

/* What disks_open() returns; a record says why it failed. */
DVS_MUST_USE dvs_err unit_disks_open(struct unit *unit);
void unit_disks_close(struct unit *unit);
/* False: it has to begin anew, with disks that are opened anew. */
DVS_MUST_USE bool unit_disks_are_fit(struct unit *unit);
/* Now and then: a record says when the view counts on what this replica does not have any more. */
void unit_disks_look_lost(struct unit *unit);

#endif
