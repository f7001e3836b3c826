/* SPDX-License-Identifier: Apache-2.0 */
/* Frames go out: what a local endpoint has written into its lane is found and put. The endpoint is hostile: each word is read once,
 * lengths are cut to the window, and whatever it writes, the frames are those of its own channel. */
#include <string.h>

#include "proxy/carried.h"

/* A channel at which a sender looks. */
struct look {
	struct sender *sender;
	struct carried *ch;
	size_t bytes; /* put so far */
	bool failed;  /* the connection is down */
	bool waits;   /* something is to be put only when something else was acknowledged */
};

static struct frame_header header_of(const struct carried *ch, uint8_t type)
{
	return (struct frame_header){
		.type = type,
		.dc = ch->name.dc,
		.src = ch->name.local,
		.dst = ch->name.remote,
		.src_instance = ch->instance,
		.dst_instance = atomic_load_explicit(&ch->far_instance, memory_order_relaxed),
	};
}

/* False: the connection is down; when it comes again all is said again. */
static bool put(struct look *look, struct frame_header *header, const struct writer *body,
		const void *data, uint32_t data_bytes)
{
	struct sender *sender = look->sender;
	struct carried *ch = look->ch;
	struct list *flying = sender->class == LINK_BULK ? &ch->flying_bulk : &ch->flying;
	size_t body_bytes = writer_len(body);

	/* The reader of the other side takes no more than a window. */
	if (!peer_link_put(sender->mirror->link, sender->class, header, body->start, body_bytes,
			   data_bytes ? data : NULL, data_bytes)) {
		look->failed = true;
		return false;
	}
	look->bytes += FRAME_HEADER_BYTES_MAX + body_bytes + data_bytes;
	sender->gathered = true;
	if (data_bytes && list_is_empty(flying)) {
		carried_get(ch);
		list_add_tail(&sender->flying, flying);
	}
	return true;
}

static void put_number(struct look *look, uint8_t type, uint32_t number)
{
	uint8_t bytes[FRAME_BODY_BYTES_MAX];
	struct writer body = writer_over(bytes, sizeof(bytes));
	struct frame_header header = header_of(look->ch, type);

	/* taken, recalled, note_ack: a number is all there is. */
	writer_u32(&body, number);
	(void)put(look, &header, &body, NULL, 0);
}

static void copy_cell(struct frame_message *to, const struct ipc_cell *cell)
{
	uint64_t *word[IPC_CELL_WORDS] = { &to->w0, &to->w1, &to->w2, &to->w3,
					   &to->w4, &to->w5, &to->w6 };

	to->type = atomic_load_explicit(&cell->type, memory_order_relaxed);
	for (size_t i = 0; i < IPC_CELL_WORDS; i++)
		*word[i] = atomic_load_explicit(&cell->payload[i], memory_order_relaxed);
}

static uint32_t load_clipped(const _Atomic uint32_t *word)
{
	uint32_t value = atomic_load_explicit(word, memory_order_relaxed);

	return value < IPC_WINDOW_BYTES ? value : (uint32_t)IPC_WINDOW_BYTES;
}

/* The head is still the same after what it belongs to was copied. */
static bool still(const struct ipc_cell *cell, uint32_t head)
{
	atomic_thread_fence(memory_order_acquire);
	return atomic_load_explicit(&cell->head, memory_order_relaxed) == head;
}

static void hand_over(struct look *look, uint32_t what)
{
	struct carried *ch = look->ch;

	ch->bulk_used = true;
	atomic_fetch_or(&ch->bulk, what);
	queue_push(ch->mirror, LINK_BULK, ch);
	sender_wake(ch->mirror, LINK_BULK);
}

/* ---- calls ---- */

