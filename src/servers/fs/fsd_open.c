/* SPDX-License-Identifier: Apache-2.0 */
/* From the record to an open file system. What is new is made: a medium whose beginning is zeroes. Anything else that is no file system is left as it is. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"
#include "servers/fs/fsd.h"

_Static_assert(sizeof(((struct fsd *)0)->why) == MEDIUM_WHY_MAX + 1, "sentences of media");

/* ---- a file of the node's own ---- */

static bool exists(const char *path)
{
	struct stat info;

	return stat(path, &info) == 0;
}

/* That it was made once: a file that is missing then is not made anew, empty, in its place. */
static dvs_err mark_made(const char *path)
{
	FILE *file = fopen(path, "wx");

	if (!file)
		return dvs_from_errno(errno);
	return fclose(file) == 0 ? DVS_OK : DVS_IO;
}

static dvs_err open_file(struct fsd *fsd, struct medium **medium)
{
	const struct fs_record *record = &fsd->record;
	char path[512];
	char mark[512];
	dvs_err err;

	(void)snprintf(mark, sizeof(mark), "%s/made", fsd->dir);
	if (record->place[0])
		(void)snprintf(path, sizeof(path), "%s", record->place);
	else
		(void)snprintf(path, sizeof(path), "%s/image", fsd->dir);
	if (exists(mark) || exists(path))
		return medium_file_open(path, 0, medium, fsd->why);
	err = medium_file_open(path, record->bytes, medium, fsd->why);
	if (!err)
		err = mark_made(mark);
	return err;
}

/* All servers of a file system are one holder of its volume: who serves takes it from who did. */
static dvs_err open_volume(struct fsd *fsd, struct medium **medium)
{
	const struct fs_record *record = &fsd->record;
	struct claim_holder who = { .kind = CLAIM_FS, .node = fsd->options.node };

	(void)snprintf(who.token, sizeof(who.token), "fs-%s", record->id);
	(void)snprintf(who.about, sizeof(who.about), "%s", fsd->options.name);
	return medium_volume_open(fsd->admin, fsd->dvk, fsd->options.dc, record->volume, &who,
				  medium, fsd->why);
}

static dvs_err open_medium(struct fsd *fsd, struct medium **medium)
{
	const struct fs_record *record = &fsd->record;

	switch (record->store) {
	case FS_STORE_RAM:
		return medium_ram_open(record->bytes, medium);
	case FS_STORE_FILE:
		return open_file(fsd, medium);
	case FS_STORE_RAW:
		return medium_file_open(record->place, 0, medium, fsd->why);
	case FS_STORE_VOLUME:
		return open_volume(fsd, medium);
	}
	return DVS_BADARG;
}

/* ---- what is on it ---- */

#define LOOKED_AT (1u << 20)

static dvs_err is_blank(struct medium *medium, bool *blank)
{
	const size_t block_bytes = (size_t)MEDIUM_BLOCK_BYTES * 16;
	AUTO_FREE uint8_t *block = malloc(block_bytes);
	uint64_t bytes = medium->bytes < LOOKED_AT ? medium->bytes : LOOKED_AT;

	if (!block)
		return DVS_NOMEM;
	*blank = true;
	for (uint64_t at = 0; at < bytes && *blank; at += block_bytes) {
		size_t part = bytes - at < block_bytes ? (size_t)(bytes - at) : block_bytes;
		dvs_err err = medium_read(medium, at, block, part);

		if (err)
			return err;
		*blank = block[0] == 0 && memcmp(block, block + 1, part - 1) == 0;
	}
	return DVS_OK;
}

/* The record's id, as bytes. */
static void parse_id(const char *text, uint8_t id[16])
{
	memset(id, 0, 16);
	for (uint32_t i = 0; *text && i < 32; text++) {
		const char *digits = "0123456789abcdef";
		const char *digit = strchr(digits, *text);

		if (!digit)
			continue;
		id[i / 2] = (uint8_t)(id[i / 2] << 4 | (uint8_t)(digit - digits));
		i++;
	}
}

static dvs_err make(struct fsd *fsd, struct medium *medium)
{
	struct fsimage_options options;
	dvs_err err;

	memset(&options, 0, sizeof(options));
	parse_id(fsd->record.id, options.id);
	(void)snprintf(options.label, sizeof(options.label), "%.63s", fsd->options.name);
	err = fsimage_create(medium, &options, fs_schema, fsd->why);
	if (!err)
		log_info(&fsd->log, "a file system is made", LOG_STR("name", fsd->options.name),
			 LOG_U64("bytes", medium->bytes));
	return err;
}

dvs_err fsd_open_fs(struct fsd *fsd)
{
	struct medium *medium = NULL;
	struct fsimage *image = NULL;
	bool blank = false;
	dvs_err err;

	fsd->why[0] = '\0';
	err = open_medium(fsd, &medium);
	if (!err)
		err = is_blank(medium, &blank);
	if (!err && blank)
		err = make(fsd, medium);
	if (!err)
		err = fsimage_open(medium, fs_schema, &fsd->log, &image, fsd->why);
	if (err) {
		medium_close(medium);
		return err;
	}
	err = fs_open(image, &fsd->log, &fsd->fs);
	if (err)
		fsimage_close(image, false);
	return err;
}
