/* SPDX-License-Identifier: Apache-2.0 */
/* Blocks of snapshots and clones, granule by granule.
 *
 * What a snapshot shows and has not itself is what the next newer snapshot of the same disk shows, and for the newest what the disk
 * itself has: so before a granule of a disk is overwritten, its content goes to the newest snapshot, unless that has it. What a clone shows and has not itself is
 * what its snapshot shows. */
#include "servers/vdd/internal.h"

#include <stdlib.h>
#include <string.h>

#include "base/compiler.h"

#define PIECES_MAX 16u
/* So many granules in one go, then others have their turn. */
#define STEPS_MAX 4096u

/* One granule of a request. */
struct piece {
	struct list all;
	struct disk_io *io;
	uint64_t granule;
	uint64_t from; /* within it */
	uint64_t to;
	uint8_t *room;
	struct overlay *target;
	struct store_io store_io;
	struct overlay_put put;
};

/* ---- who stands behind whom ---- */

struct disk *cow_newest(struct disks *disks, uint32_t minor)
{
	struct disk *newest = NULL;

	for (uint32_t m = 1; m < DISK_MINORS_MAX; m++) {
		struct disk *disk = &disks->disk[m];

		if (disk->is_there && disk->is.kind == DISK_IS_SNAPSHOT &&
		    disk->is.parent == minor && (!newest || disk->is.born > newest->is.born))
			newest = disk;
	}
	return newest;
}

const struct disk *cow_newer(const struct disks *disks, const struct disk *snapshot)
{
	const struct disk *newer = NULL;

	for (uint32_t m = 1; m < DISK_MINORS_MAX; m++) {
		const struct disk *disk = &disks->disk[m];

		if (disk->is_there && disk->is.kind == DISK_IS_SNAPSHOT &&
		    disk->is.parent == snapshot->is.parent && disk->is.born > snapshot->is.born &&
		    (!newer || disk->is.born < newer->is.born))
			newer = disk;
	}
	return newer;
}

static bool find_in_layers(const struct disk *disk, uint64_t granule, struct overlay_slot *slot)
{
	for (uint32_t l = 0; l < disk->is.n_layers; l++) {
		if (overlay_find(disk->layer[l], granule, slot))
			return true;
	}
	return false;
}

static uint64_t lesser(uint64_t a, uint64_t b)
{
	return a < b ? a : b;
}

struct source cow_resolve(const struct disks *disks, uint32_t minor, uint64_t granule)
{
	const struct disk *disk = &disks->disk[minor];
	uint64_t start = granule * DISK_GRANULE_BYTES;
	uint64_t end = start + DISK_GRANULE_BYTES;

	for (;;) {
		const struct disk *newer = NULL;
		struct overlay_slot slot;

		end = lesser(end, disk->is.bytes);
		if (end <= start)
			return (struct source){ .is_zero = true };
		if (disk->is.kind == DISK_IS_VOLUME)
			return (struct source){ .store = disks->store,
						.offset = start,
						.valid = end - start };
		if (find_in_layers(disk, granule, &slot))
			return (struct source){ .store = slot.store,
						.offset = slot.offset,
						.valid = end - start,
						.is_zero = slot.is_zero };
		if (disk->is.kind == DISK_IS_SNAPSHOT)
			newer = cow_newer(disks, disk);
		else
			end = lesser(end, disk->is.base_bytes);
		disk = newer ? newer : &disks->disk[disk->is.parent];
	}
}

/* Whether what is there reads as zeroes, as far as that is known without reading. */
static bool is_blank(const struct disks *disks, const struct source *source)
{
	uint64_t bytes;
	bool is_hole;

	if (source->is_zero || source->store != disks->store)
		return source->is_zero;
	return store_extent(source->store, source->offset, source->valid, &bytes, &is_hole) ==
		       DVS_OK &&
	       is_hole && bytes == source->valid;
}

/* ---- pieces ---- */

