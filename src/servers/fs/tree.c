/* SPDX-License-Identifier: Apache-2.0 */
/* Names: looking them up, reading them, and what the operations that change them share. Errors come in the order in which Linux finds them: the directory can be searched, the name is there (or not), the directory may be changed,
 * what only this operation asks. */
#include "servers/fs/tree_internal.h"

#include <string.h>

dvs_err fs_dir_get(struct fs *fs, const struct fs_who *who, uint64_t ino, struct fs_inode **dir)
{
	dvs_err err = fs_inode_get(fs, ino, dir);

	if (err != DVS_OK)
		return err;
	if (!S_ISDIR((*dir)->attr.mode))
		return DVS_NOTDIR;
	return fs_permit(fs, who, *dir, FS_SEARCH);
}

dvs_err fs_dir_find(struct fs *fs, struct fs_inode *dir, struct fs_name name,
		    struct fs_found *found)
{
	dvs_err err;

	if (dir->attr.nlink == 0)
		return DVS_NOTFOUND;
	err = fs_name_check(name);
	if (err != DVS_OK)
		return err;
	return fs_name_find(fs, dir->attr.ino, name, found);
}

dvs_err fs_target_get(struct fs *fs, const struct fs_found *found, struct fs_inode **inode)
{
	dvs_err err = fs_inode_get(fs, found->ino, inode);

	return err == DVS_STALE ? DVS_CORRUPT : err;
}

dvs_err fs_dir_changed(struct fs *fs, struct fs_inode *dir, int names, int subdirs)
{
	dvs_err err = fs_inode_change(fs, dir);

	if (err != DVS_OK)
		return err;
	dir->attr.size = (uint64_t)((int64_t)dir->attr.size + names);
	dir->attr.nlink = (uint32_t)((int64_t)dir->attr.nlink + subdirs);
	fs_inode_stamp(dir, FS_MTIME | FS_CTIME);
	return DVS_OK;
}

dvs_err fs_name_lost(struct fs *fs, struct fs_inode *inode)
{
	dvs_err err = fs_inode_change(fs, inode);

	if (err != DVS_OK)
		return err;
	if (S_ISDIR(inode->attr.mode))
		inode->attr.nlink = 0;
	else if (inode->attr.nlink > 0)
		inode->attr.nlink--;
	fs_inode_stamp(inode, FS_CTIME);
	if (inode->attr.nlink == 0 && inode->pins == 0)
		return fs_inode_remove(fs, inode);
	return DVS_OK;
}

dvs_err fs_lookup(struct fs *fs, const struct fs_who *who, uint64_t parent, struct fs_name name,
		  struct fs_attr *attr)
{
	struct fs_found found;
	struct fs_inode *inode;
	dvs_err err = fs_dir_get(fs, who, parent, &inode);

	if (err != DVS_OK)
		return err;
	if (fs_name_is(name, "..")) {
		err = fs_inode_get(fs, inode->parent, &inode);
	} else if (!fs_name_is(name, ".")) {
		err = fs_dir_find(fs, inode, name, &found);
		if (err == DVS_OK)
			err = fs_target_get(fs, &found, &inode);
	}
	if (err == DVS_OK)
		*attr = inode->attr;
	return err;
}

dvs_err fs_peek(struct fs *fs, uint64_t parent, struct fs_name name, uint64_t *ino)
{
	struct fs_found found;
	dvs_err err = fs_name_check(name);

	*ino = 0;
	if (err == DVS_OK)
		err = fs_name_find(fs, parent, name, &found);
	if (err == DVS_OK)
		*ino = found.ino;
	return err == DVS_NAMELONG || err == DVS_BADARG ? DVS_NOTFOUND : err;
}

dvs_err fs_readlink(struct fs *fs, uint64_t ino, char target[FS_TARGET_MAX + 1], size_t *len)
{
	struct fs_inode *inode;
	const void *text;
	dvs_err err = fs_inode_get(fs, ino, &inode);

	if (err != DVS_OK)
		return err;
	if (!S_ISLNK(inode->attr.mode))
		return DVS_BADARG;
	err = fs_content_get(fs, inode, &text, len);
	if (err != DVS_OK)
		return err;
	if (*len == 0 || *len > FS_TARGET_MAX)
		return DVS_CORRUPT;
	memcpy(target, text, *len);
	target[*len] = 0;
	fs_inode_touch(fs, inode);
	return DVS_OK;
}

struct reader {
	bool (*each)(void *context, const struct fs_name_entry *entry);
	void *context;
};

/* "." and "..", as far as they are behind COOKIE. False: it was enough. */
static bool read_dots(const struct reader *reader, const struct fs_inode *dir, uint64_t cookie)
{
	struct fs_name_entry entry = { .ino = dir->attr.ino,
				       .cookie = FS_COOKIE_DOT,
				       .kind = fs_kind(S_IFDIR),
				       .name = { ".", 1 } };

	if (cookie < FS_COOKIE_DOT && !reader->each(reader->context, &entry))
		return false;
	entry.ino = dir->parent;
	entry.cookie = FS_COOKIE_DOTDOT;
	entry.name = (struct fs_name){ "..", 2 };
	return cookie >= FS_COOKIE_DOTDOT || reader->each(reader->context, &entry);
}

static dvs_err read_names(struct fs *fs, const struct reader *reader, uint64_t ino, uint64_t cookie,
			  bool *end)
{
	sqlite3_stmt *stmt = fs_sql(fs, FS_SQL_NAME_FROM);
	dvs_err err;

	if (stmt) {
		fs_bind(stmt, 1, ino);
		fs_bind(stmt, 2, cookie);
	}
	while ((err = fs_sql_row(fs, stmt)) == DVS_OK) {
		struct fs_name_entry entry = {
			.cookie = fs_column(stmt, 0),
			.ino = fs_column(stmt, 1),
			.kind = (uint8_t)fs_column(stmt, 2),
			.name = { sqlite3_column_blob(stmt, 3),
				  (size_t)sqlite3_column_bytes(stmt, 3) },
		};

		if (entry.name.len == 0 || entry.name.len > FS_NAME_MAX) {
			err = DVS_CORRUPT;
			break;
		}
		if (!reader->each(reader->context, &entry))
			break;
	}
	if (stmt)
		(void)sqlite3_reset(stmt);
	*end = err == DVS_NOTFOUND;
	return *end ? DVS_OK : err;
}

dvs_err fs_readdir(struct fs *fs, uint64_t ino, uint64_t cookie,
		   bool (*each)(void *context, const struct fs_name_entry *entry), void *context,
		   bool *end)
{
	const struct reader reader = { each, context };
	struct fs_inode *dir;
	dvs_err err = fs_inode_get(fs, ino, &dir);

	*end = false;
	if (err != DVS_OK)
		return err;
	if (!S_ISDIR(dir->attr.mode))
		return DVS_NOTDIR;
	if (dir->attr.nlink == 0)
		return DVS_NOTFOUND;
	fs_inode_touch(fs, dir);
	if (cookie > INT64_MAX) {
		*end = true;
		return DVS_OK;
	}
	if (!read_dots(&reader, dir, cookie))
		return DVS_OK;
	return read_names(fs, &reader, ino, cookie < FS_COOKIE_DOTDOT ? FS_COOKIE_DOTDOT : cookie,
			  end);
}
