/* SPDX-License-Identifier: Apache-2.0 */
/* Carrying out one request, when nothing that it must wait for is under way: its chunks are marked, what a snapshot needs is kept, then it is done. */
#include "servers/vdd/internal.h"

#include "base/compiler.h"

static dvs_err check(const struct disk_io *io)
{
	const struct disks *disks = own_of(io)->disks;
	const struct disk *disk = &disks->disk[io->minor < DISK_MINORS_MAX ? io->minor : 0];

	if (io->minor >= DISK_MINORS_MAX || !disk->is_there)
		return DVS_NOTFOUND;
	if (io_is_control(io) || io->op == DISK_FLUSH || io->op == DISK_MERGE)
		return DVS_OK;
	if (io->offset % DISK_SECTOR_BYTES || io->bytes % DISK_SECTOR_BYTES)
		return DVS_BADARG;
	if (io->offset > disk->is.bytes || io->bytes > disk->is.bytes - io->offset)
		return DVS_RANGE;
	if (io_changes(io) && disk->is.kind == DISK_IS_SNAPSHOT && !(io->flags & DISK_BEHIND))
		return DVS_READONLY;
	return DVS_OK;
}

static void store_done(struct store_io *store_io, dvs_err err)
{
	order_finish(io_of(CONTAINER_OF(store_io, struct io_own, store_io)), err);
}

/* All of it is the volume's store's. */
static void run_on_store(struct disk_io *io)
{
	struct io_own *own = own_of(io);
	enum store_op op = io->op == DISK_READ	? STORE_READ :
			   io->op == DISK_WRITE ? STORE_WRITE :
			   io->op == DISK_FLUSH ? STORE_FLUSH :
						  STORE_ZERO;

	own->store_io = (struct store_io){
		.op = op,
		.flags = (io->flags & DISK_FUA ? STORE_FUA : 0) |
			 (io->op == DISK_ZERO && (io->flags & DISK_KEEP) ? STORE_KEEP : 0),
		.offset = io->op == DISK_FLUSH ? 0 : io->offset,
		.bytes = io->op == DISK_FLUSH ? 0 : io->bytes,
		.buffer = io->buffer,
		.done = store_done,
	};
	store_submit(own->disks->store, &own->store_io);
}

static void map(struct disk_io *io)
{
	struct store *store = own_of(io)->disks->store;
	const void *memory = NULL;

	if (store->ops->memory && io->minor == 0)
		memory = store->ops->memory(store, io->offset, io->bytes);
	io->buffer = (void *)(uintptr_t)memory;
	order_finish(io, memory ? DVS_OK : DVS_BADARG);
}

static void flushed(struct overlay_flush *flush, dvs_err err)
{
	order_finish(io_of(CONTAINER_OF(flush, struct io_own, flush)), err);
}

static void flush_layer(struct disk_io *io)
{
	struct io_own *own = own_of(io);

	own->flush.done = flushed;
	overlay_flush(own->disks->disk[io->minor].layer[0], &own->flush);
}

static void applied(struct disk_io *io)
{
	const struct disk *disk = &own_of(io)->disks->disk[io->minor];
	dvs_err err = own_of(io)->err;

	/* What a snapshot gets is on stable storage already. */
	if (err == DVS_OK && io_changes(io) && (io->flags & DISK_FUA) &&
	    disk->is.kind == DISK_IS_CLONE)
		flush_layer(io);
	else
		order_finish(io, err);
}

static void preserved(struct disk_io *io)
{
	if (own_of(io)->err != DVS_OK)
		order_finish(io, own_of(io)->err);
	else if (io->minor == 0)
		run_on_store(io);
	else
		cow_apply(io, applied);
}

static void marked(struct disk_io *io)
{
	struct disks *disks = own_of(io)->disks;

	own_of(io)->err = DVS_OK;
	if (io->bytes == 0)
		order_finish(io, DVS_OK);
	else if (disks->n_disks > 1 && !(io->flags & DISK_BEHIND) && cow_newest(disks, io->minor))
		cow_preserve(io, preserved);
	else
		preserved(io);
}

static void marks_stable(struct dirty_wait *wait, dvs_err err)
{
	struct disk_io *io = io_of(CONTAINER_OF(wait, struct io_own, dirty));

	if (err == DVS_OK)
		marked(io);
	else
		order_finish(io, err);
}

static void run_change(struct disk_io *io)
{
	struct dirty *dirty = own_of(io)->disks->dirty;
	uint64_t to = io->offset + io->bytes;

	if (io->flags & DISK_BEHIND) {
		marked(io);
		return;
	}
	dirty_mark(dirty, io->minor, io->offset, to);
	if (dirty_is_stable(dirty, io->minor, io->offset, to)) {
		marked(io);
	} else {
		own_of(io)->dirty.done = marks_stable;
		dirty_wait(dirty, io->minor, io->offset, to, &own_of(io)->dirty);
	}
}

static void run_read(struct disk_io *io)
{
	own_of(io)->err = DVS_OK;
	if (io->bytes == 0)
		order_finish(io, DVS_OK);
	else if (!io->buffer)
		map(io);
	else if (io->minor == 0)
		run_on_store(io);
	else
		cow_apply(io, applied);
}

static void run_flush(struct disk_io *io)
{
	switch (own_of(io)->disks->disk[io->minor].is.kind) {
	case DISK_IS_VOLUME:
		run_on_store(io);
		break;
	case DISK_IS_CLONE:
		flush_layer(io);
		break;
	default:
		order_finish(io, DVS_OK);
	}
}

void run_start(struct disk_io *io)
{
	dvs_err err = check(io);

	if (err != DVS_OK) {
		order_finish(io, err);
		return;
	}
	switch (io->op) {
	case DISK_READ:
		run_read(io);
		break;
	case DISK_WRITE:
	case DISK_TRIM:
	case DISK_ZERO:
		run_change(io);
		break;
	case DISK_FLUSH:
		run_flush(io);
		break;
	case DISK_MERGE:
		own_of(io)->err = DVS_OK;
		cow_merge(io, applied);
		break;
	case DISK_RESIZE:
	case DISK_SNAPSHOT:
	case DISK_CLONE:
	case DISK_CLAIM:
	case DISK_REMOVE:
	case DISK_DROP:
		control_start(io);
		break;
	}
}
