/* SPDX-License-Identifier: Apache-2.0 */
/* The file system and a directory of the kernel's tmpfs, with the same in both. */
#ifndef TESTS_FS_TMPFS_H
#define TESTS_FS_TMPFS_H

#include "fs_help.h"

#define SLOTS 20u

/* The same file on both sides: pinned here, open there. */
struct slot {
	uint64_t ino;
	int fd; /* O_PATH; -1: the slot is empty */
};

struct pair {
	struct fs *fs;
	uint64_t state;
	char dir[32];
	const struct fs_who *who;
	struct slot slot[SLOTS];
	char what[256]; /* is being done */
};

/* Names of 256 and 255 bytes; main() fills them. */
extern char pair_long_name[257], pair_longest_name[256];

/* fs_tmpfs.c */
uint32_t pair_draw(struct pair *p, uint32_t below);
void pair_become(const struct fs_who *who);
struct slot *pair_any(struct pair *p);
/* The file comes into a slot, if it is not in one. FD, which is taken over, may be -1: it failed, with errno. */
void pair_keep(struct pair *p, uint64_t ino, int fd);
const char *pair_path(const struct slot *slot);
/* RESULT: of a system call, with errno. */
void pair_same(struct pair *p, dvs_err err, int result);

/* fs_tmpfs_ops.c */
/* One operation, on both sides. */
void pair_step(struct pair *p);

#endif
