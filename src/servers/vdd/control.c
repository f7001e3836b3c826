/* SPDX-License-Identifier: Apache-2.0 */
/* Resize, snapshot, clone, claim, remove. Nothing else is under way meanwhile. What will be is laid out in a plan; when the files say so, it becomes what is. Whether an operation
 * is possible, and which number a new disk gets, depends on nothing but the operations before it, so all replicas do the same. */
#include "servers/vdd/internal.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "servers/vdd/image.h"

void control_layer_name(uint32_t layer, char name[32])
{
	(void)snprintf(name, 32, "cow-%u", layer);
}

void control_meta(const struct disks *disks, const struct disk *all, struct meta *meta)
{
	meta->n_disks = 0;
	for (uint32_t m = 0; m < DISK_MINORS_MAX; m++) {
		if (all[m].is_there)
			meta->disk[meta->n_disks++] = all[m].is;
	}
	meta->next_layer = disks->next_layer;
	meta->next_born = disks->next_born;
}

/* ---- from the plan to what is ---- */

static void become(struct disks *disks)
{
	struct plan *plan = &disks->plan;

	memcpy(disks->disk, plan->disk, sizeof(disks->disk));
	disks->n_disks = 0;
	for (uint32_t m = 0; m < DISK_MINORS_MAX; m++)
		disks->n_disks += disks->disk[m].is_there;
	disks->next_layer = plan->next_layer;
	disks->next_born = plan->next_born;
	for (uint32_t i = 0; i < plan->n_gone; i++)
		overlay_close(plan->gone[i]);
}

static dvs_err follow(struct disks *disks, const struct disk_io *io)
{
	struct disk *disk = &disks->disk[io->minor];
	uint64_t was = disk->is.bytes;
	dvs_err err = DVS_OK;

	become(disks);
	switch (io->op) {
	case DISK_SNAPSHOT:
	case DISK_CLONE:
		return dirty_size(disks->dirty, io->made, disks->disk[io->made].is.bytes);
	case DISK_REMOVE:
		return dirty_size(disks->dirty, io->minor, 0);
	case DISK_RESIZE:
		err = dirty_size(disks->dirty, io->minor, io->bytes);
		if (err == DVS_OK && io->bytes > was && !(io->flags & DISK_BEHIND))
			dirty_mark(disks->dirty, io->minor, was, io->bytes);
		if (io->bytes >= was || err != DVS_OK)
			return err;
		if (io->minor == 0)
			return store_resize(disks->store, io->bytes);
		return overlay_cut(disk->layer[0],
				   (io->bytes + DISK_GRANULE_BYTES - 1) / DISK_GRANULE_BYTES);
	case DISK_CLAIM:
	case DISK_READ:
	case DISK_WRITE:
	case DISK_FLUSH:
	case DISK_TRIM:
	case DISK_ZERO:
	case DISK_MERGE:
	case DISK_DROP:
		break;
	}
	return DVS_OK;
}

static void end(struct plan *plan, dvs_err err)
{
	struct disk_io *io = plan->io;
	struct disks *disks = own_of(io)->disks;
	bool frees_layers = io->op == DISK_REMOVE || io->op == DISK_DROP;

	if (err == DVS_OK) {
		err = follow(disks, io);
	} else {
		overlay_close(plan->made);
		/* Its file goes at the next opening: perhaps meta names it, so that number is not given again. */
		disks->next_layer = plan->next_layer;
	}
	plan->io = NULL;
	order_finish(io, err);
	if (frees_layers && err == DVS_OK)
		tidy_kick(disks);
}

/* ---- files ---- */

/* The directory keeps the new file's name when meta_write() has synced it. */
static dvs_err make_file(struct disks *disks, struct plan *plan)
{
	const struct disk *made = &plan->disk[plan->io->made];
	char name[32], why[DISK_WHY_MAX + 1];

	control_layer_name(made->is.layer[0], name);
	return overlay_open_file(disks->dir, name, disks->meta.id, made->is.kind == DISK_IS_CLONE,
				 true, DISK_BYTES_MAX, &disks->help, &plan->made, why);
}

static void work(struct job *job)
{
	struct plan *plan = CONTAINER_OF(job, struct plan, job);
	struct disks *disks = CONTAINER_OF(plan, struct disks, plan);
	char name[32];

	plan->err = DVS_OK;
	if (plan->io->op == DISK_SNAPSHOT || plan->io->op == DISK_CLONE)
		plan->err = make_file(disks, plan);
	pthread_mutex_lock(&disks->meta_lock);
	if (plan->err == DVS_OK) {
		plan->meta.is_current = disks->meta.is_current;
		plan->err = meta_write(disks->dir, &plan->meta);
	}
	/* The new one may be there although it failed. */
	if (plan->err == DVS_OK)
		disks->meta = plan->meta;
	else
		(void)!meta_write(disks->dir, &disks->meta);
	pthread_mutex_unlock(&disks->meta_lock);
	for (uint32_t i = 0; i < plan->n_gone && plan->err == DVS_OK; i++) {
		control_layer_name(plan->gone_id[i], name);
		(void)unlinkat(disks->dir, name, 0);
	}
}

