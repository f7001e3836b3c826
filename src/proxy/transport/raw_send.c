/* SPDX-License-Identifier: Apache-2.0 */
/* The sending half: data into packets, and as many of them under way as the window allows. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "proxy/sum.h"
#include "proxy/transport/raw_stream.h"

void raw_kick(const struct raw_stream *raw)
{
	(void)!write(raw->kick, &(uint64_t){ 1 }, sizeof(uint64_t));
}

struct raw_packet raw_packet_of(const struct raw_stream *raw, enum raw_kind kind)
{
	return (struct raw_packet){
		.kind = kind,
		.from = raw->pair.from,
		.to = raw->pair.to,
		.dvs = raw->pair.dvs,
		.token = raw->pair.token,
		.ack = raw->expected,
	};
}

void burst_add(struct raw_stream *raw, struct burst *burst, const struct raw_packet *packet)
{
	size_t at = burst->n++;

	raw_head_encode(burst->heads[at], packet);
	burst->pieces[at][0] = (struct iovec){ burst->heads[at], RAW_HEAD_BYTES };
	burst->pieces[at][1] = (struct iovec){ (void *)(uintptr_t)packet->payload, packet->len };
	burst->messages[at] = (struct mmsghdr){
		.msg_hdr = {
			.msg_name = &raw->pair.peer,
			.msg_namelen = sizeof(raw->pair.peer),
			.msg_iov = burst->pieces[at],
			.msg_iovlen = 2,
		},
	};
}

void burst_send(struct raw_stream *raw, struct burst *burst, int flags)
{
	size_t done = 0;

	while (done < burst->n) {
		int sent = sendmmsg(raw->fd, burst->messages + done,
				    (unsigned int)(burst->n - done), flags);

		if (sent <= 0 && errno == EINTR)
			continue;
		if (sent <= 0)
			break;
		for (size_t i = done; i < done + (size_t)sent; i++)
			atomic_fetch_add_explicit(&raw->figures->bytes_out,
						  burst->messages[i].msg_len, memory_order_relaxed);
		atomic_fetch_add_explicit(&raw->figures->writes, 1, memory_order_relaxed);
		done += (size_t)sent;
	}
	burst->n = 0;
}

void burst_add_sent_locked(struct raw_stream *raw, struct burst *burst, uint32_t seq,
			   uint64_t now_ns)
{
	struct sent *sent = &raw->sent[seq % RAW_SLOTS];
	struct raw_packet packet = raw_packet_of(raw, RAW_DATA);

	packet.seq = seq;
	packet.len = sent->len;
	packet.sum = sent->sum;
	packet.payload = sent->bytes;
	burst_add(raw, burst, &packet);
	sent->sent_ns = now_ns;
}

/* Put all packets that are ready under way; waits for the window. */
static bool raw_send_packets(struct raw_stream *raw)
{
	struct burst burst;
	bool must_kick = false;

	burst.n = 0;
	pthread_mutex_lock(&raw->lock);
	while (raw->next != raw->end && !raw_is_over(raw)) {
		uint64_t now_ns = clock_now_ns();

		if (raw->next - raw->acked >= raw->window) {
			pthread_cond_wait(&raw->room, &raw->lock);
			continue;
		}
		while (raw->next != raw->end && raw->next - raw->acked < raw->window &&
		       burst.n < BATCH) {
			raw->sent[raw->next % RAW_SLOTS].is_there = false;
			raw->sent[raw->next % RAW_SLOTS].is_again = false;
			burst_add_sent_locked(raw, &burst, raw->next, now_ns);
			raw->next++;
		}
		raw->unanswered = 0; /* they tell it */
		must_kick = raw->is_asleep;
		raw->is_asleep = false;
		pthread_mutex_unlock(&raw->lock);
		burst_send(raw, &burst, 0);
		if (must_kick)
			raw_kick(raw);
		pthread_mutex_lock(&raw->lock);
	}
	pthread_mutex_unlock(&raw->lock);
	return !raw_is_over(raw);
}

bool raw_send(struct stream *stream, struct iovec *pieces, size_t n)
{
	struct raw_stream *raw = raw_stream_of(stream);

	while (n > 0) {
		for (size_t i = 0; i < BATCH && n > 0; i++) {
			struct sent *sent = &raw->sent[raw->end % RAW_SLOTS];

			sent->len = 0;
			while (n > 0 && sent->len < raw->payload_bytes) {
				size_t len = raw->payload_bytes - sent->len;

				if (len > pieces->iov_len)
					len = pieces->iov_len;
				memcpy(sent->bytes + sent->len, pieces->iov_base, len);
				sent->len += (uint32_t)len;
				stream_advance(&pieces, &n, len);
			}
			sent->sum = sum_crc32c(0, sent->bytes, sent->len);
			raw->end++;
		}
		if (!raw_send_packets(raw))
			return false;
	}
	return true;
}

bool raw_can_send(struct stream *stream)
{
	struct raw_stream *raw = raw_stream_of(stream);
	bool can;

	pthread_mutex_lock(&raw->lock);
	can = raw->next - raw->acked < raw->window;
	pthread_mutex_unlock(&raw->lock);
	return can;
}
