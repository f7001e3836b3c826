/* SPDX-License-Identifier: Apache-2.0 */
/* Addresses for the single pages that are mapped in great numbers (one per channel, one per partner's inbox). They lie side by
 * side, so that they share the kernel's page tables: a process with ten thousand channels pays for pages, not for tables. */
#ifndef LIB_PAGES_H
#define LIB_PAGES_H

#include <stddef.h>
#include <stdint.h>

#include "ipc/layout.h"

#define PAGES_PER_CHUNK 512u

struct page_chunk {
	struct page_chunk *next;
	uint8_t *base;
	uint64_t used[PAGES_PER_CHUNK / 64];
};

struct page_pool {
	struct page_chunk *chunks;
};

/* Map page number PAGE of FD, readable and writable, shared. NULL: out of memory. */
void *pages_map(struct page_pool *pool, int fd, size_t page);

/* Unmap what pages_map() gave; NULL is fine. */
void pages_unmap(struct page_pool *pool, void *at);

/* Unmap everything. */
void pages_fini(struct page_pool *pool);

#endif
