/* SPDX-License-Identifier: Apache-2.0 */
#include "servers/vdd/job.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/compiler.h"

/* So many are kept for those to come. */
#define FREE_JOBS_MAX 64u

/* An entry of another replica's, as it is carried out here. */
struct behind {
	struct unit *unit;
	struct replica_entry *entry;
	uint64_t life; /* of the replica whose entry it is */
	struct change change;
};

static struct job *job_take(struct unit *unit)
{
	struct list *link = list_take_head(&unit->free_jobs);
	struct job *job;

	if (!link)
		return malloc(sizeof(*job));
	unit->n_free_jobs--;
	return CONTAINER_OF(link, struct job, of_unit);
}

struct job *job_begin(struct unit *unit, struct skeleton_request *request,
		      void (*answer)(struct job *job))
{
	struct job *job = job_take(unit);

	if (!job) {
		if (request)
			skeleton_answer(request, DVS_NOMEM, NULL, 0);
		return NULL;
	}
	job->unit = unit;
	job->request = request;
	job->answer = answer;
	job->number = ++unit->n_taken;
	job->began_ns = clock_now_ns();
	job->op = request ? request->op : 0;
	job->pending = 1;
	job->err = DVS_OK;
	job->is_ordered = false;
	job->has_change = false;
	job->batch = NULL;
	job->data = job->also = NULL;
	job->entry_data = NULL;
	job->entry.client = request ? request->source : dvs_ep_of(0);
	job->entry.call = request ? request->call : 0;
	job->entry.head_bytes = 0;
	job->entry.data = NULL;
	job->entry.bytes = 0;
	list_add_tail(&unit->jobs, &job->of_unit);
	unit->n_jobs++;
	return job;
}

static void job_free(struct job *job)
{
	struct unit *unit = job->unit;

	list_remove(&job->of_unit);
	unit->n_jobs--;
	free(job->batch);
	free(job->data);
	free(job->entry_data);
	free(job->also);
	if (unit->n_free_jobs == FREE_JOBS_MAX) {
		free(job);
		return;
	}
	list_add_head(&unit->free_jobs, &job->of_unit);
	unit->n_free_jobs++;
}

void job_note_latency(const struct job *job)
{
	struct histogram *latency = job->unit->figures.latency;
	uint64_t ns = clock_now_ns() - job->began_ns;

	if (job->op == VDD_READ)
		histogram_add(&latency[LATENCY_READ], ns, 1);
	else if (job->op == VDD_WRITE)
		histogram_add(&latency[LATENCY_WRITE], ns, 1);
	else if (job->op == VDD_FLUSH)
		histogram_add(&latency[LATENCY_FLUSH], ns, 1);
	else if (job->batch)
		batch_note_latency(job->unit, job->batch, ns);
}

static void job_over(struct job *job)
{
	if (job->request) {
		job_note_latency(job);
		job->answer(job);
	}
	/* What waited for this one begins in here. */
	if (job->has_change)
		change_end(&job->change);
	job_free(job);
}

void job_less(struct job *job, dvs_err err)
{
	if (err && !job->err)
		job->err = err;
	if (--job->pending == 0)
		job_over(job);
}

void jobs_drop(struct unit *unit)
{
	LIST_FOREACH(link, &unit->jobs) {
		struct job *job = CONTAINER_OF(link, struct job, of_unit);

		if (job->request)
			skeleton_drop(TAKE_PTR(job->request));
	}
}

void jobs_free(struct unit *unit)
{
	struct list *link;

	while ((link = list_take_head(&unit->free_jobs)))
		free(CONTAINER_OF(link, struct job, of_unit));
	unit->n_free_jobs = 0;
}

/* ---- entries ---- */

/* Whether ERR is not what the entry gave, but that this replica is not the primary any more. */
static bool is_deposed(const struct replica_entry *entry, dvs_err err)
{
	if (err == DVS_NOQUORUM)
		return true;
	return err == DVS_BADSTATE && !(entry->is_applied && entry->result == DVS_BADSTATE);
}

static void entry_done(struct replica_entry *entry, dvs_err err)
{
	struct job *job = CONTAINER_OF(entry, struct job, entry);

	job->is_ordered = false;
	/* First of all: reads that wait for what is let go now must not be answered with it. */
	if (is_deposed(entry, err))
		jobs_drop(job->unit);
	job_less(job, err);
}

void job_submit(struct job *job)
{
	job->pending++;
	job->is_ordered = true;
	job->entry.done = entry_done;
	replica_submit(job->unit->replica, &job->entry);
}

bool job_takes_over(struct unit *unit, struct skeleton_request *request)
{
	struct replica_entry *entry =
		replica_under_way(unit->replica, request->source, request->call);
	struct job *job;

	if (!entry)
		return false;
	job = CONTAINER_OF(entry, struct job, entry);
	/* The same call with other contents or less room is none that an honest client makes. */
	if (request->op != job->op ||
	    (job->request && request->reply_cap < job->request->reply_cap)) {
		skeleton_drop(request);
		return true;
	}
	if (job->request)
		skeleton_drop(job->request);
	job->request = request;
	return true;
}

bool job_was_done(const struct unit *unit, const struct skeleton_request *request, dvs_err *err)
{
	return request->resent &&
	       replica_was_done(unit->replica, request->source, request->call, err);
}

static void own_finished(struct change *change, dvs_err err)
{
	struct job *job = CONTAINER_OF(change, struct job, change);

	/* Of an entry that is over for the replicas nothing is wanted any more. */
	if (job->is_ordered)
		replica_applied(job->unit->replica, &job->entry, err);
	job_less(job, DVS_OK);
}

static void own_apply(struct job *job)
{
	job->pending++;
	job->has_change = true;
	job->change.disks = job->unit->disks;
	job->change.flags = job->unit->is_alone ? 0 : DISK_HOLD;
	job->change.finished = own_finished;
	change_begin(&job->change, &job->entry);
}

static void behind_finished(struct change *change, dvs_err err)
{
	struct behind *behind = CONTAINER_OF(change, struct behind, change);

	if (behind->life == behind->unit->n_lives)
		replica_applied(behind->unit->replica, behind->entry, err);
	change_end(change);
	behind->unit->n_behind--;
	free(behind);
}

void job_apply(void *context, struct replica_entry *entry)
{
	struct unit *unit = context;
	struct behind *behind;

	if (entry->done == entry_done) {
		own_apply(CONTAINER_OF(entry, struct job, entry));
		return;
	}
	behind = malloc(sizeof(*behind));
	if (!behind) {
		replica_applied(unit->replica, entry, DVS_NOMEM);
		return;
	}
	unit->n_behind++;
	behind->unit = unit;
	behind->entry = entry;
	behind->life = unit->n_lives;
	behind->change.disks = unit->disks;
	behind->change.flags = 0;
	behind->change.finished = behind_finished;
	change_begin(&behind->change, entry);
}
