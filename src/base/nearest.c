/* SPDX-License-Identifier: Apache-2.0 */
#include "base/nearest.h"

#include <stdint.h>
#include <string.h>

/* Longer words are not worth a comparison: nobody means a name with them. */
#define NEAREST_BYTES_MAX 32

static size_t min_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* What one wrong letter counts; two that are swapped are a slip of one hand, which is nearer. */
#define WRONG 2
#define SWAPPED 1

/* How much must be added, left out, changed or swapped with its neighbour to make B
 * of A. Neither is longer than NEAREST_BYTES_MAX. */
static size_t distance(const char *a, const char *b)
{
	size_t row[NEAREST_BYTES_MAX + 1][NEAREST_BYTES_MAX + 1];
	size_t a_len = strlen(a);
	size_t b_len = strlen(b);

	for (size_t i = 0; i <= a_len; i++)
		row[i][0] = i * WRONG;
	for (size_t j = 0; j <= b_len; j++)
		row[0][j] = j * WRONG;
	for (size_t i = 1; i <= a_len; i++) {
		for (size_t j = 1; j <= b_len; j++) {
			size_t changed = row[i - 1][j - 1] + (a[i - 1] != b[j - 1]) * WRONG;
			size_t moved = min_of(row[i - 1][j], row[i][j - 1]) + WRONG;

			row[i][j] = min_of(changed, moved);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				row[i][j] = min_of(row[i][j], row[i - 2][j - 2] + SWAPPED);
		}
	}
	return row[a_len][b_len];
}

const char *nearest_word(const char *word, const char *const *names, size_t n_names)
{
	const char *nearest = NULL;
	size_t best = SIZE_MAX;
	size_t len = strlen(word);

	if (len == 0 || len > NEAREST_BYTES_MAX)
		return NULL;
	for (size_t i = 0; i < n_names; i++) {
		size_t name_len = strlen(names[i]);
		size_t n;

		if (name_len > NEAREST_BYTES_MAX)
			continue;
		n = distance(word, names[i]);
		/* A beginning counts as near; otherwise every third letter may be wrong. */
		if (len >= 2 && strncmp(names[i], word, len) == 0)
			n = WRONG;
		if (n < best && n <= ((name_len > len ? name_len : len) / 3 + 1) * WRONG &&
		    n < name_len * WRONG) {
			best = n;
			nearest = names[i];
		}
	}
	return nearest;
}
