/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"

#include <string.h>

#include "unit.h"

TEST(integers_come_back_as_they_were_written)
{
	uint8_t buffer[64];
	struct writer out = writer_over(buffer, sizeof(buffer));
	struct cursor in;

	writer_u8(&out, 0xfe);
	writer_u16(&out, 0xfedc);
	writer_u32(&out, 0xfedcba98);
	writer_u64(&out, UINT64_C(0xfedcba9876543210));
	writer_i32(&out, INT32_MIN);
	writer_i64(&out, -2);
	ck_assert(writer_ok(&out));
	ck_assert_uint_eq(writer_len(&out), 1 + 2 + 4 + 8 + 4 + 8);

	in = cursor_over(buffer, writer_len(&out));
	ck_assert_uint_eq(cursor_u8(&in), 0xfe);
	ck_assert_uint_eq(cursor_u16(&in), 0xfedc);
	ck_assert_uint_eq(cursor_u32(&in), 0xfedcba98);
	ck_assert(!cursor_done(&in));
	ck_assert_uint_eq(cursor_u64(&in), UINT64_C(0xfedcba9876543210));
	ck_assert_int_eq(cursor_i32(&in), INT32_MIN);
	ck_assert_int_eq(cursor_i64(&in), -2);
	ck_assert(cursor_done(&in));
}

TEST(integers_are_little_endian)
{
	uint8_t buffer[4];
	struct writer out = writer_over(buffer, sizeof(buffer));

	writer_u32(&out, 0x01020304);
	ck_assert_mem_eq(buffer, "\x04\x03\x02\x01", 4);
}

TEST(a_read_past_the_end_fails_and_the_failure_stays)
{
	const uint8_t bytes[3] = { 1, 2, 3 };
	struct cursor in = cursor_over(bytes, sizeof(bytes));

	ck_assert_uint_eq(cursor_u32(&in), 0);
	ck_assert_uint_eq(cursor_u8(&in), 0);
	ck_assert_uint_eq(cursor_left(&in), 0);
	ck_assert(!cursor_done(&in));
}

TEST(left_over_bytes_are_not_done)
{
	const uint8_t bytes[3] = { 1, 2, 3 };
	struct cursor in = cursor_over(bytes, sizeof(bytes));

	ck_assert_uint_eq(cursor_u16(&in), 0x0201);
	ck_assert(!cursor_done(&in));
}

TEST(an_empty_cursor_is_done)
{
	struct cursor in = cursor_over(NULL, 0);

	ck_assert(cursor_done(&in));
	cursor_bytes(&in, NULL, 0);
	ck_assert(cursor_done(&in));
	ck_assert_uint_eq(cursor_u8(&in), 0);
	ck_assert(!cursor_done(&in));
}

TEST(failed_bytes_are_zeroes)
{
	const uint8_t bytes[3] = { 1, 2, 3 };
	uint8_t got[4] = { 9, 9, 9, 9 };
	struct cursor in = cursor_over(bytes, sizeof(bytes));

	cursor_bytes(&in, got, sizeof(got));
	ck_assert_mem_eq(got, "\0\0\0\0", 4);
	ck_assert(!cursor_done(&in));
}

TEST(a_string_is_terminated)
{
	char got[4];
	struct cursor in = cursor_over("abc", 3);

	cursor_string(&in, 3, got, sizeof(got));
	ck_assert(cursor_done(&in));
	ck_assert_str_eq(got, "abc");
}

TEST(a_string_too_long_for_its_room_fails)
{
	char got[3] = "xx";
	struct cursor in = cursor_over("abc", 3);

	cursor_string(&in, 3, got, sizeof(got));
	ck_assert(!cursor_done(&in));
	ck_assert_str_eq(got, "");
}

TEST(a_string_with_a_nul_inside_fails)
{
	char got[8];
	struct cursor in = cursor_over("a\0c", 3);

	cursor_string(&in, 3, got, sizeof(got));
	ck_assert(!cursor_done(&in));
	ck_assert_str_eq(got, "");
}

