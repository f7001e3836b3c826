/* SPDX-License-Identifier: Apache-2.0 */
/* Frames come in: what the far end has written into its lane is written into the same lane here, unless it stands there already, and the local
 * endpoint is rung. Called by the readers of the link, which never send: what is to be said is marked at the channel. */
#include <string.h>

#include "base/err.h"
#include "proxy/carried.h"
#include "proxy/copy.h"

/* Whoever is woken may run at once and answer, and the sender then wants the channel's lock: so it is not held any more when the local
 * endpoint is rung. */
enum {
	RING_CALLER = 1,   /* for an answer */
	RING_RECEIVER = 2, /* for a call */
	RING_NOTE = 4,	   /* also if it is hot: it looks for requests only then */
};

/* A frame for a channel that is there, under the channel's lock. */
struct hearing {
	struct carried *ch;
	enum link_class class;
	const struct frame_header *header;
	struct cursor body;
	bool placed; /* its data is in the window */
	uint32_t due;
	uint32_t rings; /* result: RING_..., whom to wake */
	bool over;	/* and: the channel is, ... */
	bool clean;
	dvs_err reason;
};

/* ---- the local endpoint ---- */

static void ring_caller(const struct carried *ch)
{
	/* A full barrier stands before it: the exchange of what it waits for. */
	if (atomic_load_explicit(&ch->theirs->control.answer, memory_order_seq_cst) != IPC_SPINNING)
		(void)inbox_ring_answer(ch->memory.peer_inbox);
}

static void ring_receiver(const struct carried *ch)
{
	if (atomic_load_explicit(&ch->theirs->control.watch, memory_order_seq_cst) != IPC_HOT)
		(void)inbox_ring_request(ch->memory.peer_inbox, ch->peer_index);
}

static void ring(const struct carried *ch, uint32_t rings)
{
	if (rings & RING_CALLER)
		ring_caller(ch);
	if (rings & RING_RECEIVER)
		ring_receiver(ch);
	if (rings & RING_NOTE)
		(void)inbox_ring_request(ch->memory.peer_inbox, ch->peer_index);
}

static void fill_cell(struct ipc_cell *cell, const struct frame_message *from)
{
	const uint64_t word[IPC_CELL_WORDS] = { from->w0, from->w1, from->w2, from->w3,
						from->w4, from->w5, from->w6 };

	atomic_store_explicit(&cell->type, from->type, memory_order_relaxed);
	for (size_t i = 0; i < IPC_CELL_WORDS; i++)
		atomic_store_explicit(&cell->payload[i], word[i], memory_order_relaxed);
}

/* ---- instances ---- */

/* Is the frame one between this end and the far end as they are known? */
static bool is_of_this(struct hearing *hearing)
{
	struct carried *ch = hearing->ch;
	const struct frame_header *header = hearing->header;
	uint32_t far = atomic_load_explicit(&ch->far_instance, memory_order_relaxed);

	if (header->dst_instance != 0 && header->dst_instance != ch->instance)
		return false;
	if (header->src_instance == 0)
		/* There is no channel and will be none. */
		return header->type == FRAME_END && header->dst_instance == ch->instance;
	if (far == header->src_instance) {
		atomic_store_explicit(&ch->heard, true, memory_order_relaxed);
		return true;
	}
	if (far == 0) {
		atomic_store_explicit(&ch->heard, true, memory_order_relaxed);
		atomic_store(&ch->far_instance, header->src_instance);
		atomic_store(&ch->mine->carry.far_instance, header->src_instance);
		news_ready(ch);
		return true;
	}
	/* They grow: an older one is late. A newer one says that this conversation is over. */
	if ((int32_t)(header->src_instance - far) > 0) {
		hearing->over = true;
		hearing->reason = DVS_PEERDEAD;
	}
	return false;
}

/* ---- where data goes ---- */

static bool is_news_locked(const struct carried *ch, const struct frame_header *header,
			   struct cursor body)
{
	uint32_t number = IPC_NUMBER(cursor_u32(&body));
	const _Atomic uint32_t *head = header->type == FRAME_CALL ? &ch->mine->request.head :
								    &ch->mine->reply.head;

	return number_is_newer(number, IPC_NUMBER(atomic_load(head)));
}

static bool may_place(struct hearing *hearing)
{
	struct carried *ch = hearing->ch;

	if (ch->over || !is_of_this(hearing))
		return false;
	if (!is_news_locked(ch, hearing->header, hearing->body))
		return false;
	if (ch->placing) {
		ch->missed = true;
		return false;
	}
	ch->placing = hearing->class + 1;
	return true;
}

static struct mirror_name name_of(const struct frame_header *header)
{
	return (struct mirror_name){ .dc = header->dc,
				     .remote = header->src,
				     .local = header->dst };
}

