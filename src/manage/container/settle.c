/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/container/settle.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "client/calls.h"
#include "manage/container/reach.h"
#include "manage/progress.h"
#include "manage/terminal.h"

#define FIRST_LOOK_NS (500 * CLOCK_NS_PER_MS)
#define LOOK_NS (200 * CLOCK_NS_PER_MS)
#define JOB_MS 3000u

struct settling {
	const struct settle *of;
	int done_fd;
	dvs_err err; /* of the call; the thread's until it is joined */
};

static void *settling_thread(void *settling_void)
{
	struct settling *settling = settling_void;

	settling->err = settling->of->call(settling->of->context);
	/* It cannot fail: the counter is at zero. */
	(void)eventfd_write(settling->done_fd, 1);
	return NULL;
}

/* Show the image that NODE waits for; false: there is none. */
static bool show_image(const struct settle *settle, dvs_nodeid node, struct progress *progress)
{
	struct agent_jobs_req jobs = { .dc = "" };
	struct agent_jobs_rep jobs_rep;
	struct agent_job_rep job;
	char name[DVS_NAME_MAX + 1];
	char what[DVS_NAME_MAX + 64];
	dvs_err err;

	snprintf(jobs.dc, sizeof(jobs.dc), "%s", settle->dc);
	err = agent_call_jobs(settle->agents, node, &jobs, &jobs_rep, JOB_MS);
	if (err != DVS_OK || jobs_rep.job == 0)
		return false;
	err = agent_call_job(settle->agents, node,
			     &(struct agent_job_req){ .job = jobs_rep.job, .known = UINT64_MAX },
			     &job, JOB_MS);
	if (err != DVS_OK || job.state != 1)
		return false;
	snprintf(what, sizeof(what), "%s: %.31s", nodes_name(settle->nodes, node, name), job.phase);
	progress_bytes(progress, what, job.done_bytes, job.total_bytes);
	return true;
}

static void show(const struct settle *settle, struct progress *progress)
{
	struct dvk_container_info info;
	char state[128];
	char name[DVS_NAME_MAX + 1] = "";
	size_t n_settled = 0;

	if (reach_look(settle->admin, settle->dc, &info) != DVS_OK)
		return;
	for (uint32_t i = 0; i < info.n_nodes; i++) {
		const struct dvk_container_node *node = &info.nodes[i];
		bool waits = info.phase == DVK_REMOVING || info.phase == DVK_FAILED ?
				     node->state != DVK_GONE :
				     node->state != DVK_READY;

		if (waits && settle->agents && node->state == DVK_WANTED &&
		    show_image(settle, node->node, progress))
			return;
		if (waits && !name[0])
			nodes_name(settle->nodes, node->node, name);
		n_settled += !waits;
	}
	snprintf(state, sizeof(state), "%zu of %u nodes%s%s", n_settled, info.n_nodes,
		 name[0] ? ", waits for " : "", name);
	progress_text(progress, settle->what, state);
}

static void leave(const struct settle *settle, struct progress *progress)
{
	progress_end(progress);
	cli_note(settle->cli,
		 "%s: goes on; 'dvs dc inspect %s' tells how far it is, 'dvs dc rm %s' ends it",
		 settle->what, settle->dc, settle->dc);
	fflush(NULL);
	/* The thread still waits for dvsd. */
	_exit(128 + SIGINT);
}

static void wait_done(struct settling *settling, struct interrupts *interrupts)
{
	const struct settle *settle = settling->of;
	struct progress progress;
	uint64_t look_ns = clock_deadline_ns(FIRST_LOOK_NS);

	progress_begin(&progress, settle->cli->err);
	for (;;) {
		enum event event = interrupts_wait(interrupts, settling->done_fd, look_ns);

		if (event == EVENT_KEY)
			break;
		if (event == EVENT_END)
			leave(settle, &progress);
		show(settle, &progress);
		look_ns = clock_deadline_ns(LOOK_NS);
	}
	progress_end(&progress);
}

dvs_err settle_call(const struct settle *settle)
{
	AUTO_CLOSE int done_fd = eventfd(0, EFD_CLOEXEC);
	struct settling settling = { .of = settle, .done_fd = done_fd, .err = DVS_NOMEM };
	struct interrupts interrupts;
	pthread_t thread;

	if (done_fd < 0 || !interrupts_open(&interrupts, false))
		return DVS_NOMEM;
	if (pthread_create(&thread, NULL, settling_thread, &settling) == 0) {
		wait_done(&settling, &interrupts);
		pthread_join(thread, NULL);
	}
	interrupts_close(&interrupts);
	return settling.err;
}
