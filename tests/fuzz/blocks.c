/* SPDX-License-Identifier: Apache-2.0 */
/* Compressed blocks. The first byte chooses zstd or lz4, and the way: hostile blocks, which must not give more than their bound; or what goes in, which
 * must come out again. */
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"
#include "feed.h"
#include "fuzz.h"
#include "proxy/filter/block.h"

#define OUT_BYTES ((size_t)300 << 10)

#define MUST(condition)                   \
	do {                              \
		if (!(condition))         \
			__builtin_trap(); \
	} while (0)

static struct stream *open_stream(const struct filter_ops *ops, struct feed *feed,
				  struct filter **filter)
{
	const struct filter_setup setup = { .node = 0 };
	struct stream *stream;
	char text[100];

	MUST(ops->open(&setup, filter, text, sizeof(text)) == DVS_OK);
	MUST(ops->wrap(*filter, &feed->stream, false, 0, &stream, text, sizeof(text)) == DVS_OK);
	return stream;
}

static size_t receive_all(struct stream *stream, uint8_t *out, size_t step, size_t n_blocks)
{
	size_t total = 0;

	for (;;) {
		struct iovec room = { out, step };
		ssize_t got = stream_receive(stream, &room, 1, STREAM_NOW);

		if (got <= 0)
			return total;
		total += (size_t)got;
		MUST((size_t)got <= step && total <= n_blocks * BLOCK_PLAIN_MAX);
	}
}

static void run_hostile(const struct filter_ops *ops, const uint8_t *bytes, size_t len,
			uint8_t piece)
{
	uint8_t *out = malloc(OUT_BYTES);
	struct filter *filter;
	struct feed feed;
	struct stream *stream;

	feed_init(&feed, bytes, len);
	feed.piece = piece;
	stream = open_stream(ops, &feed, &filter);
	receive_all(stream, out, piece % 2 ? OUT_BYTES : piece + 1u, len / BLOCK_HEAD_BYTES);
	stream_close(stream);
	ops->close(filter);
	free(out);
}

static void run_back_and_forth(const struct filter_ops *ops, const uint8_t *bytes, size_t len,
			       uint8_t times)
{
	size_t plain_bytes = len * (times + 1u);
	uint8_t *plain = malloc(plain_bytes + 1);
	uint8_t *sent = calloc(1, 2 * plain_bytes + 4096);
	uint8_t *out = malloc(plain_bytes + 1);
	struct iovec pieces[2];
	struct filter *filter;
	struct stream *stream;
	struct feed feed;

	for (size_t i = 0; i <= times; i++)
		memcpy(plain + i * len, bytes, len);
	pieces[0] = (struct iovec){ plain, plain_bytes / 3 };
	pieces[1] = (struct iovec){ plain + plain_bytes / 3, plain_bytes - plain_bytes / 3 };
	feed_init(&feed, sent, 0);
	feed.sent = sent;
	feed.sent_max = 2 * plain_bytes + 4096;
	stream = open_stream(ops, &feed, &filter);
	MUST(stream_send(stream, pieces, 2));
	feed.len = feed.sent_bytes;
	MUST(stream_receive_all(stream, out, plain_bytes, STREAM_NOW) == (ssize_t)plain_bytes);
	MUST(memcmp(out, plain, plain_bytes) == 0 && feed.at == feed.len);
	stream_close(stream);
	ops->close(filter);
	free(plain);
	free(sent);
	free(out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct cursor in = cursor_over(data, size < 65536 ? size : 65536);
	uint8_t way = cursor_u8(&in);
	uint8_t number = cursor_u8(&in);
	const struct filter_ops *ops = way % 2 ? &filter_lz4 : &filter_zstd;

	if (in.failed || cursor_left(&in) == 0)
		return 0;
	if (way / 2 % 2)
		run_hostile(ops, in.at, cursor_left(&in), number);
	else
		run_back_and_forth(ops, in.at, cursor_left(&in), number);
	return 0;
}
