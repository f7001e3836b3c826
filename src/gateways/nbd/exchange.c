/* SPDX-License-Identifier: Apache-2.0 */
/* One item is a call of its own, several are a batch. The data of writes is in the window of the call already; a batch's items stand before it.
 *
 * When the server goes while it is called (it was killed, or its node), what it was asked for is asked of the next one again. That is right also for what it had carried out: nobody has been told
 * yet, so no client relies on another order. */
#include "gateways/nbd/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "lib/in_place.h"

/* Data of one write that is rather moved to the beginning of the window than called a batch. */
#define MOVE_BYTES ((size_t)16 << 10)
/* That a server is gone this node may hear of a little later than its caller. */
#define UNBIND_MS 200u
#define FLAG_FUA 1u
#define FLAG_KEEP 2u

/* A call to the server, so that it can be made again. */
struct exchange {
	uint32_t op;
	uint32_t flags;
	uint64_t offset;
	uint64_t bytes;
	uint32_t count;
	uint32_t data_at;
	const void *out;
	size_t out_len;
	size_t in_cap;
	const void *in; /* result */
	size_t in_len;	/* result */
};

/* With the reply's data left in the server's window: the wire takes it from there. */
static dvs_err call_in_place(struct nbd_disk *disk, struct exchange *x, struct dvs_msg *msg,
			     const struct writer *body)
{
	dvs_err err;

	if (!writer_ok(body))
		return DVS_BADARG;
	err = m3_call_in_place(disk->volume.self, disk->volume.server, msg, x->out, x->out_len,
			       x->in_cap, &x->in, &x->in_len, DVS_FOREVER);
	return err ? err : dvs_err_from_number(msg->u32[0]);
}

static dvs_err call_read(struct nbd_disk *disk, struct exchange *x)
{
	const struct vdd_read_req read = { disk->volume.minor, x->flags, x->offset,
					   (uint32_t)x->bytes };
	struct dvs_msg msg = { .type = VDD_READ };
	struct writer body = writer_over(msg.bytes, sizeof(msg.bytes));

	vdd_read_req_encode(&body, &read);
	return call_in_place(disk, x, &msg, &body);
}

static dvs_err call_batch(struct nbd_disk *disk, struct exchange *x)
{
	const struct vdd_batch_req batch = { x->count, x->data_at, disk->volume.claim };
	struct dvs_msg msg = { .type = VDD_BATCH };
	struct writer body = writer_over(msg.bytes, sizeof(msg.bytes));

	vdd_batch_req_encode(&body, &batch);
	return call_in_place(disk, x, &msg, &body);
}

static dvs_err call_extents(struct nbd_disk *disk, struct exchange *x)
{
	const struct vdd_extents_req extents = { disk->volume.minor, x->offset, x->bytes };
	struct vdd_extents_rep reply = { 0 };
	dvs_err err = vdd_call_extents(disk->volume.self, disk->volume.server, &extents, &reply,
				       NULL, 0, disk->in, NBD_CALL_BYTES, &x->in_len, DVS_FOREVER);

	x->in = disk->in;
	x->count = reply.count;
	return err;
}

static dvs_err call_once(struct nbd_disk *disk, struct exchange *x)
{
	const uint32_t minor = disk->volume.minor;
	const uint64_t claim = disk->volume.claim;
	const struct vdd_write_req write = { minor, x->flags, x->offset, claim };
	const struct vdd_trim_req trim = { minor, x->flags, x->offset, x->bytes, claim };
	const struct vdd_zero_req zero = { minor, x->flags, x->offset, x->bytes, claim };
	const struct vdd_flush_req flush = { minor };
	struct m3 *self = disk->volume.self;
	dvs_ep to = disk->volume.server;

	switch (x->op) {
	case VDD_READ:
		return call_read(disk, x);
	case VDD_WRITE:
		return vdd_call_write(self, to, &write, NULL, x->out, x->out_len, NULL, 0, NULL,
				      DVS_FOREVER);
	case VDD_FLUSH:
		return vdd_call_flush(self, to, &flush, NULL, NULL, 0, NULL, 0, NULL, DVS_FOREVER);
	case VDD_TRIM:
		return vdd_call_trim(self, to, &trim, NULL, NULL, 0, NULL, 0, NULL, DVS_FOREVER);
	case VDD_ZERO:
		return vdd_call_zero(self, to, &zero, NULL, NULL, 0, NULL, 0, NULL, DVS_FOREVER);
	case VDD_EXTENTS:
		return call_extents(disk, x);
	default:
		return call_batch(disk, x);
	}
}

