/* SPDX-License-Identifier: Apache-2.0 */
#include "fs_world.h"

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static const struct fs_who root = { .flags = 255 };
static struct log quiet = { .fd = -1, .level = LOG_LEVEL_ERROR };

#define ck_ok(call)                                                                     \
	do {                                                                            \
		dvs_err ck_err = (call);                                                \
                                                                                        \
		ck_assert_msg(ck_err == DVS_OK, "%s: %s", #call, dvs_strerror(ck_err)); \
	} while (0)

void world_make(struct medium *medium)
{
	const struct fsimage_options options = { .label = "world" };
	char why[MEDIUM_WHY_MAX + 1];
	dvs_err err = fsimage_create(medium, &options, fs_schema, why);

	ck_assert_msg(err == DVS_OK, "%s", why);
}

struct fs *world_open(struct medium *medium)
{
	char why[MEDIUM_WHY_MAX + 1];
	struct fsimage *image = NULL;
	struct fs *fs = NULL;
	dvs_err err = fsimage_open(medium, fs_schema, &quiet, &image, why);

	ck_assert_msg(err == DVS_OK, "%s", why);
	ck_ok(fs_open(image, &quiet, &fs));
	return fs;
}

void world_init(struct world *world, struct fs *fs, uint64_t seed)
{
	*world = (struct world){ .fs = fs, .seed = seed, .next_tag = 1 };
	for (uint32_t i = 0; i < WORLD_FILES; i++) {
		world->file[i].data = calloc(1, WORLD_FILE_BYTES);
		world->synced[i].data = calloc(1, WORLD_FILE_BYTES);
		ck_assert(world->file[i].data && world->synced[i].data);
	}
}

void world_free(struct world *world)
{
	for (uint32_t i = 0; i < WORLD_FILES; i++) {
		free(world->file[i].data);
		free(world->synced[i].data);
	}
}

static uint64_t below(struct world *world, uint64_t n)
{
	return traced_random(&world->seed) % n;
}

static struct fs_name name_of(uint32_t i, char text[16])
{
	(void)snprintf(text, 16, "f%u", i);
	return (struct fs_name){ text, strlen(text) };
}

static void make_file(struct world *world, uint32_t i)
{
	struct world_file *file = &world->file[i];
	struct fs_attr attr;
	char text[16];

	ck_ok(fs_begin(world->fs));
	if (fs_make(world->fs, &root, FS_ROOT, name_of(i, text), S_IFREG | 0644, 0, 0, &attr) !=
		    DVS_OK ||
	    fs_commit(world->fs) != DVS_OK) {
		if (fsimage_is_changing(fs_image(world->fs)))
			fs_rollback(world->fs);
		world->n_full++;
		return;
	}
	file->ino = attr.ino;
	file->tag = world->next_tag;
	world->next_tag = (uint8_t)(world->next_tag % 250 + 1);
	file->size = 0;
	memset(file->data, 0, WORLD_FILE_BYTES);
}

/* In small things more often than in large ones. */
static uint64_t some_bytes(struct world *world, uint64_t max)
{
	uint64_t bytes = below(world, UINT64_C(1) << below(world, 20));

	return bytes < max ? bytes : max;
}

/* An end to the change set: DVS_OK is committed. */
static dvs_err finish(struct world *world, dvs_err err)
{
	if (err == DVS_OK)
		return fs_commit(world->fs);
	fs_rollback(world->fs);
	return err;
}

static dvs_err write_once(struct world *world, const struct world_file *file, uint64_t offset,
			  const uint8_t *data, size_t bytes, size_t *done, bool *must_sync)
{
	struct fs_attr attr;

	ck_ok(fs_begin(world->fs));
	return finish(world, fs_write(world->fs, file->ino, offset, data, bytes, false, done, &attr,
				      must_sync));
}

static void write_file(struct world *world, struct world_file *file)
{
	uint64_t offset = below(world, 3) ? file->size : below(world, WORLD_FILE_BYTES);
	uint64_t bytes;
	size_t done = 0;
	bool must_sync;
	uint8_t *data;
	dvs_err err;

	if (below(world, 3) == 0)
		offset = below(world, file->size + 1);
	if (offset > WORLD_FILE_BYTES)
		offset = 0;
	bytes = some_bytes(world, WORLD_FILE_BYTES - offset);
	data = malloc(bytes + 1);
	ck_assert_ptr_nonnull(data);
	for (uint64_t i = 0; i < bytes; i++)
		data[i] = (offset + i) % 2 ? (uint8_t)traced_random(&world->seed) : file->tag;
	err = write_once(world, file, offset, data, bytes, &done, &must_sync);
	if (err == DVS_NOSPACE && must_sync) {
		world_sync(world);
		file->is_touched = true;
		err = write_once(world, file, offset, data, bytes, &done, &must_sync);
	}
	if (err == DVS_OK) {
		memcpy(file->data + offset, data, done);
		if (done > 0 && offset + done > file->size)
			file->size = offset + done;
		world->n_full += done < bytes;
	} else {
		/* What was overwritten in place may be there. */
		ck_assert_msg(err == DVS_NOSPACE, "%s", dvs_strerror(err));
		world->n_full++;
		if (offset < file->size && bytes > 0) {
			size_t got;

			ck_ok(fs_read(world->fs, file->ino, 0, file->data, WORLD_FILE_BYTES, &got));
			ck_assert_uint_eq(got, file->size);
		}
	}
	free(data);
}

static void truncate_file(struct world *world, struct world_file *file)
{
	uint64_t bytes = below(world, 2) ? below(world, file->size + 1) :
					   some_bytes(world, WORLD_FILE_BYTES);
	dvs_err err;

	if (below(world, 6) == 0)
		bytes = 0;
	ck_ok(fs_begin(world->fs));
	err = finish(world, fs_truncate(world->fs, file->ino, bytes));
	if (err != DVS_OK) {
		ck_assert_msg(err == DVS_NOSPACE, "%s", dvs_strerror(err));
		world->n_full++;
		return;
	}
	if (bytes < file->size)
		memset(file->data + bytes, 0, file->size - bytes);
	file->size = bytes;
}

static void allocate_file(struct world *world, struct world_file *file)
{
	static const uint32_t modes[] = { 0, 1, 3, 16, 17 };
	uint32_t mode = modes[below(world, ARRAY_LEN(modes))];
	uint64_t offset = below(world, file->size + 5000) % WORLD_FILE_BYTES;
	uint64_t bytes = some_bytes(world, WORLD_FILE_BYTES - offset - 1) + 1;
	struct fs_attr attr;
	bool must_sync;
	dvs_err err;

	ck_ok(fs_begin(world->fs));
	err = finish(world,
		     fs_allocate(world->fs, file->ino, mode, offset, bytes, &attr, &must_sync));
	if (err != DVS_OK) {
		size_t got;

		ck_assert_msg(err == DVS_NOSPACE, "%s", dvs_strerror(err));
		world->n_full++;
		ck_ok(fs_read(world->fs, file->ino, 0, file->data, WORLD_FILE_BYTES, &got));
		return;
	}
	if (mode & (2 | 16) && offset < file->size)
		memset(file->data + offset, 0,
		       offset + bytes < file->size ? bytes : file->size - offset);
	if (!(mode & 1) && offset + bytes > file->size)
		file->size = offset + bytes;
	ck_assert_uint_eq(attr.size, file->size);
}

static void remove_file(struct world *world, uint32_t i)
{
	struct world_file *file = &world->file[i];
	struct fs_concerned concerned;
	char text[16];
	dvs_err err;

	ck_ok(fs_begin(world->fs));
	err = finish(world,
		     fs_unlink(world->fs, &root, FS_ROOT, name_of(i, text), false, &concerned));
	ck_assert_msg(err == DVS_OK || err == DVS_NOSPACE, "%s", dvs_strerror(err));
	if (err == DVS_OK)
		file->ino = 0;
}

static void read_file(struct world *world, const struct world_file *file)
{
	uint64_t offset = below(world, file->size + 100);
	uint64_t bytes = some_bytes(world, WORLD_FILE_BYTES) + 1;
	uint64_t want = offset < file->size ? file->size - offset : 0, found;
	uint8_t *data = malloc(bytes);
	size_t got;

	want = want < bytes ? want : bytes;
	ck_assert_ptr_nonnull(data);
	ck_ok(fs_read(world->fs, file->ino, offset, data, bytes, &got));
	ck_assert_uint_eq(got, want);
	ck_assert_int_eq(memcmp(data, file->data + offset, got), 0);
	free(data);
	if (offset >= file->size)
		return;
	if (fs_seek(world->fs, file->ino, FS_SEEK_DATA, offset, &found) != DVS_OK)
		found = file->size;
	for (uint64_t at = offset; at < found; at++)
		ck_assert_uint_eq(file->data[at], 0);
	ck_ok(fs_seek(world->fs, file->ino, FS_SEEK_HOLE, offset, &found));
	ck_assert_uint_ge(found, offset);
	ck_assert_uint_le(found, file->size);
}

void world_step(struct world *world)
{
	uint32_t i = (uint32_t)below(world, WORLD_FILES);
	struct world_file *file = &world->file[i];
	uint64_t what = below(world, 20);

	if (file->ino == 0) {
		make_file(world, i);
		file->is_touched = true;
	} else if (what == 0) {
		remove_file(world, i);
		file->is_touched = true;
	} else if (what < 10) {
		file->is_touched = true;
		write_file(world, file);
	} else if (what < 13) {
		file->is_touched = true;
		truncate_file(world, file);
	} else if (what < 16) {
		file->is_touched = true;
		allocate_file(world, file);
	} else {
		read_file(world, file);
	}
}

void world_sync(struct world *world)
{
	ck_ok(fsimage_sync(fs_image(world->fs)));
	for (uint32_t i = 0; i < WORLD_FILES; i++) {
		struct world_file *file = &world->file[i], *synced = &world->synced[i];
		uint8_t *data = synced->data;

		file->is_touched = false;
		memcpy(data, file->data, WORLD_FILE_BYTES);
		*synced = *file;
		synced->data = data;
	}
}

/* ---- looking ---- */

static void compare_file(struct fs *fs, uint32_t i, const struct world_file *file, bool is_exact)
{
	static uint8_t data[WORLD_FILE_BYTES + 1];
	struct fs_attr attr;
	char text[16];
	size_t got;
	dvs_err err = fs_lookup(fs, &root, FS_ROOT, name_of(i, text), &attr);

	if (is_exact && file->ino == 0)
		ck_assert(err == DVS_NOTFOUND);
	if (err == DVS_NOTFOUND && (!is_exact || file->ino == 0))
		return;
	ck_assert_msg(err == DVS_OK, "%s: %s", text, dvs_strerror(err));
	ck_ok(fs_read(fs, attr.ino, 0, data, sizeof(data), &got));
	ck_assert_uint_eq(got, attr.size);
	if (is_exact) {
		ck_assert_uint_eq(attr.ino, file->ino);
		ck_assert_uint_eq(attr.size, file->size);
		ck_assert_int_eq(memcmp(data, file->data, got), 0);
		return;
	}
	/* Its own bytes and zeroes: of which file it is says any byte that is none. */
	for (size_t at = 0, tag = 0; at < got; at += 2) {
		if (data[at] == 0)
			continue;
		if (attr.ino == file->ino)
			tag = file->tag;
		ck_assert_msg(tag == 0 || data[at] == tag, "%s has a byte of file %u at %zu", text,
			      data[at], at);
		tag = data[at];
	}
}

void world_compare(struct fs *fs, const struct world_file file[WORLD_FILES])
{
	for (uint32_t i = 0; i < WORLD_FILES; i++)
		compare_file(fs, i, &file[i], true);
}

void world_compare_synced(struct fs *fs, const struct world *world)
{
	for (uint32_t i = 0; i < WORLD_FILES; i++) {
		bool is_same = !world->file[i].is_touched;

		compare_file(fs, i, is_same ? &world->synced[i] : &world->file[i], is_same);
	}
}

static void found(void *context, const char *text)
{
	(void)context;
	ck_abort_msg("check: %s", text);
}

void world_check(struct fs *fs)
{
	uint32_t n_repaired;

	ck_ok(fs_check(fs, false, found, NULL, &n_repaired));
	ck_assert_ptr_null(fsimage_why(fs_image(fs)));
}
