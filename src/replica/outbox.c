/* SPDX-License-Identifier: Apache-2.0 */
/* Streams to other replicas. What waits for one goes in one call. The loop makes it itself, so that nobody has to be woken on the way to the others and back; what comes while that one is under way
 * is for callers, who have threads: then there is enough to do for it not to matter. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/err.h"
#include "replica/internal.h"

/* Of one call, with the rest of the entry that goes beyond it: while its bytes are on the way, the next ones are packed and the former ones carried out. */
#define BATCH_BYTES ((size_t)256 << 10)
/* The loop waits so long for dvsd to tell where another replica is, */
#define LOOK_UP_MS 50u
/* and tries again after this time; callers, who may wait, are there meanwhile. */
#define LOOK_UP_AGAIN_NS CLOCK_NS_PER_S

static void on_result(void *user, struct caller *caller);
static void on_over(struct skeleton_call *call, dvs_err err, const struct dvs_msg *reply,
		    const uint8_t *data, size_t bytes);

/* ---- items ---- */

static struct item *item_new(enum item_kind kind)
{
	struct item *item = calloc(1, sizeof(*item));

	assert(item);
	item->kind = kind;
	list_init(&item->queued);
	list_init(&item->ended.queued);
	return item;
}

static void item_free(struct item *item)
{
	list_remove(&item->queued);
	if (item->block)
		block_put(item->block);
	free(item->table);
	free(item->answer);
	free(item);
}

static size_t item_bytes(const struct item *item)
{
	if (item->block)
		return item->block->entry->bytes;
	return item->word ? item->word->bytes : item->table_bytes;
}

static const void *item_data(const struct item *item)
{
	if (item->block)
		return item->block->entry->data;
	return item->word ? item->word->data : item->table;
}

static size_t item_head(const struct item *item, uint8_t head[REPLICA_ITEM_BYTES_MAX])
{
	struct replica_item row = { .kind = (uint8_t)item->kind,
				    .number = item->number,
				    .bytes = (uint32_t)item_bytes(item) };
	struct writer out = writer_over(head, REPLICA_ITEM_BYTES_MAX);

	if (item->block) {
		row.client = item->block->entry->client.n;
		row.call = item->block->entry->call;
		row.n_head = item->block->entry->head_bytes;
		memcpy(row.head, item->block->entry->head, row.n_head);
	} else if (item->word) {
		row.n_head = item->word->head_bytes;
		memcpy(row.head, item->word->head, row.n_head);
	}
	replica_item_put(&out, &row);
	assert(writer_ok(&out));
	return writer_len(&out);
}

size_t outbox_head(const struct block *block, uint8_t head[REPLICA_ITEM_BYTES_MAX])
{
	struct item item = { .kind = ITEM_ENTRY,
			     .number = block->e.sequence,
			     /* only read */
			     .block = (struct block *)(uintptr_t)block };

	return item_head(&item, head);
}

size_t outbox_slice(uint8_t *to, size_t room, const void *from, size_t n, uint64_t *skip)
{
	size_t some;

	if (*skip >= n) {
		*skip -= n;
		return 0;
	}
	some = n - *skip < room ? n - *skip : room;
	memcpy(to, (const uint8_t *)from + *skip, some);
	*skip = 0;
	return some;
}

static void failed(struct stream *stream, dvs_err err)
{
	struct replica *replica = stream->replica;

	log_info(replica->config.log, "a replica does not answer",
		 LOG_STR("name", replica->config.name), LOG_U64("node", stream->node),
		 LOG_STR("why", dvs_strerror(err)));
	engine_call_failed(replica_enter(replica), stream->node, stream->number, err);
}

static void append(struct stream *stream, struct item *item)
{
	list_add_tail(&stream->items, &item->queued);
	stream->bytes += item_bytes(item) + REPLICA_ITEM_BYTES_MAX;
	replica_soon(stream->replica);
}

/* ---- words ---- */

static void run_ended(struct replica *replica, struct notice *notice)
{
	struct item *item = CONTAINER_OF(notice, struct item, ended);

	(void)replica;
	if (item->word)
		item->word->done(item->word, item->err, item->answer, item->n_answer);
	item_free(item);
}

static void word_end(struct replica *replica, struct item *item, dvs_err err, const uint8_t *answer,
		     size_t n)
{
	list_remove(&item->queued);
	item->err = err;
	if (n > 0) {
		item->answer = malloc(n);
		if (item->answer)
			memcpy(item->answer, answer, n);
		else
			item->err = DVS_NOMEM;
		item->n_answer = item->answer ? n : 0;
	}
	replica_notice(replica, &item->ended, run_ended);
}

