/* SPDX-License-Identifier: Apache-2.0 */
/* What the two halves of a connection of the transport raw share. */
#ifndef PROXY_TRANSPORT_RAW_STREAM_H
#define PROXY_TRANSPORT_RAW_STREAM_H

#include <pthread.h>
#include <stdatomic.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "proxy/transport/raw.h"

/* Packets for one system call. */
#define BATCH 64u
#define WINDOW_MIN 16u
#define WINDOW_START 128u
/* With a batch more it still has slots of its own. */
#define WINDOW_MAX 768u
/* A packet is lost when so many behind it are there. */
#define REORDERED 3
#define RTO_MIN_NS (20 * CLOCK_NS_PER_MS)
#define RTO_MAX_NS (500 * CLOCK_NS_PER_MS)
#define TICK_NS (RAW_TICK_MS * CLOCK_NS_PER_MS)
#define SACK_BYTES (RAW_SLOTS / 8)

_Static_assert(WINDOW_MAX + BATCH <= RAW_SLOTS, "what is under way and what is being filled");

/* A packet that is sent. */
struct sent {
	uint8_t *bytes; /* the sender's until it is under way */
	uint32_t len;
	uint32_t sum;
	/* under lock: */
	uint64_t sent_ns;
	bool is_there;
	bool is_again;
};

/* A packet that has come. */
struct come {
	uint8_t *bytes;
	uint32_t len;
	bool is_here;
};

struct raw_stream {
	struct stream stream;
	int fd;
	int kick; /* wakes the receiving thread */
	struct raw_pair pair;
	size_t payload_bytes;
	struct link_figures *figures;
	_Atomic bool is_over;

	pthread_mutex_t lock;
	pthread_cond_t room;
	/* under lock: */
	uint32_t acked;	  /* packets before it are there */
	uint32_t next;	  /* to be sent */
	uint32_t recover; /* losses before it have halved the window already */
	uint32_t window;
	uint32_t threshold;
	uint32_t grown; /* packets acknowledged since the window grew */
	uint64_t round_trip_ns;
	uint64_t rto_ns;
	uint32_t expected;   /* the next packet that is missing */
	uint32_t unanswered; /* packets not acknowledged yet */
	bool is_asleep;	     /* the receiving thread looks at no clock */
	struct sent sent[RAW_SLOTS];

	/* the sender's: */
	uint32_t end; /* behind what is put into packets */
	/* the receiver's: */
	uint32_t reading;
	uint32_t reading_at; /* bytes of that packet that are read */
	uint64_t ticked_ns;
	bool must_answer;
	struct come come[RAW_SLOTS];
	uint8_t *batch; /* BATCH packets as they come */
	uint8_t *memory;
};

/* What is sent at once. */
struct burst {
	size_t n;
	uint8_t heads[BATCH][RAW_HEAD_BYTES];
	struct iovec pieces[BATCH][2];
	struct mmsghdr messages[BATCH];
};

static inline bool raw_is_over(const struct raw_stream *raw)
{
	return atomic_load_explicit(&raw->is_over, memory_order_acquire);
}

/* raw_send.c */
void raw_kick(const struct raw_stream *raw);
struct raw_packet raw_packet_of(const struct raw_stream *raw, enum raw_kind kind);
void burst_add(struct raw_stream *raw, struct burst *burst, const struct raw_packet *packet);
void burst_add_sent_locked(struct raw_stream *raw, struct burst *burst, uint32_t seq,
			   uint64_t now_ns);
/* What the network does not take is lost, and sent again when that shows. */
void burst_send(struct raw_stream *raw, struct burst *burst, int flags);
bool raw_send(struct stream *stream, struct iovec *pieces, size_t n);
bool raw_can_send(struct stream *stream);

#endif
