/* SPDX-License-Identifier: Apache-2.0 */
/* What was submitted and has not taken effect yet: of interest to who brings other replicas up to date, where it has its place in the order already. What the room does for itself
 * (DISK_MERGE, DISK_DROP) changes nothing that can be seen. */
#include "servers/vdd/internal.h"

static const struct disk_io *of_order(struct list *link)
{
	return io_of(CONTAINER_OF(link, struct io_own, order));
}

static bool is_control(const struct disk_io *io)
{
	return io->op >= DISK_RESIZE && io->op <= DISK_REMOVE;
}

static bool changes(const struct disk_io *io, uint32_t minor)
{
	return (io->op == DISK_WRITE || io->op == DISK_TRIM || io->op == DISK_ZERO) &&
	       io->minor == minor;
}

/* It may turn out to change nothing. */
static bool may_be_refused(const struct disks *disks, const struct disk_io *io)
{
	const struct disk *disk = &disks->disk[io->minor];

	return disk->is.kind == DISK_IS_SNAPSHOT || io->offset > disk->is.bytes ||
	       io->bytes > disk->is.bytes - io->offset ||
	       (io->offset | io->bytes) % DISK_SECTOR_BYTES;
}

bool disks_next_change(const struct disks *disks, const struct disk_io *io, uint32_t minor,
		       uint64_t offset, uint64_t *from, uint64_t *to)
{
	struct list *link = io ? own_of(io)->order.next : disks->order.next;
	bool is_found = false;

	for (; minor < DISK_MINORS_MAX && link != &disks->order; link = link->next) {
		const struct disk_io *later = of_order(link);

		if (is_control(later) || (changes(later, minor) && may_be_refused(disks, later))) {
			*from = 0;
			*to = UINT64_MAX;
			return true;
		}
		if (!changes(later, minor) || later->offset + later->bytes <= offset ||
		    (is_found && later->offset >= *from))
			continue;
		is_found = true;
		*from = later->offset;
		*to = later->offset + later->bytes;
	}
	return is_found;
}

bool disks_is_changing(const struct disks *disks)
{
	LIST_FOREACH(link, &disks->order) {
		if (is_control(of_order(link)))
			return true;
	}
	return false;
}
