/* SPDX-License-Identifier: Apache-2.0 */
/* Two threads. One is bound to the endpoint: it copies each request out of the window, posts it to the loop, and sends the answers that the loop has queued. The
 * loop rings it by a notification, which is a write to shared memory when it does not sleep; for that the loop's thread has a client endpoint of its own.
 *
 * Clients die. Whoever keeps a request is told by `gone`; that a client is no more is known from the event "unbound", and for a client that is seen
 * for the first time it is asked, because its event may have come before its request. */
#include "agent/server.h"

#include <assert.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <dvs/container.h>

#include "agent/programs.h"
#include "agent/streams.h"
#include "base/clock.h"
#include "base/err.h"

#define ANSWER_TEXT_MAX 1000
#define FORMER_MS 10000u
/* For how long a wait for the quorum looks at nothing else. */
#define QUORUM_MS 1000u

struct client {
	struct list of_server;
	dvs_ep ep;
	struct list requests;
};

/* As it comes: on its way to the loop, then until its answer. */
struct arrival {
	struct request request; /* of_server is in the client's list */
	struct loop_post post;
	uint8_t body[];
};

struct answer {
	struct list queued;
	dvs_ep source;
	uint32_t call;
	dvs_err err;
	size_t reply_cap;
	size_t len;
	uint8_t body[];
};

struct server {
	struct agent *agent;
	/* the bound thread's */
	struct m3 *self;
	/* the loop's */
	struct m3 *ringer;
	struct loop_post bound;
	struct list clients;
	struct writer out;
	uint8_t scratch[AGENT_BODY_BYTES_MAX];
	pthread_mutex_t lock;
	struct list answers; /* under the lock */
};

/* ---- the bound thread ---- */

static dvs_ep own_endpoint(const struct agent *agent)
{
	return dvs_ep_of(agent->node + 1);
}

/* An agent that was killed is unbound as soon as its dvsd has seen its end. */
static dvs_err bind_endpoint(struct server *server)
{
	struct agent *agent = server->agent;
	uint64_t deadline_ns = clock_deadline_ns(FORMER_MS * CLOCK_NS_PER_MS);

	for (;;) {
		dvs_err err = dvk_bind(agent->dvk, own_endpoint(agent), DVK_LOCAL, &server->self);

		if (err == DVS_INUSE && !clock_is_past(deadline_ns))
			err = dvk_wait_unbind(agent->dvk, own_endpoint(agent), FORMER_MS);
		else if (err == DVS_NOQUORUM)
			err = dvk_wait_bind(agent->dvk, own_endpoint(agent), QUORUM_MS, NULL);
		else
			return err;
		if (err && err != DVS_TIMEOUT && err != DVS_NOQUORUM)
			return err;
	}
}

static void send_answer(struct server *server, const struct answer *answer)
{
	struct dvs_msg msg = { .type = 0 };
	const void *data = answer->body;
	size_t len = answer->len;
	dvs_err err;

	msg.u64[0] = (uint64_t)answer->err;
	if (len > answer->reply_cap) {
		msg.u64[0] = (uint64_t)(answer->err ? answer->err : DVS_TOOBIG);
		len = answer->err ? answer->reply_cap : 0;
	}
	err = m3_reply_call(server->self, answer->source, answer->call, &msg, len ? data : NULL,
			    len);
	/* Who does not wait any more has given up or died: then there is nobody to tell. */
	(void)err;
}

static void send_answers(struct server *server)
{
	struct list *link;

	for (;;) {
		pthread_mutex_lock(&server->lock);
		link = list_take_head(&server->answers);
		pthread_mutex_unlock(&server->lock);
		if (!link)
			return;
		send_answer(server, CONTAINER_OF(link, struct answer, queued));
		free(CONTAINER_OF(link, struct answer, queued));
	}
}

static void arrived(struct loop_post *post);

static void refuse(struct server *server, const struct m3_delivery *delivery, dvs_err err)
{
	struct dvs_msg msg = { .type = 0 };

	msg.u64[0] = (uint64_t)err;
	if (m3_reply_call(server->self, delivery->source, delivery->call, &msg, NULL, 0))
		return;
}

