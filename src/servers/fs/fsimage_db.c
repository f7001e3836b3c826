/* SPDX-License-Identifier: Apache-2.0 */
/* The database in an image: opened so that what is in it can do nothing but be data. */
#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "servers/fs/fsimage_internal.h"

#define CACHE_KIB 65536
#define CELL_BYTES_MAX (1 << 20)

/* past: the block behind the run. So taking from its front, which is what happens, leaves its key. */
const char fsimage_own_schema[] =
	"CREATE TABLE fsimage_state(one INTEGER PRIMARY KEY, over INTEGER NOT NULL,"
	" incarnation BLOB NOT NULL);"
	"CREATE TABLE fsimage_chunks(chunk INTEGER PRIMARY KEY);"
	"CREATE TABLE fsimage_runs(past INTEGER PRIMARY KEY, blocks INTEGER NOT NULL);"
	"CREATE TABLE fsimage_freed(epoch INTEGER NOT NULL, start INTEGER NOT NULL,"
	" blocks INTEGER NOT NULL, PRIMARY KEY(epoch, start)) WITHOUT ROWID;"
	"CREATE TABLE extents(ino INTEGER NOT NULL, first INTEGER NOT NULL,"
	" blocks INTEGER NOT NULL, place INTEGER NOT NULL, epoch INTEGER NOT NULL,"
	" is_unwritten INTEGER NOT NULL, PRIMARY KEY(ino, first)) WITHOUT ROWID;";

static const char *const statements[ST_N] = {
	[ST_BEGIN] = "BEGIN IMMEDIATE",
	[ST_COMMIT] = "COMMIT",
	[ST_ROLLBACK] = "ROLLBACK",
	[ST_OVER] = "UPDATE fsimage_state SET over = ?1 WHERE one = 1",
	[ST_RUN_AT] = "SELECT past, blocks FROM fsimage_runs WHERE past > ?1 ORDER BY past",
	[ST_RUN_ENDS] = "SELECT past, blocks FROM fsimage_runs WHERE past = ?1",
	[ST_RUN_ADD] = "INSERT INTO fsimage_runs(past, blocks) VALUES(?1, ?2)",
	[ST_RUN_SET] = "UPDATE fsimage_runs SET blocks = ?2 WHERE past = ?1",
	[ST_RUN_DROP] = "DELETE FROM fsimage_runs WHERE past = ?1",
	[ST_FREED_ADD] = "INSERT INTO fsimage_freed(epoch, start, blocks) VALUES(?1, ?2, ?3)",
	[ST_FREED_OVER] =
		"SELECT epoch, start, blocks FROM fsimage_freed WHERE epoch <= ?1 ORDER BY epoch, start LIMIT ?2",
	[ST_FREED_DROP] = "DELETE FROM fsimage_freed WHERE epoch = ?1 AND start = ?2",
	[ST_CHUNK_ADD] = "INSERT INTO fsimage_chunks(chunk) VALUES(?1)",
	[ST_CHUNK_DROP] = "DELETE FROM fsimage_chunks WHERE chunk = ?1",
};

dvs_err fsimage_sql(struct fsimage *image, int rc)
{
	switch (rc & 0xff) {
	case SQLITE_OK:
	case SQLITE_ROW:
	case SQLITE_DONE:
		return DVS_OK;
	case SQLITE_NOMEM:
		return DVS_NOMEM;
	case SQLITE_FULL:
		return DVS_NOSPACE;
	case SQLITE_TOOBIG:
		return DVS_TOOBIG;
	case SQLITE_CONSTRAINT:
		return DVS_EXISTS;
	case SQLITE_BUSY:
	case SQLITE_LOCKED:
		return DVS_BADSTATE;
	case SQLITE_READONLY:
		return DVS_READONLY;
	case SQLITE_IOERR:
		if (rc == SQLITE_IOERR_NOMEM || image->medium_err == DVS_NOMEM)
			return DVS_NOMEM;
		fsimage_break(image, "the medium failed: %s",
			      dvs_strerror(image->medium_err == DVS_OK ? DVS_IO :
									 image->medium_err));
		return DVS_IO;
	default:
		fsimage_break(image, "the database is damaged: %s", sqlite3_errmsg(image->db));
		return DVS_CORRUPT;
	}
}

