/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of files: writing, cutting, giving space. Data are in the medium before the change set that makes them the file's; blocks that are the file's for the first time belong to the present epoch. */
#include <stdlib.h>
#include <string.h>

#include "servers/fs/fs_internal.h"

#define COPY_BYTES (UINT64_C(16) << 20) /* at most in one call */
#define COPY_ROOM (256u << 10)
#define KEEP_SIZE 1u
#define PUNCH_HOLE 2u
#define ZERO_RANGE 16u

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

static uint64_t blocks_to(uint64_t bytes)
{
	return (bytes + FS_BLOCK - 1) / FS_BLOCK;
}

/* ---- in the row ---- */

/* Whether the file, made BYTES long, can have its contents in its row. */
static bool fits_row(const struct fs_inode *inode, uint64_t bytes)
{
	return bytes <= FS_INLINE_MAX && inode->attr.size <= FS_INLINE_MAX &&
	       inode->attr.blocks == 0;
}

/* DATA NULL: only the new size counts. */
static dvs_err write_row(struct fs *fs, struct fs_inode *inode, uint64_t size, uint64_t offset,
			 const void *data, size_t bytes)
{
	uint8_t room[FS_INLINE_MAX] = { 0 };
	const void *old;
	size_t old_bytes;
	dvs_err err = fs_content_get(fs, inode, &old, &old_bytes);

	if (err != DVS_OK)
		return err;
	memcpy(room, old, old_bytes < size ? old_bytes : (size_t)size);
	if (data)
		memcpy(room + offset, data, bytes);
	err = fs_content_put(fs, inode, size > 0 ? room : NULL, (size_t)size);
	if (err == DVS_OK)
		inode->attr.size = size;
	return err;
}

/* ---- in blocks ---- */

/* As much of [OFFSET, END) as is of one kind: *PART bytes were written. */
static dvs_err write_some(struct fs *fs, struct fs_inode *inode, uint64_t offset, uint64_t end,
			  const uint8_t *data, uint64_t *part, bool *must_sync)
{
	uint64_t first = offset / FS_BLOCK, past = blocks_to(end), ino = inode->attr.ino;
	struct fs_extent extent;
	bool is_hole;
	dvs_err err = fs_extent_at(fs, ino, first, &extent);

	if (err != DVS_OK && err != DVS_NOTFOUND)
		return err;
	is_hole = err == DVS_NOTFOUND || extent.first > first;
	if (is_hole) {
		if (err == DVS_OK)
			past = least(past, extent.first);
		err = fs_extent_make(fs, inode, first, past - first, &extent, must_sync);
		if (err != DVS_OK)
			return err;
	}
	past = least(past, extent.first + extent.blocks);
	*part = least(end, past * FS_BLOCK) - offset;
	err = fs_data_put(fs, inode, &extent, extent.is_unwritten, offset, data, *part);
	if (err != DVS_OK || !extent.is_unwritten)
		return err;
	if (!is_hole)
		err = fs_extents_cut(fs, inode, first, past, false);
	extent.place += first - extent.first;
	extent.first = first;
	extent.blocks = past - first;
	extent.is_unwritten = false;
	extent.epoch = fsimage_new_data(fs->image);
	return err == DVS_OK ? fs_extent_add(fs, ino, &extent) : err;
}

static dvs_err write_blocks(struct fs *fs, struct fs_inode *inode, uint64_t offset,
			    const uint8_t *data, uint64_t bytes, size_t *done, bool *must_sync)
{
	dvs_err err = fs_data_spill(fs, inode, must_sync);

	if (err == DVS_OK && offset > inode->attr.size)
		err = fs_data_extend(fs, inode, offset);
	while (err == DVS_OK && *done < bytes) {
		uint64_t part;

		err = write_some(fs, inode, offset + *done, offset + bytes, data + *done, &part,
				 must_sync);
		if (err == DVS_OK)
			*done += part;
		if (err == DVS_OK && offset + *done > inode->attr.size)
			inode->attr.size = offset + *done;
	}
	/* A part is better than nothing, unless all can be had. */
	if ((err == DVS_NOSPACE || err == DVS_QUOTA) && *done > 0 && !*must_sync &&
	    !sqlite3_get_autocommit(fs->db))
		err = DVS_OK;
	return err;
}

