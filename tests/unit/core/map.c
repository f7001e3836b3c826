/* SPDX-License-Identifier: Apache-2.0 */
#include "core/map.h"

#include <stdlib.h>

#include "base/compiler.h"
#include "unit.h"

struct thing {
	struct map_node node;
	int n;
};

TEST(everything_under_one_key_is_found)
{
	struct thing things[100];
	struct map map = { 0 };
	int found = 0;

	for (int i = 0; i < 100; i++) {
		things[i].n = i;
		ck_assert_int_eq(map_reserve(&map), DVS_OK);
		map_add(&map, &things[i].node, (uint64_t)i % 3);
	}
	for (struct map_node *node = map_first(&map, 1); node; node = map_next(node)) {
		ck_assert_int_eq(CONTAINER_OF(node, struct thing, node)->n % 3, 1);
		found++;
	}
	ck_assert_int_eq(found, 33);
	ck_assert_ptr_null(map_first(&map, 3));
	map_destroy(&map);
}

TEST(what_was_removed_is_not_found)
{
	struct thing things[64];
	struct map map = { 0 };

	ck_assert_ptr_null(map_first(&map, 0));
	for (int i = 0; i < 64; i++) {
		ck_assert_int_eq(map_reserve(&map), DVS_OK);
		map_add(&map, &things[i].node, (uint64_t)i << 32);
	}
	for (int i = 0; i < 64; i += 2)
		map_remove(&map, &things[i].node);
	for (int i = 0; i < 64; i++) {
		const struct map_node *node = map_first(&map, (uint64_t)i << 32);

		ck_assert_ptr_eq(node, i % 2 ? &things[i].node : NULL);
	}
	ck_assert_uint_eq(map.count, 32);
	map_destroy(&map);
}

UNIT_MAIN("core-map", everything_under_one_key_is_found, what_was_removed_is_not_found)
