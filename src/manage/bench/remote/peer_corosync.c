/* SPDX-License-Identifier: Apache-2.0 */
/* corosync: one message to a closed process group and its delivery here, in the order of all; and how fast it sees that
 * a node is dead. */
#include <corosync/cpg.h>
#include <errno.h>
#include <poll.h>
#include <string.h>

#include "manage/bench/remote/detect.h"
#include "manage/bench/remote/peers.h"

struct member {
	cpg_handle_t handle;
	uint64_t delivered; /* the number of the last message of ours */
};

static dvs_err fail(struct bench_link *link, const char *what, cs_error_t code)
{
	return bench_fail(&link->fault, DVS_IO, "%s: %s", what, cs_strerror(code));
}

static dvs_err corosync_start(struct bench_lab *lab, struct bench_fault *fault)
{
	(void)lab;
	(void)fault;
	return DVS_OK; /* the lab has it */
}

static void corosync_stop(struct bench_lab *lab)
{
	(void)lab;
}

static dvs_err corosync_setup(struct bench_link *link)
{
	return peer_state_make(link, sizeof(struct member));
}

static void on_deliver(cpg_handle_t handle, const struct cpg_name *group, uint32_t node,
		       uint32_t pid, void *msg, size_t bytes)
{
	struct bench_msg copy;
	void *context = NULL;

	(void)group;
	(void)node;
	(void)pid;
	if (bytes != sizeof(copy) || cpg_context_get(handle, &context) != CS_OK || !context)
		return;
	memcpy(&copy, msg, sizeof(copy));
	((struct member *)context)->delivered = copy.seq;
}

static dvs_err corosync_open(struct bench_link *link, unsigned client)
{
	struct member *member = link->state;
	cpg_callbacks_t callbacks = { .cpg_deliver_fn = on_deliver };
	struct cpg_name group = { .length = 9, .value = "dvs-bench" };
	cs_error_t code = cpg_initialize(&member->handle, &callbacks);

	(void)client;
	if (code != CS_OK)
		return fail(link, "cpg_initialize", code);
	code = cpg_context_set(member->handle, member);
	if (code == CS_OK)
		code = cpg_join(member->handle, &group);
	return code == CS_OK ? DVS_OK : fail(link, "cpg_join", code);
}

static dvs_err corosync_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct member *member = link->state;
	const struct bench_msg *msg = request;
	struct iovec part = { .iov_base = (void *)(uintptr_t)request, .iov_len = sizeof(*msg) };
	cs_error_t code;

	do {
		code = cpg_mcast_joined(member->handle, CPG_TYPE_AGREED, &part, 1);
		/* Just after a join the ring may not take any yet. */
		if (code == CS_ERR_TRY_AGAIN)
			poll(NULL, 0, 1);
	} while (code == CS_ERR_TRY_AGAIN);
	while (code == CS_OK && member->delivered != msg->seq)
		code = cpg_dispatch(member->handle, CS_DISPATCH_ONE);
	if (code != CS_OK)
		return fail(link, "cpg", code);
	memcpy(reply, request, sizeof(*reply));
	return DVS_OK;
}

static void corosync_leave(struct bench_link *link)
{
	struct member *member = link->state;

	if (member->handle)
		cpg_finalize(member->handle);
}

static dvs_err corosync_measure(struct bench_lab *lab, const struct bench_system *system,
				const struct bench_cell *cell, const struct bench_options *options,
				struct bench_sample *sample, struct bench_fault *fault)
{
	if (cell->pattern == BENCH_REMOTE_DETECT)
		return bench_detect(lab, BENCH_DETECT_ENGINE, sample, fault);
	return bench_measure(lab, system, cell, options, sample, fault);
}

const struct bench_system bench_peer_corosync = {
	.name = "corosync",
	.summary = "an ordered multicast of corosync (CPG), and its own detection of dead nodes",
	.class = BENCH_KERNEL,
	.patterns = 1u << BENCH_REMOTE_MCAST | 1u << BENCH_REMOTE_DETECT,
	.solo = true,
	.measure = corosync_measure,
	.start = corosync_start,
	.stop = corosync_stop,
	.setup = corosync_setup,
	.teardown = peer_teardown,
	.client_open = corosync_open,
	.call = corosync_call,
	.leave = corosync_leave,
};
