/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/fs/job.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

struct crowd {
	const struct file_job *job;
	void *self;
	void *maker;
	pthread_barrier_t ready; /* and once more when the clock runs */
	uint64_t end_ns;
};

struct worker {
	struct crowd *crowd;
	pthread_t id;
	struct file_member member;
	dvs_err err;
};

static dvs_err step(dvs_err (*what)(struct file_member *member), struct file_member *member)
{
	return what ? what(member) : DVS_OK;
}

static dvs_err run_pass(struct file_member *member, uint64_t end_ns)
{
	const struct file_pattern *pattern = member->job->pattern;
	uint64_t n = pattern->n_items(member);
	uint64_t begin_ns = clock_now_ns();
	uint64_t now_ns = begin_ns;
	dvs_err err = DVS_OK;

	member->n_round = 0;
	while (member->n_round < n && now_ns < end_ns && !err) {
		err = pattern->item(member, member->n_round);
		member->n_round++;
		now_ns = clock_now_ns();
	}
	member->busy_ns += now_ns - begin_ns;
	member->n += member->n_round;
	return err;
}

static dvs_err run_passes(struct file_member *member, uint64_t end_ns)
{
	const struct file_pattern *pattern = member->job->pattern;
	dvs_err err = DVS_OK;

	/* What prepares takes longer than what is measured, in some: each pass has its time, and at least one is done. */
	do {
		uint64_t left_ns = member->job->duration_ns > member->busy_ns ?
					   member->job->duration_ns - member->busy_ns :
					   1;

		err = step(pattern->prepare, member);
		if (!err)
			err = run_pass(member, clock_now_ns() + left_ns);
		if (!err)
			err = step(pattern->clear, member);
		member->round++;
	} while (!err && member->busy_ns < member->job->duration_ns && !clock_is_past(end_ns));
	return err;
}

static dvs_err enter(struct worker *worker)
{
	struct file_member *member = &worker->member;
	const struct crowd *crowd = worker->crowd;
	dvs_err err;

	member->self.way = member->job->way;
	member->maker.way = member->job->maker;
	member->room = aligned_alloc(FILE_STAMP_BYTES, BENCH_PAYLOAD_MAX_BYTES);
	if (!member->room)
		return DVS_NOMEM;
	memset(member->room, 0x5a, BENCH_PAYLOAD_MAX_BYTES);
	err = member->self.way->enter(crowd->self, &member->self.me);
	if (!err)
		err = member->maker.way->enter(crowd->maker, &member->maker.me);
	if (!err && member->index == 0 && member->job->pattern->needs_files)
		err = file_fill(member->job, &member->maker);
	return err;
}

static void leave(struct file_member *member)
{
	if (member->maker.me)
		member->maker.way->leave(member->maker.me);
	if (member->self.me)
		member->self.way->leave(member->self.me);
	free(member->room);
}

static void *worker_run(void *argument)
{
	struct worker *worker = argument;
	struct crowd *crowd = worker->crowd;
	const struct file_pattern *pattern = crowd->job->pattern;

	worker->err = enter(worker);
	if (!worker->err)
		worker->err = step(pattern->begin, &worker->member);
	pthread_barrier_wait(&crowd->ready);
	pthread_barrier_wait(&crowd->ready);
	if (!worker->err)
		worker->err = run_passes(&worker->member, crowd->end_ns);
	if (!worker->err)
		worker->err = step(pattern->end, &worker->member);
	leave(&worker->member);
	return NULL;
}

static void add_up(const struct worker *workers, unsigned n, struct file_done *done)
{
	*done = (struct file_done){ .per_s = 0 };
	for (unsigned i = 0; i < n; i++) {
		const struct file_member *member = &workers[i].member;

		if (member->n == 0 || member->busy_ns == 0)
			continue;
		done->per_s += (double)member->n * 1e9 / (double)member->busy_ns;
		done->latency_ns += (double)member->busy_ns / (double)member->n / n;
	}
}

/* Preparations get as much time again, ten times. */
#define SPANS 10u

static dvs_err run_crowd(struct crowd *crowd, struct worker *workers, struct bench_fault *fault)
{
	const struct file_job *job = crowd->job;
	dvs_err err = DVS_OK;

	pthread_barrier_init(&crowd->ready, NULL, job->depth + 1);
	for (unsigned i = 0; i < job->depth; i++) {
		workers[i].crowd = crowd;
		workers[i].member.job = job;
		workers[i].member.index = i;
		/* Those that were begun wait at the barrier: they end with the process. */
		if (pthread_create(&workers[i].id, NULL, worker_run, &workers[i]))
			return bench_fail(fault, DVS_NOMEM, "cannot start %u threads", job->depth);
	}
	pthread_barrier_wait(&crowd->ready);
	crowd->end_ns = clock_now_ns() + SPANS * job->duration_ns;
	pthread_barrier_wait(&crowd->ready);
	for (unsigned i = 0; i < job->depth; i++) {
		(void)pthread_join(workers[i].id, NULL);
		if (workers[i].err && !err)
			err = bench_fail(fault, workers[i].err, "%s: %s: %s", job->target,
					 job->pattern->name, dvs_strerror(workers[i].err));
	}
	pthread_barrier_destroy(&crowd->ready);
	return err;
}

dvs_err file_job_run(const struct file_job *job, struct file_done *done, struct bench_fault *fault)
{
	AUTO_FREE struct worker *workers = calloc(FILE_DEPTH_MAX, sizeof(*workers));
	struct crowd crowd = { .job = job };
	char dir[FILE_NAME_BYTES] = "work";
	dvs_err err;

	if (!workers)
		return bench_fail(fault, DVS_NOMEM, "out of memory");
	/* What was put there stays for the next sample. */
	if (job->pattern->needs_files)
		snprintf(dir, sizeof(dir), "files-%llu", (unsigned long long)job->files);
	err = job->way->begin(job->target, dir, &crowd.self, fault);
	if (err)
		return err;
	err = job->maker->begin(job->maker_target, dir, &crowd.maker, fault);
	if (!err) {
		err = run_crowd(&crowd, workers, fault);
		job->maker->end(crowd.maker);
	}
	job->way->end(crowd.self);
	if (!err)
		add_up(workers, job->depth, done);
	return err;
}
