/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/sock.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

dvs_err sock_setup(struct bench_link *link, size_t chunk_bytes,
		   dvs_err (*connect_pair)(struct bench_link *link, int *client_fd, int *server_fd))
{
	struct sock *sock = calloc(1, sizeof(*sock));
	dvs_err err = DVS_OK;

	link->state = sock;
	if (!sock)
		return bench_fail_errno(&link->fault, "allocate the sockets");
	sock->chunk_bytes = chunk_bytes;
	sock->epoll_fd = -1;
	for (unsigned i = 0; i < BENCH_CLIENTS_MAX; i++)
		sock->client_fd[i] = sock->server_fd[i] = -1;
	for (unsigned i = 0; err == DVS_OK && i < link->clients; i++)
		err = connect_pair(link, &sock->client_fd[i], &sock->server_fd[i]);
	return err;
}

void sock_teardown(struct bench_link *link)
{
	struct sock *sock = link->state;

	if (!sock)
		return;
	for (unsigned i = 0; i < BENCH_CLIENTS_MAX; i++) {
		if (sock->client_fd[i] >= 0)
			close(sock->client_fd[i]);
		if (sock->server_fd[i] >= 0)
			close(sock->server_fd[i]);
	}
	free(sock);
	link->state = NULL;
}

dvs_err sock_server_open(struct bench_link *link)
{
	struct sock *sock = link->state;

	if (link->clients == 1)
		return DVS_OK;
	sock->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (sock->epoll_fd < 0)
		return bench_fail_errno(&link->fault, "epoll_create1");
	for (unsigned i = 0; i < link->clients; i++) {
		struct epoll_event event = { .events = EPOLLIN, .data.u32 = i };

		if (epoll_ctl(sock->epoll_fd, EPOLL_CTL_ADD, sock->server_fd[i], &event) != 0)
			return bench_fail_errno(&link->fault, "epoll_ctl");
	}
	return DVS_OK;
}

dvs_err sock_client_open(struct bench_link *link, unsigned client)
{
	struct sock *sock = link->state;

	sock->self = client;
	return DVS_OK;
}

static size_t chunk_of(const struct sock *sock, size_t left_bytes)
{
	return left_bytes < sock->chunk_bytes ? left_bytes : sock->chunk_bytes;
}

static dvs_err send_all(struct bench_link *link, int fd, const void *data, size_t bytes)
{
	struct sock *sock = link->state;
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = send(fd, (const char *)data + done, chunk_of(sock, bytes - done),
				 MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return bench_fail_errno(&link->fault, "send");
		done += n > 0 ? (size_t)n : 0;
	}
	return DVS_OK;
}

static dvs_err receive_all(struct bench_link *link, int fd, void *data, size_t bytes)
{
	struct sock *sock = link->state;
	size_t done = 0;

	while (done < bytes) {
		ssize_t n =
			recv(fd, (char *)data + done, chunk_of(sock, bytes - done), MSG_WAITALL);

		if (n == 0)
			return bench_fail(&link->fault, DVS_IO,
					  "recv: the other side closed the connection");
		if (n < 0 && errno != EINTR)
			return bench_fail_errno(&link->fault, "recv");
		done += n > 0 ? (size_t)n : 0;
	}
	return DVS_OK;
}

dvs_err sock_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct sock *sock = link->state;
	int fd = sock->client_fd[sock->self];
	dvs_err err = send_all(link, fd, request, link->bytes);

	return err == DVS_OK ? receive_all(link, fd, reply, sizeof(*reply)) : err;
}

/* Which client has something to say; takes all that are ready at a time. */
static dvs_err next_client(struct bench_link *link, unsigned *client)
{
	struct sock *sock = link->state;

	if (link->clients == 1) {
		*client = 0;
		return DVS_OK;
	}
	while (sock->ready_next >= sock->ready_count) {
		sock->ready_next = 0;
		sock->ready_count = epoll_wait(sock->epoll_fd, sock->ready, BENCH_CLIENTS_MAX, -1);
		if (sock->ready_count < 0 && errno != EINTR)
			return bench_fail_errno(&link->fault, "epoll_wait");
	}
	*client = sock->ready[sock->ready_next++].data.u32;
	return DVS_OK;
}

dvs_err sock_receive(struct bench_link *link, struct bench_request *request)
{
	struct sock *sock = link->state;
	dvs_err err = next_client(link, &request->client);

	if (err != DVS_OK)
		return err;
	request->data = request->buffer;
	return receive_all(link, sock->server_fd[request->client], request->buffer, link->bytes);
}

dvs_err sock_reply(struct bench_link *link, unsigned client, const struct bench_msg *reply)
{
	struct sock *sock = link->state;

	return send_all(link, sock->server_fd[client], reply, sizeof(*reply));
}
