/* SPDX-License-Identifier: Apache-2.0 */
/* Carrying out one entry on the disks of this replica: what an entry's head and data say (src/proto/vdd_entry.toml) becomes disk_ios. */
#ifndef SERVERS_VDD_CHANGE_H
#define SERVERS_VDD_CHANGE_H

#include <assert.h>
#include <stdbool.h>
#include <stdint.h>

#include "proto/vdd_entry_proto.h"
#include "replica/replica.h"
#include "servers/vdd/disks.h"

#define CHANGE_ITEMS_MAX 256u

struct change {
	struct disks *disks;
	/* All has been tried; ERR is the first that failed. Perhaps before change_begin() returns. */
	void (*finished)(struct change *change, dvs_err err);
	uint32_t flags; /* for all its requests: DISK_HOLD */
	uint32_t n_ios;
	uint32_t n_left;
	dvs_err err;
	struct disk_io *ios; /* `one`, or malloc'ed */
	struct disk_io one;
};

/* Begin what ENTRY says; its data must not change until `finished`. PROTO: it says nothing that can be understood (`finished` is called). */
void change_begin(struct change *change, const struct replica_entry *entry);
/* After `finished`: let go of what was held, and of memory. */
void change_end(struct change *change);

/* The head of ENTRY: of the kind that NAME (in small and large letters) is in src/proto/vdd_entry.toml, with BODY. */
#define CHANGE_HEAD(entry, name, NAME, body)                                             \
	do {                                                                             \
		struct writer head_ = writer_over((entry)->head, sizeof((entry)->head)); \
		const struct vdd_entry_header kind_ = { .kind = VDD_ENTRY_##NAME };      \
                                                                                         \
		vdd_entry_header_encode(&head_, &kind_);                                 \
		vdd_entry_##name##_req_encode(&head_, (body));                           \
		assert(writer_ok(&head_));                                               \
		(entry)->head_bytes = (uint32_t)writer_len(&head_);                      \
	} while (0)

#endif