dvs_err fs_write(struct fs *fs, uint64_t ino, uint64_t offset, const void *data, size_t bytes,
		 bool drop, size_t *done, struct fs_attr *attr, bool *must_sync)
{
	struct fs_inode *inode;
	uint64_t end;
	dvs_err err = fs_file_get(fs, ino, &inode);

	*done = 0;
	*must_sync = false;
	if (err != DVS_OK)
		return err;
	if (bytes > 0 && offset >= (uint64_t)FS_FILE_MAX)
		return DVS_FILEBIG;
	bytes = (size_t)least(bytes, (uint64_t)FS_FILE_MAX - offset);
	if (bytes == 0) {
		*attr = inode->attr;
		return DVS_OK;
	}
	end = offset + bytes;
	if (!fits_row(inode, end) && fs_usage_left(fs) < FS_BLOCK && inode->attr.blocks == 0)
		return DVS_QUOTA;
	err = fs_inode_change(fs, inode);
	if (err == DVS_OK && fits_row(inode, end)) {
		err = write_row(fs, inode, end > inode->attr.size ? end : inode->attr.size, offset,
				data, bytes);
		*done = bytes;
	} else if (err == DVS_OK) {
		err = write_blocks(fs, inode, offset, data, bytes, done, must_sync);
	}
	if (err == DVS_OK)
		fs_inode_stamp(inode, FS_MTIME | FS_CTIME);
	if (err == DVS_OK && drop)
		err = fs_drop_privileges(fs, NULL, inode);
	*attr = inode->attr;
	return err;
}

dvs_err fs_truncate(struct fs *fs, uint64_t ino, uint64_t bytes)
{
	struct fs_inode *inode;
	bool must_sync;
	dvs_err err = fs_file_get(fs, ino, &inode);

	if (err != DVS_OK)
		return err;
	if (bytes > (uint64_t)FS_FILE_MAX)
		return DVS_FILEBIG;
	err = fs_inode_change(fs, inode);
	if (err != DVS_OK)
		return err;
	if (fits_row(inode, bytes)) {
		err = write_row(fs, inode, bytes, 0, NULL, 0);
	} else if (bytes >= inode->attr.size) {
		err = fs_data_spill(fs, inode, &must_sync);
		if (err == DVS_OK)
			err = fs_data_extend(fs, inode, bytes);
	} else if (inode->flags & FS_INODE_CONTENT) {
		err = DVS_CORRUPT;
	} else {
		inode->attr.size = bytes;
	}
	if (err == DVS_OK && inode->attr.blocks > 0)
		err = fs_extents_cut(fs, inode, blocks_to(bytes), FS_BLOCKS_MAX, true);
	if (err == DVS_OK)
		fs_inode_stamp(inode, FS_MTIME | FS_CTIME);
	return err;
}

/* ---- fallocate ---- */

/* Unwritten extents wherever [FIRST, PAST) has none. */
static dvs_err fill_holes(struct fs *fs, struct fs_inode *inode, uint64_t first, uint64_t past,
			  bool *must_sync)
{
	while (first < past) {
		struct fs_extent extent;
		uint64_t end = past;
		dvs_err err = fs_extent_at(fs, inode->attr.ino, first, &extent);

		if (err == DVS_OK && extent.first <= first) {
			first = extent.first + extent.blocks;
			continue;
		}
		if (err == DVS_OK)
			end = least(end, extent.first);
		else if (err != DVS_NOTFOUND)
			return err;
		err = fs_extent_make(fs, inode, first, end - first, &extent, must_sync);
		if (err == DVS_OK)
			err = fs_extent_add(fs, inode->attr.ino, &extent);
		if (err != DVS_OK)
			return err;
		first += extent.blocks;
	}
	return DVS_OK;
}

/* What is written in [FIRST, PAST) is so no more. */
static dvs_err unwrite(struct fs *fs, struct fs_inode *inode, uint64_t first, uint64_t past)
{
	while (first < past) {
		struct fs_extent extent;
		uint64_t begin, end;
		dvs_err err = fs_extent_at(fs, inode->attr.ino, first, &extent);

		if (err == DVS_NOTFOUND || (err == DVS_OK && extent.first >= past))
			return DVS_OK;
		if (err != DVS_OK)
			return err;
		begin = extent.first > first ? extent.first : first;
		end = least(extent.first + extent.blocks, past);
		if (!extent.is_unwritten) {
			struct fs_extent blank = { .first = begin,
						   .blocks = end - begin,
						   .place = extent.place + begin - extent.first,
						   .is_unwritten = true };

			err = fs_extents_cut(fs, inode, begin, end, false);
			if (err == DVS_OK)
				err = fs_extent_add(fs, inode->attr.ino, &blank);
		}
		if (err != DVS_OK)
			return err;
		first = end;
	}
	return DVS_OK;
}

