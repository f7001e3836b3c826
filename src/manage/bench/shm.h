/* SPDX-License-Identifier: Apache-2.0 */
/* Messages through memory that both sides map, for the systems that differ only in how they wait:
 * raw spins, futex sleeps on a word, eventfd sleeps on a descriptor. */
#ifndef DVS_MANAGE_BENCH_SHM_H
#define DVS_MANAGE_BENCH_SHM_H

#include "manage/bench/internal.h"

struct shm_bell {
	_Alignas(BENCH_LINE_BYTES) uint32_t count; /* rings so far */
	uint32_t waiters;
};

/* One per client: what its server and it share. The sequence number of a line says that the line is new. */
struct shm_slot {
	_Alignas(BENCH_LINE_BYTES) struct bench_msg request;
	_Alignas(BENCH_LINE_BYTES) struct bench_msg reply;
	struct shm_bell bell; /* rung when the reply is there */
};

struct shm {
	void *map;
	size_t map_bytes;
	struct shm_bell *bell; /* rung when a request is there */
	struct shm_slot *slots;
	char *window; /* of the one client of a cell whose requests are longer than a message */
	unsigned clients;
	size_t bytes;
	/* In the server's process. */
	uint64_t seen[BENCH_CLIENTS_MAX];
	unsigned next;
	/* In a client's process. */
	unsigned self;
};

/* Neither blocks. Create puts the result into link->state; destroy also takes a link without one. */
DVS_MUST_USE dvs_err shm_create(struct bench_link *link);
void shm_destroy(struct bench_link *link);
dvs_err shm_client_open(struct bench_link *link, unsigned client);

void shm_put_request(struct shm *shm, const void *request);
bool shm_take_reply(struct shm *shm, uint64_t seq, struct bench_msg *reply);
bool shm_take_request(struct shm *shm, struct bench_request *request);
void shm_put_reply(struct shm *shm, unsigned client, const struct bench_msg *reply);

#endif
