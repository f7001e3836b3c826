/* SPDX-License-Identifier: Apache-2.0 */
/* A removed snapshot leaves its blocks to the next older one, which reads them from there. In the background they become the older one's own, a few at a time
 * and in order with all other requests; then the file that they were in goes. Who is interrupted begins again. */
#include "servers/vdd/internal.h"

#include <string.h>

#include "base/compiler.h"

static void go_on(struct disks *disks);

static struct disks *of_tidy(struct tidy *tidy)
{
	return CONTAINER_OF(tidy, struct disks, tidy);
}

static void turn(struct post *post)
{
	go_on(of_tidy(CONTAINER_OF(post, struct tidy, post)));
}

/* The layer that is merged, or NULL: it is not there any more. */
static struct overlay *layer_of(struct disks *disks)
{
	const struct disk *disk = &disks->disk[disks->tidy.minor];

	for (uint32_t l = 1; disk->is_there && l < disk->is.n_layers; l++) {
		if (disk->is.layer[l] == disks->tidy.layer)
			return disk->layer[l];
	}
	return NULL;
}

static void batch_end(struct tidy *tidy)
{
	/* Others have their turn first. */
	tidy->post.run = turn;
	returns_put(of_tidy(tidy)->help.returns, &tidy->post);
}

static void merged(struct disk_io *io, dvs_err err)
{
	struct tidy *tidy = &own_of(io)->disks->tidy;

	tidy->has_failed |= err != DVS_OK;
	if (--tidy->pending == 0)
		batch_end(tidy);
}

static void dropped(struct disk_io *io, dvs_err err)
{
	struct tidy *tidy = &own_of(io)->disks->tidy;

	/* Out of place or of luck: it stays as it is until the next removal or opening. */
	tidy->has_failed |= err != DVS_OK && err != DVS_BADSTATE && err != DVS_NOTFOUND;
	tidy->is_running = false;
}

static bool choose(struct disks *disks)
{
	for (uint32_t m = 1; m < DISK_MINORS_MAX; m++) {
		const struct disk *disk = &disks->disk[m];

		if (!disk->is_there || disk->is.n_layers < 2)
			continue;
		disks->tidy.minor = m;
		disks->tidy.layer = disk->is.layer[1];
		return true;
	}
	return false;
}

/* Up to TIDY_BATCH granules that are not merged yet. */
static uint32_t collect(struct disks *disks, const struct overlay *layer)
{
	struct tidy *tidy = &disks->tidy;
	const struct overlay *target = disks->disk[tidy->minor].layer[0];
	uint64_t granule;
	uint32_t n = 0;

	for (; n < TIDY_BATCH && overlay_next(layer, &tidy->at, &granule); tidy->at++) {
		struct overlay_slot slot;

		if (overlay_find(target, granule, &slot))
			continue;
		tidy->io[n++] = (struct disk_io){
			.op = DISK_MERGE,
			.flags = DISK_BEHIND,
			.minor = tidy->minor,
			.offset = granule * DISK_GRANULE_BYTES,
			.bytes = DISK_GRANULE_BYTES,
			.done = merged,
		};
	}
	return n;
}

static void go_on(struct disks *disks)
{
	struct tidy *tidy = &disks->tidy;
	const struct overlay *layer = layer_of(disks);
	uint32_t n;

	if (!layer || tidy->has_failed) {
		tidy->is_running = false;
		if (!tidy->has_failed)
			tidy_kick(disks);
		return;
	}
	n = collect(disks, layer);
	if (n == 0) {
		tidy->io[0] =
			(struct disk_io){ .op = DISK_DROP, .minor = tidy->minor, .done = dropped };
		disks_submit(disks, &tidy->io[0]);
		return;
	}
	/* The last one to end may do so in here. */
	tidy->pending = n + 1;
	for (uint32_t i = 0; i < n; i++)
		disks_submit(disks, &tidy->io[i]);
	if (--tidy->pending == 0)
		batch_end(tidy);
}

void tidy_kick(struct disks *disks)
{
	struct tidy *tidy = &disks->tidy;

	if (tidy->is_running || !choose(disks))
		return;
	tidy->is_running = true;
	tidy->has_failed = false;
	tidy->at = 0;
	batch_end(tidy);
}
