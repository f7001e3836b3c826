/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of what is done about the volumes of a file: one of them, for the functions of manage/volume that tell a caller what went wrong. */
#ifndef MANAGE_COMPOSE_DISKS_H
#define MANAGE_COMPOSE_DISKS_H

#include "manage/compose/entry.h"
#include "manage/volume/vol.h"

struct disk_at {
	struct entry entry; /* first: it is what callers get */
	struct listener caller;
};

void disk_at(struct run *run, struct run_dc *of, size_t i, struct disk_at *at);
/* RUN with the volume taken apart; what it says is told of its spot in the file. */
MUST_USE int disk_with(struct disk_at *at, const char *what, enum vol_names names,
		       int (*run)(struct vol *vol));
static inline json_t *disk_value(const struct disk_at *at, const char *key)
{
	return entry_value(&at->entry, key);
}

#endif
