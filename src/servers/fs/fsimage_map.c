/* SPDX-License-Identifier: Apache-2.0 */
/* Which chunks the database and its log have, in order, as runs. Each new map goes to the room of the one before the last, after the last one has been flushed: a torn one leaves that. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <xxhash.h>

#include "base/cleanup.h"
#include "base/cursor.h"
#include "servers/fs/fsimage_internal.h"

#define MAGIC UINT64_C(0x50414d534b4e4843) /* "CHNKSMAP" */
#define FIXED_BYTES (8u + 8u + 4u + 4u + 8u)
#define RUN_BYTES 8u

static const uint64_t rooms[2] = { 64u << 10, 512u << 10 };

dvs_err fsimage_map_init(struct fsimage *image)
{
	image->n_chunks = (uint32_t)(image->super.bytes / image->super.chunk_bytes);
	image->owner = calloc(image->n_chunks, 1);
	image->map_room = malloc(MAP_ROOM_BYTES);
	for (int i = 0; i < 2; i++) {
		image->files[i].owner = i == 0 ? CHUNK_DB : CHUNK_LOG;
		image->files[i].window = malloc(WINDOW_BYTES);
		image->files[i].high = UINT64_MAX;
		if (!image->files[i].window)
			return DVS_NOMEM;
	}
	if (!image->owner || !image->map_room)
		return DVS_NOMEM;
	image->owner[0] = CHUNK_HEAD;
	image->n_nobodys = image->n_chunks - 1;
	return DVS_OK;
}

void fsimage_map_free(struct fsimage *image)
{
	for (int i = 0; i < 2; i++) {
		free(image->files[i].window);
		free(image->files[i].chunk);
	}
	free(image->map_room);
	free(image->owner);
	free(image->taken);
}

void fsimage_map_own(struct fsimage *image, uint32_t chunk, enum chunk_owner owner)
{
	assert(chunk < image->n_chunks);
	if (image->owner[chunk] == CHUNK_NOBODY)
		image->n_nobodys--;
	image->owner[chunk] = (uint8_t)owner;
	if (owner == CHUNK_NOBODY)
		image->n_nobodys++;
}

uint32_t fsimage_map_reserve(const struct fsimage *image)
{
	return 1 + image->n_chunks / 128;
}

bool fsimage_is_data(const struct fsimage *image, uint64_t start, uint64_t blocks)
{
	uint64_t per_chunk = image_chunk_blocks(image);
	uint64_t all = per_chunk * image->n_chunks;

	if (blocks == 0 || start >= all || blocks > all - start)
		return false;
	for (uint64_t c = start / per_chunk; c <= (start + blocks - 1) / per_chunk; c++) {
		if (image->owner[c] != CHUNK_DATA)
			return false;
	}
	return true;
}

static dvs_err add_chunk(struct fsimage *image, struct image_file *file, uint32_t chunk)
{
	if (file->n_chunks == file->chunks_room) {
		uint32_t room = file->chunks_room ? file->chunks_room * 2 : 16;
		uint32_t *more = realloc(file->chunk, room * sizeof(*more));

		if (!more)
			return DVS_NOMEM;
		file->chunk = more;
		file->chunks_room = room;
	}
	file->chunk[file->n_chunks++] = chunk;
	fsimage_map_own(image, chunk, file->owner);
	return DVS_OK;
}

/* ---- on the medium ---- */

dvs_err fsimage_map_wipe(struct medium *medium)
{
	static const uint8_t zeroes[BLOCK];
	dvs_err err = DVS_OK;

	for (int i = 0; err == DVS_OK && i < 2; i++)
		err = medium_write(medium, rooms[i], zeroes, BLOCK);
	return err == DVS_OK ? medium_flush(medium) : err;
}

/* How many chunks from FILE's number I on follow each other on the medium. */
static uint32_t run_from(const struct image_file *file, uint32_t i)
{
	uint32_t n = 1;

	while (i + n < file->n_chunks && file->chunk[i + n] == file->chunk[i] + n)
		n++;
	return n;
}

