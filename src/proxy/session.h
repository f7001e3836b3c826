/* SPDX-License-Identifier: Apache-2.0 */
/* What the files of the link share.
 *
 * The node with the lower number waits for connections: the doorkeeper (door.c) takes them, lets each of them greet in a
 * thread of its own with a time limit (greet.c), and offers what is proper to the lane of its class, whose reader takes it over. On the
 * other node the readers connect and greet themselves (lane.c). A reader (read.c) reads until the connection breaks. Senders gather
 * and send (send.c); a reader never waits in sending, or two nodes whose readers both do would wait for ever: what the link itself has to say (ping, pong)
 * is sent by a reader only when nobody else is sending and there is room, and by the next flush otherwise. */
#ifndef PROXY_SESSION_H
#define PROXY_SESSION_H

#include <pthread.h>

#include "proxy/filter.h"
#include "proxy/link.h"
#include "proxy/transport.h"
#include "proxy/wire.h"

/* A connection from which nothing comes for so long is given up. */
#define SESSION_SILENCE_MS 5000u
#define SESSION_PING_MS 1000u
/* For the connection; whoever is not there by then is asked anew, as the first packet may have been lost. */
#define SESSION_CONNECT_MS 1000u
/* From the connection to the end of the greeting. */
#define SESSION_GREET_MS 3000u
/* Between the beginnings of two attempts. */
#define SESSION_RETRY_MIN_MS 10u
#define SESSION_RETRY_MAX_MS 1000u
/* Connections that have not greeted yet: from the peer's address, and from others. When there are more, the oldest goes. */
#define SESSION_GREETING_MAX 8u
/* Of lines about what strangers or broken peers do. */
#define SESSION_LOG_EVERY_MS 5000u

#define GATHER_BYTES ((size_t)128 << 10)
#define GATHER_PIECES 256u
/* Sent without waiting for more. */
#define GATHER_DATA_BYTES ((size_t)512 << 10)
#define READ_BYTES ((size_t)256 << 10)
/* Of bulk no more is read ahead: what comes to the buffer of a frame's data has to be copied from there. */
#define READ_AHEAD_BYTES ((size_t)4 << 10)

/* Frames that wait to be sent: headers and bodies in one piece of memory, data where its owner has it. */
struct gather {
	uint8_t *bytes;
	size_t used;
	size_t data_bytes;
	size_t n;
	struct iovec pieces[GATHER_PIECES];
};

/* A connection whose other side is known. */
struct greeted {
	struct stream *stream;
	enum link_class class;
	uint64_t incarnation;
};

struct lane {
	struct peer_link *link;
	enum link_class class;
	pthread_t reader;
	bool is_running;

	pthread_mutex_t send_lock; /* before state_lock */
	/* under send_lock: */
	struct stream *out; /* NULL: down */
	uint64_t out_seq;
	struct gather gather;

	pthread_mutex_t state_lock;
	pthread_cond_t news;
	/* under state_lock: */
	struct stream *stream;	/* which the reader reads, for those who shut it */
	struct greeted offered; /* its next one; stream NULL: none */

	_Atomic bool is_up;
	_Atomic bool ping_due;
	_Atomic bool pong_due;
	_Atomic uint64_t pong_stamp_ns;

	/* the reader's alone: */
	uint8_t *buffer; /* READ_BYTES */
	size_t start;
	size_t end;
	uint64_t in_seq;
	uint64_t heard_ns;
	uint64_t pinged_ns;
	uint64_t incarnation; /* of the last peer */
	bool was_up;
};

/* How often something is told: not more than once in SESSION_LOG_EVERY_MS. */
struct seldom {
	_Atomic uint64_t next_ns;
	_Atomic uint64_t silent; /* not told since */
};

struct door;

struct peer_link {
	struct link_setup setup;
	char address[CONFIG_NAME_MAX + 1];
	struct log log;
	const struct config_link *choice;
	bool listens;
	struct transport *transport;
	struct filter *filters[CONFIG_FILTERS_MAX];
	char filter_names[32];
	struct link_figures figures;
	_Atomic bool is_stopping;
	struct seldom about_bad;
	struct door *door; /* of the side that listens */
	struct lane lanes[LINK_CLASSES];
};

/* link.c */
const char *link_class_name(enum link_class class);
/* A thread without signals; false: no memory. */
DVS_MUST_USE bool link_thread(pthread_t *thread, void *(*run)(void *), void *argument);
/* A peer or a stranger did what it must not. */
void link_complain(struct peer_link *link, const char *what, const char *why);
/* Wait for SPAN_MS; false: the link is being closed. */
bool link_pause(const struct peer_link *link, uint32_t span_ms);

/* lane.c: the life of a lane. */
DVS_MUST_USE dvs_err lane_open(struct lane *lane, struct peer_link *link, enum link_class class);
void lane_close(struct lane *lane);
/* Any thread: the connection is over. */
void lane_break(struct lane *lane);
/* Takes GREETED's stream; the connection before is given up. */
void lane_offer(struct lane *lane, const struct greeted *greeted);

/* send.c */
void lane_send_start(struct lane *lane, struct stream *stream);
/* After it no sender is in the stream; it was shut before. */
void lane_send_stop(struct lane *lane);
/* By the reader: send what the link has to say, if that can be done without waiting. */
void lane_send_due(struct lane *lane);

/* read.c: returns when the connection is over, WHY tells. */
void lane_read(struct lane *lane, struct stream *stream, char *why, size_t why_bytes);

/* greet.c: make a peer's connection of STREAM. CLASS is for the side that connects. GREETED->stream is then what is to be closed, also
 * after an error; until then STREAM may be shut by others. */
DVS_MUST_USE dvs_err greet(struct peer_link *link, struct stream *stream, enum link_class class,
			   struct greeted *greeted, char *why, size_t why_bytes);

/* door.c */
DVS_MUST_USE dvs_err door_open(struct peer_link *link, struct door **door);
/* The link is stopping. NULL is fine. */
void door_close(struct door *door);

#endif
