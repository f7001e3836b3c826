/* SPDX-License-Identifier: Apache-2.0 */
/* Zstandard at its fastest regular level: for networks of up to a few hundred MB/s. */
#include <zstd.h>

#include "proxy/filter/block.h"

#define LEVEL 1

static void *zstd_compressor(void)
{
	return ZSTD_createCCtx();
}

static void *zstd_decompressor(void)
{
	return ZSTD_createDCtx();
}

static void zstd_free_compressor(void *state)
{
	(void)ZSTD_freeCCtx(state);
}

static void zstd_free_decompressor(void *state)
{
	(void)ZSTD_freeDCtx(state);
}

static size_t zstd_compress(void *state, void *out, size_t out_bytes, const void *in,
			    size_t in_bytes)
{
	size_t n = ZSTD_compressCCtx(state, out, out_bytes, in, in_bytes, LEVEL);

	return ZSTD_isError(n) ? 0 : n;
}

static bool zstd_decompress(void *state, void *out, size_t out_bytes, const void *in,
			    size_t in_bytes)
{
	return ZSTD_decompressDCtx(state, out, out_bytes, in, in_bytes) == out_bytes;
}

static const struct block_codec zstd_codec = {
	.ops = &filter_zstd,
	.compressor = zstd_compressor,
	.decompressor = zstd_decompressor,
	.free_compressor = zstd_free_compressor,
	.free_decompressor = zstd_free_decompressor,
	.compress = zstd_compress,
	.decompress = zstd_decompress,
};

static dvs_err zstd_open(const struct filter_setup *setup, struct filter **filter, char *text,
			 size_t text_bytes)
{
	(void)setup;
	return block_open(&zstd_codec, filter, text, text_bytes);
}

const struct filter_ops filter_zstd = {
	.name = "zstd",
	.open = zstd_open,
	.wrap = block_wrap,
	.close = block_close,
};