void outbox_tell(struct replica *replica, uint32_t node, struct replica_word *word)
{
	struct stream *stream = &replica->streams[node];
	struct item *item = item_new(ITEM_WORD);

	assert(word->head_bytes <= REPLICA_HEAD_MAX && word->bytes <= DVS_DATA_MAX);
	item->word = word;
	if (!stream->is_open) {
		word_end(replica, item, DVS_NODEDOWN, NULL, 0);
		return;
	}
	item->number = ++stream->words;
	append(stream, item);
}

void outbox_send_table(struct replica *replica, uint32_t node)
{
	struct stream *stream = &replica->streams[node];
	struct remembered *all = calloc(REMEMBER_MAX, sizeof(*all));
	struct item *item = item_new(ITEM_TABLE);
	struct writer out;
	size_t n;

	item->table_bytes = (size_t)REMEMBER_MAX * REPLICA_REMEMBERED_BYTES_MAX;
	item->table = malloc(item->table_bytes);
	assert(all && item->table);
	n = remember_all(replica->remember, all);
	out = writer_over(item->table, item->table_bytes);
	for (size_t i = 0; i < n; i++)
		replica_remembered_put(
			&out, &(struct replica_remembered){ .client = all[i].client.n,
							    .call = all[i].call,
							    .error = (uint32_t)all[i].result });
	item->table_bytes = writer_len(&out);
	item->number = ++stream->words;
	free(all);
	append(stream, item);
}

/* ---- open, close ---- */

void outbox_open(struct replica *replica, uint32_t node, dvs_ep ep, uint64_t number, bool begin,
		 uint64_t after)
{
	struct stream *stream = &replica->streams[node];
	struct item *item;

	memset(stream, 0, sizeof(*stream));
	stream->replica = replica;
	stream->is_open = true;
	replica->streams_open |= UINT64_C(1) << node;
	stream->node = node;
	stream->ep = ep;
	stream->number = number;
	stream->sent = stream->acked = after;
	list_init(&stream->items);
	list_init(&stream->asked);
	if (begin) {
		item = item_new(ITEM_BEGIN);
		item->number = after;
		append(stream, item);
	}
	replica_soon(replica);
}

void outbox_close(struct replica *replica, uint32_t node)
{
	struct stream *stream = &replica->streams[node];
	struct list *link;

	stream->is_open = false;
	replica->streams_open &= ~(UINT64_C(1) << node);
	skeleton_call_cancel(&stream->call);
	for (uint32_t i = 0; i < CALLERS; i++) {
		if (stream->callers[i] && stream->windows[i])
			caller_put(replica, stream->callers[i]);
		else if (stream->callers[i])
			caller_leave(replica, stream->callers[i]);
		stream->callers[i] = NULL;
	}
	while ((link = stream->asked.next) != &stream->asked)
		word_end(replica, CONTAINER_OF(link, struct item, queued), DVS_NODEDOWN, NULL, 0);
	while ((link = list_take_head(&stream->items))) {
		struct item *item = CONTAINER_OF(link, struct item, queued);

		if (item->word)
			word_end(replica, item, DVS_NODEDOWN, NULL, 0);
		else
			item_free(item);
	}
}

void outbox_send(struct replica *replica, uint32_t node, struct block *block)
{
	struct item *item = item_new(ITEM_ENTRY);

	item->number = block->e.sequence;
	item->block = block;
	block->refs++;
	append(&replica->streams[node], item);
}

/* ---- packing ---- */

static size_t slice(uint8_t *to, size_t room, const void *from, size_t n, size_t at)
{
	size_t some = n > at ? n - at : 0;

	if (some > room)
		some = room;
	if (some > 0)
		memcpy(to, (const uint8_t *)from + at, some);
	return some;
}

/* Items that are packed wait for their answers, or are done with. */
static void packed(struct stream *stream, struct item *item)
{
	stream->at = 0;
	stream->bytes -= item_bytes(item) + REPLICA_ITEM_BYTES_MAX;
	list_remove(&item->queued);
	if (item->kind == ITEM_ENTRY)
		stream->sent = item->number;
	if (item->word || item->table)
		list_add_tail(&stream->asked, &item->queued);
	else
		item_free(item);
}

static size_t pack(struct stream *stream, uint8_t *window)
{
	size_t n = 0;

	while (n < BATCH_BYTES && !list_is_empty(&stream->items)) {
		struct item *item = CONTAINER_OF(stream->items.next, struct item, queued);
		uint8_t head[REPLICA_ITEM_BYTES_MAX];
		size_t n_head = item_head(item, head);
		size_t some = slice(window + n, DVS_DATA_MAX - n, head, n_head, stream->at);

		stream->at += some;
		n += some;
		if (stream->at < n_head)
			break;
		some = slice(window + n, DVS_DATA_MAX - n, item_data(item), item_bytes(item),
			     stream->at - n_head);
		stream->at += some;
		n += some;
		if (stream->at == n_head + item_bytes(item))
			packed(stream, item);
	}
	return n;
}

