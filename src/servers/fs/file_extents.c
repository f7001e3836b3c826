/* SPDX-License-Identifier: Apache-2.0 */
/* Where the blocks of a file are. Extents are joined if one crash makes holes of both or of none: so those of the present epoch, and those of epochs that are over. */
#include "servers/fs/fs_internal.h"

#define AHEAD_MAX 2048u /* blocks that are left for a file that grows */
#define AHEAD_FROM 16u	/* and has at least so many */
#define PER_BLOCK (FS_BLOCK / 512)

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t end_of(const struct fs_extent *extent)
{
	return extent->first + extent->blocks;
}

/* A damaged database may say anything. */
static dvs_err from_row(struct fs *fs, sqlite3_stmt *stmt, struct fs_extent *extent)
{
	extent->first = fs_column(stmt, 0);
	extent->blocks = fs_column(stmt, 1);
	extent->place = fs_column(stmt, 2);
	extent->epoch = fs_column(stmt, 3);
	extent->is_unwritten = fs_column(stmt, 4) != 0;
	if (extent->first < FS_BLOCKS_MAX && extent->blocks > 0 &&
	    extent->blocks <= FS_BLOCKS_MAX - extent->first &&
	    fsimage_is_data(fs->image, extent->place, extent->blocks))
		return DVS_OK;
	fsimage_break(fs->image, "an extent of a file is impossible");
	return DVS_CORRUPT;
}

dvs_err fs_extents_next(struct fs *fs, struct fs_extent *extent)
{
	sqlite3_stmt *stmt = fs->sql[FS_SQL_EXTENTS_FROM];
	uint64_t past = end_of(extent);
	dvs_err err = fs_sql_row(fs, stmt);

	if (err != DVS_OK)
		return err;
	err = from_row(fs, stmt, extent);
	if (err == DVS_OK && extent->first < past) {
		fsimage_break(fs->image, "two extents of a file overlap");
		err = DVS_CORRUPT;
	}
	if (err != DVS_OK)
		fs_extents_stop(fs);
	return err;
}

dvs_err fs_extents_from(struct fs *fs, uint64_t ino, uint64_t block, struct fs_extent *extent)
{
	sqlite3_stmt *stmt = fs_sql(fs, FS_SQL_EXTENTS_FROM);
	dvs_err err;

	if (!stmt)
		return fs_sql_error(fs);
	fs_bind(stmt, 1, ino);
	fs_bind(stmt, 2, block);
	*extent = (struct fs_extent){ 0 };
	err = fs_extents_next(fs, extent);
	if (err == DVS_OK && end_of(extent) <= block)
		err = fs_extents_next(fs, extent);
	return err;
}

void fs_extents_stop(struct fs *fs)
{
	(void)sqlite3_reset(fs->sql[FS_SQL_EXTENTS_FROM]);
}

dvs_err fs_extent_at(struct fs *fs, uint64_t ino, uint64_t block, struct fs_extent *extent)
{
	dvs_err err = fs_extents_from(fs, ino, block, extent);

	if (err == DVS_OK)
		fs_extents_stop(fs);
	return err;
}

dvs_err fs_extent_before(struct fs *fs, uint64_t ino, uint64_t block, struct fs_extent *extent)
{
	sqlite3_stmt *stmt = fs_sql(fs, FS_SQL_EXTENT_BEFORE);
	dvs_err err;

	if (stmt) {
		fs_bind(stmt, 1, ino);
		fs_bind(stmt, 2, block);
	}
	err = fs_sql_row(fs, stmt);
	if (err != DVS_OK)
		return err;
	err = from_row(fs, stmt, extent);
	(void)sqlite3_reset(stmt);
	return err;
}

/* ---- changes ---- */

static dvs_err write_row(struct fs *fs, enum fs_sql_id id, uint64_t ino,
			 const struct fs_extent *extent)
{
	sqlite3_stmt *stmt = fs_sql(fs, id);

	if (stmt) {
		fs_bind(stmt, 1, ino);
		fs_bind(stmt, 2, extent->first);
		if (id != FS_SQL_EXTENT_REMOVE) {
			fs_bind(stmt, 3, extent->blocks);
			fs_bind(stmt, 5, extent->epoch);
		}
		if (id == FS_SQL_EXTENT_ADD) {
			fs_bind(stmt, 4, extent->place);
			fs_bind(stmt, 6, extent->is_unwritten);
		}
	}
	return fs_sql_run(fs, stmt);
}

static bool can_join(const struct fs *fs, const struct fs_extent *a, const struct fs_extent *b)
{
	uint64_t over = fsimage_over(fs->image);

	return end_of(a) == b->first && a->place + a->blocks == b->place &&
	       a->is_unwritten == b->is_unwritten &&
	       (a->is_unwritten || a->epoch == b->epoch || (a->epoch <= over && b->epoch <= over));
}

/* The extents before BLOCK: when both are of epochs that are over, they can be one now. */
static dvs_err join_older(struct fs *fs, uint64_t ino, const struct fs_extent *last)
{
	struct fs_extent before = { .blocks = 0 };
	dvs_err err = fs_extent_before(fs, ino, last->first, &before);

	if (err != DVS_OK)
		return err == DVS_NOTFOUND ? DVS_OK : err;
	if (!can_join(fs, &before, last))
		return DVS_OK;
	err = write_row(fs, FS_SQL_EXTENT_REMOVE, ino, last);
	before.blocks += last->blocks;
	return err == DVS_OK ? write_row(fs, FS_SQL_EXTENT_PUT, ino, &before) : err;
}