static void pump(struct disk_io *io);

static void turn(struct post *post)
{
	pump(io_of(CONTAINER_OF(post, struct io_own, post)));
}

static void pump(struct disk_io *io)
{
	struct io_own *own = own_of(io);
	uint64_t end = io->offset + io->bytes;
	uint32_t steps = 0;

	if (own->is_pumping)
		return;
	own->is_pumping = true;
	while (own->err == DVS_OK && own->at < end && own->pending < PIECES_MAX &&
	       steps++ < STEPS_MAX)
		own->next(io);
	own->is_pumping = false;
	if (own->pending > 0)
		return;
	if (own->err == DVS_OK && own->at < end) {
		own->post.run = turn;
		returns_put(own->disks->help.returns, &own->post);
		return;
	}
	own->after(io);
}

static void run_pieces(struct disk_io *io, void (*next)(struct disk_io *io),
		       void (*after)(struct disk_io *io))
{
	struct io_own *own = own_of(io);

	own->next = next;
	own->after = after;
	own->at = io->offset;
	own->pending = 0;
	own->is_pumping = false;
	pump(io);
}

static struct piece *piece_new(struct disk_io *io, uint64_t granule, bool with_room)
{
	struct io_own *own = own_of(io);
	struct piece *piece = calloc(1, sizeof(*piece));
	uint8_t *room = with_room && piece ? malloc(OVERLAY_ROOM_BYTES) : NULL;

	if (!piece || (with_room && !room)) {
		free(piece);
		own->err = DVS_NOMEM;
		return NULL;
	}
	piece->io = io;
	piece->granule = granule;
	piece->room = room;
	own->pending++;
	list_add_tail(&own->disks->pieces, &piece->all);
	return piece;
}

static void piece_free(struct piece *piece)
{
	list_remove(&piece->all);
	free(piece->room);
	free(piece);
}

static void piece_end(struct piece *piece, dvs_err err)
{
	struct disk_io *io = piece->io;

	piece_free(piece);
	own_of(io)->pending--;
	if (err != DVS_OK)
		own_of(io)->err = err;
	pump(io);
}

void cow_drop_pieces(struct disks *disks)
{
	LIST_FOREACH_SAFE(link, &disks->pieces)
		piece_free(CONTAINER_OF(link, struct piece, all));
}

static void piece_stored(struct store_io *store_io, dvs_err err)
{
	piece_end(CONTAINER_OF(store_io, struct piece, store_io), err);
}

static void piece_put_done(struct overlay_put *put, dvs_err err)
{
	piece_end(CONTAINER_OF(put, struct piece, put), err);
}

/* The whole granule, which is in its room or all zeroes, goes to its target. */
static void piece_put(struct piece *piece)
{
	piece->put = (struct overlay_put){
		.granule = piece->granule,
		.room = piece->room,
		.done = piece_put_done,
	};
	overlay_put(piece->target, &piece->put);
}

/* What was read gets what the request changes. */
static void piece_patch(struct piece *piece)
{
	const struct disk_io *io = piece->io;
	uint8_t *at = piece->room + OVERLAY_HEAD_BYTES + piece->from;
	uint64_t in_request = piece->granule * DISK_GRANULE_BYTES + piece->from - io->offset;

	if (io->op == DISK_WRITE)
		memcpy(at, (const uint8_t *)io->buffer + in_request, piece->to - piece->from);
	else
		memset(at, 0, piece->to - piece->from);
}

static void piece_read(struct store_io *store_io, dvs_err err)
{
	struct piece *piece = CONTAINER_OF(store_io, struct piece, store_io);

	if (err != DVS_OK) {
		piece_end(piece, err);
		return;
	}
	if (piece->from < piece->to)
		piece_patch(piece);
	piece_put(piece);
}

