/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/vdd/job.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"

uint64_t job_n_places(const struct job *job)
{
	return job->span_bytes / job->bytes;
}

void job_places_start(struct job_places *places, const struct job *job, uint64_t begin_ns)
{
	*places = (struct job_places){
		.job = job,
		.n_most = job->is_once ? job_n_places(job) : 0,
		.end_ns = begin_ns + job->duration_ns,
	};
}

bool job_place(struct job_places *places, uint64_t *random, uint64_t *offset)
{
	const struct job *job = places->job;
	uint64_t place = __atomic_fetch_add(&places->next, 1, __ATOMIC_RELAXED);

	if (places->n_most ? place >= places->n_most : clock_now_ns() >= places->end_ns)
		return false;
	if (job->is_random) {
		*random ^= *random >> 12;
		*random ^= *random << 25;
		*random ^= *random >> 27;
		place = *random * UINT64_C(0x2545f4914f6cdd1d);
	}
	*offset = place % job_n_places(job) * job->bytes;
	return true;
}

void job_stamp(const struct job *job, void *data, uint64_t offset)
{
	for (size_t at = 0; at < job->bytes; at += JOB_STAMP_BYTES) {
		uint64_t stamp = offset + at + 1;

		memcpy((char *)data + at, &stamp, sizeof(stamp));
	}
}

bool job_check(const struct job *job, const void *data, uint64_t offset)
{
	for (size_t at = 0; at < job->bytes; at += JOB_STAMP_BYTES) {
		uint64_t stamp;

		memcpy(&stamp, (const char *)data + at, sizeof(stamp));
		if (stamp != offset + at + 1)
			return false;
	}
	return true;
}

/* ---- threads ---- */

struct crowd {
	const struct job *job;
	const struct job_thread *thread;
	void *context;
	struct job_places places;
	pthread_barrier_t ready; /* and once more when the clock runs */
};

struct member {
	struct crowd *crowd;
	pthread_t id;
	unsigned index;
	uint64_t random;
	struct job_done done;
	dvs_err err;
};

static dvs_err member_request(struct member *member, void *handle, void *room, uint64_t offset)
{
	const struct crowd *crowd = member->crowd;
	const struct job *job = crowd->job;
	uint64_t begin_ns = clock_now_ns();
	const void *data = room;
	dvs_err err;

	if (job->writes) {
		job_stamp(job, room, offset);
		err = crowd->thread->write(handle, offset, room, job->bytes);
	} else {
		err = crowd->thread->read(handle, offset, room, job->bytes, &data);
		if (!err && !job_check(job, data, offset))
			err = DVS_CORRUPT;
	}
	member->done.latency_ns += (double)(clock_now_ns() - begin_ns);
	member->done.n++;
	return err;
}

/* With the request that is not counted. */
static void member_begin(struct member *member, void *room, void **handle)
{
	const struct crowd *crowd = member->crowd;
	uint64_t offset = member->index % job_n_places(crowd->job) * crowd->job->bytes;

	member->err = room ? crowd->thread->open(crowd->context, handle) : DVS_NOMEM;
	if (room)
		memset(room, 0x5a, crowd->job->bytes);
	if (!member->err)
		member->err = member_request(member, *handle, room, offset);
	member->done = (struct job_done){ .n = 0 };
}

static void *member_run(void *argument)
{
	struct member *member = argument;
	struct crowd *crowd = member->crowd;
	AUTO_FREE void *room = aligned_alloc(JOB_STAMP_BYTES, crowd->job->bytes);
	void *handle = NULL;
	uint64_t offset;

	member_begin(member, room, &handle);
	pthread_barrier_wait(&crowd->ready);
	pthread_barrier_wait(&crowd->ready);
	while (!member->err && job_place(&crowd->places, &member->random, &offset))
		member->err = member_request(member, handle, room, offset);
	if (handle)
		crowd->thread->close(handle);
	return NULL;
}

static dvs_err start_all(struct crowd *crowd, struct member *members, struct bench_fault *fault)
{
	for (unsigned i = 0; i < crowd->job->depth; i++) {
		members[i].crowd = crowd;
		members[i].index = i;
		members[i].random = (i + 1) * UINT64_C(0x9e3779b97f4a7c15);
		/* Those that were begun wait at the barrier: they end with the process. */
		if (pthread_create(&members[i].id, NULL, member_run, &members[i]))
			return bench_fail(fault, DVS_NOMEM, "cannot start %u threads",
					  crowd->job->depth);
	}
	return DVS_OK;
}

dvs_err job_run_threads(const struct job *job, const struct job_thread *thread, void *context,
			struct job_done *done, struct bench_fault *fault)
{
	struct member members[JOB_DEPTH_MAX] = { { .err = DVS_OK } };
	struct crowd crowd = {
		.job = job,
		.thread = thread,
		.context = context,
	};
	uint64_t begin_ns;
	dvs_err err;

	pthread_barrier_init(&crowd.ready, NULL, job->depth + 1);
	err = start_all(&crowd, members, fault);
	if (err)
		return err;
	pthread_barrier_wait(&crowd.ready);
	begin_ns = clock_now_ns();
	job_places_start(&crowd.places, job, begin_ns);
	pthread_barrier_wait(&crowd.ready);
	*done = (struct job_done){ .n = 0 };
	for (unsigned i = 0; i < job->depth; i++) {
		(void)pthread_join(members[i].id, NULL);
		done->n += members[i].done.n;
		done->latency_ns += members[i].done.latency_ns;
		if (members[i].err && !err)
			err = bench_fail(fault, members[i].err, "%s: %s", job->target,
					 dvs_strerror(members[i].err));
	}
	done->elapsed_ns = clock_now_ns() - begin_ns;
	pthread_barrier_destroy(&crowd.ready);
	return err;
}
