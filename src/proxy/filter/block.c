/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/filter/block.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cursor.h"

/* Shorter ones are sent as they are: compressing them costs more than it saves. */
#define PLAIN_MIN 256u
/* When blocks one after another do not become smaller, so many are sent as they are at most before it is tried again. */
#define SKIP_BLOCKS_MAX 7u
/* Room for two blocks, sent when there is not enough for one more. */
#define OUT_BYTES (2 * (BLOCK_PLAIN_MAX + BLOCK_HEAD_BYTES))
#define IN_BYTES (2 * (BLOCK_PLAIN_MAX + BLOCK_HEAD_BYTES))

struct block_filter {
	struct filter filter;
	const struct block_codec *codec;
};

struct block {
	struct stream stream;
	const struct block_codec *codec;
	/* the sender's: */
	void *compressor;
	uint8_t *
		gathered; /* BLOCK_PLAIN_MAX: private, as a program may write to what is sent of it */
	size_t n_gathered;
	uint8_t *out; /* OUT_BYTES */
	size_t n_out;
	uint32_t skip;
	uint32_t skip_next;
	/* the receiver's: */
	void *decompressor;
	uint8_t *in; /* IN_BYTES */
	size_t in_start;
	size_t in_end;
	uint8_t *plain;	      /* BLOCK_PLAIN_MAX */
	const uint8_t *ready; /* bytes of a block that are not given out yet */
	size_t n_ready;
};

static bool block_send_out(struct block *block)
{
	struct iovec piece = { block->out, block->n_out };

	block->n_out = 0;
	return piece.iov_len == 0 || stream_send(block->stream.lower, &piece, 1);
}

/* What is gathered becomes a block. */
static bool block_put(struct block *block)
{
	size_t n = block->n_gathered;
	struct writer head;
	uint8_t *at;
	size_t stored = 0;

	if (OUT_BYTES - block->n_out < n + BLOCK_HEAD_BYTES && !block_send_out(block))
		return false;
	at = block->out + block->n_out;
	if (n >= PLAIN_MIN && block->skip == 0) {
		/* A sixteenth must be saved at least. */
		stored = block->codec->compress(block->compressor, at + BLOCK_HEAD_BYTES,
						n - n / 16, block->gathered, n);
		block->skip = stored == 0 ? block->skip_next : 0;
		block->skip_next = stored == 0 ? block->skip_next * 2 + 1 : 0;
		if (block->skip_next > SKIP_BLOCKS_MAX)
			block->skip_next = SKIP_BLOCKS_MAX;
	} else if (n >= PLAIN_MIN) {
		block->skip--;
	}
	if (stored == 0) {
		memcpy(at + BLOCK_HEAD_BYTES, block->gathered, n);
		stored = n;
	}
	head = writer_over(at, BLOCK_HEAD_BYTES);
	writer_u32(&head, stored);
	writer_u32(&head, n);
	block->n_out += BLOCK_HEAD_BYTES + stored;
	block->n_gathered = 0;
	return true;
}

static bool block_send(struct stream *stream, struct iovec *pieces, size_t n)
{
	struct block *block = CONTAINER_OF(stream, struct block, stream);

	while (n > 0) {
		size_t len = BLOCK_PLAIN_MAX - block->n_gathered;

		if (len > pieces->iov_len)
			len = pieces->iov_len;
		memcpy(block->gathered + block->n_gathered, pieces->iov_base, len);
		block->n_gathered += len;
		stream_advance(&pieces, &n, len);
		if (block->n_gathered == BLOCK_PLAIN_MAX && !block_put(block))
			return false;
	}
	if (block->n_gathered > 0 && !block_put(block))
		return false;
	return block_send_out(block);
}

/* The next block of `in` becomes ready, or goes to OUT when there is room for it all; its bytes there, 0: not all of it is here. */
static ssize_t block_take(struct block *block, void *out, size_t out_bytes)
{
	size_t here = block->in_end - block->in_start;
	const uint8_t *at = block->in + block->in_start;
	struct cursor head = cursor_over(at, BLOCK_HEAD_BYTES);
	size_t stored;
	size_t plain;

	if (here < BLOCK_HEAD_BYTES)
		return 0;
	stored = cursor_u32(&head);
	plain = cursor_u32(&head);
	if (plain == 0 || plain > BLOCK_PLAIN_MAX || stored > plain || stored == 0) {
		stream_say(&block->stream, "a compressed block of impossible size");
		return STREAM_BROKEN;
	}
	if (here < BLOCK_HEAD_BYTES + stored)
		return 0;
	at += BLOCK_HEAD_BYTES;
	block->in_start += BLOCK_HEAD_BYTES + stored;
	if (stored == plain) {
		block->ready = at;
		block->n_ready = plain;
		return 0;
	}
	if (!block->codec->decompress(block->decompressor, out_bytes >= plain ? out : block->plain,
				      plain, at, stored)) {
		stream_say(&block->stream, "a compressed block that cannot be read");
		return STREAM_BROKEN;
	}
	if (out_bytes >= plain)
		return (ssize_t)plain;
	block->ready = block->plain;
	block->n_ready = plain;
	return 0;
}

