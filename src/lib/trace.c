/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/trace.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "ipc/futex.h"
#include "lib/link.h"

/* ---- the traced side ---- */

void trace_start(struct m3 *self, int fd)
{
	void *ring;

	trace_end(self);
	if (fd < 0)
		return;
	ring = mmap(NULL, sizeof(struct ipc_trace), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (ring == MAP_FAILED)
		return;
	self->trace = ring;
	self->trace_number = 0;
}

void trace_end(struct m3 *self)
{
	if (self->trace)
		(void)munmap(self->trace, sizeof(struct ipc_trace));
	self->trace = NULL;
}

void trace_write(struct endpoint *ep, uint32_t what, dvs_ep partner, const struct dvs_msg *msg,
		 size_t bytes, dvs_err result)
{
	struct m3 *self = ep->host_arg;
	struct ipc_trace *ring = self->trace;
	struct ipc_trace_record *record;

	if (!ring)
		return;
	record = &ring->record[self->trace_number++ % IPC_TRACE_RECORDS];
	atomic_store(&record->number, 0);
	atomic_store_explicit(&record->time_ns, clock_now_ns(), memory_order_relaxed);
	atomic_store_explicit(&record->self, ep->self.n, memory_order_relaxed);
	atomic_store_explicit(&record->partner, partner.n, memory_order_relaxed);
	atomic_store_explicit(&record->what, what, memory_order_relaxed);
	atomic_store_explicit(&record->type, msg->type, memory_order_relaxed);
	atomic_store_explicit(&record->data_bytes, (uint32_t)bytes, memory_order_relaxed);
	atomic_store_explicit(&record->result, (uint32_t)result, memory_order_relaxed);
	atomic_store(&record->number, self->trace_number);
	atomic_store(&ring->written, self->trace_number);
	atomic_fetch_add(&ring->bell, 1);
	if (atomic_exchange(&ring->reader_sleeps, 0))
		futex_wake(&ring->bell, INT_MAX);
}

/* ---- the reading side ---- */

struct dvk_trace {
	struct ipc_trace *ring;
	uint64_t read; /* number of the record read last */
};

dvs_err dvk_trace_open(struct dvk *dvk, dvs_ep ep, struct dvk_trace **trace)
{
	struct control_trace_req request = { .ep = ep.n };
	struct exchange x;
	struct cursor in;
	struct writer out = exchange_init(&x, CONTROL_TRACE, 0);
	struct dvk_trace *made;
	void *ring;
	dvs_err err;

	if (!dvk || !trace)
		return DVS_BADARG;
	control_trace_req_encode(&out, &request);
	err = link_exchange(dvk, &x, &out, &in);
	if (err)
		return err;
	if (x.fd[0] < 0)
		return DVS_PROTO;
	ring = mmap(NULL, sizeof(struct ipc_trace), PROT_READ | PROT_WRITE, MAP_SHARED, x.fd[0], 0);
	frame_close_fds(x.fd);
	if (ring == MAP_FAILED)
		return dvs_from_errno(errno);
	made = calloc(1, sizeof(*made));
	if (!made) {
		(void)munmap(ring, sizeof(struct ipc_trace));
		return DVS_NOMEM;
	}
	made->ring = ring;
	*trace = made;
	return DVS_OK;
}

static const char *what_name(uint32_t what)
{
	static const char *const names[] = {
		[IPC_TRACE_SEND] = "send",	 [IPC_TRACE_CALL] = "call",
		[IPC_TRACE_RETURN] = "return",	 [IPC_TRACE_RECEIVE] = "receive",
		[IPC_TRACE_REQUEST] = "request", [IPC_TRACE_REPLY] = "reply",
		[IPC_TRACE_NOTIFY] = "notify",	 [IPC_TRACE_NOTIFIED] = "notified",
		[IPC_TRACE_RELAY] = "relay",
	};

	return what < ARRAY_LEN(names) && names[what] ? names[what] : "?";
}

/* Copy record NUMBER; false if it is not there: not written yet, or overwritten. */
static bool copy_record(struct ipc_trace *ring, uint64_t number, struct dvk_trace_record *out)
{
	struct ipc_trace_record *record = &ring->record[(number - 1) % IPC_TRACE_RECORDS];

	if (atomic_load(&record->number) != number)
		return false;
	memset(out, 0, sizeof(*out));
	out->time_ns = atomic_load_explicit(&record->time_ns, memory_order_relaxed);
	out->self.n = atomic_load_explicit(&record->self, memory_order_relaxed);
	out->partner.n = atomic_load_explicit(&record->partner, memory_order_relaxed);
	(void)strncpy(out->what,
		      what_name(atomic_load_explicit(&record->what, memory_order_relaxed)),
		      sizeof(out->what) - 1);
	out->type = atomic_load_explicit(&record->type, memory_order_relaxed);
	out->data_bytes = atomic_load_explicit(&record->data_bytes, memory_order_relaxed);
	out->result =
		dvs_err_from_number(atomic_load_explicit(&record->result, memory_order_relaxed));
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&record->number, memory_order_relaxed) == number;
}

static bool take_record(struct dvk_trace *trace, struct dvk_trace_record *record, uint64_t *lost)
{
	uint64_t written = atomic_load(&trace->ring->written);

	/* The writer is not trusted: it may count as it likes, this loop is bounded by the ring. */
	if (written > trace->read + IPC_TRACE_RECORDS) {
		uint64_t oldest = written - IPC_TRACE_RECORDS;

		if (lost)
			*lost += oldest - trace->read;
		trace->read = oldest;
	}
	while (trace->read < written) {
		trace->read++;
		if (copy_record(trace->ring, trace->read, record))
			return true;
		if (lost)
			*lost += 1;
	}
	return false;
}

dvs_err dvk_trace_next(struct dvk_trace *trace, uint32_t timeout_ms,
		       struct dvk_trace_record *record, uint64_t *lost)
{
	struct wait_limit limit = { .timeout_ms = timeout_ms };
	uint64_t deadline_ns = limit_deadline_ns(&limit);

	if (!trace || !record)
		return DVS_BADARG;
	for (;;) {
		struct ipc_trace *ring = trace->ring;
		uint32_t bell = atomic_load(&ring->bell);
		uint64_t left_ns = limit_left_ns(deadline_ns);
		struct timespec left = clock_timespec(left_ns);

		if (take_record(trace, record, lost))
			return DVS_OK;
		if (atomic_load(&ring->ended))
			return DVS_PEERDEAD;
		if (left_ns == 0)
			return DVS_TIMEOUT;
		atomic_store(&ring->reader_sleeps, 1);
		futex_wait(&ring->bell, bell, left_ns == UINT64_MAX ? NULL : &left);
	}
}

void dvk_trace_close(struct dvk_trace *trace)
{
	if (!trace)
		return;
	(void)munmap(trace->ring, sizeof(struct ipc_trace));
	free(trace);
}
