/* SPDX-License-Identifier: Apache-2.0 */
/* rpc: ONC RPC by libtirpc, over a TCP connection per client. No rpcbind: the client is told the address. */
#include "manage/bench/remote/peers.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>

#include "manage/bench/bench_rpc.h"

enum { RECORD_BYTES = 256 << 10, PATIENCE_S = 10, LISTENER = BENCH_CLIENTS_MAX };

struct rpc {
	CLIENT *client;
	int listener;
	int epoll_fd;
	unsigned connected;
	int fd[BENCH_CLIENTS_MAX];
	SVCXPRT *transport[BENCH_CLIENTS_MAX];
	struct epoll_event ready[BENCH_CLIENTS_MAX + 1];
	int n_ready;
	int next;
};

static dvs_err rpc_setup(struct bench_link *link)
{
	return peer_state_make(link, sizeof(struct rpc));
}

static dvs_err watch(struct bench_link *link, int fd, uint32_t index)
{
	struct rpc *rpc = link->state;
	struct epoll_event event = { .events = EPOLLIN, .data.u32 = index };

	if (epoll_ctl(rpc->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0)
		return bench_fail_errno(&link->fault, "epoll_ctl");
	return DVS_OK;
}

static dvs_err rpc_server_open(struct bench_link *link)
{
	struct rpc *rpc = link->state;

	rpc->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (rpc->epoll_fd < 0)
		return bench_fail_errno(&link->fault, "epoll_create1");
	rpc->listener = peer_listen(link);
	return rpc->listener < 0 ? DVS_IO : watch(link, rpc->listener, LISTENER);
}

static dvs_err rpc_client_open(struct bench_link *link, unsigned client)
{
	struct rpc *rpc = link->state;
	struct sockaddr_in address;
	int fd = peer_connect(link, &address);
	struct netbuf to = { .maxlen = sizeof(address), .len = sizeof(address), .buf = &address };

	(void)client;
	if (fd < 0)
		return DVS_IO;
	rpc->client =
		clnt_vc_create(fd, &to, BENCH_PROGRAM, BENCH_VERSION, RECORD_BYTES, RECORD_BYTES);
	if (!rpc->client)
		return bench_fail(&link->fault, DVS_IO, "%s", clnt_spcreateerror("clnt_vc_create"));
	return DVS_OK;
}

static dvs_err rpc_once(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct rpc *rpc = link->state;
	const struct timeval patience = { .tv_sec = PATIENCE_S };
	bench_data data = { .bench_data_len = (u_int)link->bytes,
			    .bench_data_val = (char *)(uintptr_t)request };
	enum clnt_stat status = clnt_call(rpc->client, BENCH_CALL_ONCE, (xdrproc_t)xdr_bench_data,
					  (void *)&data, (xdrproc_t)xdr_bench_answer, (void *)reply,
					  patience);

	if (status != RPC_SUCCESS)
		return bench_fail(&link->fault, DVS_IO, "clnt_call: %s", clnt_sperrno(status));
	return DVS_OK;
}

static dvs_err take_client(struct bench_link *link)
{
	struct rpc *rpc = link->state;
	unsigned i = rpc->connected;

	if (i == link->clients)
		return bench_fail(&link->fault, DVS_IO, "a connection too many");
	rpc->fd[i] = peer_accept(link, rpc->listener);
	if (rpc->fd[i] < 0)
		return DVS_IO;
	rpc->transport[i] = svc_fd_create(rpc->fd[i], RECORD_BYTES, RECORD_BYTES);
	if (!rpc->transport[i])
		return bench_fail(&link->fault, DVS_IO, "svc_fd_create");
	rpc->connected++;
	return watch(link, rpc->fd[i], i);
}

static dvs_err next_ready(struct bench_link *link, unsigned *index)
{
	struct rpc *rpc = link->state;
	dvs_err err = DVS_OK;

	if (link->clients == 1 && rpc->connected == 1) {
		*index = 0;
		return DVS_OK;
	}
	while (err == DVS_OK) {
		if (rpc->next < rpc->n_ready) {
			*index = rpc->ready[rpc->next++].data.u32;
			if (*index != LISTENER)
				return DVS_OK;
			err = take_client(link);
			continue;
		}
		rpc->next = 0;
		rpc->n_ready = epoll_wait(rpc->epoll_fd, rpc->ready, BENCH_CLIENTS_MAX + 1, -1);
		if (rpc->n_ready < 0 && errno != EINTR)
			return bench_fail_errno(&link->fault, "epoll_wait");
	}
	return err;
}

/* One request of CLIENT, of *GOT bytes; 0: it has closed the connection. What svc_run() does, but for the call of a
 * function by the number of the procedure: the reply is sent later, and the transport keeps whose it is. */
static dvs_err take_request(struct bench_link *link, unsigned client, void *buffer, size_t *got)
{
	struct rpc *rpc = link->state;
	SVCXPRT *transport = rpc->transport[client];
	char credentials[2 * MAX_AUTH_BYTES];
	bench_data data = { .bench_data_val = buffer };
	struct svc_req call = { .rq_xprt = transport };
	struct rpc_msg msg;

	*got = 0;
	memset(&msg, 0, sizeof(msg));
	msg.rm_call.cb_cred.oa_base = credentials;
	msg.rm_call.cb_verf.oa_base = credentials + MAX_AUTH_BYTES;
	if (!SVC_RECV(transport, &msg)) {
		if (epoll_ctl(rpc->epoll_fd, EPOLL_CTL_DEL, rpc->fd[client], NULL) != 0)
			return bench_fail_errno(&link->fault, "epoll_ctl");
		return DVS_OK;
	}
	if (_authenticate(&call, &msg) != AUTH_OK)
		return bench_fail(&link->fault, DVS_IO, "_authenticate");
	if (msg.rm_call.cb_prog != BENCH_PROGRAM || msg.rm_call.cb_proc != BENCH_CALL_ONCE ||
	    !svc_getargs(transport, (xdrproc_t)xdr_bench_data, (void *)&data))
		return bench_fail(&link->fault, DVS_IO, "a request that is none of ours");
	*got = data.bench_data_len;
	return DVS_OK;
}

static dvs_err rpc_receive(struct bench_link *link, struct bench_request *request)
{
	size_t got = 0;
	dvs_err err = DVS_OK;

	while (err == DVS_OK && got == 0) {
		err = next_ready(link, &request->client);
		if (err == DVS_OK)
			err = take_request(link, request->client, request->buffer, &got);
		if (err == DVS_OK && got == 0 && link->clients == 1)
			err = bench_fail(&link->fault, DVS_IO, "the client closed the connection");
	}
	if (err == DVS_OK && got != link->bytes)
		err = bench_fail(&link->fault, DVS_IO, "a request of %zu bytes", got);
	request->data = request->buffer;
	return err;
}

static dvs_err rpc_reply(struct bench_link *link, unsigned client, const struct bench_msg *reply)
{
	struct rpc *rpc = link->state;
	struct bench_msg answer = *reply;

	if (!svc_sendreply(rpc->transport[client], (xdrproc_t)xdr_bench_answer, (void *)&answer))
		return bench_fail(&link->fault, DVS_IO, "svc_sendreply");
	return DVS_OK;
}

const struct bench_system bench_peer_rpc = {
	.name = "rpc",
	.summary = "ONC RPC by libtirpc, a TCP connection per client",
	.class = BENCH_KERNEL,
	.patterns = PEER_MESSAGES,
	.setup = rpc_setup,
	.teardown = peer_teardown,
	.server_open = rpc_server_open,
	.receive = rpc_receive,
	.reply = rpc_reply,
	.client_open = rpc_client_open,
	.call = rpc_once,
};
