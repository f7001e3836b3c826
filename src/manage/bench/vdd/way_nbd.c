/* SPDX-License-Identifier: Apache-2.0 */
/* A disk by NBD: one connection with so many requests under way, by libnbd, which fio uses, too. */
#include <libnbd.h>
#include <stdlib.h>
#include <time.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "manage/bench/vdd/job.h"

enum { CONNECT_MS = 10000, AGAIN_MS = 10 };

struct run;

struct slot {
	struct run *run;
	void *room;
	uint64_t offset;
	uint64_t begin_ns;
};

struct run {
	const struct job *job;
	struct nbd_handle *nbd;
	struct job_places places;
	struct job_done *done;
	struct slot slots[JOB_DEPTH_MAX];
	uint64_t random;
	unsigned under_way;
	bool failed;
	bool is_wrong;
};

/* Its server may just have been started. */
static dvs_err connect_to(const struct job *job, struct nbd_handle **out, struct bench_fault *fault)
{
	uint64_t deadline_ns = clock_now_ns() + CONNECT_MS * CLOCK_NS_PER_MS;
	const struct timespec pause = clock_timespec(AGAIN_MS * CLOCK_NS_PER_MS);

	for (;;) {
		struct nbd_handle *nbd = nbd_create();

		if (!nbd)
			return bench_fail(fault, DVS_NOMEM, "libnbd: %s", nbd_get_error());
		/* It would read and throw away what may be large. */
		(void)nbd_set_pread_initialize(nbd, false);
		if (nbd_connect_uri(nbd, job->target) == 0) {
			*out = nbd;
			return DVS_OK;
		}
		nbd_close(nbd);
		if (clock_is_past(deadline_ns))
			return bench_fail(fault, DVS_IO, "%s: %s", job->target, nbd_get_error());
		nanosleep(&pause, NULL);
	}
}

/* Called by libnbd, in nbd_poll(). */
static int finished(void *context, int *error)
{
	struct slot *slot = context;
	struct run *run = slot->run;

	run->under_way--;
	run->done->n++;
	run->done->latency_ns += (double)(clock_now_ns() - slot->begin_ns);
	if (*error)
		run->failed = true;
	else if (!run->job->writes && !job_check(run->job, slot->room, slot->offset))
		run->is_wrong = true;
	slot->begin_ns = 0; /* free */
	return 1;
}

/* False: there is nothing more to ask for, or it cannot be. */
static bool ask(struct run *run, struct slot *slot)
{
	nbd_completion_callback callback = { .callback = finished, .user_data = slot };
	int64_t cookie;

	if (!job_place(&run->places, &run->random, &slot->offset))
		return false;
	slot->begin_ns = clock_now_ns();
	run->under_way++;
	if (run->job->writes) {
		job_stamp(run->job, slot->room, slot->offset);
		cookie = nbd_aio_pwrite(run->nbd, slot->room, run->job->bytes, slot->offset,
					callback, 0);
	} else {
		cookie = nbd_aio_pread(run->nbd, slot->room, run->job->bytes, slot->offset,
				       callback, 0);
	}
	if (cookie >= 0)
		return true;
	run->failed = true;
	return false;
}

static void run_all(struct run *run)
{
	bool more = true;

	while (!run->failed && !run->is_wrong && (more || run->under_way > 0)) {
		for (unsigned i = 0; more && i < run->job->depth; i++)
			if (!run->slots[i].begin_ns)
				more = ask(run, &run->slots[i]);
		if (!run->failed && run->under_way > 0 && nbd_poll(run->nbd, -1) < 0)
			run->failed = true;
	}
}

static void make_rooms(struct run *run, void *all)
{
	for (unsigned i = 0; i < run->job->depth; i++) {
		run->slots[i].run = run;
		run->slots[i].room = (char *)all + i * run->job->bytes;
	}
}

static dvs_err run_nbd(const struct job *job, struct job_done *done, struct bench_fault *fault)
{
	AUTO_FREE void *all = aligned_alloc(JOB_STAMP_BYTES, job->depth * job->bytes);
	AUTO_FREE struct run *run = calloc(1, sizeof(*run));
	uint64_t begin_ns;
	dvs_err err;

	if (!run || !all)
		return bench_fail(fault, DVS_NOMEM, "out of memory");
	*run = (struct run){ .job = job, .done = done, .random = 1 };
	make_rooms(run, all);
	err = connect_to(job, &run->nbd, fault);
	if (err)
		return err;
	/* What is not counted: each room once. */
	run->places = (struct job_places){ .job = job, .n_most = job->depth };
	run_all(run);
	*done = (struct job_done){ .n = 0 };
	begin_ns = clock_now_ns();
	job_places_start(&run->places, job, begin_ns);
	run_all(run);
	done->elapsed_ns = clock_now_ns() - begin_ns;
	if (run->is_wrong)
		err = bench_fail(fault, DVS_CORRUPT, "%s: %s", job->target,
				 dvs_strerror(DVS_CORRUPT));
	else if (run->failed)
		err = bench_fail(fault, DVS_IO, "%s: %s", job->target,
				 nbd_get_error() ? nbd_get_error() : "a request failed");
	nbd_close(run->nbd);
	return err;
}

const struct job_way job_way_nbd = { "nbd", run_nbd };
