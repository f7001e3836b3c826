/* SPDX-License-Identifier: Apache-2.0 */
/* Which program image a process has: told apart by where the kernel laid it out, at random, when it
 * was executed. A process that executes another program has another image. */
#ifndef NODE_IMAGE_H
#define NODE_IMAGE_H

#include <stdbool.h>
#include <stdint.h>

#define IMAGE_MARKS 6

struct image {
	uint64_t marks[IMAGE_MARKS];
};

/* False when it cannot be told. */
bool image_of(uint32_t pid, struct image *image);
bool image_equal(const struct image *a, const struct image *b);

#endif
