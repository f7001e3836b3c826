/* SPDX-License-Identifier: Apache-2.0 */
/* Contents of files: where they are, reading, looking for holes. */
#include <string.h>

#include "servers/fs/fs_internal.h"

static uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

/* A run more, joined with the last one if it goes on; false: there is no room. */
static bool add_run(struct fs_run *runs, uint32_t *n, uint64_t bytes, uint64_t place)
{
	struct fs_run *last = *n > 0 ? &runs[*n - 1] : NULL;

	if (bytes == 0)
		return true;
	if (last && (place == 0 ? last->place == 0 :
				  last->place != 0 && last->place + last->bytes == place)) {
		last->bytes += bytes;
		return true;
	}
	if (*n == FS_RUNS_MAX)
		return false;
	runs[(*n)++] = (struct fs_run){ .bytes = bytes, .place = place };
	return true;
}

static dvs_err map_extents(struct fs *fs, uint64_t ino, uint64_t offset, uint64_t end,
			   struct fs_run *runs, uint32_t *n)
{
	struct fs_extent extent;
	dvs_err err = fs_extents_from(fs, ino, offset / FS_BLOCK, &extent);

	while (err == DVS_OK && offset < end) {
		uint64_t begin = extent.first * FS_BLOCK, part;

		if (begin > offset) {
			part = least(begin, end) - offset;
			if (!add_run(runs, n, part, 0))
				break;
			offset += part;
		}
		part = least(begin + extent.blocks * FS_BLOCK, end) - offset;
		if (!add_run(runs, n, part,
			     extent.is_unwritten ? 0 : extent.place * FS_BLOCK + offset - begin))
			break;
		offset += part;
		if (offset < end)
			err = fs_extents_next(fs, &extent);
	}
	if (err == DVS_OK)
		fs_extents_stop(fs);
	if (err == DVS_NOTFOUND) {
		(void)add_run(runs, n, end - offset, 0);
		err = DVS_OK;
	}
	return err;
}

dvs_err fs_map(struct fs *fs, uint64_t ino, uint64_t offset, size_t bytes,
	       struct fs_run runs[FS_RUNS_MAX], uint32_t *n_runs, const void **inline_data,
	       size_t *inline_bytes)
{
	struct fs_inode *inode;
	const void *data;
	uint64_t end;
	size_t len;
	dvs_err err = fs_file_get(fs, ino, &inode);

	*n_runs = 0;
	*inline_data = NULL;
	*inline_bytes = 0;
	if (err != DVS_OK || offset >= inode->attr.size)
		return err;
	end = offset + least(bytes, inode->attr.size - offset);
	if (!(inode->flags & FS_INODE_CONTENT))
		return map_extents(fs, ino, offset, end, runs, n_runs);
	err = fs_content_get(fs, inode, &data, &len);
	if (err == DVS_OK && len != inode->attr.size) {
		fsimage_break(fs->image, "a file has less in its row than it is long");
		err = DVS_CORRUPT;
	}
	if (err == DVS_OK) {
		*inline_data = (const uint8_t *)data + offset;
		*inline_bytes = (size_t)(end - offset);
	}
	return err;
}

/* BYTES at byte PLACE of the medium, which need not be whole blocks. */
static dvs_err read_place(struct medium *medium, uint64_t place, uint8_t *to, uint64_t bytes)
{
	uint8_t block[MEDIUM_BLOCK_BYTES];
	dvs_err err = DVS_OK;

	while (err == DVS_OK && bytes > 0) {
		uint64_t at = place % FS_BLOCK;
		uint64_t part = least(bytes, FS_BLOCK - at);

		if (part < FS_BLOCK) {
			err = medium_read(medium, place - at, block, sizeof(block));
			if (err == DVS_OK)
				memcpy(to, block + at, part);
		} else {
			part = bytes - bytes % FS_BLOCK;
			err = medium_read(medium, place, to, part);
		}
		place += part;
		to += part;
		bytes -= part;
	}
	return err;
}

