/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of one thread to the server of a volume. */
#ifndef GATEWAYS_NBD_EXCHANGE_H
#define GATEWAYS_NBD_EXCHANGE_H

#include <stdint.h>

#include "client/vdd_calls.h"
#include "client/volume.h"
#include "gateways/nbd/backend.h"

/* struct item of vdd.toml. */
#define NBD_BATCH_ITEM_BYTES 24u

_Static_assert(NBD_ITEMS_MAX *NBD_BATCH_ITEM_BYTES <= NBD_CALL_HEAD_BYTES,
	       "the items of a batch fit before its data");

struct nbd_claim;

struct nbd_disk {
	struct nbd_backend *backend;
	struct volume_disk volume;
	struct nbd_claim *claim;   /* this one has it for all threads of the client; NULL: none */
	char name[NBD_NAME_BYTES]; /* of the export */
	uint32_t patience_ms;
	dvs_ep bound;	 /* who was there when it was last looked for; n 0: nobody */
	uint8_t *window; /* that was given last; window_head bytes are before it */
	size_t window_head;
	uint8_t *in;	/* extents; NULL: never needed */
	uint8_t *saved; /* data of a call that has to be made again; NULL: never needed */
	uint8_t items[NBD_ITEMS_MAX * NBD_BATCH_ITEM_BYTES]; /* those of a call without data */
};

/* As those of backend.h. */
dvs_err exchange_window(struct nbd_disk *disk, bool is_single, uint8_t **window);
void exchange_run(struct nbd_disk *disk, struct nbd_call *call);
dvs_err exchange_extents(struct nbd_disk *disk, uint64_t offset, uint64_t bytes,
			 struct nbd_extent *extents, size_t *n);

#endif
