/* SPDX-License-Identifier: Apache-2.0 */
/* Each job is a thread, which tells how far it is by posts to the loop: not for each piece, but often enough for a bar. */
#include "agent/jobs.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "agent/fetch.h"
#include "agent/jobs_internal.h"
#include "agent/reconcile.h"
#include "base/clock.h"

#define JOBS_MAX 32u
#define JOB_KEPT_NS (60 * CLOCK_NS_PER_S)
#define JOB_ANSWER_NS CLOCK_NS_PER_S
#define JOB_TELL_NS (100 * CLOCK_NS_PER_MS)

struct jobs {
	struct agent *agent;
	struct list all;
	unsigned int n;
	uint64_t last_id;
};

/* Somebody asks how far a job is, and is answered when that changes. */
struct asker {
	struct list of_job;
	struct agent *agent;
	struct request *request;
	struct job *job;
	uint64_t known;
	struct loop_timer timer;
};

/* Somebody in this agent waits for its end. */
struct joiner {
	struct list of_job;
	job_ended ended;
	void *context;
};

dvs_err jobs_open(struct agent *agent, struct jobs **out)
{
	struct jobs *jobs = calloc(1, sizeof(*jobs));

	if (!jobs)
		return DVS_NOMEM;
	jobs->agent = agent;
	list_init(&jobs->all);
	if (getrandom(&jobs->last_id, sizeof(jobs->last_id), 0) < 0)
		jobs->last_id = agent->started_ns;
	*out = jobs;
	return DVS_OK;
}

static struct job *job_find(const struct jobs *jobs, uint64_t id)
{
	LIST_FOREACH(link, &jobs->all) {
		struct job *job = CONTAINER_OF(link, struct job, of_jobs);

		if (job->id == id)
			return job;
	}
	return NULL;
}

/* ---- askers ---- */

static void asker_free(struct asker *asker)
{
	loop_timer_cancel(asker->agent->loop, &asker->timer);
	list_remove(&asker->of_job);
	free(asker);
}

static void asker_answer(struct asker *asker)
{
	struct job *job = asker->job;
	struct request *request = asker->request;
	struct agent_job_rep rep = { .state = job->state, .err = (uint32_t)job->err };

	pthread_mutex_lock(&job->lock);
	rep.done_bytes = job->done_bytes;
	rep.total_bytes = job->total_bytes;
	memcpy(rep.phase, job->phase, sizeof(rep.phase));
	pthread_mutex_unlock(&job->lock);
	memcpy(rep.text, job->text, sizeof(rep.text));
	asker_free(asker);
	REQUEST_ANSWER(request, job, &rep);
}

static void asker_gone(struct request *request)
{
	asker_free(request->keeper);
}

static void asker_fired(struct loop_timer *timer)
{
	asker_answer(CONTAINER_OF(timer, struct asker, timer));
}

static bool asker_has_news(const struct asker *asker)
{
	struct job *job = asker->job;
	bool has_news;

	pthread_mutex_lock(&job->lock);
	has_news = job->state != JOB_RUNS || job->done_bytes != asker->known;
	pthread_mutex_unlock(&job->lock);
	return has_news;
}

static void answer_askers(struct job *job)
{
	LIST_FOREACH_SAFE(link, &job->askers) {
		struct asker *asker = CONTAINER_OF(link, struct asker, of_job);

		if (asker_has_news(asker))
			asker_answer(asker);
	}
}

void op_job(struct agent *agent, struct request *request)
{
	struct agent_job_req req;
	struct asker *asker;
	struct job *job;

	if (!REQUEST_DECODE(request, job, &req))
		return;
	job = job_find(agent->jobs, req.job);
	asker = job ? calloc(1, sizeof(*asker)) : NULL;
	if (!asker) {
		request_fail(request, DVS_NOTFOUND,
			     "there is no such job: it has ended, or the"
			     " agent was started anew");
		return;
	}
	*asker = (struct asker){
		.agent = agent, .request = request, .job = job, .known = req.known
	};
	request->gone = asker_gone;
	request->keeper = asker;
	list_add_tail(&job->askers, &asker->of_job);
	if (asker_has_news(asker))
		asker_answer(asker);
	else
		loop_timer_set(agent->loop, &asker->timer, clock_deadline_ns(JOB_ANSWER_NS),
			       asker_fired);
}

