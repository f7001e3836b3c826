/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/text.h"

#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "unit.h"

static void check_utf8(const char *bytes, const char *wanted)
{
	AUTO_FREE char *got = text_utf8(bytes, 64);

	ck_assert_str_eq(got, wanted);
}

TEST(wrong_bytes_become_replacement_characters)
{
	check_utf8("plain", "plain");
	check_utf8("\xc3\xa9t\xc3\xa9", "\xc3\xa9t\xc3\xa9");
	check_utf8("a\xff"
		   "b",
		   "a\xef\xbf\xbd"
		   "b");
	check_utf8("\xc3", "\xef\xbf\xbd");				    /* cut short */
	check_utf8("\xc0\xaf", "\xef\xbf\xbd\xef\xbf\xbd");		    /* overlong */
	check_utf8("\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"); /* a surrogate */
}

TEST(a_string_without_its_nul_ends_at_its_room)
{
	const char bytes[4] = { 'a', 'b', 'c', 'd' };
	AUTO_FREE char *got = text_utf8(bytes, sizeof(bytes));

	ck_assert_str_eq(got, "abcd");
}

static void check_printable(const char *utf8, const char *wanted)
{
	AUTO_FREE char *got = text_printable(utf8);

	ck_assert_str_eq(got, wanted);
}

TEST(nothing_can_steer_the_terminal)
{
	check_printable("a b", "a b");
	check_printable("\033[2J", "\\x1b[2J");
	check_printable("a\nb\t", "a\\x0ab\\x09");
	check_printable("\xc2\x9b"
			"31m",
			"\\u009b31m");
	check_printable("\xe2\x80\xae", "\\u202e");
	check_printable("\xff", "\\xff");
	check_printable("\xc3\xa9", "\xc3\xa9");
}

TEST(columns_are_characters_not_bytes)
{
	ck_assert_uint_eq(text_columns("\xc3\xa9t\xc3\xa9"), 3);
	ck_assert_uint_eq(text_cut("\xc3\xa9t\xc3\xa9", 2), 3);
	ck_assert_uint_eq(text_cut("abc", 10), 3);
	ck_assert_uint_eq(text_cut("abc", 0), 0);
}

static void check_short(uint64_t n, const char *wanted)
{
	char got[TEXT_SHORT_BYTES];

	text_short(n, got);
	ck_assert_str_eq(got, wanted);
}

TEST(large_numbers_get_a_unit)
{
	check_short(0, "0");
	check_short(999, "999");
	check_short(1000, "1.0k");
	check_short(12345, "12.3k");
	check_short(999999, "999.9k");
	check_short(1000000, "1.0M");
	check_short(UINT64_MAX, "18.4E");
}

static void check_span(uint64_t seconds, const char *wanted)
{
	char got[TEXT_SHORT_BYTES];

	text_span(seconds, got);
	ck_assert_str_eq(got, wanted);
}

TEST(a_span_shows_its_two_largest_units)
{
	check_span(0, "0s");
	check_span(61, "1m 1s");
	check_span(3600, "1h 0m");
	check_span(90000, "1d 1h");
}

UNIT_MAIN("manage-text", wrong_bytes_become_replacement_characters,
	  a_string_without_its_nul_ends_at_its_room, nothing_can_steer_the_terminal,
	  columns_are_characters_not_bytes, large_numbers_get_a_unit,
	  a_span_shows_its_two_largest_units)
