/* SPDX-License-Identifier: Apache-2.0 */
/* The stream that comes: batches are put in order, their bytes are items, and items go on one after the other: a word when all entries before it were carried out, and nothing before
 * the words in front of it are with the owner. A batch is answered when its entries were carried out; or when there is something to say, the next one is here, or some time has
 * passed, as a sign of life. */
#include <stdlib.h>
#include <string.h>

#include "base/cleanup.h"
#include "base/clock.h"
#include "base/err.h"
#include "replica/internal.h"

#define TABLE_BYTES_MAX ((size_t)REMEMBER_MAX * REPLICA_REMEMBERED_BYTES_MAX)
/* Of an item's fields, up to the number of bytes of its head. */
#define HEAD_LEAST 18u
#define HEAD_REST 4u

static void run_heard(struct replica *replica, struct notice *notice);

/* ---- memory ---- */

static void incoming_free(struct incoming *incoming)
{
	list_remove(&incoming->queued);
	if (incoming->block)
		block_put(incoming->block);
	free(incoming->data);
	free(incoming);
}

/* What the owner has of it stays until it is answered. */
void inbox_clear(struct replica *replica)
{
	struct inbox *inbox = &replica->inbox;
	struct list *link;

	while ((link = list_take_head(&inbox->queue)))
		incoming_free(CONTAINER_OF(link, struct incoming, queued));
	if (inbox->partial)
		incoming_free(inbox->partial);
	inbox->partial = NULL;
	inbox->n_head = 0;
	for (uint32_t i = 0; i < SLOTS; i++) {
		if (inbox->held[i].request)
			replica_deliver_answer(inbox->held[i].request, DVS_BADSTATE, NULL);
		inbox->held[i].request = NULL;
	}
	for (uint32_t i = 0; i < inbox->n_said; i++)
		free(inbox->said[i].data);
	inbox->n_said = 0;
	inbox->n_open = 0;
	inbox->stream = 0;
	inbox->round++;
	inbox->batch = 1;
	inbox->parsed = engine_last(replica->engine);
}

void inbox_init(struct replica *replica)
{
	list_init(&replica->inbox.queue);
}

/* ---- what is to be said ---- */

static void say(struct replica *replica, const struct said *said)
{
	struct inbox *inbox = &replica->inbox;

	/* Whoever sends so many words without an answer is told nothing; the stream ends by its silence. */
	if (inbox->n_said == SAID_MAX) {
		free(said->data);
		return;
	}
	inbox->said[inbox->n_said++] = *said;
}

void inbox_say_odd(struct replica *replica, uint64_t sequence, dvs_err err)
{
	say(replica, &(struct said){ .kind = 2, .number = sequence, .err = err });
}

void inbox_answer_word(struct replica *replica, struct replica_heard *heard, dvs_err err,
		       const void *answer, size_t n)
{
	struct incoming *incoming = heard->library;
	struct said said = { .kind = 1, .number = incoming->item.number, .err = err };

	if (n > REPLICA_ANSWER_MAX)
		n = REPLICA_ANSWER_MAX;
	if (n > 0)
		said.data = malloc(n);
	if (said.data) {
		memcpy(said.data, answer, n);
		said.bytes = (uint32_t)n;
	}
	if (incoming->round != replica->inbox.round) {
		free(said.data);
	} else {
		replica->inbox.n_open--;
		say(replica, &said);
	}
	incoming_free(incoming);
	inbox_go(replica);
}

/* ---- items go on ---- */

static void take_table(struct replica *replica, const struct incoming *incoming)
{
	struct cursor in = cursor_over(incoming->data, incoming->item.bytes);

	while (cursor_left(&in) > 0) {
		struct replica_remembered row;

		replica_remembered_get(&in, &row);
		if (in.failed)
			break;
		remember_add(replica->remember,
			     &(struct remembered){ .client = { row.client },
						   .call = row.call,
						   .result = dvs_err_from_number(row.error) });
	}
	say(replica, &(struct said){ .kind = 1, .number = incoming->item.number });
}

static void hear(struct replica *replica, struct incoming *incoming)
{
	incoming->heard = (struct replica_heard){ .from = { incoming->from },
						  .head = incoming->item.head,
						  .head_bytes = incoming->item.n_head,
						  .data = incoming->data,
						  .bytes = incoming->item.bytes,
						  .library = incoming };
	replica->inbox.n_open++;
	replica->inbox.is_telling = true;
	replica_notice(replica, &incoming->notice, run_heard);
}

static void run_heard(struct replica *replica, struct notice *notice)
{
	struct incoming *incoming = CONTAINER_OF(notice, struct incoming, notice);
	const struct replica_owner *owner = replica->config.owner;

	replica->inbox.is_telling = false;
	if (incoming->round == replica->inbox.round && !replica->is_closing)
		owner->heard(owner->context, &incoming->heard);
	else
		incoming_free(incoming);
	inbox_go(replica);
}

