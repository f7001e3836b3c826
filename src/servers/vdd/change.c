/* SPDX-License-Identifier: Apache-2.0 */
#include "servers/vdd/change.h"

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"
#include "base/cursor.h"
#include "proto/vdd_proto.h"

/* The flags of requests that disks know; FUA and KEEP have the same numbers in both. */
#define REQUEST_FLAGS (DISK_FUA | DISK_KEEP)

static void finish(struct change *change)
{
	if (--change->n_left == 0)
		change->finished(change, change->err);
}

static void io_done(struct disk_io *io, dvs_err err)
{
	struct change *change = io->keeper;

	if (err && !change->err)
		change->err = err;
	finish(change);
}

static void submit(struct change *change)
{
	/* One more, so that it is not over before all are submitted. */
	change->n_left = change->n_ios + 1;
	for (uint32_t i = 0; i < change->n_ios; i++) {
		struct disk_io *io = &change->ios[i];

		io->flags |= change->flags;
		io->done = io_done;
		io->keeper = change;
		disks_submit(change->disks, io);
	}
	finish(change);
}

/* ---- what an entry says ---- */

/* Its data is only read, though disks have one pointer for both ways. */
static void *data_at(const struct replica_entry *entry, size_t at)
{
	return (void *)(uintptr_t)((const uint8_t *)entry->data + at);
}

static dvs_err take_write(struct disk_io *io, const struct replica_entry *entry, struct cursor *in)
{
	struct vdd_entry_write_req req;
	dvs_err err = vdd_entry_write_req_decode(in, &req);

	*io = (struct disk_io){ .op = DISK_WRITE,
				.minor = req.minor,
				.flags = req.flags & REQUEST_FLAGS,
				.offset = req.offset,
				.bytes = entry->bytes,
				.buffer = data_at(entry, 0) };
	return err;
}

static dvs_err take_trim(struct disk_io *io, struct cursor *in)
{
	struct vdd_entry_trim_req req;
	dvs_err err = vdd_entry_trim_req_decode(in, &req);

	*io = (struct disk_io){ .op = DISK_TRIM,
				.minor = req.minor,
				.flags = req.flags & REQUEST_FLAGS,
				.offset = req.offset,
				.bytes = req.bytes };
	return err;
}

static dvs_err take_zero(struct disk_io *io, struct cursor *in)
{
	struct vdd_entry_zero_req req;
	dvs_err err = vdd_entry_zero_req_decode(in, &req);

	*io = (struct disk_io){ .op = DISK_ZERO,
				.minor = req.minor,
				.flags = req.flags & REQUEST_FLAGS,
				.offset = req.offset,
				.bytes = req.bytes };
	return err;
}

static dvs_err take_flush(struct disk_io *io, struct cursor *in)
{
	struct vdd_entry_flush_req req;
	dvs_err err = vdd_entry_flush_req_decode(in, &req);

	*io = (struct disk_io){ .op = DISK_FLUSH, .minor = req.minor };
	return err;
}

static dvs_err take_resize(struct disk_io *io, struct cursor *in)
{
	struct vdd_entry_resize_req req;
	dvs_err err = vdd_entry_resize_req_decode(in, &req);

	*io = (struct disk_io){ .op = DISK_RESIZE, .minor = req.minor, .bytes = req.bytes };
	return err;
}

static dvs_err take_remove(struct disk_io *io, struct cursor *in)
{
	struct vdd_entry_remove_req req;
	dvs_err err = vdd_entry_remove_req_decode(in, &req);

	*io = (struct disk_io){ .op = DISK_REMOVE, .minor = req.minor };
	return err;
}

/* Known from here on, so that nothing that comes later is ordered behind it. */
static dvs_err take_claim(struct change *change, struct disk_io *io, struct cursor *in)
{
	struct vdd_entry_claim_req req;
	dvs_err err = vdd_entry_claim_req_decode(in, &req);

	*io = (struct disk_io){ .op = DISK_CLAIM, .minor = req.minor, .claim = req.claim };
	if (!err)
		disks_expect_claim(change->disks, req.minor, req.claim);
	return err;
}

static dvs_err take_name(struct disk_io *io, const struct replica_entry *entry)
{
	if (entry->bytes == 0 || entry->bytes > DISK_NAME_MAX ||
	    memchr(entry->data, 0, entry->bytes))
		return DVS_PROTO;
	memcpy(io->name, entry->data, entry->bytes);
	return DVS_OK;
}

static dvs_err take_snapshot(struct disk_io *io, const struct replica_entry *entry,
			     struct cursor *in)
{
	struct vdd_entry_snapshot_req req;
	dvs_err err = vdd_entry_snapshot_req_decode(in, &req);

