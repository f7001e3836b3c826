/* SPDX-License-Identifier: Apache-2.0 */
/* The link to the proxy of the peer node: frames, in order, over connections that are made again when they break.
 *
 * A link has two connections (classes): messages, and bulk for frames with much data, so that the ones do not wait for the others. Each has a
 * reader thread of its own, which makes the connection too. Nothing is repeated when a connection breaks: what was sent before
 * may have arrived or not; `up` is called when there is a new one, and the owner says again what matters
 * (docs/decisions/0011).
 *
 * What comes in is hostile until the connection is authenticated (filter tls), and checked in any case: frames that are truncated, too long, of a
 * false checksum, sequence or type are counted and logged once each connection, and the connection is closed. */
#ifndef PROXY_LINK_H
#define PROXY_LINK_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include "base/cursor.h"
#include "base/log.h"
#include "config/config.h"
#include "proto/frame_proto.h"

enum link_class {
	LINK_MESSAGES,
	LINK_BULK,
	LINK_CLASSES,
};

/* Frames with more attached data than this travel as bulk. */
#define LINK_BULK_BYTES 16384u
/* The largest body of a frame, in bytes. */
#define LINK_BODY_MAX 512u

/* Called by the reader thread of a class (one at a time for each class, both classes at once). They must not send with data or flush: a
 * reader that waits until the peer takes something waits for ever when the peer's does the same. */
struct link_events {
	void *context;
	/* The connection is made and authenticated; nothing has come by it yet. FRESH: the first time, or the peer's proxy is another process than before. */
	void (*up)(void *context, enum link_class class, bool fresh);
	/* After each up; what `place` gave out for a frame that has not come whole is the owner's again. */
	void (*down)(void *context, enum link_class class, const char *why);
	/* A frame's header and body are in; DATA_BYTES of attached data follow. Returns where they are to be put (room for all of them), or NULL to
	 * have them thrown away. Called only when there are any. */
	void *(*place)(void *context, enum link_class class, const struct frame_header *header,
		       struct cursor body);
	/* The whole frame is in; its data is where `place` said, DATA, or NULL. */
	void (*frame)(void *context, enum link_class class, const struct frame_header *header,
		      struct cursor body, void *data);
	/* Nothing more is there to be read at once: for what is better done once after many frames. */
	void (*idle)(void *context, enum link_class class);
};

/* Written by the link's threads, read by anybody. */
struct link_figures {
	_Atomic uint64_t rtt_ns; /* of the last ping; 0: none yet */
	_Atomic uint64_t frames_in;
	_Atomic uint64_t frames_out;
	_Atomic uint64_t
		bytes_in; /* as they come from the transport: after compression and encryption */
	_Atomic uint64_t bytes_out;
	_Atomic uint64_t writes; /* system calls that sent something */
	_Atomic uint32_t reconnects;
	_Atomic uint64_t bad_frames;
};

/* The configuration must outlive the link. */
struct link_setup {
	const struct config *config; /* transport, filters, keys: those for PEER */
	const struct log *log;
	uint32_t node;
	uint32_t peer;
	const char *address; /* of the peer */
	uint64_t incarnation;
	struct link_events events;
};

struct peer_link;

/* Start connecting. The side with the lower node number listens. NOMEM; IO; BADARG: the configuration asks for something that this
 * machine cannot do (the log says what). */
DVS_MUST_USE dvs_err peer_link_open(const struct link_setup *setup, struct peer_link **link);
/* NULL is fine. Senders who wait in it return; the owner sees to it that none comes any more. The threads are over when it returns. */
void peer_link_close(struct peer_link *link);

/* Gather a frame: HEADER's magic, version, body_bytes, data_bytes, sum and seq are filled in here. The data is not copied: it must stay as it is
 * until peer_link_flush() of the class returns. One sender for each class at a time. False when the connection is down: the frame is
 * dropped. May flush by itself when much is gathered. */
bool peer_link_put(struct peer_link *link, enum link_class class, struct frame_header *header,
		   const void *body, size_t body_bytes, const void *data, size_t data_bytes);
/* Send all that is gathered, in one system call where that is possible. Waits while the connection takes no more, until it breaks. */
void peer_link_flush(struct peer_link *link, enum link_class class);

bool peer_link_is_up(const struct peer_link *link, enum link_class class);
/* The CPU on which packets of the class are worked on; -1: unknown. Only from the event `idle` of that class. */
int peer_link_cpu(struct peer_link *link, enum link_class class);
const struct link_figures *peer_link_figures(const struct peer_link *link);
const char *peer_link_transport(const struct peer_link *link);
/* Names with commas between; "" for none. */
const char *peer_link_filters(const struct peer_link *link);

#endif