void *hear_place(void *context, enum link_class class, const struct frame_header *header,
		 struct cursor body)
{
	struct mirror *mirror = context;
	struct hearing hearing = { .class = class, .header = header, .body = body };
	struct mirror_name name = name_of(header);
	bool good;

	if (copies_takes(header->type))
		return mirror->copies && class == LINK_BULK ?
			       copies_place(mirror->copies, header, body) :
			       NULL;
	if (header->type != FRAME_CALL && header->type != FRAME_REPLY)
		return NULL;
	if (header->data_bytes > IPC_WINDOW_BYTES)
		return NULL;
	hearing.ch = table_find(mirror, &name, header->dst_instance);
	if (!hearing.ch)
		return NULL;
	pthread_mutex_lock(&hearing.ch->lock);
	good = may_place(&hearing);
	pthread_mutex_unlock(&hearing.ch->lock);
	if (!good) {
		carried_put(hearing.ch);
		return NULL;
	}
	mirror->placing[class] = hearing.ch;
	return hearing.ch->my_window;
}

/* The window is free again. */
static uint32_t placed_locked(struct carried *ch)
{
	bool missed = ch->missed;

	ch->placing = 0;
	ch->missed = false;
	return missed ? DUE_PULL : 0;
}

void hear_broken(struct mirror *mirror, enum link_class class)
{
	struct carried *ch = mirror->placing[class];
	uint32_t due;

	if (!ch)
		return;
	mirror->placing[class] = NULL;
	pthread_mutex_lock(&ch->lock);
	due = placed_locked(ch);
	pthread_mutex_unlock(&ch->lock);
	if (due)
		carried_mark(ch, due);
	carried_put(ch);
}

/* ---- what the far end says ---- */

/* Data that belongs to a message, but was thrown away: it is asked for once more when there is room for it. */
static bool lacks_data(struct hearing *hearing)
{
	if (hearing->header->data_bytes == 0 || hearing->placed)
		return false;
	if (!hearing->ch->placing)
		hearing->due |= DUE_PULL;
	else
		hearing->ch->missed = true;
	return true;
}

static void put_call(struct hearing *hearing, const struct frame_call_req *call)
{
	struct ipc_lane *lane = hearing->ch->mine;
	uint32_t head = atomic_load(&lane->request.head);

	/* What stands there was given up; it must not be taken with what belongs to the new one. */
	if (IPC_KIND(head) == IPC_SEND || IPC_KIND(head) == IPC_REQUEST)
		(void)atomic_exchange(&lane->request.head, IPC_HEAD(IPC_NUMBER(head), IPC_NONE));
	atomic_thread_fence(memory_order_release);
	fill_cell(&lane->request, &call->cell);
	atomic_store_explicit(&lane->ext.out_bytes, hearing->header->data_bytes,
			      memory_order_relaxed);
	atomic_store_explicit(&lane->ext.in_cap, call->in_cap, memory_order_relaxed);
	atomic_store_explicit(&lane->ext.relayed_by, call->relayed_by, memory_order_relaxed);
	(void)atomic_exchange(&lane->request.head, call->cell.head);
	hearing->rings |= RING_RECEIVER;
}

static void hear_call(struct hearing *hearing)
{
	struct carried *ch = hearing->ch;
	struct frame_call_req call;
	uint32_t head = atomic_load(&ch->mine->request.head);
	uint32_t number;
	uint32_t kind;

	if (frame_call_req_decode(&hearing->body, &call))
		return;
	number = IPC_NUMBER(call.cell.head);
	kind = IPC_KIND(call.cell.head);
	if ((kind != IPC_SEND && kind != IPC_REQUEST) || call.in_cap > IPC_WINDOW_BYTES)
		return;
	if (number_is_newer(number, IPC_NUMBER(head))) {
		if (!atomic_load(&ch->ending) && !lacks_data(hearing))
			put_call(hearing, &call);
		return;
	}
	if (number != IPC_NUMBER(head))
		return;
	/* It is here already: what has come of it was not heard there. */
	hearing->due |= kind == IPC_SEND ? DUE_OUTCOME : DUE_REPLY;
}