dvs_err fsimage_db_run(struct fsimage *image, const char *sql)
{
	return fsimage_sql(image, sqlite3_exec(image->db, sql, NULL, NULL, NULL));
}

dvs_err fsimage_db_do(struct fsimage *image, enum image_statement which, int64_t a, int64_t b,
		      int64_t c)
{
	sqlite3_stmt *statement = image->statement[which];
	const int64_t values[] = { a, b, c };
	int n = sqlite3_bind_parameter_count(statement);
	int rc = SQLITE_OK;

	assert(n <= 3);
	for (int i = 0; rc == SQLITE_OK && i < n; i++)
		rc = sqlite3_bind_int64(statement, i + 1, values[i]);
	if (rc == SQLITE_OK)
		rc = sqlite3_step(statement);
	(void)sqlite3_reset(statement);
	return fsimage_sql(image, rc);
}

/* ---- opening ---- */

static void harden(sqlite3 *db)
{
	static const int off[] = { SQLITE_DBCONFIG_TRUSTED_SCHEMA,
				   SQLITE_DBCONFIG_ENABLE_TRIGGER,
				   SQLITE_DBCONFIG_ENABLE_VIEW,
				   SQLITE_DBCONFIG_DQS_DML,
				   SQLITE_DBCONFIG_DQS_DDL,
				   SQLITE_DBCONFIG_WRITABLE_SCHEMA,
				   SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION };
	static const int on[] = { SQLITE_DBCONFIG_DEFENSIVE, SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE };

	for (size_t i = 0; i < ARRAY_LEN(off); i++)
		(void)sqlite3_db_config(db, off[i], 0, NULL);
	for (size_t i = 0; i < ARRAY_LEN(on); i++)
		(void)sqlite3_db_config(db, on[i], 1, NULL);
	(void)sqlite3_limit(db, SQLITE_LIMIT_LENGTH, CELL_BYTES_MAX);
	(void)sqlite3_limit(db, SQLITE_LIMIT_ATTACHED, 0);
	(void)sqlite3_limit(db, SQLITE_LIMIT_COLUMN, 100);
	(void)sqlite3_limit(db, SQLITE_LIMIT_EXPR_DEPTH, 100);
	(void)sqlite3_limit(db, SQLITE_LIMIT_TRIGGER_DEPTH, 1);
}

/* The only value of a statement's first row is TEXT. */
static bool says(struct fsimage *image, const char *sql, const char *text)
{
	sqlite3_stmt *statement = NULL;
	bool is_so = false;

	if (sqlite3_prepare_v2(image->db, sql, -1, &statement, NULL) == SQLITE_OK &&
	    sqlite3_step(statement) == SQLITE_ROW) {
		const char *got = (const char *)sqlite3_column_text(statement, 0);

		is_so = got && strcmp(got, text) == 0;
	}
	(void)sqlite3_finalize(statement);
	return is_so;
}

static dvs_err open_connection(struct fsimage *image)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
	int rc = sqlite3_open_v2("fs", &image->db, flags, image->vfs_name);
	char sql[512];

	if (rc != SQLITE_OK)
		return rc == SQLITE_NOMEM ? DVS_NOMEM : DVS_IO;
	harden(image->db);
	/* synchronous FULL: SQLite says when a change set is complete in the log, before it believes it itself (see fsimage_vfs.c). */
	(void)snprintf(sql, sizeof(sql),
		       "PRAGMA locking_mode=EXCLUSIVE; PRAGMA temp_store=MEMORY;"
		       "PRAGMA mmap_size=0; PRAGMA synchronous=FULL; PRAGMA cell_size_check=ON;"
		       "PRAGMA cache_size=-%d; PRAGMA wal_autocheckpoint=0;"
		       "PRAGMA checkpoint_fullfsync=OFF; PRAGMA foreign_keys=OFF;"
		       "PRAGMA secure_delete=OFF;",
		       CACHE_KIB);
	return fsimage_db_run(image, sql);
}

/* Where nobody will look for what a crash has left, changes need no log: a page is written once, and no checksum is made of it. */
static bool has_journal(struct fsimage *image)
{
	return image->medium->is_volatile ? says(image, "PRAGMA journal_mode=MEMORY", "memory") :
					    says(image, "PRAGMA journal_mode=WAL", "wal");
}

