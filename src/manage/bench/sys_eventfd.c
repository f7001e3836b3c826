/* SPDX-License-Identifier: Apache-2.0 */
/* eventfd: the message in shared memory, an eventfd as the bell. */
#include "manage/bench/shm.h"

#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

struct bells {
	struct bench_link memory; /* a link of the shared memory systems, for its slots */
	int request_fd;
	int reply_fd[BENCH_CLIENTS_MAX];
};

static dvs_err eventfd_setup(struct bench_link *link)
{
	struct bells *bells = calloc(1, sizeof(*bells));
	dvs_err err;

	link->state = bells;
	if (!bells)
		return bench_fail_errno(&link->fault, "allocate the eventfds");
	bells->memory = *link;
	bells->memory.state = NULL;
	bells->request_fd = eventfd(0, EFD_CLOEXEC);
	for (unsigned i = 0; i < BENCH_CLIENTS_MAX; i++)
		bells->reply_fd[i] = i < link->clients ? eventfd(0, EFD_CLOEXEC) : -1;
	if (bells->request_fd < 0 || bells->reply_fd[link->clients - 1] < 0)
		return bench_fail_errno(&link->fault, "eventfd");
	err = shm_create(&bells->memory);
	if (err != DVS_OK)
		link->fault = bells->memory.fault;
	return err;
}

static void eventfd_teardown(struct bench_link *link)
{
	struct bells *bells = link->state;

	if (!bells)
		return;
	shm_destroy(&bells->memory);
	if (bells->request_fd >= 0)
		close(bells->request_fd);
	for (unsigned i = 0; i < BENCH_CLIENTS_MAX; i++)
		if (bells->reply_fd[i] >= 0)
			close(bells->reply_fd[i]);
	free(bells);
	link->state = NULL;
}

static dvs_err bell_ring(struct bench_link *link, int fd)
{
	uint64_t one = 1;

	if (write(fd, &one, sizeof(one)) != sizeof(one))
		return bench_fail_errno(&link->fault, "write an eventfd");
	return DVS_OK;
}

static dvs_err bell_wait(struct bench_link *link, int fd)
{
	uint64_t rings;

	if (read(fd, &rings, sizeof(rings)) != sizeof(rings))
		return bench_fail_errno(&link->fault, "read an eventfd");
	return DVS_OK;
}

static dvs_err eventfd_client_open(struct bench_link *link, unsigned client)
{
	struct bells *bells = link->state;

	return shm_client_open(&bells->memory, client);
}

static dvs_err eventfd_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct bells *bells = link->state;
	struct shm *shm = bells->memory.state;
	uint64_t seq = ((const struct bench_msg *)request)->seq;
	dvs_err err;

	shm_put_request(shm, request);
	err = bell_ring(link, bells->request_fd);
	while (err == DVS_OK && !shm_take_reply(shm, seq, reply))
		err = bell_wait(link, bells->reply_fd[shm->self]);
	return err;
}

static dvs_err eventfd_receive(struct bench_link *link, struct bench_request *request)
{
	struct bells *bells = link->state;
	dvs_err err = DVS_OK;

	while (err == DVS_OK && !shm_take_request(bells->memory.state, request))
		err = bell_wait(link, bells->request_fd);
	return err;
}

static dvs_err eventfd_reply(struct bench_link *link, unsigned client,
			     const struct bench_msg *reply)
{
	struct bells *bells = link->state;

	shm_put_reply(bells->memory.state, client, reply);
	return bell_ring(link, bells->reply_fd[client]);
}

const struct bench_system bench_system_eventfd = {
	.name = "eventfd",
	.summary = "shared memory, the waiter sleeps on an eventfd",
	.class = BENCH_KERNEL,
	.patterns = BENCH_IPC_PATTERNS,
	.setup = eventfd_setup,
	.teardown = eventfd_teardown,
	.receive = eventfd_receive,
	.reply = eventfd_reply,
	.client_open = eventfd_client_open,
	.call = eventfd_call,
};