static void hear_reply(struct hearing *hearing)
{
	struct carried *ch = hearing->ch;
	struct ipc_lane *lane = ch->mine;
	struct frame_reply_req reply;
	uint32_t number;
	uint32_t kind;

	if (frame_reply_req_decode(&hearing->body, &reply))
		return;
	number = IPC_NUMBER(reply.cell.head);
	kind = IPC_KIND(reply.cell.head);
	if (kind != IPC_REPLY && kind != IPC_RELAYED)
		return;
	/* The one that it answers may have been given up since; if not, nobody looks at the cell now. */
	if (IPC_NUMBER(atomic_load(&ch->theirs->request.head)) != number ||
	    !number_is_newer(number, IPC_NUMBER(atomic_load(&lane->reply.head))))
		return;
	if (lacks_data(hearing))
		return;
	fill_cell(&lane->reply, &reply.cell);
	atomic_store_explicit(&lane->ext.reply_bytes, hearing->header->data_bytes,
			      memory_order_relaxed);
	atomic_store_explicit(&lane->ext.relay_to, reply.relay_to, memory_order_relaxed);
	(void)atomic_exchange(&lane->reply.head, reply.cell.head);
	hearing->rings |= RING_CALLER;
}

/* The far end's node has said what has come of a plain message. */
static void settle_message(struct hearing *hearing, uint32_t number, enum ipc_kind outcome)
{
	_Atomic uint32_t *word = &hearing->ch->theirs->request.head;
	uint32_t head = atomic_load(word);

	while (IPC_NUMBER(head) == number &&
	       (IPC_KIND(head) == IPC_RECALLED ||
		(IPC_KIND(head) == IPC_CARRIED && outcome == IPC_TAKEN))) {
		if (atomic_compare_exchange_weak(word, &head, IPC_HEAD(number, outcome))) {
			hearing->rings |= RING_CALLER;
			return;
		}
	}
}

static void hear_outcome(struct hearing *hearing, enum ipc_kind outcome)
{
	struct frame_taken_req taken;

	/* recalled has the same body. */
	if (frame_taken_req_decode(&hearing->body, &taken) == DVS_OK)
		settle_message(hearing, taken.call, outcome);
}

/* The far end has given up its call: if it was not received yet, it will not be, also if it is still on its way. */
static void hear_recall(struct hearing *hearing)
{
	_Atomic uint32_t *word = &hearing->ch->mine->request.head;
	uint32_t head = atomic_load(word);
	struct frame_recall_req recall;

	if (frame_recall_req_decode(&hearing->body, &recall) || recall.call > IPC_NUMBER_MAX)
		return;
	for (;;) {
		bool newer = number_is_newer(recall.call, IPC_NUMBER(head));

		if (!newer && recall.call != IPC_NUMBER(head))
			return;
		if (!newer && IPC_KIND(head) != IPC_SEND && IPC_KIND(head) != IPC_REQUEST)
			break;
		if (atomic_compare_exchange_weak(word, &head, IPC_HEAD(recall.call, IPC_NONE)))
			break;
	}
	if (recall.kind == IPC_SEND)
		hearing->due |= DUE_OUTCOME;
}

static void hear_note(struct hearing *hearing)
{
	struct carried *ch = hearing->ch;
	struct ipc_carry *carry = &ch->mine->carry;
	struct frame_note_req note;

	/* An end that is over takes nothing any more: it stays its sender's. */
	if (frame_note_req_decode(&hearing->body, &note) || atomic_load(&ch->ending))
		return;
	hearing->due |= DUE_NOTE_ACK;
	if ((int32_t)(note.count - atomic_load(&carry->notes_in)) <= 0)
		return;
	(void)atomic_fetch_or(&ch->mine->control.note, note.value | IPC_NOTE_PENDING);
	/* Who is killed before this delivers it twice rather than never. */
	atomic_store(&carry->notes_in, note.count);
	hearing->rings |= RING_NOTE;
}

static void hear_note_ack(struct hearing *hearing)
{
	struct carried *ch = hearing->ch;
	struct ipc_carry *carry = &ch->mine->carry;
	struct frame_note_ack_req ack;

	if (frame_note_ack_req_decode(&hearing->body, &ack) ||
	    ack.count != atomic_load(&carry->notes_out))
		return;
	atomic_store(&carry->note_held, 0);
	/* What waited for it. */
	if (atomic_load(&ch->theirs->control.note) != 0 ||
	    IPC_KIND(atomic_load(&ch->theirs->request.head)) != IPC_NONE)
		carried_mark(ch, 0);
}

/* The far end is over, and all that it has said is here. */
static void end_cleanly(struct hearing *hearing)
{
	struct carried *ch = hearing->ch;
	_Atomic uint32_t *word = &ch->theirs->request.head;
	uint32_t head = atomic_load(word);
	uint64_t note = ch->returned | atomic_exchange(&ch->mine->carry.note_held, 0);

	if (note & IPC_NOTE_PENDING)
		(void)atomic_fetch_or(&ch->theirs->control.note, note);
	/* A plain message that was not received there will not be: it is the sender's again. */
	while (IPC_KIND(head) == IPC_CARRIED || IPC_KIND(head) == IPC_RECALLED) {
		uint32_t back = (head & ~UINT32_C(0x1f)) | IPC_SEND;

		if (IPC_KIND(head) == IPC_RECALLED)
			back = IPC_HEAD(IPC_NUMBER(head), IPC_NONE);
		if (atomic_compare_exchange_weak(word, &head, back))
			break;
	}
	hearing->rings |= RING_CALLER;
	hearing->over = true;
	hearing->clean = true;
	hearing->reason = ch->far_reason;
}

