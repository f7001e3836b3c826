/* SPDX-License-Identifier: Apache-2.0 */
/* zmq: ZeroMQ over tcp. A client is a DEALER, because REQ would send an empty part with each message; the server is
 * a ROUTER. Both hand their buffers over where that is possible, and look before they sleep as ZeroMQ does. */
#include "manage/bench/remote/peers.h"

#include <string.h>
#include <zmq.h>

enum { LINGER_MS = 1000 };

struct zmq {
	void *context;
	void *socket;
	unsigned known;
	size_t id_bytes[BENCH_CLIENTS_MAX]; /* what the router calls them */
	char id[BENCH_CLIENTS_MAX][16];
	zmq_msg_t request; /* of the server: the one that is being served */
	bool has_request;
};

static dvs_err fail(struct bench_link *link, const char *what)
{
	return bench_fail(&link->fault, DVS_IO, "%s: %s", what, zmq_strerror(zmq_errno()));
}

static dvs_err zmq_setup(struct bench_link *link)
{
	return peer_state_make(link, sizeof(struct zmq));
}

static dvs_err open_socket(struct bench_link *link, int type)
{
	struct zmq *zmq = link->state;
	int linger_ms = LINGER_MS;

	zmq->context = zmq_ctx_new();
	zmq->socket = zmq->context ? zmq_socket(zmq->context, type) : NULL;
	if (!zmq->socket ||
	    zmq_setsockopt(zmq->socket, ZMQ_LINGER, &linger_ms, sizeof(linger_ms)) != 0)
		return fail(link, "zmq_socket");
	return DVS_OK;
}

static dvs_err zmq_server_open(struct bench_link *link)
{
	struct zmq *zmq = link->state;
	char url[64];
	dvs_err err = open_socket(link, ZMQ_ROUTER);

	if (err == DVS_OK && zmq_bind(zmq->socket, peer_url(link, url, sizeof(url))) != 0)
		err = fail(link, url);
	return err;
}

static dvs_err zmq_client_open(struct bench_link *link, unsigned client)
{
	struct zmq *zmq = link->state;
	char url[64];
	dvs_err err = open_socket(link, ZMQ_DEALER);

	(void)client;
	if (err == DVS_OK && zmq_connect(zmq->socket, peer_url(link, url, sizeof(url))) != 0)
		err = fail(link, url);
	return err;
}

/* The buffer is the caller's, who does not touch it before the reply is there. */
static void keep(void *data, void *hint)
{
	(void)data;
	(void)hint;
}

static dvs_err send_request(struct bench_link *link, const void *request)
{
	struct zmq *zmq = link->state;
	zmq_msg_t msg;

	if (link->bytes == sizeof(struct bench_msg)) {
		if (zmq_send(zmq->socket, request, link->bytes, 0) < 0)
			return fail(link, "zmq_send");
		return DVS_OK;
	}
	if (zmq_msg_init_data(&msg, (void *)(uintptr_t)request, link->bytes, keep, NULL) != 0)
		return fail(link, "zmq_msg_init_data");
	if (zmq_msg_send(&msg, zmq->socket, 0) < 0) {
		zmq_msg_close(&msg);
		return fail(link, "zmq_msg_send");
	}
	return DVS_OK;
}

static dvs_err zmq_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct zmq *zmq = link->state;
	dvs_err err = send_request(link, request);
	int n;

	if (err != DVS_OK)
		return err;
	n = zmq_recv(zmq->socket, reply, sizeof(*reply), 0);
	if (n < 0)
		return fail(link, "zmq_recv");
	if (n != (int)sizeof(*reply))
		return bench_fail(&link->fault, DVS_IO, "a reply of %d bytes", n);
	return DVS_OK;
}

static dvs_err find_client(struct bench_link *link, const char *id, size_t id_bytes,
			   unsigned *client)
{
	struct zmq *zmq = link->state;

	for (*client = 0; *client < zmq->known; ++*client)
		if (zmq->id_bytes[*client] == id_bytes &&
		    memcmp(zmq->id[*client], id, id_bytes) == 0)
			return DVS_OK;
	if (zmq->known == link->clients)
		return bench_fail(&link->fault, DVS_IO, "a request came from nobody");
	memcpy(zmq->id[*client], id, id_bytes);
	zmq->id_bytes[zmq->known++] = id_bytes;
	return DVS_OK;
}

static dvs_err zmq_receive(struct bench_link *link, struct bench_request *request)
{
	struct zmq *zmq = link->state;
	char id[sizeof(zmq->id[0])];
	int id_bytes = zmq_recv(zmq->socket, id, sizeof(id), 0);

	if (id_bytes < 0)
		return fail(link, "zmq_recv");
	if (zmq->has_request)
		zmq_msg_close(&zmq->request);
	zmq->has_request = zmq_msg_init(&zmq->request) == 0;
	if (!zmq->has_request || zmq_msg_recv(&zmq->request, zmq->socket, 0) < 0)
		return fail(link, "zmq_msg_recv");
	if (zmq_msg_size(&zmq->request) != link->bytes || (size_t)id_bytes > sizeof(id))
		return bench_fail(&link->fault, DVS_IO, "a request of %zu bytes",
				  zmq_msg_size(&zmq->request));
	request->data = zmq_msg_data(&zmq->request);
	return find_client(link, id, (size_t)id_bytes, &request->client);
}

static dvs_err zmq_reply(struct bench_link *link, unsigned client, const struct bench_msg *reply)
{
	struct zmq *zmq = link->state;

	if (zmq_send(zmq->socket, zmq->id[client], zmq->id_bytes[client], ZMQ_SNDMORE) < 0 ||
	    zmq_send(zmq->socket, reply, sizeof(*reply), 0) < 0)
		return fail(link, "zmq_send");
	return DVS_OK;
}

static void zmq_leave(struct bench_link *link)
{
	struct zmq *zmq = link->state;

	if (zmq->has_request)
		zmq_msg_close(&zmq->request);
	if (zmq->socket)
		zmq_close(zmq->socket);
	if (zmq->context)
		zmq_ctx_term(zmq->context);
}

const struct bench_system bench_peer_zmq = {
	.name = "zmq",
	.summary = "ZeroMQ over TCP: DEALER clients, a ROUTER server",
	.class = BENCH_KERNEL,
	.patterns = PEER_MESSAGES,
	.setup = zmq_setup,
	.teardown = peer_teardown,
	.server_open = zmq_server_open,
	.receive = zmq_receive,
	.reply = zmq_reply,
	.client_open = zmq_client_open,
	.call = zmq_call,
	.leave = zmq_leave,
};
