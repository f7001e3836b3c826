/* SPDX-License-Identifier: Apache-2.0 */
/* Reliable streams over UDP, by libsrt, which goes on where UDT ended (docs/decisions/0012). Ports are used as by TCP. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <srt/srt.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/session.h"
#include "proxy/transport/address.h"

#define BACKLOG 32
#define TICK_MS 500
/* What may be under way, in bytes and in packets. */
#define WINDOW_BYTES (8 << 20)
#define WINDOW_PACKETS 8192
#define UDP_BUFFER_BYTES (4 << 20)

struct udp {
	struct transport transport;
	SRTSOCKET listener; /* SRT_INVALID_SOCK: none yet */
	int events;	    /* of the accepting thread; -1: none */
	uint32_t port;
	const char *peer_address;
	const char *own_address;
};

struct udp_stream {
	struct stream stream;
	SRTSOCKET socket;
	_Atomic bool is_shut;
	struct link_figures *figures;
};

static bool udp_send(struct stream *stream, struct iovec *pieces, size_t n)
{
	struct udp_stream *udp = CONTAINER_OF(stream, struct udp_stream, stream);

	while (n > 0) {
		size_t len = pieces->iov_len < WINDOW_BYTES ? pieces->iov_len : WINDOW_BYTES;
		int sent = srt_send(udp->socket, pieces->iov_base, (int)len);

		if (sent == SRT_ERROR)
			return false;
		atomic_fetch_add_explicit(&udp->figures->writes, 1, memory_order_relaxed);
		atomic_fetch_add_explicit(&udp->figures->bytes_out, (uint64_t)sent,
					  memory_order_relaxed);
		stream_advance(&pieces, &n, (size_t)sent);
	}
	return true;
}

static ssize_t udp_receive(struct stream *stream, const struct iovec *room, size_t n,
			   uint64_t deadline_ns)
{
	struct udp_stream *udp = CONTAINER_OF(stream, struct udp_stream, stream);
	size_t len = room[0].iov_len < WINDOW_BYTES ? room[0].iov_len : WINDOW_BYTES;

	(void)n;
	for (;;) {
		int got = srt_recv(udp->socket, room[0].iov_base, (int)len);
		int error;

		if (got >= 0) {
			atomic_fetch_add_explicit(&udp->figures->bytes_in, (uint64_t)got,
						  memory_order_relaxed);
			return got;
		}
		error = srt_getlasterror(NULL);
		if (error == SRT_ETIMEOUT || error == SRT_EASYNCRCV) {
			if (clock_is_past(deadline_ns))
				return STREAM_LATE;
			continue;
		}
		if (error == SRT_ECONNLOST || error == SRT_ENOCONN || error == SRT_EINVSOCK)
			return STREAM_END;
		stream_say(stream, "%s", srt_strerror(error, 0));
		return STREAM_BROKEN;
	}
}

static bool udp_can_send(struct stream *stream)
{
	struct udp_stream *udp = CONTAINER_OF(stream, struct udp_stream, stream);
	int32_t events = 0;
	int len = sizeof(events);

	return srt_getsockflag(udp->socket, SRTO_EVENT, &events, &len) == 0 &&
	       (events & SRT_EPOLL_OUT);
}

/* libsrt numbers its sockets anew each time: one that is closed is only refused to those who still ask for it. */
static void udp_shut(struct stream *stream)
{
	struct udp_stream *udp = CONTAINER_OF(stream, struct udp_stream, stream);

	if (!atomic_exchange(&udp->is_shut, true))
		(void)srt_close(udp->socket);
}

static void udp_stream_close(struct stream *stream)
{
	udp_shut(stream);
	free(CONTAINER_OF(stream, struct udp_stream, stream));
}

static const struct stream_ops udp_stream_ops = {
	.send = udp_send,
	.receive = udp_receive,
	.can_send = udp_can_send,
	.shut = udp_shut,
	.close = udp_stream_close,
};

static bool udp_set(SRTSOCKET socket, SRT_SOCKOPT option, int value)
{
	return srt_setsockflag(socket, option, &value, sizeof(value)) == 0;
}

/* Options that must stand before the connection, of listeners for those whom they accept. */
static SRTSOCKET udp_socket(void)
{
	SRTSOCKET socket = srt_create_socket();
	const bool no = false;

	if (socket == SRT_INVALID_SOCK)
		return socket;
	/* As a file is sent: all of it, in order, as fast as it goes. */
	if (udp_set(socket, SRTO_TRANSTYPE, SRTT_FILE) &&
	    srt_setsockflag(socket, SRTO_MESSAGEAPI, &no, sizeof(no)) == 0 &&
	    udp_set(socket, SRTO_FC, WINDOW_PACKETS) &&
	    udp_set(socket, SRTO_SNDBUF, WINDOW_BYTES) &&
	    udp_set(socket, SRTO_RCVBUF, WINDOW_BYTES) &&
	    udp_set(socket, SRTO_UDP_SNDBUF, UDP_BUFFER_BYTES) &&
	    udp_set(socket, SRTO_UDP_RCVBUF, UDP_BUFFER_BYTES) &&
	    udp_set(socket, SRTO_PEERIDLETIMEO, (int)SESSION_SILENCE_MS) &&
	    udp_set(socket, SRTO_CONNTIMEO, (int)SESSION_GREET_MS) &&
	    srt_setsockflag(socket, SRTO_LINGER, &(struct linger){ 0, 0 }, sizeof(struct linger)) ==
		    0 &&
	    srt_setsockflag(socket, SRTO_RCVSYN, &no, sizeof(no)) == 0)
		return socket;
	(void)srt_close(socket);
	return SRT_INVALID_SOCK;
}

