/* SPDX-License-Identifier: Apache-2.0 */
/* The patterns failover and failover-node: under load the process, or the node, that has a volume's primary is killed. A client notes the longest time in which none of its writes was answered, and when its own dvsd knew of another primary. */
#include <pthread.h>
#include <signal.h>

#include "base/clock.h"
#include "client/vdd_calls.h"
#include "manage/bench/remote/net.h"
#include "manage/bench/vdd/disks.h"
#include "manage/bench/vdd/job.h"
#include "manage/bench/vdd/onlooker.h"

enum { CALL_MS = 60000, WRITERS_MAX = 16, FEW = 100 };
/* So long after the change the load goes on: what comes then is part of the pause, too. */
#define AFTER_NS (200 * CLOCK_NS_PER_MS)

struct answers {
	dvs_err err; /* the first */
	uint64_t n;
	uint64_t last_ns;
	uint64_t pause_ns; /* the longest that ended after the kill */
};

struct load {
	struct onlooker_view *view;
	pthread_mutex_t lock;
	/* under lock: */
	bool is_over;
	struct answers answers;
};

struct writer_thread {
	struct load *load;
	pthread_t id;
	uint64_t random;
};

/* A write is answered. False: it is over. */
static bool answered(struct load *load, dvs_err err)
{
	struct answers *answers = &load->answers;
	bool is_killed, goes_on;
	uint64_t now_ns;

	pthread_mutex_lock(&load->lock);
	now_ns = clock_now_ns();
	is_killed = onlooker_is_at(load->view->board, ONLOOKER_KILLED);
	if (err && !answers->err)
		answers->err = err;
	if (answers->n > 0 && is_killed && now_ns - answers->last_ns > answers->pause_ns)
		answers->pause_ns = now_ns - answers->last_ns;
	answers->n++;
	answers->last_ns = now_ns;
	goes_on = !load->is_over && !answers->err;
	pthread_mutex_unlock(&load->lock);
	return goes_on;
}

static void *write_on(void *argument)
{
	static const char data[JOB_STAMP_BYTES] = { 1 };
	struct writer_thread *thread = argument;
	struct load *load = thread->load;
	struct volume_disk mine;
	dvs_err err = volume_open_thread(&load->view->disk, &mine);
	bool is_open = !err;

	while (answered(load, err)) {
		struct vdd_write_req req = { .minor = mine.minor };

		thread->random = thread->random * UINT64_C(6364136223846793005) + 1;
		req.offset = (thread->random >> 32) % (mine.bytes / sizeof(data)) * sizeof(data);
		err = vdd_call_write(mine.self, mine.server, &req, NULL, data, sizeof(data), NULL,
				     0, NULL, CALL_MS);
	}
	if (is_open)
		volume_close_thread(&mine);
	return NULL;
}

static struct answers look_at(struct load *load)
{
	struct answers seen;

	pthread_mutex_lock(&load->lock);
	seen = load->answers;
	pthread_mutex_unlock(&load->lock);
	return seen;
}

static dvs_err failed(const struct load *load, dvs_err err, const char *what)
{
	return bench_fail(&load->view->board->fault, err, "%s: %s", what, dvs_strerror(err));
}

static dvs_err await_load(struct load *load)
{
	uint64_t deadline_ns = clock_deadline_ns(ONLOOKER_PATIENCE_NS);
	struct answers seen = look_at(load);

	while (!seen.err && seen.n < FEW && !clock_is_past(deadline_ns)) {
		onlooker_pause();
		seen = look_at(load);
	}
	if (seen.err)
		return failed(load, seen.err, "write");
	return seen.n < FEW ? failed(load, DVS_TIMEOUT, "the load") : DVS_OK;
}