dvs_err fs_extent_add(struct fs *fs, uint64_t ino, const struct fs_extent *extent)
{
	struct fs_extent added = *extent;
	struct fs_extent before = { .blocks = 0 };
	struct fs_extent behind = { .blocks = 0 };
	bool joins_before;
	dvs_err err = fs_extent_before(fs, ino, added.first, &before);

	if (err != DVS_OK && err != DVS_NOTFOUND)
		return err;
	joins_before = err == DVS_OK && can_join(fs, &before, &added);
	if (err == DVS_OK && !joins_before) {
		err = join_older(fs, ino, &before);
		if (err != DVS_OK)
			return err;
	}
	err = fs_extent_at(fs, ino, end_of(&added), &behind);
	if (err == DVS_OK && can_join(fs, &added, &behind)) {
		err = write_row(fs, FS_SQL_EXTENT_REMOVE, ino, &behind);
		added.blocks += behind.blocks;
	}
	if (err != DVS_OK && err != DVS_NOTFOUND)
		return err;
	if (!joins_before)
		return write_row(fs, FS_SQL_EXTENT_ADD, ino, &added);
	before.blocks += added.blocks;
	if (added.epoch > before.epoch)
		before.epoch = added.epoch;
	return write_row(fs, FS_SQL_EXTENT_PUT, ino, &before);
}

/* Take blocks [FROM, TO), which EXTENT has, out of it. */
static dvs_err cut_one(struct fs *fs, uint64_t ino, const struct fs_extent *extent, uint64_t from,
		       uint64_t to)
{
	struct fs_extent left = *extent, right = *extent;
	dvs_err err;

	left.blocks = from - extent->first;
	right.first = to;
	right.blocks = end_of(extent) - to;
	right.place = extent->place + (to - extent->first);
	if (left.blocks > 0)
		err = write_row(fs, FS_SQL_EXTENT_PUT, ino, &left);
	else
		err = write_row(fs, FS_SQL_EXTENT_REMOVE, ino, extent);
	if (err == DVS_OK && right.blocks > 0)
		err = write_row(fs, FS_SQL_EXTENT_ADD, ino, &right);
	return err;
}

static void count_less(struct fs *fs, struct fs_inode *inode, uint64_t blocks)
{
	uint64_t had = inode->attr.blocks / PER_BLOCK;

	inode->attr.blocks -= least(blocks, had) * PER_BLOCK;
	fs_usage_less(fs, blocks * FS_BLOCK);
}

dvs_err fs_extents_cut(struct fs *fs, struct fs_inode *inode, uint64_t from, uint64_t to,
		       bool do_free)
{
	uint64_t ino = inode->attr.ino;

	while (from < to) {
		struct fs_extent extent = { .blocks = 0 };
		uint64_t begin, end;
		dvs_err err = fs_extent_at(fs, ino, from, &extent);

		if (err == DVS_NOTFOUND || (err == DVS_OK && extent.first >= to))
			return DVS_OK;
		if (err != DVS_OK)
			return err;
		begin = extent.first > from ? extent.first : from;
		end = least(end_of(&extent), to);
		err = cut_one(fs, ino, &extent, begin, end);
		if (err == DVS_OK && do_free) {
			err = fsimage_free(fs->image, extent.place + (begin - extent.first),
					   end - begin);
			count_less(fs, inode, end - begin);
		}
		if (err != DVS_OK)
			return err;
		from = end;
	}
	return DVS_OK;
}

/* Behind what is before it in the file, so that it can be one extent with that; and how many blocks are to be left behind it, if it goes elsewhere. */
static dvs_err plan(struct fs *fs, const struct fs_inode *inode, uint64_t first, uint64_t blocks,
		    uint64_t *goal, uint64_t *ahead)
{
	struct fs_extent before = { .blocks = 0 };
	dvs_err err = fs_extent_before(fs, inode->attr.ino, first, &before);
	uint64_t some = fsimage_medium(fs->image)->bytes / FS_BLOCK / 64;

	*goal = 0;
	*ahead = 0;
	if (err == DVS_OK && first - before.first <= before.blocks + AHEAD_MAX)
		*goal = before.place + (first - before.first);
	else if (err == DVS_OK)
		*goal = before.place + before.blocks;
	if (blocks >= AHEAD_FROM || inode->attr.blocks / PER_BLOCK >= AHEAD_FROM)
		*ahead = least(AHEAD_MAX, some);
	return err == DVS_NOTFOUND ? DVS_OK : err;
}

dvs_err fs_extent_make(struct fs *fs, struct fs_inode *inode, uint64_t first, uint64_t blocks,
		       struct fs_extent *extent, bool *must_sync)
{
	uint64_t goal, ahead, left = fs_usage_left(fs) / FS_BLOCK;
	dvs_err err;

	*must_sync = false;
	if (left == 0)
		return DVS_QUOTA;
	blocks = least(blocks, left);
	err = plan(fs, inode, first, blocks, &goal, &ahead);
	if (err != DVS_OK)
		return err;
	*extent = (struct fs_extent){ .first = first, .is_unwritten = true };
	err = fsimage_alloc(fs->image, goal, blocks, ahead, &extent->place, &extent->blocks,
			    must_sync);
	if (err == DVS_OK)
		err = fs_usage_more(fs, extent->blocks * FS_BLOCK);
	if (err == DVS_OK)
		inode->attr.blocks += extent->blocks * PER_BLOCK;
	return err;
}

dvs_err fs_extents_remove(struct fs *fs, struct fs_inode *inode)
{
	if (inode->attr.blocks == 0)
		return DVS_OK;
	return fs_extents_cut(fs, inode, 0, FS_BLOCKS_MAX, true);
}
