/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/pages.h"

#include <stdlib.h>
#include <sys/mman.h>

#define CHUNK_BYTES ((size_t)PAGES_PER_CHUNK * IPC_PAGE)

/* An address range with nothing behind it, out of which pages are cut. */
static struct page_chunk *chunk_add(struct page_pool *pool)
{
	struct page_chunk *chunk = calloc(1, sizeof(*chunk));
	void *base;

	if (!chunk)
		return NULL;
	base = mmap(NULL, CHUNK_BYTES, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1,
		    0);
	if (base == MAP_FAILED) {
		free(chunk);
		return NULL;
	}
	chunk->base = base;
	chunk->next = pool->chunks;
	pool->chunks = chunk;
	return chunk;
}

static uint8_t *chunk_take(struct page_chunk *chunk)
{
	for (unsigned i = 0; i < PAGES_PER_CHUNK / 64; i++) {
		unsigned bit;

		if (chunk->used[i] == UINT64_MAX)
			continue;
		bit = (unsigned)__builtin_ctzll(~chunk->used[i]);
		chunk->used[i] |= UINT64_C(1) << bit;
		return chunk->base + ((size_t)i * 64 + bit) * IPC_PAGE;
	}
	return NULL;
}

static void chunk_give_back(struct page_chunk *chunk, const uint8_t *at)
{
	size_t page = (size_t)(at - chunk->base) / IPC_PAGE;

	chunk->used[page / 64] &= ~(UINT64_C(1) << (page % 64));
}

void *pages_map(struct page_pool *pool, int fd, size_t page)
{
	struct page_chunk *chunk;
	uint8_t *at = NULL;
	void *mapped;

	for (chunk = pool->chunks; chunk && !at; chunk = at ? chunk : chunk->next)
		at = chunk_take(chunk);
	if (!at) {
		chunk = chunk_add(pool);
		if (!chunk)
			return NULL;
		at = chunk_take(chunk);
	}
	mapped = mmap(at, IPC_PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd,
		      (off_t)(page * IPC_PAGE));
	if (mapped == MAP_FAILED) {
		pages_unmap(pool, at);
		return NULL;
	}
	return at;
}

void pages_unmap(struct page_pool *pool, void *at)
{
	uint8_t *byte = at;
	void *nothing;

	for (struct page_chunk *chunk = pool->chunks; byte && chunk; chunk = chunk->next) {
		if (byte < chunk->base || byte >= chunk->base + CHUNK_BYTES)
			continue;
		/* Nothing again, in one step: the range stays ours. If even that fails the page stays mapped and
		 * is not used again. */
		nothing = mmap(at, IPC_PAGE, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
		if (nothing != MAP_FAILED)
			chunk_give_back(chunk, byte);
		return;
	}
}

void pages_fini(struct page_pool *pool)
{
	while (pool->chunks) {
		struct page_chunk *chunk = pool->chunks;

		pool->chunks = chunk->next;
		(void)munmap(chunk->base, CHUNK_BYTES);
		free(chunk);
	}
}
