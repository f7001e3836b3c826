/* SPDX-License-Identifier: Apache-2.0 */
/* Packets of the transport raw. The input is a program: packets as they are, packets with right checksums in any order, lost and doubled,
 * acknowledgements of anything, between calls of ours that send and receive. What is received is in order and whole. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "fuzz.h"
#include "proxy/sum.h"
#include "proxy/transport/raw.h"

#define STEPS_MAX 400u
#define TOKEN 77u

#define MUST(condition)                   \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

struct world {
	struct stream *stream;
	struct raw_stream *raw;
	uint64_t received;
};

/* Packet SEQ of the other side has this many bytes, and they are all SEQ's lowest. */
static uint32_t len_of(uint32_t seq)
{
	return 1 + seq * 7 % 40;
}

static void take_packet(struct world *w, struct cursor *in, enum raw_kind kind)
{
	uint8_t bytes[RAW_PACKET_BYTES_MIN] = { 0 };
	struct raw_packet packet = {
		.kind = kind,
		.from = 2,
		.to = 1,
		.dvs = 5,
		.token = TOKEN,
		/* Also some from around the end of the numbers. */
		.seq = cursor_u16(in) - 100u,
		.ack = cursor_u8(in) - 10u,
	};

	if (kind == RAW_DATA) {
		packet.len = len_of(packet.seq);
		memset(bytes + RAW_HEAD_BYTES, (uint8_t)packet.seq, packet.len);
	} else {
		packet.len = cursor_u8(in);
		if (packet.len > cursor_left(in))
			packet.len = (uint32_t)cursor_left(in);
		cursor_bytes(in, bytes + RAW_HEAD_BYTES, packet.len);
	}
	packet.sum = sum_crc32c(0, bytes + RAW_HEAD_BYTES, packet.len);
	raw_head_encode(bytes, &packet);
	raw_stream_take(w->raw, bytes, RAW_HEAD_BYTES + packet.len);
}

static void take_garbage(struct world *w, struct cursor *in)
{
	size_t len = cursor_u8(in);

	if (len > cursor_left(in))
		len = cursor_left(in);
	raw_stream_take(w->raw, cursor_borrow(in, len), len);
}

static void receive(struct world *w, size_t step)
{
	uint8_t out[256];
	struct iovec room = { out, step % sizeof(out) + 1 };
	ssize_t got = stream_receive(w->stream, &room, 1, STREAM_NOW);
	uint64_t before = 0;
	uint32_t seq = 0;

	for (ssize_t i = 0; i < got; i++) {
		while (before + len_of(seq) <= w->received)
			before += len_of(seq++);
		MUST(out[i] == (uint8_t)seq);
		w->received++;
	}
}

static void send_some(struct world *w, size_t len)
{
	static uint8_t bytes[256];
	struct iovec piece = { bytes, len + 1 };

	/* Only as much as there is room for: nobody would let it go on. */
	if (stream_can_send(w->stream))
		(void)stream_send(w->stream, &piece, 1);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct raw_pair pair = {
		.from = 1, .to = 2, .dvs = 5, .token = 9, .packet_bytes = RAW_PACKET_BYTES_MIN
	};
	struct cursor in = cursor_over(data, size);
	static struct link_figures figures;
	struct world w = { .received = 0 };

	/* What is sent goes nowhere. */
	w.stream = raw_stream(open("/dev/null", O_RDWR | O_CLOEXEC), &pair, &figures);
	MUST(w.stream);
	w.raw = raw_stream_of(w.stream);
	for (unsigned int i = 0; i < STEPS_MAX && cursor_left(&in) > 0; i++) {
		uint8_t what = cursor_u8(&in);

		if (what < 120)
			take_packet(&w, &in, RAW_DATA);
		else if (what < 160)
			take_packet(&w, &in, RAW_ACK);
		else if (what < 180)
			take_garbage(&w, &in);
		else if (what < 220)
			receive(&w, cursor_u8(&in));
		else if (what < 254)
			send_some(&w, cursor_u8(&in));
		else
			take_packet(&w, &in, RAW_RESET);
	}
	stream_close(w.stream);
	return 0;
}
