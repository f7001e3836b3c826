/* SPDX-License-Identifier: Apache-2.0 */
/* Messages through connected sockets, for the systems that differ only in what kind of socket. */
#ifndef DVS_MANAGE_BENCH_SOCK_H
#define DVS_MANAGE_BENCH_SOCK_H

#include "manage/bench/internal.h"

#include <sys/epoll.h>

struct sock {
	int client_fd[BENCH_CLIENTS_MAX];
	int server_fd[BENCH_CLIENTS_MAX];
	size_t chunk_bytes; /* what one send may carry */
	/* In the server's process; with one client it just reads. */
	int epoll_fd;
	struct epoll_event ready[BENCH_CLIENTS_MAX];
	int ready_count;
	int ready_next;
	/* In a client's process. */
	unsigned self;
};

/* Make the connections of LINK by CONNECT, which fills both ends of one. */
DVS_MUST_USE dvs_err sock_setup(struct bench_link *link, size_t chunk_bytes,
				dvs_err (*connect_pair)(struct bench_link *link, int *client_fd,
							int *server_fd));
void sock_teardown(struct bench_link *link);
dvs_err sock_server_open(struct bench_link *link);
dvs_err sock_client_open(struct bench_link *link, unsigned client);
dvs_err sock_call(struct bench_link *link, const void *request, struct bench_msg *reply);
dvs_err sock_receive(struct bench_link *link, struct bench_request *request);
dvs_err sock_reply(struct bench_link *link, unsigned client, const struct bench_msg *reply);

#endif
