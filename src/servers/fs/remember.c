/* SPDX-License-Identifier: Apache-2.0 */
/* What a server that takes over must know: which sessions there are, and what each client was answered last. */
#include <string.h>

#include "servers/fs/fs_internal.h"

dvs_err fs_session_add(struct fs *fs, const struct fs_session_row *row)
{
	sqlite3_stmt *stmt;

	if (row->session == 0 || row->session > INT64_MAX)
		return DVS_BADARG;
	stmt = fs_sql(fs, FS_SQL_SESSION_PUT);
	if (stmt) {
		fs_bind(stmt, 1, row->session);
		fs_bind(stmt, 2, row->ep);
		fs_bind(stmt, 3, row->node);
	}
	return fs_sql_run(fs, stmt);
}

dvs_err fs_session_remove(struct fs *fs, uint64_t session)
{
	sqlite3_stmt *stmt = fs_sql(fs, FS_SQL_SESSION_REMOVE);

	if (stmt)
		fs_bind(stmt, 1, session);
	return fs_sql_run(fs, stmt);
}

dvs_err fs_session_next(struct fs *fs, uint64_t session, struct fs_session_row *row)
{
	sqlite3_stmt *stmt;
	dvs_err err;

	if (session >= INT64_MAX)
		return DVS_NOTFOUND;
	stmt = fs_sql(fs, FS_SQL_SESSION_NEXT);
	if (stmt)
		fs_bind(stmt, 1, session);
	err = fs_sql_row(fs, stmt);
	if (err != DVS_OK)
		return err;
	*row = (struct fs_session_row){ .session = fs_column(stmt, 0),
					.ep = fs_column(stmt, 1),
					.node = (uint32_t)fs_column(stmt, 2) };
	(void)sqlite3_reset(stmt);
	return DVS_OK;
}

dvs_err fs_answer_keep(struct fs *fs, uint64_t client, uint32_t call, const void *answer,
		       size_t bytes)
{
	sqlite3_stmt *stmt;

	if (bytes > FS_ANSWER_MAX)
		return DVS_TOOBIG;
	/* Another server has nothing of this one's files either. */
	if (fsimage_is_volatile(fs->image))
		return DVS_OK;
	stmt = fs_sql(fs, FS_SQL_ANSWER_PUT);
	if (stmt) {
		fs_bind(stmt, 1, client);
		fs_bind(stmt, 2, call);
		fs_bind_blob(stmt, 3, answer, bytes);
	}
	return fs_sql_run(fs, stmt);
}

dvs_err fs_answer_find(struct fs *fs, uint64_t client, uint32_t call, void *answer, size_t *bytes)
{
	sqlite3_stmt *stmt = fs_sql(fs, FS_SQL_ANSWER_GET);
	dvs_err err;

	*bytes = 0;
	if (stmt)
		fs_bind(stmt, 1, client);
	err = fs_sql_row(fs, stmt);
	if (err != DVS_OK)
		return err;
	*bytes = (size_t)sqlite3_column_bytes(stmt, 1);
	if (fs_column(stmt, 0) != call)
		err = DVS_NOTFOUND;
	else if (*bytes > FS_ANSWER_MAX)
		err = DVS_CORRUPT;
	else if (*bytes > 0)
		memcpy(answer, sqlite3_column_blob(stmt, 1), *bytes);
	if (err != DVS_OK)
		*bytes = 0;
	(void)sqlite3_reset(stmt);
	return err;
}

dvs_err fs_answer_forget(struct fs *fs, uint64_t client)
{
	sqlite3_stmt *stmt = fs_sql(fs, FS_SQL_ANSWER_REMOVE);

	if (stmt)
		fs_bind(stmt, 1, client);
	return fs_sql_run(fs, stmt);
}

dvs_err fs_answer_next(struct fs *fs, uint64_t client, uint64_t *next)
{
	sqlite3_stmt *stmt;
	dvs_err err;

	if (client >= INT64_MAX)
		return DVS_NOTFOUND;
	stmt = fs_sql(fs, FS_SQL_ANSWER_NEXT);
	if (stmt)
		fs_bind(stmt, 1, client);
	err = fs_sql_row(fs, stmt);
	if (err != DVS_OK)
		return err;
	*next = fs_column(stmt, 0);
	(void)sqlite3_reset(stmt);
	return DVS_OK;
}
