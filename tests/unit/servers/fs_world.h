/* SPDX-License-Identifier: Apache-2.0 */
/* Files under random operations, and a plain model of them. Each file's bytes at even offsets say whose they are. */
#ifndef TESTS_FS_WORLD_H
#define TESTS_FS_WORLD_H

#include "servers/fs/fs.h"

#include "fs_medium.h"

#define WORLD_FILES 8u
#define WORLD_FILE_BYTES (768u << 10)

struct world_file {
	uint64_t ino; /* 0: there is none */
	uint8_t tag;
	uint64_t size;
	uint8_t *data;
	bool is_touched; /* since the last sync */
};

struct world {
	struct fs *fs;
	uint64_t seed;
	uint8_t next_tag;
	uint32_t n_full; /* operations that found no space */
	struct world_file file[WORLD_FILES];
	struct world_file synced[WORLD_FILES];
};

void world_make(struct medium *medium);
/* NULL: it could not be opened, which is an error. */
struct fs *world_open(struct medium *medium);
void world_init(struct world *world, struct fs *fs, uint64_t seed);
void world_free(struct world *world);
/* One operation on the file system and on the model; what it gives is compared. */
void world_step(struct world *world);
void world_sync(struct world *world);
/* Everything is as the model says. */
void world_compare(struct fs *fs, const struct world_file file[WORLD_FILES]);
/* Files that were not touched are as they were synced; the others have no bytes but their own. */
void world_compare_synced(struct fs *fs, const struct world *world);
void world_check(struct fs *fs);

#endif
