/* SPDX-License-Identifier: Apache-2.0 */
/* Outwards: what the owner of the state calls, what the engine tells, and what is cast when. */
#include <stdlib.h>
#include <string.h>

#include "group/internal.h"

/* ---- casting ---- */

void list_free(struct list *list)
{
	/* The link is the first member of all that is put into lists here. */
	while (!list_is_empty(list))
		free(list_take_head(list));
}

void ordered_fail(struct ordered *ordered, dvs_err err, const char *why)
{
	if (ordered->failed != DVS_OK)
		return;
	ordered->failed = err;
	ordered->failed_why = why;
}

void outbox_add(struct ordered *ordered, const void *bytes, size_t len)
{
	struct out *message = malloc(sizeof(*message) + len);

	if (!message) {
		ordered_fail(ordered, DVS_NOMEM, "no memory for what must be told to the others");
		return;
	}
	message->len = (uint32_t)len;
	memcpy(message->bytes, bytes, len);
	list_add_tail(&ordered->outbox, &message->link);
}

/* False: nothing more for now. The engine may deliver to us before it returns. */
static bool cast(struct ordered *ordered, const void *bytes, size_t len)
{
	if (ordered->window > 0 && ordered->window + len > ORDERED_WINDOW_BYTES)
		return false;
	ordered->window += len;
	if (engine_cast(ordered->engine, bytes, len) == DVS_OK)
		return true;
	/* Full, or gone: then we are told. */
	ordered->window -= len;
	return false;
}

static bool cast_outbox(struct ordered *ordered)
{
	struct list *link = list_take_head(&ordered->outbox);
	struct out *message = CONTAINER_OF(link, struct out, link);
	bool done = cast(ordered, message->bytes, message->len);

	if (done)
		free(message);
	else
		list_add_head(&ordered->outbox, link);
	return done;
}

static bool cast_ack(struct ordered *ordered)
{
	struct writer out = writer_over(ordered->buffer, sizeof(ordered->buffer));

	ack_write(ordered, &out);
	ordered->want_ack = false;
	if (cast(ordered, ordered->buffer, writer_len(&out)))
		return true;
	ordered->want_ack = true;
	return false;
}

static bool cast_entries(struct ordered *ordered)
{
	struct writer out = writer_over(ordered->buffer, sizeof(ordered->buffer));
	struct writer count = writer_over(ordered->buffer + PIECE_HEAD_BYTES, 2);
	size_t queue_bytes = ordered->queue_bytes;
	uint16_t n = 0;

	writer_u8(&out, MESSAGE_ENTRIES);
	writer_u64(&out, ordered->decision.epoch);
	writer_u16(&out, 0);
	while (!list_is_empty(&ordered->queue) && n < UINT16_MAX) {
		struct own *own = CONTAINER_OF(ordered->queue.next, struct own, link);

		if (writer_len(&out) + ENTRY_HEAD_BYTES + own->len > GROUP_CAST_MAX)
			break;
		entry_write(&out, ordered->node, (struct serial){ ordered->life, own->n },
			    own->kind, own->bytes, own->len);
		own->epoch = ordered->decision.epoch;
		list_remove(&own->link);
		list_add_tail(&ordered->flight, &own->link);
		ordered->queue_bytes -= own->len;
		n++;
	}
	writer_u16(&count, n);
	if (cast(ordered, ordered->buffer, writer_len(&out)))
		return true;
	for (; n > 0; n--) {
		struct list *last = ordered->flight.prev;

		list_remove(last);
		list_add_head(&ordered->queue, last);
	}
	ordered->queue_bytes = queue_bytes;
	return false;
}

static bool cast_next(struct ordered *ordered)
{
	if (ordered->failed != DVS_OK)
		return false;
	if (!list_is_empty(&ordered->outbox))
		return cast_outbox(ordered);
	if (ordered->phase != PHASE_OPEN)
		return false;
	if (ordered->want_ack)
		return cast_ack(ordered);
	if (ordered->quorum == QUORUM_YES && !list_is_empty(&ordered->queue))
		return cast_entries(ordered);
	return false;
}

void ordered_flush(struct ordered *ordered)
{
	if (ordered->flushing || !ordered->engine)
		return;
	ordered->flushing = true;
	while (cast_next(ordered)) {
	}
	ordered->flushing = false;
}

/* ---- what the engine tells ---- */

void ready_update(struct ordered *ordered)
{
	bool ready = ordered->phase == PHASE_OPEN && ordered->quorum == QUORUM_YES;

	/* while the members change entries wait, and nothing is lost yet */
	if (ready == ordered->ready || (!ready && ordered->hope))
		return;
	ordered->ready = ready;
	ordered->app.ready(ordered->app.context, ready);
}