static void worked(struct post *post)
{
	struct plan *plan = CONTAINER_OF(post, struct plan, job.post);

	if (plan->err == DVS_OK && plan->made)
		plan->disk[plan->io->made].layer[0] = plan->made;
	end(plan, plan->err);
}

static void carry_out(struct plan *plan)
{
	struct disks *disks = own_of(plan->io)->disks;

	if (disks->dir < 0) {
		if (plan->io->op == DISK_SNAPSHOT || plan->io->op == DISK_CLONE)
			plan->err = overlay_open_ram(plan->io->op == DISK_CLONE, &plan->made);
		worked(&plan->job.post);
		return;
	}
	pthread_mutex_lock(&disks->meta_lock);
	plan->meta = disks->meta;
	pthread_mutex_unlock(&disks->meta_lock);
	control_meta(disks, plan->disk, &plan->meta);
	plan->meta.next_layer = plan->next_layer;
	plan->meta.next_born = plan->next_born;
	crew_put(disks->help.crew, &plan->job);
}

static void store_flushed(struct store_io *io, dvs_err err)
{
	struct plan *plan = CONTAINER_OF(io, struct plan, store_io);

	if (err == DVS_OK)
		carry_out(plan);
	else
		end(plan, err);
}

static void layer_flushed(struct overlay_flush *flush, dvs_err err)
{
	struct plan *plan = CONTAINER_OF(flush, struct plan, flush);

	if (err == DVS_OK)
		carry_out(plan);
	else
		end(plan, err);
}

/* What a new snapshot shows is on stable storage first. */
static void flush_then_carry_out(struct plan *plan)
{
	struct disks *disks = own_of(plan->io)->disks;

	if (plan->io->minor == 0) {
		plan->store_io = (struct store_io){ .op = STORE_FLUSH, .done = store_flushed };
		store_submit(disks->store, &plan->store_io);
	} else {
		plan->flush.done = layer_flushed;
		overlay_flush(disks->disk[plan->io->minor].layer[0], &plan->flush);
	}
}

/* ---- plans ---- */

static dvs_err choose_minor(const struct disks *disks, struct disk_io *io)
{
	uint32_t minor = 1;

	for (uint32_t m = 0; m < DISK_MINORS_MAX; m++) {
		if (disks->disk[m].is_there && strcmp(disks->disk[m].is.name, io->name) == 0)
			return DVS_EXISTS;
	}
	if (io->flags & DISK_BEHIND) {
		if (io->made == 0 || io->made >= DISK_MINORS_MAX)
			return DVS_BADARG;
		return disks->disk[io->made].is_there ? DVS_EXISTS : DVS_OK;
	}
	while (minor < DISK_MINORS_MAX && disks->disk[minor].is_there)
		minor++;
	io->made = minor;
	return minor < DISK_MINORS_MAX ? DVS_OK : DVS_FULL;
}

static dvs_err plan_new(struct disks *disks, struct plan *plan)
{
	struct disk_io *io = plan->io;
	const struct disk *of = &disks->disk[io->minor];
	bool is_clone = io->op == DISK_CLONE;
	dvs_err err;

	if (memchr(io->name, '\0', sizeof(io->name)) == NULL || !*io->name)
		return DVS_BADARG;
	if (is_clone != (of->is.kind == DISK_IS_SNAPSHOT))
		return DVS_BADSTATE;
	err = choose_minor(disks, io);
	if (err != DVS_OK)
		return err;
	plan->disk[io->made] = (struct disk){
		.is_there = true,
		.is = {
			.minor = io->made,
			.kind = is_clone ? DISK_IS_CLONE : DISK_IS_SNAPSHOT,
			.parent = io->minor,
			.bytes = of->is.bytes,
			.created_ns = io->now_ns,
			.base_bytes = of->is.bytes,
			.born = plan->next_born++,
			.n_layers = 1,
			.layer = { plan->next_layer++ },
		},
	};
	memcpy(plan->disk[io->made].is.name, io->name, sizeof(io->name));
	disks->expected_claim[io->made] = 0;
	return DVS_OK;
}

/* The one that was made before SNAPSHOT of the same disk. */
static struct disk *older(struct disk *all, const struct disk *snapshot)
{
	struct disk *found = NULL;

	for (uint32_t m = 1; m < DISK_MINORS_MAX; m++) {
		if (all[m].is_there && all[m].is.kind == DISK_IS_SNAPSHOT &&
		    all[m].is.parent == snapshot->is.parent && all[m].is.born < snapshot->is.born &&
		    (!found || all[m].is.born > found->is.born))
			found = &all[m];
	}
	return found;
}

