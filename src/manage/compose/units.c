/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/compose/units.h"

#include <stdio.h>
#include <string.h>

struct unit {
	const char *name;
	uint64_t size;
};

static const struct unit bytes_units[] = {
	{ "", 1 },
	{ "B", 1 },
	{ "K", UINT64_C(1) << 10 },
	{ "KB", UINT64_C(1) << 10 },
	{ "KiB", UINT64_C(1) << 10 },
	{ "M", UINT64_C(1) << 20 },
	{ "MB", UINT64_C(1) << 20 },
	{ "MiB", UINT64_C(1) << 20 },
	{ "G", UINT64_C(1) << 30 },
	{ "GB", UINT64_C(1) << 30 },
	{ "GiB", UINT64_C(1) << 30 },
	{ "T", UINT64_C(1) << 40 },
	{ "TB", UINT64_C(1) << 40 },
	{ "TiB", UINT64_C(1) << 40 },
};

static const struct unit ms_units[] = {
	{ "ms", 1 },
	{ "s", 1000 },
	{ "m", 60000 },
	{ "h", 3600000 },
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))
/* A fraction has at most so many digits. */
#define DIGITS_MAX 3
#define WHOLE_MAX (UINT64_C(1) << 53)

/* Digits at *AT, at most MAX of them, into *NUMBER; how many there were. */
static size_t take_digits(const char **at, size_t max, uint64_t *number)
{
	size_t n = 0;

	*number = 0;
	for (; **at >= '0' && **at <= '9' && n < max; n++)
		*number = *number * 10 + (uint64_t)(*(*at)++ - '0');
	return n;
}

static bool number_with_unit(const char *text, const struct unit *units, size_t n_units,
			     uint64_t *to)
{
	uint64_t whole;
	uint64_t thousandths = 0;

	if (take_digits(&text, 16, &whole) == 0)
		return false;
	if (*text == '.') {
		size_t n;

		text++;
		n = take_digits(&text, DIGITS_MAX, &thousandths);
		if (n == 0)
			return false;
		for (; n < DIGITS_MAX; n++)
			thousandths *= 10;
	}
	for (size_t i = 0; i < n_units; i++) {
		if (strcmp(units[i].name, text) != 0)
			continue;
		/* Nobody misses a part of a byte of a megabyte, but 1.5 bytes are a mistake. */
		if (whole > WHOLE_MAX / units[i].size ||
		    (units[i].size < 1000 && thousandths * units[i].size % 1000 != 0))
			return false;
		*to = whole * units[i].size + thousandths * units[i].size / 1000;
		return true;
	}
	return false;
}

bool units_bytes(const char *text, uint64_t *bytes)
{
	return number_with_unit(text, bytes_units, COUNT(bytes_units), bytes);
}

bool units_ms(const char *text, uint64_t *ms)
{
	if (strcmp(text, "0") == 0) {
		*ms = 0;
		return true;
	}
	return number_with_unit(text, ms_units, COUNT(ms_units), ms);
}

static void largest_unit(uint64_t number, const struct unit *units, size_t n_units,
			 char text[UNITS_TEXT_BYTES])
{
	size_t best = 0;

	for (size_t i = 1; i < n_units; i++) {
		if (number != 0 && number % units[i].size == 0 && units[i].size > units[best].size)
			best = i;
	}
	(void)snprintf(text, UNITS_TEXT_BYTES, "%llu%s",
		       (unsigned long long)(number / units[best].size), units[best].name);
}

void units_bytes_text(uint64_t bytes, char text[UNITS_TEXT_BYTES])
{
	largest_unit(bytes, bytes_units, COUNT(bytes_units), text);
}

void units_ms_text(uint64_t ms, char text[UNITS_TEXT_BYTES])
{
	if (ms == 0)
		memcpy(text, "0", 2);
	else
		largest_unit(ms, ms_units, COUNT(ms_units), text);
}

/* ---- words of a command ---- */

struct splitter {
	const char *at;
	char *to;
	const char *why;
};

static bool is_blank(char byte)
{
	return byte == ' ' || byte == '\t' || byte == '\n';
}

/* What stands in quotes; the closing one is taken, too. */
static bool quoted(struct splitter *splitter, char quote)
{
	const char *at = splitter->at;

	while (*at && *at != quote) {
		if (quote == '"' && (*at == '$' || *at == '`')) {
			splitter->why =
				"'$' and '`' are expanded by a shell only: put the words in "
				"'...', or say [sh, -c, \"...\"]";
			return false;
		}
		if (quote == '"' && *at == '\\' &&
		    (at[1] == '"' || at[1] == '\\' || at[1] == '$' || at[1] == '`'))
			at++;
		*splitter->to++ = *at++;
	}
	if (!*at) {
		splitter->why = "a quote is not closed";
		return false;
	}
	splitter->at = at + 1;
	return true;
}

/* One word, to the blank behind it. */
static bool word(struct splitter *splitter)
{
	while (*splitter->at && !is_blank(*splitter->at)) {
		char byte = *splitter->at++;

		if (byte == '\'' || byte == '"') {
			if (!quoted(splitter, byte))
				return false;
		} else if (byte == '\\') {
			if (!*splitter->at) {
				splitter->why = "a backslash is the last character";
				return false;
			}
			*splitter->to++ = *splitter->at++;
		} else if (strchr("|&;<>()$`", byte)) {
			splitter->why =
				"'|', '&', ';', '<', '>', '(', ')', '$' and '`' need a shell: put "
				"them in '...', or say [sh, -c, \"...\"]";
			return false;
		} else {
			*splitter->to++ = byte;
		}
	}
	*splitter->to++ = '\0';
	return true;
}

size_t units_words(const char *command, char *buffer, const char **words, size_t max,
		   const char **why)
{
	struct splitter splitter = { command, buffer, NULL };
	size_t n = 0;

	for (;;) {
		while (is_blank(*splitter.at))
			splitter.at++;
		if (!*splitter.at)
			break;
		if (n == max) {
			*why = "it has too many words";
			return 0;
		}
		words[n++] = splitter.to;
		if (!word(&splitter)) {
			*why = splitter.why;
			return 0;
		}
	}
	*why = "it is empty";
	return n;
}
