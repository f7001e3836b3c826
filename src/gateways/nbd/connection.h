/* SPDX-License-Identifier: Apache-2.0 */
/* One client. Up to NBD_THREADS_MAX threads take turns: one of them, the leader, reads requests from the socket, as many as are there, and makes one call of them. If the call may take long (a flush, or a
 * disk that is slow), another thread leads meanwhile; else the same thread goes on when it has answered, so that no request passes from one thread to another. Threads are made when they are
 * needed, each has an endpoint of its own.
 *
 * A call that was expected to be short and is not is seen by watch.h, which then takes the lead away from its thread. */
#ifndef GATEWAYS_NBD_CONNECTION_H
#define GATEWAYS_NBD_CONNECTION_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/list.h"
#include "base/log.h"
#include "gateways/nbd/backend.h"
#include "gateways/nbd/negotiate.h"
#include "gateways/nbd/protocol.h"
#include "gateways/nbd/wire.h"

#define NBD_THREADS_MAX 8u
#define NBD_IN_BYTES ((size_t)128 << 10)
/* How long a client may take to say what it wants. */
#define NBD_NEGOTIATION_MS 15000u

/* Lower bits of connection.call: it is under way; the lead was taken away meanwhile. */
#define CALL_RUNS UINT64_C(1)
#define CALL_LOST_LEAD UINT64_C(2)
#define CALL_NEXT UINT64_C(4)

struct watch;

/* What all connections have in common. */
struct connection_setup {
	struct nbd_backend *backend;
	struct wire_tls *tls; /* NULL: in clear */
	struct watch *watch;
	const struct log *log;
	bool is_read_only;
};

struct connection {
	const struct connection_setup *setup;
	uint64_t number;
	struct wire wire;
	struct nbd_rules rules;
	char name[NBD_NAME_BYTES];
	struct nbd_disk *disk; /* the first thread's */

	/* the leader's */
	uint8_t *in;
	size_t in_start;
	size_t in_end;
	bool expects_data; /* the next request will be a large write, too */

	pthread_mutex_t lock; /* before write_lock */
	pthread_cond_t turn;
	/* under the lock: */
	bool has_leader;
	bool is_over;
	bool grows; /* more threads can be made */
	uint32_t n_threads;
	uint32_t n_waiting;
	pthread_t threads[NBD_THREADS_MAX];

	_Atomic uint64_t call_ns; /* what calls take, on average */
	/* The leader's call: its number in the upper bits, and CALL_... */
	_Atomic uint64_t call;

	pthread_mutex_t write_lock; /* one reply at a time on the wire */

	struct list link;    /* server.c's */
	struct list watched; /* watch.c's */
	uint64_t seen_call;  /* watch.c's */
};

/* FD becomes the connection's; when there is none it is closed. NOMEM. */
DVS_MUST_USE dvs_err connection_open(const struct connection_setup *setup, int fd, uint64_t number,
				     struct connection **connection);
/* Serve the client until it goes; the calling thread becomes the first of its threads. */
void connection_serve(struct connection *connection);
void connection_close(struct connection *connection);
/* End it soon; for any thread. What is being carried out is still answered, unless IS_NOW. */
void connection_stop(struct connection *connection, bool is_now);
/* Another thread is to lead from now on, because call SEEN of the leader takes long. For watch.c. */
void connection_take_lead(struct connection *connection, uint64_t seen);

#endif
