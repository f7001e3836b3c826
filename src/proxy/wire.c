/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/wire.h"

#include <assert.h>
#include <string.h>

#include "proxy/sum.h"

/* Where the checksum stands: after magic, version, type, body_bytes, flags, data_bytes. */
#define SUM_AT 12u

_Static_assert(FRAME_HEADER_BYTES_MAX == 44, "the place of the checksum in the header");
_Static_assert((size_t)FRAME_BODY_BYTES_MAX <= LINK_BODY_MAX, "every body fits");

static uint32_t wire_sum(const uint8_t *bytes, size_t len)
{
	static const uint8_t zeroes[sizeof(uint32_t)];
	const size_t after = SUM_AT + sizeof(zeroes);
	uint32_t sum = sum_crc32c(0, bytes, SUM_AT);

	sum = sum_crc32c(sum, zeroes, sizeof(zeroes));
	return sum_crc32c(sum, bytes + after, len - after);
}

size_t wire_encode(uint8_t *out, struct frame_header *header, const void *body, size_t body_bytes,
		   size_t data_bytes, uint64_t seq)
{
	struct writer writer = writer_over(out, WIRE_FRAME_BYTES_MAX);
	struct writer sum = writer_over(out + SUM_AT, sizeof(uint32_t));

	assert(body_bytes <= LINK_BODY_MAX);
	assert(data_bytes <= WIRE_DATA_MAX);
	header->magic = WIRE_MAGIC;
	header->version = FRAME_VERSION;
	header->body_bytes = (uint16_t)body_bytes;
	header->data_bytes = (uint32_t)data_bytes;
	header->sum = 0;
	header->seq = seq;
	frame_header_encode(&writer, header);
	writer_bytes(&writer, body, body_bytes);
	assert(writer_ok(&writer));
	header->sum = wire_sum(out, writer_len(&writer));
	writer_u32(&sum, header->sum);
	return writer_len(&writer);
}

static const char *wire_fault(const struct frame_header *header, uint64_t seq)
{
	if (header->magic != WIRE_MAGIC)
		return "what comes is no frame";
	if (header->version != FRAME_VERSION)
		return "a frame of another version of the protocol";
	if (header->body_bytes > LINK_BODY_MAX)
		return "a frame with too large a body";
	if (header->data_bytes > WIRE_DATA_MAX)
		return "a frame with too much data";
	if (!frame_op_find(header->type))
		return "a frame of a type that does not exist";
	if (header->seq != seq)
		return "a frame that is not the next one";
	return NULL;
}

enum wire_verdict wire_decode(const uint8_t *bytes, size_t len, uint64_t seq,
			      struct frame_header *header, struct cursor *body, const char **why)
{
	struct cursor in;
	size_t whole;

	if (len < WIRE_HEAD_BYTES)
		return WIRE_SHORT;
	in = cursor_over(bytes, WIRE_HEAD_BYTES);
	*why = frame_header_decode(&in, header) == DVS_OK ? wire_fault(header, seq) :
							    "a header that cannot be read";
	if (*why)
		return WIRE_BAD;
	whole = WIRE_HEAD_BYTES + header->body_bytes;
	if (len < whole)
		return WIRE_SHORT;
	if (wire_sum(bytes, whole) != header->sum) {
		*why = "a frame with a false checksum";
		return WIRE_BAD;
	}
	*body = cursor_over(bytes + WIRE_HEAD_BYTES, header->body_bytes);
	return WIRE_FRAME;
}
