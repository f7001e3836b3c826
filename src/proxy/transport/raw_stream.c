/* SPDX-License-Identifier: Apache-2.0 */
/* A connection of the transport raw. The receiving thread is its engine: it takes packets in, acknowledges them, takes acknowledgements, and
 * sends again what was lost. */
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "proxy/sum.h"
#include "proxy/transport/raw_stream.h"

static int32_t seq_before(uint32_t a, uint32_t b)
{
	return (int32_t)(a - b);
}

static void raw_send_ack(struct raw_stream *raw)
{
	uint8_t here[SACK_BYTES] = { 0 };
	struct raw_packet packet;
	struct burst burst;
	size_t last = 0;

	pthread_mutex_lock(&raw->lock);
	packet = raw_packet_of(raw, RAW_ACK);
	raw->unanswered = 0;
	pthread_mutex_unlock(&raw->lock);
	raw->must_answer = false;
	/* Which of those behind the missing one are here. */
	for (uint32_t i = 1; i < RAW_SLOTS && raw->reading + RAW_SLOTS - packet.ack > i; i++) {
		if (!raw->come[(packet.ack + i) % RAW_SLOTS].is_here)
			continue;
		here[i / 8] |= (uint8_t)(1u << i % 8);
		last = i / 8 + 1;
	}
	packet.payload = here;
	packet.len = (uint32_t)(last < raw->payload_bytes ? last : raw->payload_bytes);
	packet.sum = sum_crc32c(0, here, packet.len);
	burst.n = 0;
	burst_add(raw, &burst, &packet);
	burst_send(raw, &burst, MSG_DONTWAIT);
}

static void raw_window_shrinks_locked(struct raw_stream *raw)
{
	raw->recover = raw->next;
	raw->threshold = raw->window / 2 > WINDOW_MIN ? raw->window / 2 : WINDOW_MIN;
	raw->window = raw->threshold;
	raw->grown = 0;
}

static void raw_window_grows_locked(struct raw_stream *raw, uint32_t n)
{
	raw->grown += n;
	if (raw->window < raw->threshold) {
		raw->window += n;
	} else if (raw->grown >= raw->window) {
		raw->grown -= raw->window;
		raw->window++;
	}
	if (raw->window > WINDOW_MAX)
		raw->window = WINDOW_MAX;
}

static void raw_round_trip_locked(struct raw_stream *raw, uint64_t span_ns)
{
	raw->round_trip_ns = raw->round_trip_ns == 0 ? span_ns :
						       (raw->round_trip_ns * 7 + span_ns) / 8;
	raw->rto_ns = raw->round_trip_ns * 3 + TICK_NS;
	if (raw->rto_ns < RTO_MIN_NS)
		raw->rto_ns = RTO_MIN_NS;
	if (raw->rto_ns > RTO_MAX_NS)
		raw->rto_ns = RTO_MAX_NS;
}

static void raw_take_cumulative_locked(struct raw_stream *raw, uint32_t ack, uint64_t now_ns)
{
	const struct sent *last = &raw->sent[(ack - 1) % RAW_SLOTS];

	if (!last->is_again)
		raw_round_trip_locked(raw, now_ns - last->sent_ns);
	raw_window_grows_locked(raw, ack - raw->acked);
	raw->acked = ack;
	pthread_cond_broadcast(&raw->room);
}

/* Those that are missing before LAST, which has come, are sent again: as many as one burst takes. */
static void raw_send_missing_locked(struct raw_stream *raw, struct burst *burst, uint32_t last,
				    uint64_t now_ns)
{
	uint64_t patience_ns = raw->round_trip_ns + CLOCK_NS_PER_MS;

	for (uint32_t seq = raw->acked; seq_before(seq, last - REORDERED) <= 0 && burst->n < BATCH;
	     seq++) {
		struct sent *sent = &raw->sent[seq % RAW_SLOTS];

		/* What was just sent again may still be on its way. */
		if (sent->is_there || (sent->is_again && now_ns - sent->sent_ns < patience_ns))
			continue;
		if (seq_before(seq, raw->recover) >= 0)
			raw_window_shrinks_locked(raw);
		sent->is_again = true;
		burst_add_sent_locked(raw, burst, seq, now_ns);
	}
}

static void raw_take_ack(struct raw_stream *raw, const struct raw_packet *packet)
{
	uint64_t now_ns = clock_now_ns();
	struct burst burst;
	uint32_t last = packet->ack;

	burst.n = 0;
	pthread_mutex_lock(&raw->lock);
	/* One of the past, or of something that was never sent. */
	if (packet->ack - raw->acked > raw->next - raw->acked) {
		pthread_mutex_unlock(&raw->lock);
		return;
	}
	if (packet->ack != raw->acked)
		raw_take_cumulative_locked(raw, packet->ack, now_ns);
	for (uint32_t i = 1;
	     packet->kind == RAW_ACK && i < packet->len * 8 && i < raw->next - packet->ack; i++) {
		if (packet->payload[i / 8] & 1u << i % 8) {
			last = packet->ack + i;
			raw->sent[last % RAW_SLOTS].is_there = true;
		}
	}
	if (last != packet->ack)
		raw_send_missing_locked(raw, &burst, last, now_ns);
	pthread_mutex_unlock(&raw->lock);
	burst_send(raw, &burst, MSG_DONTWAIT);
}