/* HEAD is (n, CARRIED) or (n, REQUEST). False: it is no more. */
static bool say_call(struct look *look, uint32_t head)
{
	struct carried *ch = look->ch;
	const struct ipc_lane *lane = ch->theirs;
	struct frame_header header = header_of(ch, FRAME_CALL);
	uint8_t bytes[FRAME_BODY_BYTES_MAX];
	struct writer body = writer_over(bytes, sizeof(bytes));
	struct frame_call_req call = { .relayed_by = UINT32_MAX };
	uint32_t data_bytes = 0;

	copy_cell(&call.cell, &lane->request);
	call.cell.head = IPC_KIND(head) == IPC_CARRIED ? (head & ~UINT32_C(0x1f)) | IPC_SEND : head;
	if (head & IPC_RELAYED_CALL)
		call.relayed_by = atomic_load_explicit(&lane->ext.relayed_by, memory_order_relaxed);
	if (head & IPC_HAS_DATA) {
		data_bytes = load_clipped(&lane->ext.out_bytes);
		call.in_cap = load_clipped(&lane->ext.in_cap);
	}
	if (!still(&lane->request, head))
		return false;
	if (data_bytes > LINK_BULK_BYTES && look->sender->class == LINK_MESSAGES) {
		hand_over(look, BULK_CALL);
		return true;
	}
	frame_call_req_encode(&body, &call);
	(void)put(look, &header, &body, ch->their_window, data_bytes);
	return true;
}

static void say_recall(struct look *look, uint32_t number, uint8_t kind)
{
	struct frame_header header = header_of(look->ch, FRAME_RECALL);
	struct frame_recall_req recall = { .call = number, .kind = kind };
	uint8_t bytes[FRAME_BODY_BYTES_MAX];
	struct writer body = writer_over(bytes, sizeof(bytes));

	frame_recall_req_encode(&body, &recall);
	(void)put(look, &header, &body, NULL, 0);
	look->ch->sent_recall = look->failed ? 0 : number;
}

/* Take charge of a plain message, unless the channel was over just before. */
static void take_charge(struct carried *ch, uint32_t head)
{
	pthread_mutex_lock(&ch->lock);
	if (!ch->over)
		(void)atomic_compare_exchange_strong(&ch->theirs->request.head, &head,
						     (head & ~UINT32_C(0x1f)) | IPC_CARRIED);
	pthread_mutex_unlock(&ch->lock);
}

/* The reply to the call with this head has come. */
static bool is_answered(const struct carried *ch, uint32_t head)
{
	uint32_t reply = atomic_load_explicit(&ch->mine->reply.head, memory_order_acquire);

	return IPC_NUMBER(reply) == IPC_NUMBER(head);
}

/* As bulk the call would be there before a note that was put before it: it waits until that is acknowledged. */
static bool overtakes(const struct carried *ch, uint32_t head)
{
	return (head & IPC_HAS_DATA) &&
	       load_clipped(&ch->theirs->ext.out_bytes) > LINK_BULK_BYTES &&
	       atomic_load(&ch->mine->carry.note_held) != 0;
}

/* False: HEAD is no more what stands there. */
static bool look_at_call(struct look *look, uint32_t head)
{
	struct carried *ch = look->ch;
	uint32_t number = IPC_NUMBER(head);
	uint32_t kind = IPC_KIND(head);

	if (number == 0)
		return true;
	if (kind == IPC_SEND) {
		take_charge(ch, head);
		return false;
	}
	if (kind == IPC_CARRIED || kind == IPC_REQUEST) {
		if (head == ch->sent_call)
			return true;
		if (overtakes(ch, head)) {
			look->waits = true;
			return true;
		}
		if (!(kind == IPC_REQUEST && is_answered(ch, head)) && !say_call(look, head))
			return false;
		ch->sent_call = look->failed ? 0 : head;
		return true;
	}
	if (ch->sent_recall == number)
		return true;
	if (kind == IPC_RECALLED)
		say_recall(look, number, IPC_SEND);
	else if (kind == IPC_NONE && (ch->sent_call == 0 || IPC_NUMBER(ch->sent_call) == number))
		say_recall(look, number, IPC_REQUEST);
	return true;
}

