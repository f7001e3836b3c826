/* SPDX-License-Identifier: Apache-2.0 */
/* DIR/meta: which disks there are and which files are theirs. It is written as a new file, which then takes the old one's place. */
#ifndef SERVERS_VDD_META_H
#define SERVERS_VDD_META_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/err.h"
#include "servers/vdd/disks.h"

#define META_PLACE_MAX 1023u
#define META_LAYERS_MAX \
	32u /* of one disk: its own, and those of removed snapshots that are not merged yet */
#define META_BYTES_MAX 65536u

struct meta_disk {
	uint32_t minor;
	uint32_t kind;
	uint32_t parent;
	char name[DISK_NAME_MAX + 1];
	uint64_t bytes;
	uint64_t created_ns;
	uint64_t base_bytes; /* CLONE: so much at most is read of its snapshot */
	uint64_t born;	     /* snapshots of one disk: which is newer */
	uint64_t claim;	     /* the highest number of a claim that it was told */
	uint32_t n_layers;   /* 0 for the volume */
	uint32_t layer[META_LAYERS_MAX];
};

struct meta {
	char id[37];
	uint32_t store; /* enum disk_store */
	char place[META_PLACE_MAX + 1];
	bool is_made; /* false: its making was interrupted, nothing of it was ever used */
	bool is_current;
	uint32_t next_layer;
	uint64_t next_born;
	uint32_t n_disks; /* by rising minor; the first is the volume */
	struct meta_disk disk[DISK_MINORS_MAX];
};

/* NOTFOUND: there is none. CORRUPT: damaged or of another version. IO, NOMEM. WHY gets a sentence. */
DVS_MUST_USE dvs_err meta_read(int dir, struct meta *meta, char *why);
/* On stable storage when it returns OK; else the old one is there still, or the new one (IO). NOSPACE, IO. */
DVS_MUST_USE dvs_err meta_write(int dir, const struct meta *meta);

/* CORRUPT. */
DVS_MUST_USE dvs_err meta_decode(const void *bytes, size_t len, struct meta *meta, char *why);
/* The length; ROOM has META_BYTES_MAX. */
size_t meta_encode(const struct meta *meta, void *room);

#endif
