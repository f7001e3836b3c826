/* SPDX-License-Identifier: Apache-2.0 */
/* The leader's part: from the bytes on the wire to a job. It waits only for the first request; what else is there already goes into the same call. The data of a write is
 * received where the call will send it from. */
#include <string.h>

#include "base/clock.h"
#include "gateways/nbd/worker.h"

static bool fill(struct connection *connection)
{
	size_t left = connection->in_end - connection->in_start;
	size_t room = connection->expects_data ? NBD_REQUEST_BYTES : NBD_IN_BYTES;
	struct iovec piece;
	size_t got;

	memmove(connection->in, connection->in + connection->in_start, left);
	connection->in_start = 0;
	connection->in_end = left;
	piece = (struct iovec){ connection->in + left, room - left };
	got = wire_receive(&connection->wire, &piece, 1, CLOCK_NEVER_NS);
	connection->in_end += got;
	return got > 0;
}

static size_t there(const struct connection *connection)
{
	return connection->in_end - connection->in_start;
}

/* BYTES of data that follow a request. Of what is behind them only a request is taken along when they are many: then the data of the next one, which is probably like this one, goes to its place, too. */
static bool take_data(struct connection *connection, uint8_t *to, size_t bytes)
{
	size_t have = there(connection) < bytes ? there(connection) : bytes;

	connection->expects_data = bytes >= NBD_LARGE_BYTES;
	memcpy(to, connection->in + connection->in_start, have);
	connection->in_start += have;
	while (have < bytes) {
		struct iovec pieces[2] = {
			{ to + have, bytes - have },
			{ connection->in,
			  connection->expects_data ? NBD_REQUEST_BYTES : NBD_IN_BYTES },
		};
		size_t got = wire_receive(&connection->wire, pieces, 2, CLOCK_NEVER_NS);
		size_t part = got < bytes - have ? got : bytes - have;

		if (got == 0)
			return false;
		have += part;
		connection->in_start = 0;
		connection->in_end = got - part;
	}
	return true;
}

static bool drop_data(struct connection *connection, size_t bytes)
{
	connection->expects_data = false;
	while (bytes > 0) {
		size_t part;

		if (there(connection) == 0 && !fill(connection))
			return false;
		part = there(connection) < bytes ? there(connection) : bytes;
		connection->in_start += part;
		bytes -= part;
	}
	return true;
}

/* A request that is not carried out, or has nothing to do. */
static bool answer_at_once(struct worker *worker, const struct nbd_request *request,
			   enum nbd_error error, const char *message)
{
	if (request->command == NBD_WRITE && !drop_data(worker->connection, request->bytes))
		return false;
	return worker_answer(worker, request, error, message);
}

static enum nbd_kind kind_of(const struct nbd_request *request)
{
	switch (request->command) {
	case NBD_READ:
		return NBD_ITEM_READ;
	case NBD_WRITE:
		return NBD_ITEM_WRITE;
	case NBD_TRIM:
		return NBD_ITEM_TRIM;
	case NBD_WRITE_ZEROES:
		return NBD_ITEM_ZERO;
	default:
		return NBD_ITEM_FLUSH;
	}
}

static uint32_t flags_of(const struct nbd_request *request)
{
	bool writes = request->command == NBD_WRITE || request->command == NBD_TRIM ||
		      request->command == NBD_WRITE_ZEROES;

	return (writes && (request->flags & NBD_CMD_FUA) ? NBD_ITEM_FUA : 0) |
	       (request->flags & NBD_CMD_NO_HOLE ? NBD_ITEM_KEEP : 0);
}

/* Whether it waits for more than memory and a link. */
static bool is_slow(const struct nbd_request *request)
{
	return (request->command != NBD_READ && request->command != NBD_WRITE) ||
	       (flags_of(request) & NBD_ITEM_FUA);
}

/* Whether REQUEST can go into the same call as those that are there. */
static bool fits(const struct worker *worker, const struct nbd_request *request)
{
	const struct nbd_call *call = &worker->call;
	size_t in_bytes = request->command == NBD_READ ? request->bytes : 0;
	size_t out_bytes = request->command == NBD_WRITE ? request->bytes : 0;

	if (call->n_items == 0)
		return true;
	return !worker->is_single && call->n_items < NBD_ITEMS_MAX &&
	       worker->is_slow == is_slow(request) && request->command != NBD_BLOCK_STATUS &&
	       in_bytes < NBD_SINGLE_BYTES && out_bytes < NBD_SINGLE_BYTES &&
	       call->in_bytes + in_bytes <= NBD_BATCH_BYTES &&
	       call->out_bytes + out_bytes <= NBD_BATCH_BYTES;
}