static void raw_take_data(struct raw_stream *raw, const struct raw_packet *packet)
{
	struct come *come = &raw->come[packet->seq % RAW_SLOTS];
	uint32_t ahead = packet->seq - raw->reading;

	if (packet->len == 0 || packet->len > raw->payload_bytes)
		return;
	if (ahead >= RAW_SLOTS || come->is_here) {
		/* It came before; or there is no room yet, and it will come again. */
		raw->must_answer = true;
		return;
	}
	memcpy(come->bytes, packet->payload, packet->len);
	come->len = packet->len;
	come->is_here = true;
	pthread_mutex_lock(&raw->lock);
	if (packet->seq != raw->expected)
		raw->must_answer = true;
	while (raw->expected - raw->reading < RAW_SLOTS &&
	       raw->come[raw->expected % RAW_SLOTS].is_here)
		raw->expected++;
	if (++raw->unanswered >= RAW_ACK_EVERY)
		raw->must_answer = true;
	pthread_mutex_unlock(&raw->lock);
}

void raw_stream_take(struct raw_stream *raw, const uint8_t *bytes, size_t len)
{
	struct raw_packet packet;

	if (!raw_packet_decode(bytes, len, &packet) || packet.from != raw->pair.to ||
	    packet.to != raw->pair.from || packet.dvs != raw->pair.dvs)
		return;
	switch (packet.kind) {
	case RAW_SYN:
	case RAW_SYN_ACK:
		break;
	case RAW_DATA:
		raw_take_ack(raw, &packet);
		raw_take_data(raw, &packet);
		break;
	case RAW_ACK:
		raw_take_ack(raw, &packet);
		break;
	case RAW_RESET:
		atomic_store(&raw->is_over, true);
		break;
	}
}

/* The oldest packet is overdue: it and some behind it are sent again. */
static void raw_send_overdue(struct raw_stream *raw, uint64_t now_ns)
{
	struct burst burst;

	burst.n = 0;
	pthread_mutex_lock(&raw->lock);
	if (raw->next != raw->acked &&
	    now_ns - raw->sent[raw->acked % RAW_SLOTS].sent_ns > raw->rto_ns) {
		raw_window_shrinks_locked(raw);
		raw->rto_ns = raw->rto_ns * 2 < RTO_MAX_NS ? raw->rto_ns * 2 : RTO_MAX_NS;
		for (uint32_t seq = raw->acked; seq != raw->next && burst.n < WINDOW_MIN; seq++) {
			struct sent *sent = &raw->sent[seq % RAW_SLOTS];

			if (sent->is_there)
				continue;
			sent->is_again = true;
			burst_add_sent_locked(raw, &burst, seq, now_ns);
		}
	}
	pthread_mutex_unlock(&raw->lock);
	burst_send(raw, &burst, MSG_DONTWAIT);
}

static void raw_tick(struct raw_stream *raw)
{
	uint64_t now_ns = clock_now_ns();
	bool has_unanswered;

	if (now_ns - raw->ticked_ns < TICK_NS)
		return;
	raw->ticked_ns = now_ns;
	raw_send_overdue(raw, now_ns);
	pthread_mutex_lock(&raw->lock);
	has_unanswered = raw->unanswered > 0;
	pthread_mutex_unlock(&raw->lock);
	if (has_unanswered)
		raw_send_ack(raw);
}

/* Take in what has come. False: nothing had. */
static bool raw_take_batch(struct raw_stream *raw)
{
	struct mmsghdr messages[BATCH];
	struct iovec pieces[BATCH];
	int n;

	memset(messages, 0, sizeof(messages));
	for (size_t i = 0; i < BATCH; i++) {
		pieces[i] = (struct iovec){ raw->batch + i * raw->pair.packet_bytes,
					    raw->pair.packet_bytes };
		messages[i].msg_hdr.msg_iov = &pieces[i];
		messages[i].msg_hdr.msg_iovlen = 1;
	}
	/* An error is that of an interface that is down: it may come up again. */
	n = recvmmsg(raw->fd, messages, BATCH, MSG_DONTWAIT, NULL);
	for (int i = 0; i < n; i++) {
		atomic_fetch_add_explicit(&raw->figures->bytes_in, messages[i].msg_len,
					  memory_order_relaxed);
		if (!(messages[i].msg_hdr.msg_flags & MSG_TRUNC))
			raw_stream_take(raw, pieces[i].iov_base, messages[i].msg_len);
	}
	if (raw->must_answer)
		raw_send_ack(raw);
	raw_tick(raw);
	return n > 0;
}

