/* SPDX-License-Identifier: Apache-2.0 */
/* What other replicas ask. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "replica/internal.h"

/* NULL: it is not open, and the request is answered. */
static struct replica *replica_of(void *state, void (*refuse)(struct skeleton_request *request),
				  struct skeleton_request *request)
{
	struct replica *replica = *(struct replica **)state;

	if (!replica || replica->is_closing) {
		refuse(request);
		return NULL;
	}
	return replica;
}

/* ---- join ---- */

struct joined {
	struct notice notice;
	uint32_t node;
	uint64_t stream;
	size_t n;
	uint8_t hello[];
};

static void run_joined(struct replica *replica, struct notice *notice)
{
	struct joined *joined = CONTAINER_OF(notice, struct joined, notice);
	const struct stream *stream = &replica->streams[joined->node];
	const struct replica_owner *owner = replica->config.owner;

	if (stream->is_open && stream->number == joined->stream)
		owner->joined(owner->context, (dvs_nodeid){ joined->node }, joined->hello,
			      joined->n);
	free(joined);
}

static void join_refuse(struct skeleton_request *request)
{
	replica_join_answer(request, DVS_BADSTATE, NULL);
}

static void join(void *state, struct skeleton_request *request, const struct replica_join_req *req)
{
	struct replica *replica = replica_of(state, join_refuse, request);
	struct joined *joined;
	dvs_err err = DVS_OK;

	if (!replica)
		return;
	if (request->data_bytes > REPLICA_HELLO_MAX)
		err = DVS_TOOBIG;
	joined = err == DVS_OK ? malloc(sizeof(*joined) + request->data_bytes) : NULL;
	if (err == DVS_OK && !joined)
		err = DVS_NOMEM;
	if (err != DVS_OK) {
		replica_join_answer(request, err, NULL);
		return;
	}
	joined->node = req->node;
	joined->stream = req->stream;
	joined->n = request->data_bytes;
	list_init(&joined->notice.queued);
	if (joined->n > 0)
		memcpy(joined->hello, request->data, joined->n);
	replica->hello = joined;
	err = engine_join(replica_enter(replica), req->node, (dvs_ep){ req->ep }, req->stream);
	/* `joined` has taken it, if the engine said so. */
	free(replica->hello);
	replica->hello = NULL;
	replica_join_answer(request, err,
			    &(struct replica_join_rep){ .epoch = engine_epoch(replica->engine) });
}

void serve_joined(struct replica *replica)
{
	struct joined *joined = replica->hello;

	assert(joined);
	replica->hello = NULL;
	replica_notice(replica, &joined->notice, run_joined);
}

/* ---- the others ---- */

static void deliver_refuse(struct skeleton_request *request)
{
	replica_deliver_answer(request, DVS_BADSTATE, NULL);
}

static void deliver(void *state, struct skeleton_request *request,
		    const struct replica_deliver_req *req)
{
	struct replica *replica = replica_of(state, deliver_refuse, request);
	dvs_err err;

	if (!replica)
		return;
	err = req->node < DVS_NODES_MAX ?
		      engine_heard(replica_enter(replica), req->node, (dvs_ep){ req->ep },
				   req->stream, req->epoch, req->stable, req->members) :
		      DVS_BADARG;
	if (err == DVS_OK)
		err = inbox_take(replica, request, req);
	if (err != DVS_OK)
		replica_deliver_answer(request, err, NULL);
}

static void view_refuse(struct skeleton_request *request)
{
	replica_view_answer(request, DVS_BADSTATE, NULL);
}

/* The new primary does not know what was told the former one. */
static void say_odd_again(struct replica *replica)
{
	const struct list *log = engine_log(replica->engine);

	for (const struct list *link = log->next; link != log; link = link->next) {
		const struct engine_entry *entry = engine_entry_at(link);

		if (entry->is_applied && entry->result != DVS_OK)
			inbox_say_odd(replica, entry->sequence, entry->result);
	}
}

static void view(void *state, struct skeleton_request *request, const struct replica_view_req *req)
{
	struct replica *replica = replica_of(state, view_refuse, request);
	struct replica_view_rep rep = { .received = 0 };
	dvs_err err;

	if (!replica)
		return;
	err = engine_view_call(replica_enter(replica), req->node, (dvs_ep){ req->ep }, req->epoch,
			       req->stream, &rep.received);
	if (err == DVS_OK) {
		inbox_clear(replica);
		replica->inbox.stream = req->stream;
		say_odd_again(replica);
	}
	rep.epoch = engine_epoch(replica->engine);
	replica_view_answer(request, err, &rep);
}

static void tail_refuse(struct skeleton_request *request)
{
	replica_tail_answer(request, DVS_BADSTATE, NULL);
}

/* Bytes FROM on of what stands in the log behind entry AFTER. */
static dvs_err tail_write(const struct replica *replica, const struct replica_tail_req *req,
			  uint8_t *room, size_t cap, size_t *n)
{
	const struct list *log = engine_log(replica->engine);
	uint64_t skip = req->from;

	*n = 0;
	for (const struct list *link = log->next; link != log && *n < cap; link = link->next) {
		const struct engine_entry *entry = engine_entry_at(link);
		const struct block *block =
			(const struct block *)(const void *)((const char *)entry -
							     offsetof(struct block, e));
		uint8_t head[REPLICA_ITEM_BYTES_MAX];
		size_t some;

		if (entry->sequence <= req->after)
			continue;
		if (block->entry->bytes > 0 && !block->entry->data)
			return DVS_BADSTATE;
		some = outbox_head(block, head);
		*n += outbox_slice(room + *n, cap - *n, head, some, &skip);
		*n += outbox_slice(room + *n, cap - *n, block->entry->data, block->entry->bytes,
				   &skip);
	}
	return DVS_OK;
}

static void tail(void *state, struct skeleton_request *request, const struct replica_tail_req *req)
{
	struct replica *replica = replica_of(state, tail_refuse, request);
	uint8_t *room;
	size_t cap = 0;
	size_t n = 0;
	dvs_err err;

	if (!replica)
		return;
	err = engine_tail_call(replica_enter(replica), req->epoch);
	room = skeleton_window(request, &cap);
	if (err == DVS_OK && room)
		err = tail_write(replica, req, room, cap, &n);
	if (err == DVS_OK && n > 0)
		replica_tail_answer_data(request, DVS_OK, NULL, room, n);
	else
		replica_tail_answer(request, err, NULL);
}

static void take_refuse(struct skeleton_request *request)
{
	replica_take_answer(request, DVS_BADSTATE, NULL);
}

static void take(void *state, struct skeleton_request *request, const struct replica_take_req *req)
{
	struct replica *replica = replica_of(state, take_refuse, request);

	dvs_err err = DVS_OK;

	if (!replica)
		return;
	if (req->epoch < engine_epoch(replica->engine) || replica->is_primary)
		err = DVS_BADSTATE;
	else if (!replica->service)
		err = DVS_NOPROC;
	if (err || req->only_look)
		replica_take_answer(request, err, NULL);
	else
		worker_take(replica, request);
}

struct skeleton_service replica_peers(struct replica **place)
{
	static const struct replica_handlers handlers = {
		.join = join,
		.deliver = deliver,
		.view = view,
		.tail = tail,
		.take = take,
	};

	return replica_service(&handlers, place);
}
