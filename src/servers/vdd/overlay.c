/* SPDX-License-Identifier: Apache-2.0 */
#include "servers/vdd/overlay.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/compiler.h"
#include "servers/vdd/overlay_internal.h"

#define TABLE_MIN 64u
#define GROW_SLOTS 64u

/* ---- the index ---- */

static uint64_t place_of(const struct overlay *overlay, uint64_t granule)
{
	uint64_t at = (granule * UINT64_C(0x9e3779b97f4a7c15)) >> 20;

	for (;; at++) {
		const struct entry *entry = &overlay->table[at & (overlay->n_table - 1)];

		if (entry->granule == granule || entry->granule == SLOT_NONE)
			return at & (overlay->n_table - 1);
	}
}

uint64_t overlay_insert(struct overlay *overlay, uint64_t granule, uint64_t slot, bool is_zero)
{
	struct entry *entry = &overlay->table[place_of(overlay, granule)];
	uint64_t was = entry->granule == SLOT_NONE ? SLOT_NONE : entry->slot;

	overlay->n += entry->granule == SLOT_NONE;
	overlay->n_zero -= entry->granule != SLOT_NONE && entry->is_zero;
	overlay->n_zero += is_zero;
	*entry = (struct entry){ .granule = granule, .slot = slot, .is_zero = is_zero };
	return was;
}

static dvs_err retable(struct overlay *overlay, uint64_t n_table)
{
	struct entry *old = overlay->table;
	uint64_t n_old = overlay->n_table;
	struct entry *table = malloc(n_table * sizeof(*table));

	if (!table)
		return DVS_NOMEM;
	for (uint64_t i = 0; i < n_table; i++)
		table[i] = (struct entry){ .granule = SLOT_NONE };
	overlay->table = table;
	overlay->n_table = n_table;
	overlay->n = 0;
	overlay->n_zero = 0;
	for (uint64_t i = 0; i < n_old; i++) {
		if (old[i].granule != SLOT_NONE)
			(void)overlay_insert(overlay, old[i].granule, old[i].slot, old[i].is_zero);
	}
	free(old);
	return DVS_OK;
}

dvs_err overlay_reserve(struct overlay *overlay, uint64_t n)
{
	if (overlay->n_table && overlay->n + n <= overlay->n_table / 4 * 3)
		return DVS_OK;
	return retable(overlay, overlay->n_table ? overlay->n_table * 2 : TABLE_MIN);
}

bool overlay_find(const struct overlay *overlay, uint64_t granule, struct overlay_slot *slot)
{
	const struct entry *entry = &overlay->table[place_of(overlay, granule)];

	if (entry->granule == SLOT_NONE)
		return false;
	*slot = (struct overlay_slot){
		.store = overlay->store,
		.offset = overlay_slot_at(overlay, entry->slot) +
			  (overlay->fd < 0 ? 0 : OVERLAY_HEAD_BYTES),
		.is_zero = entry->is_zero,
	};
	return true;
}

void overlay_touch(struct overlay *overlay, uint64_t granule)
{
	struct entry *entry = &overlay->table[place_of(overlay, granule)];

	overlay->n_zero -= entry->granule == granule && entry->is_zero;
	entry->is_zero = false;
}

bool overlay_next(const struct overlay *overlay, uint64_t *at, uint64_t *granule)
{
	for (; *at < overlay->n_table; ++*at) {
		*granule = overlay->table[*at].granule;
		if (*granule != SLOT_NONE)
			return true;
	}
	return false;
}

uint64_t overlay_used(const struct overlay *overlay)
{
	return (overlay->n - overlay->n_zero) * DISK_GRANULE_BYTES;
}

/* ---- slots ---- */

uint64_t overlay_slot_at(const struct overlay *overlay, uint64_t slot)
{
	return overlay->fd < 0 ? slot * DISK_GRANULE_BYTES :
				 OVERLAY_HEAD_BYTES + slot * OVERLAY_ROOM_BYTES;
}