dvs_err fsimage_db_open(struct fsimage *image, char *why)
{
	dvs_err err = open_connection(image);

	if (err == DVS_OK && image->is_making)
		err = fsimage_db_run(image, "PRAGMA page_size=4096; PRAGMA journal_mode=MEMORY;");
	if (err == DVS_OK && (!has_journal(image) || !says(image, "PRAGMA page_size", "4096"))) {
		err = fsimage_sql(image, sqlite3_errcode(image->db));
		if (err == DVS_OK || err == DVS_NOSPACE)
			err = DVS_CORRUPT;
	}
	if (err != DVS_OK)
		medium_why(why, "cannot open the database: %s",
			   image->broken[0] ? image->broken : dvs_strerror(err));
	return err;
}

dvs_err fsimage_db_prepare(struct fsimage *image, char *why)
{
	for (int i = 0; i < ST_N; i++) {
		dvs_err err = fsimage_sql(image, sqlite3_prepare_v3(image->db, statements[i], -1,
								    SQLITE_PREPARE_PERSISTENT,
								    &image->statement[i], NULL));

		if (err != DVS_OK) {
			medium_why(why, "cannot use the database: %s", dvs_strerror(err));
			return err;
		}
	}
	return DVS_OK;
}

void fsimage_db_close(struct fsimage *image)
{
	int rc;

	for (int i = 0; i < ST_N; i++)
		(void)sqlite3_finalize(image->statement[i]);
	rc = sqlite3_close(image->db);
	/* Whoever prepared a statement finalizes it before. */
	assert(rc == SQLITE_OK);
	(void)rc;
}

/* ---- the schema ---- */

#define EVERYTHING \
	"SELECT type, name, tbl_name, coalesce(sql, '') FROM sqlite_schema ORDER BY type, name"

static bool rows_are_same(sqlite3_stmt *a, sqlite3_stmt *b)
{
	for (int i = 0; i < 4; i++) {
		const void *x = sqlite3_column_blob(a, i), *y = sqlite3_column_blob(b, i);
		int n = sqlite3_column_bytes(a, i);

		if (n != sqlite3_column_bytes(b, i) || (n > 0 && (!x || !y)) ||
		    (n > 0 && memcmp(x, y, (size_t)n) != 0))
			return false;
	}
	return true;
}

/* SQLITE_DONE: both say the same. SQLITE_ROW: they do not. */
static int compare(sqlite3_stmt *a, sqlite3_stmt *b)
{
	for (;;) {
		int rc = sqlite3_step(a), other = sqlite3_step(b);

		if (other != SQLITE_ROW && other != SQLITE_DONE)
			return other;
		if (rc != SQLITE_ROW && rc != SQLITE_DONE)
			return rc;
		if (rc != other)
			return SQLITE_ROW;
		if (rc == SQLITE_DONE)
			return SQLITE_DONE;
		if (!rows_are_same(a, b))
			return SQLITE_ROW;
	}
}

dvs_err fsimage_db_verify(struct fsimage *image, const char *schema, char *why)
{
	sqlite3_stmt *there = NULL, *wanted = NULL;
	sqlite3 *model = NULL;
	dvs_err err;
	int rc = sqlite3_open_v2(":memory:", &model, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX,
				 NULL);

	if (rc == SQLITE_OK)
		rc = sqlite3_exec(model, fsimage_own_schema, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_exec(model, schema, NULL, NULL, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(model, EVERYTHING, -1, &wanted, NULL);
	if (rc == SQLITE_OK)
		rc = sqlite3_prepare_v2(image->db, EVERYTHING, -1, &there, NULL);
	if (rc == SQLITE_OK)
		rc = compare(there, wanted);
	err = rc == SQLITE_ROW ? DVS_CORRUPT : fsimage_sql(image, rc);
	if (rc == SQLITE_ROW)
		medium_why(why, "the database has other tables than this program makes");
	else if (err != DVS_OK)
		medium_why(why, "cannot read the database: %s",
			   image->broken[0] ? image->broken : dvs_strerror(err));
	(void)sqlite3_finalize(there);
	(void)sqlite3_finalize(wanted);
	(void)sqlite3_close(model);
	return err;
}