static void take_request(struct server *server, const struct dvs_msg *msg)
{
	struct m3_delivery delivery;
	struct arrival *arrival;
	struct request *request;

	if (m3_delivered(server->self, &delivery) || delivery.kind != M3_REQUEST)
		return;
	if (delivery.data_bytes > AGENT_BODY_BYTES_MAX) {
		refuse(server, &delivery, DVS_TOOBIG);
		return;
	}
	arrival = malloc(sizeof(*arrival) + delivery.data_bytes);
	if (!arrival) {
		refuse(server, &delivery, DVS_NOMEM);
		return;
	}
	/* The client can change its window at any time: what is looked at is the copy. */
	if (delivery.data_bytes)
		memcpy(arrival->body, delivery.data, delivery.data_bytes);
	request = &arrival->request;
	*request = (struct request){
		.agent = server->agent,
		.source = delivery.source,
		.op = msg->type,
		.call = delivery.call,
		.reply_cap = delivery.reply_cap,
		.body = arrival->body,
		.len = delivery.data_bytes,
		.in = cursor_over(arrival->body, delivery.data_bytes),
	};
	list_init(&request->kept);
	list_init(&request->of_server);
	loop_post(server->agent->loop, &arrival->post, arrived);
}

static void bound(struct loop_post *post);

static void *receive_all(void *argument)
{
	struct server *server = argument;
	struct dvs_msg msg;
	dvs_err err = bind_endpoint(server);

	/* Before the first request, so it is the first of all that is posted. */
	if (!err)
		loop_post(server->agent->loop, &server->bound, bound);
	while (!err) {
		err = m3_receive(server->self, dvs_ep_any(), &msg, DVS_FOREVER);
		if (!err)
			take_request(server, &msg);
		send_answers(server);
		if (err == DVS_WOKEN)
			err = DVS_OK;
	}
	/* This node was taken for dead, and who called has been told so. A new agent takes up what this one had. */
	log_error(&server->agent->log, "the endpoint is lost", LOG_STR("why", dvs_strerror(err)));
	loop_stop(server->agent->loop);
	return NULL;
}

/* ---- answering, in the loop ---- */

static void request_free(struct request *request)
{
	list_remove(&request->kept);
	list_remove(&request->of_server);
	free(CONTAINER_OF(request, struct arrival, request));
}

static void answer(struct request *request, dvs_err err, const void *body, size_t len)
{
	struct server *server = request->agent->server;
	struct answer *made = malloc(sizeof(*made) + len);

	if (made) {
		*made = (struct answer){ .source = request->source,
					 .call = request->call,
					 .err = err,
					 .reply_cap = request->reply_cap,
					 .len = len };
		if (len)
			memcpy(made->body, body, len);
		pthread_mutex_lock(&server->lock);
		list_add_tail(&server->answers, &made->queued);
		pthread_mutex_unlock(&server->lock);
		err = m3_notify(server->ringer, own_endpoint(request->agent), 1);
		if (err) {
			/* As when the other endpoint is lost. */
			log_error(&request->agent->log, "an answer cannot be sent",
				  LOG_STR("why", dvs_strerror(err)));
			loop_stop(request->agent->loop);
		}
	} else {
		log_error(&request->agent->log, "no memory for an answer");
	}
	request_free(request);
}

void request_reply(struct request *request, const void *body, size_t len)
{
	answer(request, DVS_OK, body, len);
}

void request_done(struct request *request)
{
	answer(request, DVS_OK, NULL, 0);
}

void request_fail(struct request *request, dvs_err err, const char *format, ...)
{
	char text[ANSWER_TEXT_MAX + 1];
	va_list args;
	int len;

	assert(err != DVS_OK);
	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	if (len < 0)
		len = 0;
	answer(request, err, text, (size_t)len < sizeof(text) ? (size_t)len : sizeof(text) - 1);
}

bool request_malformed(struct request *request)
{
	request_fail(request, DVS_PROTO,
		     "the request '%s' is malformed: 'dvs' and dvs-agent must be of one version",
		     agent_op_name(request->op));
	return false;
}

