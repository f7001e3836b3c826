/* SPDX-License-Identifier: Apache-2.0 */
/* What stands in the row of a file itself: small contents, targets of symbolic links. */
#include <string.h>

#include "servers/fs/fs_internal.h"

dvs_err fs_content_get(struct fs *fs, struct fs_inode *inode, const void **data, size_t *bytes)
{
	sqlite3_stmt *stmt;
	dvs_err err;

	*data = "";
	*bytes = 0;
	if (!(inode->flags & FS_INODE_CONTENT))
		return DVS_OK;
	stmt = fs_sql(fs, FS_SQL_CONTENT_GET);
	if (stmt)
		fs_bind(stmt, 1, inode->attr.ino);
	err = fs_sql_row(fs, stmt);
	if (err != DVS_OK)
		return err == DVS_NOTFOUND ? DVS_CORRUPT : err;
	*bytes = (size_t)sqlite3_column_bytes(stmt, 0);
	err = fs_room(fs, *bytes + 1);
	if (err == DVS_OK && *bytes > 0)
		memcpy(fs->room, sqlite3_column_blob(stmt, 0), *bytes);
	(void)sqlite3_reset(stmt);
	*data = fs->room;
	return err;
}

dvs_err fs_content_put(struct fs *fs, struct fs_inode *inode, const void *data, size_t bytes)
{
	sqlite3_stmt *stmt;
	dvs_err err;

	if (data)
		inode->flags |= FS_INODE_CONTENT;
	else
		inode->flags &= ~FS_INODE_CONTENT;
	err = fs_inode_need_row(fs, inode);
	if (err != DVS_OK)
		return err;
	stmt = fs_sql(fs, FS_SQL_CONTENT_PUT);
	if (stmt) {
		fs_bind(stmt, 1, inode->attr.ino);
		if (data)
			fs_bind_blob(stmt, 2, data, bytes);
		else
			(void)sqlite3_bind_null(stmt, 2);
	}
	return fs_sql_run(fs, stmt);
}