void hope_end(struct ordered *ordered)
{
	ordered->hope = false;
	ready_update(ordered);
	LIST_FOREACH_SAFE(link, &ordered->queue) {
		struct own *own = CONTAINER_OF(link, struct own, link);

		if (own->keep)
			continue;
		list_remove(link);
		ordered->queue_bytes -= own->len;
		ordered->app.refused(ordered->app.context, own->cookie, DVS_NOQUORUM);
		free(own);
	}
}

static void on_deliver(void *context, uint32_t node, const void *bytes, size_t len)
{
	static void (*const handlers[])(struct ordered *, uint32_t, struct cursor *) = {
		[MESSAGE_WORD] = on_word,
		[MESSAGE_PROMISE] = on_promise,
		[MESSAGE_HEAD] = on_head,
		[MESSAGE_TAIL] = on_tail,
		[MESSAGE_NEED] = on_need,
		[MESSAGE_SNAP_BEGIN] = on_snap_begin,
		[MESSAGE_SNAP_PIECE] = on_snap_piece,
		[MESSAGE_SNAP_END] = on_snap_end,
		[MESSAGE_AGREE] = on_agree,
		[MESSAGE_ENTRIES] = on_entries,
		[MESSAGE_ACK] = on_ack,
	};
	struct ordered *ordered = context;
	struct cursor in = cursor_over(bytes, len);
	uint8_t kind = cursor_u8(&in);

	if (node == ordered->node)
		ordered->window -= len < ordered->window ? len : ordered->window;
	if (ordered->failed != DVS_OK || node >= GROUP_MEMBERS_MAX || kind >= ARRAY_LEN(handlers) ||
	    !handlers[kind])
		return;
	handlers[kind](ordered, node, &in);
}

static void on_view(void *context, const struct group_view *view)
{
	struct ordered *ordered = context;

	if (ordered->failed != DVS_OK)
		return;
	establish_restart(ordered);
	ordered->quorum = QUORUM_OPEN;
	ordered->members = 0;
	for (uint32_t i = 0; i < view->n_members; i++)
		ordered->members |= bit(view->members[i]);
	for (uint32_t i = 0; i < view->n_left; i++) {
		uint64_t left = bit(view->left[i]);

		ordered->died &= ~left;
		ordered->said_bye &= ~left;
		if (view->why[i] == GROUP_DIED)
			ordered->died |= left;
		else if (view->why[i] == GROUP_LEFT)
			ordered->said_bye |= left;
	}
	ready_update(ordered);
}

static void on_quorum(void *context, bool quorate)
{
	struct ordered *ordered = context;

	if (ordered->failed != DVS_OK || ordered->phase == PHASE_ALONE)
		return;
	ordered->quorum = quorate ? QUORUM_YES : QUORUM_NO;
	ordered->hope = quorate;
	ready_update(ordered);
	if (quorate)
		word_cast(ordered);
	else
		hope_end(ordered);
	ordered_flush(ordered);
}

static void on_reach(void *context, uint64_t nodes)
{
	struct ordered *ordered = context;

	ordered->reach = nodes;
	lingering_look(ordered);
}

static void on_lost(void *context, const char *why)
{
	struct ordered *ordered = context;

	(void)why;
	if (ordered->failed != DVS_OK)
		return;
	establish_stop(ordered);
	ordered->phase = PHASE_ALONE;
	ordered->members = 0;
	ordered->quorum = QUORUM_NO;
	ordered->window = 0;
	ready_update(ordered);
	hope_end(ordered);
}

/* Cast what there is to cast; and leave, if that is how it ended, when nobody is below us on the stack. */
static void settle(struct ordered *ordered)
{
	ordered_flush(ordered);
	if (ordered->failed == DVS_OK || !ordered->engine || ordered->dispatching ||
	    ordered->flushing || ordered->applying)
		return;
	engine_close(ordered->engine);
	ordered->engine = NULL;
	establish_stop(ordered);
	ordered->phase = PHASE_ALONE;
	ordered->members = 0;
	ordered->hope = false;
	ready_update(ordered);
	if (ordered->app.failed)
		ordered->app.failed(ordered->app.context, ordered->failed, ordered->failed_why);
}

/* ---- submitting ---- */

dvs_err own_add(struct ordered *ordered, enum entry_kind kind, uint64_t cookie, const void *bytes,
		size_t len, bool keep)
{
	struct own *own;

	if (len > ORDERED_ENTRY_MAX)
		return DVS_TOOBIG;
	if (ordered->queue_bytes + len > ORDERED_QUEUE_BYTES)
		return DVS_FULL;
	own = malloc(sizeof(*own) + len);
	if (!own)
		return DVS_NOMEM;
	own->n = ++ordered->last_n;
	own->cookie = cookie;
	own->kind = kind;
	own->keep = keep;
	own->len = (uint32_t)len;
	memcpy(own->bytes, bytes, len);
	list_add_tail(&ordered->queue, &own->link);
	ordered->queue_bytes += len;
	return DVS_OK;
}