static void say_calls(struct look *look, uint32_t head)
{
	/* Who changes it again and again is looked at again when it rings. */
	for (unsigned i = 0; i < 4 && !look_at_call(look, head); i++) {
		uint32_t before = head;

		head = atomic_load_explicit(&look->ch->theirs->request.head, memory_order_acquire);
		/* The channel is over. */
		if (head == before)
			break;
	}
}

/* ---- answers ---- */

/* What has come of the far end's plain message. */
static void say_outcome(struct look *look, bool asked)
{
	struct carried *ch = look->ch;
	uint32_t head = atomic_load_explicit(&ch->mine->request.head, memory_order_acquire);
	uint32_t number = IPC_NUMBER(head);

	if (IPC_KIND(head) == IPC_TAKEN && (asked || number != ch->told_taken)) {
		put_number(look, FRAME_TAKEN, number);
		ch->told_taken = look->failed ? 0 : number;
	} else if (IPC_KIND(head) == IPC_NONE && number != 0 && asked) {
		put_number(look, FRAME_RECALLED, number);
	}
}

static bool say_reply(struct look *look, uint32_t head)
{
	struct carried *ch = look->ch;
	const struct ipc_lane *lane = ch->theirs;
	struct frame_header header = header_of(ch, FRAME_REPLY);
	struct frame_reply_req reply = { .relay_to = UINT32_MAX };
	uint8_t bytes[FRAME_BODY_BYTES_MAX];
	struct writer body = writer_over(bytes, sizeof(bytes));
	uint32_t data_bytes = 0;

	copy_cell(&reply.cell, &lane->reply);
	reply.cell.head = head;
	if (IPC_KIND(head) == IPC_RELAYED)
		reply.relay_to = atomic_load_explicit(&lane->ext.relay_to, memory_order_relaxed);
	else if (head & IPC_HAS_DATA)
		data_bytes = load_clipped(&lane->ext.reply_bytes);
	if (!still(&lane->reply, head))
		return false;
	if (data_bytes > LINK_BULK_BYTES && look->sender->class == LINK_MESSAGES) {
		hand_over(look, BULK_REPLY);
		return true;
	}
	frame_reply_req_encode(&body, &reply);
	(void)put(look, &header, &body, ch->their_window, data_bytes);
	return true;
}

/* The head of a reply to the request that stands in the far end's lane; 0: there is none. */
static uint32_t reply_there(const struct carried *ch)
{
	uint32_t head = atomic_load_explicit(&ch->theirs->reply.head, memory_order_acquire);
	uint32_t call = atomic_load_explicit(&ch->mine->request.head, memory_order_relaxed);

	if (IPC_KIND(head) != IPC_REPLY && IPC_KIND(head) != IPC_RELAYED)
		return 0;
	if (IPC_NUMBER(head) != IPC_NUMBER(call) || IPC_KIND(call) != IPC_REQUEST)
		return 0;
	return head;
}

static void say_replies(struct look *look, bool asked)
{
	uint32_t head = reply_there(look->ch);

	if (head == 0 || (head == look->ch->sent_reply && !asked))
		return;
	if (say_reply(look, head))
		look->ch->sent_reply = look->failed ? 0 : head;
	else /* an honest endpoint has answered a newer request meanwhile, or does so */
		carried_mark(look->ch, 0);
}

/* ---- notifications ---- */

/* Take a note out of the lane when the one before has been acknowledged. It is held before it is taken: one who is killed in between
 * lets it be told twice rather than never. */
static void take_note(struct carried *ch)
{
	struct ipc_carry *carry = &ch->mine->carry;
	_Atomic uint64_t *lane = &ch->theirs->control.note;
	uint64_t note;

	pthread_mutex_lock(&ch->lock);
	note = atomic_load(lane);
	if (!ch->over && (note & IPC_NOTE_PENDING) && atomic_load(&carry->note_held) == 0) {
		atomic_store(&carry->notes_out, atomic_load(&carry->notes_out) + 1);
		atomic_store(&carry->note_held, note);
		atomic_fetch_or(&carry->note_held, atomic_exchange(lane, 0));
		ch->note_sent = false;
	}
	pthread_mutex_unlock(&ch->lock);
}

