/* SPDX-License-Identifier: Apache-2.0 */
/* Carrying out a job, and its replies: all of a call go out in one write. */
#include "base/clock.h"
#include "gateways/nbd/worker.h"

static bool send_pieces(struct worker *worker, struct iovec *pieces, size_t n)
{
	struct connection *connection = worker->connection;
	bool is_sent;

	pthread_mutex_lock(&connection->write_lock);
	is_sent = wire_send(&connection->wire, pieces, n);
	pthread_mutex_unlock(&connection->write_lock);
	return is_sent;
}

/* The head of the reply to REQUEST, whose result is ERROR; what a read has read goes behind it. */
static size_t put_head(const struct worker *worker, const struct nbd_request *request,
		       enum nbd_error error, const char *message, uint8_t *head)
{
	bool is_structured = worker->connection->rules.is_structured;

	if (is_structured && error)
		return nbd_put_error_chunk(head, request->cookie, error, message);
	if (!is_structured || request->command != NBD_READ)
		return nbd_put_simple(head, request->cookie, error);
	if (request->bytes == 0)
		return nbd_put_none_chunk(head, request->cookie);
	return nbd_put_data_chunk(head, request->cookie, request->offset, request->bytes, true);
}

bool worker_answer(struct worker *worker, const struct nbd_request *request, enum nbd_error error,
		   const char *message)
{
	uint8_t head[NBD_ERROR_CHUNK_MAX];
	struct iovec piece = { head, put_head(worker, request, error, message, head) };

	return send_pieces(worker, &piece, 1);
}

void worker_call(struct worker *worker)
{
	struct connection *connection = worker->connection;
	uint64_t start_ns = clock_now_ns();
	uint64_t average_ns;

	connection->setup->backend->ops->run(worker->disk, &worker->call);
	average_ns = atomic_load_explicit(&connection->call_ns, memory_order_relaxed);
	average_ns = (average_ns * 7 + clock_now_ns() - start_ns) / 8;
	/* That of another thread may be lost: it is a rule of thumb. */
	atomic_store_explicit(&connection->call_ns, average_ns, memory_order_relaxed);
}

static bool run_call(struct worker *worker)
{
	struct nbd_call *call = &worker->call;
	size_t n = 0;

	worker_call(worker);
	for (size_t i = 0; i < call->n_items; i++) {
		const struct nbd_request *request = &worker->requests[i];
		const struct nbd_item *item = &call->items[i];
		enum nbd_error error = nbd_error_of(item->err, request->command);

		worker->pieces[n++] = (struct iovec){
			worker->heads[i],
			put_head(worker, request, error, dvs_strerror(item->err), worker->heads[i])
		};
		if (request->command == NBD_READ && !error)
			worker->pieces[n++] =
				(struct iovec){ (void *)(uintptr_t)item->data, item->bytes };
	}
	return send_pieces(worker, worker->pieces, n);
}

static struct nbd_item *read_part(struct worker *worker, uint32_t done, uint32_t *part)
{
	const struct nbd_request *request = &worker->requests[0];
	uint32_t left = request->bytes - done;

	*part = left < NBD_CALL_BYTES ? left : (uint32_t)NBD_CALL_BYTES;
	worker->items[0] = (struct nbd_item){ .kind = NBD_ITEM_READ,
					      .offset = request->offset + done,
					      .bytes = *part };
	worker->call = (struct nbd_call){ .items = worker->items, .n_items = 1, .in_bytes = *part };
	worker_call(worker);
	return &worker->items[0];
}

/* Each part is a chunk; between them others may answer. */
static bool read_in_chunks(struct worker *worker)
{
	const struct nbd_request *request = &worker->requests[0];
	uint32_t done = 0;

	while (done < request->bytes) {
		uint32_t part;
		const struct nbd_item *item = read_part(worker, done, &part);
		uint8_t head[NBD_DATA_CHUNK_BYTES];
		struct iovec pieces[2];

		if (item->err)
			return worker_answer(worker, request,
					     nbd_error_of(item->err, request->command),
					     dvs_strerror(item->err));
		pieces[0].iov_base = head;
		pieces[0].iov_len = nbd_put_data_chunk(head, request->cookie,
						       request->offset + done, part,
						       done + part == request->bytes);
		pieces[1] = (struct iovec){ (void *)(uintptr_t)item->data, part };
		if (!send_pieces(worker, pieces, 2))
			return false;
		done += part;
	}
	return true;
}

/* One reply, so nobody else answers before its end; and once its head is sent an error can only be told by ending the connection. */
static bool read_at_once(struct worker *worker)
{
	struct connection *connection = worker->connection;
	const struct nbd_request *request = &worker->requests[0];
	bool is_sent = true;
	uint32_t part;
	uint8_t head[NBD_SIMPLE_BYTES];

	pthread_mutex_lock(&connection->write_lock);
	for (uint32_t done = 0; done < request->bytes && is_sent; done += part) {
		const struct nbd_item *item = read_part(worker, done, &part);
		struct iovec pieces[2] = { { head, 0 }, { (void *)(uintptr_t)item->data, part } };
		enum nbd_error error = nbd_error_of(item->err, request->command);

		if (done == 0)
			pieces[0].iov_len = nbd_put_simple(head, request->cookie, error);
		is_sent = (!error || done == 0) &&
			  wire_send(&connection->wire, pieces, error ? 1 : 2);
		if (error)
			break;
	}
	pthread_mutex_unlock(&connection->write_lock);
	return is_sent;
}

static bool run_status(struct worker *worker)
{
	const struct nbd_request *request = &worker->requests[0];
	size_t n = NBD_EXTENTS_MAX;
	struct iovec piece;
	dvs_err err;

	err = worker->connection->setup->backend->ops->extents(worker->disk, request->offset,
							       request->bytes, worker->extents, &n);
	if (err || n == 0)
		return worker_answer(worker, request,
				     err ? nbd_error_of(err, request->command) : NBD_EIO,
				     dvs_strerror(err ? err : DVS_IO));
	piece.iov_base = worker->status;
	piece.iov_len =
		nbd_put_status_chunk(worker->status, request, NBD_CONTEXT_ID, worker->extents, n);
	return send_pieces(worker, &piece, 1);
}

bool worker_run(struct worker *worker)
{
	switch (worker->job) {
	case JOB_CALL:
		/* All that was there may have been answered on the way. */
		return worker->call.n_items == 0 || run_call(worker);
	case JOB_LONG_READ:
		return worker->connection->rules.is_structured ? read_in_chunks(worker) :
								 read_at_once(worker);
	case JOB_STATUS:
		return run_status(worker);
	}
	return false;
}
