/* SPDX-License-Identifier: Apache-2.0 */
/* The disks among themselves. disks.c: opening, looking. order.c: which request may begin when. run.c: carrying one out. */
#ifndef SERVERS_VDD_INTERNAL_H
#define SERVERS_VDD_INTERNAL_H

#include "servers/vdd/dirty.h"
#include "servers/vdd/disks.h"
#include "servers/vdd/store.h"

/* disk_io.state */
enum { IO_WAITS = 1, IO_RUNS, IO_HELD, IO_OVER };

enum { DISK_VOLUME = 1, DISK_SNAPSHOT_OF, DISK_CLONE_OF };

struct disk {
	bool is_there;
	uint32_t kind;
	uint32_t parent;
	char name[DISK_NAME_MAX + 1];
	uint64_t bytes;
	uint64_t created_ns;
};

struct disks {
	struct poster poster;
	struct store *store; /* of the volume */
	struct dirty *dirty;
	struct disk disk[DISK_MINORS_MAX];
	bool is_current;
	/* Requests in the order of submission, until they are over. */
	struct list order;
	struct list ready; /* those that wait for nothing any more */
	bool is_starting;
};

/* ---- order.c ---- */

static inline bool io_is_control(const struct disk_io *io)
{
	return io->op >= DISK_RESIZE;
}

static inline bool io_changes(const struct disk_io *io)
{
	return io->op == DISK_WRITE || io->op == DISK_TRIM || io->op == DISK_ZERO;
}

/* IO, which ran, has that result. */
void order_finish(struct disk_io *io, dvs_err err);

/* ---- run.c ---- */

/* Nothing that it must wait for is under way. Ends in order_finish(). */
void run_start(struct disk_io *io);

#endif
