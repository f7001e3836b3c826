/* SPDX-License-Identifier: Apache-2.0 */
/* A set of small numbers that gives out its lowest free one and grows as needed. */
#ifndef NODE_BITMAP_H
#define NODE_BITMAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

/* Zeroed is empty. */
struct bitmap {
	uint64_t *words;
	uint32_t n_words;
	uint32_t n_set;
};

/* Take the lowest number below LIMIT that is not in the set. FULL, NOMEM. */
DVS_MUST_USE dvs_err bitmap_take(struct bitmap *bitmap, uint32_t limit, uint32_t *taken);
/* Put NUMBER in. INUSE: it is there already. NOMEM. */
DVS_MUST_USE dvs_err bitmap_set(struct bitmap *bitmap, uint32_t number);
void bitmap_clear(struct bitmap *bitmap, uint32_t number);
bool bitmap_has(const struct bitmap *bitmap, uint32_t number);
void bitmap_free(struct bitmap *bitmap);

#endif
