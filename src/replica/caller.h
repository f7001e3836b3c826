/* SPDX-License-Identifier: Apache-2.0 */
/* A thread with an endpoint of its own, for calls that wait, and for batches while the loop's own call is under way. One call at a time; its result comes to the server's thread. */
#ifndef REPLICA_CALLER_H
#define REPLICA_CALLER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/dvk.h>
#include <dvs/m3ipc.h>

#include "base/compiler.h"
#include "base/list.h"

struct caller;

/* What came of the last work of a caller. */
struct caller_result {
	dvs_err err; /* of m3_call(); the server's own is in reply.u32[0] */
	struct dvs_msg reply;
	const uint8_t *data; /* that came with it */
	size_t bytes;
	uint64_t began_ns;
	void *window; /* for the next call to the same partner; NULL: it could not be had */
};

struct caller_config {
	struct dvk *dvk;
	/* In the caller's thread: there is a result. */
	void (*ready)(void *context, struct caller *caller);
	void *context;
};

/* NULL: no memory, no thread. */
MUST_USE struct caller *caller_open(const struct caller_config *config);
/* WAKER is an endpoint of this thread: a call that is under way ends. */
void caller_close(struct caller *caller, struct m3 *waker);
/* Look up DST, for its window. */
void caller_connect(struct caller *caller, dvs_ep dst, uint32_t timeout_ms);
/* Call DST; OUT is its window or stays until the result. */
void caller_call(struct caller *caller, dvs_ep dst, const struct dvs_msg *msg, const void *out,
		 size_t out_len, uint32_t timeout_ms);
/* When it is ready. Valid until the next work. */
const struct caller_result *caller_result(const struct caller *caller);

/* The server's thread keeps here what it is used for. */
struct caller_use {
	struct list idle;
	struct list all;
	struct caller *self;
	void *user;
	void (*end)(void *user, struct caller *caller);
	bool is_busy;
	bool is_single; /* USER is of that call alone */
};
struct caller_use *caller_use(struct caller *caller);

#endif
