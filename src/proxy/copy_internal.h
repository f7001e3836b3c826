/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of copying share: the threads, and the work for them. */
#ifndef PROXY_COPY_INTERNAL_H
#define PROXY_COPY_INTERNAL_H

#include <pthread.h>

#include "base/list.h"
#include "proxy/copy.h"

/* What a thread is to do; first member of the work's own struct. RUN frees it. */
struct work {
	struct list of_pool;
	uint32_t dc;
	void (*run)(struct copies *copies, struct work *work);
};

/* Threads that touch the memory of programs. Those that one DC's memory holds up are at most OF_DC_MAX. */
struct pool {
	struct copies *copies;
	struct list queue;
	struct list running;
	unsigned int n_threads;
	unsigned int n_idle;
	unsigned int threads_max;
	unsigned int of_dc_max;
	pthread_cond_t more;
};

/* A piece that was written into memory here, and what came of it. */
struct written {
	uint64_t id;
	dvs_err err;
};

/* More than the peer has pieces under way: an id that is still asked for is among the last. */
#define WRITTEN_MAX 64u

struct copies {
	struct copies_owner owner;
	pthread_mutex_t lock; /* of everything here */
	bool ending;
	struct pool askers;
	struct pool servers;
	struct list asking;  /* copies that were started here and are not over */
	struct list serving; /* pieces for the peer */
	size_t n_serving;
	size_t serving_bytes;
	struct written written[WRITTEN_MAX]; /* the last of them, a ring */
	size_t n_written;
	uint64_t next_piece;
};

/* All with the lock held. */
void pool_add_locked(struct pool *pool, struct work *work);

/* ---- copy_ask.c ---- */

void *ask_place(struct copies *copies, uint64_t id, size_t bytes);
void ask_answered(struct copies *copies, uint64_t id, dvs_err err, bool data);
void ask_end_all_locked(struct copies *copies);

/* ---- copy_serve.c ---- */

void *serve_place(struct copies *copies, const struct frame_header *header, struct cursor body);
void serve_frame(struct copies *copies, const struct frame_header *header, struct cursor body,
		 void *data);
void serve_changed(struct copies *copies);
void serve_end_all(struct copies *copies);

/* All of BYTES, from or to the memory behind FD. FAULT, PEERDEAD, DENIED, NOMEM. */
DVS_MUST_USE dvs_err memory_read(int fd, uint64_t addr, void *into, size_t bytes);
DVS_MUST_USE dvs_err memory_write(int fd, uint64_t addr, const void *from, size_t bytes);

#endif
