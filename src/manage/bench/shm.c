/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/bench/shm.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

dvs_err shm_create(struct bench_link *link)
{
	struct shm *shm = calloc(1, sizeof(*shm));
	size_t slots_bytes = link->clients * sizeof(struct shm_slot);

	link->state = shm;
	if (!shm)
		return bench_fail_errno(&link->fault, "allocate the shared memory system");
	shm->clients = link->clients;
	shm->bytes = link->bytes;
	shm->map_bytes = sizeof(struct shm_bell) + slots_bytes + link->bytes;
	shm->map = mmap(NULL, shm->map_bytes, PROT_READ | PROT_WRITE,
			MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (shm->map == MAP_FAILED) {
		shm->map = NULL;
		return bench_fail_errno(&link->fault, "map shared memory");
	}
	shm->bell = shm->map;
	shm->slots = (struct shm_slot *)(shm->bell + 1);
	shm->window = (char *)shm->slots + slots_bytes;
	return DVS_OK;
}

void shm_destroy(struct bench_link *link)
{
	struct shm *shm = link->state;

	if (shm && shm->map)
		munmap(shm->map, shm->map_bytes);
	free(shm);
	link->state = NULL;
}

dvs_err shm_client_open(struct bench_link *link, unsigned client)
{
	struct shm *shm = link->state;

	shm->self = client;
	return DVS_OK;
}

/* The sequence number goes last: whoever sees it sees the rest. */
static void line_put(struct bench_msg *line, const struct bench_msg *msg)
{
	line->client = msg->client;
	line->kind = msg->kind;
	memcpy(line->fill, msg->fill, sizeof(line->fill));
	__atomic_store_n(&line->seq, msg->seq, __ATOMIC_RELEASE);
}

void shm_put_request(struct shm *shm, const void *request)
{
	if (shm->bytes > sizeof(struct bench_msg))
		memcpy(shm->window, (const char *)request + sizeof(struct bench_msg),
		       shm->bytes - sizeof(struct bench_msg));
	line_put(&shm->slots[shm->self].request, request);
}

bool shm_take_reply(struct shm *shm, uint64_t seq, struct bench_msg *reply)
{
	const struct bench_msg *line = &shm->slots[shm->self].reply;

	if (__atomic_load_n(&line->seq, __ATOMIC_ACQUIRE) != seq)
		return false;
	*reply = *line;
	return true;
}

bool shm_take_request(struct shm *shm, struct bench_request *request)
{
	for (unsigned i = 0; i < shm->clients; i++) {
		unsigned client = shm->next;
		const struct bench_msg *line = &shm->slots[client].request;
		uint64_t seq = __atomic_load_n(&line->seq, __ATOMIC_ACQUIRE);

		shm->next = client + 1 < shm->clients ? client + 1 : 0;
		if (seq == shm->seen[client])
			continue;
		shm->seen[client] = seq;
		memcpy(request->buffer, line, sizeof(*line));
		if (shm->bytes > sizeof(*line))
			memcpy((char *)request->buffer + sizeof(*line), shm->window,
			       shm->bytes - sizeof(*line));
		request->data = request->buffer;
		request->client = client;
		return true;
	}
	return false;
}

void shm_put_reply(struct shm *shm, unsigned client, const struct bench_msg *reply)
{
	line_put(&shm->slots[client].reply, reply);
}