/* ---- the life of a job ---- */

static void job_forget(struct loop_timer *timer)
{
	struct job *job = CONTAINER_OF(timer, struct job, timer);

	while (!list_is_empty(&job->askers))
		asker_answer(CONTAINER_OF(job->askers.next, struct asker, of_job));
	list_remove(&job->of_jobs);
	job->agent->jobs->n--;
	pthread_mutex_destroy(&job->lock);
	free(job);
}

static void told(struct loop_post *post)
{
	struct job *job = CONTAINER_OF(post, struct job, tell_post);

	pthread_mutex_lock(&job->lock);
	job->is_telling = false;
	pthread_mutex_unlock(&job->lock);
	answer_askers(job);
}

bool job_progress(void *context, const char *phase, uint64_t done_bytes, uint64_t total_bytes)
{
	struct job *job = context;
	bool tells;

	pthread_mutex_lock(&job->lock);
	job->done_bytes = done_bytes;
	job->total_bytes = total_bytes;
	(void)snprintf(job->phase, sizeof(job->phase), "%s", phase ? phase : "");
	tells = !job->is_telling && clock_is_past(job->tell_ns);
	if (tells) {
		job->is_telling = true;
		job->tell_ns = clock_deadline_ns(JOB_TELL_NS);
	}
	pthread_mutex_unlock(&job->lock);
	if (tells)
		loop_post(job->agent->loop, &job->tell_post, told);
	return !atomic_load(&job->is_stopped);
}

/* Posted after all that it told, so nothing of it comes later. */
static void job_over(struct loop_post *post)
{
	struct job *job = CONTAINER_OF(post, struct job, end_post);

	job->err = job->result;
	if (job->err == DVS_WOKEN)
		(void)snprintf(job->text, sizeof(job->text), "it was stopped");
	else if (job->err)
		(void)snprintf(job->text, sizeof(job->text), "%.255s",
			       job->why[0] ? job->why : dvs_strerror(job->err));
	else
		(void)snprintf(job->text, sizeof(job->text), "%s", job->image.digest);
	job->state = job->err ? JOB_FAILED : JOB_DONE;
	if (job->err)
		log_warning(&job->agent->log, "a job has failed", LOG_STR("image", job->name),
			    LOG_STR("why", job->text));
	else
		log_info(&job->agent->log, "image is here", LOG_STR("image", job->name),
			 LOG_STR("digest", job->text));
	answer_askers(job);
	while (!list_is_empty(&job->joiners)) {
		struct joiner *joiner =
			CONTAINER_OF(list_take_head(&job->joiners), struct joiner, of_job);

		joiner->ended(joiner->context, job->err, job->text);
		free(joiner);
	}
	loop_timer_set(job->agent->loop, &job->timer, clock_deadline_ns(JOB_KEPT_NS), job_forget);
}

static void *job_run(void *argument)
{
	struct job *job = argument;

	if (job->is_fetch)
		job->result = fetch_image(job);
	else
		job->result = image_import(job->agent->options.lib_dir, job->name, job->path,
					   job->reference, job_progress, job, &job->image,
					   job->why);
	loop_post(job->agent->loop, &job->end_post, job_over);
	return NULL;
}

static struct job *job_create(struct agent *agent, const char *name)
{
	struct jobs *jobs = agent->jobs;
	struct job *job = jobs->n < JOBS_MAX ? calloc(1, sizeof(*job)) : NULL;

	if (!job)
		return NULL;
	job->agent = agent;
	job->id = ++jobs->last_id;
	job->state = JOB_RUNS;
	(void)snprintf(job->name, sizeof(job->name), "%s", name);
	pthread_mutex_init(&job->lock, NULL);
	list_init(&job->askers);
	list_init(&job->joiners);
	list_add_tail(&jobs->all, &job->of_jobs);
	jobs->n++;
	return job;
}

