/* SPDX-License-Identifier: Apache-2.0 */
/* The proxy's part of copies between grants on different nodes (m3_copy).
 *
 * dvsd on the node of the side that is local starts a copy here; it goes piece by piece, a few at a time, and each piece is a question to the peer's
 * proxy, which asks its own dvsd whether that is allowed. Pieces can be asked again when the link was down or an answer takes long: what is read can
 * be read twice; what was written is only answered once more, for the copy may be over by now and its owner have put something else there.
 *
 * Memory of programs is touched by threads of its own, a few for each DC: it can make who touches it wait for ever. */
#ifndef PROXY_COPY_H
#define PROXY_COPY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include "base/cursor.h"
#include "proto/control_proto.h"
#include "proto/frame_proto.h"

/* One piece; at most what copy_read may ask for. */
#define COPY_PIECE_BYTES 262144u
/* Pieces of one copy under way. */
#define COPY_PIECES 4u

struct copies;

/* What copies need of the proxy. All are called by their threads and may wait, but not for good once copies_destroy() was called. */
struct copies_owner {
	void *context;
	/* Send one frame as bulk, now. False: the link is down. */
	bool (*send)(void *context, struct frame_header *header, const void *body,
		     size_t body_bytes, const void *data, size_t data_bytes);
	/* The requests copy_open (FD gets its descriptor), copy_close and copy_done to dvsd. */
	dvs_err (*open)(void *context, const struct control_copy_open_req *req,
			struct control_copy_open_rep *rep, int *fd);
	void (*close)(void *context, uint64_t use);
	void (*done)(void *context, uint64_t copy, dvs_err reason);
};

DVS_MUST_USE dvs_err copies_create(const struct copies_owner *owner, struct copies **copies);
/* Ends the copies and waits for all threads, also for one that a program's memory holds up, perhaps for ever: so a proxy ends without it. No
 * frame comes any more. NULL is fine. */
void copies_destroy(struct copies *copies);

/* The events copy_start (FD is taken over) and copy_stop of dvsd. */
void copies_start(struct copies *copies, const struct control_copy_start_req *start, int fd);
void copies_stop(struct copies *copies, const struct control_copy_stop_req *stop);

/* Whether TYPE of a frame is for copies_place() and copies_frame(), which are the callbacks of link_events. */
bool copies_takes(uint8_t type);
void *copies_place(struct copies *copies, const struct frame_header *header, struct cursor body);
void copies_frame(struct copies *copies, const struct frame_header *header, struct cursor body,
		  void *data);
/* The bulk connection is there again, or has broken: what was asked and not answered is asked again. By its reader thread. */
void copies_link_changed(struct copies *copies);

#endif
