/* SPDX-License-Identifier: Apache-2.0 */
/* tcp: a loopback connection per client, without Nagle's delay. */
#include "manage/bench/sock.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The host's default may be one that paces (bbr), which costs a third of the rate over loopback. */
static const char congestion_control[] = "cubic";

static dvs_err tune(struct bench_link *link, int fd)
{
	int on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
		return bench_fail_errno(&link->fault, "TCP_NODELAY");
	/* A host without it keeps its default. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion_control,
			 sizeof(congestion_control) - 1);
	return DVS_OK;
}

static dvs_err listen_on_loopback(struct bench_link *link, int fd, struct sockaddr_in *address)
{
	socklen_t address_bytes = sizeof(*address);

	memset(address, 0, sizeof(*address));
	address->sin_family = AF_INET;
	address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	if (bind(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
		return bench_fail_errno(&link->fault, "bind to 127.0.0.1");
	if (listen(fd, 1) != 0)
		return bench_fail_errno(&link->fault, "listen on 127.0.0.1");
	if (getsockname(fd, (struct sockaddr *)address, &address_bytes) != 0)
		return bench_fail_errno(&link->fault, "getsockname");
	return DVS_OK;
}

static dvs_err connect_through(struct bench_link *link, int listener, int *client_fd,
			       int *server_fd)
{
	struct sockaddr_in address;
	dvs_err err = listen_on_loopback(link, listener, &address);

	if (err != DVS_OK)
		return err;
	*client_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*client_fd < 0)
		return bench_fail_errno(&link->fault, "socket");
	if (connect(*client_fd, (const struct sockaddr *)&address, sizeof(address)) != 0)
		return bench_fail_errno(&link->fault, "connect to 127.0.0.1");
	*server_fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	if (*server_fd < 0)
		return bench_fail_errno(&link->fault, "accept on 127.0.0.1");
	err = tune(link, *client_fd);
	return err == DVS_OK ? tune(link, *server_fd) : err;
}

static dvs_err tcp_pair(struct bench_link *link, int *client_fd, int *server_fd)
{
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	dvs_err err;

	if (listener < 0)
		return bench_fail_errno(&link->fault, "socket");
	err = connect_through(link, listener, client_fd, server_fd);
	close(listener);
	return err;
}

static dvs_err tcp_setup(struct bench_link *link)
{
	return sock_setup(link, BENCH_PAYLOAD_MAX_BYTES, tcp_pair);
}

const struct bench_system bench_system_tcp = {
	.name = "tcp",
	.summary = "a TCP connection over loopback, without delay",
	.class = BENCH_KERNEL,
	.patterns = BENCH_IPC_PATTERNS,
	.setup = tcp_setup,
	.teardown = sock_teardown,
	.server_open = sock_server_open,
	.receive = sock_receive,
	.reply = sock_reply,
	.client_open = sock_client_open,
	.call = sock_call,
};
