/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/bits.h"

#include <stdlib.h>
#include <string.h>

bool bits_grow(struct bits *bits, uint32_t n_words)
{
	uint64_t *word;

	if (n_words <= bits->n_words)
		return true;
	word = realloc(bits->word, n_words * sizeof(uint64_t));
	if (!word)
		return false;
	memset(word + bits->n_words, 0, (n_words - bits->n_words) * sizeof(uint64_t));
	bits->word = word;
	bits->n_words = n_words;
	return true;
}

/* The first word at or after INDEX that is not 0. */
static uint32_t next_word(const struct bits *bits, uint32_t index)
{
	while (index < bits->n_words) {
		uint64_t rest = bits->summary[index / 64] >> (index % 64);

		if (rest)
			return index + (uint32_t)__builtin_ctzll(rest);
		index = (index / 64 + 1) * 64;
	}
	return BITS_NONE;
}

uint32_t bits_next(const struct bits *bits, uint32_t from)
{
	uint32_t index = from / 64;
	uint64_t rest;

	if (index >= bits->n_words)
		return BITS_NONE;
	rest = bits->word[index] >> (from % 64);
	if (rest)
		return from + (uint32_t)__builtin_ctzll(rest);
	index = next_word(bits, index + 1);
	if (index == BITS_NONE)
		return BITS_NONE;
	return index * 64 + (uint32_t)__builtin_ctzll(bits->word[index]);
}
