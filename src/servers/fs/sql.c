/* SPDX-License-Identifier: Apache-2.0 */
/* The tables of a file system, and every statement on them. */
#include <stdlib.h>

#include "base/compiler.h"
#include "servers/fs/fs_internal.h"

const char fs_schema[] =
	"CREATE TABLE whole(one INTEGER PRIMARY KEY, next_ino INTEGER NOT NULL, files INTEGER NOT NULL, bytes INTEGER NOT NULL,"
	" quota_bytes INTEGER NOT NULL, quota_files INTEGER NOT NULL, id INTEGER NOT NULL, key BLOB NOT NULL);"
	"CREATE TABLE files(ino INTEGER PRIMARY KEY, mode INTEGER NOT NULL, nlink INTEGER NOT NULL, uid INTEGER NOT NULL, gid INTEGER NOT NULL,"
	" rdev INTEGER NOT NULL, size INTEGER NOT NULL, blocks INTEGER NOT NULL, version INTEGER NOT NULL, atime_s INTEGER NOT NULL,"
	" atime_ns INTEGER NOT NULL, mtime_s INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, ctime_s INTEGER NOT NULL, ctime_ns INTEGER NOT NULL,"
	" parent INTEGER NOT NULL, flags INTEGER NOT NULL, content BLOB);"
	"CREATE INDEX orphans ON files(ino) WHERE nlink = 0;"
	"CREATE TABLE names(parent INTEGER NOT NULL, cookie INTEGER NOT NULL, ino INTEGER NOT NULL, kind INTEGER NOT NULL, name BLOB NOT NULL,"
	" PRIMARY KEY(parent, cookie)) WITHOUT ROWID;"
	"CREATE TABLE xattrs(ino INTEGER NOT NULL, name BLOB NOT NULL, value BLOB NOT NULL, PRIMARY KEY(ino, name)) WITHOUT ROWID;"
	"CREATE TABLE sessions(session INTEGER PRIMARY KEY, ep INTEGER NOT NULL, node INTEGER NOT NULL);"
	"CREATE TABLE answers(client INTEGER PRIMARY KEY, call INTEGER NOT NULL, answer BLOB NOT NULL);"
	"INSERT INTO whole VALUES(1, 2, 1, 0, 0, 0, abs(random() / 2), randomblob(16));"
	"INSERT INTO files SELECT 1, 16877, 2, 0, 0, 0, 0, 0, 1, now, 0, now, 0, now, 0, 1, 0, NULL"
	" FROM (SELECT CAST(strftime('%s', 'now') AS INTEGER) AS now);";

#define FILE_COLUMNS                                                                                \
	"mode, nlink, uid, gid, rdev, size, blocks, version, atime_s, atime_ns, mtime_s, mtime_ns," \
	" ctime_s, ctime_ns, parent, flags"