static bool is_gone(dvs_err err)
{
	return err == DVS_NODEST || err == DVS_PEERDEAD || err == DVS_NODEDOWN;
}

static uint32_t left_ms(uint64_t deadline_ns)
{
	return (uint32_t)clock_poll_ms(deadline_ns);
}

/* Wait for a server after the one that was there is gone. */
static dvs_err wait_for_server(struct nbd_disk *disk, uint64_t deadline_ns)
{
	uint32_t ms = left_ms(deadline_ns);
	dvs_err err = DVS_OK;

	/* It may not have heard of it yet. */
	if (disk->bound.n)
		err = dvk_wait_unbind(disk->volume.dvk, disk->bound,
				      ms < UNBIND_MS ? ms : UNBIND_MS);
	if (err && err != DVS_TIMEOUT)
		return err;
	disk->bound.n = 0;
	return dvk_wait_bind(disk->volume.dvk, disk->volume.server, left_ms(deadline_ns),
			     &disk->bound);
}

/* The window in which the data stood goes with the server: keep it. */
static dvs_err save(struct nbd_disk *disk, struct exchange *x)
{
	if (x->out_len == 0 || x->out == disk->saved)
		return DVS_OK;
	if (!disk->saved)
		disk->saved = malloc(NBD_CALL_BYTES);
	if (!disk->saved)
		return DVS_NOMEM;
	memcpy(disk->saved, x->out, x->out_len);
	x->out = disk->saved;
	return DVS_OK;
}

static dvs_err call(struct nbd_disk *disk, struct exchange *x)
{
	dvs_err err = call_once(disk, x);
	uint64_t deadline_ns;

	if (!is_gone(err))
		return err;
	deadline_ns = clock_deadline_ns(disk->patience_ms * CLOCK_NS_PER_MS);
	while (is_gone(err) && !clock_is_past(deadline_ns)) {
		err = save(disk, x);
		if (!err)
			err = wait_for_server(disk, deadline_ns);
		if (!err)
			err = call_once(disk, x);
	}
	return err;
}

dvs_err exchange_window(struct nbd_disk *disk, bool is_single, uint8_t **window)
{
	uint64_t deadline_ns = clock_deadline_ns(disk->patience_ms * CLOCK_NS_PER_MS);
	void *at = NULL;
	dvs_err err;

	for (;;) {
		err = m3_call_window(disk->volume.self, disk->volume.server, left_ms(deadline_ns),
				     &at);
		if (!is_gone(err) || clock_is_past(deadline_ns))
			break;
		err = wait_for_server(disk, deadline_ns);
		if (err)
			break;
	}
	if (err)
		return err;
	disk->window_head = is_single ? 0 : NBD_CALL_HEAD_BYTES;
	disk->window = (uint8_t *)at + disk->window_head;
	*window = disk->window;
	return DVS_OK;
}

static uint32_t op_of(enum nbd_kind kind)
{
	switch (kind) {
	case NBD_ITEM_READ:
		return VDD_READ;
	case NBD_ITEM_WRITE:
		return VDD_WRITE;
	case NBD_ITEM_FLUSH:
		return VDD_FLUSH;
	case NBD_ITEM_TRIM:
		return VDD_TRIM;
	case NBD_ITEM_ZERO:
		break;
	}
	return VDD_ZERO;
}

static uint32_t flags_of(const struct nbd_item *item)
{
	return (item->flags & NBD_ITEM_FUA ? FLAG_FUA : 0) |
	       (item->flags & NBD_ITEM_KEEP ? FLAG_KEEP : 0);
}

static void run_one(struct nbd_disk *disk, struct nbd_call *nbd_call, uint8_t *out)
{
	struct nbd_item *item = &nbd_call->items[0];
	struct exchange x = {
		.op = op_of(item->kind),
		.flags = flags_of(item),
		.offset = item->offset,
		.bytes = item->bytes,
		.out = out,
		.out_len = nbd_call->out_bytes,
		.in_cap = nbd_call->in_bytes,
	};

	item->err = call(disk, &x);
	item->data = x.in;
	/* A server that gives less is not to be believed. */
	if (!item->err && x.in_len != x.in_cap)
		item->err = DVS_PROTO;
}

