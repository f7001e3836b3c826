/* SPDX-License-Identifier: Apache-2.0 */
#include "servers/vdd/sync.h"

#include <stdlib.h>

#include "servers/vdd/sync_internal.h"

#define HELLO_HEAD_BYTES 11u

dvs_err sync_open(struct disks *disks, struct replica *replica, struct skeleton *skeleton,
		  struct log *log, uint64_t bytes_per_s, struct sync **sync)
{
	struct sync *made = calloc(1, sizeof(*made));

	if (!made)
		return DVS_NOMEM;
	made->disks = disks;
	made->replica = replica;
	made->skeleton = skeleton;
	made->log = log;
	made->bytes_per_s = bytes_per_s;
	list_init(&made->runs);
	list_init(&made->free_jobs);
	*sync = made;
	return DVS_OK;
}

void sync_close(struct sync *sync)
{
	if (!sync)
		return;
	sync_stop(sync);
	/* What is under way comes back to it: better no memory than somebody else's. */
	if (!sync_is_idle(sync)) {
		log_error(sync->log, "what was under way between replicas does not end");
		return;
	}
	sync_free_jobs(sync);
	free(sync);
}

bool sync_is_idle(const struct sync *sync)
{
	return list_is_empty(&sync->runs) && sync->n_jobs_open == 0;
}

void sync_tune(struct sync *sync, uint64_t bytes_per_s)
{
	sync->bytes_per_s = bytes_per_s;
	LIST_FOREACH_SAFE(link, &sync->runs) {
		struct sync_run *run = CONTAINER_OF(link, struct sync_run, of_sync);

		run->next_ns = 0;
		if (!run->has_failed)
			skeleton_timer_cancel(sync->skeleton, &run->timer);
		sync_run_go(run);
	}
}

/* ---- members ---- */

size_t sync_hello(struct sync *sync, bool is_empty, void *room)
{
	struct writer out = writer_over(room, REPLICA_HELLO_MAX);
	uint8_t *marks = (uint8_t *)room + HELLO_HEAD_BYTES;
	size_t len = 0;
	bool fits = !is_empty && disks_dirty_encode(sync->disks, marks,
						    REPLICA_HELLO_MAX - HELLO_HEAD_BYTES, &len);

	writer_u8(&out, SYNC_HELLO_VERSION);
	writer_u8(&out, is_empty);
	writer_u8(&out, fits);
	writer_u64(&out, disks_cooled(sync->disks));
	return HELLO_HEAD_BYTES + (fits ? len : 0);
}

/* Whether everything must be compared. */
static bool take_hello(struct sync *sync, const void *hello, size_t n)
{
	struct cursor in = cursor_over(hello, n);
	uint8_t version = cursor_u8(&in);
	uint8_t is_empty = cursor_u8(&in);
	uint8_t has_marks = cursor_u8(&in);
	uint64_t theirs = cursor_u64(&in);
	uint64_t ours = disks_cooled(sync->disks);

	if (in.failed || version != SYNC_HELLO_VERSION || is_empty || !has_marks ||
	    theirs > ours + 1 || ours > theirs + 1)
		return true;
	return disks_dirty_add(sync->disks, in.at, cursor_left(&in)) != DVS_OK;
}

static struct sync_run *find(const struct sync *sync, dvs_nodeid node)
{
	LIST_FOREACH(link, &sync->runs) {
		struct sync_run *run = CONTAINER_OF(link, struct sync_run, of_sync);

		if (run->node.n == node.n && !run->is_verify && run->state != SYNC_OVER)
			return run;
	}
	return NULL;
}

void sync_joined(struct sync *sync, dvs_nodeid node, const void *hello, size_t n)
{
	struct sync_run *run;
	dvs_err err;

	sync_left(sync, node);
	err = sync_run_new(sync, node, &run);
	if (err != DVS_OK) {
		log_error(sync->log, "a replica cannot be brought up to date",
			  LOG_U64("node", node.n), LOG_STR("why", dvs_strerror(err)));
		return;
	}
	run->is_whole = take_hello(sync, hello, n);
	log_info(sync->log, "a replica is brought up to date", LOG_U64("node", node.n),
		 LOG_STR("compares", run->is_whole ? "everything" : "what was written"));
	sync_run_go(run);
}

