/* SPDX-License-Identifier: Apache-2.0 */
/* dvs and dvs-inplace, and on two nodes dvs-tcp and all others: M3-IPC between two endpoints of one DC. A request of 64 bytes is a message; a longer one
 * is attached data. Under dvs the server copies it out of the channel, under dvs-inplace it reads it there. */
#include <stdlib.h>
#include <string.h>

#include <dvs/dvk.h>

#include "manage/bench/own_dvsd.h"
#include "manage/bench/remote/net.h"
#include "manage/bench/sys_dvs.h"

/* Servers have these endpoints; clients take whatever is free. */
enum { FIRST_SERVER = 1, CLIENT_SHIFT = 4, PATIENCE_MS = 10000 };

_Static_assert(sizeof(struct bench_msg) - offsetof(struct bench_msg, seq) == DVS_PAYLOAD_BYTES,
	       "all but source and kind is payload");

/* Per sample; all but the first is filled by each process for itself. */
struct party {
	dvs_ep server;
	struct dvk *dvk;
	struct m3 *self;
	void *window; /* of a client: where its last request was made in place */
	unsigned client;
	dvs_ep clients[BENCH_CLIENTS_MAX]; /* of a server: whom to reply to */
};

/* The node that both systems share. */
struct node {
	struct own_dvsd *dvsd;
	unsigned users;
};

static dvs_err node_start(struct bench_lab *lab, struct bench_fault *fault)
{
	struct node *node = lab->dvs;
	dvs_err err;

	if (node) {
		node->users++;
		return DVS_OK;
	}
	node = calloc(1, sizeof(*node));
	if (!node)
		return bench_fail_errno(fault, "allocate");
	err = own_dvsd_start(&node->dvsd, fault);
	if (err != DVS_OK) {
		free(node);
		return err;
	}
	node->users = 1;
	lab->dvs = node;
	return DVS_OK;
}

static void node_stop(struct bench_lab *lab)
{
	struct node *node = lab->dvs;

	if (--node->users > 0)
		return;
	own_dvsd_stop(node->dvsd);
	free(node);
	lab->dvs = NULL;
}

static dvs_err fail_call(struct bench_link *link, const char *what, dvs_err err)
{
	return bench_fail(&link->fault, err, "%s: %s", what, dvs_strerror(err));
}

dvs_err bench_dvs_setup(struct bench_link *link)
{
	struct party *party = calloc(1, sizeof(*party));

	link->state = party;
	if (!party)
		return bench_fail_errno(&link->fault, "allocate");
	party->server = dvs_ep_of(FIRST_SERVER + link->index);
	return DVS_OK;
}

void bench_dvs_teardown(struct bench_link *link)
{
	free(link->state);
	link->state = NULL;
}

static const char *control_of(const struct bench_lab *lab)
{
	const struct node *node = lab->dvs;

	return lab->net ? BENCH_NET_CONTROL : own_dvsd_control(node->dvsd);
}

static dvs_err dvs_bind(struct bench_link *link, dvs_ep want)
{
	struct party *party = link->state;
	dvs_err err = dvk_open(control_of(link->lab), &party->dvk);

	if (err != DVS_OK)
		return fail_call(link, "dvk_open", err);
	err = dvk_bind(party->dvk, want, DVK_LOCAL, &party->self);
	return err == DVS_OK ? DVS_OK : fail_call(link, "dvk_bind", err);
}

dvs_err bench_dvs_server_open(struct bench_link *link)
{
	struct party *party = link->state;

	return dvs_bind(link, party->server);
}

dvs_err bench_dvs_client_open(struct bench_link *link, unsigned client)
{
	struct party *party = link->state;
	dvs_err err;

	party->client = client;
	err = dvs_bind(link, dvs_ep_any());
	if (err != DVS_OK || !link->lab->net)
		return err;
	/* The other node knows of the server already, this one will in a moment. */
	err = dvk_wait_bind(party->dvk, party->server, PATIENCE_MS, NULL);
	return err == DVS_OK ? DVS_OK : fail_call(link, "dvk_wait_bind", err);
}

void bench_dvs_leave(struct bench_link *link)
{
	struct party *party = link->state;

	dvk_unbind(party->self);
	dvk_close(party->dvk);
}

/* Between nodes all systems send from where the request was made. Here that is the window: what is the same in each request stays
 * there, and its two ends are written anew. */
