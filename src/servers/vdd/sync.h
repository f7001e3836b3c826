/* SPDX-License-Identifier: Apache-2.0 */
/* Bringing a replica up to date, and comparing replicas: chunk by chunk of DISK_CHUNK_BYTES, by checksums of granules; only granules that differ are sent.
 *
 * The primary reads a chunk under a lock of its range, so nothing is written there between reading and telling; words come to the other side in one order with the
 * entries, so what it compares with and writes to is the chunk of that place of the order. Of a chunk first the volume, then its snapshots; clones after them, for themselves.
 * Which chunks: those dirty here or there; all that have data here or there for a replica that never was current. */
#ifndef SERVERS_VDD_SYNC_H
#define SERVERS_VDD_SYNC_H

#include "replica/replica.h"
#include "servers/vdd/disks.h"

struct sync;

struct sync_progress {
	uint64_t done_bytes;
	uint64_t total_bytes;
	uint64_t sent_bytes;
	uint64_t bytes_per_s;
	uint64_t eta_ms; /* 0: unknown */
};

struct sync_verify {
	uint32_t state; /* 0 never, 1 runs, 2 done, 3 stopped */
	uint64_t done_bytes;
	uint64_t total_bytes;
	uint64_t differs; /* chunks */
	uint64_t repaired;
};

/* BYTES_PER_S: 0 without limit. NOMEM. */
DVS_MUST_USE dvs_err sync_open(struct disks *disks, struct replica *replica,
			       struct skeleton *skeleton, struct log *log, uint64_t bytes_per_s,
			       struct sync **sync);
/* To be called when words and requests to disks have ended (sync_is_idle()); else its memory is not freed. NULL is fine. */
void sync_close(struct sync *sync);
/* Nothing is under way, here or for the other side. After sync_stop() it will be so before long, as long as the loop runs. */
bool sync_is_idle(const struct sync *sync);
void sync_tune(struct sync *sync, uint64_t bytes_per_s);

/* For the owner's callbacks of those names. */
size_t sync_hello(struct sync *sync, bool is_empty, void *room);
void sync_joined(struct sync *sync, dvs_nodeid node, const void *hello, size_t n);
void sync_left(struct sync *sync, dvs_nodeid node);
/* True: it was one of its words (the first byte of the head is below 0x80), and is answered. */
bool sync_heard(struct sync *sync, struct replica_heard *heard);
/* The role has changed: what it had begun as primary is over. */
void sync_stop(struct sync *sync);

bool sync_look(const struct sync *sync, dvs_nodeid node, struct sync_progress *progress);
/* Compare with all members. BADSTATE: it runs already. */
DVS_MUST_USE dvs_err sync_verify_start(struct sync *sync, bool repair);
void sync_verify_stop(struct sync *sync);
void sync_verify_look(const struct sync *sync, struct sync_verify *verify);

#endif
