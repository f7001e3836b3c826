/* SPDX-License-Identifier: Apache-2.0 */
#include "gateways/nbd/protocol.h"

#include <string.h>

#define REQUEST_MAGIC UINT32_C(0x25609513)
#define SIMPLE_MAGIC UINT32_C(0x67446698)
#define CHUNK_MAGIC UINT32_C(0x668e33ef)

#define CHUNK_DONE 1u
#define CHUNK_NONE 0u
#define CHUNK_DATA 1u
#define CHUNK_STATUS 5u
#define CHUNK_ERROR 32769u

uint16_t nbd_get_u16(struct cursor *in)
{
	return __builtin_bswap16(cursor_u16(in));
}

uint32_t nbd_get_u32(struct cursor *in)
{
	return __builtin_bswap32(cursor_u32(in));
}

uint64_t nbd_get_u64(struct cursor *in)
{
	return __builtin_bswap64(cursor_u64(in));
}

void nbd_put_u16(struct writer *out, uint16_t value)
{
	writer_u16(out, __builtin_bswap16(value));
}

void nbd_put_u32(struct writer *out, uint32_t value)
{
	writer_u32(out, __builtin_bswap32(value));
}

void nbd_put_u64(struct writer *out, uint64_t value)
{
	writer_u64(out, __builtin_bswap64(value));
}

bool nbd_request_parse(const uint8_t head[NBD_REQUEST_BYTES], struct nbd_request *request)
{
	struct cursor in = cursor_over(head, NBD_REQUEST_BYTES);
	bool is_request = nbd_get_u32(&in) == REQUEST_MAGIC;

	request->flags = nbd_get_u16(&in);
	request->command = nbd_get_u16(&in);
	request->cookie = nbd_get_u64(&in);
	request->offset = nbd_get_u64(&in);
	request->bytes = nbd_get_u32(&in);
	return is_request && cursor_done(&in);
}

static bool is_inside(const struct nbd_request *request, const struct nbd_rules *rules)
{
	return request->offset <= rules->bytes && request->bytes <= rules->bytes - request->offset;
}

static bool is_aligned(const struct nbd_request *request)
{
	return (request->offset | request->bytes) % NBD_BLOCK_MIN == 0;
}

/* Flags that are none of COMMAND's. "Force unit access" is allowed with all of them. */
static bool has_strange_flags(const struct nbd_request *request, const struct nbd_rules *rules)
{
	uint32_t allowed = NBD_CMD_FUA;

	if (request->command == NBD_READ && rules->is_structured)
		allowed |= NBD_CMD_DF;
	if (request->command == NBD_WRITE_ZEROES)
		allowed |= NBD_CMD_NO_HOLE | NBD_CMD_FAST_ZERO;
	if (request->command == NBD_BLOCK_STATUS)
		allowed |= NBD_CMD_REQ_ONE;
	return (request->flags & ~allowed) != 0;
}

static enum nbd_error check_read(const struct nbd_request *request, const struct nbd_rules *rules)
{
	if (!is_inside(request, rules) || !is_aligned(request))
		return NBD_EINVAL;
	if ((request->flags & NBD_CMD_DF) && request->bytes > NBD_UNFRAGMENTED_MAX)
		return NBD_EOVERFLOW;
	return request->bytes > NBD_PAYLOAD_MAX ? NBD_EINVAL : NBD_OK;
}

/* What changes something. BEYOND is the error when it reaches beyond the end. */
static enum nbd_error check_change(const struct nbd_request *request, const struct nbd_rules *rules,
				   enum nbd_error beyond)
{
	if (rules->is_read_only)
		return NBD_EPERM;
	if (!is_inside(request, rules))
		return beyond;
	return is_aligned(request) ? NBD_OK : NBD_EINVAL;
}

static enum nbd_error check_zeroes(const struct nbd_request *request, const struct nbd_rules *rules)
{
	enum nbd_error error = check_change(request, rules, NBD_ENOSPC);
	bool is_quick = rules->zeroes_quickly && !(request->flags & NBD_CMD_NO_HOLE);

	if (error == NBD_OK && (request->flags & NBD_CMD_FAST_ZERO) && !is_quick)
		return NBD_ENOTSUP;
	return error;
}

enum nbd_error nbd_request_check(const struct nbd_request *request, const struct nbd_rules *rules)
{
	enum nbd_error error;

	if (has_strange_flags(request, rules))
		return NBD_EINVAL;
	switch (request->command) {
	case NBD_READ:
		return check_read(request, rules);
	case NBD_WRITE:
		error = check_change(request, rules, NBD_ENOSPC);
		return error == NBD_OK && request->bytes > NBD_PAYLOAD_MAX ? NBD_EINVAL : error;
	case NBD_FLUSH:
		return request->offset || request->bytes ? NBD_EINVAL : NBD_OK;
	case NBD_TRIM:
		return check_change(request, rules, NBD_EINVAL);
	case NBD_WRITE_ZEROES:
		return check_zeroes(request, rules);
	case NBD_BLOCK_STATUS:
		if (!rules->has_status || request->bytes == 0 || !is_aligned(request))
			return NBD_EINVAL;
		return is_inside(request, rules) ? NBD_OK : NBD_EINVAL;
	default: /* also NBD_CACHE: what would be brought nearer is one call away already */
		return NBD_EINVAL;
	}
}

