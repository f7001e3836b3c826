/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_help.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "unit.h"

const struct fs_who fs_root = { .flags = 255 };
const struct fs_who fs_user = { .uid = 1001, .gid = 2001 };

static void ran(sqlite3 *db, const char *text)
{
	ck_assert_int_eq(sqlite3_exec(db, text, NULL, NULL, NULL), SQLITE_OK);
}

sqlite3 *fsimage_db(struct fsimage *image)
{
	return image->db;
}

dvs_err fsimage_sql(struct fsimage *image, int rc)
{
	(void)image;
	return rc == SQLITE_OK ? DVS_OK : DVS_IO;
}

dvs_err fsimage_begin(struct fsimage *image)
{
	if (image->why)
		return DVS_READONLY;
	ck_assert(!image->is_changing);
	image->is_changing = true;
	ran(image->db, "BEGIN IMMEDIATE");
	return DVS_OK;
}

dvs_err fsimage_commit(struct fsimage *image)
{
	ck_assert(image->is_changing);
	if (image->fails_commit) {
		image->fails_commit = false;
		fsimage_rollback(image);
		return DVS_NOSPACE;
	}
	image->is_changing = false;
	ran(image->db, "COMMIT");
	return DVS_OK;
}

void fsimage_rollback(struct fsimage *image)
{
	ck_assert(image->is_changing);
	image->is_changing = false;
	ran(image->db, "ROLLBACK");
}

bool fsimage_is_changing(const struct fsimage *image)
{
	return image->is_changing;
}

bool fsimage_is_volatile(const struct fsimage *image)
{
	return image->is_volatile;
}

const char *fsimage_why(const struct fsimage *image)
{
	return image->why;
}

void fsimage_look(struct fsimage *image, struct fsimage_figures *figures)
{
	(void)image;
	*figures = (struct fsimage_figures){ .bytes = UINT64_C(1) << 30,
					     .free_bytes = UINT64_C(1) << 29 };
}

dvs_err fsimage_check(struct fsimage *image, struct fsimage_check *check)
{
	(void)image;
	(void)check;
	return DVS_OK;
}

void fsimage_close(struct fsimage *image, bool in_order)
{
	(void)in_order;
	if (!image)
		return;
	ck_assert_int_eq(sqlite3_close(image->db), SQLITE_OK);
	free(image);
}

dvs_err fs_extents_remove(struct fs *fs, struct fs_inode *inode)
{
	fs_usage_less(fs, inode->attr.blocks * 512);
	return DVS_OK;
}

dvs_err fs_truncate(struct fs *fs, uint64_t ino, uint64_t bytes)
{
	struct fs_inode *inode;
	dvs_err err = fs_inode_get(fs, ino, &inode);

	if (err == DVS_OK)
		err = fs_inode_change(fs, inode);
	if (err == DVS_OK)
		inode->attr.size = bytes;
	return err;
}

static struct fs *opened(sqlite3 *db, bool is_volatile)
{
	static struct log log = { .fd = 2, .level = LOG_LEVEL_WARNING };
	struct fsimage *image = calloc(1, sizeof(*image));
	struct fs *fs;

	ck_assert_ptr_nonnull(image);
	image->db = db;
	image->is_volatile = is_volatile;
	ck_assert(fs_open(image, &log, &fs) == DVS_OK);
	return fs;
}

static struct fs *open_new(bool is_volatile)
{
	sqlite3 *db;

	ck_assert_int_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
	ran(db, fs_schema);
	ran(db, "CREATE TABLE extents(ino INTEGER, blocks INTEGER)"); /* the image's */
	return opened(db, is_volatile);
}

struct fs *fs_help_open(void)
{
	return open_new(false);
}

struct fs *fs_help_open_volatile(void)
{
	return open_new(true);
}

void fs_help_close(struct fs *fs)
{
	fs_close(fs, true);
}

struct fs *fs_help_reopen(struct fs *fs)
{
	sqlite3_int64 bytes;
	sqlite3 *db;
	unsigned char *copy;

	ck_assert(!fs->defers);
	copy = sqlite3_serialize(fsimage_db(fs_image(fs)), "main", &bytes, 0);
	ck_assert_ptr_nonnull(copy);
	fs_close(fs, false);
	ck_assert_int_eq(sqlite3_open(":memory:", &db), SQLITE_OK);
	ck_assert_int_eq(sqlite3_deserialize(db, "main", copy, bytes, bytes,
					     SQLITE_DESERIALIZE_FREEONCLOSE |
						     SQLITE_DESERIALIZE_RESIZEABLE),
			 SQLITE_OK);
	return opened(db, false);
}

dvs_err fs_help_end(struct fs *fs, dvs_err err)
{
	if (err == DVS_OK)
		return fs_commit(fs);
	fs_rollback(fs);
	return err;
}

struct fs_name fs_help_name(const char *text)
{
	return (struct fs_name){ text, strlen(text) };
}

uint64_t fs_help_ino(struct fs *fs, const char *path)
{
	struct fs_attr attr = { .ino = FS_ROOT };

	while (*path) {
		struct fs_name name = { path, strcspn(path, "/") };

		if (fs_lookup(fs, &fs_root, attr.ino, name, &attr) != DVS_OK)
			return 0;
		path += name.len + (path[name.len] == '/');
	}
	return attr.ino;
}

struct fs_attr fs_help_attr(struct fs *fs, uint64_t ino)
{
	struct fs_attr attr;

	ck_assert(fs_getattr(fs, ino, &attr) == DVS_OK);
	return attr;
}

static void found_one(void *context, const char *text)
{
	(void)context;
	ck_abort_msg("fs_check: %s", text);
}

void fs_help_check(struct fs *fs)
{
	uint32_t n_repaired;

	ck_assert(fs_check(fs, false, found_one, NULL, &n_repaired) == DVS_OK);
}

uint64_t fs_help_made(struct fs *fs, uint64_t parent, const char *name, uint32_t mode)
{
	struct fs_attr attr;

	ck_assert(CHANGE(fs, fs_make(fs, &fs_root, parent, fs_help_name(name), mode, 0, 0,
				     &attr)) == DVS_OK);
	return attr.ino;
}

dvs_err fs_help_make(struct fs *fs, const struct fs_who *who, uint64_t parent, const char *name,
		     uint32_t mode)
{
	struct fs_attr attr;

	return CHANGE(fs, fs_make(fs, who, parent, fs_help_name(name), mode, 022, 0, &attr));
}

dvs_err fs_help_removed(struct fs *fs, uint64_t parent, const char *name, bool is_dir)
{
	struct fs_concerned concerned;

	return CHANGE(fs, fs_unlink(fs, &fs_root, parent, fs_help_name(name), is_dir, &concerned));
}

dvs_err fs_help_renamed(struct fs *fs, uint64_t parent, const char *name, uint64_t new_parent,
			const char *new_name, uint32_t flags)
{
	struct fs_concerned concerned;

	return CHANGE(fs, fs_rename(fs, &fs_root, parent, fs_help_name(name), new_parent,
				    fs_help_name(new_name), flags, &concerned));
}

dvs_err fs_help_changed(struct fs *fs, const struct fs_who *who, uint64_t ino,
			const struct fs_change *change)
{
	struct fs_attr attr;

	return CHANGE(fs, fs_setattr(fs, who, ino, change, false, &attr));
}
