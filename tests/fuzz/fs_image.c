/* SPDX-License-Identifier: Apache-2.0 */
/* An image of a file system that was tampered with, with checksums that are right again: superblock, map, pages of the database. It is refused, or what is damaged is found when it is used; nothing is read or written beyond the medium, nothing crashes. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "base/cursor.h"
#include "fuzz.h"
#include "servers/fs/fs.h"

#define BYTES FSIMAGE_BYTES_MIN
#define BLOCK MEDIUM_BLOCK_BYTES
#define BLOCKS (BYTES / BLOCK)
#define ROOM_BYTES (256u << 10)
#define EDITS_MAX 64u
#define FILES 4u

static const struct fs_who root = { .flags = 255 };
static struct log quiet = { .fd = -1, .level = LOG_LEVEL_ERROR };

/* The blocks of a sound image that have anything. */
struct base {
	uint8_t *block[BLOCKS];
	uint32_t used[BLOCKS];
	uint32_t n_used;
};

static void must(dvs_err err)
{
	if (err != DVS_OK)
		abort();
}

/* Takes the medium, whatever comes of it. */
static struct fs *open_fs(struct medium *medium)
{
	struct fsimage *image = NULL;
	char why[MEDIUM_WHY_MAX + 1] = "";
	struct fs *fs = NULL;

	if (fsimage_open(medium, fs_schema, &quiet, &image, why) != DVS_OK) {
		assert(why[0] && memchr(why, '\0', sizeof(why)));
		medium_close(medium);
		return NULL;
	}
	if (fs_open(image, &quiet, &fs) == DVS_OK)
		return fs;
	fsimage_close(image, false);
	return NULL;
}

static void add_file(struct fs *fs, char name, uint64_t offset, size_t bytes)
{
	static const uint8_t data[100000] = { 'x' };
	struct fs_attr attr;
	bool must_sync;
	size_t done;

	must(fs_begin(fs));
	must(fs_make(fs, &root, FS_ROOT, (struct fs_name){ &name, 1 }, S_IFREG | 0644, 0, 0,
		     &attr));
	must(fs_write(fs, attr.ino, offset, data, bytes, false, &done, &attr, &must_sync));
	if (name == 'a')
		must(fs_setxattr(fs, &root, attr.ino, (struct fs_name){ "user.a", 6 }, "value", 5,
				 0));
	must(fs_commit(fs));
}

static struct base *make_base(void)
{
	const struct fsimage_options options = { .id = { 1 }, .label = "fuzz" };
	struct base *base = calloc(1, sizeof(*base));
	char why[MEDIUM_WHY_MAX + 1];
	struct medium *medium;
	struct fs *fs;

	if (!base)
		abort();
	must(medium_ram_open(BYTES, &medium));
	medium->is_volatile = false; /* with a log, as images on other media have one */
	must(fsimage_create(medium, &options, fs_schema, why));
	fs = open_fs(medium);
	if (!fs)
		abort();
	add_file(fs, 'a', 0, 500);
	add_file(fs, 'b', 0, 100000);
	add_file(fs, 'c', 1 << 20, 5000);
	add_file(fs, 'd', 5, 9000);
	for (uint32_t i = 0; i < BLOCKS; i++) {
		static const uint8_t zeroes[BLOCK];
		uint8_t block[BLOCK];

		if (i == 0)
			must(fsimage_sync(fs_image(fs)));
		must(medium_read(medium, (uint64_t)i * BLOCK, block, BLOCK));
		if (memcmp(block, zeroes, BLOCK) == 0)
			continue;
		base->block[i] = malloc(BLOCK);
		if (!base->block[i])
			abort();
		memcpy(base->block[i], block, BLOCK);
		base->used[base->n_used++] = i;
	}
	fs_close(fs, true);
	return base;
}

/* ---- tampering ---- */

static void sum_super(struct medium *medium, uint64_t at)
{
	uint8_t block[BLOCK];
	struct writer out = writer_over(block + BLOCK - 8, 8);

	must(medium_read(medium, at, block, BLOCK));
	writer_u64(&out, XXH3_64bits(block, BLOCK - 8));
	must(medium_write(medium, at, block, BLOCK));
}

