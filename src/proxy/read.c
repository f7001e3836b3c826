/* SPDX-License-Identifier: Apache-2.0 */
/* The receiving half of a lane: many frames from one read, large data straight to where it belongs. */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "proxy/session.h"

struct reading {
	struct lane *lane;
	struct stream *stream;
	char *why;
	size_t why_bytes;
};

/* So much of the buffer is used to read LEFT bytes and what comes behind them. */
static size_t reading_most(const struct lane *lane, size_t left)
{
	return lane->class == LINK_BULK && left < READ_BYTES - READ_AHEAD_BYTES ?
		       left + READ_AHEAD_BYTES :
		       READ_BYTES;
}

static bool reading_fails(struct reading *reading, const char *why)
{
	snprintf(reading->why, reading->why_bytes, "%s", why);
	return false;
}

static bool reading_is_bad(struct reading *reading, const char *why)
{
	link_complain(reading->lane->link, "a bad frame ends the connection", why);
	return reading_fails(reading, why);
}

/* Whatever woke the reader: look after the connection. False: it is given up. */
static bool reading_tick(struct reading *reading, bool has_heard)
{
	struct lane *lane = reading->lane;
	uint64_t now_ns = clock_now_ns();

	if (has_heard)
		lane->heard_ns = now_ns;
	else if (now_ns - lane->heard_ns > SESSION_SILENCE_MS * CLOCK_NS_PER_MS)
		return reading_fails(reading, "nothing came from the peer for too long");
	if (now_ns - lane->pinged_ns > SESSION_PING_MS * CLOCK_NS_PER_MS) {
		lane->pinged_ns = now_ns;
		atomic_store(&lane->ping_due, true);
	}
	lane_send_due(lane);
	return true;
}

/* How much came; 0: it is over. */
static size_t reading_fill(struct reading *reading, const struct iovec *room, size_t n)
{
	for (;;) {
		uint64_t deadline_ns = clock_deadline_ns(SESSION_PING_MS * CLOCK_NS_PER_MS);
		ssize_t got = stream_receive(reading->stream, room, n, deadline_ns);

		if (got == STREAM_END) {
			reading_fails(reading, "the connection was closed");
			return 0;
		}
		if (got == STREAM_BROKEN) {
			reading_fails(reading, reading->stream->why);
			return 0;
		}
		if (!reading_tick(reading, got > 0))
			return 0;
		if (got > 0)
			return (size_t)got;
	}
}

/* The rest of a frame's data, LEFT bytes: to AT, or nowhere. What comes behind it goes to the buffer. */
static bool reading_data(struct reading *reading, uint8_t *at, size_t left)
{
	struct lane *lane = reading->lane;

	lane->start = 0;
	lane->end = 0;
	while (left > 0) {
		size_t most = reading_most(lane, at ? 0 : left);
		struct iovec room[STREAM_IOV_MAX] = { { at, left }, { lane->buffer, most } };
		size_t got = reading_fill(reading, at ? room : room + 1, at ? 2 : 1);
		size_t part = got < left ? got : left;

		if (got == 0)
			return false;
		left -= part;
		if (at)
			at += part;
		else
			lane->start = left == 0 ? part : 0;
		if (left == 0)
			lane->end = lane->start + got - part;
	}
	return true;
}

static bool reading_stamp(struct reading *reading, const struct frame_header *header,
			  struct cursor body)
{
	struct lane *lane = reading->lane;
	struct frame_ping_req ping;

	if (header->data_bytes != 0 || frame_ping_req_decode(&body, &ping) != DVS_OK)
		return reading_is_bad(reading, "a malformed ping or pong");
	if (header->type == FRAME_PING) {
		atomic_store(&lane->pong_stamp_ns, ping.stamp_ns);
		atomic_store(&lane->pong_due, true);
		lane_send_due(lane);
	} else {
		atomic_store_explicit(&lane->link->figures.rtt_ns, clock_now_ns() - ping.stamp_ns,
				      memory_order_relaxed);
	}
	return true;
}

/* The header and the body are at the beginning of the buffer, and good. */
static bool reading_frame(struct reading *reading, const struct frame_header *header,
			  struct cursor body)
{
	struct lane *lane = reading->lane;
	const struct link_events *events = &lane->link->setup.events;
	uint8_t kept[LINK_BODY_MAX];
	uint8_t *data = NULL;
	size_t here;

	lane->start += WIRE_HEAD_BYTES + header->body_bytes;
	if (header->type == FRAME_PING || header->type == FRAME_PONG)
		return reading_stamp(reading, header, body);
	if (header->type == FRAME_HELLO)
		return reading_is_bad(reading, "a second hello");
	atomic_fetch_add_explicit(&lane->link->figures.frames_in, 1, memory_order_relaxed);
	if (header->data_bytes > 0) {
		data = events->place(events->context, lane->class, header, body);
		here = lane->end - lane->start;
		if (here > header->data_bytes)
			here = header->data_bytes;
		if (data)
			memcpy(data, lane->buffer + lane->start, here);
		lane->start += here;
		if (here < header->data_bytes) {
			memcpy(kept, body.at, header->body_bytes);
			body = cursor_over(kept, header->body_bytes);
			if (!reading_data(reading, data ? data + here : NULL,
					  header->data_bytes - here))
				return false;
		}
	}
	events->frame(events->context, lane->class, header, body, data);
	return true;
}

/* All whole frames of the buffer. */
static bool reading_frames(struct reading *reading)
{
	struct lane *lane = reading->lane;

	for (;;) {
		struct frame_header header;
		struct cursor body;
		const char *why;
		enum wire_verdict verdict = wire_decode(lane->buffer + lane->start,
							lane->end - lane->start, lane->in_seq,
							&header, &body, &why);

		if (verdict == WIRE_SHORT)
			return true;
		if (verdict == WIRE_BAD)
			return reading_is_bad(reading, why);
		lane->in_seq++;
		if (!reading_frame(reading, &header, body))
			return false;
	}
}

void lane_read(struct lane *lane, struct stream *stream, char *why, size_t why_bytes)
{
	const struct link_events *events = &lane->link->setup.events;
	struct reading reading = { lane, stream, why, why_bytes };

	lane->start = 0;
	lane->end = 0;
	lane->in_seq = 1; /* the hello was 0 */
	lane->heard_ns = clock_now_ns();
	/* The first ping soon: it says how far the peer is. */
	lane->pinged_ns = 0;
	if (!reading_tick(&reading, true))
		return;
	for (;;) {
		struct iovec room;
		size_t got;

		/* At most a frame without its data is left. */
		memmove(lane->buffer, lane->buffer + lane->start, lane->end - lane->start);
		lane->end -= lane->start;
		lane->start = 0;
		room = (struct iovec){ lane->buffer + lane->end,
				       reading_most(lane, 0) - lane->end };
		got = reading_fill(&reading, &room, 1);
		if (got == 0)
			return;
		lane->end += got;
		if (!reading_frames(&reading))
			return;
		if (got < room.iov_len)
			events->idle(events->context, lane->class);
	}
}
