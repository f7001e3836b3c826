/* SPDX-License-Identifier: Apache-2.0 */
/* What the media share. */
#ifndef SERVERS_FS_MEDIUM_INTERNAL_H
#define SERVERS_FS_MEDIUM_INTERNAL_H

#include "servers/fs/medium.h"

/* Write a sentence to WHY (room for MEDIUM_WHY_MAX + 1); NULL: nobody wants it. */
void medium_why(char *why, const char *format, ...) PRINTF_LIKE(2, 3);

static inline bool medium_range_ok(const struct medium *medium, uint64_t offset, uint64_t bytes)
{
	return offset % MEDIUM_BLOCK_BYTES == 0 && bytes % MEDIUM_BLOCK_BYTES == 0 &&
	       offset <= medium->bytes && bytes <= medium->bytes - offset;
}

#endif
