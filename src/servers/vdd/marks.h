/* SPDX-License-Identifier: Apache-2.0 */
/* A long row of marks, which takes memory only where it was touched. */
#ifndef SERVERS_VDD_MARKS_H
#define SERVERS_VDD_MARKS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

struct marks {
	uint64_t *words;
	uint64_t n;    /* marks */
	uint64_t room; /* words */
};

/* N marks, none set. NOMEM. */
DVS_MUST_USE dvs_err marks_open(struct marks *marks, uint64_t n);
void marks_close(struct marks *marks);
/* What is cut off is forgotten, what is added is not set. NOMEM. */
DVS_MUST_USE dvs_err marks_resize(struct marks *marks, uint64_t n);

static inline bool marks_is_set(const struct marks *marks, uint64_t at)
{
	return at < marks->n && (marks->words[at / 64] >> (at % 64) & 1);
}

static inline void marks_set(struct marks *marks, uint64_t at)
{
	marks->words[at / 64] |= UINT64_C(1) << (at % 64);
}

static inline void marks_clear(struct marks *marks, uint64_t at)
{
	marks->words[at / 64] &= ~(UINT64_C(1) << (at % 64));
}

void marks_set_range(struct marks *marks, uint64_t from, uint64_t to);
void marks_clear_range(struct marks *marks, uint64_t from, uint64_t to);
/* The first from AT on that is set (or is not), at most END. */
uint64_t marks_next_set(const struct marks *marks, uint64_t at, uint64_t end);
uint64_t marks_next_clear(const struct marks *marks, uint64_t at, uint64_t end);
uint64_t marks_count(const struct marks *marks, uint64_t from, uint64_t to);

#endif
