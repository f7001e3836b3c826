/* SPDX-License-Identifier: Apache-2.0 */
/* The thread that asks dvsd for the engine: an answer takes up to ten seconds when dvsd is started again, and meanwhile the others must hear of us. */
#include <string.h>
#include <unistd.h>

#include <dvs/container.h>

#include "replica/internal.h"

/* ---- the work, in the worker's thread ---- */

static dvs_err view_decode(const uint8_t *value, size_t len, struct engine_view *view)
{
	struct cursor in = cursor_over(value, len);
	struct replica_record record;

	replica_record_get(&in, &record);
	if (!cursor_done(&in))
		return DVS_CORRUPT;
	memset(view, 0, sizeof(*view));
	view->epoch = record.epoch;
	view->primary = record.primary;
	view->writer = record.writer;
	for (uint32_t i = 0; i < record.n_members; i++) {
		uint32_t node = record.members[i].node;

		if (node >= DVS_NODES_MAX)
			return DVS_CORRUPT;
		view->members |= UINT64_C(1) << node;
		view->ep[node].n = record.members[i].ep;
	}
	return DVS_OK;
}

static void do_read(struct replica *replica, struct job *job)
{
	uint8_t value[DVK_VALUE_MAX];
	size_t len = 0;

	job->err = dvk_record_get(replica->config.admin, replica->config.dc, replica->key, value,
				  &len, &job->version);
	job->flag = job->err == DVS_OK;
	if (job->err == DVS_NOTFOUND) {
		job->err = DVS_OK;
		job->version = 0;
	} else if (job->err == DVS_OK) {
		job->err = view_decode(value, len, &job->view);
	}
}

static void do_set(struct replica *replica, struct job *job)
{
	uint8_t value[REPLICA_RECORD_BYTES_MAX];
	struct writer out = writer_over(value, sizeof(value));
	struct replica_record record = { .epoch = job->view.epoch,
					 .primary = job->view.primary,
					 .writer = job->view.writer };

	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		if (job->view.members >> node & 1)
			record.members[record.n_members++] =
				(struct replica_member){ .node = node, .ep = job->view.ep[node].n };
	}
	replica_record_put(&out, &record);
	job->err = dvk_record_set(replica->config.admin, replica->config.dc, replica->key,
				  job->version, value, writer_len(&out), &job->version);
}

static void do_look(struct replica *replica, struct job *job)
{
	struct dvk_endpoint_info info;

	job->err = dvk_endpoint_info(replica->config.dvk, replica->config.service, &info);
	job->flag = job->err == DVS_OK;
	if (job->err == DVS_NODEST)
		job->err = DVS_OK;
}

/* Nobody is bound to its endpoint, and its node has been up: then the dvsd there has seen its end. */
static void do_dead(struct replica *replica, struct job *job)
{
	struct dvk_endpoint_info info;
	struct dvk_node_info node;
	uint32_t cursor = job->node;

	job->flag = false;
	job->err = dvk_endpoint_info(replica->config.dvk, job->ep, &info);
	if (job->err != DVS_NODEST)
		return;
	if (dvk_node_next(replica->config.dvk, &cursor, &node) != DVS_OK ||
	    node.node.n != job->node)
		return;
	job->flag = node.state == DVK_NODE_UP && node.is_quorate;
}

static void do_take(struct replica *replica, struct job *job)
{
	job->err = dvk_promote(replica->config.dvk, replica->config.service, getpid());
}

static struct job *next(struct replica *replica)
{
	struct list *link;

	pthread_mutex_lock(&replica->lock);
	while (list_is_empty(&replica->work) && !replica->is_ending)
		pthread_cond_wait(&replica->more, &replica->lock);
	link = replica->is_ending ? NULL : list_take_head(&replica->work);
	pthread_mutex_unlock(&replica->lock);
	return link ? CONTAINER_OF(link, struct job, queued) : NULL;
}

static void *run(void *argument)
{
	struct replica *replica = argument;
	struct job *job;

	while ((job = next(replica))) {
		job->work(replica, job);
		pthread_mutex_lock(&replica->lock);
		list_add_tail(&replica->ended, &job->queued);
		pthread_mutex_unlock(&replica->lock);
		turn_post(replica);
	}
	return NULL;
}

/* ---- the server's thread ---- */