/* Zeroes in [OFFSET, END): whole blocks go (DO_FREE) or are unwritten, parts are overwritten. */
static dvs_err blank(struct fs *fs, struct fs_inode *inode, uint64_t offset, uint64_t end,
		     bool do_free)
{
	uint64_t first = blocks_to(offset), past = end / FS_BLOCK;
	dvs_err err;

	if (first > past)
		return fs_data_zero(fs, inode, offset, end - offset);
	err = fs_data_zero(fs, inode, offset, first * FS_BLOCK - offset);
	if (err == DVS_OK)
		err = fs_data_zero(fs, inode, past * FS_BLOCK, end - past * FS_BLOCK);
	if (err != DVS_OK)
		return err;
	return do_free ? fs_extents_cut(fs, inode, first, past, true) :
			 unwrite(fs, inode, first, past);
}

/* In the row of the file there are no holes. */
static dvs_err blank_row(struct fs *fs, struct fs_inode *inode, uint64_t offset, uint64_t end)
{
	static const uint8_t zeroes[FS_INLINE_MAX];

	if (end > inode->attr.size)
		end = inode->attr.size;
	if (offset >= end)
		return DVS_OK;
	return write_row(fs, inode, inode->attr.size, offset, zeroes, (size_t)(end - offset));
}

static dvs_err allocate(struct fs *fs, struct fs_inode *inode, uint32_t mode, uint64_t offset,
			uint64_t end, bool *must_sync)
{
	bool is_row = inode->flags & FS_INODE_CONTENT;
	dvs_err err = DVS_OK;

	if (is_row && mode & (PUNCH_HOLE | ZERO_RANGE) && end <= inode->attr.size)
		return blank_row(fs, inode, offset, end);
	if (is_row && mode & PUNCH_HOLE)
		return blank_row(fs, inode, offset, end);
	err = fs_data_spill(fs, inode, must_sync);
	if (err == DVS_OK && mode & (PUNCH_HOLE | ZERO_RANGE))
		err = blank(fs, inode, offset, end, mode & PUNCH_HOLE);
	if (err == DVS_OK && !(mode & PUNCH_HOLE))
		err = fill_holes(fs, inode, offset / FS_BLOCK, blocks_to(end), must_sync);
	if (err == DVS_OK && !(mode & KEEP_SIZE) && end > inode->attr.size)
		err = fs_data_extend(fs, inode, end);
	return err;
}

dvs_err fs_allocate(struct fs *fs, uint64_t ino, uint32_t mode, uint64_t offset, uint64_t bytes,
		    struct fs_attr *attr, bool *must_sync)
{
	struct fs_inode *inode;
	dvs_err err = fs_file_get(fs, ino, &inode);

	*must_sync = false;
	if (err != DVS_OK)
		return err;
	if (mode & ~(KEEP_SIZE | PUNCH_HOLE | ZERO_RANGE) ||
	    (mode & PUNCH_HOLE && mode != (PUNCH_HOLE | KEEP_SIZE)))
		return DVS_NOTSUP;
	if (bytes == 0 || offset > INT64_MAX || bytes > INT64_MAX)
		return DVS_BADARG;
	if (offset > (uint64_t)FS_FILE_MAX || bytes > (uint64_t)FS_FILE_MAX - offset)
		return DVS_FILEBIG;
	/* What can never be had is refused before anything is done. */
	if (!(mode & (PUNCH_HOLE | ZERO_RANGE)) && inode->attr.blocks == 0 &&
	    fs_usage_left(fs) < bytes)
		return DVS_QUOTA;
	err = fs_inode_change(fs, inode);
	if (err == DVS_OK)
		err = allocate(fs, inode, mode, offset, offset + bytes, must_sync);
	/* Some of it has been done: the change set cannot go on. */
	if (err == DVS_QUOTA)
		err = DVS_NOSPACE;
	if (err == DVS_OK)
		fs_inode_stamp(inode, mode & KEEP_SIZE && !(mode & (PUNCH_HOLE | ZERO_RANGE)) ?
					      FS_CTIME :
					      FS_MTIME | FS_CTIME);
	*attr = inode->attr;
	return err;
}

