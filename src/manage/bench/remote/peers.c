/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/remote/peers.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The host's default may be one that paces (bbr), which costs a third of the rate. */
static const char congestion_control[] = "cubic";

const char *peer_url(const struct bench_link *link, char *text, size_t text_bytes)
{
	snprintf(text, text_bytes, "tcp://%s:%u",
		 bench_net_address(link->lab->net, BENCH_SERVER_SIDE), PEER_PORT + link->index);
	return text;
}

static int fail_close(struct bench_link *link, int fd, const char *what)
{
	(void)!bench_fail_errno(&link->fault, what);
	if (fd >= 0)
		close(fd);
	return -1;
}

static struct sockaddr_in server_address(const struct bench_link *link)
{
	struct sockaddr_in address = { .sin_family = AF_INET };

	address.sin_port = htons((uint16_t)(PEER_PORT + link->index));
	inet_pton(AF_INET, bench_net_address(link->lab->net, BENCH_SERVER_SIDE), &address.sin_addr);
	return address;
}

static int tune(struct bench_link *link, int fd)
{
	int on = 1;

	if (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on)) != 0)
		return fail_close(link, fd, "TCP_NODELAY");
	/* A host without it keeps its default. */
	(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion_control,
			 sizeof(congestion_control) - 1);
	return fd;
}

int peer_listen(struct bench_link *link)
{
	struct sockaddr_in address = server_address(link);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int on = 1;

	/* The port was in use a moment ago, by the sample before. */
	if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
	    bind(fd, (const struct sockaddr *)&address, sizeof(address)) != 0 ||
	    listen(fd, PEER_BACKLOG) != 0)
		return fail_close(link, fd, "listen");
	return fd;
}

int peer_accept(struct bench_link *link, int listener)
{
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);

	return fd < 0 ? fail_close(link, fd, "accept") : tune(link, fd);
}

int peer_connect(struct bench_link *link, struct sockaddr_in *address)
{
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	*address = server_address(link);
	if (fd < 0 || connect(fd, (const struct sockaddr *)address, sizeof(*address)) != 0)
		return fail_close(link, fd, "connect");
	return tune(link, fd);
}

dvs_err peer_send_all(struct bench_link *link, int fd, const void *data, size_t bytes)
{
	size_t done = 0;

	while (done < bytes) {
		ssize_t n = send(fd, (const char *)data + done, bytes - done, MSG_NOSIGNAL);

		if (n < 0 && errno != EINTR)
			return bench_fail_errno(&link->fault, "send");
		done += n > 0 ? (size_t)n : 0;
	}
	return DVS_OK;
}

dvs_err peer_receive_some(struct bench_link *link, int fd, void *data, size_t bytes, size_t *got)
{
	ssize_t n;

	do {
		n = recv(fd, data, bytes, MSG_WAITALL);
	} while (n < 0 && errno == EINTR);
	*got = n > 0 ? (size_t)n : 0;
	return n < 0 ? bench_fail_errno(&link->fault, "recv") : DVS_OK;
}

dvs_err peer_receive_all(struct bench_link *link, int fd, void *data, size_t bytes)
{
	size_t done = 0, got = 0;
	dvs_err err = DVS_OK;

	for (; err == DVS_OK && done < bytes; done += got) {
		err = peer_receive_some(link, fd, (char *)data + done, bytes - done, &got);
		if (err == DVS_OK && got == 0)
			err = bench_fail(&link->fault, DVS_IO,
					 "recv: the other side closed the connection");
	}
	return err;
}

dvs_err peer_state_make(struct bench_link *link, size_t bytes)
{
	link->state = calloc(1, bytes);
	return link->state ? DVS_OK : bench_fail_errno(&link->fault, "allocate");
}

void peer_teardown(struct bench_link *link)
{
	free(link->state);
	link->state = NULL;
}
