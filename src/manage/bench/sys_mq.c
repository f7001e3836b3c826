/* SPDX-License-Identifier: Apache-2.0 */
/* mq-posix and mq-sysv: one queue of requests into the server. POSIX queues answer through a queue per
 * client, System V ones through one queue in which the type of a message names the client.
 * Neither takes more than 8 KiB a message on a host with default limits: larger requests take several. */
#include "manage/bench/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <mqueue.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/msg.h>
#include <unistd.h>

enum {
	CHUNK_BYTES = 8192,
	REQUESTS_QUEUED = 10, /* the default limit of a POSIX queue */
	NAME_TRIES = 16,
};

static size_t chunk_of(size_t left_bytes)
{
	return left_bytes < CHUNK_BYTES ? left_bytes : CHUNK_BYTES;
}

/* ---- POSIX ---- */

struct posix_queues {
	mqd_t request;
	mqd_t reply[BENCH_CLIENTS_MAX];
	unsigned self; /* in a client's process */
};

/* The name lives only until the queue is open; forked processes inherit the descriptor. */
static dvs_err posix_queue_open(struct bench_link *link, long messages, size_t message_bytes,
				mqd_t *queue)
{
	struct mq_attr attr = { .mq_maxmsg = messages, .mq_msgsize = (long)message_bytes };
	char name[48];

	for (unsigned i = 0; i < NAME_TRIES; i++) {
		snprintf(name, sizeof(name), "/dvs-bench-%d-%u", (int)getpid(), i);
		*queue = mq_open(name, O_RDWR | O_CREAT | O_EXCL | O_CLOEXEC, 0600, &attr);
		if (*queue != (mqd_t)-1) {
			mq_unlink(name);
			return DVS_OK;
		}
		if (errno != EEXIST)
			break;
	}
	return bench_fail_errno(&link->fault, "mq_open");
}

static dvs_err posix_setup(struct bench_link *link)
{
	struct posix_queues *queues = malloc(sizeof(*queues));
	dvs_err err;

	link->state = queues;
	if (!queues)
		return bench_fail_errno(&link->fault, "allocate the queues");
	queues->request = (mqd_t)-1;
	for (unsigned i = 0; i < BENCH_CLIENTS_MAX; i++)
		queues->reply[i] = (mqd_t)-1;
	err = posix_queue_open(link, REQUESTS_QUEUED, chunk_of(link->bytes), &queues->request);
	for (unsigned i = 0; err == DVS_OK && i < link->clients; i++)
		err = posix_queue_open(link, 1, sizeof(struct bench_msg), &queues->reply[i]);
	return err;
}

static void posix_teardown(struct bench_link *link)
{
	struct posix_queues *queues = link->state;

	if (!queues)
		return;
	if (queues->request != (mqd_t)-1)
		mq_close(queues->request);
	for (unsigned i = 0; i < BENCH_CLIENTS_MAX; i++)
		if (queues->reply[i] != (mqd_t)-1)
			mq_close(queues->reply[i]);
	free(queues);
	link->state = NULL;
}

static dvs_err posix_client_open(struct bench_link *link, unsigned client)
{
	struct posix_queues *queues = link->state;

	queues->self = client;
	return DVS_OK;
}

static dvs_err posix_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct posix_queues *queues = link->state;

	for (size_t done = 0; done < link->bytes; done += CHUNK_BYTES)
		if (mq_send(queues->request, (const char *)request + done,
			    chunk_of(link->bytes - done), 0) != 0)
			return bench_fail_errno(&link->fault, "mq_send");
	if (mq_receive(queues->reply[queues->self], (char *)reply, sizeof(*reply), NULL) !=
	    sizeof(*reply))
		return bench_fail_errno(&link->fault, "mq_receive");
	return DVS_OK;
}

static dvs_err posix_receive(struct bench_link *link, struct bench_request *request)
{
	struct posix_queues *queues = link->state;

	for (size_t done = 0; done < link->bytes; done += CHUNK_BYTES)
		if (mq_receive(queues->request, (char *)request->buffer + done,
			       chunk_of(link->bytes), NULL) < 0)
			return bench_fail_errno(&link->fault, "mq_receive");
	request->data = request->buffer;
	request->client = ((const struct bench_msg *)request->buffer)->client;
	return DVS_OK;
}

