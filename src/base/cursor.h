/* SPDX-License-Identifier: Apache-2.0 */
/* Reading and writing bytes that cross a trust or machine boundary.
 *
 * Both sides keep their error: after the first bad read or write every further one does
 * nothing (reads give zeroes), so a decoder reads all its fields in a row and asks once,
 * at the end. All integers are little-endian and have no alignment.
 *
 * A cursor never reads past its bytes, and cursor_done() is true only when exactly all of
 * them were read. A writer refuses a value too wide for its field instead of cutting it. */
#ifndef BASE_CURSOR_H
#define BASE_CURSOR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/compiler.h"

struct cursor {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
};

/* The bytes stay the caller's and must outlive the cursor. */
MUST_USE struct cursor cursor_over(const void *bytes, size_t len);

uint8_t cursor_u8(struct cursor *in);
uint16_t cursor_u16(struct cursor *in);
uint32_t cursor_u32(struct cursor *in);
uint64_t cursor_u64(struct cursor *in);
int32_t cursor_i32(struct cursor *in);
int64_t cursor_i64(struct cursor *in);

/* Copy LEN bytes to OUT; on failure OUT is filled with zeroes. */
void cursor_bytes(struct cursor *in, void *out, size_t len);

/* Borrow the next LEN bytes, or NULL on failure. */
const uint8_t *cursor_borrow(struct cursor *in, size_t len);

/* Copy a string of LEN bytes to OUT, which has room for OUT_BYTES with the closing NUL.
 * A string that is too long for OUT or has a NUL inside is a failure and leaves OUT empty. */
void cursor_string(struct cursor *in, size_t len, char *out, size_t out_bytes);

/* How many things follow: an integer of PREFIX_BYTES (1 or 2), at most MAX. Otherwise 0 and a
 * failure. */
uint32_t cursor_count(struct cursor *in, uint32_t max, unsigned int prefix_bytes);

/* All that is left must be zero. */
void cursor_zeroes(struct cursor *in);

/* For a check that only the caller can make. */
void cursor_fail(struct cursor *in);

size_t cursor_left(const struct cursor *in);

/* Everything was read, nothing failed. */
MUST_USE bool cursor_done(const struct cursor *in);

struct writer {
	uint8_t *start;
	uint8_t *at;
	uint8_t *end;
	bool failed;
};

/* The buffer stays the caller's and must outlive the writer. */
MUST_USE struct writer writer_over(void *buffer, size_t size);

/* The value is wider than the field on purpose: what does not fit is refused. */
void writer_u8(struct writer *out, uint64_t value);
void writer_u16(struct writer *out, uint64_t value);
void writer_u32(struct writer *out, uint64_t value);
void writer_u64(struct writer *out, uint64_t value);
void writer_i32(struct writer *out, int64_t value);
void writer_i64(struct writer *out, int64_t value);
void writer_bytes(struct writer *out, const void *bytes, size_t len);

/* The counterpart of cursor_count(): refuses a count above MAX. */
void writer_count(struct writer *out, uint64_t count, uint32_t max, unsigned int prefix_bytes);

/* A string in an array of ROOM_BYTES, its length in front; refuses one without an end. */
void writer_string(struct writer *out, const char *string, size_t room_bytes,
		   unsigned int prefix_bytes);

/* LEN bytes, their count in front; refuses more than MAX. */
void writer_counted_bytes(struct writer *out, const void *bytes, size_t len, uint32_t max,
			  unsigned int prefix_bytes);

/* For a check that only the caller can make. */
void writer_fail(struct writer *out);

/* How many bytes were written. */
size_t writer_len(const struct writer *out);

/* Nothing failed. */
MUST_USE bool writer_ok(const struct writer *out);

#endif
