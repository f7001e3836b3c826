/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "pair.h"
#include "proxy/sum.h"
#include "unit.h"

static size_t frame_make(uint8_t *bytes, uint64_t seq)
{
	struct frame_header header = { .type = FRAME_CALL, .dc = 1, .src = 2, .dst = 3 };
	uint8_t body[FRAME_CALL_REQ_BYTES_MAX];

	pair_fill(body, sizeof(body), 5);
	return wire_encode(bytes, &header, body, sizeof(body), 77, seq);
}

/* Change a header and give it its checksum, as somebody would who means harm. */
static size_t frame_with(uint8_t *bytes, void (*change)(struct frame_header *))
{
	struct frame_header header = {
		.magic = WIRE_MAGIC, .version = FRAME_VERSION, .type = FRAME_CALL, .seq = 9
	};
	struct writer writer = writer_over(bytes, WIRE_HEAD_BYTES);

	change(&header);
	header.sum = 0;
	frame_header_encode(&writer, &header);
	header.sum = sum_crc32c(0, bytes, WIRE_HEAD_BYTES);
	writer = writer_over(bytes, WIRE_HEAD_BYTES);
	frame_header_encode(&writer, &header);
	return WIRE_HEAD_BYTES;
}

static enum wire_verdict look(const uint8_t *bytes, size_t len, uint64_t seq, const char **why)
{
	struct frame_header header;
	struct cursor body;

	return wire_decode(bytes, len, seq, &header, &body, why);
}

TEST(a_frame_comes_out_as_it_went_in)
{
	uint8_t bytes[WIRE_FRAME_BYTES_MAX];
	size_t len = frame_make(bytes, 9);
	struct frame_header header;
	struct cursor body;
	const char *why;

	ck_assert_int_eq(wire_decode(bytes, len, 9, &header, &body, &why), WIRE_FRAME);
	ck_assert_uint_eq(header.data_bytes, 77);
	ck_assert_uint_eq(header.dst, 3);
	ck_assert_uint_eq(cursor_left(&body), FRAME_CALL_REQ_BYTES_MAX);
}
END_TEST

TEST(a_frame_that_is_not_whole_is_waited_for)
{
	uint8_t bytes[WIRE_FRAME_BYTES_MAX];
	size_t whole = frame_make(bytes, 9);
	const char *why;

	for (size_t len = 0; len < whole; len++)
		ck_assert_int_eq(look(bytes, len, 9, &why), WIRE_SHORT);
}
END_TEST

TEST(every_changed_bit_of_a_frame_is_found)
{
	uint8_t bytes[WIRE_FRAME_BYTES_MAX];
	size_t len = frame_make(bytes, 9);
	const char *why;

	for (size_t bit = 0; bit < len * 8; bit++) {
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
		/* A length that became larger is waited for; then the sum is false. */
		ck_assert_msg(look(bytes, sizeof(bytes), 9, &why) == WIRE_BAD, "bit %zu", bit);
		bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
	}
	ck_assert_int_eq(look(bytes, len, 9, &why), WIRE_FRAME);
}
END_TEST

static void nothing(struct frame_header *header)
{
	(void)header;
}

static void other_magic(struct frame_header *header)
{
	header->magic++;
}

static void other_version(struct frame_header *header)
{
	header->version++;
}

static void no_such_type(struct frame_header *header)
{
	header->type = 200;
}

static void large_body(struct frame_header *header)
{
	header->body_bytes = LINK_BODY_MAX + 1;
}

static void large_data(struct frame_header *header)
{
	header->data_bytes = WIRE_DATA_MAX + 1;
}

static void replayed(struct frame_header *header)
{
	header->seq--;
}

static void left_out(struct frame_header *header)
{
	header->seq++;
}

TEST(a_frame_with_a_right_checksum_is_still_checked)
{
	static void (*const changes[])(struct frame_header *) = {
		other_magic, other_version, no_such_type, large_body, large_data, replayed, left_out
	};
	uint8_t bytes[WIRE_FRAME_BYTES_MAX];
	const char *why;

	ck_assert_int_eq(look(bytes, frame_with(bytes, nothing), 9, &why), WIRE_FRAME);
	for (size_t i = 0; i < ARRAY_LEN(changes); i++)
		ck_assert_msg(look(bytes, frame_with(bytes, changes[i]), 9, &why) == WIRE_BAD,
			      "change %zu", i);
}
END_TEST

UNIT_MAIN("proxy-wire", a_frame_comes_out_as_it_went_in, a_frame_that_is_not_whole_is_waited_for,
	  every_changed_bit_of_a_frame_is_found, a_frame_with_a_right_checksum_is_still_checked)
