/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of what is done about the file systems of a file: one of them, for the functions of manage/filesystem that tell a caller what went wrong. */
#ifndef MANAGE_COMPOSE_FILESYSTEMS_H
#define MANAGE_COMPOSE_FILESYSTEMS_H

#include "manage/compose/entry.h"
#include "manage/filesystem/filesystem.h"

struct fs_at {
	struct entry entry; /* first: it is what callers get */
	struct listener caller;
};

void fs_at(struct run *run, struct run_dc *of, size_t i, struct fs_at *at);
/* RUN with the file system taken apart; what it says is told of its spot in the file. */
MUST_USE int fs_at_with(struct fs_at *at, const char *what, bool is_new,
			int (*run)(struct filesystem *fs));
static inline json_t *fs_at_value(const struct fs_at *at, const char *key)
{
	return entry_value(&at->entry, key);
}

#endif