dvs_err worker_open(struct replica *replica)
{
	for (uint32_t i = 0; i < JOB_KINDS; i++)
		list_init(&replica->jobs[i].queued);
	replica->has_worker = pthread_create(&replica->worker, NULL, run, replica) == 0;
	return replica->has_worker ? DVS_OK : DVS_NOMEM;
}

void worker_close(struct replica *replica)
{
	if (!replica->has_worker)
		return;
	pthread_mutex_lock(&replica->lock);
	replica->is_ending = true;
	pthread_cond_signal(&replica->more);
	pthread_mutex_unlock(&replica->lock);
	pthread_join(replica->worker, NULL);
}

void worker_ended(struct replica *replica)
{
	for (;;) {
		struct list *link;
		struct job *job;

		pthread_mutex_lock(&replica->lock);
		link = list_take_head(&replica->ended);
		pthread_mutex_unlock(&replica->lock);
		if (!link)
			return;
		job = CONTAINER_OF(link, struct job, queued);
		job->is_busy = false;
		job->end(replica, job);
	}
}

static void give(struct replica *replica, struct job *job,
		 void (*work)(struct replica *replica, struct job *job),
		 void (*end)(struct replica *replica, struct job *job))
{
	job->work = work;
	job->end = end;
	job->is_busy = true;
	pthread_mutex_lock(&replica->lock);
	list_add_tail(&replica->work, &job->queued);
	pthread_cond_signal(&replica->more);
	pthread_mutex_unlock(&replica->lock);
}

static void end_read(struct replica *replica, struct job *job)
{
	engine_record(replica_enter(replica), job->err, job->version,
		      job->flag ? &job->view : NULL);
}

void worker_read(struct replica *replica)
{
	give(replica, &replica->jobs[JOB_READ], do_read, end_read);
}

static void end_set(struct replica *replica, struct job *job)
{
	if (job->err != DVS_OK)
		log_info(replica->config.log, "the view is not set", LOG_STR("name", replica->key),
			 LOG_STR("why", dvs_strerror(job->err)));
	engine_set(replica_enter(replica), job->err, job->version);
}

void worker_set(struct replica *replica, uint64_t version, const struct engine_view *view)
{
	struct job *job = &replica->jobs[JOB_SET];

	job->version = version;
	job->view = *view;
	give(replica, job, do_set, end_set);
}

static void end_look(struct replica *replica, struct job *job)
{
	engine_looked(replica_enter(replica), job->err, job->flag);
}

void worker_look(struct replica *replica)
{
	give(replica, &replica->jobs[JOB_LOOK], do_look, end_look);
}

static void end_dead(struct replica *replica, struct job *job)
{
	log_debug(replica->config.log, "the former primary", LOG_STR("name", replica->key),
		  LOG_U64("node", job->node), LOG_STR("endpoint", dvs_strerror(job->err)),
		  LOG_U64("is_dead", job->flag));
	engine_certain(replica_enter(replica), job->flag);
}

void worker_is_dead(struct replica *replica, uint32_t node, dvs_ep ep)
{
	struct job *job = &replica->jobs[JOB_DEAD];

	/* Of a former candidacy; its answer will not do. */
	if (job->is_busy)
		return;
	job->node = node;
	job->ep = ep;
	give(replica, job, do_dead, end_dead);
}

static void end_take(struct replica *replica, struct job *job)
{
	(void)replica;
	replica_take_answer(job->request, job->err, NULL);
}

void worker_take(struct replica *replica, struct skeleton_request *request)
{
	struct job *job = &replica->jobs[JOB_TAKE];

	if (job->is_busy) {
		replica_take_answer(request, DVS_BADSTATE, NULL);
		return;
	}
	job->request = request;
	give(replica, job, do_take, end_take);
}

/* Whether it has become the primary, its handle tells. */
static void end_overtake(struct replica *replica, struct job *job)
{
	log_warning(replica->config.log,
		    "the primary gives no sign of life; this replica takes over",
		    LOG_STR("name", replica->config.name),
		    LOG_STR("answer", dvs_strerror(job->err)));
	if (job->err == DVS_OK)
		replica_look_again(replica);
}

void worker_overtake(struct replica *replica)
{
	struct job *job = &replica->jobs[JOB_OVERTAKE];

	if (!job->is_busy)
		give(replica, job, do_take, end_overtake);
}
