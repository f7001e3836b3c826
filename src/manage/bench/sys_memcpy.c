/* SPDX-License-Identifier: Apache-2.0 */
/* memcpy: the limit for data. One process copies the request into shared memory and from there into the
 * buffer of a receiver: the two copies that any transfer between two private buffers takes. */
#include "manage/bench/internal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

struct copier {
	char *window;
	char *destination;
};

static dvs_err memcpy_setup(struct bench_link *link)
{
	struct copier *copier = calloc(1, sizeof(*copier));

	link->state = copier;
	if (!copier)
		return bench_fail_errno(&link->fault, "allocate the copier");
	copier->destination = aligned_alloc(4096, link->bytes < 4096 ? 4096 : link->bytes);
	if (!copier->destination)
		return bench_fail_errno(&link->fault, "allocate the destination");
	copier->window = mmap(NULL, link->bytes, PROT_READ | PROT_WRITE,
			      MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (copier->window == MAP_FAILED) {
		copier->window = NULL;
		return bench_fail_errno(&link->fault, "map shared memory");
	}
	return DVS_OK;
}

static void memcpy_teardown(struct bench_link *link)
{
	struct copier *copier = link->state;

	if (!copier)
		return;
	if (copier->window)
		munmap(copier->window, link->bytes);
	free(copier->destination);
	free(copier);
	link->state = NULL;
}

/* Keeps the compiler from seeing that nobody else looks at the copies. */
static void publish(const void *memory)
{
	__asm__ volatile("" : : "r"(memory) : "memory");
}

static dvs_err memcpy_call(struct bench_link *link, const void *request, struct bench_msg *reply)
{
	struct copier *copier = link->state;
	uint64_t seq = ((const struct bench_msg *)request)->seq;

	memcpy(copier->window, request, link->bytes);
	publish(copier->window);
	memcpy(copier->destination, copier->window, link->bytes);
	publish(copier->destination);
	if (!bench_payload_check(copier->destination, link->bytes, seq))
		return bench_fail(&link->fault, DVS_IO,
				  "the copy of request %llu is not the request",
				  (unsigned long long)seq);
	memcpy(reply, copier->destination, sizeof(*reply));
	return DVS_OK;
}

const struct bench_system bench_system_memcpy = {
	.name = "memcpy",
	.summary = "one process, source to shared memory to destination: the limit for data",
	.class = BENCH_LIMIT,
	.patterns = 1u << BENCH_DATA,
	.solo = true,
	.setup = memcpy_setup,
	.teardown = memcpy_teardown,
	.call = memcpy_call,
};