TEST(a_count_above_its_bound_fails)
{
	struct cursor in = cursor_over("\x05\x06\x00\x08", 4);

	ck_assert_uint_eq(cursor_count(&in, 5, 1), 5);
	ck_assert_uint_eq(cursor_count(&in, 6, 2), 6);
	ck_assert(!in.failed);
	ck_assert_uint_eq(cursor_count(&in, 7, 1), 0);
	ck_assert(in.failed);
}

TEST(counted_things_carry_their_count_in_front)
{
	uint8_t buffer[16];
	struct writer out = writer_over(buffer, sizeof(buffer));
	char name[4] = "ab";

	writer_string(&out, name, sizeof(name), 1);
	writer_counted_bytes(&out, "xyz", 3, 3, 2);
	ck_assert(writer_ok(&out));
	ck_assert_uint_eq(writer_len(&out), 8);
	ck_assert_mem_eq(buffer,
			 "\x02"
			 "ab\x03\x00xyz",
			 8);
}

TEST(counted_things_above_their_bound_are_refused)
{
	uint8_t buffer[16];
	struct writer out = writer_over(buffer, sizeof(buffer));
	const char endless[4] = { 'a', 'b', 'c', 'd' };

	writer_string(&out, endless, sizeof(endless), 1);
	ck_assert(!writer_ok(&out));
	out = writer_over(buffer, sizeof(buffer));
	writer_counted_bytes(&out, "xyz", 3, 2, 1);
	ck_assert(!writer_ok(&out));
	ck_assert_uint_eq(writer_len(&out), 0);
}

TEST(a_writer_refuses_a_value_too_wide_for_its_field)
{
	uint8_t buffer[16];
	struct writer out = writer_over(buffer, sizeof(buffer));

	writer_u8(&out, 256);
	ck_assert(!writer_ok(&out));
	writer_u8(&out, 1);
	ck_assert_uint_eq(writer_len(&out), 0);

	out = writer_over(buffer, sizeof(buffer));
	writer_u16(&out, 65536);
	ck_assert(!writer_ok(&out));
	out = writer_over(buffer, sizeof(buffer));
	writer_u32(&out, UINT64_C(1) << 32);
	ck_assert(!writer_ok(&out));
	out = writer_over(buffer, sizeof(buffer));
	writer_i32(&out, (int64_t)INT32_MAX + 1);
	ck_assert(!writer_ok(&out));
}

TEST(a_writer_never_writes_past_its_buffer)
{
	uint8_t buffer[4] = { 0, 0, 0, 7 };
	struct writer out = writer_over(buffer, 3);

	writer_u32(&out, 0xffffffff);
	ck_assert(!writer_ok(&out));
	ck_assert_uint_eq(buffer[0], 0);
	ck_assert_uint_eq(buffer[3], 7);
}

TEST(what_is_left_must_be_zero)
{
	struct cursor in = cursor_over("\1\0\0", 3);

	ck_assert_uint_eq(cursor_u8(&in), 1);
	cursor_zeroes(&in);
	ck_assert(cursor_done(&in));
	cursor_zeroes(&in);
	ck_assert(cursor_done(&in));
	in = cursor_over("\0\0\1", 3);
	cursor_zeroes(&in);
	ck_assert(!cursor_done(&in));
	in = cursor_over("\0", 1);
	cursor_u16(&in);
	cursor_zeroes(&in);
	ck_assert(!cursor_done(&in));
}

UNIT_MAIN("base-cursor", integers_come_back_as_they_were_written, integers_are_little_endian,
	  a_read_past_the_end_fails_and_the_failure_stays, left_over_bytes_are_not_done,
	  an_empty_cursor_is_done, failed_bytes_are_zeroes, a_string_is_terminated,
	  a_string_too_long_for_its_room_fails, a_string_with_a_nul_inside_fails,
	  a_count_above_its_bound_fails, counted_things_carry_their_count_in_front,
	  counted_things_above_their_bound_are_refused, what_is_left_must_be_zero,
	  a_writer_refuses_a_value_too_wide_for_its_field, a_writer_never_writes_past_its_buffer)
