/* SPDX-License-Identifier: Apache-2.0 */
/* LZ4: compresses less than zstd, and several times as fast. */
#include <lz4.h>
#include <stdlib.h>

#include "proxy/filter/block.h"

static void *lz4_compressor(void)
{
	return malloc((size_t)LZ4_sizeofState());
}

/* It needs none. */
static void *lz4_decompressor(void)
{
	return malloc(1);
}

static size_t lz4_compress(void *state, void *out, size_t out_bytes, const void *in,
			   size_t in_bytes)
{
	int n = LZ4_compress_fast_extState(state, in, out, (int)in_bytes, (int)out_bytes, 1);

	return n > 0 ? (size_t)n : 0;
}

static bool lz4_decompress(void *state, void *out, size_t out_bytes, const void *in,
			   size_t in_bytes)
{
	(void)state;
	return LZ4_decompress_safe(in, out, (int)in_bytes, (int)out_bytes) == (int)out_bytes;
}

static const struct block_codec lz4_codec = {
	.ops = &filter_lz4,
	.compressor = lz4_compressor,
	.decompressor = lz4_decompressor,
	.free_compressor = free,
	.free_decompressor = free,
	.compress = lz4_compress,
	.decompress = lz4_decompress,
};

static dvs_err lz4_open(const struct filter_setup *setup, struct filter **filter, char *text,
			size_t text_bytes)
{
	(void)setup;
	return block_open(&lz4_codec, filter, text, text_bytes);
}

const struct filter_ops filter_lz4 = {
	.name = "lz4",
	.open = lz4_open,
	.wrap = block_wrap,
	.close = block_close,
};
