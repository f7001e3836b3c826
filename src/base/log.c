/* SPDX-License-Identifier: Apache-2.0 */
#include "base/log.h"

#include <errno.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/limits.h"

static const struct {
	const char *name;
	int syslog_priority; /* what the journal reads between "<" and ">" */
} log_levels[] = {
	[LOG_LEVEL_ERROR] = { "error", 3 },
	[LOG_LEVEL_WARNING] = { "warning", 4 },
	[LOG_LEVEL_INFO] = { "info", 6 },
	[LOG_LEVEL_DEBUG] = { "debug", 7 },
};

/* A line being put together. The last bytes are kept free for the mark of a cut line. */
struct line {
	size_t len;
	bool cut;
	char text[LOG_LINE_BYTES_MAX];
};

static const char line_cut_mark[] = " [cut]\n";

#define LINE_TEXT_BYTES (LOG_LINE_BYTES_MAX - sizeof(line_cut_mark))

static void line_add_char(struct line *line, char c)
{
	if (line->len < LINE_TEXT_BYTES)
		line->text[line->len++] = c;
	else
		line->cut = true;
}

static void line_add(struct line *line, const char *text)
{
	while (*text && !line->cut)
		line_add_char(line, *text++);
}

PRINTF_LIKE(2, 3) static void line_format(struct line *line, const char *format, ...)
{
	char part[64];
	va_list args;

	va_start(args, format);
	(void)vsnprintf(part, sizeof(part), format, args);
	va_end(args);
	line_add(line, part);
}

/* Bytes above ASCII pass as they are: names may be UTF-8. */
static bool value_needs_quotes(const char *value)
{
	if (!*value)
		return true;
	for (; *value; value++) {
		unsigned char c = (unsigned char)*value;

		if (c <= ' ' || c == '"' || c == '=' || c == '\\' || c == 0x7f)
			return true;
	}
	return false;
}

static void line_add_value(struct line *line, const char *value)
{
	if (!value)
		value = "";
	if (!value_needs_quotes(value)) {
		line_add(line, value);
		return;
	}
	line_add_char(line, '"');
	for (; *value && !line->cut; value++) {
		unsigned char c = (unsigned char)*value;

		if (c == '"' || c == '\\')
			line_format(line, "\\%c", c);
		else if (c < ' ' || c == 0x7f)
			line_format(line, "\\x%02x", c);
		else
			line_add_char(line, (char)c);
	}
	line_add_char(line, '"');
}

static void line_add_time(struct line *line)
{
	struct timespec now;
	struct tm utc;

	if (clock_gettime(CLOCK_REALTIME, &now) != 0 || !gmtime_r(&now.tv_sec, &utc))
		return;
	line_format(line, "%04d-%02d-%02dT%02d:%02d:%02d.%03ldZ ", utc.tm_year + 1900,
		    utc.tm_mon + 1, utc.tm_mday, utc.tm_hour, utc.tm_min, utc.tm_sec,
		    now.tv_nsec / 1000000);
}

static void line_add_field(struct line *line, const struct log_field *field)
{
	if (field->kind == LOG_FIELD_NONE)
		return;
	line_add_char(line, ' ');
	line_add(line, field->key);
	line_add_char(line, '=');
	switch (field->kind) {
	case LOG_FIELD_NONE:
		break;
	case LOG_FIELD_STR:
		line_add_value(line, field->str);
		break;
	case LOG_FIELD_U64:
		line_format(line, "%" PRIu64, field->u64);
		break;
	case LOG_FIELD_I64:
		line_format(line, "%" PRId64, field->i64);
		break;
	}
}

struct log log_to_stderr(enum log_level level)
{
	return (struct log){
		.fd = STDERR_FILENO,
		.level = level,
		.for_journal = getenv("JOURNAL_STREAM") != NULL,
	};
}

const char *log_level_name(enum log_level level)
{
	return log_levels[level].name;
}

bool log_level_parse(const char *name, enum log_level *level)
{
	for (size_t i = 0; i < ARRAY_LEN(log_levels); i++) {
		if (strcmp(name, log_levels[i].name) == 0) {
			*level = (enum log_level)i;
			return true;
		}
	}
	return false;
}

void log_write(const struct log *log, enum log_level level, const char *message,
	       const struct log_field *fields, size_t n_fields)
{
	int saved = errno;
	struct line line;

	if (level > log->level)
		return;
	line.len = 0;
	line.cut = false;
	if (log->for_journal) {
		line_format(&line, "<%d>", log_levels[level].syslog_priority);
	} else {
		line_add_time(&line);
		line_format(&line, "%-7s ", log_levels[level].name);
	}
	line_add(&line, message);
	for (size_t i = 0; i < n_fields; i++)
		line_add_field(&line, &fields[i]);
	if (line.cut) {
		memcpy(line.text + line.len, line_cut_mark, sizeof(line_cut_mark) - 1);
		line.len += sizeof(line_cut_mark) - 1;
	} else {
		line.text[line.len++] = '\n';
	}
	while (write(log->fd, line.text, line.len) < 0 && errno == EINTR)
		;
	errno = saved;
}