static dvs_err plan_remove(struct plan *plan)
{
	struct disk *disk = &plan->disk[plan->io->minor];
	struct disk *heir = NULL;

	if (disk->is.kind == DISK_IS_VOLUME)
		return DVS_BADSTATE;
	for (uint32_t m = 1; m < DISK_MINORS_MAX; m++) {
		if (plan->disk[m].is_there && plan->disk[m].is.parent == plan->io->minor)
			return DVS_BADSTATE;
	}
	if (disk->is.kind == DISK_IS_SNAPSHOT)
		heir = older(plan->disk, disk);
	if (heir && heir->is.n_layers + disk->is.n_layers > META_LAYERS_MAX)
		return DVS_FULL;
	for (uint32_t l = 0; l < disk->is.n_layers; l++) {
		if (heir) {
			heir->layer[heir->is.n_layers] = disk->layer[l];
			heir->is.layer[heir->is.n_layers++] = disk->is.layer[l];
		} else {
			plan->gone[plan->n_gone] = disk->layer[l];
			plan->gone_id[plan->n_gone++] = disk->is.layer[l];
		}
	}
	disk->is_there = false;
	return DVS_OK;
}

/* Where a clone ended within a granule of its own, zeroes follow. */
static dvs_err blank_tail(struct disk *disk)
{
	uint64_t in_granule = disk->is.bytes % DISK_GRANULE_BYTES;

	return in_granule ? overlay_blank(disk->layer[0], disk->is.bytes / DISK_GRANULE_BYTES,
					  in_granule) :
			    DVS_OK;
}

static dvs_err plan_resize(struct disks *disks, struct plan *plan)
{
	const struct disk_io *io = plan->io;
	struct disk *disk = &plan->disk[io->minor];
	dvs_err err = DVS_OK;

	if (io->bytes == 0 || io->bytes % DISK_SECTOR_BYTES || io->bytes > DISK_BYTES_MAX)
		return DVS_BADARG;
	/* What is made equal to another replica is compared afterwards. */
	if (disk->is.kind == DISK_IS_SNAPSHOT && !(io->flags & DISK_BEHIND))
		return DVS_READONLY;
	if (io->bytes < disk->is.bytes && cow_newest(disks, io->minor) &&
	    !(io->flags & DISK_BEHIND))
		return DVS_BADSTATE;
	if (io->bytes > disk->is.bytes && disk->is.kind != DISK_IS_SNAPSHOT)
		err = io->minor == 0 ? store_resize(disks->store, io->bytes) : blank_tail(disk);
	disk->is.bytes = io->bytes;
	if (disk->is.base_bytes > io->bytes)
		disk->is.base_bytes = io->bytes;
	return err;
}

/* Whoever wrote under a lower one is stopped at the door (disks_claim()); all that came in before is done. */
static dvs_err plan_claim(struct plan *plan)
{
	struct disk *disk = &plan->disk[plan->io->minor];

	if (disk->is.kind == DISK_IS_SNAPSHOT)
		return DVS_READONLY;
	if (plan->io->claim > disk->is.claim)
		disk->is.claim = plan->io->claim;
	return DVS_OK;
}

/* The layer that was merged is not needed any more. */
static dvs_err plan_drop(struct disks *disks, struct plan *plan)
{
	struct disk *disk = &plan->disk[plan->io->minor];

	for (uint32_t l = 1; l < disk->is.n_layers; l++) {
		if (disk->is.layer[l] != disks->tidy.layer)
			continue;
		plan->gone[0] = disk->layer[l];
		plan->gone_id[0] = disk->is.layer[l];
		plan->n_gone = 1;
		disk->is.n_layers--;
		for (; l < disk->is.n_layers; l++) {
			disk->layer[l] = disk->layer[l + 1];
			disk->is.layer[l] = disk->is.layer[l + 1];
		}
		return DVS_OK;
	}
	return DVS_BADSTATE;
}

void control_start(struct disk_io *io)
{
	struct disks *disks = own_of(io)->disks;
	struct plan *plan = &disks->plan;
	dvs_err err = DVS_OK;

	assert(!plan->io);
	plan->io = io;
	memcpy(plan->disk, disks->disk, sizeof(plan->disk));
	plan->made = NULL;
	plan->n_gone = 0;
	plan->next_layer = disks->next_layer;
	plan->next_born = disks->next_born;
	plan->err = DVS_OK;
	plan->job = (struct job){ .post = { .run = worked }, .work = work };
	if (io->op == DISK_SNAPSHOT || io->op == DISK_CLONE)
		err = plan_new(disks, plan);
	else if (io->op == DISK_REMOVE)
		err = plan_remove(plan);
	else if (io->op == DISK_RESIZE)
		err = plan_resize(disks, plan);
	else if (io->op == DISK_CLAIM)
		err = plan_claim(plan);
	else
		err = plan_drop(disks, plan);
	if (err != DVS_OK)
		end(plan, err);
	else if (io->op == DISK_SNAPSHOT)
		flush_then_carry_out(plan);
	else
		carry_out(plan);
}
