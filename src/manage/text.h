/* SPDX-License-Identifier: Apache-2.0 */
/* Text for people and machines. Names of programs come from the programs themselves: they can
 * hold anything, and must neither break the JSON nor steer the terminal. */
#ifndef MANAGE_TEXT_H
#define MANAGE_TEXT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

/* The string of at most MAX_BYTES at BYTES as valid UTF-8: each wrong byte becomes U+FFFD.
 * The caller frees it; NULL without memory. */
MUST_USE char *text_utf8(const char *bytes, size_t max_bytes);

/* UTF8 with everything that could steer a terminal (control characters, changes of the writing
 * direction) as \xNN or \uNNNN. The caller frees it; NULL without memory. */
MUST_USE char *text_printable(const char *utf8);

/* How many columns the printable text UTF8 takes, one for each character. */
size_t text_columns(const char *utf8);

/* Bytes of the part of UTF8 that fits COLUMNS. */
size_t text_cut(const char *utf8, size_t columns);

/* N with a unit, in at most 5 characters: 999, 12.3k, 4.0M. */
#define TEXT_SHORT_BYTES 24
void text_short(uint64_t n, char out[TEXT_SHORT_BYTES]);

/* A time span as its two largest units: "3d 4h", "5m 6s", "7s". */
void text_span(uint64_t seconds, char out[TEXT_SHORT_BYTES]);

#endif