static dvs_err call_in_place(struct bench_link *link, const void *request, struct dvs_msg *msg)
{
	struct party *party = link->state;
	const char *from = request;
	void *window;
	dvs_err err = m3_call_window(party->self, party->server, DVS_FOREVER, &window);

	if (err != DVS_OK)
		return err;
	if (window != party->window) {
		memcpy(window, from, link->bytes);
		party->window = window;
	} else {
		memcpy(window, from, sizeof(struct bench_msg));
		memcpy((char *)window + link->bytes - sizeof(uint64_t),
		       from + link->bytes - sizeof(uint64_t), sizeof(uint64_t));
	}
	return m3_call(party->self, party->server, msg, window, link->bytes, NULL, 0, NULL,
		       DVS_FOREVER);
}

dvs_err bench_dvs_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct party *party = link->state;
	const struct bench_msg *head = request;
	struct dvs_msg msg;
	dvs_err err;

	msg.type = head->kind | party->client << CLIENT_SHIFT;
	memcpy(msg.bytes, &head->seq, DVS_PAYLOAD_BYTES);
	if (link->bytes == sizeof(*head))
		err = m3_sendrec(party->self, party->server, &msg, DVS_FOREVER);
	else if (link->lab->net)
		err = call_in_place(link, request, &msg);
	else
		err = m3_call(party->self, party->server, &msg, request, link->bytes, NULL, 0, NULL,
			      DVS_FOREVER);
	if (err != DVS_OK)
		return fail_call(link, "call", err);
	memcpy(&reply->seq, msg.bytes, DVS_PAYLOAD_BYTES);
	return DVS_OK;
}

/* Where the attached data lies; it must be as long as every request of this sample. */
static dvs_err take_data(struct bench_link *link, struct bench_request *request)
{
	struct party *party = link->state;
	struct m3_delivery delivery;
	dvs_err err = m3_delivered(party->self, &delivery);

	if (err != DVS_OK)
		return fail_call(link, "m3_delivered", err);
	if (delivery.data_bytes != link->bytes)
		return bench_fail(&link->fault, DVS_IO, "%zu bytes of data came, not %zu",
				  delivery.data_bytes, link->bytes);
	request->data = delivery.data;
	if (!link->system->in_place) {
		memcpy(request->buffer, delivery.data, link->bytes);
		request->data = request->buffer;
	}
	return DVS_OK;
}

dvs_err bench_dvs_receive(struct bench_link *link, struct bench_request *request)
{
	struct party *party = link->state;
	struct dvs_msg msg;
	dvs_err err = m3_receive_request(party->self, &msg, DVS_FOREVER);

	if (err != DVS_OK)
		return fail_call(link, "receive", err);
	request->client = msg.type >> CLIENT_SHIFT;
	if (request->client >= link->clients)
		return bench_fail(&link->fault, DVS_IO, "a request came from nobody");
	party->clients[request->client] = msg.source;
	if (link->bytes > sizeof(struct bench_msg))
		return take_data(link, request);
	((struct bench_msg *)request->buffer)->kind = msg.type & ((1u << CLIENT_SHIFT) - 1);
	memcpy(&((struct bench_msg *)request->buffer)->seq, msg.bytes, DVS_PAYLOAD_BYTES);
	request->data = request->buffer;
	return DVS_OK;
}

dvs_err bench_dvs_reply(struct bench_link *link, unsigned client, const struct bench_msg *reply)
{
	struct party *party = link->state;
	struct dvs_msg msg;
	dvs_err err;

	msg.type = reply->kind;
	memcpy(msg.bytes, &reply->seq, DVS_PAYLOAD_BYTES);
	err = m3_reply(party->self, party->clients[client], &msg);
	return err == DVS_OK ? DVS_OK : fail_call(link, "reply", err);
}

const struct bench_system bench_system_dvs = {
	.name = "dvs",
	.summary = "M3-IPC between two endpoints of one DC",
	.class = BENCH_DVS,
	.patterns = BENCH_IPC_PATTERNS,
	.start = node_start,
	.stop = node_stop,
	.setup = bench_dvs_setup,
	.teardown = bench_dvs_teardown,
	.server_open = bench_dvs_server_open,
	.receive = bench_dvs_receive,
	.reply = bench_dvs_reply,
	.client_open = bench_dvs_client_open,
	.call = bench_dvs_call,
	.leave = bench_dvs_leave,
};

const struct bench_system bench_system_dvs_inplace = {
	.name = "dvs-inplace",
	.summary = "the same, the server sums the data in the channel instead of copying it",
	.class = BENCH_DVS,
	.patterns = 1u << BENCH_DATA,
	.in_place = true,
	.sums = true,
	.start = node_start,
	.stop = node_stop,
	.setup = bench_dvs_setup,
	.teardown = bench_dvs_teardown,
	.server_open = bench_dvs_server_open,
	.receive = bench_dvs_receive,
	.reply = bench_dvs_reply,
	.client_open = bench_dvs_client_open,
	.call = bench_dvs_call,
	.leave = bench_dvs_leave,
};
