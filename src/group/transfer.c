/* SPDX-License-Identifier: Apache-2.0 */
/* From the donor to the others, between the promises and the agreement. The donor tells where its state stands and the entries of its log that
 * are not applied yet (HEAD, TAIL). A member whose own log leads there takes them in place of its own; another one says so
 * (NEED), and the donor casts its state once for all who need it. */
#include <stdlib.h>
#include <string.h>

#include "group/internal.h"

void transfer_drop(struct ordered *ordered)
{
	struct transfer *transfer = &ordered->transfer;
	bool loading = transfer->loading;

	list_free(&transfer->tail);
	memset(transfer, 0, sizeof(*transfer));
	list_init(&transfer->tail);
	if (loading)
		ordered->app.load_end(ordered->app.context, false);
}

/* ---- the donor ---- */

static void head_cast(struct ordered *ordered, uint32_t n)
{
	uint8_t bytes[64];
	struct writer out = writer_over(bytes, sizeof(bytes));

	writer_u8(&out, MESSAGE_HEAD);
	writer_u64(&out, ordered->decision.epoch);
	writer_u64(&out, ordered->applied.index);
	writer_u64(&out, ordered->applied.chain);
	writer_u64(&out, ordered->last.index);
	writer_u64(&out, ordered->last.chain);
	writer_u64(&out, ordered->app.digest(ordered->app.context));
	writer_u32(&out, n);
	outbox_add(ordered, bytes, writer_len(&out));
}

static void tail_cast(struct ordered *ordered, struct list **link)
{
	uint8_t *bytes = ordered->scratch;
	struct writer out = writer_over(bytes, GROUP_CAST_MAX);
	struct writer count;
	uint16_t n = 0;

	writer_u8(&out, MESSAGE_TAIL);
	writer_u64(&out, ordered->decision.epoch);
	count = writer_over(bytes + writer_len(&out), 2);
	writer_u16(&out, 0);
	for (; *link != &ordered->log && n < UINT16_MAX; *link = (*link)->next) {
		const struct entry *entry = CONTAINER_OF(*link, struct entry, link);

		if (writer_len(&out) + ENTRY_HEAD_BYTES + entry->len > GROUP_CAST_MAX)
			break;
		entry_write(&out, entry->node, entry->serial, entry->kind, entry->bytes,
			    entry->len);
		n++;
	}
	writer_u16(&count, n);
	outbox_add(ordered, bytes, writer_len(&out));
}

void transfer_begin(struct ordered *ordered)
{
	struct list *link = ordered->log.next;

	if (ordered->decision.donor != ordered->node)
		return;
	if (ordered->members != bit(ordered->node)) {
		head_cast(ordered, (uint32_t)(ordered->last.index - ordered->applied.index));
		while (link != &ordered->log)
			tail_cast(ordered, &link);
	}
	agree_cast(ordered);
}

static void piece_cast(struct ordered *ordered, enum message_kind kind, const void *bytes,
		       size_t len)
{
	struct writer out = writer_over(ordered->scratch, GROUP_CAST_MAX);

	writer_u8(&out, kind);
	writer_u64(&out, ordered->decision.epoch);
	writer_bytes(&out, bytes, len);
	outbox_add(ordered, ordered->scratch, writer_len(&out));
}

static dvs_err piece_emit(void *to, const void *bytes, size_t len)
{
	struct ordered *ordered = to;

	if (len > ORDERED_ENTRY_MAX)
		return DVS_TOOBIG;
	piece_cast(ordered, MESSAGE_SNAP_PIECE, bytes, len);
	return ordered->failed;
}