	*io = (struct disk_io){ .op = DISK_SNAPSHOT, .minor = req.minor, .now_ns = req.now_ns };
	return err ? err : take_name(io, entry);
}

static dvs_err take_clone(struct disk_io *io, const struct replica_entry *entry, struct cursor *in)
{
	struct vdd_entry_clone_req req;
	dvs_err err = vdd_entry_clone_req_decode(in, &req);

	*io = (struct disk_io){ .op = DISK_CLONE, .minor = req.minor, .now_ns = req.now_ns };
	return err ? err : take_name(io, entry);
}

static dvs_err take_item(struct disk_io *io, const struct vdd_item *item)
{
	*io = (struct disk_io){ .minor = item->minor,
				.flags = item->flags & REQUEST_FLAGS,
				.offset = item->offset,
				.bytes = item->bytes };
	if (item->kind == VDD_WRITE)
		io->op = DISK_WRITE;
	else if (item->kind == VDD_TRIM)
		io->op = DISK_TRIM;
	else if (item->kind == VDD_ZERO)
		io->op = DISK_ZERO;
	else if (item->kind == VDD_FLUSH)
		io->op = DISK_FLUSH;
	else
		return DVS_PROTO;
	return DVS_OK;
}

static dvs_err take_items(struct change *change, const struct replica_entry *entry,
			  struct vdd_entry_batch_req *req)
{
	struct cursor in = cursor_over(entry->data, req->data_at);
	size_t at = req->data_at;
	dvs_err err = DVS_OK;

	for (uint32_t i = 0; !err && i < req->count; i++) {
		struct disk_io *io = &change->ios[i];
		struct vdd_item item;

		vdd_item_get(&in, &item);
		err = take_item(io, &item);
		if (err || io->op != DISK_WRITE)
			continue;
		if (item.bytes > entry->bytes - at)
			return DVS_PROTO;
		io->buffer = data_at(entry, at);
		at += item.bytes;
	}
	return err;
}

static dvs_err take_batch(struct change *change, const struct replica_entry *entry,
			  struct cursor *in)
{
	struct vdd_entry_batch_req req;
	dvs_err err = vdd_entry_batch_req_decode(in, &req);

	if (err || req.data_at > entry->bytes || req.count == 0 || req.count > CHANGE_ITEMS_MAX ||
	    req.data_at / VDD_ITEM_BYTES_MAX < req.count)
		return DVS_PROTO;
	change->ios = calloc(req.count, sizeof(*change->ios));
	if (!change->ios)
		return DVS_NOMEM;
	err = take_items(change, entry, &req);
	if (!err)
		change->n_ios = req.count;
	return err;
}

static dvs_err take(struct change *change, const struct replica_entry *entry)
{
	struct cursor in = cursor_over(entry->head, entry->head_bytes);
	uint8_t kind = cursor_u8(&in);

	change->n_ios = 1;
	switch (kind) {
	case VDD_ENTRY_WRITE:
		return take_write(&change->one, entry, &in);
	case VDD_ENTRY_FLUSH:
		return take_flush(&change->one, &in);
	case VDD_ENTRY_TRIM:
		return take_trim(&change->one, &in);
	case VDD_ENTRY_ZERO:
		return take_zero(&change->one, &in);
	case VDD_ENTRY_RESIZE:
		return take_resize(&change->one, &in);
	case VDD_ENTRY_SNAPSHOT:
		return take_snapshot(&change->one, entry, &in);
	case VDD_ENTRY_CLONE:
		return take_clone(&change->one, entry, &in);
	case VDD_ENTRY_CLAIM:
		return take_claim(change, &change->one, &in);
	case VDD_ENTRY_REMOVE:
		return take_remove(&change->one, &in);
	case VDD_ENTRY_BATCH:
		return take_batch(change, entry, &in);
	case VDD_ENTRY_COOL:
		change->n_ios = 0;
		disks_cool(change->disks);
		return DVS_OK;
	default:
		return DVS_PROTO;
	}
}

/* ---- the calls ---- */

void change_begin(struct change *change, const struct replica_entry *entry)
{
	change->ios = &change->one;
	change->err = take(change, entry);
	if (change->err)
		change->n_ios = 0;
	submit(change);
}

void change_end(struct change *change)
{
	for (uint32_t i = 0; i < change->n_ios; i++)
		disk_io_release(change->disks, &change->ios[i]);
	if (change->ios != &change->one)
		free(change->ios);
	change->ios = &change->one;
	change->n_ios = 0;
}
