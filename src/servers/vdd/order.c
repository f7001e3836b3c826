/* SPDX-License-Identifier: Apache-2.0 */
/* Which request may begin when. All that are not over stand in one list in the order of their submission, and each knows how many of those before it it has to wait for.
 *
 * A request locks the range that it names, in the store's units; as soon as there are snapshots or clones, the granules of that range on all
 * minors (`is_wide`), because a write to one disk then moves blocks of others. */
#include <assert.h>

#include "servers/vdd/internal.h"

/* Whether LATER has to wait for EARLIER while that runs or waits itself. */
static bool must_wait(const struct disk_io *later, const struct disk_io *earlier)
{
	if (io_is_control(later) || io_is_control(earlier))
		return true;
	if (earlier->op == DISK_FLUSH)
		return false;
	if (later->op == DISK_FLUSH)
		return io_changes(earlier);
	if (!io_changes(later) && !io_changes(earlier))
		return false;
	if (later->minor != earlier->minor && !later->is_wide && !earlier->is_wide)
		return false;
	return later->lock_from < earlier->lock_to && earlier->lock_from < later->lock_to;
}

/* The same when EARLIER was done and is held. */
static bool must_wait_held(const struct disk_io *later, const struct disk_io *earlier)
{
	if (io_is_control(later) || later->op == DISK_FLUSH || later->minor != earlier->minor ||
	    io_changes(later) == io_changes(earlier))
		return false;
	return later->offset < earlier->offset + earlier->bytes &&
	       earlier->offset < later->offset + later->bytes;
}

static bool waits(const struct disk_io *later, const struct disk_io *earlier)
{
	return earlier->state == IO_HELD ? must_wait_held(later, earlier) :
					   must_wait(later, earlier);
}

static void lock(struct disks *disks, struct disk_io *io)
{
	uint64_t unit = disks->store->align;

	for (uint32_t m = 1; m < DISK_MINORS_MAX && !io->is_wide; m++)
		io->is_wide = disks->disk[m].is_there;
	if (io->is_wide)
		unit = DISK_GRANULE_BYTES;
	/* Of what is too far away anything is right: it is refused when it begins. */
	io->lock_from = io->offset / unit * unit;
	io->lock_to = (io->offset + io->bytes + unit - 1) / unit * unit;
}

static void start_ready(struct disks *disks)
{
	struct list *link;

	/* What ends in here makes more ready. */
	if (disks->is_starting)
		return;
	disks->is_starting = true;
	while ((link = list_take_head(&disks->ready)) != NULL) {
		struct disk_io *io = CONTAINER_OF(link, struct disk_io, ready);

		io->state = IO_RUNS;
		run_start(io);
	}
	disks->is_starting = false;
}

void disks_submit(struct disks *disks, struct disk_io *io)
{
	io->disks = disks;
	io->state = IO_WAITS;
	io->blockers = 0;
	io->is_wide = false;
	list_init(&io->ready);
	/* A control operation ahead can make snapshots. */
	LIST_FOREACH(link, &disks->order)
		io->is_wide |= io_is_control(CONTAINER_OF(link, struct disk_io, order));
	lock(disks, io);
	LIST_FOREACH(link, &disks->order)
		io->blockers += waits(io, CONTAINER_OF(link, struct disk_io, order));
	list_add_tail(&disks->order, &io->order);
	if (io->blockers == 0) {
		io->state = IO_RUNS;
		run_start(io);
	}
}

/* Those that waited for IO and, as it is now, do not have to any more. */
static void let_go(struct disks *disks, struct disk_io *io, bool was_held)
{
	for (struct list *link = io->order.next; link != &disks->order; link = link->next) {
		struct disk_io *later = CONTAINER_OF(link, struct disk_io, order);
		bool did = was_held ? must_wait_held(later, io) : must_wait(later, io);

		if (!did || (io->state == IO_HELD && must_wait_held(later, io)))
			continue;
		assert(later->blockers > 0);
		if (--later->blockers == 0)
			list_add_tail(&disks->ready, &later->ready);
	}
	if (io->state == IO_OVER)
		list_remove(&io->order);
}

void order_finish(struct disk_io *io, dvs_err err)
{
	struct disks *disks = io->disks;

	assert(io->state == IO_RUNS);
	io->state = (io->flags & DISK_HOLD) && err == DVS_OK && !io_is_control(io) &&
				    io->op != DISK_FLUSH ?
			    IO_HELD :
			    IO_OVER;
	let_go(disks, io, false);
	io->done(io, err);
	start_ready(disks);
}

void disk_io_release(struct disks *disks, struct disk_io *io)
{
	if (io->state != IO_HELD)
		return;
	io->state = IO_OVER;
	let_go(disks, io, true);
	start_ready(disks);
}
