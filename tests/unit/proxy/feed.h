/* SPDX-License-Identifier: Apache-2.0 */
/* A stream that gives bytes from memory in pieces of any size, and a lane that reads it: for the tests and the fuzzers of what
 * comes from a network. */
#ifndef TESTS_PROXY_FEED_H
#define TESTS_PROXY_FEED_H

#include "proxy/session.h"

struct feed {
	struct stream stream;
	const uint8_t *bytes;
	size_t len;
	size_t at;
	size_t first;  /* so many come first, if not 0 */
	size_t piece;  /* then so many at a time; 0: as many as there is room for */
	uint8_t *sent; /* what is sent to it, if not NULL */
	size_t sent_bytes;
	size_t sent_max;
};

void feed_init(struct feed *feed, const void *bytes, size_t len);

/* A lane that is up, and whose link has EVENTS. */
struct fed_lane {
	struct peer_link link;
	struct lane *lane;
};
void fed_lane_init(struct fed_lane *fed, enum link_class class, const struct link_events *events);
void fed_lane_free(struct fed_lane *fed);

#endif
