/* SPDX-License-Identifier: Apache-2.0 */
/* The threads that copy between the memories of processes.
 *
 * Memory is reached through /proc/PID/mem and not by process_vm_writev(): an open descriptor
 * stays with the memory that the process had when it was opened, so that a process which
 * executes a set-uid program in the middle of a copy has only its old memory written. */
#ifndef NODE_COPIER_H
#define NODE_COPIER_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <dvs/error.h>

#include "base/list.h"
#include "node/image.h"

struct copier;

struct copy_side {
	uint32_t pid;
	struct image image; /* that the process must have still */
	uint64_t addr;
};

/* Owned by the caller; while it is queued or runs only STOP may be touched. */
struct copy_job {
	struct list of_queue;
	struct copy_side from;
	struct copy_side to;
	uint64_t bytes;
	_Atomic bool stop;
	dvs_err err; /* when it is done */
};

/* No thread is started before there is work. */
DVS_MUST_USE dvs_err copier_create(struct copier **copier);
/* Readable when jobs are done. */
int copier_fd(const struct copier *copier);
/* FULL: nobody is free, try again when one is done. */
DVS_MUST_USE dvs_err copier_start(struct copier *copier, struct copy_job *job);
/* The next finished job, NULL: none. */
struct copy_job *copier_take_done(struct copier *copier);
/* Jobs that run are stopped; a thread that memory holds up is left behind, with its job. NULL is
 * fine. */
void copier_destroy(struct copier *copier);
/* The memory of SIDE's process, if it still has the image with which it said hello. PEERDEAD, DENIED. */
dvs_err copy_memory_open(const struct copy_side *side, int flags, int *fd);
/* Do JOB here and now; BUFFER has COPY_CHUNK_BYTES. */
dvs_err copy_run(struct copy_job *job, void *buffer);

#endif
