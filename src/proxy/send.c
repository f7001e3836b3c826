/* SPDX-License-Identifier: Apache-2.0 */
/* The sending half of a lane: gather, and send what is gathered at once. */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/session.h"

static void gather_clear(struct gather *gather)
{
	gather->used = 0;
	gather->data_bytes = 0;
	gather->n = 0;
}

static bool gather_is_full(const struct gather *gather)
{
	/* A frame more takes two pieces. */
	return gather->used + WIRE_FRAME_BYTES_MAX > GATHER_BYTES || gather->n + 2 > GATHER_PIECES;
}

/* Frames without data follow each other in memory: one piece. */
static void gather_piece(struct gather *gather, void *bytes, size_t len)
{
	struct iovec *last = gather->n > 0 ? &gather->pieces[gather->n - 1] : NULL;

	if (last && (uint8_t *)last->iov_base + last->iov_len == bytes)
		last->iov_len += len;
	else
		gather->pieces[gather->n++] = (struct iovec){ bytes, len };
}

static void lane_gather_locked(struct lane *lane, struct frame_header *header, const void *body,
			       size_t body_bytes, const void *data, size_t data_bytes)
{
	struct gather *gather = &lane->gather;
	uint8_t *at = gather->bytes + gather->used;
	size_t len = wire_encode(at, header, body, body_bytes, data_bytes, lane->out_seq++);

	gather->used += len;
	gather_piece(gather, at, len);
	if (data_bytes > 0) {
		/* Sending does not change it. */
		gather->pieces[gather->n++] = (struct iovec){ (void *)(uintptr_t)data, data_bytes };
		gather->data_bytes += data_bytes;
	}
}

static void lane_send_locked(struct lane *lane)
{
	struct gather *gather = &lane->gather;

	if (gather->n > 0 && lane->out && !stream_send(lane->out, gather->pieces, gather->n)) {
		/* The reader sees that it is over, and tells. */
		atomic_store_explicit(&lane->is_up, false, memory_order_release);
		stream_shut(lane->out);
		lane->out = NULL;
	}
	gather_clear(gather);
}

static void lane_gather_stamp_locked(struct lane *lane, enum frame_op op, uint64_t stamp_ns)
{
	struct frame_header header = { .type = (uint8_t)op };
	struct frame_ping_req ping = { .stamp_ns = stamp_ns };
	uint8_t body[FRAME_PING_REQ_BYTES_MAX];
	struct writer writer = writer_over(body, sizeof(body));

	if (gather_is_full(&lane->gather))
		lane_send_locked(lane);
	frame_ping_req_encode(&writer, &ping);
	lane_gather_locked(lane, &header, body, sizeof(body), NULL, 0);
}

static bool lane_is_due(const struct lane *lane)
{
	return atomic_load(&lane->ping_due) || atomic_load(&lane->pong_due);
}

static void lane_gather_due_locked(struct lane *lane)
{
	if (!lane_is_due(lane))
		return;
	if (atomic_exchange(&lane->pong_due, false))
		lane_gather_stamp_locked(lane, FRAME_PONG, atomic_load(&lane->pong_stamp_ns));
	if (atomic_exchange(&lane->ping_due, false))
		lane_gather_stamp_locked(lane, FRAME_PING, clock_now_ns());
}

void lane_send_due(struct lane *lane)
{
	/* Whoever has it comes by lane_is_due() after giving it back. */
	if (!lane_is_due(lane) || pthread_mutex_trylock(&lane->send_lock) != 0)
		return;
	if (lane->gather.n == 0 && lane->out && stream_can_send(lane->out)) {
		lane_gather_due_locked(lane);
		lane_send_locked(lane);
	}
	pthread_mutex_unlock(&lane->send_lock);
}

void lane_send_start(struct lane *lane, struct stream *stream)
{
	pthread_mutex_lock(&lane->send_lock);
	gather_clear(&lane->gather);
	lane->out = stream;
	lane->out_seq = 1; /* the hello was 0 */
	atomic_store(&lane->ping_due, false);
	atomic_store(&lane->pong_due, false);
	pthread_mutex_unlock(&lane->send_lock);
	atomic_store_explicit(&lane->is_up, true, memory_order_release);
}

void lane_send_stop(struct lane *lane)
{
	atomic_store_explicit(&lane->is_up, false, memory_order_release);
	pthread_mutex_lock(&lane->send_lock);
	lane->out = NULL;
	gather_clear(&lane->gather);
	pthread_mutex_unlock(&lane->send_lock);
}

bool peer_link_put(struct peer_link *link, enum link_class class, struct frame_header *header,
		   const void *body, size_t body_bytes, const void *data, size_t data_bytes)
{
	struct lane *lane = &link->lanes[class];
	bool is_out;

	assert(body_bytes <= LINK_BODY_MAX && data_bytes <= WIRE_DATA_MAX);
	if (!peer_link_is_up(link, class))
		return false;
	pthread_mutex_lock(&lane->send_lock);
	if (gather_is_full(&lane->gather))
		lane_send_locked(lane);
	is_out = lane->out != NULL;
	if (is_out) {
		lane_gather_locked(lane, header, body, body_bytes, data, data_bytes);
		atomic_fetch_add_explicit(&link->figures.frames_out, 1, memory_order_relaxed);
		if (lane->gather.data_bytes >= GATHER_DATA_BYTES)
			lane_send_locked(lane);
	}
	pthread_mutex_unlock(&lane->send_lock);
	return is_out;
}

void peer_link_flush(struct peer_link *link, enum link_class class)
{
	struct lane *lane = &link->lanes[class];

	do {
		pthread_mutex_lock(&lane->send_lock);
		if (lane->out)
			lane_gather_due_locked(lane);
		lane_send_locked(lane);
		pthread_mutex_unlock(&lane->send_lock);
	} while (peer_link_is_up(link, class) && lane_is_due(lane));
}