/* A write that is too large for one call: carried out here, part after part, because its data stands before all else on the wire. */
static bool write_in_parts(struct worker *worker, const struct nbd_request *request)
{
	const struct nbd_backend_ops *ops = worker->connection->setup->backend->ops;
	dvs_err err = DVS_OK;
	uint32_t done = 0;

	while (done < request->bytes && !err) {
		uint32_t left = request->bytes - done;
		uint32_t part = left < NBD_CALL_BYTES ? left : (uint32_t)NBD_CALL_BYTES;
		uint8_t *window;

		err = ops->window(worker->disk, true, &window);
		if (err)
			break;
		if (!take_data(worker->connection, window, part))
			return false;
		worker->items[0] = (struct nbd_item){ .kind = NBD_ITEM_WRITE,
						      .flags = flags_of(request),
						      .offset = request->offset + done,
						      .bytes = part };
		worker->call = (struct nbd_call){
			.items = worker->items, .n_items = 1, .out = window, .out_bytes = part
		};
		worker_call(worker);
		err = worker->items[0].err;
		done += part;
	}
	worker->call.n_items = 0;
	if (!drop_data(worker->connection, request->bytes - done))
		return false;
	return worker_answer(worker, request, nbd_error_of(err, request->command),
			     dvs_strerror(err));
}

/* The data of a write into the window. *ERR: there is no window; then it is dropped. */
static bool take_write(struct worker *worker, const struct nbd_request *request, dvs_err *err)
{
	const struct nbd_backend_ops *ops = worker->connection->setup->backend->ops;

	*err = DVS_OK;
	if (!worker->window)
		*err = ops->window(worker->disk, worker->is_single, &worker->window);
	if (*err) {
		worker->window = NULL;
		return drop_data(worker->connection, request->bytes);
	}
	worker->call.out = worker->window;
	return take_data(worker->connection, worker->window + worker->call.out_bytes,
			 request->bytes);
}

static bool add(struct worker *worker, const struct nbd_request *request)
{
	struct nbd_call *call = &worker->call;
	dvs_err err = DVS_OK;

	if (call->n_items == 0) {
		worker->is_slow = is_slow(request);
		worker->is_single = request->bytes >= NBD_SINGLE_BYTES &&
				    request->command <= NBD_WRITE;
	}
	if (request->command == NBD_WRITE && !take_write(worker, request, &err))
		return false;
	if (err)
		return worker_answer(worker, request, nbd_error_of(err, request->command),
				     dvs_strerror(err));
	call->items[call->n_items] = (struct nbd_item){
		.kind = kind_of(request),
		.flags = flags_of(request),
		.offset = request->offset,
		.bytes = request->bytes,
	};
	worker->requests[call->n_items++] = *request;
	if (request->command == NBD_WRITE)
		call->out_bytes += request->bytes;
	if (request->command == NBD_READ)
		call->in_bytes += request->bytes;
	return true;
}

/* Take REQUEST, whose head has been read. *IS_FULL: the job is as large as it may be. False: there will be no more. */
static bool take(struct worker *worker, const struct nbd_request *request, bool *is_full)
{
	enum nbd_error error = nbd_request_check(request, &worker->connection->rules);
	bool is_long = request->bytes > NBD_CALL_BYTES;

	if (error)
		return answer_at_once(worker, request, error, "not possible with this export");
	if (request->bytes == 0 && request->command != NBD_FLUSH)
		return answer_at_once(worker, request, NBD_OK, "");
	if (is_long && request->command == NBD_WRITE)
		return write_in_parts(worker, request);
	if ((is_long && request->command == NBD_READ) || request->command == NBD_BLOCK_STATUS) {
		worker->job = is_long && request->command == NBD_READ ? JOB_LONG_READ : JOB_STATUS;
		worker->is_slow = true;
		worker->requests[0] = *request;
		*is_full = true;
		return true;
	}
	if (!add(worker, request))
		return false;
	*is_full = worker->is_single && worker->call.n_items > 0;
	return true;
}

bool worker_gather(struct worker *worker)
{
	struct connection *connection = worker->connection;
	bool is_full = false;

	worker->job = JOB_CALL;
	worker->is_slow = false;
	worker->is_single = false;
	worker->window = NULL;
	worker->call = (struct nbd_call){ .items = worker->items };
	while (!is_full) {
		struct nbd_request request;

		if (there(connection) < NBD_REQUEST_BYTES) {
			if (worker->call.n_items > 0)
				return true;
			if (!fill(connection))
				return false;
			continue;
		}
		if (!nbd_request_parse(connection->in + connection->in_start, &request))
			return false;
		if (!fits(worker, &request))
			return true;
		/* What was taken before is still carried out; the next look finds it again. */
		if (request.command == NBD_DISC && worker->call.n_items > 0)
			return true;
		if (request.command == NBD_DISC)
			return false;
		connection->in_start += NBD_REQUEST_BYTES;
		if (!take(worker, &request, &is_full))
			return false;
	}
	return true;
}
