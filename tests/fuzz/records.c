/* SPDX-License-Identifier: Apache-2.0 */
/* Records of TLS: as they are, or sealed with the right keys and then changed by the input. What comes out is what went in, up to where it was
 * changed. */
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "feed.h"
#include "fuzz.h"
#include "proxy/filter/record.h"

#define SENT_MAX 70000u

#define MUST(condition)                   \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

struct world {
	SSL_CTX *context;
	SSL *ssl;
	const SSL_CIPHER *cipher;
};

static const struct record_secret secrets[2] = { { { 1 }, 32 }, { { 2 }, 32 } };

static struct stream *open_stream(const struct world *world, struct feed *feed, int which,
				  uint64_t rekey_records)
{
	const struct record_setup setup = {
		.cipher = world->cipher,
		.sending = &secrets[which],
		.receiving = &secrets[1 - which],
		.rekey_records = rekey_records,
		.ahead = (const uint8_t *)"",
	};
	struct stream *stream = record_stream(&feed->stream, &setup);

	MUST(stream);
	return stream;
}

/* The bytes that come out, checked as far as EXPECTED has any. */
static size_t receive_all(struct stream *stream, const uint8_t *expected, size_t len, size_t step)
{
	uint8_t *out = malloc(step);
	size_t total = 0;

	for (;;) {
		struct iovec room = { out, step };
		ssize_t got = stream_receive(stream, &room, 1, STREAM_NOW);

		if (got <= 0)
			break;
		MUST(total + (size_t)got <= len);
		MUST(memcmp(out, expected + total, (size_t)got) == 0);
		total += (size_t)got;
	}
	free(out);
	return total;
}

static void run_sealed(const struct world *world, struct cursor in, uint8_t *sent)
{
	size_t step = cursor_u16(&in) + 1u;
	uint8_t rekey = cursor_u8(&in);
	uint8_t flip = cursor_u8(&in);
	size_t flip_at = cursor_u16(&in);
	size_t len = cursor_left(&in);
	struct feed feed;
	struct stream *stream;
	size_t whole;

	feed_init(&feed, sent, 0);
	feed.sent = sent;
	feed.sent_max = SENT_MAX;
	stream = open_stream(world, &feed, 0, rekey + 1u);
	for (size_t at = 0; at < len;) {
		size_t part = (at * 7 + 1) % 500 + 1;
		uint8_t copy[501];
		struct iovec piece = { copy, part < len - at ? part : len - at };

		memcpy(copy, in.at + at, piece.iov_len);
		at += piece.iov_len;
		MUST(stream_send(stream, &piece, 1));
	}
	stream_close(stream);
	whole = feed.sent_bytes;
	if (whole > 0)
		sent[flip_at % whole] ^= flip;
	feed_init(&feed, sent, whole);
	feed.piece = rekey;
	stream = open_stream(world, &feed, 1, 100);
	MUST(receive_all(stream, in.at, len, step) == len || flip != 0);
	stream_close(stream);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor in = cursor_over(data, size < 4096 ? size : 4096);
	uint8_t way = cursor_u8(&in);
	struct world world = { .context = SSL_CTX_new(TLS_method()) };
	uint8_t *sent = malloc(SENT_MAX);

	MUST(world.context && sent);
	world.ssl = SSL_new(world.context);
	/* TLS_AES_128_GCM_SHA256 on the wire. */
	world.cipher = SSL_CIPHER_find(world.ssl, (const unsigned char *)"\x13\x01");
	MUST(world.cipher);
	if (way % 2 && cursor_left(&in) > 6) {
		run_sealed(&world, in, sent);
	} else {
		struct feed feed;
		struct stream *stream;

		feed_init(&feed, in.at, cursor_left(&in));
		stream = open_stream(&world, &feed, 1, 100);
		/* Nobody can guess a tag. */
		MUST(receive_all(stream, sent, 0, 100) == 0);
		stream_close(stream);
	}
	SSL_free(world.ssl);
	SSL_CTX_free(world.context);
	free(sent);
	return 0;
}
