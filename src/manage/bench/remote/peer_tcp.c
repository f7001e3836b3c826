/* SPDX-License-Identifier: Apache-2.0 */
/* tcp: a connection per client. tcp-batch: one connection for all of them, on which what is there goes out in one
 * piece: the limit of what batching can win over TCP. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "manage/bench/remote/peers.h"

/* ---- tcp ---- */

struct tcp {
	int listener;
	int epoll_fd;
	unsigned connected;
	int fd[BENCH_CLIENTS_MAX];
	struct epoll_event ready[BENCH_CLIENTS_MAX + 1];
	int n_ready;
	int next;
	int self; /* the client's */
};

enum { LISTENER = BENCH_CLIENTS_MAX };

static dvs_err tcp_setup(struct bench_link *link)
{
	return peer_state_make(link, sizeof(struct tcp));
}

static dvs_err watch(struct bench_link *link, int fd, uint32_t index)
{
	struct tcp *tcp = link->state;
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = index };

	if (epoll_ctl(tcp->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		return bench_fail_errno(&link->fault, "epoll_ctl");
	return DVS_OK;
}

static dvs_err tcp_server_open(struct bench_link *link)
{
	struct tcp *tcp = link->state;

	tcp->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (tcp->epoll_fd < 0)
		return bench_fail_errno(&link->fault, "epoll_create1");
	tcp->listener = peer_listen(link);
	return tcp->listener < 0 ? DVS_IO : watch(link, tcp->listener, LISTENER);
}

static dvs_err tcp_client_open(struct bench_link *link, unsigned client)
{
	struct tcp *tcp = link->state;
	struct sockaddr_in address;

	(void)client;
	tcp->self = peer_connect(link, &address);
	return tcp->self < 0 ? DVS_IO : DVS_OK;
}

static dvs_err tcp_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct tcp *tcp = link->state;
	dvs_err err = peer_send_all(link, tcp->self, request, link->bytes);

	return err == DVS_OK ? peer_receive_all(link, tcp->self, reply, sizeof(*reply)) : err;
}

static dvs_err take_client(struct bench_link *link)
{
	struct tcp *tcp = link->state;
	int fd;

	if (tcp->connected == link->clients)
		return bench_fail(&link->fault, DVS_IO, "a connection too many");
	fd = peer_accept(link, tcp->listener);
	if (fd < 0)
		return DVS_IO;
	tcp->fd[tcp->connected] = fd;
	return watch(link, fd, tcp->connected++);
}

static dvs_err forget_client(struct bench_link *link, unsigned client)
{
	struct tcp *tcp = link->state;

	if (link->clients == 1)
		return bench_fail(&link->fault, DVS_IO, "the client closed the connection");
	close(tcp->fd[client]); /* which takes it out of the epoll set */
	return DVS_OK;
}

/* The next connection with something to say, all that are ready at a time. When there is but one client, it is not
 * asked who speaks. */
static dvs_err next_ready(struct bench_link *link, unsigned *index)
{
	struct tcp *tcp = link->state;
	dvs_err err = DVS_OK;

	if (link->clients == 1 && tcp->connected == 1) {
		*index = 0;
		return DVS_OK;
	}
	while (err == DVS_OK) {
		if (tcp->next < tcp->n_ready) {
			*index = tcp->ready[tcp->next++].data.u32;
			if (*index != LISTENER)
				return DVS_OK;
			err = take_client(link);
			continue;
		}
		tcp->next = 0;
		tcp->n_ready = epoll_wait(tcp->epoll_fd, tcp->ready, BENCH_CLIENTS_MAX + 1, -1);
		if (tcp->n_ready < 0 && errno != EINTR)
			return bench_fail_errno(&link->fault, "epoll_wait");
	}
	return err;
}

/* Clients have the numbers in which they connected. One that is done closes, while others go on. */
static dvs_err tcp_receive(struct bench_link *link, struct bench_request *request)
{
	struct tcp *tcp = link->state;
	size_t got = 0;
	dvs_err err = DVS_OK;

	while (err == DVS_OK && got == 0) {
		err = next_ready(link, &request->client);
		if (err == DVS_OK)
			err = peer_receive_some(link, tcp->fd[request->client], request->buffer,
						link->bytes, &got);
		if (err == DVS_OK && got == 0)
			err = forget_client(link, request->client);
	}
	request->data = request->buffer;
	if (err != DVS_OK || got == link->bytes)
		return err;
	return peer_receive_all(link, tcp->fd[request->client], (char *)request->buffer + got,
				link->bytes - got);
}

static dvs_err tcp_reply(struct bench_link *link, unsigned client, const struct bench_msg *reply)
{
	struct tcp *tcp = link->state;

	return peer_send_all(link, tcp->fd[client], reply, sizeof(*reply));
}

const struct bench_system bench_peer_tcp = {
	.name = "tcp",
	.summary = "a TCP connection per client, without delay",
	.class = BENCH_KERNEL,
	.patterns = PEER_MESSAGES,
	.setup = tcp_setup,
	.teardown = peer_teardown,
	.server_open = tcp_server_open,
	.receive = tcp_receive,
	.reply = tcp_reply,
	.client_open = tcp_client_open,
	.call = tcp_call,
};

