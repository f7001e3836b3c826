/* SPDX-License-Identifier: Apache-2.0 */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/err.h"
#include "servers/vdd/internal.h"

dvs_err disks_open(const struct disks_config *config, struct disks **disks, bool *is_empty,
		   char why[DISK_WHY_MAX + 1])
{
	struct disks *made;
	dvs_err err;

	why[0] = '\0';
	*disks = NULL;
	if (config->bytes == 0 || config->bytes > DISK_BYTES_MAX ||
	    config->bytes % DISK_SECTOR_BYTES) {
		(void)snprintf(
			why, DISK_WHY_MAX + 1,
			"a size of %llu bytes is not possible; give a multiple of 512 up to 16 TiB",
			(unsigned long long)config->bytes);
		return DVS_BADARG;
	}
	made = calloc(1, sizeof(*made));
	if (!made)
		return DVS_NOMEM;
	made->poster = config->poster;
	list_init(&made->order);
	list_init(&made->ready);
	made->disk[0] = (struct disk){
		.is_there = true,
		.kind = DISK_VOLUME,
		.bytes = config->bytes,
	};
	err = dirty_open(&made->dirty);
	if (err == DVS_OK)
		err = dirty_size(made->dirty, 0, config->bytes);
	if (err == DVS_OK)
		err = store_ram_open(config->bytes, &made->store);
	if (err != DVS_OK) {
		disks_close(made);
		return err;
	}
	*is_empty = true;
	*disks = made;
	return DVS_OK;
}

void disks_close(struct disks *disks)
{
	if (!disks)
		return;
	assert(list_is_empty(&disks->order));
	store_close(disks->store);
	dirty_close(disks->dirty);
	free(disks);
}

dvs_err disks_destroy(const char *dir)
{
	(void)dir;
	return DVS_OK;
}

dvs_err disks_set_current(struct disks *disks, bool is_current)
{
	disks->is_current = is_current;
	return DVS_OK;
}

bool disks_can_map(const struct disks *disks, uint32_t minor, uint64_t offset, uint64_t bytes)
{
	if (!disks->store->ops->memory || minor != 0)
		return false;
	LIST_FOREACH(link, &disks->order) {
		const struct disk_io *io = CONTAINER_OF(link, struct disk_io, order);

		if (io_is_control(io) || (io_changes(io) && io->offset < offset + bytes &&
					  offset < io->offset + io->bytes))
			return false;
	}
	return true;
}

dvs_err disks_look(const struct disks *disks, uint32_t minor, struct disk_info *info)
{
	while (minor < DISK_MINORS_MAX && !disks->disk[minor].is_there)
		minor++;
	if (minor >= DISK_MINORS_MAX)
		return DVS_NOTFOUND;
	*info = (struct disk_info){
		.minor = minor,
		.kind = disks->disk[minor].kind,
		.parent = disks->disk[minor].parent,
		.bytes = disks->disk[minor].bytes,
		.used_bytes = store_used(disks->store),
		.created_ns = disks->disk[minor].created_ns,
	};
	(void)snprintf(info->name, sizeof(info->name), "%s", disks->disk[minor].name);
	return DVS_OK;
}

dvs_err disks_bytes(const struct disks *disks, uint32_t minor, uint64_t *bytes)
{
	if (minor >= DISK_MINORS_MAX || !disks->disk[minor].is_there)
		return DVS_NOTFOUND;
	*bytes = disks->disk[minor].bytes;
	return DVS_OK;
}

dvs_err disks_extent(struct disks *disks, uint32_t minor, uint64_t offset, uint64_t limit,
		     uint64_t *bytes, bool *is_hole)
{
	const struct disk *disk = &disks->disk[minor < DISK_MINORS_MAX ? minor : 0];

	if (minor >= DISK_MINORS_MAX || !disk->is_there)
		return DVS_NOTFOUND;
	if (offset >= disk->bytes || limit == 0)
		return DVS_RANGE;
	if (limit > disk->bytes - offset)
		limit = disk->bytes - offset;
	return store_extent(disks->store, offset, limit, bytes, is_hole);
}

/* ---- what may differ between replicas ---- */

bool disks_is_dirty(const struct disks *disks, uint32_t minor, uint64_t chunk)
{
	return minor < DISK_MINORS_MAX && dirty_is_set(disks->dirty, minor, chunk);
}

bool disks_next_dirty(const struct disks *disks, uint32_t minor, uint64_t *chunk)
{
	return minor < DISK_MINORS_MAX && dirty_next(disks->dirty, minor, chunk);
}

void disks_mark_dirty(struct disks *disks, uint32_t minor, uint64_t chunk)
{
	if (minor < DISK_MINORS_MAX && chunk < DISK_BYTES_MAX / DISK_CHUNK_BYTES)
		dirty_mark(disks->dirty, minor, chunk * DISK_CHUNK_BYTES,
			   (chunk + 1) * DISK_CHUNK_BYTES);
}

void disks_cool(struct disks *disks)
{
	dirty_cool(disks->dirty);
}

bool disks_dirty_encode(const struct disks *disks, void *room, size_t cap, size_t *len)
{
	return dirty_encode(disks->dirty, room, cap, len);
}

dvs_err disks_dirty_add(struct disks *disks, const void *data, size_t len)
{
	return dirty_add(disks->dirty, data, len);
}
