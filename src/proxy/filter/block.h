/* SPDX-License-Identifier: Apache-2.0 */
/* Compression of what is sent at once, in blocks that stand for themselves.
 *
 * A block is its length as it is sent, its length as it was (4 bytes each, little-endian), and the bytes. Equal lengths: it is not compressed. A
 * receiver reserves BLOCK_PLAIN_MAX for it, whatever a peer says. */
#ifndef PROXY_FILTER_BLOCK_H
#define PROXY_FILTER_BLOCK_H

#include "proxy/filter.h"

#define BLOCK_HEAD_BYTES 8u
#define BLOCK_PLAIN_MAX ((size_t)128 << 10)

struct block_codec {
	const struct filter_ops *ops;
	/* The state of one direction; NULL: no memory. */
	void *(*compressor)(void);
	void *(*decompressor)(void);
	void (*free_compressor)(void *state);
	void (*free_decompressor)(void *state);
	/* How many bytes; 0: it does not become smaller than OUT_BYTES. */
	size_t (*compress)(void *state, void *out, size_t out_bytes, const void *in,
			   size_t in_bytes);
	/* Exactly OUT_BYTES come out; false otherwise. */
	bool (*decompress)(void *state, void *out, size_t out_bytes, const void *in,
			   size_t in_bytes);
};

DVS_MUST_USE dvs_err block_open(const struct block_codec *codec, struct filter **filter, char *text,
				size_t text_bytes);
DVS_MUST_USE dvs_err block_wrap(struct filter *filter, struct stream *lower, bool listens,
				uint64_t deadline_ns, struct stream **upper, char *text,
				size_t text_bytes);
void block_close(struct filter *filter);

#endif
