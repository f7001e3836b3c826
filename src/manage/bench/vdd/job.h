/* SPDX-License-Identifier: Apache-2.0 */
/* What a client of `dvs bench vdd` does to a disk, on its node: `dvs bench work disk ...`. The same for all systems: so many requests under way, one after the
 * other or at random places, until the time is over. What is read is checked: each 4 KiB begin with their own place. Before the clock runs there is a round that is not counted: connections,
 * channels and memory are there then, with all systems. */
#ifndef DVS_MANAGE_BENCH_VDD_JOB_H
#define DVS_MANAGE_BENCH_VDD_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include "manage/bench/internal.h"

enum {
	JOB_DEPTH_MAX = 64,
	JOB_STAMP_BYTES = 4096, /* sizes and places are multiples of it */
};

struct job {
	const char *target; /* DC/VOLUME, an NBD URI, or a file */
	bool writes;
	bool is_random;
	bool is_once; /* through all of the span, and no further */
	size_t bytes;
	unsigned depth;
	uint64_t span_bytes; /* so much of the disk, from its beginning */
	uint64_t duration_ns;
};

struct job_done {
	uint64_t n;
	double latency_ns; /* of all together */
	uint64_t elapsed_ns;
};

struct job_way {
	const char *name;
	dvs_err (*run)(const struct job *job, struct job_done *done, struct bench_fault *fault);
};

/* Where the next request goes: shared by all that make some. */
struct job_places {
	const struct job *job;
	uint64_t next;	 /* atomic */
	uint64_t n_most; /* so many in all; 0: until END_NS */
	uint64_t end_ns;
};

uint64_t job_n_places(const struct job *job);
/* From now on, as long as JOB says. */
void job_places_start(struct job_places *places, const struct job *job, uint64_t begin_ns);
/* False: it is over. RANDOM is the caller's own, and changes. */
bool job_place(struct job_places *places, uint64_t *random, uint64_t *offset);
void job_stamp(const struct job *job, void *data, uint64_t offset);
bool job_check(const struct job *job, const void *data, uint64_t offset);

/* For ways that call and wait: a thread for each request under way. */
struct job_thread {
	dvs_err (*open)(void *context, void **handle); /* for the calling thread */
	/* *DATA is where they are then: in ROOM, or where they came. */
	dvs_err (*read)(void *handle, uint64_t offset, void *room, size_t bytes, const void **data);
	dvs_err (*write)(void *handle, uint64_t offset, const void *data, size_t bytes);
	void (*close)(void *handle);
};

DVS_MUST_USE dvs_err job_run_threads(const struct job *job, const struct job_thread *thread,
				     void *context, struct job_done *done,
				     struct bench_fault *fault);

extern const struct job_way job_way_volume;
extern const struct job_way job_way_file;
extern const struct job_way job_way_nbd;

#endif
