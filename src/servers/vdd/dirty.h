/* SPDX-License-Identifier: Apache-2.0 */
/* Which chunks may differ between replicas. A mark has two generations, so that dirty_cool() takes off only what was not written since the call before it. */
#ifndef SERVERS_VDD_DIRTY_H
#define SERVERS_VDD_DIRTY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "base/list.h"

struct dirty;

/* Marks for no minor yet. NOMEM. */
DVS_MUST_USE dvs_err dirty_open(struct dirty **dirty);
void dirty_close(struct dirty *dirty);

/* MINOR has so many bytes from now on; 0: there is none any more. NOMEM. */
DVS_MUST_USE dvs_err dirty_size(struct dirty *dirty, uint32_t minor, uint64_t bytes);
/* Chunks that overlap [FROM, TO), bytes. */
void dirty_mark(struct dirty *dirty, uint32_t minor, uint64_t from, uint64_t to);
bool dirty_is_set(const struct dirty *dirty, uint32_t minor, uint64_t chunk);
bool dirty_next(const struct dirty *dirty, uint32_t minor, uint64_t *chunk);
void dirty_cool(struct dirty *dirty);

/* All marks as bytes: a row of (minor u32, runs u32, runs times (first chunk u32, chunks u32)). What does not fit is made coarser, so it says
 * perhaps more chunks than are marked. False: not even that fits. */
bool dirty_encode(const struct dirty *dirty, void *room, size_t cap, size_t *len);
/* Marks of minors or chunks that are not here are left out. PROTO: nothing was added. */
DVS_MUST_USE dvs_err dirty_add(struct dirty *dirty, const void *data, size_t len);

#endif
