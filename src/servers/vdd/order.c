/* SPDX-License-Identifier: Apache-2.0 */
/* Which request may begin when. All that are not over stand in one list in the order of their submission, and each knows how many of those before it it has to wait for.
 *
 * A request locks the range that it names, in the store's units; as soon as there are snapshots or clones, the granules of that range on all
 * minors (`is_wide`), because a write to one disk then moves blocks of others. */
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
	if (later->minor != earlier->minor && !own_of(later)->is_wide && !own_of(earlier)->is_wide)
		return false;
	return own_of(later)->lock_from < own_of(earlier)->lock_to &&
	       own_of(earlier)->lock_from < own_of(later)->lock_to;
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
	return own_of(earlier)->state == IO_HELD ? must_wait_held(later, earlier) :
						   must_wait(later, earlier);
}

static struct disk_io *of_order(struct list *link)
{
	return io_of(CONTAINER_OF(link, struct io_own, order));
}

static void lock(const struct disks *disks, const struct disk_io *io, struct io_own *own)
{
	uint64_t unit = own->is_wide ? DISK_GRANULE_BYTES : disks->store->align;

	/* Of what is too far away anything is right: it is refused when it begins. */
	own->lock_from = io->offset / unit * unit;
	own->lock_to = (io->offset + io->bytes + unit - 1) / unit * unit;
}

static void start_ready(struct disks *disks)
{
	struct list *link;

	/* What ends in here makes more ready. */
	if (disks->is_starting)
		return;
	disks->is_starting = true;
	while ((link = list_take_head(&disks->ready)) != NULL) {
		struct io_own *own = CONTAINER_OF(link, struct io_own, ready);

		own->state = IO_RUNS;
		run_start(io_of(own));
	}
	disks->is_starting = false;
}

void disks_submit(struct disks *disks, struct disk_io *io)
{
	struct io_own *own = own_of(io);

	own->disks = disks;
	own->state = IO_WAITS;
	own->blockers = 0;
	own->is_wide = disks->n_disks > 1;
	list_init(&own->ready);
	/* A control operation ahead can make snapshots. */
	LIST_FOREACH(link, &disks->order)
		own->is_wide |= io_is_control(of_order(link));
	lock(disks, io, own);
	LIST_FOREACH(link, &disks->order)
		own->blockers += waits(io, of_order(link));
	list_add_tail(&disks->order, &own->order);
	if (own->blockers == 0) {
		own->state = IO_RUNS;
		run_start(io);
	}
}

/* Those that waited for IO and, as it is now, do not have to any more. */
static void let_go(struct disks *disks, struct disk_io *io, bool was_held)
{
	struct io_own *own = own_of(io);

	for (struct list *link = own->order.next; link != &disks->order; link = link->next) {
		struct disk_io *later = of_order(link);
		bool did = was_held ? must_wait_held(later, io) : must_wait(later, io);

		if (!did || (own->state == IO_HELD && must_wait_held(later, io)))
			continue;
		assert(own_of(later)->blockers > 0);
		if (--own_of(later)->blockers == 0)
			list_add_tail(&disks->ready, &own_of(later)->ready);
	}
	if (own->state == IO_OVER)
		list_remove(&own->order);
}

void order_finish(struct disk_io *io, dvs_err err)
{
	struct disks *disks = own_of(io)->disks;
	bool can_hold = !io_is_control(io) && io->op != DISK_FLUSH && io->op != DISK_MERGE;

	assert(own_of(io)->state == IO_RUNS);
	own_of(io)->state = can_hold && (io->flags & DISK_HOLD) && err == DVS_OK ? IO_HELD :
										   IO_OVER;
	let_go(disks, io, false);
	io->done(io, err);
	start_ready(disks);
}

void disk_io_release(struct disks *disks, struct disk_io *io)
{
	if (own_of(io)->state != IO_HELD)
		return;
	own_of(io)->state = IO_OVER;
	let_go(disks, io, true);
	start_ready(disks);
}