/* Read the granule from SOURCE, patch it, put it. */
static void piece_copy(struct piece *piece, const struct source *source)
{
	uint8_t *data = piece->room + OVERLAY_HEAD_BYTES;

	piece->store_io = (struct store_io){
		.op = STORE_READ,
		.offset = source->offset,
		.bytes = source->valid,
		.buffer = data,
		.done = piece_read,
	};
	if (source->is_zero) {
		memset(data, 0, DISK_GRANULE_BYTES);
		piece_read(&piece->store_io, DVS_OK);
		return;
	}
	memset(data + source->valid, 0, DISK_GRANULE_BYTES - source->valid);
	store_submit(source->store, &piece->store_io);
}

/* Copy GRANULE, as MINOR shows it, to TARGET. */
static void copy_granule(struct disk_io *io, uint64_t granule, const struct source *source,
			 struct overlay *target)
{
	bool is_zero = is_blank(own_of(io)->disks, source);
	struct piece *piece = piece_new(io, granule, !is_zero);

	if (!piece)
		return;
	piece->target = target;
	if (is_zero)
		piece_put(piece);
	else
		piece_copy(piece, source);
}

/* ---- keeping ---- */

static uint64_t next_granule(uint64_t at)
{
	return (at / DISK_GRANULE_BYTES + 1) * DISK_GRANULE_BYTES;
}

static void preserve_next(struct disk_io *io)
{
	struct io_own *own = own_of(io);
	struct disk *newest = cow_newest(own->disks, io->minor);
	uint64_t granule = own->at / DISK_GRANULE_BYTES;
	struct overlay_slot slot;
	struct source source;
	uint64_t hole;
	bool is_hole;

	/* What has nothing before and after needs no keeping. */
	if (io->op != DISK_WRITE && io->minor == 0 &&
	    store_extent(own->disks->store, own->at, io->offset + io->bytes - own->at, &hole,
			 &is_hole) == DVS_OK &&
	    is_hole && hole > 0) {
		own->at += hole;
		return;
	}
	own->at = next_granule(own->at);
	if (granule * DISK_GRANULE_BYTES >= newest->is.bytes ||
	    find_in_layers(newest, granule, &slot))
		return;
	source = cow_resolve(own->disks, io->minor, granule);
	copy_granule(io, granule, &source, newest->layer[0]);
}

void cow_preserve(struct disk_io *io, void (*after)(struct disk_io *io))
{
	run_pieces(io, preserve_next, after);
}

/* ---- reading and writing ---- */

static void read_next(struct disk_io *io)
{
	struct io_own *own = own_of(io);
	uint64_t end = io->offset + io->bytes;
	uint64_t granule = own->at / DISK_GRANULE_BYTES;
	uint64_t in_granule = own->at % DISK_GRANULE_BYTES;
	uint64_t stop = lesser(next_granule(own->at), end);
	struct source source = cow_resolve(own->disks, io->minor, granule);
	uint8_t *out = (uint8_t *)io->buffer + (own->at - io->offset);
	uint64_t bytes = stop - own->at, valid;
	struct piece *piece;

	own->at = stop;
	valid = source.is_zero || source.valid <= in_granule ?
			0 :
			lesser(bytes, source.valid - in_granule);
	memset(out + valid, 0, bytes - valid);
	if (valid == 0)
		return;
	/* What is in a row is read in one go. */
	while (valid == bytes && stop < end && stop % DISK_GRANULE_BYTES == 0) {
		struct source more = cow_resolve(own->disks, io->minor, stop / DISK_GRANULE_BYTES);
		uint64_t part = lesser(end - stop, DISK_GRANULE_BYTES);

		if (more.is_zero || more.store != source.store || more.valid < part ||
		    more.offset != source.offset + in_granule + bytes)
			break;
		stop += part;
		bytes += part;
		valid = bytes;
		own->at = stop;
	}
	piece = piece_new(io, granule, false);
	if (!piece)
		return;
	piece->store_io = (struct store_io){
		.op = STORE_READ,
		.offset = source.offset + in_granule,
		.bytes = valid,
		.buffer = out,
		.done = piece_stored,
	};
	store_submit(source.store, &piece->store_io);
}

