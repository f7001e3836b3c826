/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/stream.h"

#include <stdarg.h>
#include <stdio.h>

ssize_t stream_receive_all(struct stream *stream, void *out, size_t bytes, uint64_t deadline_ns)
{
	uint8_t *at = out;
	size_t left = bytes;

	while (left > 0) {
		struct iovec room = { at, left };
		ssize_t got = stream_receive(stream, &room, 1, deadline_ns);

		if (got <= 0)
			return got;
		at += got;
		left -= (size_t)got;
	}
	return (ssize_t)bytes;
}

void stream_say(struct stream *stream, const char *format, ...)
{
	va_list args;

	va_start(args, format);
	(void)vsnprintf(stream->why, sizeof(stream->why), format, args);
	va_end(args);
}

void stream_advance(struct iovec **pieces, size_t *n, size_t bytes)
{
	while (*n > 0 && bytes >= (*pieces)->iov_len) {
		bytes -= (*pieces)->iov_len;
		(*pieces)++;
		(*n)--;
	}
	if (*n > 0) {
		(*pieces)->iov_base = (char *)(*pieces)->iov_base + bytes;
		(*pieces)->iov_len -= bytes;
	}
}

bool stream_lower_can_send(struct stream *stream)
{
	return stream_can_send(stream->lower);
}

void stream_lower_shut(struct stream *stream)
{
	stream_shut(stream->lower);
}
