/* SPDX-License-Identifier: Apache-2.0 */
/* Which chunks may differ between replicas. A mark has two generations, so that dirty_cool() takes off only what was not written since the call before it. */
#ifndef SERVERS_VDD_DIRTY_H
#define SERVERS_VDD_DIRTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "servers/vdd/crew.h"

/* In a file: a block that says what it is, then a bit for each chunk of each minor, at a fixed place. A bit that the file has and memory has not, or that was torn, only costs a comparison;
 * when the block is damaged everything is dirty. */
struct dirty;

/* A write that waits until its marks are on stable storage. */
struct dirty_wait {
	struct sync_wait sync;
	struct dirty *dirty;
	uint32_t minor;
	uint64_t first;
	uint64_t last;
	void (*done)(struct dirty_wait *wait, dvs_err err);
};

/* With the file DIR/dirty, made when IS_NEW; DIR -1: in memory only. For no minor yet. NOMEM, NOSPACE, IO. */
DVS_MUST_USE dvs_err dirty_open(int dir, bool is_new, struct crew *crew, struct dirty **dirty);
void dirty_close(struct dirty *dirty);

/* MINOR has so many bytes from now on; 0: there is none any more. A new one has no marks. NOMEM. */
DVS_MUST_USE dvs_err dirty_size(struct dirty *dirty, uint32_t minor, uint64_t bytes);
/* The same with the marks that the file has. */
DVS_MUST_USE dvs_err dirty_load(struct dirty *dirty, uint32_t minor, uint64_t bytes);
/* Chunks that overlap [FROM, TO), bytes. */
void dirty_mark(struct dirty *dirty, uint32_t minor, uint64_t from, uint64_t to);
/* Whether these marks are on stable storage; if not, dirty_wait() for it. */
bool dirty_is_stable(const struct dirty *dirty, uint32_t minor, uint64_t from, uint64_t to);
void dirty_wait(struct dirty *dirty, uint32_t minor, uint64_t from, uint64_t to,
		struct dirty_wait *wait);
/* Until all that is marked now is on stable storage. DONE may come at once. */
void dirty_settle(struct dirty *dirty, struct sync_wait *wait);
/* A flush of the file has failed: marks do not become stable any more. */
bool dirty_is_broken(const struct dirty *dirty);
bool dirty_is_set(const struct dirty *dirty, uint32_t minor, uint64_t chunk);
bool dirty_next(const struct dirty *dirty, uint32_t minor, uint64_t *chunk);
void dirty_cool(struct dirty *dirty);
/* How often it has cooled, here or where these marks come from. */
uint64_t dirty_cooled(const struct dirty *dirty);
void dirty_set_cooled(struct dirty *dirty, uint64_t cooled);

/* All marks as bytes: a row of (minor u32, runs u32, runs times (first chunk u32, chunks u32)). What does not fit is made coarser, so it says
 * perhaps more chunks than are marked. False: not even that fits. */
bool dirty_encode(const struct dirty *dirty, void *room, size_t cap, size_t *len);
/* Marks of minors or chunks that are not here are left out. PROTO: nothing was added. */
DVS_MUST_USE dvs_err dirty_add(struct dirty *dirty, const void *data, size_t len);

#endif
