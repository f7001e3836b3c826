/* SPDX-License-Identifier: Apache-2.0 */
#include "servers/vdd/internal.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/compiler.h"

void disks_close(struct disks *disks)
{
	if (!disks)
		return;
	/* Only its own tidying may be under way. */
	LIST_FOREACH(link, &disks->order)
		assert(io_of(CONTAINER_OF(link, struct io_own, order))->op >= DISK_MERGE);
	crew_close(disks->help.crew);
	cow_drop_pieces(disks);
	for (uint32_t m = 0; m < DISK_MINORS_MAX; m++) {
		for (uint32_t l = 0; disks->disk[m].is_there && l < disks->disk[m].is.n_layers; l++)
			overlay_close(disks->disk[m].layer[l]);
	}
	if (disks->plan.io)
		overlay_close(disks->plan.made);
	store_close(disks->store);
	dirty_close(disks->dirty);
	if (disks->dir >= 0)
		close(disks->dir);
	pthread_mutex_destroy(&disks->meta_lock);
	returns_close(disks->help.returns);
	free(disks);
}

dvs_err disks_set_current(struct disks *disks, bool is_current)
{
	dvs_err err = DVS_OK;

	if (disks->dir < 0)
		return DVS_OK;
	pthread_mutex_lock(&disks->meta_lock);
	if (disks->meta.is_current != is_current) {
		disks->meta.is_current = is_current;
		err = meta_write(disks->dir, &disks->meta);
		/* The new one may be there although it failed. */
		if (err != DVS_OK) {
			disks->meta.is_current = !is_current;
			(void)!meta_write(disks->dir, &disks->meta);
		}
	}
	pthread_mutex_unlock(&disks->meta_lock);
	return err;
}

/* ---- looking ---- */

static const struct disk *disk_of(const struct disks *disks, uint32_t minor)
{
	if (minor >= DISK_MINORS_MAX || !disks->disk[minor].is_there)
		return NULL;
	return &disks->disk[minor];
}

bool disks_can_map(const struct disks *disks, uint32_t minor, uint64_t offset, uint64_t bytes)
{
	if (!disks->store->ops->memory || minor != 0)
		return false;
	LIST_FOREACH(link, &disks->order) {
		const struct disk_io *io = io_of(CONTAINER_OF(link, struct io_own, order));

		if (io_is_control(io) ||
		    (io_changes(io) && io->minor == 0 && io->offset < offset + bytes &&
		     offset < io->offset + io->bytes))
			return false;
	}
	return true;
}

static uint64_t used(const struct disks *disks, const struct disk *disk)
{
	uint64_t bytes = 0;

	if (disk->is.kind == DISK_IS_VOLUME)
		return store_used(disks->store);
	for (uint32_t l = 0; l < disk->is.n_layers; l++)
		bytes += overlay_used(disk->layer[l]);
	return bytes;
}

/* Of all that can be brought up to date before DISK, so many. */
static uint32_t rank(const struct disks *disks, const struct disk *disk)
{
	const struct disk *newer;
	uint32_t steps = 0;

	while (disk->is.kind != DISK_IS_VOLUME) {
		newer = disk->is.kind == DISK_IS_SNAPSHOT ? cow_newer(disks, disk) : NULL;
		disk = newer ? newer : &disks->disk[disk->is.parent];
		steps++;
	}
	return steps;
}

dvs_err disks_look(const struct disks *disks, uint32_t minor, struct disk_info *info)
{
	const struct disk *disk;

	while (minor < DISK_MINORS_MAX && !disks->disk[minor].is_there)
		minor++;
	disk = disk_of(disks, minor);
	if (!disk)
		return DVS_NOTFOUND;
	*info = (struct disk_info){
		.minor = minor,
		.kind = disk->is.kind,
		.parent = disk->is.parent,
		.bytes = disk->is.bytes,
		.used_bytes = used(disks, disk),
		.created_ns = disk->is.created_ns,
		.claim = disk->is.claim,
		.rank = rank(disks, disk),
	};
	(void)snprintf(info->name, sizeof(info->name), "%s", disk->is.name);
	return DVS_OK;
}

