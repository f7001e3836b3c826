/* SPDX-License-Identifier: Apache-2.0 */
/* Two links that talk to each other, and a record of what they tell. */
#ifndef TESTS_PROXY_PAIR_H
#define TESTS_PROXY_PAIR_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/link.h"
#include "proxy/wire.h"

#define PAIR_WAIT_MS 20000u

/* What one class of a link told. */
struct told {
	unsigned int ups;
	unsigned int fresh;
	unsigned int downs;
	unsigned int idles;
	uint64_t frames;
	uint64_t broken; /* frames that are not what was sent */
	uint64_t next;	 /* number of the next frame, as its sender counts */
	uint8_t *room;
	char why[200];
};

struct side {
	struct config config;
	struct log log;
	struct peer_link *link;
	uint32_t peer;
	char address[64];
	char keys[64]; /* a directory, for those who need it */
	uint64_t incarnation;
	pthread_mutex_t lock;
	pthread_cond_t news;
	struct told told[LINK_CLASSES];
	uint64_t seed;
	uint64_t sent[LINK_CLASSES];
};

/* A network namespace of this process's own with the loopback up; where that is not allowed the test goes on in the one it is in. */
bool pair_own_network(void);
/* A port that is free now, with some behind it. */
uint32_t pair_port(void);

/* A side with cluster "farm", ready to be opened; NODE and the peer are different. Change its config before side_open(). */
void side_init(struct side *side, uint32_t node, uint32_t peer, uint32_t port);
dvs_err side_open(struct side *side);
void side_close(struct side *side);

/* As it is now. */
struct told side_told(struct side *side, enum link_class class);
/* Wait until the class was up N times, and is; or down. False after PAIR_WAIT_MS. */
bool side_wait_up(struct side *side, enum link_class class, unsigned int n);
bool side_wait_down(struct side *side, enum link_class class, unsigned int n);
/* Until FRAMES frames have come in this connection or more. */
bool side_wait_frames(struct side *side, enum link_class class, uint64_t frames);

/* Send N frames that the other side can check, of up to MAX_DATA bytes of data, flushing now and then; the number of those taken. */
uint64_t side_send(struct side *side, enum link_class class, uint64_t n, size_t max_data);
/* The same in a thread. */
struct sender {
	pthread_t thread;
	struct side *side;
	enum link_class class;
	uint64_t n;
	size_t max_data;
	uint64_t sent;
};
void sender_start(struct sender *sender);
void sender_join(struct sender *sender);

/* What a frame of this number and seed carries. */
void pair_fill(uint8_t *bytes, size_t len, uint64_t seed);
uint64_t pair_random(uint64_t *state);
uint64_t pair_seed(void);

#endif
