/* SPDX-License-Identifier: Apache-2.0 */
/* For "did you mean": names are compared by how many letters are wrong. */
#ifndef BASE_NEAREST_H
#define BASE_NEAREST_H

#include <stddef.h>

/* The one of NAMES most like WORD, NULL when none is near enough to be meant. */
const char *nearest_word(const char *word, const char *const *names, size_t n_names);

#endif