static void raw_wait(struct raw_stream *raw, uint64_t deadline_ns)
{
	struct pollfd wait[] = {
		{ .fd = raw->fd, .events = POLLIN },
		{ .fd = raw->kick, .events = POLLIN },
	};
	int span_ms = clock_poll_ms(deadline_ns);
	bool is_active;

	pthread_mutex_lock(&raw->lock);
	is_active = raw->next != raw->acked || raw->unanswered > 0;
	raw->is_asleep = !is_active;
	pthread_mutex_unlock(&raw->lock);
	if (is_active && (span_ms < 0 || span_ms > (int)RAW_TICK_MS))
		span_ms = RAW_TICK_MS;
	if (poll(wait, ARRAY_LEN(wait), span_ms) > 0 && wait[1].revents)
		(void)!read(raw->kick, &(uint64_t){ 0 }, sizeof(uint64_t));
}

/* What is there in order. */
static size_t raw_read(struct raw_stream *raw, uint8_t *out, size_t room)
{
	size_t used = 0;

	while (used < room) {
		struct come *come = &raw->come[raw->reading % RAW_SLOTS];
		size_t len = room - used;

		if (!come->is_here)
			break;
		if (len > come->len - raw->reading_at)
			len = come->len - raw->reading_at;
		memcpy(out + used, come->bytes + raw->reading_at, len);
		used += len;
		raw->reading_at += (uint32_t)len;
		if (raw->reading_at == come->len) {
			come->is_here = false;
			raw->reading_at = 0;
			raw->reading++;
		}
	}
	return used;
}

static ssize_t raw_receive(struct stream *stream, const struct iovec *room, size_t n,
			   uint64_t deadline_ns)
{
	struct raw_stream *raw = raw_stream_of(stream);

	for (;;) {
		size_t total = 0;

		for (size_t i = 0; i < n; i++) {
			size_t got = raw_read(raw, room[i].iov_base, room[i].iov_len);

			total += got;
			if (got < room[i].iov_len)
				break;
		}
		if (total > 0)
			return (ssize_t)total;
		if (raw_is_over(raw))
			return STREAM_END;
		if (raw_take_batch(raw))
			continue;
		if (clock_is_past(deadline_ns))
			return STREAM_LATE;
		raw_wait(raw, deadline_ns);
	}
}

static void raw_shut(struct stream *stream)
{
	struct raw_stream *raw = raw_stream_of(stream);

	pthread_mutex_lock(&raw->lock);
	atomic_store_explicit(&raw->is_over, true, memory_order_release);
	pthread_cond_broadcast(&raw->room);
	pthread_mutex_unlock(&raw->lock);
	raw_kick(raw);
}

static void raw_free(struct raw_stream *raw)
{
	if (raw->kick >= 0)
		close(raw->kick);
	if (raw->fd >= 0)
		close(raw->fd);
	pthread_cond_destroy(&raw->room);
	pthread_mutex_destroy(&raw->lock);
	free(raw->memory);
	free(raw);
}

/* The peer is told, so that it need not find out by itself. */
static void raw_close(struct stream *stream)
{
	struct raw_stream *raw = raw_stream_of(stream);
	struct raw_packet packet = raw_packet_of(raw, RAW_RESET);
	struct burst burst;

	burst.n = 0;
	burst_add(raw, &burst, &packet);
	burst_send(raw, &burst, MSG_DONTWAIT);
	raw_free(raw);
}

static const struct stream_ops raw_ops = {
	.send = raw_send,
	.receive = raw_receive,
	.can_send = raw_can_send,
	.shut = raw_shut,
	.close = raw_close,
};

struct raw_stream *raw_stream_of(struct stream *stream)
{
	return CONTAINER_OF(stream, struct raw_stream, stream);
}

struct stream *raw_stream(int fd, const struct raw_pair *pair, struct link_figures *figures)
{
	struct raw_stream *raw = calloc(1, sizeof(*raw));
	uint8_t *at;

	if (!raw) {
		close(fd);
		return NULL;
	}
	raw->stream.ops = &raw_ops;
	raw->fd = fd;
	raw->pair = *pair;
	raw->figures = figures;
	raw->payload_bytes = pair->packet_bytes - RAW_HEAD_BYTES;
	raw->window = WINDOW_START;
	raw->threshold = WINDOW_MAX;
	raw->rto_ns = RTO_MIN_NS * 4;
	pthread_mutex_init(&raw->lock, NULL);
	pthread_cond_init(&raw->room, NULL);
	raw->kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	raw->memory = malloc((2 * RAW_SLOTS + BATCH) * pair->packet_bytes);
	if (raw->kick < 0 || !raw->memory) {
		raw_free(raw);
		return NULL;
	}
	at = raw->memory;
	for (size_t i = 0; i < RAW_SLOTS; i++) {
		raw->sent[i].bytes = at;
		at += pair->packet_bytes;
		raw->come[i].bytes = at;
		at += pair->packet_bytes;
	}
	raw->batch = at;
	return &raw->stream;
}
