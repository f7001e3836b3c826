/* SPDX-License-Identifier: Apache-2.0 */
/* TCP. For peer n, the node with the lower number listens at the configured port + n. */
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "proxy/session.h"
#include "proxy/transport/address.h"
#include "proxy/transport/socket.h"

#define BACKLOG 32

struct tcp {
	struct transport transport;
	int listener; /* -1: none yet; of the accepting thread */
	uint32_t port;
	const char *peer_address;
	const char *own_address;
};

static dvs_err tcp_open(const struct transport_setup *setup, struct transport **transport,
			char *text, size_t text_bytes)
{
	struct tcp *tcp = calloc(1, sizeof(*tcp));
	uint32_t higher = setup->node > setup->peer ? setup->node : setup->peer;

	if (!tcp || !transport_begin(&tcp->transport, &transport_tcp, setup)) {
		snprintf(text, text_bytes, "no memory or no descriptor");
		free(tcp);
		return DVS_NOMEM;
	}
	tcp->listener = -1;
	tcp->port = setup->config->port + higher;
	tcp->peer_address = setup->address;
	tcp->own_address = setup->config->address;
	*transport = &tcp->transport;
	return DVS_OK;
}

/* What fails here costs speed, not correctness. */
static void tcp_tune(int fd)
{
	unsigned int timeout_ms = SESSION_SILENCE_MS;

	(void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	(void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &timeout_ms, sizeof(timeout_ms));
	/* bbr, the default of some systems, paces what goes out: slower where the network is close. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, "cubic", sizeof("cubic") - 1);
}

static dvs_err tcp_listen_at(const struct address *address, int *listener)
{
	AUTO_CLOSE int fd =
		socket(address->at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

	if (fd < 0)
		return dvs_from_errno(errno);
	if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &(int){ 1 }, sizeof(int)) < 0 ||
	    bind(fd, (const struct sockaddr *)&address->at, address->bytes) < 0 ||
	    listen(fd, BACKLOG) < 0)
		return dvs_from_errno(errno);
	*listener = take_fd(&fd);
	return DVS_OK;
}

static dvs_err tcp_listen(struct tcp *tcp, char *text, size_t text_bytes)
{
	struct address address;
	dvs_err err;

	err = address_find(tcp->own_address[0] ? tcp->own_address : "0.0.0.0", tcp->port, &address,
			   text, text_bytes);
	if (err != DVS_OK)
		return err;
	err = tcp_listen_at(&address, &tcp->listener);
	if (err != DVS_OK && errno == EADDRNOTAVAIL) {
		/* The address is not this machine's (yet), or is that of a router before it. */
		address_any(&address);
		err = tcp_listen_at(&address, &tcp->listener);
	}
	if (err != DVS_OK)
		snprintf(text, text_bytes, "cannot listen at port %u: %s", tcp->port,
			 strerror(errno));
	return err;
}

static dvs_err tcp_accept(struct transport *transport, uint64_t deadline_ns, struct stream **stream,
			  bool *known, char *text, size_t text_bytes)
{
	struct tcp *tcp = CONTAINER_OF(transport, struct tcp, transport);
	struct sockaddr_storage from;
	struct address peer;
	dvs_err err;
	int fd;

	if (tcp->listener < 0) {
		err = tcp_listen(tcp, text, text_bytes);
		if (err != DVS_OK)
			return err;
	}
	err = socket_accept(transport, tcp->listener, deadline_ns, &fd, &from);
	if (err == DVS_TIMEOUT)
		return err;
	if (err != DVS_OK) {
		snprintf(text, text_bytes, "cannot accept connections: %s", strerror(errno));
		return err;
	}
	tcp_tune(fd);
	*stream = socket_stream(fd, transport->figures);
	if (!*stream) {
		snprintf(text, text_bytes, "no memory");
		return DVS_NOMEM;
	}
	*known = address_find(tcp->peer_address, tcp->port, &peer, text, text_bytes) == DVS_OK &&
		 address_same_host(&from, &peer.at);
	return DVS_OK;
}

static dvs_err tcp_connect(struct transport *transport, uint64_t deadline_ns,
			   struct stream **stream, char *text, size_t text_bytes)
{
	struct tcp *tcp = CONTAINER_OF(transport, struct tcp, transport);
	AUTO_CLOSE int fd = -1;
	struct address peer;
	dvs_err err;

	err = address_find(tcp->peer_address, tcp->port, &peer, text, text_bytes);
	if (err != DVS_OK)
		return err;
	fd = socket(peer.at.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0) {
		snprintf(text, text_bytes, "socket: %s", strerror(errno));
		return dvs_from_errno(errno);
	}
	tcp_tune(fd);
	err = socket_connect(transport, fd, (struct sockaddr *)&peer.at, peer.bytes, deadline_ns,
			     text, text_bytes);
	if (err != DVS_OK)
		return err;
	*stream = socket_stream(take_fd(&fd), transport->figures);
	return *stream ? DVS_OK : DVS_NOMEM;
}

static void tcp_close(struct transport *transport)
{
	struct tcp *tcp = CONTAINER_OF(transport, struct tcp, transport);

	if (tcp->listener >= 0)
		close(tcp->listener);
	transport_end(transport);
	free(tcp);
}

const struct transport_ops transport_tcp = {
	.name = "tcp",
	.open = tcp_open,
	.accept = tcp_accept,
	.connect = tcp_connect,
	.close = tcp_close,
};