static void hear_end(struct hearing *hearing)
{
	struct carried *ch = hearing->ch;
	struct frame_end_req end;

	if (frame_end_req_decode(&hearing->body, &end))
		return;
	ch->ends |= 1u << hearing->class;
	ch->ends_on_both |= hearing->header->flags & END_ON_BOTH;
	if (hearing->class == LINK_MESSAGES) {
		ch->far_reason = dvs_err_from_number(end.reason);
		ch->returned = end.note;
	}
	if ((ch->ends & 1u << LINK_MESSAGES) && (!ch->ends_on_both || (ch->ends & 1u << LINK_BULK)))
		end_cleanly(hearing);
}

static void hear_one(struct hearing *hearing)
{
	switch (hearing->header->type) {
	case FRAME_CALL:
		hear_call(hearing);
		break;
	case FRAME_TAKEN:
		hear_outcome(hearing, IPC_TAKEN);
		break;
	case FRAME_REPLY:
		hear_reply(hearing);
		break;
	case FRAME_RECALL:
		hear_recall(hearing);
		break;
	case FRAME_RECALLED:
		hear_outcome(hearing, IPC_NONE);
		break;
	case FRAME_NOTE:
		hear_note(hearing);
		break;
	case FRAME_NOTE_ACK:
		hear_note_ack(hearing);
		break;
	case FRAME_PULL:
		hearing->due |= DUE_AGAIN;
		/* Who asks has not heard of this end yet: it may have had no channel when it was asked, and there may be nothing else to say. */
		if (hearing->header->dst_instance == 0)
			hearing->due |= DUE_PULL;
		break;
	case FRAME_END:
		hear_end(hearing);
		break;
	case FRAME_LOST:
		/* The memory stays as it is: what has come of a message in it is not known. */
		hearing->over = true;
		hearing->reason = DVS_NODEDOWN;
		break;
	default:
		break;
	}
}

/* ---- the frame ---- */

/* Frames that wait for somebody to hear them: they are said again when the channel is there; or who says them is told that it is not. */
static bool wants_channel(const struct frame_header *header)
{
	return header->src_instance != 0 &&
	       (header->type == FRAME_CALL || header->type == FRAME_NOTE ||
		header->type == FRAME_RECALL || header->type == FRAME_PULL);
}

static void hear_channel(struct mirror *mirror, struct hearing *hearing)
{
	struct carried *ch = hearing->ch;

	pthread_mutex_lock(&ch->lock);
	if (!ch->over && is_of_this(hearing))
		hear_one(hearing);
	if (hearing->over)
		ch->over = true;
	if (mirror->placing[hearing->class])
		hearing->due |= placed_locked(ch);
	pthread_mutex_unlock(&ch->lock);
	ring(ch, hearing->rings);
	if (hearing->due)
		carried_mark(ch, hearing->due);
	/* Whoever takes it out of the table tells it. */
	if (hearing->over && table_remove(mirror, ch))
		news_over(ch, hearing->reason, hearing->clean);
	else if (hearing->over)
		table_linger_over(mirror, ch);
}

void hear_frame(void *context, enum link_class class, const struct frame_header *header,
		struct cursor body, void *data)
{
	struct mirror *mirror = context;
	struct mirror_name name = name_of(header);
	struct hearing hearing = {
		.class = class, .header = header, .body = body, .placed = data != NULL
	};

	if (copies_takes(header->type)) {
		if (mirror->copies && class == LINK_BULK)
			copies_frame(mirror->copies, header, body, data);
		return;
	}
	if (header->data_bytes > IPC_WINDOW_BYTES)
		return;
	hearing.ch = mirror->placing[class];
	if (!hearing.ch)
		hearing.ch = table_find(mirror, &name, header->dst_instance);
	if (hearing.ch) {
		hear_channel(mirror, &hearing);
		if (class == LINK_MESSAGES)
			near_heard(&mirror->near, hearing.ch);
	}
	if ((!hearing.ch || (hearing.over && !hearing.clean)) && wants_channel(header))
		news_connect(mirror, &name, header->src_instance, header->dst_instance);
	mirror->placing[class] = NULL;
	if (hearing.ch)
		carried_put(hearing.ch);
}
