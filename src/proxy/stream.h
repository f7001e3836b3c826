/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes both ways, in order, each once: what a transport makes, and what a filter makes of one such stream.
 *
 * One thread at a time sends, one at a time receives, both at once. A stream that is broken stays broken: whoever
 * noticed calls stream_shut(), the receiving thread frees it. */
#ifndef PROXY_STREAM_H
#define PROXY_STREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "base/compiler.h"

/* What receive() says beside a number of bytes. */
enum {
	STREAM_END = 0,	    /* the other side has closed it, or it was shut */
	STREAM_LATE = -1,   /* nothing came until the deadline */
	STREAM_BROKEN = -2, /* `why` tells */
};

#define STREAM_WHY_BYTES 160u
#define STREAM_IOV_MAX 2u

/* A deadline that has passed already: take what is there. */
#define STREAM_NOW UINT64_C(0)

struct stream;

struct stream_ops {
	/* Send all of the PIECES, which may be changed. Waits. False: it is broken. */
	bool (*send)(struct stream *stream, struct iovec *pieces, size_t n);
	/* Fill the room, its first pieces first, with all that has come; wait for some until about DEADLINE_NS. At most STREAM_IOV_MAX
	 * pieces, none empty. */
	ssize_t (*receive)(struct stream *stream, const struct iovec *room, size_t n,
			   uint64_t deadline_ns);
	/* A few hundred bytes can be sent without waiting. From the sending thread. */
	bool (*can_send)(struct stream *stream);
	/* Any thread: it is over, those who wait in it return. */
	void (*shut)(struct stream *stream);
	/* The CPU on which packets for it are worked on, -1: unknown. NULL in those of filters, and where nobody can tell. From the
	 * receiving thread. */
	int (*cpu)(struct stream *stream);
	/* Nobody is in it any more. Closes what is below too. */
	void (*close)(struct stream *stream);
};

struct stream {
	const struct stream_ops *ops;
	struct stream *lower;	    /* of a filter; NULL: a transport's */
	char why[STREAM_WHY_BYTES]; /* written and read by the receiving thread */
};

static inline bool stream_send(struct stream *stream, struct iovec *pieces, size_t n)
{
	return stream->ops->send(stream, pieces, n);
}

MUST_USE static inline ssize_t stream_receive(struct stream *stream, const struct iovec *room,
					      size_t n, uint64_t deadline_ns)
{
	return stream->ops->receive(stream, room, n, deadline_ns);
}

static inline bool stream_can_send(struct stream *stream)
{
	return stream->ops->can_send(stream);
}

static inline void stream_shut(struct stream *stream)
{
	stream->ops->shut(stream);
}

static inline int stream_cpu(struct stream *stream)
{
	while (stream->lower)
		stream = stream->lower;
	return stream->ops->cpu ? stream->ops->cpu(stream) : -1;
}

/* NULL is fine. */
static inline void stream_close(struct stream *stream)
{
	if (stream)
		stream->ops->close(stream);
}

/* BYTES bytes to OUT, and none of those that follow. As receive(); anything but BYTES is the reason why not. */
MUST_USE ssize_t stream_receive_all(struct stream *stream, void *out, size_t bytes,
				    uint64_t deadline_ns);

void stream_say(struct stream *stream, const char *format, ...) PRINTF_LIKE(2, 3);

/* Take N bytes off the front of *PIECES. */
void stream_advance(struct iovec **pieces, size_t *n, size_t bytes);

/* What a filter passes on unchanged. */
bool stream_lower_can_send(struct stream *stream);
void stream_lower_shut(struct stream *stream);

#endif
