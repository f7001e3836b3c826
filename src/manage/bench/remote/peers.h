/* SPDX-License-Identifier: Apache-2.0 */
/* What the peers of `dvs bench remote` share. A new peer is one file with its struct bench_system, and one row in
 * systems.c. */
#ifndef DVS_MANAGE_BENCH_REMOTE_PEERS_H
#define DVS_MANAGE_BENCH_REMOTE_PEERS_H

#include "manage/bench/internal.h"
#include "manage/bench/remote/net.h"

#include <netinet/in.h>

enum {
	PEER_PORT = 21000, /* server n of a cell listens at this port + n */
	PEER_BACKLOG = BENCH_CLIENTS_MAX,
	PEER_MESSAGES = 1u << BENCH_REMOTE_RT | 1u << BENCH_REMOTE_FAN_IN | 1u << BENCH_REMOTE_DATA,
};

/* "tcp://ADDRESS:PORT" of LINK's server, into TEXT, which is returned. */
const char *peer_url(const struct bench_link *link, char *text, size_t text_bytes);

/* A listening TCP socket of LINK's server, and a connection to it, tuned alike for all: no delay, cubic. Less than
 * 0: it failed, and the link's fault says why. */
int peer_listen(struct bench_link *link);
int peer_accept(struct bench_link *link, int listener);
int peer_connect(struct bench_link *link, struct sockaddr_in *address);
DVS_MUST_USE dvs_err peer_send_all(struct bench_link *link, int fd, const void *data, size_t bytes);
DVS_MUST_USE dvs_err peer_receive_all(struct bench_link *link, int fd, void *data, size_t bytes);

/* At least one byte and at most BYTES; none when the other side has closed. */
DVS_MUST_USE dvs_err peer_receive_some(struct bench_link *link, int fd, void *data, size_t bytes,
				       size_t *got);

/* Setup and teardown for a state of BYTES that begins as zeros. */
DVS_MUST_USE dvs_err peer_state_make(struct bench_link *link, size_t bytes);
void peer_teardown(struct bench_link *link);

extern const struct bench_system bench_peer_tcp;
extern const struct bench_system bench_peer_tcp_batch;
extern const struct bench_system bench_peer_zmq;
extern const struct bench_system bench_peer_nng;
extern const struct bench_system bench_peer_rpc;
extern const struct bench_system bench_peer_iperf3;
extern const struct bench_system bench_peer_corosync;

#endif
