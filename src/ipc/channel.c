/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/channel.h"

#include <string.h>

static_assert(sizeof(struct dvs_msg) == 64, "a message is 64 bytes");

/* The cell has the call number and kind where the message has its source: the source is known from the channel. */
static void cell_fill(struct ipc_cell *cell, const struct dvs_msg *msg)
{
	atomic_store_explicit(&cell->type, msg->type, memory_order_relaxed);
	for (size_t i = 0; i < IPC_CELL_WORDS; i++)
		atomic_store_explicit(&cell->payload[i], msg->u64[i], memory_order_relaxed);
}

static void cell_copy(struct dvs_msg *msg, const struct ipc_cell *cell)
{
	msg->type = atomic_load_explicit(&cell->type, memory_order_relaxed);
	for (size_t i = 0; i < IPC_CELL_WORDS; i++)
		msg->u64[i] = atomic_load_explicit(&cell->payload[i], memory_order_relaxed);
}

static uint32_t clipped(uint32_t value, size_t most)
{
	return value < most ? value : (uint32_t)most;
}

static void post(struct channel *ch, uint32_t kind, const struct dvs_msg *msg,
		 const struct call_data *data, dvs_ep relayed_by)
{
	/* What was posted before and withdrawn must not be seen with what belongs to the new call under its old head. */
	atomic_thread_fence(memory_order_release);
	if (__builtin_expect(!dvs_ep_is_any(relayed_by), 0)) {
		atomic_store_explicit(&ch->mine->ext.relayed_by, relayed_by.n,
				      memory_order_relaxed);
		kind |= IPC_RELAYED_CALL;
	}
	if (data && (data->out_bytes || data->in_cap)) {
		if (data->out_bytes && data->out != ch->my_window)
			memcpy(ch->my_window, data->out, data->out_bytes);
		atomic_store_explicit(&ch->mine->ext.out_bytes, (uint32_t)data->out_bytes,
				      memory_order_relaxed);
		atomic_store_explicit(&ch->mine->ext.in_cap, (uint32_t)data->in_cap,
				      memory_order_relaxed);
		kind |= IPC_HAS_DATA;
	}
	cell_fill(&ch->mine->request, msg);
	/* A full barrier as well as a store: what the partner says about watching is read after it. */
	(void)atomic_exchange(&ch->mine->request.head, IPC_HEAD(ch->number, kind));
}

void channel_post(struct channel *ch, enum ipc_kind kind, const struct dvs_msg *msg,
		  const struct call_data *data, dvs_ep relayed_by)
{
	ch->number = ch->number == IPC_NUMBER_MAX ? 1 : ch->number + 1;
	post(ch, kind, msg, data, relayed_by);
}

void channel_post_again(struct channel *ch, enum ipc_kind kind, const struct dvs_msg *msg,
			const struct call_data *data, dvs_ep relayed_by, bool resent)
{
	post(ch, resent ? kind | IPC_RESENT : kind, msg, data, relayed_by);
}

enum ipc_kind channel_take_reply(struct channel *ch, struct dvs_msg *msg, struct call_data *data,
				 dvs_ep *relay_to)
{
	uint32_t head = atomic_load_explicit(&ch->theirs->reply.head, memory_order_acquire);

	cell_copy(msg, &ch->theirs->reply);
	relay_to->n = atomic_load_explicit(&ch->theirs->ext.relay_to, memory_order_relaxed);
	if (data)
		data->in_bytes = 0;
	if (IPC_KIND(head) == IPC_REPLY && (head & IPC_HAS_DATA) && data && data->in_cap) {
		uint32_t bytes =
			atomic_load_explicit(&ch->theirs->ext.reply_bytes, memory_order_relaxed);

		data->in_bytes = clipped(bytes, data->in_cap);
		data->in_at = ch->their_window;
		if (data->in)
			memcpy(data->in, ch->their_window, data->in_bytes);
	}
	return IPC_KIND(head) == IPC_RELAYED ? IPC_RELAYED : IPC_REPLY;
}

