/* SPDX-License-Identifier: Apache-2.0 */
/* What an NBD server serves: exports, and the disks behind them. The server knows nothing more of them; the volumes of a DC are one kind (volumes.h), the tests have another. */
#ifndef GATEWAYS_NBD_BACKEND_H
#define GATEWAYS_NBD_BACKEND_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include "base/compiler.h"
#include "gateways/nbd/protocol.h"

/* Room for the name of an export, VOLUME or VOLUME@SNAPSHOT. */
#define NBD_NAME_BYTES 128u
#define NBD_EXPORTS_MAX 1024u
/* Items of one call, and their data in either direction. */
#define NBD_ITEMS_MAX 256u
#define NBD_CALL_BYTES ((size_t)1 << 20)
/* Room for a sentence that a client is told. */
#define NBD_WHY_BYTES 400u

struct nbd_backend;
struct nbd_disk;

struct nbd_names {
	uint32_t n;
	char name[NBD_EXPORTS_MAX][NBD_NAME_BYTES];
};

struct nbd_info {
	char name[NBD_NAME_BYTES]; /* the real one, when another was asked for */
	uint64_t bytes;
	uint32_t block_bytes; /* what it likes best */
	bool is_read_only;
	bool zeroes_quickly;
};

enum nbd_kind { NBD_ITEM_READ, NBD_ITEM_WRITE, NBD_ITEM_FLUSH, NBD_ITEM_TRIM, NBD_ITEM_ZERO };

#define NBD_ITEM_FUA 1u
#define NBD_ITEM_KEEP 2u /* ZERO: no hole */

/* One thing to be done. What it reads or writes is in the call's data, in the order of the items. */
struct nbd_item {
	enum nbd_kind kind;
	uint32_t flags;
	uint64_t offset;
	uint32_t bytes;
	dvs_err err;	     /* the result */
	const uint8_t *data; /* READ: the result, until the disk is used again */
};

/* One call: items that have no order among each other. */
struct nbd_call {
	struct nbd_item *items; /* up to NBD_ITEMS_MAX */
	size_t n_items;
	const uint8_t *out; /* the data of the WRITEs: the window that was given for it */
	size_t out_bytes;   /* of the WRITEs together */
	size_t in_bytes;    /* of the READs together */
};

struct nbd_backend_ops {
	/* The names of all exports, in their order, into NAMES, which is empty. Those of disks that cannot be asked just now may be missing. NOMEM. */
	dvs_err (*list)(struct nbd_backend *backend, struct nbd_names *names);
	/* Open NAME ("": the one that is served when there is only one) for the calling thread. NOTFOUND: no such export; others: it cannot be had now. */
	dvs_err (*open)(struct nbd_backend *backend, const char *name, struct nbd_disk **disk,
			struct nbd_info *info);
	/* Before open_thread(), for a client that may write to DISK: whether nobody else does. It is so until the disk is closed. WHY gets a sentence. NULL: it needs no asking. */
	dvs_err (*claim)(struct nbd_disk *disk, char why[NBD_WHY_BYTES]);
	/* The same disk for the calling thread, too. DISK belongs to another one, which has it open until this one has closed its own. */
	dvs_err (*open_thread)(struct nbd_disk *disk, struct nbd_disk **mine);
	void (*close)(struct nbd_disk *disk);
	/* Where the data of the next call's WRITEs is to be put: NBD_CALL_BYTES less NBD_CALL_HEAD_BYTES, or all of NBD_CALL_BYTES when IS_SINGLE: the call will have that one item.
	 * To be asked for again after each call. */
	dvs_err (*window)(struct nbd_disk *disk, bool is_single, uint8_t **window);
	/* Carry out CALL, and wait for it. The error of each item is in it. */
	void (*run)(struct nbd_disk *disk, struct nbd_call *call);
	/* What is stored in the range, in order from OFFSET on; *N extents at most, and how many they are. Perhaps fewer than to its end, but one. */
	dvs_err (*extents)(struct nbd_disk *disk, uint64_t offset, uint64_t bytes,
			   struct nbd_extent *extents, size_t *n);
};

/* What a call with several items needs beside their data, in either direction. */
#define NBD_CALL_HEAD_BYTES ((size_t)8192)

struct nbd_backend {
	const struct nbd_backend_ops *ops;
};

#endif
