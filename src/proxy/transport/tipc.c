/* SPDX-License-Identifier: Apache-2.0 */
/* TIPC streams. The node with the lower number offers the service of its pair, the other one connects to it wherever it is: TIPC needs
 * no addresses of ours, but the machines' own (tipc node set, tipc bearer enable). */
#include <errno.h>
#include <linux/tipc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "proxy/transport/socket.h"

/* The type of the service; the configured port is added, so that two DVS can share a network as they can with TCP. */
#define SERVICE_TYPE 0x44560000u
#define BACKLOG 32

struct tipc {
	struct transport transport;
	int listener; /* -1: none yet */
	struct sockaddr_tipc service;
};

static int tipc_socket(void)
{
	return socket(AF_TIPC, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
}

static dvs_err tipc_open(const struct transport_setup *setup, struct transport **transport,
			 char *text, size_t text_bytes)
{
	uint32_t low = setup->node < setup->peer ? setup->node : setup->peer;
	uint32_t high = setup->node + setup->peer - low;
	AUTO_CLOSE int fd = tipc_socket();
	struct tipc *tipc;

	if (fd < 0 && (errno == EAFNOSUPPORT || errno == EPROTONOSUPPORT)) {
		snprintf(text, text_bytes, "this kernel has no TIPC (modprobe tipc)");
		return DVS_BADARG;
	}
	tipc = calloc(1, sizeof(*tipc));
	if (fd < 0 || !tipc || !transport_begin(&tipc->transport, &transport_tipc, setup)) {
		snprintf(text, text_bytes, "no memory or no descriptor");
		free(tipc);
		return DVS_NOMEM;
	}
	tipc->listener = -1;
	tipc->service.family = AF_TIPC;
	tipc->service.addrtype = TIPC_SERVICE_ADDR;
	tipc->service.addr.name.name.type = SERVICE_TYPE + setup->config->port;
	tipc->service.addr.name.name.instance = low * CONFIG_NODES_MAX + high;
	*transport = &tipc->transport;
	return DVS_OK;
}

static dvs_err tipc_listen(struct tipc *tipc, char *text, size_t text_bytes)
{
	AUTO_CLOSE int fd = tipc_socket();
	struct sockaddr_tipc offered = tipc->service;

	offered.scope = TIPC_CLUSTER_SCOPE;
	if (fd < 0 || bind(fd, (struct sockaddr *)(void *)&offered, sizeof(offered)) < 0 ||
	    listen(fd, BACKLOG) < 0) {
		snprintf(text, text_bytes, "cannot offer the TIPC service: %s", strerror(errno));
		return DVS_IO;
	}
	tipc->listener = take_fd(&fd);
	return DVS_OK;
}

static dvs_err tipc_accept(struct transport *transport, uint64_t deadline_ns,
			   struct stream **stream, bool *known, char *text, size_t text_bytes)
{
	struct tipc *tipc = CONTAINER_OF(transport, struct tipc, transport);
	struct sockaddr_storage from;
	dvs_err err = tipc->listener < 0 ? tipc_listen(tipc, text, text_bytes) : DVS_OK;
	int fd;

	if (err == DVS_OK)
		err = socket_accept(transport, tipc->listener, deadline_ns, &fd, &from);
	if (err == DVS_IO && !text[0])
		snprintf(text, text_bytes, "cannot accept connections: %s", strerror(errno));
	if (err != DVS_OK)
		return err;
	*stream = socket_stream(fd, transport->figures);
	*known = false;
	return *stream ? DVS_OK : DVS_NOMEM;
}

static dvs_err tipc_connect(struct transport *transport, uint64_t deadline_ns,
			    struct stream **stream, char *text, size_t text_bytes)
{
	struct tipc *tipc = CONTAINER_OF(transport, struct tipc, transport);
	AUTO_CLOSE int fd = tipc_socket();
	dvs_err err;

	if (fd < 0) {
		snprintf(text, text_bytes, "socket: %s", strerror(errno));
		return dvs_from_errno(errno);
	}
	err = socket_connect(transport, fd, (const struct sockaddr *)(const void *)&tipc->service,
			     sizeof(tipc->service), deadline_ns, text, text_bytes);
	if (err != DVS_OK)
		return err;
	*stream = socket_stream(take_fd(&fd), transport->figures);
	return *stream ? DVS_OK : DVS_NOMEM;
}

static void tipc_close(struct transport *transport)
{
	struct tipc *tipc = CONTAINER_OF(transport, struct tipc, transport);

	if (tipc->listener >= 0)
		close(tipc->listener);
	transport_end(transport);
	free(tipc);
}

const struct transport_ops transport_tipc = {
	.name = "tipc",
	.open = tipc_open,
	.accept = tipc_accept,
	.connect = tipc_connect,
	.close = tipc_close,
};
