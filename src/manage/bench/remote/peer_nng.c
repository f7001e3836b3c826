/* SPDX-License-Identifier: Apache-2.0 */
/* nng: its pattern req/rep over tcp. Replies go out in the buffers of their requests. */
#include "manage/bench/remote/peers.h"

#include <nng/nng.h>
#include <nng/protocol/reqrep0/rep.h>
#include <nng/protocol/reqrep0/req.h>
#include <semaphore.h>
#include <string.h>
#include <time.h>

struct nng {
	nng_socket socket;
	bool is_open;
	bool is_server;
	nng_msg *in; /* the request being served */
	sem_t gone;  /* posted for each connection that has ended */
};

enum { PATIENCE_S = 2 };

static dvs_err fail(struct bench_link *link, const char *what, int code)
{
	return bench_fail(&link->fault, DVS_IO, "%s: %s", what, nng_strerror(code));
}

static dvs_err nng_setup(struct bench_link *link)
{
	return peer_state_make(link, sizeof(struct nng));
}

/* Its own bound of 1 MiB would refuse the largest request by a few bytes. */
static dvs_err tune(struct bench_link *link)
{
	struct nng *nng = link->state;
	int code = nng_socket_set_size(nng->socket, NNG_OPT_RECVMAXSZ,
				       2 * (size_t)BENCH_PAYLOAD_MAX_BYTES);

	nng->is_open = true;
	return code ? fail(link, "nng_socket_set_size", code) : DVS_OK;
}

static void connection_ended(nng_pipe pipe, nng_pipe_ev event, void *arg)
{
	struct nng *nng = arg;

	(void)pipe;
	(void)event;
	sem_post(&nng->gone);
}

static dvs_err nng_server_open(struct bench_link *link)
{
	struct nng *nng = link->state;
	char url[64];
	int code = nng_rep0_open(&nng->socket);
	dvs_err err = code ? fail(link, "nng_rep0_open", code) : tune(link);

	if (err != DVS_OK)
		return err;
	nng->is_server = true;
	sem_init(&nng->gone, 0, 0);
	code = nng_pipe_notify(nng->socket, NNG_PIPE_EV_REM_POST, connection_ended, nng);
	if (code)
		return fail(link, "nng_pipe_notify", code);
	code = nng_listen(nng->socket, peer_url(link, url, sizeof(url)), NULL, 0);
	return code ? fail(link, url, code) : DVS_OK;
}

static dvs_err nng_client_open(struct bench_link *link, unsigned client)
{
	struct nng *nng = link->state;
	char url[64];
	int code = nng_req0_open(&nng->socket);
	dvs_err err = code ? fail(link, "nng_req0_open", code) : tune(link);

	(void)client;
	if (err != DVS_OK)
		return err;
	code = nng_dial(nng->socket, peer_url(link, url, sizeof(url)), NULL, 0);
	return code ? fail(link, url, code) : DVS_OK;
}

static dvs_err nng_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct nng *nng = link->state;
	nng_msg *msg;
	int code = nng_msg_alloc(&msg, link->bytes);

	if (code)
		return fail(link, "nng_msg_alloc", code);
	memcpy(nng_msg_body(msg), request, link->bytes);
	code = nng_sendmsg(nng->socket, msg, 0);
	if (code) {
		nng_msg_free(msg);
		return fail(link, "nng_sendmsg", code);
	}
	code = nng_recvmsg(nng->socket, &msg, 0);
	if (code)
		return fail(link, "nng_recvmsg", code);
	if (nng_msg_len(msg) == sizeof(*reply))
		memcpy(reply, nng_msg_body(msg), sizeof(*reply));
	else
		code = NNG_EPROTO;
	nng_msg_free(msg);
	return code ? fail(link, "the reply", code) : DVS_OK;
}

static dvs_err nng_receive(struct bench_link *link, struct bench_request *request)
{
	struct nng *nng = link->state;
	int code = nng_recvmsg(nng->socket, &nng->in, 0);

	if (code)
		return fail(link, "nng_recvmsg", code);
	if (nng_msg_len(nng->in) != link->bytes)
		return bench_fail(&link->fault, DVS_IO, "a request of %zu bytes",
				  nng_msg_len(nng->in));
	request->data = nng_msg_body(nng->in);
	request->client = ((const struct bench_msg *)request->data)->client;
	return DVS_OK;
}

/* The request becomes the reply: its buffer is there already. */
static dvs_err nng_reply(struct bench_link *link, unsigned client, const struct bench_msg *reply)
{
	struct nng *nng = link->state;
	int code = nng_msg_realloc(nng->in, sizeof(*reply));

	(void)client;
	if (code)
		return fail(link, "nng_msg_realloc", code);
	memcpy(nng_msg_body(nng->in), reply, sizeof(*reply));
	code = nng_sendmsg(nng->socket, nng->in, 0);
	if (code)
		return fail(link, "nng_sendmsg", code);
	nng->in = NULL;
	return DVS_OK;
}

/* A close does not wait for what was sent last: the server stays until its clients, who got it, have gone. */
static void nng_leave(struct bench_link *link)
{
	struct nng *nng = link->state;
	struct timespec deadline;

	if (!nng->is_open)
		return;
	clock_gettime(CLOCK_REALTIME, &deadline);
	deadline.tv_sec += PATIENCE_S;
	for (unsigned i = 0; nng->is_server && i < link->clients; i++)
		if (sem_timedwait(&nng->gone, &deadline) != 0)
			break;
	nng_close(nng->socket);
}

const struct bench_system bench_peer_nng = {
	.name = "nng",
	.summary = "nng over TCP: req clients, a rep server",
	.class = BENCH_KERNEL,
	.patterns = PEER_MESSAGES,
	.setup = nng_setup,
	.teardown = peer_teardown,
	.server_open = nng_server_open,
	.receive = nng_receive,
	.reply = nng_reply,
	.client_open = nng_client_open,
	.call = nng_call,
	.leave = nng_leave,
};
