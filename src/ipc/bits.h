/* SPDX-License-Identifier: Apache-2.0 */
/* The private set of channels that may have something to say: the bits of the inbox, taken over. */
#ifndef IPC_BITS_H
#define IPC_BITS_H

#include <stdbool.h>
#include <stdint.h>

#include "ipc/layout.h"

#define BITS_NONE UINT32_MAX

/* `word` has room for `n_words` words, the summary has a bit for each word that is not 0. */
struct bits {
	uint64_t *word;
	uint32_t n_words;
	uint64_t summary[IPC_CHANNELS_MAX / 64 / 64];
};

static inline bool bits_any(const struct bits *bits)
{
	return bits->summary[0] | bits->summary[1] | bits->summary[2] | bits->summary[3];
}

/* Bits beyond the room are dropped: they name channels that this endpoint does not have. */
static inline void bits_add_word(struct bits *bits, uint32_t index, uint64_t word)
{
	if (index >= bits->n_words || word == 0)
		return;
	bits->word[index] |= word;
	bits->summary[index / 64] |= UINT64_C(1) << (index % 64);
}

static inline void bits_add(struct bits *bits, uint32_t bit)
{
	bits_add_word(bits, bit / 64, UINT64_C(1) << (bit % 64));
}

static inline void bits_remove(struct bits *bits, uint32_t bit)
{
	uint32_t index = bit / 64;

	if (index >= bits->n_words)
		return;
	bits->word[index] &= ~(UINT64_C(1) << (bit % 64));
	if (bits->word[index] == 0)
		bits->summary[index / 64] &= ~(UINT64_C(1) << (index % 64));
}

/* Make room for N_WORDS words; false without memory. */
bool bits_grow(struct bits *bits, uint32_t n_words);

/* The first member at or after FROM; BITS_NONE if there is none. */
uint32_t bits_next(const struct bits *bits, uint32_t from);

#endif