dvs_err overlay_grow(struct overlay *overlay, uint64_t n)
{
	uint64_t room = overlay->fd < 0 ? overlay->room_slots * 2 : overlay->room_slots;
	uint64_t *unused;
	dvs_err err = DVS_OK;

	room = (room > n ? room : n) / GROW_SLOTS * GROW_SLOTS + GROW_SLOTS;
	unused = realloc(overlay->unused, room * sizeof(*unused));
	if (!unused)
		return DVS_NOMEM;
	overlay->unused = unused;
	if (overlay->fd < 0)
		err = store_resize(overlay->store, room * DISK_GRANULE_BYTES);
	else if (ftruncate(overlay->fd, (off_t)overlay_slot_at(overlay, room)) != 0)
		err = store_errno(errno);
	if (err == DVS_OK)
		overlay->room_slots = room;
	return err;
}

static dvs_err take_slot(struct overlay *overlay, uint64_t *slot, bool *was_used)
{
	dvs_err err = DVS_OK;

	*was_used = overlay->n_unused > 0;
	if (*was_used) {
		*slot = overlay->unused[--overlay->n_unused];
		return DVS_OK;
	}
	if (overlay->n_slots == overlay->room_slots)
		err = overlay_grow(overlay, overlay->n_slots + 1);
	if (err == DVS_OK)
		*slot = overlay->n_slots++;
	return err;
}

static void give_slot(struct overlay *overlay, uint64_t slot)
{
	overlay->unused[overlay->n_unused++] = slot;
}

static dvs_err reserve_fresh(struct overlay *overlay)
{
	uint64_t want = overlay->n_fresh + overlay->n_putting + 1;
	struct entry *fresh;

	if (!overlay->is_clone || overlay->fd < 0 || want <= overlay->room_fresh)
		return DVS_OK;
	fresh = realloc(overlay->fresh, want * 2 * sizeof(*fresh));
	if (!fresh)
		return DVS_NOMEM;
	overlay->fresh = fresh;
	overlay->room_fresh = want * 2;
	return DVS_OK;
}

/* ---- putting ---- */

static void put_done(struct store_io *io, dvs_err err)
{
	struct overlay_put *put = CONTAINER_OF(io, struct overlay_put, io);
	struct overlay *overlay = put->overlay;
	static const uint8_t no_head[HEAD_BYTES];
	uint64_t was;

	list_remove(&put->putting);
	overlay->n_putting--;
	if (err != DVS_OK) {
		/* Half of it may be there, and must not be found. A slot whose head stays is not used again. */
		if (overlay->fd < 0 || store_pwrite(overlay->fd, no_head, sizeof(no_head),
						    overlay_slot_at(overlay, put->slot)) == DVS_OK)
			give_slot(overlay, put->slot);
		put->done(put, err);
		return;
	}
	was = overlay_insert(overlay, put->granule, put->slot, !put->room);
	if (was != SLOT_NONE)
		give_slot(overlay, was);
	if (overlay->is_clone && overlay->fd >= 0)
		overlay->fresh[overlay->n_fresh++] =
			(struct entry){ .granule = put->granule, .slot = put->slot };
	put->done(put, DVS_OK);
}

static void fill_head(struct overlay *overlay, struct overlay_put *put)
{
	const struct overlay_put *oldest =
		CONTAINER_OF(overlay->putting.next, struct overlay_put, putting);
	bool has_sum = !overlay->is_clone && put->room;
	struct head head = {
		.granule = put->granule,
		.number = put->number,
		.boot = overlay->is_clone ? overlay->boot : 0,
		.stable = overlay->is_clone ? 0 : oldest->number - 1,
		/* What is zeroes in a clone can be written in place, and its head stays. */
		.is_zero = !overlay->is_clone && !put->room,
		.has_sum = has_sum,
		.sum = has_sum ? overlay_sum(put->room + OVERLAY_HEAD_BYTES) : 0,
	};

	overlay_write_head(&head, put->head);
	if (put->room) {
		memset(put->room, 0, OVERLAY_HEAD_BYTES);
		memcpy(put->room, put->head, HEAD_BYTES);
	}
}

