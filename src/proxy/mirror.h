/* SPDX-License-Identifier: Apache-2.0 */
/* The mirror of lanes: copies what local endpoints write into their lanes to the other node, and what comes from there into the lanes of the
 * stand-ins (docs/decisions/0011).
 *
 * Who does what: one thread sends what is small, and sleeps on the bell of the proxy's inbox page; one sends frames with much data; the two
 * readers of the link write into the lanes and never send, but mark the channel and ring that bell; the owner (main.c) brings and takes channels and
 * asks for the news. */
#ifndef PROXY_MIRROR_H
#define PROXY_MIRROR_H

#include <stdbool.h>
#include <stdint.h>

#include <dvs/error.h>

#include "ipc/channel.h"
#include "proxy/link.h"

/* A DC's channels send so much in one turn, then others do. */
#define MIRROR_TURN_BYTES (256u * 1024u)

struct mirror_name {
	uint32_t dc;
	uint32_t remote; /* endpoint on the peer node, with generation */
	uint32_t local;	 /* endpoint of this node */
};

/* As in the event carry. */
struct mirror_channel {
	struct mirror_name name;
	uint32_t instance;
	uint32_t index;	     /* in our inbox page */
	uint32_t peer_index; /* in that of the local endpoint, which is memory.peer_inbox */
	unsigned side;	     /* the lane of the stand-in */
	struct channel_memory memory;
};

enum mirror_news_kind {
	MIRROR_CONNECT, /* frames came for a channel that is not there: dvsd is to be asked for it, or (wanted) whether it has it */
	MIRROR_OVER,	/* the channel is forgotten: dvsd is to be told */
	MIRROR_READY,	/* the far end is there */
	MIRROR_LINK,	/* the connection of a class came or went */
};

struct mirror_news {
	enum mirror_news_kind kind;
	struct mirror_name name;
	uint32_t instance; /* CONNECT: of the far end, else of the channel */
	uint32_t wanted;   /* CONNECT: the channel that the far end means; 0: none yet */
	dvs_err reason;
	bool clean; /* OVER: the far end has said so, and all that it said is in the lane */
	char why[128];
};

struct mirror_setup {
	void *context;
	/* There are news. From any thread; must not wait. */
	void (*wake)(void *context);
	/* Nobody uses this memory any more. From any thread. */
	void (*release)(void *context, const struct channel_memory *memory);
	const struct log *log;
	struct ipc_inbox *inbox; /* the page of the proxy */
};

struct mirror_figures {
	_Atomic uint64_t rounds; /* of the sender of messages, in which it put something */
	_Atomic uint64_t looks;	 /* at channels */
	_Atomic uint64_t sleeps;
};

struct mirror;
struct copies;

DVS_MUST_USE dvs_err mirror_create(const struct mirror_setup *setup, struct mirror **mirror);
/* What the link is to be opened with. */
struct link_events mirror_link_events(struct mirror *mirror);
/* Who gets the frames of copies; before the link is opened. */
void mirror_set_copies(struct mirror *mirror, struct copies *copies);
/* Start to send over LINK. NOMEM. */
DVS_MUST_USE dvs_err mirror_start(struct mirror *mirror, struct peer_link *link);
/* Stop sending; before the link is closed. */
void mirror_stop(struct mirror *mirror);
/* After the link is closed. NULL is fine. */
void mirror_destroy(struct mirror *mirror);

/* ---- by one thread, the owner's ---- */

/* A channel is there (or again, after the proxy was started anew). Its memory belongs to the mirror then, if the result is OK. EXISTS: it is
 * known with this instance; FULL; NOMEM. */
DVS_MUST_USE dvs_err mirror_carry(struct mirror *mirror, const struct mirror_channel *channel);
/* It is over, as in the event carry_end; what is not known is ignored. */
void mirror_end(struct mirror *mirror, const struct mirror_name *name, uint32_t instance,
		uint32_t far, dvs_err reason);
/* 0: no limit. */
void mirror_limit(struct mirror *mirror, uint32_t dc, uint64_t bytes_per_s);
/* The far end wants a channel that cannot be had: it is told so. */
void mirror_refuse(struct mirror *mirror, const struct mirror_name *name, uint32_t far_instance,
		   dvs_err reason);
/* The channel that CONNECT wanted is over: the far end is told so. */
void mirror_lost(struct mirror *mirror, const struct mirror_news *connect);
/* False: there are none. */
bool mirror_next_news(struct mirror *mirror, struct mirror_news *news);

/* Send one frame as bulk, at once: waits as peer_link_flush() does. From any thread. False: the connection is down. */
bool mirror_send_bulk(struct mirror *mirror, struct frame_header *header, const void *body,
		      size_t body_bytes, const void *data, size_t data_bytes);

const struct mirror_figures *mirror_figures(const struct mirror *mirror);

#endif