/* What waits as a batch in WINDOW; its length. */
static size_t batch(struct stream *stream, void *window, struct dvs_msg *msg)
{
	struct replica *replica = stream->replica;
	struct engine *engine = replica->engine;
	struct writer out = writer_over(msg->bytes, sizeof(msg->bytes));
	size_t n = pack(stream, window);
	struct replica_deliver_req req = {
		.epoch = engine_epoch(engine),
		.stream = stream->number,
		.batch = ++stream->batch,
		.stable = engine_stable(engine),
		.members = engine_view(engine)->members,
		.node = replica->config.node.n,
		.ep = m3_self(skeleton_self(replica->config.skeleton)).n,
	};

	*msg = (struct dvs_msg){ .type = REPLICA_DELIVER };
	replica_deliver_req_encode(&out, &req);
	stream->sent_ns = clock_now_ns();
	return n;
}

static uint32_t n_under_way(const struct stream *stream)
{
	uint32_t n = stream->call.self != NULL;

	for (uint32_t i = 0; i < CALLERS; i++)
		n += stream->callers[i] && !stream->windows[i];
	return n;
}

static bool must_send(const struct stream *stream)
{
	uint64_t silent_ns = clock_now_ns() - stream->sent_ns;

	if (!list_is_empty(&stream->items))
		return true;
	if (n_under_way(stream) > 0)
		return false;
	return stream->acked < stream->sent || !list_is_empty(&stream->asked) ||
	       silent_ns >= stream->replica->config.lease_ms * CLOCK_NS_PER_MS / 4;
}

/* By the loop itself. False: its call is under way, or cannot be made now. */
static bool deliver(struct stream *stream)
{
	struct replica *replica = stream->replica;
	struct skeleton *skeleton = replica->config.skeleton;
	struct dvs_msg msg;
	void *window;
	size_t n;
	dvs_err err;

	if (stream->call.self || !clock_is_past(stream->look_up_ns))
		return false;
	err = skeleton_call_window(skeleton, stream->ep, LOOK_UP_MS, &window);
	if (err != DVS_OK) {
		/* BADSTATE: it does not listen on the service's endpoint yet. */
		if (err != DVS_BADSTATE)
			stream->look_up_ns = clock_deadline_ns(LOOK_UP_AGAIN_NS);
		return false;
	}
	n = batch(stream, window, &msg);
	stream->call_ns = stream->sent_ns;
	stream->call.over = on_over;
	err = skeleton_call(skeleton, &stream->call, stream->ep, &msg, window, n, DVS_DATA_MAX);
	if (err != DVS_OK)
		failed(stream, err);
	return true;
}

static void deliver_by(struct stream *stream, uint32_t slot)
{
	void *window = stream->windows[slot];
	struct dvs_msg msg;
	size_t n = batch(stream, window, &msg);

	stream->windows[slot] = NULL;
	caller_call(stream->callers[slot], stream->ep, &msg, window, n,
		    stream->replica->config.evict_ms);
}

static void connect(struct stream *stream, uint32_t slot)
{
	stream->callers[slot] = caller_get(stream->replica, stream, on_result);
	if (stream->callers[slot])
		caller_connect(stream->callers[slot], stream->ep, stream->replica->config.evict_ms);
}

void outbox_flush(struct replica *replica, uint32_t node)
{
	struct stream *stream = &replica->streams[node];

	if (!stream->is_open)
		return;
	if (must_send(stream))
		(void)deliver(stream);
	for (uint32_t slot = 0; slot < CALLERS && stream->is_open && must_send(stream); slot++) {
		if (!stream->callers[slot])
			connect(stream, slot);
		else if (stream->windows[slot])
			deliver_by(stream, slot);
	}
	if (stream->bytes > JOINER_BYTES_MAX + replica->config.lag_bytes)
		engine_call_failed(replica_enter(replica), node, stream->number, DVS_TOOBIG);
}

/* ---- answers ---- */

static struct item *find_asked(struct stream *stream, uint64_t number)
{
	LIST_FOREACH(link, &stream->asked) {
		struct item *item = CONTAINER_OF(link, struct item, queued);

		if (item->number == number)
			return item;
	}
	return NULL;
}