/* Takes the connected SOCKET. */
static dvs_err udp_stream_new(SRTSOCKET socket, struct link_figures *figures,
			      struct stream **stream, char *text, size_t text_bytes)
{
	struct udp_stream *udp = calloc(1, sizeof(*udp));
	const bool yes = true;

	if (!udp || srt_setsockflag(socket, SRTO_RCVSYN, &yes, sizeof(yes)) != 0 ||
	    srt_setsockflag(socket, SRTO_SNDSYN, &yes, sizeof(yes)) != 0 ||
	    !udp_set(socket, SRTO_RCVTIMEO, TICK_MS)) {
		snprintf(text, text_bytes, "%s", udp ? srt_getlasterror_str() : "no memory");
		(void)srt_close(socket);
		free(udp);
		return DVS_IO;
	}
	udp->stream.ops = &udp_stream_ops;
	udp->socket = socket;
	udp->figures = figures;
	*stream = &udp->stream;
	return DVS_OK;
}

/* Until SOCKET is ready, or the transport is stopped. */
static dvs_err udp_wait(int events, SRTSOCKET socket, uint64_t deadline_ns)
{
	SRTSOCKET in[2] = { SRT_INVALID_SOCK, SRT_INVALID_SOCK };
	SRTSOCKET out[2] = { SRT_INVALID_SOCK, SRT_INVALID_SOCK };
	SYSSOCKET stop[1];
	int n_in = 2;
	int n_out = 2;
	int n_stop = 1;

	if (srt_epoll_wait(events, in, &n_in, out, &n_out, clock_poll_ms(deadline_ns), stop,
			   &n_stop, NULL, NULL) < 0)
		return DVS_TIMEOUT;
	if (n_stop > 0)
		return DVS_TIMEOUT;
	return (n_in > 0 && in[0] == socket) || (n_out > 0 && out[0] == socket) ? DVS_OK :
										  DVS_TIMEOUT;
}

/* A descriptor to wait with: for EVENTS of SOCKET and for the stop. -1: none. */
static int udp_events(const struct udp *udp, SRTSOCKET socket, int what)
{
	int events = srt_epoll_create();
	int stop = SRT_EPOLL_IN;

	if (events < 0)
		return -1;
	if (srt_epoll_add_ssock(events, udp->transport.stop_fd, &stop) == 0 &&
	    srt_epoll_add_usock(events, socket, &what) == 0)
		return events;
	(void)srt_epoll_release(events);
	return -1;
}

static SRTSOCKET udp_listen_at(const struct address *address)
{
	SRTSOCKET socket = udp_socket();

	if (socket == SRT_INVALID_SOCK)
		return socket;
	if (srt_bind(socket, (const struct sockaddr *)&address->at, (int)address->bytes) == 0 &&
	    srt_listen(socket, BACKLOG) == 0)
		return socket;
	(void)srt_close(socket);
	return SRT_INVALID_SOCK;
}

static dvs_err udp_listen(struct udp *udp, char *text, size_t text_bytes)
{
	struct address address;
	dvs_err err;

	err = address_find(udp->own_address[0] ? udp->own_address : "0.0.0.0", udp->port, &address,
			   text, text_bytes);
	if (err != DVS_OK)
		return err;
	udp->listener = udp_listen_at(&address);
	if (udp->listener == SRT_INVALID_SOCK) {
		/* The address is not this machine's (yet), or is that of a router before it. */
		address_any(&address);
		udp->listener = udp_listen_at(&address);
	}
	if (udp->listener != SRT_INVALID_SOCK)
		udp->events = udp_events(udp, udp->listener, SRT_EPOLL_IN | SRT_EPOLL_ERR);
	if (udp->listener != SRT_INVALID_SOCK && udp->events >= 0)
		return DVS_OK;
	snprintf(text, text_bytes, "cannot listen at UDP port %u: %s", udp->port,
		 srt_getlasterror_str());
	if (udp->listener != SRT_INVALID_SOCK)
		(void)srt_close(udp->listener);
	udp->listener = SRT_INVALID_SOCK;
	return DVS_IO;
}