static dvs_err posix_reply(struct bench_link *link, unsigned client, const struct bench_msg *reply)
{
	struct posix_queues *queues = link->state;

	if (mq_send(queues->reply[client], (const char *)reply, sizeof(*reply), 0) != 0)
		return bench_fail_errno(&link->fault, "mq_send");
	return DVS_OK;
}

const struct bench_system bench_system_mq_posix = {
	.name = "mq-posix",
	.summary = "POSIX message queues",
	.class = BENCH_KERNEL,
	.patterns = BENCH_IPC_PATTERNS,
	.setup = posix_setup,
	.teardown = posix_teardown,
	.receive = posix_receive,
	.reply = posix_reply,
	.client_open = posix_client_open,
	.call = posix_call,
};

/* ---- System V ---- */

struct sysv_queues {
	int request;
	int reply;
	unsigned self; /* in a client's process */
};

/* The layout that msgsnd and msgrcv want. */
struct sysv_chunk {
	long type; /* of a request: 1; of a reply: the client's number plus 1 */
	char data[CHUNK_BYTES];
};

static dvs_err sysv_setup(struct bench_link *link)
{
	struct sysv_queues *queues = malloc(sizeof(*queues));

	link->state = queues;
	if (!queues)
		return bench_fail_errno(&link->fault, "allocate the queues");
	queues->reply = -1;
	queues->request = msgget(IPC_PRIVATE, 0600);
	if (queues->request >= 0)
		queues->reply = msgget(IPC_PRIVATE, 0600);
	if (queues->reply < 0)
		return bench_fail_errno(&link->fault, "msgget");
	return DVS_OK;
}

static void sysv_teardown(struct bench_link *link)
{
	struct sysv_queues *queues = link->state;

	if (!queues)
		return;
	if (queues->request >= 0)
		msgctl(queues->request, IPC_RMID, NULL);
	if (queues->reply >= 0)
		msgctl(queues->reply, IPC_RMID, NULL);
	free(queues);
	link->state = NULL;
}

static dvs_err sysv_client_open(struct bench_link *link, unsigned client)
{
	struct sysv_queues *queues = link->state;

	queues->self = client;
	return DVS_OK;
}

static dvs_err sysv_send(struct bench_link *link, int queue, long type, const void *data,
			 size_t bytes)
{
	struct sysv_chunk chunk;

	chunk.type = type;
	for (size_t done = 0; done < bytes; done += CHUNK_BYTES) {
		memcpy(chunk.data, (const char *)data + done, chunk_of(bytes - done));
		if (msgsnd(queue, &chunk, chunk_of(bytes - done), 0) != 0)
			return bench_fail_errno(&link->fault, "msgsnd");
	}
	return DVS_OK;
}

static dvs_err sysv_take(struct bench_link *link, int queue, long type, void *data, size_t bytes)
{
	struct sysv_chunk chunk;

	for (size_t done = 0; done < bytes; done += CHUNK_BYTES) {
		if (msgrcv(queue, &chunk, chunk_of(bytes - done), type, 0) < 0)
			return bench_fail_errno(&link->fault, "msgrcv");
		memcpy((char *)data + done, chunk.data, chunk_of(bytes - done));
	}
	return DVS_OK;
}

static dvs_err sysv_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct sysv_queues *queues = link->state;
	dvs_err err = sysv_send(link, queues->request, 1, request, link->bytes);

	if (err != DVS_OK)
		return err;
	return sysv_take(link, queues->reply, (long)queues->self + 1, reply, sizeof(*reply));
}

static dvs_err sysv_receive(struct bench_link *link, struct bench_request *request)
{
	struct sysv_queues *queues = link->state;
	dvs_err err = sysv_take(link, queues->request, 1, request->buffer, link->bytes);

	request->data = request->buffer;
	request->client = ((const struct bench_msg *)request->buffer)->client;
	return err;
}

static dvs_err sysv_reply(struct bench_link *link, unsigned client, const struct bench_msg *reply)
{
	struct sysv_queues *queues = link->state;

	return sysv_send(link, queues->reply, (long)client + 1, reply, sizeof(*reply));
}

const struct bench_system bench_system_mq_sysv = {
	.name = "mq-sysv",
	.summary = "System V message queues",
	.class = BENCH_KERNEL,
	.patterns = BENCH_IPC_PATTERNS,
	.setup = sysv_setup,
	.teardown = sysv_teardown,
	.receive = sysv_receive,
	.reply = sysv_reply,
	.client_open = sysv_client_open,
	.call = sysv_call,
};