bool channel_withdraw(struct channel *ch, enum ipc_kind kind)
{
	uint32_t head = atomic_load_explicit(&ch->mine->request.head, memory_order_acquire);

	while (IPC_KIND(head) == (uint32_t)kind) {
		if (atomic_compare_exchange_weak(&ch->mine->request.head, &head,
						 IPC_HEAD(ch->number, IPC_NONE)))
			return true;
	}
	return kind != IPC_SEND;
}

void channel_recall(struct channel *ch)
{
	uint32_t head = atomic_load_explicit(&ch->mine->request.head, memory_order_acquire);

	while (IPC_KIND(head) == IPC_CARRIED) {
		if (atomic_compare_exchange_weak(&ch->mine->request.head, &head,
						 IPC_HEAD(ch->number, IPC_RECALLED)))
			return;
	}
}

enum recall channel_recalled(const struct channel *ch)
{
	uint32_t head = atomic_load_explicit(&ch->mine->request.head, memory_order_acquire);
	uint32_t kind = IPC_KIND(head);

	if (kind == IPC_CARRIED || kind == IPC_RECALLED)
		return RECALL_OPEN;
	return kind == IPC_TAKEN ? RECALL_TAKEN : RECALL_BACK;
}

bool channel_peer_waits(const struct channel *ch)
{
	uint32_t head = atomic_load_explicit(&ch->theirs->request.head, memory_order_acquire);
	uint32_t kind = IPC_KIND(head);

	if (kind == IPC_SEND)
		return IPC_NUMBER(head) != ch->taken;
	if (kind != IPC_REQUEST)
		return false;
	if (IPC_NUMBER(head) != ch->taken)
		return true;
	for (uint32_t i = 0; i < ch->n_open; i++) {
		if (ch->open[i].number == IPC_NUMBER(head))
			return true;
	}
	return false;
}

struct open_call *channel_open_call(struct channel *ch, uint32_t number)
{
	if (number == 0)
		return ch->n_open ? &ch->open[0] : NULL;
	for (uint32_t i = 0; i < ch->n_open; i++) {
		if (ch->open[i].number == number)
			return &ch->open[i];
	}
	return NULL;
}

void channel_close_call(struct channel *ch, struct open_call *call)
{
	size_t after = (size_t)(&ch->open[ch->n_open] - (call + 1));

	memmove(call, call + 1, after * sizeof(*call));
	ch->n_open--;
}

void channel_open(struct channel *ch, const struct open_call *call)
{
	if (ch->n_open == CHANNEL_OPEN_MAX)
		channel_close_call(ch, &ch->open[0]);
	ch->open[ch->n_open++] = *call;
}

enum ipc_kind channel_take_call(struct channel *ch, bool only_requests, struct dvs_msg *msg,
				struct open_call *call)
{
	uint32_t head = atomic_load_explicit(&ch->theirs->request.head, memory_order_acquire);
	uint32_t kind = IPC_KIND(head);

	if (IPC_NUMBER(head) == ch->taken || !ch->may_serve)
		return IPC_NONE;
	if (kind != IPC_REQUEST && (kind != IPC_SEND || only_requests))
		return IPC_NONE;
	cell_copy(msg, &ch->theirs->request);
	*call = (struct open_call){ .number = IPC_NUMBER(head),
				    .relayed_by = dvs_ep_any(),
				    .resent = head & IPC_RESENT };
	if (head & IPC_RELAYED_CALL)
		call->relayed_by.n =
			atomic_load_explicit(&ch->theirs->ext.relayed_by, memory_order_relaxed);
	if (head & IPC_HAS_DATA) {
		call->data_bytes = clipped(atomic_load_explicit(&ch->theirs->ext.out_bytes,
								memory_order_relaxed),
					   IPC_WINDOW_BYTES);
		call->reply_cap =
			clipped(atomic_load_explicit(&ch->theirs->ext.in_cap, memory_order_relaxed),
				IPC_WINDOW_BYTES);
	}
	if (kind == IPC_SEND) {
		/* Taking and giving up exclude each other: one of the two changes the word. */
		uint32_t expected = head;

		if (!atomic_compare_exchange_strong(&ch->theirs->request.head, &expected,
						    IPC_HEAD(call->number, IPC_TAKEN)))
			return IPC_NONE;
	} else {
		/* A caller that gave up and called again while the cell was copied. */
		atomic_thread_fence(memory_order_acquire);
		if (atomic_load_explicit(&ch->theirs->request.head, memory_order_relaxed) != head)
			return IPC_NONE;
		channel_open(ch, call);
	}
	ch->taken = call->number;
	return kind == IPC_SEND ? IPC_SEND : IPC_REQUEST;
}

