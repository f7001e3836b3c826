/* SPDX-License-Identifier: Apache-2.0 */
/* What blocks is done by a few threads; what has ended comes back to the owner's thread, as many as there are with one wake-up. */
#ifndef SERVERS_VDD_CREW_H
#define SERVERS_VDD_CREW_H

#include <stdbool.h>

#include "base/err.h"
#include "base/list.h"
#include "base/post.h"

/* ---- coming back ---- */

struct returns;

/* NOMEM. */
DVS_MUST_USE dvs_err returns_open(const struct poster *poster, struct returns **returns);
/* Nobody puts anything any more. What has not run is dropped; a wake-up that is under way finds nothing to do. NULL is fine. */
void returns_close(struct returns *returns);
/* From any thread: all POSTS (linked by `queued`) run on the owner's thread. */
void returns_put_all(struct returns *returns, struct list *posts);
void returns_put(struct returns *returns, struct post *post);

/* ---- threads ---- */

struct job {
	struct post post;	       /* run: on the owner's thread, afterwards */
	void (*work)(struct job *job); /* on one of the crew */
};

struct crew;

/* At most THREADS of them, begun as they are needed. NOMEM. */
DVS_MUST_USE dvs_err crew_open(unsigned int threads, struct returns *returns, struct crew **crew);
/* Waits for what is being worked on; the rest is dropped. NULL is fine. */
void crew_close(struct crew *crew);
void crew_put(struct crew *crew, struct job *job);

/* ---- putting a file on stable storage, once for all who wait ---- */

struct sync_wait {
	struct list queued;
	void (*done)(struct sync_wait *wait, dvs_err err);
};

struct syncer {
	int fd;
	struct crew *crew;
	struct list waiting;
	struct list syncing;
	struct job job;
	dvs_err result;
	dvs_err broken;
};

/* The descriptor stays the caller's. */
void syncer_init(struct syncer *syncer, int fd, struct crew *crew);
/* `done` when all that was written before this call is on stable storage. After a failure nobody knows what the kernel dropped, so every
 * later call fails too. */
void syncer_wait(struct syncer *syncer, struct sync_wait *wait);

#endif