uint16_t nbd_export_flags(bool is_read_only, bool is_structured)
{
	/* All connections have the same server behind them, which orders: a flush on one covers all. */
	unsigned flags = NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA |
			 NBD_FLAG_CAN_MULTI_CONN;

	if (is_read_only)
		flags |= NBD_FLAG_READ_ONLY;
	else
		flags |= NBD_FLAG_SEND_TRIM | NBD_FLAG_SEND_WRITE_ZEROES | NBD_FLAG_SEND_FAST_ZERO;
	if (is_structured)
		flags |= NBD_FLAG_SEND_DF;
	return (uint16_t)flags;
}

enum nbd_error nbd_error_of(dvs_err err, uint16_t command)
{
	bool grows = command == NBD_WRITE || command == NBD_WRITE_ZEROES;

	if (err == DVS_OK)
		return NBD_OK;
	if (err == DVS_RANGE)
		return grows ? NBD_ENOSPC : NBD_EINVAL;
	if (err == DVS_NOSPACE)
		return NBD_ENOSPC;
	if (err == DVS_READONLY || err == DVS_DENIED)
		return NBD_EPERM;
	if (err == DVS_BADARG)
		return NBD_EINVAL;
	return err == DVS_NOMEM ? NBD_ENOMEM : NBD_EIO;
}

size_t nbd_put_simple(uint8_t out[NBD_SIMPLE_BYTES], uint64_t cookie, enum nbd_error error)
{
	struct writer writer = writer_over(out, NBD_SIMPLE_BYTES);

	nbd_put_u32(&writer, SIMPLE_MAGIC);
	nbd_put_u32(&writer, error);
	nbd_put_u64(&writer, cookie);
	return writer_len(&writer);
}

static void put_chunk(struct writer *writer, bool is_last, uint16_t type, uint64_t cookie,
		      uint32_t bytes)
{
	nbd_put_u32(writer, CHUNK_MAGIC);
	nbd_put_u16(writer, is_last ? CHUNK_DONE : 0);
	nbd_put_u16(writer, type);
	nbd_put_u64(writer, cookie);
	nbd_put_u32(writer, bytes);
}

size_t nbd_put_data_chunk(uint8_t out[NBD_DATA_CHUNK_BYTES], uint64_t cookie, uint64_t offset,
			  uint32_t bytes, bool is_last)
{
	struct writer writer = writer_over(out, NBD_DATA_CHUNK_BYTES);

	put_chunk(&writer, is_last, CHUNK_DATA, cookie, bytes + 8);
	nbd_put_u64(&writer, offset);
	return writer_len(&writer);
}

size_t nbd_put_none_chunk(uint8_t out[NBD_CHUNK_BYTES], uint64_t cookie)
{
	struct writer writer = writer_over(out, NBD_CHUNK_BYTES);

	put_chunk(&writer, true, CHUNK_NONE, cookie, 0);
	return writer_len(&writer);
}

size_t nbd_put_error_chunk(uint8_t out[NBD_ERROR_CHUNK_MAX], uint64_t cookie, enum nbd_error error,
			   const char *message)
{
	struct writer writer = writer_over(out, NBD_ERROR_CHUNK_MAX);
	size_t len = strnlen(message, NBD_MESSAGE_MAX);

	put_chunk(&writer, true, CHUNK_ERROR, cookie, (uint32_t)(6 + len));
	nbd_put_u32(&writer, error);
	nbd_put_u16(&writer, (uint16_t)len);
	writer_bytes(&writer, message, len);
	return writer_len(&writer);
}

/* How many of EXTENTS are told for REQUEST, made into OUT. */
static size_t merge_extents(const struct nbd_request *request, const struct nbd_extent *extents,
			    size_t n, struct nbd_extent *out, size_t most)
{
	uint64_t left = request->bytes;
	size_t n_out = 0;

	for (size_t i = 0; i < n && left > 0; i++) {
		uint64_t bytes = extents[i].bytes < left ? extents[i].bytes : left;

		if (n_out > 0 && out[n_out - 1].flags == extents[i].flags)
			out[n_out - 1].bytes += bytes;
		else if (n_out < most)
			out[n_out++] = (struct nbd_extent){ bytes, extents[i].flags };
		else
			break;
		left -= bytes;
	}
	return n_out;
}

size_t nbd_put_status_chunk(uint8_t *out, const struct nbd_request *request, uint32_t context_id,
			    const struct nbd_extent *extents, size_t n)
{
	struct nbd_extent merged[NBD_EXTENTS_MAX];
	size_t most = request->flags & NBD_CMD_REQ_ONE ? 1 : n;
	struct writer writer;

	n = merge_extents(request, extents, n, merged,
			  most < NBD_EXTENTS_MAX ? most : NBD_EXTENTS_MAX);
	writer = writer_over(out, NBD_STATUS_BYTES(n));
	put_chunk(&writer, true, CHUNK_STATUS, request->cookie, (uint32_t)(4 + 8 * n));
	nbd_put_u32(&writer, context_id);
	for (size_t i = 0; i < n; i++) {
		nbd_put_u32(&writer, (uint32_t)merged[i].bytes);
		nbd_put_u32(&writer, merged[i].flags);
	}
	return writer_len(&writer);
}
