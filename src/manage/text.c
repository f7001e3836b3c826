/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"

#define REPLACEMENT "\xef\xbf\xbd" /* U+FFFD */

/* How many bytes the UTF-8 character at AT takes, 0 if there is none; its number in *CODE.
 * Refuses overlong forms, surrogates and what lies past U+10FFFF. */
static size_t utf8_decode(const unsigned char *at, size_t left, uint32_t *code)
{
	static const uint32_t smallest[] = { 0, 0, 0x80, 0x800, 0x10000 };
	size_t len = at[0] < 0x80	    ? 1 :
		     (at[0] & 0xe0) == 0xc0 ? 2 :
		     (at[0] & 0xf0) == 0xe0 ? 3 :
		     (at[0] & 0xf8) == 0xf0 ? 4 :
					      0;

	if (len == 0 || len > left)
		return 0;
	*code = len == 1 ? at[0] : at[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((at[i] & 0xc0) != 0x80)
			return 0;
		*code = *code << 6 | (at[i] & 0x3fu);
	}
	if (*code < smallest[len] || *code > 0x10ffff || (*code >= 0xd800 && *code <= 0xdfff))
		return 0;
	return len;
}

char *text_utf8(const char *bytes, size_t max_bytes)
{
	size_t left = strnlen(bytes, max_bytes);
	const unsigned char *at = (const unsigned char *)bytes;
	char *text = malloc(left * strlen(REPLACEMENT) + 1);
	char *end = text;

	if (!text)
		return NULL;
	while (left > 0) {
		uint32_t code;
		size_t len = utf8_decode(at, left, &code);

		if (len == 0) {
			end = stpcpy(end, REPLACEMENT);
			len = 1;
		} else {
			end = mempcpy(end, at, len);
		}
		at += len;
		left -= len;
	}
	*end = '\0';
	return text;
}

static bool steers_terminal(uint32_t code)
{
	return code < 0x20 || (code >= 0x7f && code < 0xa0) || code == 0x061c ||
	       (code >= 0x200e && code <= 0x200f) || (code >= 0x2028 && code <= 0x202e) ||
	       (code >= 0x2066 && code <= 0x2069);
}

char *text_printable(const char *utf8)
{
	size_t left = strlen(utf8);
	const unsigned char *at = (const unsigned char *)utf8;
	/* The longest: one byte that becomes \xNN. */
	size_t room = left * 4 + 8;
	char *text = malloc(room);
	char *end = text;

	if (!text)
		return NULL;
	while (left > 0) {
		uint32_t code = 0;
		size_t len = utf8_decode(at, left, &code);

		if (len == 0 || (len == 1 && steers_terminal(code))) {
			end += sprintf(end, "\\x%02x", *at);
			len = 1;
		} else if (steers_terminal(code)) {
			end += sprintf(end, "\\u%04x", code);
		} else {
			end = mempcpy(end, at, len);
		}
		at += len;
		left -= len;
	}
	*end = '\0';
	return text;
}

static bool starts_character(char byte)
{
	return ((unsigned char)byte & 0xc0) != 0x80;
}

size_t text_columns(const char *utf8)
{
	size_t n = 0;

	for (; *utf8; utf8++)
		n += starts_character(*utf8);
	return n;
}

size_t text_cut(const char *utf8, size_t columns)
{
	size_t bytes = 0;
	size_t n = 0;

	for (; utf8[bytes]; bytes++) {
		n += starts_character(utf8[bytes]);
		if (n > columns)
			break;
	}
	return bytes;
}

void text_short(uint64_t n, char out[TEXT_SHORT_BYTES])
{
	static const char units[] = " kMGTPE";
	size_t unit = 0;
	uint64_t tenths;

	if (n < 1000) {
		snprintf(out, TEXT_SHORT_BYTES, "%" PRIu64, n);
		return;
	}
	tenths = n / 100;
	/* 9,999 tenths of a unit are still four characters and the unit. */
	for (unit = 1; tenths >= 10000; unit++)
		tenths /= 1000;
	snprintf(out, TEXT_SHORT_BYTES, "%" PRIu64 ".%" PRIu64 "%c", tenths / 10, tenths % 10,
		 units[unit]);
}

void text_span(uint64_t seconds, char out[TEXT_SHORT_BYTES])
{
	uint64_t minutes = seconds / 60;
	uint64_t hours = minutes / 60;

	if (hours >= 24)
		snprintf(out, TEXT_SHORT_BYTES, "%" PRIu64 "d %" PRIu64 "h", hours / 24,
			 hours % 24);
	else if (hours > 0)
		snprintf(out, TEXT_SHORT_BYTES, "%" PRIu64 "h %" PRIu64 "m", hours, minutes % 60);
	else if (minutes > 0)
		snprintf(out, TEXT_SHORT_BYTES, "%" PRIu64 "m %" PRIu64 "s", minutes, seconds % 60);
	else
		snprintf(out, TEXT_SHORT_BYTES, "%" PRIu64 "s", seconds);
}
