/* SPDX-License-Identifier: Apache-2.0 */
/* overlay.c: the index, slots, putting, flushing. overlay_file.c: heads, opening a file. */
#ifndef SERVERS_VDD_OVERLAY_INTERNAL_H
#define SERVERS_VDD_OVERLAY_INTERNAL_H

#include "servers/vdd/overlay.h"

#define HEAD_BYTES 64u
#define SLOT_NONE UINT64_MAX

/* A granule and its slot. */
struct entry {
	uint64_t granule; /* SLOT_NONE: nothing is here */
	uint64_t slot;
	bool is_zero;
};

struct overlay {
	struct store *store;
	int fd; /* the store's; -1 in memory */
	bool is_clone;
	/* A hash table of 2^n entries, at most three quarters full. */
	struct entry *table;
	uint64_t n_table;
	uint64_t n;
	uint64_t n_zero; /* of them */
	/* Slots that were used and are not any more; there is room for all. */
	uint64_t *unused;
	uint64_t n_unused;
	uint64_t n_slots;    /* that were ever used */
	uint64_t room_slots; /* that the store and `unused` have room for */
	uint64_t number;     /* of the last put */
	struct list putting; /* by rising number */
	uint64_t n_putting;
	uint64_t boot; /* of the machine, never 0 */
	/* Of a clone: in slots that were not flushed yet. There is room for all that are being put. */
	struct entry *fresh;
	uint64_t n_fresh;
	uint64_t room_fresh;
	/* One flush at a time, for all that waited when it began. */
	struct list flush_waiting;
	struct list flush_now;
	struct store_io flush_io;
	uint64_t n_heads; /* of `fresh`, whose data is being flushed */
};

struct head {
	uint64_t granule;
	uint64_t number;
	uint64_t boot; /* 0: its data is on stable storage */
	uint64_t
		stable; /* everything up to this number was on stable storage when it was written */
	bool is_zero;
	bool has_sum;
	uint64_t sum;
};

uint64_t overlay_slot_at(const struct overlay *overlay, uint64_t slot);
/* Room for one more granule in the table. */
DVS_MUST_USE dvs_err overlay_reserve(struct overlay *overlay, uint64_t n);
/* Room was reserved. The slot that it had before, or SLOT_NONE. */
uint64_t overlay_insert(struct overlay *overlay, uint64_t granule, uint64_t slot, bool is_zero);
/* Room for N slots in all. */
DVS_MUST_USE dvs_err overlay_grow(struct overlay *overlay, uint64_t n);

void overlay_write_head(const struct head *head, uint8_t bytes[HEAD_BYTES]);
uint64_t overlay_sum(const void *data);

#endif
