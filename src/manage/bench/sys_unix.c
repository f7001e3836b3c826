/* SPDX-License-Identifier: Apache-2.0 */
/* unix-stream and unix-seqpacket: a pair of Unix sockets per client. */
#include "manage/bench/sock.h"

#include <sys/socket.h>

/* One packet must fit the default send buffer with its overhead; larger requests take several. */
enum { PACKET_BYTES = 64 << 10 };

static dvs_err stream_pair(struct bench_link *link, int *client_fd, int *server_fd)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
		return bench_fail_errno(&link->fault, "socketpair");
	*client_fd = fds[0];
	*server_fd = fds[1];
	return DVS_OK;
}

static dvs_err seqpacket_pair(struct bench_link *link, int *client_fd, int *server_fd)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds) != 0)
		return bench_fail_errno(&link->fault, "socketpair");
	*client_fd = fds[0];
	*server_fd = fds[1];
	return DVS_OK;
}

static dvs_err stream_setup(struct bench_link *link)
{
	return sock_setup(link, BENCH_PAYLOAD_MAX_BYTES, stream_pair);
}

static dvs_err seqpacket_setup(struct bench_link *link)
{
	return sock_setup(link, PACKET_BYTES, seqpacket_pair);
}

const struct bench_system bench_system_unix_stream = {
	.name = "unix-stream",
	.summary = "a Unix stream socket pair",
	.class = BENCH_KERNEL,
	.patterns = BENCH_IPC_PATTERNS,
	.setup = stream_setup,
	.teardown = sock_teardown,
	.server_open = sock_server_open,
	.receive = sock_receive,
	.reply = sock_reply,
	.client_open = sock_client_open,
	.call = sock_call,
};

const struct bench_system bench_system_unix_seqpacket = {
	.name = "unix-seqpacket",
	.summary = "a Unix seqpacket socket pair",
	.class = BENCH_KERNEL,
	.patterns = BENCH_IPC_PATTERNS,
	.setup = seqpacket_setup,
	.teardown = sock_teardown,
	.server_open = sock_server_open,
	.receive = sock_receive,
	.reply = sock_reply,
	.client_open = sock_client_open,
	.call = sock_call,
};