/* True: a note waits for the one before to be acknowledged; what was said after it must wait, too. */
static bool say_note(struct look *look)
{
	struct carried *ch = look->ch;
	struct ipc_carry *carry = &ch->mine->carry;
	struct frame_header header = header_of(ch, FRAME_NOTE);
	uint8_t bytes[FRAME_BODY_BYTES_MAX];
	struct writer body = writer_over(bytes, sizeof(bytes));
	struct frame_note_req note;
	uint64_t held;

	if (atomic_load_explicit(&ch->theirs->control.note, memory_order_acquire) != 0)
		take_note(ch);
	held = atomic_load(&carry->note_held);
	if (held == 0)
		return false;
	if (!ch->note_sent) {
		note.count = atomic_load(&carry->notes_out);
		note.value = held & ~IPC_NOTE_PENDING;
		frame_note_req_encode(&body, &note);
		ch->note_sent = put(look, &header, &body, NULL, 0);
	}
	return atomic_load(&ch->theirs->control.note) & IPC_NOTE_PENDING;
}

/* ---- the end ---- */

static bool put_end(struct look *look, uint64_t note)
{
	struct carried *ch = look->ch;
	struct frame_header header = header_of(ch, FRAME_END);
	struct frame_end_req end = { .reason = (uint32_t)atomic_load(&ch->end_reason),
				     .note = note };
	uint8_t bytes[FRAME_BODY_BYTES_MAX];
	struct writer body = writer_over(bytes, sizeof(bytes));

	header.flags = ch->bulk_used ? END_ON_BOTH : 0;
	frame_end_req_encode(&body, &end);
	return put(look, &header, &body, NULL, 0);
}

/* Can the end be said so that it is heard? All that was to be said before was put, and the far end is there; it may be the one that is just being
 * made because of what was said. */
static bool may_end(const struct look *look)
{
	struct carried *ch = look->ch;
	const struct peer_link *link = ch->mirror->link;

	if (clock_is_past(ch->linger_until_ns))
		return true;
	return !look->waits && !look->failed && atomic_load(&ch->far_instance) != 0 &&
	       (!ch->bulk_used || peer_link_is_up(link, LINK_BULK));
}

/* The far end is told that nothing more is received here: so nothing is, though the local process may not have read of the end yet. */
static void close_lane(struct look *look)
{
	_Atomic uint32_t *word = &look->ch->mine->request.head;
	uint32_t head;

	pthread_mutex_lock(&look->ch->lock);
	head = atomic_load(word);
	while (IPC_KIND(head) == IPC_SEND || IPC_KIND(head) == IPC_REQUEST) {
		if (atomic_compare_exchange_weak(word, &head, IPC_HEAD(IPC_NUMBER(head), IPC_NONE)))
			break;
	}
	/* What the far end has notified and this one has not received. */
	look->ch->unread |= atomic_exchange(&look->ch->mine->control.note, 0);
	pthread_mutex_unlock(&look->ch->lock);
	say_outcome(look, false);
}

/* The local end is over: when all that it has said was put, say that, and no more. */
static void say_end(struct look *look)
{
	struct carried *ch = look->ch;

	if (!may_end(look))
		return;
	close_lane(look);
	if (!put_end(look, ch->unread) && !clock_is_past(ch->linger_until_ns))
		return;
	pthread_mutex_lock(&ch->lock);
	ch->over = true;
	pthread_mutex_unlock(&ch->lock);
	if (ch->bulk_used)
		hand_over(look, BULK_END);
	table_linger_over(ch->mirror, ch);
}

/* ---- looking ---- */

static bool is_over(struct carried *ch)
{
	bool over;

	pthread_mutex_lock(&ch->lock);
	over = ch->over;
	pthread_mutex_unlock(&ch->lock);
	return over;
}

