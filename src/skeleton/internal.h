/* SPDX-License-Identifier: Apache-2.0 */
/* Inside the room: all of it belongs to the skeleton's thread, but what stands under `other threads`. */
#ifndef SKELETON_INTERNAL_H
#define SKELETON_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "base/limits.h"
#include "skeleton/skeleton.h"

/* Clients have consecutive numbers: a table of the last ones. */
#define RIGHTS_KEPT 1024u

/* What an endpoint may; `ep` has its generation, so that a number's next owner is looked at anew. */
struct rights {
	dvs_ep ep;
	bool is_manager;
};

/* A request with what only this room looks at. */
struct taken {
	struct skeleton_request request;
	struct list at;	 /* in `free` or `open` */
	struct m3 *self; /* where it came; NULL: that is unbound */
	bool is_open;
};

struct slab;

struct skeleton {
	struct dvk *dvk;
	struct log *log;
	bool users_are_all;
	const struct skeleton_service *services;
	size_t n_services;
	struct m3 *own;
	void (*lost)(void *context, struct m3 *self, dvs_err err);
	void *lost_context;
	struct list timers; /* by deadline */
	struct list calls;  /* struct skeleton_call */
	struct slab *slabs;
	uint32_t n_requests; /* in the slabs */
	struct list free;
	struct list open;
	struct skeleton_figures figures;
	struct rights rights[RIGHTS_KEPT];

	/* ---- other threads ---- */
	atomic_bool is_stopped;
	atomic_bool has_posts;
	atomic_bool is_asleep; /* or about to be: who posts has to poke */
	pthread_mutex_t post_lock;
	struct list posts; /* under post_lock */
	/* The order: never both. */
	pthread_mutex_t listen_lock;
	struct m3 *
		listening; /* changed under listen_lock, by the skeleton's thread, which may read it without */
};

/* A request or something else has come on SELF. */
void skeleton_take(struct skeleton *skeleton, struct m3 *self, const struct dvs_msg *msg);
void skeleton_free_requests(struct skeleton *skeleton);
/* Tell of the calls that are over. */
void skeleton_look_at_calls(struct skeleton *skeleton);
/* SELF is unbound soon. */
void skeleton_end_calls(struct skeleton *skeleton, const struct m3 *self);

/* DENIED: SOURCE is no manager, or is gone. NODVSD: that cannot be found out. */
DVS_MUST_USE dvs_err rights_manager(struct skeleton *skeleton, dvs_ep source);

#endif