static const char *const texts[FS_SQL_N] = {
	[FS_SQL_WHOLE_GET] =
		"SELECT next_ino, files, bytes, quota_bytes, quota_files, id, key FROM whole WHERE one = 1",
	[FS_SQL_WHOLE_PUT] =
		"UPDATE whole SET next_ino = ?1, files = ?2, bytes = ?3, quota_bytes = ?4, quota_files = ?5 WHERE one = 1",
	[FS_SQL_FILE_GET] = "SELECT " FILE_COLUMNS " FROM files WHERE ino = ?1",
	[FS_SQL_FILE_ADD] =
		"INSERT INTO files(ino, " FILE_COLUMNS ")"
		" VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)",
	[FS_SQL_FILE_PUT] =
		"UPDATE files SET mode = ?2, nlink = ?3, uid = ?4, gid = ?5, rdev = ?6, size = ?7, blocks = ?8, version = ?9, atime_s = ?10, atime_ns = ?11,"
		" mtime_s = ?12, mtime_ns = ?13, ctime_s = ?14, ctime_ns = ?15, parent = ?16, flags = ?17 WHERE ino = ?1",
	[FS_SQL_FILE_PUT_ATIME] = "UPDATE files SET atime_s = ?2, atime_ns = ?3 WHERE ino = ?1",
	[FS_SQL_FILE_REMOVE] = "DELETE FROM files WHERE ino = ?1",
	[FS_SQL_FILE_NEXT] =
		"SELECT ino, nlink, mode, parent, size FROM files WHERE ino > ?1 ORDER BY ino LIMIT 1",
	[FS_SQL_FILE_PARENT] = "SELECT parent, mode FROM files WHERE ino = ?1",
	[FS_SQL_FILE_MEND] =
		"UPDATE files SET mode = ?2, nlink = max(0, min(nlink, ?4)), size = max(0, min(size, ?3)), blocks = max(0, min(blocks, ?3 / 512)), atime_ns = 0, mtime_ns = 0,"
		" ctime_ns = 0, flags = flags & 63 WHERE ino = ?1",
	[FS_SQL_FILE_BLOCKS] =
		"SELECT ino, n FROM (SELECT ino, blocks, (SELECT CAST(total(extents.blocks) AS INTEGER) * 8 FROM extents WHERE extents.ino = files.ino) AS n"
		" FROM files WHERE ino > ?1) WHERE blocks <> n ORDER BY ino LIMIT 1",
	[FS_SQL_ORPHAN_NEXT] =
		"SELECT ino FROM files WHERE nlink = 0 AND ino > ?1 ORDER BY ino LIMIT 1",
	[FS_SQL_CONTENT_GET] = "SELECT content FROM files WHERE ino = ?1",
	[FS_SQL_CONTENT_PUT] = "UPDATE files SET content = ?2 WHERE ino = ?1",
	[FS_SQL_NAME_FIND] =
		"SELECT cookie, ino, kind, name FROM names WHERE parent = ?1 AND cookie BETWEEN ?2 AND ?3",
	[FS_SQL_NAME_ADD] = "INSERT INTO names VALUES(?1, ?2, ?3, ?4, ?5)",
	[FS_SQL_NAME_PUT] =
		"UPDATE names SET ino = ?3, kind = ?4 WHERE parent = ?1 AND cookie = ?2",
	[FS_SQL_NAME_REMOVE] = "DELETE FROM names WHERE parent = ?1 AND cookie = ?2",
	[FS_SQL_NAME_FROM] =
		"SELECT cookie, ino, kind, name FROM names WHERE parent = ?1 AND cookie > ?2 ORDER BY cookie",
	[FS_SQL_NAME_NEXT] =
		"SELECT parent, cookie, ino, kind, name FROM names WHERE (parent, cookie) > (?1, ?2)"
		" ORDER BY parent, cookie LIMIT 1",
	[FS_SQL_XATTR_GET] = "SELECT value FROM xattrs WHERE ino = ?1 AND name = ?2",
	[FS_SQL_XATTR_PUT] = "INSERT OR REPLACE INTO xattrs VALUES(?1, ?2, ?3)",
	[FS_SQL_XATTR_REMOVE] = "DELETE FROM xattrs WHERE ino = ?1 AND name = ?2",
	[FS_SQL_XATTR_REMOVE_ALL] = "DELETE FROM xattrs WHERE ino = ?1",
	[FS_SQL_XATTR_LIST] = "SELECT name FROM xattrs WHERE ino = ?1 ORDER BY name",
	[FS_SQL_XATTR_SUM] =
		"SELECT coalesce(sum(length(name) + length(value)), 0), coalesce(sum(length(name) + 1), 0) FROM xattrs WHERE ino = ?1",
	[FS_SQL_XATTR_STRAYS] =
		"SELECT count(*) FROM xattrs WHERE ino NOT IN (SELECT ino FROM files)",
	[FS_SQL_XATTR_REMOVE_STRAYS] =
		"DELETE FROM xattrs WHERE ino NOT IN (SELECT ino FROM files)",
	[FS_SQL_USAGE] =
		"SELECT (SELECT coalesce(sum(blocks), 0) FROM files) * 512 + (SELECT coalesce(sum(length(name) + length(value)), 0) FROM xattrs), (SELECT count(*) FROM files)",
	[FS_SQL_SESSION_PUT] = "INSERT OR REPLACE INTO sessions VALUES(?1, ?2, ?3)",
	[FS_SQL_SESSION_REMOVE] = "DELETE FROM sessions WHERE session = ?1",
	[FS_SQL_SESSION_NEXT] =
		"SELECT session, ep, node FROM sessions WHERE session > ?1 ORDER BY session LIMIT 1",
	[FS_SQL_ANSWER_PUT] = "INSERT OR REPLACE INTO answers VALUES(?1, ?2, ?3)",
	[FS_SQL_ANSWER_GET] = "SELECT call, answer FROM answers WHERE client = ?1",
	[FS_SQL_EXTENTS_FROM] =
		"SELECT first, blocks, place, epoch, is_unwritten FROM extents WHERE ino = ?1 AND first >="
		" coalesce((SELECT first FROM extents WHERE ino = ?1 AND first <= ?2 ORDER BY first DESC LIMIT 1), ?2)"
		" ORDER BY first",
	[FS_SQL_EXTENT_BEFORE] =
		"SELECT first, blocks, place, epoch, is_unwritten FROM extents WHERE ino = ?1 AND first < ?2"
		" ORDER BY first DESC LIMIT 1",
	[FS_SQL_EXTENT_ADD] = "INSERT INTO extents(ino, first, blocks, place, epoch, is_unwritten)"
			      " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
	[FS_SQL_EXTENT_PUT] =
		"UPDATE extents SET blocks = ?3, epoch = ?5 WHERE ino = ?1 AND first = ?2",
	[FS_SQL_EXTENT_REMOVE] = "DELETE FROM extents WHERE ino = ?1 AND first = ?2",
	[FS_SQL_ANSWER_NEXT] =
		"SELECT client FROM answers WHERE client > ?1 ORDER BY client LIMIT 1",
	[FS_SQL_ANSWER_REMOVE] = "DELETE FROM answers WHERE client = ?1",
};

