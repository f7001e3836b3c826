/* SPDX-License-Identifier: Apache-2.0 */
#include "feed.h"

#include <stdlib.h>
#include <string.h>

static ssize_t feed_receive(struct stream *stream, const struct iovec *room, size_t n,
			    uint64_t deadline_ns)
{
	struct feed *feed = CONTAINER_OF(stream, struct feed, stream);
	size_t left = feed->len - feed->at;
	size_t total = 0;

	(void)deadline_ns;
	if (feed->at < feed->first && left > feed->first - feed->at)
		left = feed->first - feed->at;
	else if (feed->piece > 0 && left > feed->piece)
		left = feed->piece;
	for (size_t i = 0; i < n && left > 0; i++) {
		size_t len = room[i].iov_len < left ? room[i].iov_len : left;

		memcpy(room[i].iov_base, feed->bytes + feed->at, len);
		feed->at += len;
		left -= len;
		total += len;
	}
	return (ssize_t)total;
}

static bool feed_send(struct stream *stream, struct iovec *pieces, size_t n)
{
	struct feed *feed = CONTAINER_OF(stream, struct feed, stream);

	for (size_t i = 0; i < n; i++) {
		if (!feed->sent)
			continue;
		if (pieces[i].iov_len > feed->sent_max - feed->sent_bytes)
			return false;
		memcpy(feed->sent + feed->sent_bytes, pieces[i].iov_base, pieces[i].iov_len);
		feed->sent_bytes += pieces[i].iov_len;
	}
	return true;
}

static bool feed_can_send(struct stream *stream)
{
	(void)stream;
	return true;
}

static void feed_nothing(struct stream *stream)
{
	(void)stream;
}

static const struct stream_ops feed_ops = {
	.send = feed_send,
	.receive = feed_receive,
	.can_send = feed_can_send,
	.shut = feed_nothing,
	.close = feed_nothing,
};

void feed_init(struct feed *feed, const void *bytes, size_t len)
{
	memset(feed, 0, sizeof(*feed));
	feed->stream.ops = &feed_ops;
	feed->bytes = bytes;
	feed->len = len;
}

void fed_lane_init(struct fed_lane *fed, enum link_class class, const struct link_events *events)
{
	memset(fed, 0, sizeof(*fed));
	fed->link.log.fd = -1;
	fed->link.setup.events = *events;
	fed->lane = &fed->link.lanes[class];
	fed->lane->link = &fed->link;
	fed->lane->class = class;
	fed->lane->buffer = malloc(READ_BYTES);
	fed->lane->gather.bytes = malloc(GATHER_BYTES);
	pthread_mutex_init(&fed->lane->send_lock, NULL);
}

void fed_lane_free(struct fed_lane *fed)
{
	free(fed->lane->buffer);
	free(fed->lane->gather.bytes);
	pthread_mutex_destroy(&fed->lane->send_lock);
}
