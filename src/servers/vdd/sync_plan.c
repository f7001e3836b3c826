/* SPDX-License-Identifier: Apache-2.0 */
#include <stdlib.h>
#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "servers/vdd/sync_internal.h"

static int by_rank(const void *a, const void *b)
{
	const struct disk_info *left = a;
	const struct disk_info *right = b;

	if (left->rank != right->rank)
		return left->rank < right->rank ? -1 : 1;
	return left->minor < right->minor ? -1 : 1;
}

void sync_plan_make(const struct disks *disks, struct sync_plan *plan)
{
	uint32_t n = 0;

	for (uint32_t minor = 0; minor < DISK_MINORS_MAX; minor = plan->at[n++].minor + 1) {
		if (disks_look(disks, minor, &plan->at[n]) != DVS_OK)
			break;
	}
	qsort(plan->at, n, sizeof(plan->at[0]), by_rank);
	plan->n = n;
	plan->signature = n;
	for (uint32_t i = 0; i < n; i++) {
		const struct disk_info *info = &plan->at[i];
		const uint64_t what[] = { plan->signature, info->minor, info->created_ns,
					  info->bytes };

		plan->signature = XXH3_64bits(what, sizeof(what));
	}
}

uint64_t sync_plan_chunk_bytes(const struct sync_plan *plan, uint64_t chunk)
{
	uint64_t from = chunk * DISK_CHUNK_BYTES;
	uint64_t sum = 0;

	for (uint32_t i = 0; i < plan->n; i++) {
		uint64_t bytes = plan->at[i].bytes;

		if (bytes > from)
			sum += bytes - from < DISK_CHUNK_BYTES ? bytes - from : DISK_CHUNK_BYTES;
	}
	return sum;
}

uint64_t sync_hole(struct disks *disks, uint32_t minor, uint64_t offset, uint64_t limit)
{
	uint64_t first = limit < DISK_GRANULE_BYTES ? limit : DISK_GRANULE_BYTES;
	uint64_t bytes = 0;
	bool is_hole = false;

	/* First a little: how far data go is of no interest, and can take long to find. */
	if (disks_extent(disks, minor, offset, first, &bytes, &is_hole) != DVS_OK || !is_hole)
		return 0;
	if (disks_extent(disks, minor, offset, limit, &bytes, &is_hole) != DVS_OK || !is_hole)
		return 0;
	return bytes;
}

static uint64_t holes_of(struct disks *disks, const struct disk_info *info, uint64_t offset,
			 uint64_t limit)
{
	uint64_t end = offset + limit;
	uint64_t at = offset;

	while (at < end && at < info->bytes) {
		uint64_t bytes = sync_hole(disks, info->minor, at, end - at);

		if (bytes == 0)
			return at - offset;
		at += bytes;
	}
	return limit;
}

uint64_t sync_plan_holes(struct disks *disks, const struct sync_plan *plan, uint64_t offset,
			 uint64_t limit)
{
	for (uint32_t i = 0; i < plan->n && limit > 0; i++)
		limit = holes_of(disks, &plan->at[i], offset, limit);
	return limit;
}

/* ---- checksums ---- */

void sync_sums(const void *data, uint32_t bytes, uint64_t seed, struct sync_sum *sums)
{
	static const uint8_t zeroes[DISK_GRANULE_BYTES];
	const uint8_t *at = data;

	for (uint32_t done = 0; done < bytes; done += DISK_GRANULE_BYTES) {
		uint32_t n = bytes - done < DISK_GRANULE_BYTES ? bytes - done : DISK_GRANULE_BYTES;
		XXH128_canonical_t canonical;

		/* Who writes to a disk does not know the seed, and so cannot make two blocks with one checksum. */
		XXH128_canonicalFromHash(&canonical,
					 XXH3_128bits_withSeed(at ? at + done : zeroes, n, seed));
		memcpy(sums++->bytes, canonical.digest, SYNC_SUM_BYTES);
	}
}