static void fail_all(struct nbd_call *call, dvs_err err)
{
	for (size_t i = 0; i < call->n_items; i++)
		call->items[i].err = err;
}

/* The items of a batch, where its data begins. */
static void put_items(const struct nbd_disk *disk, const struct nbd_call *call, uint8_t *to)
{
	struct writer writer = writer_over(to, call->n_items * NBD_BATCH_ITEM_BYTES);

	for (size_t i = 0; i < call->n_items; i++) {
		const struct vdd_item item = { .kind = op_of(call->items[i].kind),
					       .flags = flags_of(&call->items[i]),
					       .minor = disk->volume.minor,
					       .bytes = call->items[i].bytes,
					       .offset = call->items[i].offset };

		vdd_item_put(&writer, &item);
	}
}

static void take_results(struct nbd_call *call, const uint8_t *results)
{
	struct cursor in = cursor_over(results, call->n_items * sizeof(uint32_t));
	const uint8_t *data = results + call->n_items * sizeof(uint32_t);

	for (size_t i = 0; i < call->n_items; i++) {
		struct nbd_item *item = &call->items[i];

		item->err = dvs_err_from_number(cursor_u32(&in));
		if (item->kind != NBD_ITEM_READ)
			continue;
		item->data = data;
		data += item->bytes;
	}
}

static void run_batch(struct nbd_disk *disk, struct nbd_call *nbd_call, uint8_t *out)
{
	struct exchange x = {
		.op = VDD_BATCH,
		.count = (uint32_t)nbd_call->n_items,
		.in_cap = nbd_call->n_items * sizeof(uint32_t) + nbd_call->in_bytes,
	};
	uint8_t *items = nbd_call->out_bytes ? out - NBD_CALL_HEAD_BYTES : disk->items;
	dvs_err err;

	put_items(disk, nbd_call, items);
	x.out = items;
	x.data_at = nbd_call->out_bytes ? (uint32_t)NBD_CALL_HEAD_BYTES :
					  x.count * NBD_BATCH_ITEM_BYTES;
	x.out_len = x.data_at + nbd_call->out_bytes;
	err = call(disk, &x);
	if (!err && x.in_len != x.in_cap)
		err = DVS_PROTO;
	if (err)
		fail_all(nbd_call, err);
	else
		take_results(nbd_call, x.in);
}

void exchange_run(struct nbd_disk *disk, struct nbd_call *call)
{
	/* It is the window, which was given to be written to. */
	uint8_t *out = call->out_bytes ? disk->window : NULL;
	const size_t head = disk->window_head;

	if (call->n_items > 1 || (out && head && call->out_bytes > MOVE_BYTES)) {
		run_batch(disk, call, out);
		return;
	}
	if (out && head) {
		memmove(out - head, out, call->out_bytes);
		out -= head;
	}
	run_one(disk, call, out);
}

dvs_err exchange_extents(struct nbd_disk *disk, uint64_t offset, uint64_t bytes,
			 struct nbd_extent *extents, size_t *n)
{
	struct exchange x = {
		.op = VDD_EXTENTS,
		.offset = offset,
		.bytes = bytes,
	};
	struct cursor in;
	size_t n_out = 0;
	dvs_err err;

	if (!disk->in)
		disk->in = malloc(NBD_CALL_BYTES);
	err = disk->in ? call(disk, &x) : DVS_NOMEM;
	if (err)
		return err;
	in = cursor_over(x.in, x.in_len);
	for (; n_out < x.count && n_out < *n && cursor_left(&in); n_out++) {
		struct vdd_extent extent;

		vdd_extent_get(&in, &extent);
		extents[n_out] =
			(struct nbd_extent){ extent.bytes,
					     extent.flags & (NBD_STATE_HOLE | NBD_STATE_ZERO) };
		/* Each extent has a length. */
		if (in.failed || extent.bytes == 0)
			return DVS_PROTO;
	}
	*n = n_out;
	return n_out ? DVS_OK : DVS_PROTO;
}
