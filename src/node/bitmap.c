/* SPDX-License-Identifier: Apache-2.0 */
#include "node/bitmap.h"

#include <stdlib.h>
#include <string.h>

static dvs_err bitmap_grow(struct bitmap *bitmap, uint32_t number)
{
	uint32_t n_words = bitmap->n_words ? bitmap->n_words : 1;
	uint64_t *words;

	if (number / 64 < bitmap->n_words)
		return DVS_OK;
	while (n_words <= number / 64)
		n_words *= 2;
	words = realloc(bitmap->words, n_words * sizeof(*words));
	if (!words)
		return DVS_NOMEM;
	memset(words + bitmap->n_words, 0, (n_words - bitmap->n_words) * sizeof(*words));
	bitmap->words = words;
	bitmap->n_words = n_words;
	return DVS_OK;
}

bool bitmap_has(const struct bitmap *bitmap, uint32_t number)
{
	return number / 64 < bitmap->n_words &&
	       (bitmap->words[number / 64] >> (number % 64) & 1) != 0;
}

dvs_err bitmap_set(struct bitmap *bitmap, uint32_t number)
{
	if (bitmap_has(bitmap, number))
		return DVS_INUSE;
	if (bitmap_grow(bitmap, number) != DVS_OK)
		return DVS_NOMEM;
	bitmap->words[number / 64] |= UINT64_C(1) << (number % 64);
	bitmap->n_set++;
	return DVS_OK;
}

dvs_err bitmap_take(struct bitmap *bitmap, uint32_t limit, uint32_t *taken)
{
	uint32_t number = bitmap->n_words * 64;

	for (uint32_t i = 0; i < bitmap->n_words; i++) {
		if (bitmap->words[i] != UINT64_MAX) {
			number = i * 64 + (uint32_t)__builtin_ctzll(~bitmap->words[i]);
			break;
		}
	}
	if (number >= limit)
		return DVS_FULL;
	*taken = number;
	return bitmap_set(bitmap, number);
}

void bitmap_clear(struct bitmap *bitmap, uint32_t number)
{
	if (!bitmap_has(bitmap, number))
		return;
	bitmap->words[number / 64] &= ~(UINT64_C(1) << (number % 64));
	bitmap->n_set--;
}

void bitmap_free(struct bitmap *bitmap)
{
	free(bitmap->words);
	*bitmap = (struct bitmap){ 0 };
}