static uint32_t count_runs(const struct image_file *file)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < file->n_chunks; i += run_from(file, i))
		n++;
	return n;
}

dvs_err fsimage_map_write(struct fsimage *image)
{
	struct writer out = writer_over(image->map_room, MAP_ROOM_BYTES);
	size_t len;
	dvs_err err = DVS_OK;

	memset(image->map_room, 0, MAP_ROOM_BYTES);
	writer_u64(&out, MAGIC);
	writer_u64(&out, image->map_generation + 1);
	for (int f = 0; f < 2; f++)
		writer_u32(&out, count_runs(&image->files[f]));
	for (int f = 0; f < 2; f++) {
		const struct image_file *file = &image->files[f];

		for (uint32_t i = 0; i < file->n_chunks; i += run_from(file, i)) {
			writer_u32(&out, file->chunk[i]);
			writer_u32(&out, run_from(file, i));
		}
	}
	writer_u64(&out, XXH3_64bits(image->map_room, writer_len(&out)));
	if (!writer_ok(&out))
		return DVS_NOSPACE;
	if (!image->map_is_flushed)
		err = fsimage_flush(image);
	if (err != DVS_OK)
		return err;
	len = (writer_len(&out) + BLOCK - 1) / BLOCK * BLOCK;
	err = medium_write(image->medium, rooms[(image->map_generation + 1) % 2], image->map_room,
			   len);
	if (err != DVS_OK) {
		/* Perhaps it is there. */
		fsimage_break(image, "the map of chunks could not be written: %s",
			      dvs_strerror(err));
		return err;
	}
	image->map_generation++;
	image->map_is_flushed = false;
	return DVS_OK;
}

/* The bytes of a map with this many runs; 0: there can be none. */
static size_t map_bytes(uint32_t n_db, uint32_t n_log)
{
	uint64_t bytes = FIXED_BYTES + ((uint64_t)n_db + n_log) * RUN_BYTES;

	return bytes <= MAP_ROOM_BYTES ? (size_t)bytes : 0;
}

/* The generation of the map at AT, 0: it is none. */
static uint64_t map_generation(const uint8_t *at)
{
	struct cursor in = cursor_over(at, MAP_ROOM_BYTES);
	uint64_t magic = cursor_u64(&in), generation = cursor_u64(&in);
	uint32_t n_db = cursor_u32(&in);
	size_t bytes = map_bytes(n_db, cursor_u32(&in));
	struct cursor sum;

	if (magic != MAGIC || bytes == 0)
		return 0;
	sum = cursor_over(at + bytes - 8, 8);
	return cursor_u64(&sum) == XXH3_64bits(at, bytes - 8) ? generation : 0;
}

/* Take the chunks of the map at AT. */
static dvs_err map_take(struct fsimage *image, const uint8_t *at)
{
	struct cursor in = cursor_over(at + 16, MAP_ROOM_BYTES - 16);
	uint32_t n_runs[2];

	n_runs[0] = cursor_u32(&in);
	n_runs[1] = cursor_u32(&in);
	for (int f = 0; f < 2; f++) {
		for (uint32_t r = 0; r < n_runs[f]; r++) {
			uint32_t first = cursor_u32(&in);
			uint32_t n = cursor_u32(&in);

			if (n == 0 || first >= image->n_chunks || n > image->n_chunks - first)
				return DVS_CORRUPT;
			for (uint32_t c = first; c < first + n; c++) {
				dvs_err err = image->owner[c] == CHUNK_NOBODY ?
						      add_chunk(image, &image->files[f], c) :
						      DVS_CORRUPT;

				if (err != DVS_OK)
					return err;
			}
		}
	}
	return image->files[0].n_chunks && image->files[1].n_chunks ? DVS_OK : DVS_CORRUPT;
}