void on_need(struct ordered *ordered, uint32_t node, struct cursor *in)
{
	uint64_t epoch = cursor_u64(in);
	uint8_t bytes[8 + GROUP_MEMBERS_MAX * 16];
	struct writer out = writer_over(bytes, sizeof(bytes));
	dvs_err err;

	(void)node;
	if (!cursor_done(in) || ordered->phase != PHASE_TRANSFER ||
	    epoch != ordered->decision.epoch || ordered->decision.donor != ordered->node ||
	    ordered->transfer.sent_snapshot)
		return;
	ordered->transfer.sent_snapshot = true;
	writer_u64(&out, ordered->life == 0 ? epoch : ordered->known_from);
	for (uint32_t i = 0; i < GROUP_MEMBERS_MAX; i++) {
		writer_u64(&out, ordered->seen_applied[i].life);
		writer_u64(&out, ordered->seen_applied[i].n);
	}
	piece_cast(ordered, MESSAGE_SNAP_BEGIN, bytes, sizeof(bytes));
	err = ordered->app.save(ordered->app.context, piece_emit, ordered);
	if (err != DVS_OK)
		ordered_fail(ordered, err, "the state cannot be given to the others");
	else
		piece_cast(ordered, MESSAGE_SNAP_END, NULL, 0);
}

/* ---- the others ---- */

/* Whether a message of the present transfer: from the donor, and we are not it. */
static bool from_donor(const struct ordered *ordered, uint32_t node, uint64_t epoch)
{
	return ordered->phase == PHASE_TRANSFER && epoch == ordered->decision.epoch &&
	       node == ordered->decision.donor && node != ordered->node;
}

static bool tail_has(const struct list *list, const struct place *place)
{
	LIST_FOREACH(link, list) {
		const struct entry *entry = CONTAINER_OF(link, struct entry, link);

		if (entry->index == place->index)
			return entry->chain == place->chain;
	}
	return false;
}

static bool place_equal(const struct place *a, const struct place *b)
{
	return a->index == b->index && a->chain == b->chain;
}

/* Whether our state with our log leads to the donor's log. */
static bool can_follow(struct ordered *ordered)
{
	const struct transfer *transfer = &ordered->transfer;

	if (ordered->applied.index < transfer->applied.index)
		return tail_has(&ordered->log, &transfer->applied);
	if (ordered->applied.index > transfer->applied.index)
		return tail_has(&transfer->tail, &ordered->applied);
	return place_equal(&ordered->applied, &transfer->applied) &&
	       ordered->app.digest(ordered->app.context) == transfer->digest;
}

/* The donor's entries in place of ours, as far as they are not applied. */
static void tail_adopt(struct ordered *ordered)
{
	struct transfer *transfer = &ordered->transfer;

	while (!list_is_empty(&ordered->log)) {
		struct entry *entry = CONTAINER_OF(ordered->log.prev, struct entry, link);

		if (entry->index <= transfer->applied.index)
			break;
		list_remove(&entry->link);
		free(entry);
	}
	while (!list_is_empty(&transfer->tail)) {
		struct list *link = list_take_head(&transfer->tail);
		struct entry *entry = CONTAINER_OF(link, struct entry, link);

		if (entry->index > ordered->applied.index)
			list_add_tail(&ordered->log, link);
		else
			free(entry);
	}
	log_recount(ordered);
	agree_cast(ordered);
}

static void tail_complete(struct ordered *ordered)
{
	struct transfer *transfer = &ordered->transfer;
	struct place end = transfer->applied;
	struct writer out = writer_over(ordered->scratch, PIECE_HEAD_BYTES);

	if (transfer->n_have < transfer->n_tail)
		return;
	if (!list_is_empty(&transfer->tail)) {
		const struct entry *last = CONTAINER_OF(transfer->tail.prev, struct entry, link);

		end = (struct place){ last->index, last->chain };
	}
	if (!place_equal(&end, &transfer->last)) {
		ordered_fail(ordered, DVS_PROTO, "the donor's log is not what it said");
		return;
	}
	if (can_follow(ordered)) {
		tail_adopt(ordered);
		return;
	}
	transfer->need = true;
	writer_u8(&out, MESSAGE_NEED);
	writer_u64(&out, ordered->decision.epoch);
	outbox_add(ordered, ordered->scratch, writer_len(&out));
}