static dvs_err job_start(struct job *job)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, job_run, job)) {
		job_forget(&job->timer);
		return DVS_NOMEM;
	}
	pthread_detach(thread);
	return DVS_OK;
}

dvs_err jobs_fetch(struct jobs *jobs, const char *name, uint32_t from, job_ended ended,
		   void *context, uint64_t *id)
{
	struct joiner *joiner = calloc(1, sizeof(*joiner));
	struct job *job = NULL;
	dvs_err err;

	if (!joiner)
		return DVS_NOMEM;
	*joiner = (struct joiner){ .ended = ended, .context = context };
	LIST_FOREACH(link, &jobs->all) {
		struct job *other = CONTAINER_OF(link, struct job, of_jobs);

		if (other->is_fetch && other->state == JOB_RUNS && strcmp(other->name, name) == 0)
			job = other;
	}
	if (!job) {
		job = job_create(jobs->agent, name);
		if (!job) {
			free(joiner);
			return DVS_FULL;
		}
		job->is_fetch = true;
		job->from = from;
		err = job_start(job);
		if (err) {
			free(joiner);
			return err;
		}
	}
	list_add_tail(&job->joiners, &joiner->of_job);
	*id = job->id;
	return DVS_OK;
}

/* ---- operations ---- */

static bool name_is_ok(struct request *request, const char *name)
{
	if (image_name_ok(name))
		return true;
	request_fail(request, DVS_BADARG,
		     "'%s' is no name of an image: it takes letters, digits and -_./:", name);
	return false;
}

void op_image_import(struct agent *agent, struct request *request)
{
	struct agent_image_import_req req;
	struct job *job;
	uint64_t id;

	if (!REQUEST_DECODE(request, image_import, &req) || !name_is_ok(request, req.name))
		return;
	if (req.path[0] != '/') {
		request_fail(request, DVS_BADARG, "'%s' is no absolute path", req.path);
		return;
	}
	job = job_create(agent, req.name);
	if (!job) {
		request_fail(request, DVS_FULL,
			     "there are too many jobs on this node: wait until"
			     " some have ended");
		return;
	}
	memcpy(job->path, req.path, sizeof(job->path));
	memcpy(job->reference, req.reference, sizeof(job->reference));
	id = job->id;
	if (job_start(job)) {
		request_fail(request, DVS_NOMEM, "the agent can start no thread");
		return;
	}
	REQUEST_ANSWER(request, image_import, (&(struct agent_image_import_rep){ .job = id }));
}

/* Who asked for it asks how far it is. */
static void nobody_waits(void *context, dvs_err err, const char *text)
{
	(void)context;
	(void)err;
	(void)text;
}

void op_image_fetch(struct agent *agent, struct request *request)
{
	struct agent_image_fetch_rep rep = { .job = 0 };
	struct agent_image_fetch_req req;
	dvs_err err;

	if (!REQUEST_DECODE(request, image_fetch, &req) || !name_is_ok(request, req.name))
		return;
	err = jobs_fetch(agent->jobs, req.name, req.from, nobody_waits, NULL, &rep.job);
	if (err)
		request_fail(request, err, "the image cannot be fetched now: %s",
			     dvs_strerror(err));
	else
		REQUEST_ANSWER(request, image_fetch, &rep);
}

void op_job_stop(struct agent *agent, struct request *request)
{
	struct agent_job_stop_req req;
	struct job *job;

	if (!REQUEST_DECODE(request, job_stop, &req))
		return;
	job = job_find(agent->jobs, req.job);
	if (!job) {
		request_fail(request, DVS_NOTFOUND, "there is no such job");
		return;
	}
	atomic_store(&job->is_stopped, true);
	request_done(request);
}

void op_jobs(struct agent *agent, struct request *request)
{
	struct agent_jobs_req req;
	struct reconcile_row row;

	if (!REQUEST_DECODE(request, jobs, &req))
		return;
	if (reconcile_row(agent->reconcile, req.dc, &row))
		REQUEST_ANSWER(request, jobs, (&(struct agent_jobs_rep){ .job = row.job }));
	else
		request_fail(request, DVS_NODC, "the DC %s has nothing on this node", req.dc);
}
