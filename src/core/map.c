/* SPDX-License-Identifier: Apache-2.0 */
#include "core/map.h"

#include <assert.h>
#include <stdlib.h>

#define MAP_BUCKETS_MIN 16u

static size_t map_bucket(const struct map *map, uint64_t key)
{
	return (size_t)(map_key(key, 0x51ed) & (map->n_buckets - 1));
}

dvs_err map_reserve(struct map *map)
{
	size_t n = map->n_buckets ? map->n_buckets * 2 : MAP_BUCKETS_MIN;
	struct map grown = { .n_buckets = n, .count = map->count };

	if (map->count < map->n_buckets)
		return DVS_OK;
	grown.buckets = calloc(n, sizeof(struct map_node *));
	if (!grown.buckets)
		return map->n_buckets ? DVS_OK : DVS_NOMEM; /* a full table still works */
	for (size_t i = 0; i < map->n_buckets; i++) {
		struct map_node *node = map->buckets[i];

		while (node) {
			struct map_node *next = node->next;
			size_t at = map_bucket(&grown, node->key);

			node->next = grown.buckets[at];
			grown.buckets[at] = node;
			node = next;
		}
	}
	free(map->buckets);
	*map = grown;
	return DVS_OK;
}

void map_add(struct map *map, struct map_node *node, uint64_t key)
{
	size_t at;

	assert(map->n_buckets > 0);
	at = map_bucket(map, key);
	node->key = key;
	node->next = map->buckets[at];
	map->buckets[at] = node;
	map->count++;
}

void map_remove(struct map *map, struct map_node *node)
{
	struct map_node **at = &map->buckets[map_bucket(map, node->key)];

	while (*at != node) {
		assert(*at);
		at = &(*at)->next;
	}
	*at = node->next;
	node->next = NULL;
	map->count--;
}

static struct map_node *map_find(struct map_node *node, uint64_t key)
{
	while (node && node->key != key)
		node = node->next;
	return node;
}

struct map_node *map_first(const struct map *map, uint64_t key)
{
	return map->n_buckets ? map_find(map->buckets[map_bucket(map, key)], key) : NULL;
}

struct map_node *map_next(const struct map_node *node)
{
	return map_find(node->next, node->key);
}

void map_destroy(struct map *map)
{
	free(map->buckets);
	*map = (struct map){ 0 };
}