dvs_err ordered_submit(struct ordered *ordered, uint64_t cookie, const void *bytes, size_t len,
		       bool keep)
{
	dvs_err err;

	if (ordered->failed != DVS_OK)
		return ordered->failed;
	if (!ordered->hope && !keep)
		return DVS_NOQUORUM;
	err = own_add(ordered, ENTRY_APP, cookie, bytes, len, keep);
	if (err == DVS_OK)
		settle(ordered);
	return err;
}

void lingering_look(struct ordered *ordered)
{
	uint64_t lost = ordered->lingering & ~ordered->reach;
	bool lowest = (ordered->members & (bit(ordered->node) - 1)) == 0;

	if (ordered->phase != PHASE_OPEN || !lowest)
		return;
	for (uint32_t node = 0; node < GROUP_MEMBERS_MAX; node++) {
		uint8_t byte = (uint8_t)node;

		/* Without memory, or too many of them: another time. Twice does no harm. */
		if (lost & bit(node))
			(void)!own_add(ordered, ENTRY_NODE_LOST, 0, &byte, 1, true);
	}
	ordered_flush(ordered);
}

/* ---- opening, running ---- */

dvs_err ordered_open(const struct ordered_app *app, const struct ordered_position *position,
		     uint32_t node, ordered_open_engine open_engine, void *argument,
		     struct ordered **opened)
{
	struct ordered *ordered;
	struct engine_events events = { .deliver = on_deliver,
					.view = on_view,
					.quorum = on_quorum,
					.reach = on_reach,
					.lost = on_lost };
	dvs_err err;

	if (node >= GROUP_MEMBERS_MAX)
		return DVS_BADARG;
	ordered = calloc(1, sizeof(*ordered));
	if (!ordered)
		return DVS_NOMEM;
	ordered->app = *app;
	ordered->node = node;
	ordered->reach = UINT64_MAX;
	ordered->log_epoch = ordered->view_epoch = position->epoch;
	ordered->attempt = position->promised > position->epoch ? position->promised :
								  position->epoch;
	ordered->established = position->members;
	ordered->applied.index = position->index;
	ordered->applied.chain =
		chain_start(position->epoch, position->index, app->digest(app->context));
	ordered->last = ordered->applied;
	ordered->stable = position->index;
	list_init(&ordered->log);
	list_init(&ordered->queue);
	list_init(&ordered->flight);
	list_init(&ordered->outbox);
	list_init(&ordered->transfer.tail);
	events.context = ordered;
	err = open_engine(argument, &events, &ordered->engine);
	if (err != DVS_OK) {
		free(ordered);
		return err;
	}
	*opened = ordered;
	ordered_dispatch(ordered);
	return DVS_OK;
}

void ordered_close(struct ordered *ordered)
{
	if (!ordered)
		return;
	engine_close(ordered->engine);
	list_free(&ordered->log);
	list_free(&ordered->queue);
	list_free(&ordered->flight);
	list_free(&ordered->outbox);
	list_free(&ordered->transfer.tail);
	free(ordered);
}

int ordered_fd(const struct ordered *ordered)
{
	return ordered->engine ? engine_fd(ordered->engine) : -1;
}

void ordered_dispatch(struct ordered *ordered)
{
	if (!ordered->engine)
		return;
	ordered->dispatching = true;
	engine_dispatch(ordered->engine);
	ordered->dispatching = false;
	settle(ordered);
}

bool ordered_is_ready(const struct ordered *ordered)
{
	return ordered->ready;
}

struct ordered_position ordered_position(const struct ordered *ordered)
{
	/* Not the epoch of the log: what of it is not applied is lost to who has no more than this. */
	return (struct ordered_position){ ordered->view_epoch, ordered->applied.index,
					  ordered->established, 0 };
}

uint32_t ordered_members(const struct ordered *ordered, uint32_t members[GROUP_MEMBERS_MAX])
{
	uint32_t n = 0;

	for (uint32_t node = 0; node < GROUP_MEMBERS_MAX; node++) {
		if (ordered->members & bit(node))
			members[n++] = node;
	}
	return n;
}

uint64_t ordered_reach(const struct ordered *ordered)
{
	/* Who is in no view has lost its engine, which knows nothing of others then. */
	return ordered->members ? ordered->reach | ordered->members : 0;
}
