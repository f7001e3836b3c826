/* SPDX-License-Identifier: Apache-2.0 */
/* Bytes of files in blocks of the medium, and what makes them zeroes. */
#include <string.h>

#include "servers/fs/fs_internal.h"

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

dvs_err fs_file_get(struct fs *fs, uint64_t ino, struct fs_inode **inode)
{
	dvs_err err = fs_inode_get(fs, ino, inode);

	if (err != DVS_OK)
		return err;
	if (S_ISDIR((*inode)->attr.mode))
		return DVS_ISDIR;
	return S_ISREG((*inode)->attr.mode) ? DVS_OK : DVS_BADARG;
}

/* Part of one block: AT, BYTES within it. */
static dvs_err put_part(struct fs *fs, const struct fs_inode *inode, uint64_t place, uint64_t block,
			bool is_fresh, uint64_t at, const uint8_t *data, uint64_t bytes)
{
	struct medium *medium = fsimage_medium(fs->image);
	uint64_t begin = block * FS_BLOCK, size = inode->attr.size;
	uint8_t room[MEDIUM_BLOCK_BYTES] = { 0 };
	dvs_err err = DVS_OK;

	if (!is_fresh && size > begin) {
		err = medium_read(medium, place * FS_BLOCK, room, sizeof(room));
		if (err == DVS_OK && size - begin < FS_BLOCK)
			memset(room + (size - begin), 0, FS_BLOCK - (size - begin));
	}
	if (err != DVS_OK)
		return err;
	if (data)
		memcpy(room + at, data, bytes);
	else
		memset(room + at, 0, bytes);
	return medium_write(medium, place * FS_BLOCK, room, sizeof(room));
}

static dvs_err put(struct fs *fs, const struct fs_inode *inode, const struct fs_extent *extent,
		   bool is_fresh, uint64_t offset, const uint8_t *data, uint64_t bytes)
{
	struct medium *medium = fsimage_medium(fs->image);
	dvs_err err = DVS_OK;

	while (err == DVS_OK && bytes > 0) {
		uint64_t block = offset / FS_BLOCK, at = offset % FS_BLOCK;
		uint64_t place = extent->place + (block - extent->first);
		uint64_t part = least(bytes, FS_BLOCK - at);

		if (part < FS_BLOCK) {
			err = put_part(fs, inode, place, block, is_fresh, at, data, part);
		} else {
			part = bytes - bytes % FS_BLOCK;
			err = data ? medium_write(medium, place * FS_BLOCK, data, part) :
				     medium_zero(medium, place * FS_BLOCK, part);
		}
		offset += part;
		bytes -= part;
		if (data)
			data += part;
	}
	return err;
}

dvs_err fs_data_put(struct fs *fs, const struct fs_inode *inode, const struct fs_extent *extent,
		    bool is_fresh, uint64_t offset, const uint8_t *data, uint64_t bytes)
{
	dvs_err err = put(fs, inode, extent, is_fresh, offset, data, bytes);

	/* Nobody knows what is there now, and whether the medium will do the next time. */
	if (err != DVS_OK && err != DVS_NOSPACE && err != DVS_NOMEM) {
		fsimage_break(fs->image, "the medium failed: %s", dvs_strerror(err));
		err = DVS_IO;
	}
	return err;
}

dvs_err fs_data_spill(struct fs *fs, struct fs_inode *inode, bool *must_sync)
{
	struct fs_extent extent;
	const void *data;
	size_t bytes;
	dvs_err err;

	*must_sync = false;
	if (!(inode->flags & FS_INODE_CONTENT))
		return DVS_OK;
	err = fs_content_get(fs, inode, &data, &bytes);
	if (err == DVS_OK && bytes > FS_BLOCK)
		err = DVS_CORRUPT;
	if (err == DVS_OK && bytes > 0) {
		err = fs_extent_make(fs, inode, 0, 1, &extent, must_sync);
		if (err == DVS_OK)
			err = fs_data_put(fs, inode, &extent, true, 0, data, bytes);
		extent.is_unwritten = false;
		extent.epoch = fsimage_new_data(fs->image);
		if (err == DVS_OK)
			err = fs_extent_add(fs, inode->attr.ino, &extent);
	}
	return err == DVS_OK ? fs_content_put(fs, inode, NULL, 0) : err;
}

dvs_err fs_data_zero(struct fs *fs, const struct fs_inode *inode, uint64_t offset, uint64_t bytes)
{
	while (bytes > 0) {
		struct fs_extent extent;
		uint64_t begin, end;
		dvs_err err = fs_extent_at(fs, inode->attr.ino, offset / FS_BLOCK, &extent);

		if (err == DVS_NOTFOUND ||
		    (err == DVS_OK && extent.first * FS_BLOCK >= offset + bytes))
			return DVS_OK;
		if (err != DVS_OK)
			return err;
		begin = extent.first * FS_BLOCK > offset ? extent.first * FS_BLOCK : offset;
		end = least((extent.first + extent.blocks) * FS_BLOCK, offset + bytes);
		if (!extent.is_unwritten)
			err = fs_data_put(fs, inode, &extent, false, begin, NULL, end - begin);
		if (err != DVS_OK)
			return err;
		bytes = offset + bytes - end;
		offset = end;
	}
	return DVS_OK;
}

dvs_err fs_data_extend(struct fs *fs, struct fs_inode *inode, uint64_t bytes)
{
	uint64_t size = inode->attr.size, in_block = size % FS_BLOCK;
	dvs_err err = DVS_OK;

	if (in_block > 0 && !(inode->flags & FS_INODE_CONTENT) && inode->attr.blocks > 0)
		err = fs_data_zero(fs, inode, size, FS_BLOCK - in_block);
	if (err == DVS_OK)
		inode->attr.size = bytes;
	return err;
}
