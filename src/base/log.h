/* SPDX-License-Identifier: Apache-2.0 */
/* Structured log lines: a fixed message and named values, so that a line can be searched.
 *
 *	log_info(log, "endpoint bound", LOG_U64("ep", ep), LOG_STR("dc", name));
 *	-> 2031-02-03T04:05:06.789Z info  endpoint bound ep=17 dc=web
 *
 * Values are quoted and escaped where needed: a value can never look like another field or
 * another line. A line goes out in one write, so lines of several processes do not mix. */
#ifndef BASE_LOG_H
#define BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARNING, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

struct log {
	int fd;
	enum log_level level; /* lines above it are dropped */
	bool for_journal;     /* "<n>" in front, no time: the journal keeps its own */
};

enum log_field_kind { LOG_FIELD_NONE, LOG_FIELD_STR, LOG_FIELD_U64, LOG_FIELD_I64 };

struct log_field {
	enum log_field_kind kind;
	const char *key;
	union {
		const char *str;
		uint64_t u64;
		int64_t i64;
	};
};

#define LOG_STR(name, value) ((struct log_field){ LOG_FIELD_STR, (name), { .str = (value) } })
#define LOG_U64(name, value) ((struct log_field){ LOG_FIELD_U64, (name), { .u64 = (value) } })
#define LOG_I64(name, value) ((struct log_field){ LOG_FIELD_I64, (name), { .i64 = (value) } })

/* A log to standard error, in the journal's form when systemd connected it to the journal. */
MUST_USE struct log log_to_stderr(enum log_level level);

/* "error", "warning", "info" or "debug"; false when NAME is none of them. */
const char *log_level_name(enum log_level level);
MUST_USE bool log_level_parse(const char *name, enum log_level *level);

/* A line that cannot be written is lost: there is nobody to tell. errno is kept. */
void log_write(const struct log *log, enum log_level level, const char *message,
	       const struct log_field *fields, size_t n_fields);

#define LOG_LINE(log, level, message, ...)                                                        \
	log_write(                                                                                \
		(log), (level), (message),                                                        \
		(const struct log_field[]){ { .kind = LOG_FIELD_NONE }, ##__VA_ARGS__ },          \
		sizeof((const struct log_field[]){ { .kind = LOG_FIELD_NONE }, ##__VA_ARGS__ }) / \
			sizeof(struct log_field))

#define log_error(log, message, ...) LOG_LINE(log, LOG_LEVEL_ERROR, message, ##__VA_ARGS__)
#define log_warning(log, message, ...) LOG_LINE(log, LOG_LEVEL_WARNING, message, ##__VA_ARGS__)
#define log_info(log, message, ...) LOG_LINE(log, LOG_LEVEL_INFO, message, ##__VA_ARGS__)
#define log_debug(log, message, ...) LOG_LINE(log, LOG_LEVEL_DEBUG, message, ##__VA_ARGS__)

#endif
