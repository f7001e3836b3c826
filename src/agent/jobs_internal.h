/* SPDX-License-Identifier: Apache-2.0 */
/* A job, for its thread. */
#ifndef AGENT_JOBS_INTERNAL_H
#define AGENT_JOBS_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "agent/jobs.h"
#include "container/image.h"

/* As in the protocol. */
enum job_state { JOB_RUNS = 1, JOB_DONE = 2, JOB_FAILED = 3 };

struct job {
	/* the loop's */
	struct list of_jobs;
	struct list askers;
	struct list joiners;
	struct loop_timer timer; /* after its end: until it is forgotten */
	enum job_state state;
	dvs_err err;
	char text[256];
	/* fixed */
	struct agent *agent;
	uint64_t id;
	bool is_fetch;
	uint32_t from; /* a fetch's */
	char name[IMAGE_NAME_MAX + 1];
	char path[4096];
	char reference[IMAGE_NAME_MAX + 1];
	/* the thread's, until end_post */
	dvs_err result;
	char why[DESCRIPTION_TEXT_MAX];
	struct image image;
	struct loop_post tell_post;
	struct loop_post end_post;
	/* both */
	atomic_bool is_stopped;
	pthread_mutex_t lock;
	/* under the lock */
	uint64_t done_bytes, total_bytes;
	uint64_t tell_ns; /* not before then again */
	bool is_telling;
	char phase[32];
};

/* The image_progress of a job. */
bool job_progress(void *context, const char *phase, uint64_t done_bytes, uint64_t total_bytes);

#endif