void say_messages(struct sender *sender, struct carried *ch)
{
	struct look look = { .sender = sender, .ch = ch };
	uint32_t due = atomic_exchange(&ch->due, 0);
	/* Looked at before the lane. */
	bool ending = atomic_load(&ch->ending);
	struct frame_header pull = header_of(ch, FRAME_PULL);
	struct writer empty = writer_over(NULL, 0);
	uint32_t head;

	if (is_over(ch))
		return;
	if (due & DUE_AGAIN) {
		ch->sent_call = 0;
		ch->sent_recall = 0;
		ch->note_sent = false;
	}
	/* Seen first: what was said before it is there then. */
	head = atomic_load_explicit(&ch->theirs->request.head, memory_order_acquire);
	/* A far end that was not heard yet may not be there: this makes it. */
	if ((due & DUE_PULL) || ((due & DUE_AGAIN) && atomic_load(&ch->far_instance) == 0))
		(void)put(&look, &pull, &empty, NULL, 0);
	if (due & DUE_NOTE_ACK)
		put_number(&look, FRAME_NOTE_ACK, atomic_load(&ch->mine->carry.notes_in));
	say_outcome(&look, due & DUE_OUTCOME);
	say_replies(&look, due & DUE_REPLY);
	look.waits = say_note(&look);
	if (!look.waits)
		say_calls(&look, head);
	if (ending)
		say_end(&look);
	if (look.bytes)
		queue_spent(ch->mirror, LINK_MESSAGES, ch, look.bytes);
}

void say_bulk(struct sender *sender, struct carried *ch)
{
	struct look look = { .sender = sender, .ch = ch };
	uint32_t what = atomic_exchange(&ch->bulk, 0);
	uint32_t head = atomic_load_explicit(&ch->theirs->request.head, memory_order_acquire);
	uint32_t reply = reply_there(ch);

	/* What is no more was replaced by something of which the sender of messages knows. */
	if ((what & BULK_REPLY) && reply != 0)
		(void)say_reply(&look, reply);
	if ((what & BULK_CALL) && (IPC_KIND(head) == IPC_CARRIED || IPC_KIND(head) == IPC_REQUEST))
		(void)say_call(&look, head);
	if (what & BULK_END)
		put_end(&look, 0);
	if (look.bytes)
		queue_spent(ch->mirror, LINK_BULK, ch, look.bytes);
}

static void say_refusal(struct sender *sender, const struct mirror_news *refusal)
{
	struct frame_header header = { .type = refusal->wanted ? FRAME_LOST : FRAME_END,
				       .dc = refusal->name.dc,
				       .src = refusal->name.local,
				       .dst = refusal->name.remote,
				       .src_instance = refusal->wanted,
				       .dst_instance = refusal->instance };
	struct frame_end_req end = { .reason = (uint32_t)refusal->reason };
	uint8_t bytes[FRAME_BODY_BYTES_MAX];
	struct writer body = writer_over(bytes, sizeof(bytes));

	if (!refusal->wanted)
		frame_end_req_encode(&body, &end);
	if (peer_link_put(sender->mirror->link, LINK_MESSAGES, &header, bytes, writer_len(&body),
			  NULL, 0))
		sender->gathered = true;
}

void say_refusals(struct sender *sender)
{
	struct mirror *mirror = sender->mirror;
	struct mirror_news refusal;

	for (;;) {
		bool any;

		pthread_mutex_lock(&mirror->news_lock);
		any = mirror->n_refusals != 0;
		if (any)
			refusal = mirror->refusals[--mirror->n_refusals];
		pthread_mutex_unlock(&mirror->news_lock);
		if (!any)
			return;
		say_refusal(sender, &refusal);
	}
}

void say_flush(struct sender *sender)
{
	struct list *node;

	if (!sender->gathered)
		return;
	peer_link_flush(sender->mirror->link, sender->class);
	sender->gathered = false;
	while ((node = list_take_head(&sender->flying))) {
		struct carried *ch = sender->class == LINK_BULK ?
					     CONTAINER_OF(node, struct carried, flying_bulk) :
					     CONTAINER_OF(node, struct carried, flying);

		carried_put(ch);
	}
}