dvs_err fsimage_map_read(struct fsimage *image, char *why)
{
	AUTO_FREE uint8_t *room = malloc(2 * MAP_ROOM_BYTES);
	uint64_t generation[2];
	dvs_err err = DVS_OK;
	int newest;

	if (!room) {
		medium_why(why, "out of memory");
		return DVS_NOMEM;
	}
	for (int i = 0; i < 2; i++) {
		err = medium_read(image->medium, rooms[i], room + (size_t)i * MAP_ROOM_BYTES,
				  MAP_ROOM_BYTES);
		if (err != DVS_OK) {
			medium_why(why, "cannot read the map of chunks: %s", dvs_strerror(err));
			return err;
		}
		generation[i] = map_generation(room + (size_t)i * MAP_ROOM_BYTES);
	}
	newest = generation[1] > generation[0];
	err = generation[newest] == 0 ? DVS_CORRUPT :
					map_take(image, room + (size_t)newest * MAP_ROOM_BYTES);
	if (err != DVS_OK) {
		medium_why(why, "the map of chunks is damaged: %s", dvs_strerror(err));
		return err;
	}
	/* The next one must go to the other room, whatever number a hostile image has in this one. */
	image->map_generation = generation[newest];
	if (image->map_generation % 2 != (uint64_t)newest || image->map_generation == UINT64_MAX) {
		medium_why(why, "the map of chunks is in the wrong place");
		return DVS_CORRUPT;
	}
	return DVS_OK;
}

/* ---- changes ---- */

/* N chunks that nobody has, one behind the other if possible: behind the file's last one, else as far at the end as there are any, where data come last. *GOT of them. */
static uint32_t find_chunks(const struct fsimage *image, const struct image_file *file, uint32_t n,
			    uint32_t *got)
{
	uint32_t at = file->n_chunks ? file->chunk[file->n_chunks - 1] + 1 : 1;
	uint32_t found = 0;

	*got = 0;
	while (*got < n && at + *got < image->n_chunks && image->owner[at + *got] == CHUNK_NOBODY)
		++*got;
	if (*got > 0)
		return at;
	for (uint32_t c = image->n_chunks; c-- > 1 && found < n;) {
		if (image->owner[c] == CHUNK_NOBODY) {
			found++;
			at = c;
		} else if (found > 0) {
			break;
		}
	}
	*got = found;
	return at;
}

dvs_err fsimage_map_extend(struct fsimage *image, struct image_file *file, uint32_t n)
{
	uint32_t before = file->n_chunks;
	dvs_err err = DVS_OK;

	while (err == DVS_OK && n > 0) {
		uint32_t got;
		uint32_t at = find_chunks(image, file, n, &got);

		if (got == 0)
			err = DVS_NOSPACE;
		for (uint32_t i = 0; err == DVS_OK && i < got; i++)
			err = add_chunk(image, file, at + i);
		n -= got < n ? got : n;
	}
	/* Some are better than none: the caller sees what there is. */
	if (err == DVS_NOSPACE && file->n_chunks > before)
		err = DVS_OK;
	if (err == DVS_OK)
		err = fsimage_map_write(image);
	while (err != DVS_OK && file->n_chunks > before)
		fsimage_map_own(image, file->chunk[--file->n_chunks], CHUNK_NOBODY);
	return err;
}

dvs_err fsimage_map_shorten(struct fsimage *image, struct image_file *file, uint32_t n)
{
	uint32_t had = file->n_chunks;
	dvs_err err;

	if (had <= n)
		return DVS_OK;
	file->n_chunks = n;
	err = fsimage_map_write(image);
	if (err == DVS_OK)
		err = fsimage_flush(image);
	if (err != DVS_OK) {
		file->n_chunks = had;
		return err;
	}
	for (uint32_t i = n; i < had; i++)
		fsimage_map_own(image, file->chunk[i], CHUNK_NOBODY);
	return DVS_OK;
}

dvs_err fsimage_map_resize(struct fsimage *image, uint64_t bytes)
{
	uint32_t n = (uint32_t)(bytes / image->super.chunk_bytes);
	uint8_t *more;

	if (n <= image->n_chunks)
		return DVS_OK;
	more = realloc(image->owner, n);
	if (!more)
		return DVS_NOMEM;
	memset(more + image->n_chunks, CHUNK_NOBODY, n - image->n_chunks);
	image->owner = more;
	image->n_nobodys += n - image->n_chunks;
	image->n_chunks = n;
	return DVS_OK;
}
