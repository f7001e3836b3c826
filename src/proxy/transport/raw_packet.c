/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>

#include "base/cursor.h"
#include "proxy/sum.h"
#include "proxy/transport/raw.h"

#define SUMMED_BYTES (RAW_HEAD_BYTES - sizeof(uint32_t))

void raw_head_encode(uint8_t *out, const struct raw_packet *packet)
{
	struct writer writer = writer_over(out, RAW_HEAD_BYTES);

	writer_u8(&writer, RAW_VERSION);
	writer_u8(&writer, packet->kind);
	writer_u16(&writer, packet->from);
	writer_u16(&writer, packet->to);
	writer_u32(&writer, packet->dvs);
	writer_u64(&writer, packet->token);
	writer_u32(&writer, packet->seq);
	writer_u32(&writer, packet->ack);
	writer_u16(&writer, packet->len);
	writer_u32(&writer, packet->sum);
	writer_u32(&writer, sum_crc32c(0, out, SUMMED_BYTES));
	assert(writer_ok(&writer));
}

bool raw_packet_decode(const uint8_t *bytes, size_t len, struct raw_packet *packet)
{
	struct cursor in;
	uint8_t version;
	uint8_t kind;

	if (len < RAW_HEAD_BYTES)
		return false;
	in = cursor_over(bytes, RAW_HEAD_BYTES);
	version = cursor_u8(&in);
	kind = cursor_u8(&in);
	packet->from = cursor_u16(&in);
	packet->to = cursor_u16(&in);
	packet->dvs = cursor_u32(&in);
	packet->token = cursor_u64(&in);
	packet->seq = cursor_u32(&in);
	packet->ack = cursor_u32(&in);
	packet->len = cursor_u16(&in);
	packet->sum = cursor_u32(&in);
	packet->payload = bytes + RAW_HEAD_BYTES;
	if (version != RAW_VERSION || kind < RAW_SYN || kind > RAW_RESET ||
	    cursor_u32(&in) != sum_crc32c(0, bytes, SUMMED_BYTES))
		return false;
	packet->kind = (enum raw_kind)kind;
	/* Ethernet makes short frames longer. */
	return packet->len <= len - RAW_HEAD_BYTES &&
	       packet->sum == sum_crc32c(0, packet->payload, packet->len);
}

void raw_offer_encode(uint8_t *out, const struct raw_offer *offer)
{
	struct writer writer = writer_over(out, RAW_OFFER_BYTES);

	writer_u64(&writer, offer->token);
	writer_u32(&writer, offer->packet_bytes);
	assert(writer_ok(&writer));
}

bool raw_offer_decode(const struct raw_packet *packet, struct raw_offer *offer)
{
	struct cursor in = cursor_over(packet->payload, packet->len);

	offer->token = cursor_u64(&in);
	offer->packet_bytes = cursor_u32(&in);
	return cursor_done(&in) && offer->packet_bytes >= RAW_PACKET_BYTES_MIN &&
	       offer->packet_bytes <= RAW_PACKET_BYTES_MAX;
}