static void sum_map(struct medium *medium, uint64_t at)
{
	uint8_t *room = malloc(ROOM_BYTES);
	struct cursor in;
	uint64_t bytes;

	if (!room)
		abort();
	must(medium_read(medium, at, room, ROOM_BYTES));
	in = cursor_over(room + 16, 8);
	bytes = cursor_u32(&in);
	bytes = 24 + (bytes + cursor_u32(&in)) * 8;
	if (bytes + 8 <= ROOM_BYTES) {
		struct writer out = writer_over(room + bytes, 8);

		writer_u64(&out, XXH3_64bits(room, bytes));
		must(medium_write(medium, at, room, ROOM_BYTES));
	}
	free(room);
}

static void tamper(struct medium *medium, const struct base *base, struct cursor *in)
{
	uint8_t block[BLOCK];

	for (uint32_t i = 0; i < EDITS_MAX && cursor_left(in) >= 5; i++) {
		uint64_t at = (uint64_t)base->used[cursor_u8(in) % base->n_used] * BLOCK;
		uint16_t offset = cursor_u16(in) % BLOCK;
		size_t n = cursor_u8(in) % 16 + 1u;

		if (n > cursor_left(in))
			n = cursor_left(in);
		if (n > (size_t)(BLOCK - offset))
			n = (size_t)(BLOCK - offset);
		must(medium_read(medium, at, block, BLOCK));
		cursor_bytes(in, block + offset, n);
		must(medium_write(medium, at, block, BLOCK));
	}
	sum_super(medium, 0);
	sum_super(medium, (1 << 20) - BLOCK);
	sum_map(medium, 64 << 10);
	sum_map(medium, 512 << 10);
}

/* ---- use: whatever is answered ---- */

static void use_file(struct fs *fs, uint64_t ino)
{
	static uint8_t data[20000];
	struct fs_attr attr;
	uint64_t found;
	bool must_sync;
	size_t done;
	dvs_err err;

	(void)!fs_read(fs, ino, 0, data, sizeof(data), &done);
	(void)!fs_read(fs, ino, (1 << 20) - 77, data, sizeof(data), &done);
	(void)!fs_seek(fs, ino, FS_SEEK_DATA, 0, &found);
	(void)!fs_seek(fs, ino, FS_SEEK_HOLE, 0, &found);
	if (fs_begin(fs) != DVS_OK)
		return;
	err = fs_write(fs, ino, 3000, data, sizeof(data), true, &done, &attr, &must_sync);
	if (err == DVS_OK)
		err = fs_allocate(fs, ino, 3, 5000, 50000, &attr, &must_sync);
	if (err == DVS_OK && ino % 2)
		err = fs_truncate(fs, ino, 10);
	if (err == DVS_OK)
		err = fs_commit(fs);
	else
		fs_rollback(fs);
}

static bool each_name(void *context, const struct fs_name_entry *entry)
{
	uint32_t *n = context;

	(void)entry;
	return ++*n < 1000;
}

static void found_one(void *context, const char *text)
{
	(void)context;
	assert(text[0]);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct base *base;
	struct cursor in = cursor_over(data, size);
	struct medium *medium;
	uint32_t n = 0, n_repaired;
	struct fs *fs;
	bool end;

	if (!base)
		base = make_base();
	must(medium_ram_open(BYTES, &medium));
	medium->is_volatile = false; /* with a log, as images on other media have one */
	for (uint32_t i = 0; i < base->n_used; i++)
		must(medium_write(medium, (uint64_t)base->used[i] * BLOCK,
				  base->block[base->used[i]], BLOCK));
	tamper(medium, base, &in);
	fs = open_fs(medium);
	if (!fs)
		return 0;
	(void)!fs_readdir(fs, FS_ROOT, 0, each_name, &n, &end);
	for (uint64_t ino = 1; ino <= 1 + FILES; ino++)
		use_file(fs, ino);
	(void)!fsimage_sync(fs_image(fs));
	(void)!fs_check(fs, false, found_one, NULL, &n_repaired);
	if (fs_begin(fs) == DVS_OK) {
		if (fs_check(fs, true, found_one, NULL, &n_repaired) != DVS_OK ||
		    fs_commit(fs) != DVS_OK) {
			if (fsimage_is_changing(fs_image(fs)))
				fs_rollback(fs);
		}
	}
	fs_close(fs, true);
	return 0;
}
