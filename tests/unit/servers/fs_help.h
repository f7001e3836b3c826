/* SPDX-License-Identifier: Apache-2.0 */
/* A file system without a medium: its tables in a plain database in memory, in place of servers/fs/fsimage.c; files have a size, but no extents. */
#ifndef TESTS_FS_HELP_H
#define TESTS_FS_HELP_H

#include "servers/fs/fs_internal.h"

struct fsimage {
	sqlite3 *db;
	bool is_changing;
	bool is_volatile;
	bool fails_commit; /* the next one */
	const char *why;
};

/* A new, empty one. */
struct fs *fs_help_open(void);
/* On a medium that goes with the process: it cannot be opened again. */
struct fs *fs_help_open_volatile(void);
void fs_help_close(struct fs *fs);
/* Close it and open it again, with all that was committed. */
struct fs *fs_help_reopen(struct fs *fs);

/* ERR's end of a change set: committed, or rolled back. */
dvs_err fs_help_end(struct fs *fs, dvs_err err);
/* In a change set of its own. */
#define CHANGE(fs, call)                           \
	__extension__({                            \
		ck_assert(fs_begin(fs) == DVS_OK); \
		fs_help_end(fs, (call));           \
	})

struct fs_name fs_help_name(const char *text);
/* Owner 0, may do everything. */
extern const struct fs_who fs_root;
/* 1001:2001, may do nothing special. */
extern const struct fs_who fs_user;
/* Of the file that a path like "a/b/c" leads to; 0: there is none. */
uint64_t fs_help_ino(struct fs *fs, const char *path);
struct fs_attr fs_help_attr(struct fs *fs, uint64_t ino);
/* Operations of root's (or WHO's) in a change set each. */
uint64_t fs_help_made(struct fs *fs, uint64_t parent, const char *name, uint32_t mode);
dvs_err fs_help_make(struct fs *fs, const struct fs_who *who, uint64_t parent, const char *name,
		     uint32_t mode);
dvs_err fs_help_removed(struct fs *fs, uint64_t parent, const char *name, bool is_dir);
dvs_err fs_help_renamed(struct fs *fs, uint64_t parent, const char *name, uint64_t new_parent,
			const char *new_name, uint32_t flags);
dvs_err fs_help_changed(struct fs *fs, const struct fs_who *who, uint64_t ino,
			const struct fs_change *change);
/* fs_check() finds nothing. */
void fs_help_check(struct fs *fs);

#endif