static dvs_err udp_accept(struct transport *transport, uint64_t deadline_ns, struct stream **stream,
			  bool *known, char *text, size_t text_bytes)
{
	struct udp *udp = CONTAINER_OF(transport, struct udp, transport);
	struct sockaddr_storage from = { .ss_family = AF_UNSPEC };
	int from_bytes = sizeof(from);
	struct address peer;
	SRTSOCKET socket;
	dvs_err err;

	if (udp->listener == SRT_INVALID_SOCK) {
		err = udp_listen(udp, text, text_bytes);
		if (err != DVS_OK)
			return err;
	}
	err = udp_wait(udp->events, udp->listener, deadline_ns);
	if (err != DVS_OK)
		return err;
	socket = srt_accept(udp->listener, (struct sockaddr *)&from, &from_bytes);
	if (socket == SRT_INVALID_SOCK) {
		if (srt_getlasterror(NULL) == SRT_EASYNCRCV)
			return DVS_TIMEOUT;
		snprintf(text, text_bytes, "cannot accept connections: %s", srt_getlasterror_str());
		return DVS_IO;
	}
	*known = address_find(udp->peer_address, udp->port, &peer, text, text_bytes) == DVS_OK &&
		 address_same_host(&from, &peer.at);
	return udp_stream_new(socket, transport->figures, stream, text, text_bytes);
}

static dvs_err udp_connect(struct transport *transport, uint64_t deadline_ns,
			   struct stream **stream, char *text, size_t text_bytes)
{
	struct udp *udp = CONTAINER_OF(transport, struct udp, transport);
	SRTSOCKET socket = SRT_INVALID_SOCK;
	struct address peer;
	int events = -1;
	dvs_err err;

	err = address_find(udp->peer_address, udp->port, &peer, text, text_bytes);
	if (err != DVS_OK)
		return err;
	socket = udp_socket();
	if (socket != SRT_INVALID_SOCK)
		events = udp_events(udp, socket, SRT_EPOLL_OUT | SRT_EPOLL_ERR);
	if (events < 0 ||
	    srt_connect(socket, (const struct sockaddr *)&peer.at, (int)peer.bytes) == SRT_ERROR) {
		snprintf(text, text_bytes, "%s", srt_getlasterror_str());
		err = DVS_IO;
	} else {
		err = udp_wait(events, socket, deadline_ns);
		if (err == DVS_OK && srt_getsockstate(socket) != SRTS_CONNECTED)
			err = DVS_IO;
		if (err != DVS_OK)
			snprintf(text, text_bytes, "no answer");
	}
	if (events >= 0)
		(void)srt_epoll_release(events);
	if (err == DVS_OK)
		return udp_stream_new(socket, transport->figures, stream, text, text_bytes);
	if (socket != SRT_INVALID_SOCK)
		(void)srt_close(socket);
	return err;
}

static void udp_close(struct transport *transport)
{
	struct udp *udp = CONTAINER_OF(transport, struct udp, transport);

	if (udp->events >= 0)
		(void)srt_epoll_release(udp->events);
	if (udp->listener != SRT_INVALID_SOCK)
		(void)srt_close(udp->listener);
	transport_end(transport);
	free(udp);
	/* Counted: the last one ends libsrt's threads. */
	(void)srt_cleanup();
}

/* libsrt would write to our standard error. */
static void udp_no_log(void *opaque, int level, const char *file, int line, const char *area,
		       const char *message)
{
	(void)opaque;
	(void)level;
	(void)file;
	(void)line;
	(void)area;
	(void)message;
}

static bool udp_start(void)
{
	sigset_t all;
	sigset_t before;
	bool is_started;

	sigfillset(&all);
	/* Its threads are to leave our signals alone. */
	(void)pthread_sigmask(SIG_SETMASK, &all, &before);
	is_started = srt_startup() >= 0;
	(void)pthread_sigmask(SIG_SETMASK, &before, NULL);
	srt_setloghandler(NULL, udp_no_log);
	return is_started;
}

static dvs_err udp_open(const struct transport_setup *setup, struct transport **transport,
			char *text, size_t text_bytes)
{
	struct udp *udp = calloc(1, sizeof(*udp));
	uint32_t higher = setup->node > setup->peer ? setup->node : setup->peer;

	if (!udp || !transport_begin(&udp->transport, &transport_udp, setup)) {
		snprintf(text, text_bytes, "no memory or no descriptor");
		free(udp);
		return DVS_NOMEM;
	}
	if (!udp_start()) {
		snprintf(text, text_bytes, "libsrt does not start: %s", srt_getlasterror_str());
		transport_end(&udp->transport);
		free(udp);
		return DVS_IO;
	}
	udp->listener = SRT_INVALID_SOCK;
	udp->events = -1;
	udp->port = setup->config->port + higher;
	udp->peer_address = setup->address;
	udp->own_address = setup->config->address;
	*transport = &udp->transport;
	return DVS_OK;
}

const struct transport_ops transport_udp = {
	.name = "udp",
	.open = udp_open,
	.accept = udp_accept,
	.connect = udp_connect,
	.close = udp_close,
};