static void end_runs(struct sync *sync, const dvs_nodeid *node, bool only_verify)
{
	LIST_FOREACH_SAFE(link, &sync->runs) {
		struct sync_run *run = CONTAINER_OF(link, struct sync_run, of_sync);

		if ((!node || run->node.n == node->n) && (!only_verify || run->is_verify) &&
		    run->state != SYNC_OVER)
			sync_run_end(run);
	}
}

void sync_left(struct sync *sync, dvs_nodeid node)
{
	end_runs(sync, &node, false);
}

void sync_stop(struct sync *sync)
{
	sync_verify_stop(sync);
	end_runs(sync, NULL, false);
}

bool sync_look(const struct sync *sync, dvs_nodeid node, struct sync_progress *progress)
{
	const struct sync_run *run = find(sync, node);
	uint64_t left;

	if (!run)
		return false;
	*progress = run->progress;
	if (progress->done_bytes > progress->total_bytes)
		progress->done_bytes = progress->total_bytes;
	left = progress->total_bytes - progress->done_bytes;
	if (progress->bytes_per_s)
		progress->eta_ms = (uint64_t)((double)left * 1000 / (double)progress->bytes_per_s);
	return true;
}

void sync_run_done(struct sync_run *run)
{
	struct sync *sync = run->sync;

	if (!run->is_verify) {
		log_info(sync->log, "a replica is up to date", LOG_U64("node", run->node.n),
			 LOG_U64("compared", run->progress.done_bytes),
			 LOG_U64("sent", run->progress.sent_bytes));
		replica_is_current(sync->replica, run->node);
	}
	sync_run_end(run);
}

/* ---- comparing all ---- */

static uint32_t n_verifying(const struct sync *sync)
{
	uint32_t n = 0;

	LIST_FOREACH(link, &sync->runs) {
		if (CONTAINER_OF(link, struct sync_run, of_sync)->is_verify)
			n++;
	}
	return n;
}

void sync_run_ended(struct sync_run *run)
{
	struct sync_verify *verify = &run->sync->verify;

	if (!run->is_verify)
		return;
	verify->done_bytes += run->progress.done_bytes;
	verify->total_bytes += run->progress.total_bytes;
	/* RUN itself is still among them. */
	if (verify->state == 1 && n_verifying(run->sync) == 1)
		verify->state = 2;
}

dvs_err sync_verify_start(struct sync *sync, bool repair)
{
	struct replica_member_state states[DVS_NODES_MAX];
	uint32_t n = replica_look(sync->replica, states);

	if (n_verifying(sync) > 0)
		return DVS_BADSTATE;
	sync->verify = (struct sync_verify){ .state = 1 };
	for (uint32_t i = 0; i < n; i++) {
		struct sync_run *run;

		if (states[i].role != REPLICA_MEMBER)
			continue;
		if (sync_run_new(sync, states[i].node, &run) != DVS_OK) {
			sync_verify_stop(sync);
			return DVS_NOMEM;
		}
		run->is_verify = true;
		run->repairs = repair;
		run->is_whole = true;
	}
	LIST_FOREACH_SAFE(link, &sync->runs) {
		struct sync_run *run = CONTAINER_OF(link, struct sync_run, of_sync);

		if (run->is_verify)
			sync_run_go(run);
	}
	if (n_verifying(sync) == 0)
		sync->verify.state = 2;
	return DVS_OK;
}

void sync_verify_stop(struct sync *sync)
{
	if (sync->verify.state == 1)
		sync->verify.state = 3;
	end_runs(sync, NULL, true);
}

void sync_verify_look(const struct sync *sync, struct sync_verify *verify)
{
	*verify = sync->verify;
	LIST_FOREACH(link, &sync->runs) {
		const struct sync_run *run = CONTAINER_OF(link, struct sync_run, of_sync);

		if (!run->is_verify)
			continue;
		verify->done_bytes += run->progress.done_bytes;
		verify->total_bytes += run->progress.total_bytes;
	}
}
