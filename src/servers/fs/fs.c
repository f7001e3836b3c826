/* SPDX-License-Identifier: Apache-2.0 */
/* The file system as a whole: opening, change sets, files that somebody has open, what is used and what may be. */
#include "servers/fs/fs.h"

#include <stdlib.h>
#include <string.h>

#include "servers/fs/fs_internal.h"

#define FILE_BYTES_GUESS 1024u /* of the database, for the number of files that could be made */

static dvs_err read_whole(struct fs *fs)
{
	sqlite3_stmt *stmt = fs_sql(fs, FS_SQL_WHOLE_GET);
	struct fs_whole *whole = &fs->whole;
	dvs_err err = fs_sql_row(fs, stmt);

	if (err != DVS_OK)
		return err == DVS_NOTFOUND ? DVS_CORRUPT : err;
	whole->next_ino = fs_column(stmt, 0);
	whole->files = fs_column(stmt, 1);
	whole->bytes = fs_column(stmt, 2);
	whole->quota_bytes = fs_column(stmt, 3);
	whole->quota_files = fs_column(stmt, 4);
	whole->id = fs_column(stmt, 5);
	if (sqlite3_column_bytes(stmt, 6) == (int)sizeof(fs->key))
		memcpy(fs->key, sqlite3_column_blob(stmt, 6), sizeof(fs->key));
	else
		err = DVS_CORRUPT;
	if (whole->next_ino <= FS_ROOT || whole->next_ino > INT64_MAX)
		err = DVS_CORRUPT;
	(void)sqlite3_reset(stmt);
	return err;
}

static dvs_err check_root(struct fs *fs)
{
	struct fs_inode *root;
	dvs_err err = fs_inode_get(fs, FS_ROOT, &root);

	if (err != DVS_OK)
		return err == DVS_STALE ? DVS_CORRUPT : err;
	return S_ISDIR(root->attr.mode) ? DVS_OK : DVS_CORRUPT;
}

static void destroy(struct fs *fs)
{
	fs_inodes_close(fs);
	fs_sql_close(fs);
	free(fs->room);
	free(fs);
}

dvs_err fs_open(struct fsimage *image, struct log *log, struct fs **fs)
{
	struct fs *opened = calloc(1, sizeof(*opened));
	dvs_err err;

	if (!opened)
		return DVS_NOMEM;
	opened->image = image;
	opened->log = log;
	opened->db = fsimage_db(image);
	err = fs_inodes_open(opened);
	if (err == DVS_OK)
		err = read_whole(opened);
	if (err == DVS_OK)
		err = check_root(opened);
	if (err != DVS_OK) {
		destroy(opened);
		return err;
	}
	*fs = opened;
	return DVS_OK;
}

void fs_close(struct fs *fs, bool in_order)
{
	struct fsimage *image;

	if (!fs)
		return;
	image = fs->image;
	if (fsimage_is_changing(image))
		fs_rollback(fs);
	if (in_order && fs_has_times(fs) && (fs_begin(fs) != DVS_OK || fs_commit(fs) != DVS_OK))
		log_warning(fs->log, "access times were not written");
	destroy(fs);
	fsimage_close(image, in_order);
}

struct fsimage *fs_image(struct fs *fs)
{
	return fs->image;
}

dvs_err fs_begin(struct fs *fs)
{
	dvs_err err;

	fs_inodes_catch_up(fs);
	err = fsimage_begin(fs->image);
	if (err == DVS_OK)
		fs->whole_was = fs->whole;
	return err;
}

static dvs_err write_whole(struct fs *fs)
{
	const struct fs_whole *whole = &fs->whole;
	sqlite3_stmt *stmt;

	if (memcmp(whole, &fs->whole_was, sizeof(*whole)) == 0)
		return DVS_OK;
	stmt = fs_sql(fs, FS_SQL_WHOLE_PUT);
	if (stmt) {
		fs_bind(stmt, 1, whole->next_ino);
		fs_bind(stmt, 2, whole->files);
		fs_bind(stmt, 3, whole->bytes);
		fs_bind(stmt, 4, whole->quota_bytes);
		fs_bind(stmt, 5, whole->quota_files);
	}
	return fs_sql_run(fs, stmt);
}

static dvs_err write_rows(struct fs *fs)
{
	dvs_err err = fs_inodes_write(fs);

	return err == DVS_OK ? write_whole(fs) : err;
}

static void undo(struct fs *fs)
{
	fs->whole = fs->whole_was;
	fs_names_forget(fs);
	fs_inodes_settle(fs, false);
}

dvs_err fs_commit(struct fs *fs)
{
	dvs_err err = fs->defers ? DVS_OK : write_rows(fs);

	if (err != DVS_OK) {
		fs_rollback(fs);
		return err;
	}
	err = fsimage_commit(fs->image);
	if (err == DVS_OK)
		fs_inodes_settle(fs, true);
	else
		undo(fs);
	return err;
}

void fs_rollback(struct fs *fs)
{
	fsimage_rollback(fs->image);
	undo(fs);
}

