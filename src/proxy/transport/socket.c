/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/transport/socket.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"

/* The kernel takes no more pieces at once (UIO_MAXIOV). */
#define PIECES_AT_ONCE 1024u

struct socket {
	struct stream stream;
	int fd;
	struct link_figures *figures;
};

static bool socket_send(struct stream *stream, struct iovec *pieces, size_t n)
{
	struct socket *socket = CONTAINER_OF(stream, struct socket, stream);

	while (n > 0) {
		struct msghdr message = {
			.msg_iov = pieces,
			.msg_iovlen = n < PIECES_AT_ONCE ? n : PIECES_AT_ONCE,
		};
		ssize_t sent = sendmsg(socket->fd, &message, MSG_NOSIGNAL);

		if (sent < 0) {
			if (errno == EINTR)
				continue;
			return false;
		}
		atomic_fetch_add_explicit(&socket->figures->writes, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&socket->figures->bytes_out, (uint64_t)sent,
					  memory_order_relaxed);
		stream_advance(&pieces, &n, (size_t)sent);
	}
	return true;
}

static ssize_t socket_receive(struct stream *stream, const struct iovec *room, size_t n,
			      uint64_t deadline_ns)
{
	struct socket *socket = CONTAINER_OF(stream, struct socket, stream);
	/* The kernel does not change them. */
	struct msghdr message = { .msg_iov = (struct iovec *)(uintptr_t)room, .msg_iovlen = n };

	for (;;) {
		ssize_t got =
			recvmsg(socket->fd, &message, deadline_ns == STREAM_NOW ? MSG_DONTWAIT : 0);

		if (got > 0)
			atomic_fetch_add_explicit(&socket->figures->bytes_in, (uint64_t)got,
						  memory_order_relaxed);
		if (got >= 0)
			return got;
		if (errno == EAGAIN || errno == EINTR) {
			if (clock_is_past(deadline_ns))
				return STREAM_LATE;
			continue;
		}
		stream_say(stream, "%s", strerror(errno));
		return STREAM_BROKEN;
	}
}

static bool socket_can_send(struct stream *stream)
{
	struct socket *socket = CONTAINER_OF(stream, struct socket, stream);
	struct pollfd wait = { .fd = socket->fd, .events = POLLOUT };

	return poll(&wait, 1, 0) == 1 && (wait.revents & POLLOUT);
}

static void socket_shut(struct stream *stream)
{
	struct socket *socket = CONTAINER_OF(stream, struct socket, stream);

	(void)shutdown(socket->fd, SHUT_RDWR);
}

static int socket_cpu(struct stream *stream)
{
	struct socket *socket = CONTAINER_OF(stream, struct socket, stream);
	socklen_t bytes = sizeof(int);
	int cpu = -1;

	return getsockopt(socket->fd, SOL_SOCKET, SO_INCOMING_CPU, &cpu, &bytes) == 0 ? cpu : -1;
}

static void socket_close(struct stream *stream)
{
	struct socket *socket = CONTAINER_OF(stream, struct socket, stream);

	close(socket->fd);
	free(socket);
}

static const struct stream_ops socket_ops = {
	.send = socket_send,
	.receive = socket_receive,
	.can_send = socket_can_send,
	.shut = socket_shut,
	.cpu = socket_cpu,
	.close = socket_close,
};

struct stream *socket_stream(int fd, struct link_figures *figures)
{
	struct timeval tick = { .tv_sec = 0, .tv_usec = SOCKET_TICK_MS * 1000 };
	struct socket *socket = calloc(1, sizeof(*socket));
	int flags = fcntl(fd, F_GETFL);

	if (!socket || flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0 ||
	    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &tick, sizeof(tick)) < 0) {
		free(socket);
		close(fd);
		return NULL;
	}
	socket->stream.ops = &socket_ops;
	socket->fd = fd;
	socket->figures = figures;
	return &socket->stream;
}

dvs_err socket_wait(const struct transport *transport, int fd, short events, uint64_t deadline_ns)
{
	for (;;) {
		struct pollfd wait[] = {
			{ .fd = fd, .events = events },
			{ .fd = transport->stop_fd, .events = POLLIN },
		};
		int ready = poll(wait, ARRAY_LEN(wait), clock_poll_ms(deadline_ns));

		if (ready == 0 || (ready > 0 && wait[1].revents))
			return DVS_TIMEOUT;
		if (ready > 0)
			return DVS_OK;
		if (errno != EINTR)
			return dvs_from_errno(errno);
	}
}

dvs_err socket_accept(const struct transport *transport, int listener, uint64_t deadline_ns,
		      int *fd, struct sockaddr_storage *from)
{
	for (;;) {
		socklen_t from_bytes = sizeof(*from);
		dvs_err err;

		memset(from, 0, sizeof(*from));
		*fd = accept4(listener, (struct sockaddr *)from, &from_bytes,
			      SOCK_CLOEXEC | SOCK_NONBLOCK);
		if (*fd >= 0)
			return DVS_OK;
		/* Those who gave up before we came are no reason to stop. */
		if (errno == ECONNABORTED || errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return dvs_from_errno(errno);
		err = socket_wait(transport, listener, POLLIN, deadline_ns);
		if (err != DVS_OK)
			return err;
	}
}

dvs_err socket_connect(const struct transport *transport, int fd, const struct sockaddr *to,
		       socklen_t to_bytes, uint64_t deadline_ns, char *text, size_t text_bytes)
{
	int failure = 0;
	socklen_t failure_bytes = sizeof(failure);
	dvs_err err;

	if (connect(fd, to, to_bytes) == 0)
		return DVS_OK;
	if (errno != EINPROGRESS && errno != EINTR) {
		snprintf(text, text_bytes, "%s", strerror(errno));
		return dvs_from_errno(errno);
	}
	err = socket_wait(transport, fd, POLLOUT, deadline_ns);
	if (err != DVS_OK) {
		snprintf(text, text_bytes, "no answer");
		return err;
	}
	if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &failure, &failure_bytes) < 0)
		failure = errno;
	if (failure == 0)
		return DVS_OK;
	snprintf(text, text_bytes, "%s", strerror(failure));
	return dvs_from_errno(failure);
}
