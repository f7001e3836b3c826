/* SPDX-License-Identifier: Apache-2.0 */
/* A medium for tests: in memory; it can remember each write and flush, so that it can be rebuilt as a power cut would leave it, and let requests fail. */
#ifndef TESTS_FS_MEDIUM_H
#define TESTS_FS_MEDIUM_H

#include "servers/fs/medium.h"

struct traced_op {
	enum { TRACED_WRITE, TRACED_ZERO, TRACED_FLUSH } kind;
	uint64_t offset;
	uint64_t bytes;
	uint8_t *data;
};

struct traced {
	struct medium medium;
	uint8_t *memory;
	uint64_t can_have; /* what grown() finds */
	bool is_kept;	   /* ops are remembered */
	struct traced_op *ops;
	size_t n_ops, ops_room;
	size_t n_flushed; /* ops that a power cut cannot take */
	uint8_t *durable; /* the medium with these */
	/* requests from the N-th on fail so; 0: none does */
	uint64_t fail_write_in, fail_flush_in, fail_read_in;
	dvs_err fails;
	bool *is_closed; /* where closing is noted */
};

/* An empty one. */
struct traced *traced_new(uint64_t bytes);
void traced_free(struct traced *traced);
/* Remember from now on; what is there now is durable. */
void traced_keep(struct traced *traced);
/* As it may be after a power cut when the first N ops were made, another incarnation: flushed ones are done, of the others each is done, not done, or done in part, as SEED says; NONE: none of them is. */
struct traced *traced_cut(const struct traced *traced, size_t n, uint64_t *seed, bool none);
/* As a dead process leaves it: all of the first N ops, the same incarnation. */
struct traced *traced_death(const struct traced *traced, size_t n);
/* The image may close it, the test goes on with it. */
struct medium *traced_medium(struct traced *traced);

uint64_t traced_random(uint64_t *seed);

#endif
