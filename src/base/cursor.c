/* SPDX-License-Identifier: Apache-2.0 */
#include "base/cursor.h"

#include <assert.h>
#include <string.h>

struct cursor cursor_over(const void *bytes, size_t len)
{
	const uint8_t *start = bytes;

	assert(bytes || len == 0);
	/* Adding even zero to NULL is undefined. */
	return (struct cursor){ .at = start, .end = start ? start + len : NULL };
}

size_t cursor_left(const struct cursor *in)
{
	return (size_t)(in->end - in->at);
}

void cursor_fail(struct cursor *in)
{
	in->failed = true;
	in->at = in->end;
}

bool cursor_done(const struct cursor *in)
{
	return !in->failed && in->at == in->end;
}

const uint8_t *cursor_borrow(struct cursor *in, size_t len)
{
	const uint8_t *bytes = in->at;

	if (in->failed || cursor_left(in) < len) {
		cursor_fail(in);
		return NULL;
	}
	if (len > 0)
		in->at += len;
	return bytes;
}

/* WIDTH bytes, the least significant first. */
static uint64_t cursor_int(struct cursor *in, unsigned int width)
{
	const uint8_t *bytes = cursor_borrow(in, width);
	uint64_t value = 0;

	if (!bytes)
		return 0;
	for (unsigned int i = 0; i < width; i++)
		value |= (uint64_t)bytes[i] << (8 * i);
	return value;
}

uint8_t cursor_u8(struct cursor *in)
{
	return (uint8_t)cursor_int(in, 1);
}

uint16_t cursor_u16(struct cursor *in)
{
	return (uint16_t)cursor_int(in, 2);
}

uint32_t cursor_u32(struct cursor *in)
{
	return (uint32_t)cursor_int(in, 4);
}

uint64_t cursor_u64(struct cursor *in)
{
	return cursor_int(in, 8);
}

int32_t cursor_i32(struct cursor *in)
{
	return (int32_t)cursor_u32(in);
}

int64_t cursor_i64(struct cursor *in)
{
	return (int64_t)cursor_u64(in);
}

uint32_t cursor_count(struct cursor *in, uint32_t max, unsigned int prefix_bytes)
{
	uint64_t count;

	assert(prefix_bytes == 1 || prefix_bytes == 2);
	count = cursor_int(in, prefix_bytes);
	if (count > max) {
		cursor_fail(in);
		return 0;
	}
	return (uint32_t)count;
}

void cursor_bytes(struct cursor *in, void *out, size_t len)
{
	const uint8_t *bytes = cursor_borrow(in, len);

	if (len == 0)
		return;
	if (bytes)
		memcpy(out, bytes, len);
	else
		memset(out, 0, len);
}

void cursor_string(struct cursor *in, size_t len, char *out, size_t out_bytes)
{
	const uint8_t *bytes;

	assert(out_bytes > 0);
	out[0] = '\0';
	if (len >= out_bytes) {
		cursor_fail(in);
		return;
	}
	bytes = cursor_borrow(in, len);
	if (!bytes || len == 0)
		return;
	if (memchr(bytes, '\0', len)) {
		cursor_fail(in);
		return;
	}
	memcpy(out, bytes, len);
	out[len] = '\0';
}

void cursor_zeroes(struct cursor *in)
{
	uint8_t any = 0;

	for (const uint8_t *byte = in->at; byte < in->end; byte++)
		any |= *byte;
	if (any)
		cursor_fail(in);
	else
		in->at = in->end;
}

struct writer writer_over(void *buffer, size_t size)
{
	uint8_t *start = buffer;

	assert(buffer || size == 0);
	return (struct writer){ .start = start, .at = start, .end = start ? start + size : NULL };
}

size_t writer_len(const struct writer *out)
{
	return (size_t)(out->at - out->start);
}

void writer_fail(struct writer *out)
{
	out->failed = true;
}

bool writer_ok(const struct writer *out)
{
	return !out->failed;
}

void writer_bytes(struct writer *out, const void *bytes, size_t len)
{
	if (out->failed || (size_t)(out->end - out->at) < len) {
		out->failed = true;
		return;
	}
	if (len == 0)
		return;
	memcpy(out->at, bytes, len);
	out->at += len;
}

static void writer_int(struct writer *out, uint64_t value, unsigned int width)
{
	uint8_t bytes[8];

	assert(width <= sizeof(bytes));
	if (out->failed)
		return;
	if (width < sizeof(bytes) && value >> (8 * width) != 0) {
		out->failed = true;
		return;
	}
	for (unsigned int i = 0; i < width; i++)
		bytes[i] = (uint8_t)(value >> (8 * i));
	writer_bytes(out, bytes, width);
}

void writer_u8(struct writer *out, uint64_t value)
{
	writer_int(out, value, 1);
}

void writer_u16(struct writer *out, uint64_t value)
{
	writer_int(out, value, 2);
}

void writer_u32(struct writer *out, uint64_t value)
{
	writer_int(out, value, 4);
}

void writer_u64(struct writer *out, uint64_t value)
{
	writer_int(out, value, 8);
}

void writer_i32(struct writer *out, int64_t value)
{
	if (value < INT32_MIN || value > INT32_MAX) {
		out->failed = true;
		return;
	}
	writer_int(out, (uint32_t)value, 4);
}

void writer_i64(struct writer *out, int64_t value)
{
	writer_int(out, (uint64_t)value, 8);
}

void writer_count(struct writer *out, uint64_t count, uint32_t max, unsigned int prefix_bytes)
{
	assert(prefix_bytes == 1 || prefix_bytes == 2);
	if (count > max)
		writer_fail(out);
	writer_int(out, count, prefix_bytes);
}

void writer_string(struct writer *out, const char *string, size_t room_bytes,
		   unsigned int prefix_bytes)
{
	size_t len = strnlen(string, room_bytes);

	assert(room_bytes > 0);
	writer_counted_bytes(out, string, len, (uint32_t)(room_bytes - 1), prefix_bytes);
}

void writer_counted_bytes(struct writer *out, const void *bytes, size_t len, uint32_t max,
			  unsigned int prefix_bytes)
{
	writer_count(out, len, max, prefix_bytes);
	writer_bytes(out, bytes, len);
}