/* *CHANGED_NS: when another node was seen to have the primary. Ends when writes have gone on for a while. */
static dvs_err await_change(struct load *load, uint64_t *changed_ns)
{
	const struct onlooker_view *view = load->view;
	uint64_t deadline_ns = clock_deadline_ns(ONLOOKER_PATIENCE_NS);
	struct dvk_endpoint_info info;
	struct answers seen = look_at(load);

	*changed_ns = 0;
	while (!seen.err && !clock_is_past(deadline_ns)) {
		if (*changed_ns == 0 &&
		    dvk_endpoint_info(view->dvk, view->disk.server, &info) == DVS_OK &&
		    info.node.n != view->board->node)
			*changed_ns = clock_now_ns();
		seen = look_at(load);
		if (*changed_ns && seen.last_ns > *changed_ns + AFTER_NS)
			return DVS_OK;
		onlooker_pause();
	}
	if (seen.err)
		return failed(load, seen.err, "write");
	return failed(load, DVS_TIMEOUT,
		      *changed_ns ? "writes after the change" : "another primary");
}

static dvs_err watch_change(struct load *load)
{
	struct onlooker_board *board = load->view->board;
	uint64_t changed_ns;
	dvs_err err = await_load(load);

	if (err)
		return err;
	onlooker_set(load->view, ONLOOKER_READY);
	err = onlooker_await(load->view, ONLOOKER_KILLED);
	if (!err)
		err = await_change(load, &changed_ns);
	if (err)
		return err;
	board->span_ns = (double)look_at(load).pause_ns;
	board->figures[0] = (double)changed_ns - (double)board->killed_ns;
	board->figures[1] =
		board->span_ns > board->figures[0] ? board->span_ns - board->figures[0] : 0;
	return DVS_OK;
}

static dvs_err work(struct onlooker_view *view)
{
	struct load load = { .view = view, .lock = PTHREAD_MUTEX_INITIALIZER };
	struct writer_thread threads[WRITERS_MAX];
	unsigned n = 0;
	dvs_err err = onlooker_await_in_sync(view);

	if (!err)
		err = onlooker_name_victim(view, true);
	for (; !err && n < view->cell->clients && n < WRITERS_MAX; n++) {
		threads[n] = (struct writer_thread){ .load = &load, .random = n + 1 };
		if (pthread_create(&threads[n].id, NULL, write_on, &threads[n])) {
			err = failed(&load, DVS_NOMEM, "start the load");
			break;
		}
	}
	if (!err)
		err = watch_change(&load);
	pthread_mutex_lock(&load.lock);
	load.is_over = true;
	pthread_mutex_unlock(&load.lock);
	for (unsigned i = 0; i < n; i++)
		(void)pthread_join(threads[i].id, NULL);
	pthread_mutex_destroy(&load.lock);
	return err;
}

/* ---- here ---- */

static dvs_err kill_and_wait(struct bench_lab *lab, const struct bench_cell *cell,
			     struct onlooker *onlooker, struct bench_sample *sample,
			     struct bench_fault *fault)
{
	const struct onlooker_board *board = onlooker->board;
	bool is_node = cell->pattern == BENCH_DISK_FAILOVER_NODE;
	uint64_t killed_ns = clock_now_ns();
	dvs_err err, again = DVS_OK;
	struct bench_fault other;

	onlooker_tell_killed(onlooker, killed_ns);
	err = is_node ? bench_net_kill_node(lab->net, board->node, fault) :
			bench_net_signal(lab->net, board->node, "dvs-vdd", board->pid, SIGKILL,
					 fault);
	if (!err)
		err = onlooker_result(onlooker, sample, fault);
	/* What was killed begins again in any case: who comes next needs it. */
	if (is_node)
		again = bench_net_revive_node(lab->net, board->node, &other);
	if (!err && again)
		*fault = other;
	return err ? err : again;
}

dvs_err bench_failover_measure(struct bench_lab *lab, const char *target,
			       const struct bench_cell *cell, struct bench_sample *sample,
			       struct bench_fault *fault)
{
	struct onlooker onlooker;
	dvs_err err = onlooker_start(lab, target, cell, work, &onlooker, fault);

	if (err)
		return err;
	err = kill_and_wait(lab, cell, &onlooker, sample, fault);
	onlooker_end(&onlooker);
	return err;
}
