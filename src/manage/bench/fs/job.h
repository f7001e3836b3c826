/* SPDX-License-Identifier: Apache-2.0 */
/* What a client of `dvs bench fs` does, on its node: `dvs bench work files ...`. A *way* is how a file system is reached: through a directory, or by M3-IPC. A *pattern* is what is done, in passes: what
 * a pass needs is prepared and cleared again while the clock stands; then items are done until the pass or the time is over. All that is read is checked. */
#ifndef DVS_MANAGE_BENCH_FS_JOB_H
#define DVS_MANAGE_BENCH_FS_JOB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include "manage/bench/internal.h"

enum {
	FILE_DEPTH_MAX = 16,
	FILE_STAMP_BYTES = 4096, /* sizes are multiples of it */
	FILE_NAME_BYTES = 48,
	FILE_PASS = 1000, /* names in one pass */
};

#define FILE_SPAN_BYTES (UINT64_C(32) << 20) /* of the file of each thread */
#define FILE_FILES_MAX UINT64_C(10000000)

/* ME is a thread's own. Names are those of one directory. */
struct file_way {
	const char *name;
	/* The directory DIR of TARGET, which is made if it is not there. */
	dvs_err (*begin)(const char *target, const char *dir, void **shared,
			 struct bench_fault *fault);
	void (*end)(void *shared);
	dvs_err (*enter)(void *shared, void **me);
	void (*leave)(void *me);
	dvs_err (*create)(void *me, const char *name); /* a new, empty file */
	/* FLAGS as open(2)'s */
	dvs_err (*open)(void *me, const char *name, int flags, uint32_t *handle);
	dvs_err (*close)(void *me, uint32_t handle);
	/* *DATA is where they are then: in ROOM, or where they came. */
	dvs_err (*read)(void *me, uint32_t handle, uint64_t offset, void *room, size_t bytes,
			const void **data);
	dvs_err (*write)(void *me, uint32_t handle, uint64_t offset, const void *data,
			 size_t bytes);
	dvs_err (*fsync)(void *me, uint32_t handle);
	dvs_err (*drop)(void *me, uint32_t handle); /* what this node keeps of its contents */
	dvs_err (*stat)(void *me, const char *name);
	dvs_err (*unlink)(void *me, const char *name);
	dvs_err (*rename)(void *me, const char *from, const char *to);
	dvs_err (*list)(void *me, uint64_t *n); /* how many names there are, '.' and '..' too */
};

extern const struct file_way file_way_dir;
extern const struct file_way file_way_ipc;

/* Somebody in the directory, by some way. */
struct file_visit {
	const struct file_way *way;
	void *me;
};

struct file_pattern;

struct file_job {
	const struct file_pattern *pattern;
	const struct file_way *way;
	const char *target;
	const struct file_way
		*maker; /* makes what is to be new to the other one; may be the same */
	const char *maker_target;
	size_t bytes;
	uint64_t files; /* that are in the directory already */
	unsigned depth;
	uint64_t duration_ns;
};

struct file_member {
	const struct file_job *job;
	struct file_visit self;
	struct file_visit maker;
	unsigned index;
	uint64_t round; /* passes before this one */
	uint64_t n_round;
	uint32_t handle;
	char *room;
	/* in all: */
	uint64_t n;
	uint64_t busy_ns;
};

struct file_pattern {
	const char *name;
	bool needs_files; /* a directory of job.files */
	/* Any but item and n_items may be NULL. */
	dvs_err (*begin)(struct file_member *member);
	dvs_err (*prepare)(struct file_member *member);
	dvs_err (*item)(struct file_member *member, uint64_t i);
	uint64_t (*n_items)(const struct file_member *member);
	dvs_err (*clear)(struct file_member *member); /* after n_round items */
	dvs_err (*end)(struct file_member *member);
};

/* NULL: there is none of that name. */
const struct file_pattern *file_pattern_find(const char *name);
/* Make sure that the directory of VISIT has as many files as JOB says. */
DVS_MUST_USE dvs_err file_fill(const struct file_job *job, const struct file_visit *visit);

struct file_done {
	double per_s;
	double latency_ns;
};

DVS_MUST_USE dvs_err file_job_run(const struct file_job *job, struct file_done *done,
				  struct bench_fault *fault);

#endif
