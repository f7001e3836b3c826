/* SPDX-License-Identifier: Apache-2.0 */
/* SQLite's files on chunks. What is written goes into the window as long as it joins what is there; whatever is elsewhere moves the window. */
#include <assert.h>
#include <string.h>

#include "servers/fs/fsimage_internal.h"

static inline uint64_t least(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

uint64_t fsimage_file_room(const struct fsimage *image, const struct image_file *file)
{
	return (uint64_t)file->n_chunks * image->super.chunk_bytes;
}

/* Where byte OFFSET is on the medium, and how many bytes from there on are together. */
static uint64_t place_of(const struct fsimage *image, const struct image_file *file,
			 uint64_t offset, uint64_t *together)
{
	uint64_t chunk_bytes = image->super.chunk_bytes;
	uint64_t i = offset / chunk_bytes;

	assert(i < file->n_chunks);
	*together = chunk_bytes - offset % chunk_bytes;
	for (uint64_t n = 1; i + n < file->n_chunks && file->chunk[i + n] == file->chunk[i] + n;
	     n++) {
		*together += chunk_bytes;
		if (*together >= WINDOW_BYTES)
			break;
	}
	return file->chunk[i] * chunk_bytes + offset % chunk_bytes;
}

/* Whole blocks of the file. */
static dvs_err read_blocks(struct fsimage *image, const struct image_file *file, uint64_t offset,
			   uint8_t *buffer, uint64_t bytes)
{
	dvs_err err = DVS_OK;

	while (err == DVS_OK && bytes > 0) {
		uint64_t part;
		uint64_t place = place_of(image, file, offset, &part);

		part = least(part, bytes);
		err = medium_read(image->medium, place, buffer, part);
		offset += part;
		buffer += part;
		bytes -= part;
	}
	return err;
}

static dvs_err write_blocks(struct fsimage *image, const struct image_file *file, uint64_t offset,
			    const uint8_t *data, uint64_t bytes)
{
	dvs_err err = DVS_OK;

	while (err == DVS_OK && bytes > 0) {
		uint64_t part;
		uint64_t place = place_of(image, file, offset, &part);

		part = least(part, bytes);
		err = medium_write(image->medium, place, data, part);
		offset += part;
		data += part;
		bytes -= part;
	}
	return err;
}

/* ---- the window ---- */

/* The window ends within a block: what is behind it there belongs to the block, too. */
static dvs_err fill_last_block(struct fsimage *image, struct image_file *file)
{
	uint32_t in_block = file->len % BLOCK;
	uint8_t block[BLOCK];
	dvs_err err = DVS_OK;

	if (in_block == 0)
		return DVS_OK;
	if (file->at + file->len >= file->high) {
		memset(file->window + file->len, 0, BLOCK - in_block);
		return DVS_OK;
	}
	err = read_blocks(image, file, file->at + file->len - in_block, block, BLOCK);
	if (err == DVS_OK) {
		memcpy(file->window + file->len, block + in_block, BLOCK - in_block);
		file->len += BLOCK - in_block;
	}
	return err;
}

dvs_err fsimage_file_put(struct fsimage *image, struct image_file *file)
{
	uint32_t from = file->dirty_from / BLOCK * BLOCK;
	uint32_t to = (file->dirty_to + BLOCK - 1) / BLOCK * BLOCK;
	dvs_err err;

	if (file->dirty_from >= file->dirty_to)
		return DVS_OK;
	err = fill_last_block(image, file);
	if (err == DVS_OK)
		err = write_blocks(image, file, file->at + from, file->window + from, to - from);
	if (err == DVS_OK)
		file->dirty_from = file->dirty_to = 0;
	return err;
}

/* An empty window at OFFSET, with what is in front of it in its block. */
static dvs_err move_window(struct fsimage *image, struct image_file *file, uint64_t offset)
{
	uint32_t in_block = (uint32_t)(offset % BLOCK);
	dvs_err err = fsimage_file_put(image, file);

	if (err != DVS_OK)
		return err;
	file->at = offset - in_block;
	file->len = in_block;
	file->dirty_from = file->dirty_to = 0;
	if (in_block > 0 && file->at < file->high) {
		file->len = 0;
		err = read_blocks(image, file, file->at, file->window, BLOCK);
		if (err == DVS_OK)
			file->len = BLOCK;
	} else {
		memset(file->window, 0, in_block);
	}
	return err;
}

dvs_err fsimage_file_write(struct fsimage *image, struct image_file *file, uint64_t offset,
			   const void *data, size_t bytes)
{
	const uint8_t *from = data;

	assert(offset + bytes <= fsimage_file_room(image, file));
	while (bytes > 0) {
		size_t part;
		uint32_t begin, end;

		if (offset < file->at || offset > file->at + file->len ||
		    offset == file->at + WINDOW_BYTES) {
			dvs_err err = move_window(image, file, offset);

			if (err != DVS_OK)
				return err;
		}
		begin = (uint32_t)(offset - file->at);
		part = (size_t)least(bytes, WINDOW_BYTES - begin);
		end = begin + (uint32_t)part;
		memcpy(file->window + begin, from, part);
		file->len = end > file->len ? end : file->len;
		if (file->dirty_from >= file->dirty_to) {
			file->dirty_from = begin;
			file->dirty_to = end;
		}
		file->dirty_from = begin < file->dirty_from ? begin : file->dirty_from;
		file->dirty_to = end > file->dirty_to ? end : file->dirty_to;
		offset += part;
		from += part;
		bytes -= part;
		if (file->high < offset)
			file->high = offset;
	}
	return DVS_OK;
}

/* ---- reading ---- */

/* From the medium, no more than up to LIMIT, whatever the offset; *GOT bytes. */
static dvs_err read_some(struct fsimage *image, const struct image_file *file, uint64_t offset,
			 uint8_t *buffer, uint64_t bytes, uint64_t *got)
{
	uint8_t block[BLOCK];
	uint64_t in_block = offset % BLOCK;
	dvs_err err;

	if (in_block == 0 && bytes >= BLOCK) {
		*got = bytes - bytes % BLOCK;
		return read_blocks(image, file, offset, buffer, *got);
	}
	*got = least(bytes, BLOCK - in_block);
	err = read_blocks(image, file, offset - in_block, block, BLOCK);
	if (err == DVS_OK)
		memcpy(buffer, block + in_block, *got);
	return err;
}

dvs_err fsimage_file_read(struct fsimage *image, struct image_file *file, uint64_t offset,
			  void *buffer, size_t bytes, bool *is_short)
{
	uint64_t room = fsimage_file_room(image, file);
	uint64_t window_end = file->at + file->len;
	uint8_t *to = buffer;
	dvs_err err = DVS_OK;

	*is_short = offset > room || bytes > room - offset;
	if (*is_short) {
		memset(buffer, 0, bytes);
		bytes = offset < room ? (size_t)(room - offset) : 0;
	}
	while (err == DVS_OK && bytes > 0) {
		uint64_t part;

		if (offset >= file->at && offset < window_end) {
			part = least(bytes, window_end - offset);
			memcpy(to, file->window + (offset - file->at), part);
		} else {
			part = offset < file->at ? least(bytes, file->at - offset) : bytes;
			err = read_some(image, file, offset, to, part, &part);
		}
		offset += part;
		to += part;
		bytes -= (size_t)part;
	}
	return err;
}

/* ---- the log ---- */

dvs_err fsimage_log_clear(struct fsimage *image)
{
	static const uint8_t zeroes[BLOCK];
	struct image_file *file = LOG_FILE(image);
	dvs_err err = DVS_OK;

	file->at = 0;
	file->len = 0;
	file->dirty_from = file->dirty_to = 0;
	if (file->high == 0)
		return DVS_OK;
	if (file->n_chunks > 0)
		err = write_blocks(image, file, 0, zeroes, BLOCK);
	if (err != DVS_OK)
		return err;
	if (file->n_chunks > image->log_chunks)
		err = fsimage_map_shorten(image, file, image->log_chunks);
	else
		err = fsimage_flush(image);
	if (err == DVS_OK)
		file->high = 0;
	return err;
}
