/* SPDX-License-Identifier: Apache-2.0 */
#include "container/why.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"

/* Bytes of the UTF-8 character at TEXT, 0 if it is none. */
static size_t utf8_bytes(const unsigned char *text, size_t len)
{
	static const struct {
		unsigned char first, last;
		unsigned char second_min, second_max;
		size_t bytes;
	} forms[] = {
		{ 0xc2, 0xdf, 0x80, 0xbf, 2 }, { 0xe0, 0xe0, 0xa0, 0xbf, 3 },
		{ 0xe1, 0xec, 0x80, 0xbf, 3 }, { 0xed, 0xed, 0x80, 0x9f, 3 },
		{ 0xee, 0xef, 0x80, 0xbf, 3 }, { 0xf0, 0xf0, 0x90, 0xbf, 4 },
		{ 0xf1, 0xf3, 0x80, 0xbf, 4 }, { 0xf4, 0xf4, 0x80, 0x8f, 4 },
	};

	if (text[0] >= 0x20 && text[0] < 0x7f)
		return 1;
	for (size_t i = 0; i < ARRAY_LEN(forms); i++) {
		if (text[0] < forms[i].first || text[0] > forms[i].last || len < forms[i].bytes ||
		    text[1] < forms[i].second_min || text[1] > forms[i].second_max)
			continue;
		for (size_t k = 2; k < forms[i].bytes; k++) {
			if ((text[k] & 0xc0) != 0x80)
				return 0;
		}
		/* U+0080 to U+009F steer terminals, too. */
		return text[0] == 0xc2 && text[1] < 0xa0 ? 0 : forms[i].bytes;
	}
	return 0;
}

void why_printable(const char *text, size_t len, char *to, size_t size)
{
	const unsigned char *from = (const unsigned char *)text;
	size_t at = 0;

	while (len > 0) {
		size_t bytes = utf8_bytes(from, len);

		if (at + (bytes ? bytes : 4) >= size)
			break;
		if (bytes) {
			memcpy(to + at, from, bytes);
			at += bytes;
		} else {
			(void)snprintf(to + at, 5, "\\x%02x", from[0]);
			at += 4;
			bytes = 1;
		}
		from += bytes;
		len -= bytes;
	}
	to[at] = '\0';
}

static void put(char *why, const char *format, va_list values) PRINTF_LIKE(2, 0);

static void put(char *why, const char *format, va_list values)
{
	char raw[DESCRIPTION_TEXT_MAX];

	raw[0] = '\0';
	(void)vsnprintf(raw, sizeof(raw), format, values);
	why_printable(raw, strnlen(raw, sizeof(raw)), why, DESCRIPTION_TEXT_MAX);
}

dvs_err why_say(char *why, dvs_err err, const char *format, ...)
{
	va_list values;

	if (!why)
		return err;
	va_start(values, format);
	put(why, format, values);
	va_end(values);
	return err;
}

dvs_err why_errno(char *why, int errno_value, const char *format, ...)
{
	char reason[128];
	va_list values;
	size_t at;

	if (!why)
		return dvs_from_errno(errno_value);
	va_start(values, format);
	put(why, format, values);
	va_end(values);
	at = strlen(why);
	(void)snprintf(why + at, DESCRIPTION_TEXT_MAX - at, ": %s",
		       strerror_r(errno_value, reason, sizeof(reason)));
	return dvs_from_errno(errno_value);
}