dvs_err fs_sql_error(const struct fs *fs)
{
	int rc = sqlite3_extended_errcode(fs->db);
	dvs_err err;

	/* Of our own statements: the tables, or what is in them, are not ours. */
	if ((rc & 0xff) == SQLITE_CONSTRAINT || (rc & 0xff) == SQLITE_ERROR)
		return DVS_CORRUPT;
	err = fsimage_sql(fs->image, rc);
	return err == DVS_OK ? DVS_IO : err;
}

sqlite3_stmt *fs_sql(struct fs *fs, enum fs_sql_id id)
{
	sqlite3_stmt *stmt = fs->sql[id];

	if (stmt) {
		(void)sqlite3_reset(stmt); /* it tells the last step's error again */
		return stmt;
	}
	if (sqlite3_prepare_v3(fs->db, texts[id], -1, SQLITE_PREPARE_PERSISTENT, &fs->sql[id],
			       NULL) != SQLITE_OK)
		return NULL;
	return fs->sql[id];
}

dvs_err fs_sql_run(struct fs *fs, sqlite3_stmt *stmt)
{
	dvs_err err = DVS_OK;

	if (!stmt)
		return fs_sql_error(fs);
	if (sqlite3_step(stmt) != SQLITE_DONE)
		err = fs_sql_error(fs);
	(void)sqlite3_reset(stmt);
	return err;
}

dvs_err fs_sql_row(struct fs *fs, sqlite3_stmt *stmt)
{
	dvs_err err;
	int result;

	if (!stmt)
		return fs_sql_error(fs);
	result = sqlite3_step(stmt);
	if (result == SQLITE_ROW)
		return DVS_OK;
	err = result == SQLITE_DONE ? DVS_NOTFOUND : fs_sql_error(fs);
	(void)sqlite3_reset(stmt);
	return err;
}

void fs_sql_close(struct fs *fs)
{
	for (size_t i = 0; i < ARRAY_LEN(fs->sql); i++) {
		(void)sqlite3_finalize(fs->sql[i]);
		fs->sql[i] = NULL;
	}
}

dvs_err fs_room(struct fs *fs, size_t bytes)
{
	void *room;

	if (bytes <= fs->room_bytes)
		return DVS_OK;
	room = realloc(fs->room, bytes);
	if (!room)
		return DVS_NOMEM;
	fs->room = room;
	fs->room_bytes = bytes;
	return DVS_OK;
}