dvs_err disks_bytes(const struct disks *disks, uint32_t minor, uint64_t *bytes)
{
	const struct disk *disk = disk_of(disks, minor);

	if (!disk)
		return DVS_NOTFOUND;
	*bytes = disk->is.bytes;
	return DVS_OK;
}

uint64_t disks_claim(const struct disks *disks, uint32_t minor)
{
	const struct disk *disk = disk_of(disks, minor);

	if (!disk)
		return 0;
	return disk->is.claim > disks->expected_claim[minor] ? disk->is.claim :
							       disks->expected_claim[minor];
}

void disks_expect_claim(struct disks *disks, uint32_t minor, uint64_t claim)
{
	if (disk_of(disks, minor) && claim > disks->expected_claim[minor])
		disks->expected_claim[minor] = claim;
}

/* One granule of a snapshot or clone, from OFFSET on. */
static dvs_err granule_extent(struct disks *disks, uint32_t minor, uint64_t offset, uint64_t *bytes,
			      bool *is_hole)
{
	uint64_t in_granule = offset % DISK_GRANULE_BYTES;
	struct source source = cow_resolve(disks, minor, offset / DISK_GRANULE_BYTES);

	*bytes = DISK_GRANULE_BYTES - in_granule;
	*is_hole = source.is_zero || source.valid <= in_granule;
	if (*is_hole || source.store != disks->store)
		return DVS_OK;
	if (source.valid - in_granule < *bytes)
		*bytes = source.valid - in_granule;
	return store_extent(disks->store, source.offset + in_granule, *bytes, bytes, is_hole);
}

#define EXTENT_STEPS_MAX 4096u

dvs_err disks_extent(struct disks *disks, uint32_t minor, uint64_t offset, uint64_t limit,
		     uint64_t *bytes, bool *is_hole)
{
	const struct disk *disk = disk_of(disks, minor);
	dvs_err err;

	if (!disk)
		return DVS_NOTFOUND;
	if (offset >= disk->is.bytes || limit == 0)
		return DVS_RANGE;
	if (limit > disk->is.bytes - offset)
		limit = disk->is.bytes - offset;
	if (minor == 0)
		return store_extent(disks->store, offset, limit, bytes, is_hole);
	err = granule_extent(disks, minor, offset, bytes, is_hole);
	for (uint32_t i = 0; err == DVS_OK && *bytes < limit && i < EXTENT_STEPS_MAX; i++) {
		uint64_t more;
		bool is_also;

		err = granule_extent(disks, minor, offset + *bytes, &more, &is_also);
		if (err != DVS_OK || is_also != *is_hole)
			break;
		*bytes += more;
	}
	if (*bytes > limit)
		*bytes = limit;
	return err;
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

bool disks_are_broken(const struct disks *disks)
{
	return store_broken(disks->store) != DVS_OK || dirty_is_broken(disks->dirty);
}

uint64_t disks_life(const struct disks *disks)
{
	return disks->life;
}

void disks_set_life(struct disks *disks, uint64_t life)
{
	disks->life = life;
}

void disks_new_life(struct disks *disks)
{
	/* Early in the life of a machine there may be no random bytes yet; nobody is to guess it. */
	if (getrandom(&disks->life, sizeof(disks->life), GRND_NONBLOCK) != sizeof(disks->life))
		disks->life = clock_now_ns();
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

void disks_dirty_settle(struct disks *disks, struct sync_wait *wait)
{
	dirty_settle(disks->dirty, wait);
}

uint64_t disks_cooled(const struct disks *disks)
{
	return dirty_cooled(disks->dirty);
}

void disks_set_cooled(struct disks *disks, uint64_t cooled)
{
	dirty_set_cooled(disks->dirty, cooled);
}