static void put_in_memory(struct overlay *overlay, struct overlay_put *put, bool was_used)
{
	put->io = (struct store_io){
		.op = put->room ? STORE_WRITE : STORE_ZERO,
		.offset = overlay_slot_at(overlay, put->slot),
		.bytes = DISK_GRANULE_BYTES,
		.buffer = put->room ? put->room + OVERLAY_HEAD_BYTES : NULL,
		.done = put_done,
	};
	if (!put->room && !was_used)
		put_done(&put->io, DVS_OK);
	else
		store_submit(overlay->store, &put->io);
}

static void put_in_file(struct overlay *overlay, struct overlay_put *put)
{
	fill_head(overlay, put);
	put->io = (struct store_io){
		.op = STORE_WRITE,
		.flags = overlay->is_clone ? 0 : STORE_FUA,
		.offset = overlay_slot_at(overlay, put->slot),
		.bytes = put->room ? OVERLAY_ROOM_BYTES : HEAD_BYTES,
		.buffer = put->room ? put->room : put->head,
		.done = put_done,
	};
	store_submit(overlay->store, &put->io);
}

static void put_blanked(struct store_io *io, dvs_err err)
{
	struct overlay_put *put = CONTAINER_OF(io, struct overlay_put, io);

	if (err == DVS_OK)
		put_in_file(put->overlay, put);
	else
		put_done(io, err);
}

void overlay_put(struct overlay *overlay, struct overlay_put *put)
{
	bool was_used = false;
	dvs_err err = overlay_reserve(overlay, overlay->n_putting + 1);

	if (err == DVS_OK)
		err = reserve_fresh(overlay);
	if (err == DVS_OK)
		err = take_slot(overlay, &put->slot, &was_used);
	if (err != DVS_OK) {
		put->done(put, err);
		return;
	}
	put->overlay = overlay;
	put->number = ++overlay->number;
	list_add_tail(&overlay->putting, &put->putting);
	overlay->n_putting++;
	if (overlay->fd < 0) {
		put_in_memory(overlay, put, was_used);
		return;
	}
	if (put->room || !was_used || !overlay->is_clone) {
		put_in_file(overlay, put);
		return;
	}
	put->io = (struct store_io){
		.op = STORE_ZERO,
		.offset = overlay_slot_at(overlay, put->slot) + OVERLAY_HEAD_BYTES,
		.bytes = DISK_GRANULE_BYTES,
		.done = put_blanked,
	};
	store_submit(overlay->store, &put->io);
}

/* ---- flushing ---- */

static void flush_start(struct overlay *overlay);

static void flush_end(struct overlay *overlay, dvs_err err)
{
	struct list done, *link;

	list_init(&done);
	while ((link = list_take_head(&overlay->flush_now)) != NULL)
		list_add_tail(&done, link);
	if (!list_is_empty(&overlay->flush_waiting))
		flush_start(overlay);
	while ((link = list_take_head(&done)) != NULL) {
		struct overlay_flush *flush = CONTAINER_OF(link, struct overlay_flush, queued);

		flush->done(flush, err);
	}
}

static void heads_flushed(struct store_io *io, dvs_err err)
{
	struct overlay *overlay = CONTAINER_OF(io, struct overlay, flush_io);

	if (err == DVS_OK) {
		memmove(overlay->fresh, overlay->fresh + overlay->n_heads,
			(overlay->n_fresh - overlay->n_heads) * sizeof(*overlay->fresh));
		overlay->n_fresh -= overlay->n_heads;
	}
	flush_end(overlay, err);
}

/* Now the heads may say that the data is there. */
static void data_flushed(struct store_io *io, dvs_err err)
{
	struct overlay *overlay = CONTAINER_OF(io, struct overlay, flush_io);

	for (uint64_t i = 0; err == DVS_OK && i < overlay->n_heads; i++) {
		uint8_t bytes[HEAD_BYTES];
		struct head head = { .granule = overlay->fresh[i].granule,
				     .number = ++overlay->number };

		overlay_write_head(&head, bytes);
		err = store_pwrite(overlay->fd, bytes, sizeof(bytes),
				   overlay_slot_at(overlay, overlay->fresh[i].slot));
	}
	if (err != DVS_OK || overlay->n_heads == 0) {
		flush_end(overlay, err);
		return;
	}
	overlay->flush_io = (struct store_io){ .op = STORE_FLUSH, .done = heads_flushed };
	store_submit(overlay->store, &overlay->flush_io);
}

