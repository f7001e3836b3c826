/* SPDX-License-Identifier: Apache-2.0 */
#include "servers/vdd/marks.h"

#include <assert.h>
#include <string.h>
#include <sys/mman.h>

#define PAGE_WORDS 512u

static uint64_t words_of(uint64_t n)
{
	return (n / 64 + PAGE_WORDS) / PAGE_WORDS * PAGE_WORDS;
}

dvs_err marks_open(struct marks *marks, uint64_t n)
{
	void *words = mmap(NULL, words_of(n) * 8, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (words == MAP_FAILED)
		return DVS_NOMEM;
	*marks = (struct marks){ .words = words, .n = n, .room = words_of(n) };
	return DVS_OK;
}

void marks_close(struct marks *marks)
{
	if (marks->words)
		(void)munmap(marks->words, marks->room * 8);
	*marks = (struct marks){ .words = NULL };
}

dvs_err marks_resize(struct marks *marks, uint64_t n)
{
	uint64_t room = words_of(n);
	void *words;

	if (n < marks->n)
		marks_clear_range(marks, n, marks->n);
	words = mremap(marks->words, marks->room * 8, room * 8, MREMAP_MAYMOVE);
	if (words == MAP_FAILED)
		return DVS_NOMEM;
	marks->words = words;
	marks->room = room;
	marks->n = n;
	return DVS_OK;
}

/* The bits of the word of FROM that are in the range. */
static uint64_t mask_of(uint64_t from, uint64_t to)
{
	uint64_t mask = UINT64_MAX << (from % 64);

	if (from / 64 == to / 64)
		mask &= (UINT64_C(1) << (to % 64)) - 1;
	return mask;
}

void marks_set_range(struct marks *marks, uint64_t from, uint64_t to)
{
	assert(to <= marks->n);
	for (uint64_t at = from; at < to; at = (at / 64 + 1) * 64)
		marks->words[at / 64] |= mask_of(at, to);
}

void marks_clear_range(struct marks *marks, uint64_t from, uint64_t to)
{
	assert(to <= marks->n);
	for (uint64_t at = from; at < to; at = (at / 64 + 1) * 64) {
		/* Words that were never touched stay so. */
		if (marks->words[at / 64] & mask_of(at, to))
			marks->words[at / 64] &= ~mask_of(at, to);
	}
}

static uint64_t next_of(const struct marks *marks, uint64_t at, uint64_t end, uint64_t flip)
{
	if (end > marks->n)
		end = marks->n;
	while (at < end) {
		uint64_t word = (marks->words[at / 64] ^ flip) & (UINT64_MAX << (at % 64));

		if (word) {
			at = at / 64 * 64 + (uint64_t)__builtin_ctzll(word);
			return at < end ? at : end;
		}
		at = (at / 64 + 1) * 64;
	}
	return end;
}

uint64_t marks_next_set(const struct marks *marks, uint64_t at, uint64_t end)
{
	return next_of(marks, at, end, 0);
}

uint64_t marks_next_clear(const struct marks *marks, uint64_t at, uint64_t end)
{
	return next_of(marks, at, end, UINT64_MAX);
}

uint64_t marks_count(const struct marks *marks, uint64_t from, uint64_t to)
{
	uint64_t count = 0;

	for (uint64_t at = from; at < to; at = (at / 64 + 1) * 64)
		count += (uint64_t)__builtin_popcountll(marks->words[at / 64] & mask_of(at, to));
	return count;
}