bool channel_take_note(struct channel *ch, uint64_t *value)
{
	uint64_t note;

	if (!channel_has_note(ch) || !ch->may_serve)
		return false;
	note = ch->saved_note | atomic_exchange(&ch->theirs->control.note, 0);
	ch->saved_note = 0;
	*value = note & ~IPC_NOTE_PENDING;
	return note & IPC_NOTE_PENDING;
}

void channel_collect_note(struct channel *ch)
{
	if (channel_has_note(ch))
		ch->saved_note |= atomic_exchange(&ch->theirs->control.note, 0);
}

void channel_reply(struct channel *ch, struct open_call *call, enum ipc_kind kind,
		   const struct dvs_msg *msg, const void *data, size_t bytes, dvs_ep relay_to)
{
	uint32_t number = call->number;
	uint32_t flags = (uint32_t)kind;

	/* The client has called again since: it waits for that answer, this one is dropped. So is one for nobody. */
	if (number == 0 || call != &ch->open[ch->n_open - 1]) {
		channel_close_call(ch, call);
		return;
	}

	if (bytes) {
		if (data != ch->my_window)
			memcpy(ch->my_window, data, bytes);
		atomic_store_explicit(&ch->mine->ext.reply_bytes, (uint32_t)bytes,
				      memory_order_relaxed);
		flags |= IPC_HAS_DATA;
	}
	if (kind == IPC_RELAYED)
		atomic_store_explicit(&ch->mine->ext.relay_to, relay_to.n, memory_order_relaxed);
	cell_fill(&ch->mine->reply, msg);
	ch->n_open = 0;
	/* A full barrier as well as a store: whether the partner sleeps is read after it. */
	(void)atomic_exchange(&ch->mine->reply.head, IPC_HEAD(number, flags));
}

void channel_note(struct channel *ch, uint64_t value)
{
	(void)atomic_fetch_or(&ch->mine->control.note, IPC_NOTE_PENDING | value);
}

static void use_memory(struct channel *ch, const struct channel_memory *memory, unsigned side)
{
	ch->memory = *memory;
	ch->side = side;
	ch->mine = &memory->lanes->lane[side];
	ch->theirs = &memory->lanes->lane[!side];
	ch->my_window = memory->window[side];
	ch->their_window = memory->window[!side];
	ch->peer_inbox = memory->peer_inbox;
}

void channel_init(struct channel *ch, const struct channel_memory *memory, unsigned side,
		  dvs_ep peer)
{
	memset(ch, 0, sizeof(*ch));
	use_memory(ch, memory, side);
	ch->peer = peer;
}

void channel_replace(struct channel *ch)
{
	struct channel_change *change = ch->changes;
	struct channel_memory before = ch->memory;
	uint64_t mine = atomic_exchange(&ch->mine->control.note, 0);

	ch->saved_note |= atomic_exchange(&ch->theirs->control.note, 0);
	ch->changes = change->next;
	use_memory(ch, &change->memory, change->side);
	ch->peer_index = change->peer_index;
	ch->taken = 0;
	ch->hot = false;
	ch->remote = change->remote;
	for (uint32_t i = 0; i < ch->n_open; i++)
		ch->open[i].number = 0;
	change->memory = before;
	change->next = ch->former;
	ch->former = change;
	if (mine)
		atomic_fetch_or(&ch->mine->control.note, mine);
}