static dvs_err read_runs(struct medium *medium, const struct fs_run *runs, uint32_t n, uint8_t *to,
			 size_t *got)
{
	dvs_err err = DVS_OK;

	for (uint32_t i = 0; err == DVS_OK && i < n; i++) {
		if (runs[i].place == 0)
			memset(to + *got, 0, runs[i].bytes);
		else
			err = read_place(medium, runs[i].place, to + *got, runs[i].bytes);
		*got += runs[i].bytes;
	}
	return err == DVS_OK || err == DVS_NOMEM ? err : DVS_IO;
}

dvs_err fs_read(struct fs *fs, uint64_t ino, uint64_t offset, void *buffer, size_t bytes,
		size_t *got)
{
	struct fs_run runs[FS_RUNS_MAX];
	const void *data;
	size_t data_bytes;
	uint32_t n;
	dvs_err err;

	*got = 0;
	do {
		err = fs_map(fs, ino, offset + *got, bytes - *got, runs, &n, &data, &data_bytes);
		if (err != DVS_OK)
			return err;
		if (data_bytes > 0) {
			memcpy(buffer, data, data_bytes);
			*got = data_bytes;
			break;
		}
		err = read_runs(fsimage_medium(fs->image), runs, n, buffer, got);
	} while (err == DVS_OK && n > 0 && *got < bytes);
	return err;
}

void fs_was_read(struct fs *fs, uint64_t ino)
{
	struct fs_inode *inode;

	if (fs_inode_get(fs, ino, &inode) == DVS_OK)
		fs_inode_touch(fs, inode);
}

/* Data from OFFSET on; the end of the file: there are none. */
static dvs_err find_data(struct fs *fs, const struct fs_inode *inode, uint64_t offset,
			 uint64_t *found)
{
	struct fs_extent extent;
	dvs_err err = fs_extents_from(fs, inode->attr.ino, offset / FS_BLOCK, &extent);

	while (err == DVS_OK && extent.is_unwritten)
		err = fs_extents_next(fs, &extent);
	if (err == DVS_OK)
		fs_extents_stop(fs);
	*found = inode->attr.size;
	if (err == DVS_OK)
		*found = extent.first * FS_BLOCK > offset ? extent.first * FS_BLOCK : offset;
	return err == DVS_NOTFOUND ? DVS_OK : err;
}

static dvs_err find_hole(struct fs *fs, const struct fs_inode *inode, uint64_t offset,
			 uint64_t *found)
{
	struct fs_extent extent;
	dvs_err err = fs_extents_from(fs, inode->attr.ino, offset / FS_BLOCK, &extent);

	*found = offset;
	while (err == DVS_OK && !extent.is_unwritten && extent.first * FS_BLOCK <= *found) {
		*found = (extent.first + extent.blocks) * FS_BLOCK;
		err = fs_extents_next(fs, &extent);
	}
	if (err == DVS_OK)
		fs_extents_stop(fs);
	*found = least(*found, inode->attr.size);
	return err == DVS_NOTFOUND ? DVS_OK : err;
}

dvs_err fs_seek(struct fs *fs, uint64_t ino, uint32_t whence, uint64_t offset, uint64_t *found)
{
	struct fs_inode *inode;
	dvs_err err = fs_file_get(fs, ino, &inode);

	if (err != DVS_OK)
		return err;
	if (whence != FS_SEEK_DATA && whence != FS_SEEK_HOLE)
		return DVS_BADARG;
	if (offset >= inode->attr.size)
		return DVS_NODATA;
	if (inode->flags & FS_INODE_CONTENT) {
		*found = whence == FS_SEEK_DATA ? offset : inode->attr.size;
		return DVS_OK;
	}
	if (whence == FS_SEEK_HOLE)
		return find_hole(fs, inode, offset, found);
	err = find_data(fs, inode, offset, found);
	return err == DVS_OK && *found >= inode->attr.size ? DVS_NODATA : err;
}