/* What NODEDOWN means for a word, only this side says: that its stream has ended. */
static dvs_err said_err(const struct replica_said *said)
{
	dvs_err err = dvs_err_from_number(said->error);

	return err == DVS_NODEDOWN ? DVS_PROTO : err;
}

/* False: it is malformed. */
static bool take_said(struct stream *stream, struct cursor *in)
{
	struct replica *replica = stream->replica;
	struct replica_said said;
	const uint8_t *answer;
	struct item *item;

	replica_said_get(in, &said);
	answer = cursor_borrow(in, said.bytes);
	if (!answer)
		return false;
	if (said.kind == 2) {
		engine_odd_result(replica_enter(replica), stream->node, stream->number,
				  said.number);
		return stream->is_open;
	}
	item = find_asked(stream, said.number);
	if (!item || said.bytes > REPLICA_ANSWER_MAX)
		return false;
	if (item->table)
		engine_table_taken(replica_enter(replica), stream->node, stream->number);
	if (!stream->is_open)
		return true;
	word_end(replica, item, said_err(&said), answer, said.bytes);
	return true;
}

static dvs_err take_answer(struct stream *stream, const struct caller_result *result,
			   uint64_t *applied)
{
	struct cursor in = cursor_over(result->reply.bytes + 4, sizeof(result->reply.bytes) - 4);
	struct replica_deliver_rep rep;
	uint64_t number = stream->number;

	if (result->err != DVS_OK)
		return result->err;
	if (result->reply.u32[0] != 0)
		return dvs_err_from_number(result->reply.u32[0]);
	if (replica_deliver_rep_decode_padded(&in, &rep) != DVS_OK)
		return DVS_PROTO;
	in = cursor_over(result->data, result->bytes);
	while (cursor_left(&in) > 0) {
		if (!take_said(stream, &in))
			return stream->is_open ? DVS_PROTO : DVS_OK;
		if (!stream->is_open || stream->number != number)
			return DVS_OK;
	}
	/* Entries that it was not sent it cannot have carried out, though there may be such. */
	if (rep.applied > stream->sent)
		return DVS_PROTO;
	*applied = rep.applied;
	return DVS_OK;
}

/* A call has ended. False: the stream is over. */
static bool take_result(struct stream *stream, const struct caller_result *result)
{
	struct replica *replica = stream->replica;
	uint64_t number = stream->number;
	uint64_t applied = 0;
	dvs_err err = take_answer(stream, result, &applied);

	if (!stream->is_open || stream->number != number)
		return false;
	if (err != DVS_OK) {
		failed(stream, err);
		return false;
	}
	if (applied > stream->acked)
		stream->acked = applied;
	engine_acknowledged(replica_enter(replica), stream->node, number, applied,
			    result->began_ns);
	return stream->is_open && stream->number == number;
}

/* The loop's own. */
static void on_over(struct skeleton_call *call, dvs_err err, const struct dvs_msg *reply,
		    const uint8_t *data, size_t bytes)
{
	struct stream *stream = CONTAINER_OF(call, struct stream, call);
	struct caller_result result = {
		.err = err, .reply = *reply, .bytes = bytes, .began_ns = stream->call_ns
	};
	uint8_t *copy = NULL;

	/* The other one can change it in its place. */
	if (bytes > 0) {
		copy = malloc(bytes);
		if (copy)
			memcpy(copy, data, bytes);
		else
			result.err = DVS_NOMEM;
		result.data = copy;
	}
	if (take_result(stream, &result))
		outbox_flush(stream->replica, stream->node);
	free(copy);
}

static uint32_t slot_of(const struct stream *stream, const struct caller *caller)
{
	uint32_t slot = 0;

	while (stream->callers[slot] != caller)
		slot++;
	return slot;
}

static void on_result(void *user, struct caller *caller)
{
	struct stream *stream = user;
	struct replica *replica = stream->replica;
	const struct caller_result *result = caller_result(caller);
	uint32_t slot = slot_of(stream, caller);

	if (result->began_ns == 0 && result->err != DVS_OK) {
		/* dvsd is being started again: once more, until the other one counts as silent. */
		if (result->err == DVS_NODVSD || result->err == DVS_TIMEOUT) {
			caller_put(replica, caller);
			stream->callers[slot] = NULL;
			return;
		}
		failed(stream, result->err);
		return;
	}
	if (result->began_ns != 0 && !take_result(stream, result)) {
		/* It was left while its result was looked at. */
		if (!caller_use(caller)->end)
			caller_put(replica, caller);
		return;
	}
	stream->windows[slot] = result->window;
	if (!result->window) {
		caller_put(replica, caller);
		stream->callers[slot] = NULL;
	}
	outbox_flush(replica, stream->node);
}