/* ---- copying ---- */

static bool overlaps(uint64_t a, uint64_t b, uint64_t bytes)
{
	return a < b ? b - a < bytes : a - b < bytes;
}

/* How many of at most BYTES bytes from OFFSET on, all within the file, are a hole, or (not *IS_HOLE) data. */
static dvs_err run_at(struct fs *fs, uint64_t ino, uint64_t offset, uint64_t bytes, uint64_t *run,
		      bool *is_hole)
{
	uint64_t end = offset;
	dvs_err err = fs_seek(fs, ino, FS_SEEK_DATA, offset, &end);

	*run = bytes;
	*is_hole = err == DVS_NODATA || end > offset;
	if (err == DVS_NODATA)
		return DVS_OK;
	if (err == DVS_OK && !*is_hole)
		err = fs_seek(fs, ino, FS_SEEK_HOLE, offset, &end);
	*run = least(end - offset, bytes);
	return err;
}

/* A hole is copied as one. */
static dvs_err copy_hole(struct fs *fs, struct fs_inode *target, uint64_t offset, uint64_t bytes,
			 struct fs_attr *attr)
{
	bool must_sync;
	dvs_err err = DVS_OK;

	if (offset >= (uint64_t)FS_FILE_MAX || bytes > (uint64_t)FS_FILE_MAX - offset)
		return DVS_FILEBIG;
	if (offset < target->attr.size)
		err = fs_allocate(fs, target->attr.ino, PUNCH_HOLE | KEEP_SIZE, offset, bytes, attr,
				  &must_sync);
	if (err == DVS_OK && offset + bytes > target->attr.size)
		err = fs_truncate(fs, target->attr.ino, offset + bytes);
	if (err == DVS_OK)
		err = fs_inode_change(fs, target);
	if (err == DVS_OK)
		err = fs_drop_privileges(fs, NULL, target);
	*attr = target->attr;
	return err;
}

dvs_err fs_copy(struct fs *fs, uint64_t from, uint64_t from_offset, uint64_t to, uint64_t to_offset,
		uint64_t bytes, uint64_t *done, struct fs_attr *attr, bool *must_sync)
{
	struct fs_inode *source, *target;
	dvs_err err = fs_file_get(fs, from, &source);
	uint8_t *room;

	*done = 0;
	*must_sync = false;
	if (err == DVS_OK)
		err = fs_file_get(fs, to, &target);
	if (err != DVS_OK)
		return err;
	*attr = target->attr;
	bytes = from_offset < source->attr.size ? least(bytes, source->attr.size - from_offset) : 0;
	if (from == to && overlaps(from_offset, to_offset, bytes))
		return DVS_BADARG;
	bytes = least(bytes, COPY_BYTES);
	room = malloc(COPY_ROOM);
	if (!room)
		return DVS_NOMEM;
	while (err == DVS_OK && *done < bytes) {
		size_t got, put = 0;
		uint64_t run;
		bool is_hole;

		err = run_at(fs, from, from_offset + *done, bytes - *done, &run, &is_hole);
		if (err == DVS_OK && is_hole) {
			err = copy_hole(fs, target, to_offset + *done, run, attr);
			*done += err == DVS_OK ? run : 0;
			continue;
		}
		if (err == DVS_OK)
			err = fs_read(fs, from, from_offset + *done, room,
				      (size_t)least(run, COPY_ROOM), &got);
		if (err == DVS_OK && got > 0)
			err = fs_write(fs, to, to_offset + *done, room, got, true, &put, attr,
				       must_sync);
		if (err == DVS_OK)
			*done += put;
		if (err == DVS_OK && put < got)
			break;
		if (err == DVS_OK && got == 0)
			break;
	}
	free(room);
	if (*done > 0)
		fs_was_read(fs, from);
	if ((err == DVS_NOSPACE || err == DVS_QUOTA || err == DVS_FILEBIG) && *done > 0 &&
	    !*must_sync && !sqlite3_get_autocommit(fs->db))
		err = DVS_OK;
	return err;
}
