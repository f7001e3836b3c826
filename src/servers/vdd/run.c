/* SPDX-License-Identifier: Apache-2.0 */
/* Carrying out one request, when nothing that it must wait for is under way. */
#include <assert.h>

#include "base/compiler.h"
#include "servers/vdd/internal.h"

static dvs_err check(const struct disk_io *io)
{
	const struct disk *disk = &io->disks->disk[io->minor < DISK_MINORS_MAX ? io->minor : 0];

	if (io->minor >= DISK_MINORS_MAX || !disk->is_there)
		return DVS_NOTFOUND;
	if (io_is_control(io) || io->op == DISK_FLUSH)
		return DVS_OK;
	if (io->offset % DISK_SECTOR_BYTES || io->bytes % DISK_SECTOR_BYTES)
		return DVS_BADARG;
	if (io->offset > disk->bytes || io->bytes > disk->bytes - io->offset)
		return DVS_RANGE;
	if (io_changes(io) && disk->kind == DISK_SNAPSHOT_OF && !(io->flags & DISK_BEHIND))
		return DVS_READONLY;
	return DVS_OK;
}

static void store_done(struct store_io *store_io, dvs_err err)
{
	order_finish(CONTAINER_OF(store_io, struct disk_io, store_io), err);
}

static void map(struct disk_io *io)
{
	const struct store *store = io->disks->store;
	const void *memory = NULL;

	if (store->ops->memory)
		memory = store->ops->memory(io->disks->store, io->offset, io->bytes);
	io->buffer = (void *)(uintptr_t)memory;
	order_finish(io, memory ? DVS_OK : DVS_BADARG);
}

/* All of it is the store's. */
static void run_on_store(struct disk_io *io)
{
	static const enum store_op ops[] = {
		[DISK_READ] = STORE_READ, [DISK_WRITE] = STORE_WRITE, [DISK_FLUSH] = STORE_FLUSH,
		[DISK_TRIM] = STORE_ZERO, [DISK_ZERO] = STORE_ZERO,
	};

	io->store_io = (struct store_io){
		.op = ops[io->op],
		.flags = (io->flags & DISK_FUA ? STORE_FUA : 0) |
			 (io->op == DISK_ZERO && (io->flags & DISK_KEEP) ? STORE_KEEP : 0),
		.offset = io->op == DISK_FLUSH ? 0 : io->offset,
		.bytes = io->op == DISK_FLUSH ? 0 : io->bytes,
		.buffer = io->buffer,
		.done = store_done,
	};
	store_submit(io->disks->store, &io->store_io);
}

static dvs_err resize(struct disk_io *io)
{
	struct disks *disks = io->disks;
	struct disk *disk = &disks->disk[io->minor];
	uint64_t was = disk->bytes;
	dvs_err err;

	if (io->bytes == 0 || io->bytes % DISK_SECTOR_BYTES || io->bytes > DISK_BYTES_MAX)
		return DVS_BADARG;
	err = store_resize(disks->store, io->bytes);
	if (err != DVS_OK)
		return err;
	disk->bytes = io->bytes;
	err = dirty_size(disks->dirty, io->minor, io->bytes);
	if (err == DVS_OK && !(io->flags & DISK_BEHIND) && was < io->bytes)
		dirty_mark(disks->dirty, io->minor, was, io->bytes);
	return err;
}

void run_start(struct disk_io *io)
{
	dvs_err err = check(io);

	if (err != DVS_OK) {
		order_finish(io, err);
		return;
	}
	if (io_changes(io) && !(io->flags & DISK_BEHIND))
		dirty_mark(io->disks->dirty, io->minor, io->offset, io->offset + io->bytes);
	switch (io->op) {
	case DISK_READ:
		if (!io->buffer && io->bytes) {
			map(io);
			return;
		}
		run_on_store(io);
		return;
	case DISK_WRITE:
	case DISK_FLUSH:
	case DISK_TRIM:
	case DISK_ZERO:
		run_on_store(io);
		return;
	case DISK_RESIZE:
		err = resize(io);
		break;
	case DISK_SNAPSHOT:
	case DISK_CLONE:
	case DISK_REMOVE:
		err = DVS_BADSTATE;
		break;
	}
	order_finish(io, err);
}
