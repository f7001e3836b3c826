/* SPDX-License-Identifier: Apache-2.0 */
/* The beginning of a connection: the filter that secures it, then a hello each way, then the other filters. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/session.h"

/* The classes as a hello names them. */
enum { HELLO_MESSAGES = 1, HELLO_BULK = 2 };

struct greeting {
	struct peer_link *link;
	struct stream *stream;
	uint64_t deadline_ns;
	char *why;
	size_t why_bytes;
};

static dvs_err greeting_says(struct greeting *greeting, dvs_err err, const char *why)
{
	snprintf(greeting->why, greeting->why_bytes, "%s", why);
	return err;
}

/* From the transport upwards: the last in the configuration is the nearest to it. */
static dvs_err greeting_wrap(struct greeting *greeting, bool secures)
{
	struct peer_link *link = greeting->link;

	for (size_t i = CONFIG_FILTERS_MAX; i-- > 0;) {
		struct filter *filter = link->filters[i];
		struct stream *upper;
		dvs_err err;

		if (!filter || filter->ops->secures != secures)
			continue;
		err = filter->ops->wrap(filter, greeting->stream, link->listens,
					greeting->deadline_ns, &upper, greeting->why,
					greeting->why_bytes);
		if (err != DVS_OK)
			return err;
		greeting->stream = upper;
	}
	return DVS_OK;
}

static dvs_err greeting_send(struct greeting *greeting, enum link_class class)
{
	const struct link_setup *setup = &greeting->link->setup;
	struct frame_header header = { .type = FRAME_HELLO };
	struct frame_hello_req hello = {
		.node = setup->node,
		.peer = setup->peer,
		.lane_class = class == LINK_MESSAGES ? HELLO_MESSAGES : HELLO_BULK,
		.incarnation = setup->incarnation,
	};
	uint8_t body[FRAME_HELLO_REQ_BYTES_MAX];
	struct writer writer = writer_over(body, sizeof(body));
	uint8_t bytes[WIRE_FRAME_BYTES_MAX];
	struct iovec piece = { .iov_base = bytes };

	snprintf(hello.cluster, sizeof(hello.cluster), "%s", setup->config->cluster);
	snprintf(hello.filters, sizeof(hello.filters), "%s", greeting->link->filter_names);
	frame_hello_req_encode(&writer, &hello);
	piece.iov_len = wire_encode(bytes, &header, body, writer_len(&writer), 0, 0);
	if (!stream_send(greeting->stream, &piece, 1))
		return greeting_says(greeting, DVS_IO, "the connection broke during the greeting");
	return DVS_OK;
}

static dvs_err greeting_check(struct greeting *greeting, const struct frame_hello_req *hello)
{
	const struct link_setup *setup = &greeting->link->setup;

	if (strcmp(hello->cluster, setup->config->cluster) != 0) {
		snprintf(greeting->why, greeting->why_bytes,
			 "it belongs to the cluster \"%s\", this node to \"%s\"", hello->cluster,
			 setup->config->cluster);
		return DVS_DENIED;
	}
	if (hello->node != setup->peer || hello->peer != setup->node) {
		snprintf(greeting->why, greeting->why_bytes,
			 "it is node %u and looks for node %u, this is node %u and looks for %u",
			 hello->node, hello->peer, setup->node, setup->peer);
		return DVS_DENIED;
	}
	if (strcmp(hello->filters, greeting->link->filter_names) != 0) {
		snprintf(greeting->why, greeting->why_bytes,
			 "its filters are [%s], ours [%s]: configure the same on both nodes",
			 hello->filters, greeting->link->filter_names);
		return DVS_DENIED;
	}
	if (hello->lane_class != HELLO_MESSAGES && hello->lane_class != HELLO_BULK)
		return greeting_says(greeting, DVS_PROTO, "a hello of an unknown class");
	return DVS_OK;
}

static dvs_err greeting_receive_bytes(struct greeting *greeting, void *out, size_t bytes)
{
	ssize_t got = stream_receive_all(greeting->stream, out, bytes, greeting->deadline_ns);

	if (got == (ssize_t)bytes)
		return DVS_OK;
	if (got == STREAM_LATE)
		return greeting_says(greeting, DVS_TIMEOUT, "it said nothing in time");
	return greeting_says(greeting, DVS_IO,
			     got == STREAM_BROKEN && greeting->stream->why[0] ?
				     greeting->stream->why :
				     "it closed the connection during the greeting");
}

/* Not a byte more is read than the hello has: what follows is for filters that are not there yet. */
static dvs_err greeting_receive(struct greeting *greeting, struct greeted *greeted)
{
	uint8_t bytes[WIRE_FRAME_BYTES_MAX];
	struct frame_header header;
	struct frame_hello_req hello;
	struct cursor body = cursor_over(NULL, 0);
	const char *why;
	enum wire_verdict verdict;
	dvs_err err;

	err = greeting_receive_bytes(greeting, bytes, WIRE_HEAD_BYTES);
	if (err != DVS_OK)
		return err;
	verdict = wire_decode(bytes, WIRE_HEAD_BYTES, 0, &header, &body, &why);
	if (verdict == WIRE_SHORT) {
		err = greeting_receive_bytes(greeting, bytes + WIRE_HEAD_BYTES, header.body_bytes);
		if (err != DVS_OK)
			return err;
		verdict = wire_decode(bytes, WIRE_HEAD_BYTES + header.body_bytes, 0, &header, &body,
				      &why);
	}
	if (verdict != WIRE_FRAME)
		return greeting_says(greeting, DVS_PROTO, why);
	if (header.type != FRAME_HELLO || header.data_bytes != 0 ||
	    frame_hello_req_decode(&body, &hello) != DVS_OK)
		return greeting_says(greeting, DVS_PROTO, "its first frame is no hello");
	err = greeting_check(greeting, &hello);
	greeted->class = hello.lane_class == HELLO_MESSAGES ? LINK_MESSAGES : LINK_BULK;
	greeted->incarnation = hello.incarnation;
	return err;
}

static dvs_err greeting_talk(struct greeting *greeting, enum link_class class,
			     struct greeted *greeted)
{
	dvs_err err = greeting_wrap(greeting, true);

	if (err != DVS_OK)
		return err;
	if (greeting->link->listens) {
		err = greeting_receive(greeting, greeted);
		/* Another node's hello is answered too, so that it can tell its people why it is refused. */
		if (err == DVS_OK || err == DVS_DENIED) {
			dvs_err sent = greeting_send(greeting, greeted->class);

			if (err == DVS_OK)
				err = sent;
		}
	} else {
		err = greeting_send(greeting, class);
		if (err == DVS_OK)
			err = greeting_receive(greeting, greeted);
		if (err == DVS_OK && greeted->class != class)
			err = greeting_says(greeting, DVS_PROTO, "a hello of another class");
	}
	return err == DVS_OK ? greeting_wrap(greeting, false) : err;
}

dvs_err greet(struct peer_link *link, struct stream *stream, enum link_class class,
	      struct greeted *greeted, char *why, size_t why_bytes)
{
	struct greeting greeting = {
		.link = link,
		.stream = stream,
		.deadline_ns = clock_deadline_ns(SESSION_GREET_MS * CLOCK_NS_PER_MS),
		.why = why,
		.why_bytes = why_bytes,
	};
	dvs_err err = greeting_talk(&greeting, class, greeted);

	greeted->stream = greeting.stream;
	return err;
}