/* ---- tcp-batch ---- */

struct batch {
	int listener;
	int fd;
	size_t in; /* bytes that came, of which DONE are taken */
	size_t done;
	size_t out; /* messages that wait to go */
	struct bench_msg received[BENCH_CLIENTS_MAX];
	struct bench_msg sent[BENCH_CLIENTS_MAX];
};

static dvs_err batch_setup(struct bench_link *link)
{
	dvs_err err = peer_state_make(link, sizeof(struct batch));

	if (err == DVS_OK)
		((struct batch *)link->state)->fd = -1;
	return err;
}

static dvs_err batch_server_open(struct bench_link *link)
{
	struct batch *batch = link->state;

	batch->listener = peer_listen(link);
	return batch->listener < 0 ? DVS_IO : DVS_OK;
}

static dvs_err batch_client_open(struct bench_link *link, unsigned client)
{
	struct batch *batch = link->state;
	struct sockaddr_in address;

	(void)client;
	batch->fd = peer_connect(link, &address);
	return batch->fd < 0 ? DVS_IO : DVS_OK;
}

/* One call of each client: REQUEST with the number of each in turn. */
static dvs_err batch_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct batch *batch = link->state;
	const struct bench_msg *first = request;
	dvs_err err;

	for (unsigned i = 0; i < link->clients; i++)
		bench_msg_fill(&batch->sent[i], i, (enum bench_kind)first->kind, first->seq);
	err = peer_send_all(link, batch->fd, batch->sent, link->clients * sizeof(*reply));
	if (err == DVS_OK)
		err = peer_receive_all(link, batch->fd, batch->received,
				       link->clients * sizeof(*reply));
	for (unsigned i = 0; err == DVS_OK && i < link->clients; i++)
		if (batch->received[i].client != i ||
		    !bench_msg_check(&batch->received[i], first->seq))
			err = bench_fail(&link->fault, DVS_IO, "the reply to client %u is damaged",
					 i);
	*reply = batch->received[0];
	return err;
}

/* Read what is there, all at once; what stands half in the buffer is moved to its front. */
static dvs_err batch_fill(struct bench_link *link)
{
	struct batch *batch = link->state;
	ssize_t n;

	memmove(batch->received, (const char *)batch->received + batch->done,
		batch->in - batch->done);
	batch->in -= batch->done;
	batch->done = 0;
	n = recv(batch->fd, (char *)batch->received + batch->in,
		 sizeof(batch->received) - batch->in, 0);
	if (n == 0)
		return bench_fail(&link->fault, DVS_IO,
				  "recv: the other side closed the connection");
	if (n < 0 && errno != EINTR)
		return bench_fail_errno(&link->fault, "recv");
	batch->in += n > 0 ? (size_t)n : 0;
	return DVS_OK;
}

static dvs_err batch_flush(struct bench_link *link)
{
	struct batch *batch = link->state;
	size_t bytes = batch->out * sizeof(struct bench_msg);

	batch->out = 0;
	return bytes ? peer_send_all(link, batch->fd, batch->sent, bytes) : DVS_OK;
}

static dvs_err batch_receive(struct bench_link *link, struct bench_request *request)
{
	struct batch *batch = link->state;
	dvs_err err = DVS_OK;

	if (batch->fd < 0)
		batch->fd = peer_accept(link, batch->listener);
	if (batch->fd < 0)
		return DVS_IO;
	if (batch->in - batch->done < sizeof(struct bench_msg))
		err = batch_flush(link);
	while (err == DVS_OK && batch->in - batch->done < sizeof(struct bench_msg))
		err = batch_fill(link);
	if (err != DVS_OK)
		return err;
	memcpy(request->buffer, (const char *)batch->received + batch->done,
	       sizeof(struct bench_msg));
	batch->done += sizeof(struct bench_msg);
	request->client = ((const struct bench_msg *)request->buffer)->client;
	request->data = request->buffer;
	return DVS_OK;
}

static dvs_err batch_reply(struct bench_link *link, unsigned client, const struct bench_msg *reply)
{
	struct batch *batch = link->state;

	batch->sent[batch->out] = *reply;
	batch->sent[batch->out].client = client;
	return ++batch->out == BENCH_CLIENTS_MAX ? batch_flush(link) : DVS_OK;
}

/* The last replies are still here when the server has seen the end of all clients. */
static void batch_leave(struct bench_link *link)
{
	(void)!batch_flush(link);
}

const struct bench_system bench_peer_tcp_batch = {
	.name = "tcp-batch",
	.summary = "one TCP connection of one process for all clients, all in one piece",
	.class = BENCH_LIMIT,
	.patterns = 1u << BENCH_REMOTE_FAN_IN,
	.crowd = true,
	.setup = batch_setup,
	.teardown = peer_teardown,
	.server_open = batch_server_open,
	.receive = batch_receive,
	.reply = batch_reply,
	.client_open = batch_client_open,
	.call = batch_call,
	.leave = batch_leave,
};