static bool take_entry(struct replica *replica, struct incoming *incoming)
{
	struct block *block = incoming->block;
	dvs_err err = engine_received(replica_enter(replica), &block->e, incoming->item.number);

	if (err == DVS_OK)
		incoming->block = NULL; /* the log has it */
	return err == DVS_OK;
}

/* False: the stream is broken. */
static bool queue_go(struct replica *replica)
{
	struct inbox *inbox = &replica->inbox;

	while (!list_is_empty(&inbox->queue) && !inbox->is_telling) {
		struct incoming *incoming =
			CONTAINER_OF(inbox->queue.next, struct incoming, queued);
		bool right = true;

		if (incoming->kind == ITEM_WORD &&
		    engine_applied_up_to(replica->engine) < engine_last(replica->engine))
			return true;
		list_remove(&incoming->queued);
		if (incoming->kind == ITEM_WORD) {
			hear(replica, incoming);
			return true;
		}
		if (incoming->kind == ITEM_BEGIN)
			engine_begin(replica_enter(replica), incoming->item.number);
		else if (incoming->kind == ITEM_ENTRY)
			right = take_entry(replica, incoming);
		else
			take_table(replica, incoming);
		incoming_free(incoming);
		if (!right)
			return false;
	}
	return true;
}

/* ---- bytes become items ---- */

static size_t item_limit(uint8_t kind)
{
	if (kind == ITEM_TABLE)
		return TABLE_BYTES_MAX;
	return kind == ITEM_BEGIN ? 0 : DVS_DATA_MAX;
}

static bool begin_item(struct replica *replica)
{
	struct inbox *inbox = &replica->inbox;
	struct cursor in = cursor_over(inbox->head, inbox->n_head);
	struct incoming *incoming = calloc(1, sizeof(*incoming));

	if (!incoming)
		return false;
	list_init(&incoming->queued);
	list_init(&incoming->notice.queued);
	inbox->partial = incoming;
	inbox->n_partial = 0;
	incoming->round = inbox->round;
	incoming->from = inbox->from;
	replica_item_get(&in, &incoming->item);
	incoming->kind = incoming->item.kind;
	if (!cursor_done(&in) || incoming->item.bytes > item_limit(incoming->item.kind))
		return false;
	if (incoming->item.bytes > 0)
		incoming->data = malloc(incoming->item.bytes);
	return incoming->data || incoming->item.bytes == 0;
}

static bool end_item(struct replica *replica)
{
	struct inbox *inbox = &replica->inbox;
	struct incoming *incoming = inbox->partial;
	struct block *block;

	inbox->partial = NULL;
	inbox->n_head = 0;
	list_add_tail(&inbox->queue, &incoming->queued);
	if (incoming->kind == ITEM_BEGIN)
		inbox->parsed = incoming->item.number;
	if (incoming->kind != ITEM_ENTRY)
		return true;
	if (incoming->item.number != inbox->parsed + 1)
		return false;
	inbox->parsed++;
	block = block_new();
	if (!block)
		return false;
	incoming->block = block;
	block->owned = TAKE_PTR(incoming->data);
	block->own = (struct replica_entry){ .sequence = incoming->item.number,
					     .client = { incoming->item.client },
					     .call = incoming->item.call,
					     .head_bytes = incoming->item.n_head,
					     .data = block->owned,
					     .bytes = incoming->item.bytes,
					     .library = block };
	memcpy(block->own.head, incoming->item.head, incoming->item.n_head);
	block->e.bytes = block->own.bytes;
	block->e.client = block->own.client;
	block->e.call = block->own.call;
	return true;
}

static size_t copy(uint8_t *to, size_t *at, size_t wanted, const uint8_t *bytes, size_t n)
{
	size_t some = wanted - *at < n ? wanted - *at : n;

	memcpy(to + *at, bytes, some);
	*at += some;
	return some;
}

/* False: it is not a stream. Bytes in the memory of whoever sent them are read once. */
static bool parse(struct replica *replica, const uint8_t *bytes, size_t n)
{
	struct inbox *inbox = &replica->inbox;

	while (n > 0) {
		size_t wanted = HEAD_LEAST;
		size_t some;

		if (!inbox->partial) {
			if (inbox->n_head >= HEAD_LEAST)
				wanted = HEAD_LEAST + inbox->head[HEAD_LEAST - 1] + HEAD_REST;
			if (wanted > sizeof(inbox->head))
				return false;
			some = copy(inbox->head, &inbox->n_head, wanted, bytes, n);
			bytes += some;
			n -= some;
			if (inbox->n_head < wanted || wanted == HEAD_LEAST)
				continue;
			if (!begin_item(replica))
				return false;
		}
		if (inbox->partial->item.bytes > 0 && n > 0) {
			uint8_t *to = inbox->partial->data;

			some = copy(to, &inbox->n_partial, inbox->partial->item.bytes, bytes, n);
			bytes += some;
			n -= some;
		}
		if (inbox->n_partial == inbox->partial->item.bytes && !end_item(replica))
			return false;
	}
	return true;
}

bool inbox_take_tail(struct replica *replica, const uint8_t *bytes, size_t n)
{
	return parse(replica, bytes, n) && queue_go(replica);
}