void on_head(struct ordered *ordered, uint32_t node, struct cursor *in)
{
	struct transfer *transfer = &ordered->transfer;
	uint64_t epoch = cursor_u64(in);

	if (!from_donor(ordered, node, epoch) || transfer->head_seen)
		return;
	transfer->applied.index = cursor_u64(in);
	transfer->applied.chain = cursor_u64(in);
	transfer->last.index = cursor_u64(in);
	transfer->last.chain = cursor_u64(in);
	transfer->digest = cursor_u64(in);
	transfer->n_tail = cursor_u32(in);
	transfer->head_seen = true;
	tail_complete(ordered);
}

void on_tail(struct ordered *ordered, uint32_t node, struct cursor *in)
{
	struct transfer *transfer = &ordered->transfer;
	uint64_t epoch = cursor_u64(in);
	uint16_t n = cursor_u16(in);
	struct place after = transfer->applied;

	if (!from_donor(ordered, node, epoch) || !transfer->head_seen)
		return;
	if (!list_is_empty(&transfer->tail)) {
		const struct entry *last = CONTAINER_OF(transfer->tail.prev, struct entry, link);

		after = (struct place){ last->index, last->chain };
	}
	for (; n > 0; n--) {
		struct entry *entry = entry_read(in, &after);

		if (!entry) {
			ordered_fail(ordered, in->failed ? DVS_PROTO : DVS_NOMEM,
				     "the donor's log cannot be taken");
			return;
		}
		list_add_tail(&transfer->tail, &entry->link);
		after = (struct place){ entry->index, entry->chain };
		transfer->n_have++;
	}
	tail_complete(ordered);
}

void on_snap_begin(struct ordered *ordered, uint32_t node, struct cursor *in)
{
	struct transfer *transfer = &ordered->transfer;
	uint64_t epoch = cursor_u64(in);

	if (!from_donor(ordered, node, epoch) || !transfer->need || transfer->loading)
		return;
	transfer->known_from = cursor_u64(in);
	for (uint32_t i = 0; i < GROUP_MEMBERS_MAX; i++) {
		transfer->seen[i].life = cursor_u64(in);
		transfer->seen[i].n = cursor_u64(in);
	}
	if (!cursor_done(in)) {
		ordered_fail(ordered, DVS_PROTO, "malformed snapshot");
		return;
	}
	transfer->loading = true;
	ordered->app.load_begin(ordered->app.context);
}

void on_snap_piece(struct ordered *ordered, uint32_t node, struct cursor *in)
{
	uint64_t epoch = cursor_u64(in);
	size_t len = cursor_left(in);
	dvs_err err;

	if (!from_donor(ordered, node, epoch) || !ordered->transfer.loading)
		return;
	err = ordered->app.load(ordered->app.context, cursor_borrow(in, len), len);
	if (err != DVS_OK)
		ordered_fail(ordered, err, "the state of the others cannot be loaded");
}

void on_snap_end(struct ordered *ordered, uint32_t node, struct cursor *in)
{
	struct transfer *transfer = &ordered->transfer;
	uint64_t epoch = cursor_u64(in);

	if (!from_donor(ordered, node, epoch) || !transfer->loading)
		return;
	transfer->loading = false;
	transfer->need = false;
	/* Before load_end, so that the app finds the position that goes with the state. */
	list_free(&ordered->log);
	ordered->applied = transfer->applied;
	memcpy(ordered->seen_applied, transfer->seen, sizeof(ordered->seen_applied));
	ordered->lingering = ordered->words[node].lingering;
	ordered->snapshot_taken = true;
	ordered->known_from = transfer->known_from;
	tail_adopt(ordered);
	ordered->app.load_end(ordered->app.context, true);
	if (ordered->app.digest(ordered->app.context) != transfer->digest)
		ordered_fail(ordered, DVS_BADSTATE, "the state does not load as it was saved");
}
