/* SPDX-License-Identifier: Apache-2.0 */
/* Sizes, times and commands as people write them. */
#ifndef MANAGE_COMPOSE_UNITS_H
#define MANAGE_COMPOSE_UNITS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

#define UNITS_TEXT_BYTES 32

/* "256M", "1.5GiB", "4096": bytes; each unit is 1024 of the one before. */
MUST_USE bool units_bytes(const char *text, uint64_t *bytes);
/* "500ms", "10s", "5m", "1h", "0": milliseconds. */
MUST_USE bool units_ms(const char *text, uint64_t *ms);
/* The other way round, as short as it is exact. */
void units_bytes_text(uint64_t bytes, char text[UNITS_TEXT_BYTES]);
void units_ms_text(uint64_t ms, char text[UNITS_TEXT_BYTES]);

/* COMMAND as a shell would split it into words, with its quotes and backslashes, but with no expansion: what would need a shell is refused, *WHY says so. At most MAX words,
 * which point into BUFFER (strlen(COMMAND) + 1 bytes). 0 words: refused, or there is none. */
size_t units_words(const char *command, char *buffer, const char **words, size_t max,
		   const char **why);

#endif