/* ---- batches ---- */

static bool is_quiet(const struct replica *replica)
{
	const struct inbox *inbox = &replica->inbox;

	return inbox->n_open == 0 && list_is_empty(&inbox->queue) &&
	       engine_applied_up_to(replica->engine) == engine_last(replica->engine);
}

static bool is_answerable(const struct replica *replica, const struct held *held, bool is_newest)
{
	const struct inbox *inbox = &replica->inbox;
	bool has_it = engine_applied_up_to(replica->engine) >= held->last;

	if (clock_now_ns() >= held->until_ns)
		return true;
	if (has_it && (held->has_entries || inbox->n_said > 0 || is_quiet(replica)))
		return true;
	return !held->has_entries && !is_newest;
}

static size_t write_said(struct inbox *inbox, uint8_t *room, size_t cap)
{
	struct writer out = writer_over(room, cap);
	uint32_t n = 0;

	while (n < inbox->n_said &&
	       writer_len(&out) + REPLICA_SAID_BYTES_MAX + inbox->said[n].bytes <= cap) {
		struct said *said = &inbox->said[n++];

		replica_said_put(&out, &(struct replica_said){ .kind = said->kind,
							       .number = said->number,
							       .error = (uint32_t)said->err,
							       .bytes = said->bytes });
		if (said->bytes > 0)
			writer_bytes(&out, said->data, said->bytes);
		free(said->data);
	}
	inbox->n_said -= n;
	memmove(inbox->said, inbox->said + n, inbox->n_said * sizeof(inbox->said[0]));
	return writer_len(&out);
}

static void answer(struct replica *replica, struct held *held)
{
	struct skeleton_request *request = TAKE_PTR(held->request);
	struct engine *engine = replica_enter(replica);
	struct replica_deliver_rep rep;
	size_t cap = 0;
	uint8_t *room = NULL;
	size_t n = 0;

	if (!engine_promise(engine, held->stream)) {
		replica_deliver_answer(request, DVS_BADSTATE, NULL);
		return;
	}
	rep.epoch = engine_epoch(engine);
	rep.applied = engine_applied_up_to(engine);
	if (replica->inbox.n_said > 0)
		room = skeleton_window(request, &cap);
	if (room)
		n = write_said(&replica->inbox, room, cap);
	if (n > 0)
		replica_deliver_answer_data(request, DVS_OK, &rep, room, n);
	else
		replica_deliver_answer(request, DVS_OK, &rep);
}

static void answer_all(struct replica *replica)
{
	struct inbox *inbox = &replica->inbox;

	for (;;) {
		struct held *oldest = NULL;
		bool is_newest = true;

		for (uint32_t i = 0; i < SLOTS; i++) {
			struct held *held = &inbox->held[i];

			if (!held->request || !held->is_taken)
				continue;
			is_newest = !oldest;
			if (!oldest || held->batch < oldest->batch)
				oldest = held;
		}
		if (!oldest || !is_answerable(replica, oldest, is_newest))
			return;
		answer(replica, oldest);
	}
}

/* The next batches, if they are here. */
static bool batches_go(struct replica *replica)
{
	struct inbox *inbox = &replica->inbox;
	bool more = true;

	while (more) {
		more = false;
		for (uint32_t i = 0; i < SLOTS; i++) {
			struct held *held = &inbox->held[i];
			uint64_t before = inbox->parsed;

			if (!held->request || held->is_taken || held->batch != inbox->batch)
				continue;
			inbox->batch++;
			held->is_taken = more = true;
			if (!parse(replica, held->request->data, held->request->data_bytes))
				return false;
			held->last = inbox->parsed;
			held->has_entries = inbox->parsed != before;
			if (!queue_go(replica))
				return false;
		}
	}
	return true;
}

dvs_err inbox_take(struct replica *replica, struct skeleton_request *request,
		   const struct replica_deliver_req *req)
{
	struct inbox *inbox = &replica->inbox;
	struct held *held = NULL;

	if (req->stream != inbox->stream) {
		inbox_clear(replica);
		inbox->stream = req->stream;
	}
	inbox->from = req->node;
	for (uint32_t i = 0; i < SLOTS && !held; i++) {
		if (!inbox->held[i].request)
			held = &inbox->held[i];
	}
	if (!held || req->batch < inbox->batch || req->batch >= inbox->batch + SLOTS)
		return DVS_BADSTATE;
	*held = (struct held){ .request = request,
			       .stream = req->stream,
			       .batch = req->batch,
			       .until_ns = clock_now_ns() +
					   replica->config.lease_ms * CLOCK_NS_PER_MS / 4 };
	if (!batches_go(replica)) {
		log_warning(replica->config.log, "a stream is malformed",
			    LOG_STR("name", replica->config.name), LOG_U64("node", req->node));
		/* It is answered with the others. */
		inbox_clear(replica);
		return DVS_OK;
	}
	inbox_go(replica);
	return DVS_OK;
}

void inbox_go(struct replica *replica)
{
	if (!queue_go(replica))
		inbox_clear(replica);
	answer_all(replica);
}