static void flush_start(struct overlay *overlay)
{
	struct list *link;

	while ((link = list_take_head(&overlay->flush_waiting)) != NULL)
		list_add_tail(&overlay->flush_now, link);
	overlay->n_heads = overlay->n_fresh;
	overlay->flush_io = (struct store_io){ .op = STORE_FLUSH, .done = data_flushed };
	store_submit(overlay->store, &overlay->flush_io);
}

void overlay_flush(struct overlay *overlay, struct overlay_flush *flush)
{
	list_add_tail(&overlay->flush_waiting, &flush->queued);
	if (list_is_empty(&overlay->flush_now))
		flush_start(overlay);
}

/* ---- forgetting ---- */

static void blanked(struct store_io *io, dvs_err err)
{
	io->err = err;
}

dvs_err overlay_blank(struct overlay *overlay, uint64_t granule, uint64_t from)
{
	struct overlay_slot slot;
	struct store_io io;

	if (!overlay_find(overlay, granule, &slot) || slot.is_zero)
		return DVS_OK;
	if (overlay->fd >= 0) {
		dvs_err err = store_pzero(overlay->fd, slot.offset + from,
					  DISK_GRANULE_BYTES - from, false);

		return err == DVS_OK && fdatasync(overlay->fd) != 0 ? store_errno(errno) : err;
	}
	/* In memory it is done at once. */
	io = (struct store_io){
		.op = STORE_ZERO,
		.offset = slot.offset + from,
		.bytes = DISK_GRANULE_BYTES - from,
		.done = blanked,
	};
	store_submit(overlay->store, &io);
	return io.err;
}

static void forget(struct overlay *overlay, struct entry *entry)
{
	for (uint64_t i = 0; i < overlay->n_fresh; i++) {
		if (overlay->fresh[i].slot == entry->slot) {
			overlay->fresh[i] = overlay->fresh[--overlay->n_fresh];
			break;
		}
	}
	give_slot(overlay, entry->slot);
	entry->granule = SLOT_NONE;
}

dvs_err overlay_cut(struct overlay *overlay, uint64_t end)
{
	static const uint8_t no_head[HEAD_BYTES];
	dvs_err err = DVS_OK;

	for (uint64_t i = 0; err == DVS_OK && i < overlay->n_table; i++) {
		struct entry *entry = &overlay->table[i];

		if (entry->granule == SLOT_NONE || entry->granule < end)
			continue;
		if (overlay->fd >= 0)
			err = store_pwrite(overlay->fd, no_head, sizeof(no_head),
					   overlay_slot_at(overlay, entry->slot));
		if (err == DVS_OK)
			forget(overlay, entry);
	}
	if (err == DVS_OK && overlay->fd >= 0 && fdatasync(overlay->fd) != 0)
		err = store_errno(errno);
	/* The gaps would end searches too early. */
	return retable(overlay, overlay->n_table) == DVS_OK ? err : DVS_NOMEM;
}

void overlay_close(struct overlay *overlay)
{
	if (!overlay)
		return;
	store_close(overlay->store);
	free(overlay->table);
	free(overlay->unused);
	free(overlay->fresh);
	free(overlay);
}

dvs_err overlay_open_ram(bool is_clone, struct overlay **overlay)
{
	struct overlay *made = calloc(1, sizeof(*made));
	dvs_err err;

	if (!made)
		return DVS_NOMEM;
	made->fd = -1;
	made->is_clone = is_clone;
	list_init(&made->putting);
	list_init(&made->flush_waiting);
	list_init(&made->flush_now);
	err = overlay_reserve(made, 1);
	if (err == DVS_OK)
		err = store_ram_open(DISK_GRANULE_BYTES, &made->store);
	if (err != DVS_OK) {
		overlay_close(made);
		return err;
	}
	*overlay = made;
	return DVS_OK;
}
