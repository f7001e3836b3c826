/* SPDX-License-Identifier: Apache-2.0 */
/* A hash table whose nodes live inside the things it holds. Keys are 64 bits and need not be
 * unique: map_first() and map_next() give everything under one key. The map owns nothing. */
#ifndef CORE_MAP_H
#define CORE_MAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

struct map_node {
	struct map_node *next;
	uint64_t key;
};

struct map {
	struct map_node **buckets;
	size_t n_buckets; /* a power of two, or 0 */
	size_t count;
};

/* Make room for one more node. NOMEM. Adding after that cannot fail. */
DVS_MUST_USE dvs_err map_reserve(struct map *map);
/* Needs a map_reserve() before it. */
void map_add(struct map *map, struct map_node *node, uint64_t key);
void map_remove(struct map *map, struct map_node *node);
struct map_node *map_first(const struct map *map, uint64_t key);
struct map_node *map_next(const struct map_node *node);
/* The nodes stay with their owners. */
void map_destroy(struct map *map);

/* One key out of two numbers. */
static inline uint64_t map_key(uint64_t a, uint64_t b)
{
	uint64_t mixed = (a ^ (b * UINT64_C(0x9e3779b97f4a7c15))) * UINT64_C(0xff51afd7ed558ccd);

	return mixed ^ (mixed >> 32);
}

#endif