bool fs_has_times(const struct fs *fs)
{
	return fs->n_touched > 0;
}

dvs_err fs_pin(struct fs *fs, uint64_t ino)
{
	struct fs_inode *inode;
	dvs_err err = fs_inode_get(fs, ino, &inode);

	if (err != DVS_OK)
		return err;
	if (inode->pins == UINT32_MAX)
		return DVS_FULL;
	inode->pins++;
	fs_inode_place(fs, inode);
	return DVS_OK;
}

bool fs_is_last_pin(const struct fs *fs, uint64_t ino)
{
	const struct fs_inode *inode = fs_inode_known(fs, ino);

	return inode && !inode->is_removed && inode->pins == 1 && inode->attr.nlink == 0;
}

dvs_err fs_unpin(struct fs *fs, uint64_t ino)
{
	struct fs_inode *inode = fs_inode_known(fs, ino);

	if (!inode || inode->pins == 0)
		return DVS_STALE;
	if (fs_is_last_pin(fs, ino)) {
		dvs_err err = fs_inode_remove(fs, inode);

		if (err != DVS_OK)
			return err;
		inode->is_unpinned = true;
	}
	inode->pins--;
	fs_inode_place(fs, inode);
	return DVS_OK;
}

/* The first orphan behind INO that nobody has open. NOTFOUND. */
static dvs_err next_orphan(struct fs *fs, uint64_t ino, struct fs_inode **orphan)
{
	for (;;) {
		sqlite3_stmt *stmt = fs_sql(fs, FS_SQL_ORPHAN_NEXT);
		dvs_err err;

		if (stmt)
			fs_bind(stmt, 1, ino);
		err = fs_sql_row(fs, stmt);
		if (err != DVS_OK)
			return err;
		ino = fs_column(stmt, 0);
		(void)sqlite3_reset(stmt);
		err = fs_inode_get(fs, ino, orphan);
		if (err != DVS_OK && err != DVS_STALE)
			return err;
		if (err == DVS_OK && (*orphan)->pins == 0 && ino != FS_ROOT)
			return DVS_OK;
	}
}

dvs_err fs_remove_orphans(struct fs *fs, uint32_t max, bool *left)
{
	struct fs_inode *orphan;
	uint64_t ino = 0;
	dvs_err err = fs_inodes_write(fs);

	*left = false;
	for (uint32_t n = 0; err == DVS_OK; n++) {
		err = next_orphan(fs, ino, &orphan);
		if (err != DVS_OK)
			break;
		if (n == max) {
			*left = true;
			return DVS_OK;
		}
		ino = orphan->attr.ino;
		err = fs_inode_remove(fs, orphan);
	}
	return err == DVS_NOTFOUND ? DVS_OK : err;
}

uint64_t fs_usage_left(const struct fs *fs)
{
	const struct fs_whole *whole = &fs->whole;

	if (whole->quota_bytes == 0)
		return UINT64_MAX;
	return whole->bytes >= whole->quota_bytes ? 0 : whole->quota_bytes - whole->bytes;
}

dvs_err fs_usage_more(struct fs *fs, uint64_t bytes)
{
	if (bytes > fs_usage_left(fs))
		return DVS_QUOTA;
	fs->whole.bytes += bytes;
	return DVS_OK;
}

void fs_usage_less(struct fs *fs, uint64_t bytes)
{
	fs->whole.bytes -= bytes < fs->whole.bytes ? bytes : fs->whole.bytes;
}

dvs_err fs_set_quota(struct fs *fs, uint64_t bytes, uint64_t files)
{
	if (bytes > INT64_MAX || files > INT64_MAX)
		return DVS_BADARG;
	fs->whole.quota_bytes = bytes;
	fs->whole.quota_files = files;
	return DVS_OK;
}

void fs_get_quota(const struct fs *fs, uint64_t *bytes, uint64_t *files)
{
	*bytes = fs->whole.quota_bytes;
	*files = fs->whole.quota_files;
}

static uint64_t smaller(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

void fs_statfs(struct fs *fs, struct fs_statfs_rep *rep)
{
	const struct fs_whole *whole = &fs->whole;
	struct fsimage_figures figures;
	uint64_t free_bytes, bytes;

	fsimage_look(fs->image, &figures);
	free_bytes = smaller(figures.free_bytes, fs_usage_left(fs));
	bytes = whole->quota_bytes != 0 ? smaller(whole->quota_bytes, figures.bytes) :
					  figures.bytes;
	*rep = (struct fs_statfs_rep){
		.block_bytes = MEDIUM_BLOCK_BYTES,
		.blocks = bytes / MEDIUM_BLOCK_BYTES,
		.free = free_bytes / MEDIUM_BLOCK_BYTES,
		.files_free = figures.free_bytes / FILE_BYTES_GUESS,
		.id = whole->id,
	};
	if (whole->quota_files != 0)
		rep->files_free = smaller(
			rep->files_free,
			whole->quota_files > whole->files ? whole->quota_files - whole->files : 0);
	rep->files = whole->files + rep->files_free;
}