struct writer *request_writer(struct request *request)
{
	struct server *server = request->agent->server;

	server->out = writer_over(server->scratch, sizeof(server->scratch));
	return &server->out;
}

void request_written(struct request *request)
{
	struct server *server = request->agent->server;

	assert(writer_ok(&server->out));
	request_reply(request, server->scratch, writer_len(&server->out));
}

/* ---- clients, in the loop ---- */

static struct client *client_find(struct server *server, dvs_ep ep)
{
	LIST_FOREACH(link, &server->clients) {
		struct client *client = CONTAINER_OF(link, struct client, of_server);

		if (client->ep.n == ep.n)
			return client;
	}
	return NULL;
}

static bool is_bound(struct server *server, dvs_ep ep)
{
	struct dvk_endpoint_info info;
	dvs_err err = dvk_endpoint_info(server->agent->dvk, ep, &info);

	return err != DVS_NODEST;
}

static struct client *client_get(struct server *server, dvs_ep ep)
{
	struct client *client = client_find(server, ep);

	if (client)
		return client;
	if (!is_bound(server, ep))
		return NULL;
	client = malloc(sizeof(*client));
	if (!client)
		return NULL;
	client->ep = ep;
	list_init(&client->requests);
	list_add_tail(&server->clients, &client->of_server);
	return client;
}

static void request_drop(struct request *request)
{
	if (request->gone)
		request->gone(request);
	request_free(request);
}

static void client_end(struct server *server, struct client *client)
{
	list_remove(&client->of_server);
	while (!list_is_empty(&client->requests))
		request_drop(CONTAINER_OF(client->requests.next, struct request, of_server));
	programs_client_gone(server->agent->programs, client->ep);
	streams_client_gone(server->agent->streams, client->ep);
	free(client);
}

void server_client_gone(struct server *server, dvs_ep ep)
{
	struct client *client = client_find(server, ep);

	if (client)
		client_end(server, client);
}

void server_check_clients(struct server *server)
{
	LIST_FOREACH_SAFE(link, &server->clients) {
		struct client *client = CONTAINER_OF(link, struct client, of_server);

		if (!is_bound(server, client->ep))
			client_end(server, client);
	}
}

static void arrived(struct loop_post *post)
{
	struct arrival *arrival = CONTAINER_OF(post, struct arrival, post);
	struct request *request = &arrival->request;
	struct server *server = request->agent->server;
	struct client *client = client_get(server, request->source);
	agent_op_handler handler = op_handler(request->op);

	if (!client) {
		request_free(request);
		return;
	}
	list_add_tail(&client->requests, &request->of_server);
	if (handler)
		handler(request->agent, request);
	else
		request_fail(request, DVS_BADARG,
			     "the agent of this node does not know the operation %u: it is of"
			     " another version",
			     request->op);
}

/* ---- opening ---- */

/* The endpoint is bound, or cannot be: the loop, whose thread rings it, needs one of its own. */
static void bound(struct loop_post *post)
{
	struct server *server = CONTAINER_OF(post, struct server, bound);
	struct agent *agent = server->agent;
	dvs_err err = dvk_bind(agent->dvk, dvs_ep_any(), DVK_LOCAL, &server->ringer);

	if (err) {
		log_error(&agent->log, "cannot answer", LOG_STR("why", dvs_strerror(err)));
		loop_stop(agent->loop);
		return;
	}
	log_info(&agent->log, "ready", LOG_U64("node", agent->node));
}

dvs_err server_open(struct agent *agent, struct server **out)
{
	struct server *server = calloc(1, sizeof(*server));

	if (!server)
		return DVS_NOMEM;
	server->agent = agent;
	list_init(&server->clients);
	list_init(&server->answers);
	pthread_mutex_init(&server->lock, NULL);
	*out = server;
	return DVS_OK;
}

dvs_err server_start(struct server *server)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, receive_all, server))
		return DVS_NOMEM;
	pthread_detach(thread);
	return DVS_OK;
}
