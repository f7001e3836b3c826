/* SPDX-License-Identifier: Apache-2.0 */
/* Streams over a connected socket of the kernel, for the transports that have one. */
#ifndef PROXY_TRANSPORT_SOCKET_H
#define PROXY_TRANSPORT_SOCKET_H

#include <sys/socket.h>

#include "proxy/transport.h"

/* Takes FD in any case; NULL: no memory. */
struct stream *socket_stream(int fd, struct link_figures *figures);

/* Wait until FD has one of EVENTS, the transport is stopped or DEADLINE_NS is past. OK; TIMEOUT, also when stopped. */
DVS_MUST_USE dvs_err socket_wait(const struct transport *transport, int fd, short events,
				 uint64_t deadline_ns);

/* A connection of LISTENER, with the address where it comes from. OK; TIMEOUT; IO. */
DVS_MUST_USE dvs_err socket_accept(const struct transport *transport, int listener,
				   uint64_t deadline_ns, int *fd, struct sockaddr_storage *from);

/* Connect the non-blocking FD. */
DVS_MUST_USE dvs_err socket_connect(const struct transport *transport, int fd,
				    const struct sockaddr *to, socklen_t to_bytes,
				    uint64_t deadline_ns, char *text, size_t text_bytes);

/* How long a stream waits in the kernel before it looks at its deadline. */
#define SOCKET_TICK_MS 500u

#endif
