/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bitmap.h"

#include "unit.h"

TEST(the_lowest_free_number_is_given)
{
	struct bitmap bitmap = { 0 };
	uint32_t taken;

	for (uint32_t i = 0; i < 1000; i++) {
		ck_assert_int_eq(bitmap_take(&bitmap, 1000, &taken), DVS_OK);
		ck_assert_uint_eq(taken, i);
	}
	ck_assert_int_eq(bitmap_take(&bitmap, 1000, &taken), DVS_FULL);
	bitmap_clear(&bitmap, 700);
	bitmap_clear(&bitmap, 70);
	bitmap_clear(&bitmap, 70);
	ck_assert_uint_eq(bitmap.n_set, 998);
	ck_assert_int_eq(bitmap_take(&bitmap, 1000, &taken), DVS_OK);
	ck_assert_uint_eq(taken, 70);
	bitmap_free(&bitmap);
}

TEST(a_number_is_in_it_or_not)
{
	struct bitmap bitmap = { 0 };

	ck_assert(!bitmap_has(&bitmap, 5));
	ck_assert_int_eq(bitmap_set(&bitmap, 9999), DVS_OK);
	ck_assert_int_eq(bitmap_set(&bitmap, 9999), DVS_INUSE);
	ck_assert(bitmap_has(&bitmap, 9999));
	ck_assert(!bitmap_has(&bitmap, 9998));
	ck_assert(!bitmap_has(&bitmap, UINT32_MAX));
	bitmap_clear(&bitmap, UINT32_MAX);
	bitmap_free(&bitmap);
}

UNIT_MAIN("node-bitmap", the_lowest_free_number_is_given, a_number_is_in_it_or_not)
