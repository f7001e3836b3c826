/* SPDX-License-Identifier: Apache-2.0 */
/* What one thread of a connection works on: the requests that it has taken from the wire, and the call that it makes of them. */
#ifndef GATEWAYS_NBD_WORKER_H
#define GATEWAYS_NBD_WORKER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

#include "gateways/nbd/connection.h"

/* What is taken at once, unless a single request is larger. */
#define NBD_BATCH_BYTES ((size_t)512 << 10)
/* The data of a write from here on is worth being received in its place. */
#define NBD_LARGE_BYTES ((size_t)16 << 10)
/* A read or write from here on makes a call of its own. */
#define NBD_SINGLE_BYTES ((size_t)128 << 10)

enum job {
	JOB_CALL,      /* `call`, with `requests` */
	JOB_LONG_READ, /* requests[0], in parts */
	JOB_STATUS,    /* requests[0] */
};

struct worker {
	struct connection *connection;
	struct nbd_disk *disk;
	enum job job;
	bool is_slow; /* it may take long, of its kind */
	bool is_single;
	uint8_t *window; /* for the data of writes; NULL: not asked for */
	struct nbd_call call;
	struct nbd_item items[NBD_ITEMS_MAX];
	struct nbd_request requests[NBD_ITEMS_MAX];
	/* replies */
	struct iovec pieces[2 * NBD_ITEMS_MAX];
	uint8_t heads[NBD_ITEMS_MAX][NBD_ERROR_CHUNK_MAX];
	uint8_t status[NBD_STATUS_BYTES(NBD_EXTENTS_MAX)];
	struct nbd_extent extents[NBD_EXTENTS_MAX];
};

/* The next job from the wire; the caller leads. Requests that cannot be carried out are answered on the way. False: there will be none. */
MUST_USE bool worker_gather(struct worker *worker);
/* Carry out the job and answer. False: the wire is broken. */
MUST_USE bool worker_run(struct worker *worker);
/* Carry out `call`, and keep the time that it took. */
void worker_call(struct worker *worker);
/* Answer a request that has no data to be sent. False: the wire is broken. */
MUST_USE bool worker_answer(struct worker *worker, const struct nbd_request *request,
			    enum nbd_error error, const char *message);

#endif