/* In place, in a clone's own slot. */
static void change_slot(struct disk_io *io, uint64_t granule, uint64_t from, uint64_t to,
			const struct overlay_slot *slot)
{
	struct io_own *own = own_of(io);
	struct piece *piece;

	if (io->op != DISK_WRITE && slot->is_zero)
		return;
	piece = piece_new(io, granule, false);
	if (!piece)
		return;
	overlay_touch(own->disks->disk[io->minor].layer[0], granule);
	piece->store_io = (struct store_io){
		.op = io->op == DISK_WRITE ? STORE_WRITE : STORE_ZERO,
		.flags = io->op == DISK_ZERO && (io->flags & DISK_KEEP) ? STORE_KEEP : 0,
		.offset = slot->offset + from,
		.bytes = to - from,
		.done = piece_stored,
	};
	if (io->op == DISK_WRITE)
		piece->store_io.buffer =
			(uint8_t *)io->buffer + (granule * DISK_GRANULE_BYTES + from - io->offset);
	store_submit(slot->store, &piece->store_io);
}

static void change_next(struct disk_io *io)
{
	struct io_own *own = own_of(io);
	const struct disk *disk = &own->disks->disk[io->minor];
	uint64_t granule = own->at / DISK_GRANULE_BYTES;
	uint64_t from = own->at % DISK_GRANULE_BYTES;
	uint64_t to = from + lesser(next_granule(own->at), io->offset + io->bytes) - own->at;
	uint64_t whole = lesser(DISK_GRANULE_BYTES, disk->is.bytes - granule * DISK_GRANULE_BYTES);
	struct overlay_slot slot;
	struct source source;
	struct piece *piece;
	bool is_all = from == 0 && to == whole;

	own->at = granule * DISK_GRANULE_BYTES + to;
	if (disk->is.kind == DISK_IS_CLONE && overlay_find(disk->layer[0], granule, &slot)) {
		change_slot(io, granule, from, to, &slot);
		return;
	}
	source = cow_resolve(own->disks, io->minor, granule);
	if (io->op != DISK_WRITE && is_blank(own->disks, &source))
		return;
	piece = piece_new(io, granule, io->op == DISK_WRITE || !is_all);
	if (!piece)
		return;
	piece->target = disk->layer[0];
	piece->from = from;
	piece->to = to;
	if (is_all) {
		if (piece->room) {
			memset(piece->room + OVERLAY_HEAD_BYTES + whole, 0,
			       DISK_GRANULE_BYTES - whole);
			piece_patch(piece);
		}
		piece_put(piece);
		return;
	}
	piece_copy(piece, &source);
}

void cow_apply(struct disk_io *io, void (*after)(struct disk_io *io))
{
	run_pieces(io, io->op == DISK_READ ? read_next : change_next, after);
}

/* ---- merging ---- */

static void merge_next(struct disk_io *io)
{
	struct io_own *own = own_of(io);
	const struct disk *disk = &own->disks->disk[io->minor];
	uint64_t granule = io->offset / DISK_GRANULE_BYTES;
	struct overlay_slot slot;
	struct source source;

	own->at = io->offset + io->bytes;
	if (overlay_find(disk->layer[0], granule, &slot))
		return;
	for (uint32_t l = 1; l < disk->is.n_layers; l++) {
		if (disk->is.layer[l] != own->disks->tidy.layer ||
		    !overlay_find(disk->layer[l], granule, &slot))
			continue;
		source = (struct source){ .store = slot.store,
					  .offset = slot.offset,
					  .valid = DISK_GRANULE_BYTES,
					  .is_zero = slot.is_zero };
		copy_granule(io, granule, &source, disk->layer[0]);
		return;
	}
}

void cow_merge(struct disk_io *io, void (*after)(struct disk_io *io))
{
	run_pieces(io, merge_next, after);
}