/* What is here, to OUT; 0: not a whole block. */
static ssize_t block_give(struct block *block, uint8_t *out, size_t out_bytes)
{
	size_t used = 0;

	while (used < out_bytes) {
		ssize_t taken = 0;
		size_t len;

		if (block->n_ready == 0)
			taken = block_take(block, out + used, out_bytes - used);
		if (taken < 0)
			return taken;
		used += (size_t)taken;
		len = out_bytes - used;
		if (len > block->n_ready)
			len = block->n_ready;
		if (len == 0 && taken == 0)
			break;
		if (len == 0)
			continue;
		memcpy(out + used, block->ready, len);
		block->ready += len;
		block->n_ready -= len;
		used += len;
	}
	return (ssize_t)used;
}

static ssize_t block_fill(struct block *block, uint64_t deadline_ns)
{
	struct iovec room;
	ssize_t got;

	/* Nothing is ready, so the bytes may be moved; a block that is not whole leaves room for more. */
	memmove(block->in, block->in + block->in_start, block->in_end - block->in_start);
	block->in_end -= block->in_start;
	block->in_start = 0;
	room = (struct iovec){ block->in + block->in_end, IN_BYTES - block->in_end };
	got = stream_receive(block->stream.lower, &room, 1, deadline_ns);
	if (got > 0)
		block->in_end += (size_t)got;
	else if (got == STREAM_BROKEN)
		stream_say(&block->stream, "%s", block->stream.lower->why);
	return got;
}

static ssize_t block_receive(struct stream *stream, const struct iovec *room, size_t n,
			     uint64_t deadline_ns)
{
	struct block *block = CONTAINER_OF(stream, struct block, stream);

	for (;;) {
		ssize_t total = 0;
		ssize_t got = 0;

		for (size_t i = 0; i < n; i++) {
			got = block_give(block, room[i].iov_base, room[i].iov_len);
			if (got < 0)
				return got;
			total += got;
			if ((size_t)got < room[i].iov_len)
				break;
		}
		if (total > 0)
			return total;
		got = block_fill(block, deadline_ns);
		if (got <= 0)
			return got;
	}
}

static void block_stream_close(struct stream *stream)
{
	struct block *block = CONTAINER_OF(stream, struct block, stream);

	stream_close(stream->lower);
	if (block->compressor)
		block->codec->free_compressor(block->compressor);
	if (block->decompressor)
		block->codec->free_decompressor(block->decompressor);
	free(block->gathered);
	free(block->out);
	free(block->in);
	free(block->plain);
	free(block);
}

static const struct stream_ops block_ops = {
	.send = block_send,
	.receive = block_receive,
	.can_send = stream_lower_can_send,
	.shut = stream_lower_shut,
	.close = block_stream_close,
};

dvs_err block_wrap(struct filter *filter, struct stream *lower, bool listens, uint64_t deadline_ns,
		   struct stream **upper, char *text, size_t text_bytes)
{
	const struct block_codec *codec = CONTAINER_OF(filter, struct block_filter, filter)->codec;
	struct block *block = calloc(1, sizeof(*block));

	(void)listens;
	(void)deadline_ns;
	if (!block)
		goto no_memory;
	block->stream.ops = &block_ops;
	block->codec = codec;
	block->compressor = codec->compressor();
	block->decompressor = codec->decompressor();
	block->gathered = malloc(BLOCK_PLAIN_MAX);
	block->out = malloc(OUT_BYTES);
	block->in = malloc(IN_BYTES);
	block->plain = malloc(BLOCK_PLAIN_MAX);
	if (!block->compressor || !block->decompressor || !block->gathered || !block->out ||
	    !block->in || !block->plain) {
		block_stream_close(&block->stream);
		goto no_memory;
	}
	block->stream.lower = lower;
	*upper = &block->stream;
	return DVS_OK;
no_memory:
	snprintf(text, text_bytes, "no memory");
	return DVS_NOMEM;
}

dvs_err block_open(const struct block_codec *codec, struct filter **filter, char *text,
		   size_t text_bytes)
{
	struct block_filter *made = calloc(1, sizeof(*made));

	if (!made) {
		snprintf(text, text_bytes, "no memory");
		return DVS_NOMEM;
	}
	made->filter.ops = codec->ops;
	made->codec = codec;
	*filter = &made->filter;
	return DVS_OK;
}

void block_close(struct filter *filter)
{
	free(CONTAINER_OF(filter, struct block_filter, filter));
}
