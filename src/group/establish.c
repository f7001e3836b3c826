/* SPDX-License-Identifier: Apache-2.0 */
/* Establishing a view, in three rounds of casts. Each member acts on the same deliveries in the same order, so all of them decide alike:
 *
 *	WORD     what I have. When all words are there: the epoch (above all that any of them has promised) and the donor.
 *	PROMISE  I take part in no epoch below this one. When all have promised, the epoch is nobody else's.
 *	AGREE    my log is the donor's. When all have agreed the view is established.
 *
 * A new view of the engine at any time begins again at the first. */
#include <string.h>

#include "group/internal.h"

#define WORD_BYTES 96u

void establish_stop(struct ordered *ordered)
{
	ordered->words_from = 0;
	ordered->word_cast = false;
	list_free(&ordered->outbox);
	transfer_drop(ordered);
	ordered->want_ack = false;
}

void establish_restart(struct ordered *ordered)
{
	establish_stop(ordered);
	ordered->phase = PHASE_WORDS;
}

void word_cast(struct ordered *ordered)
{
	uint64_t gone = ordered->established & ~ordered->members;
	/* Who went while we did not look, or before we were started: it is lost if it is not there. */
	uint64_t died = gone & (ordered->died | ordered->reach);
	uint8_t bytes[WORD_BYTES];
	struct writer out = writer_over(bytes, sizeof(bytes));

	if (ordered->word_cast || ordered->phase != PHASE_WORDS)
		return;
	ordered->word_cast = true;
	writer_u8(&out, MESSAGE_WORD);
	writer_u64(&out, ordered->members);
	writer_u64(&out, ordered->life);
	writer_u64(&out, ordered->view_epoch);
	writer_u64(&out, ordered->log_epoch);
	writer_u64(&out, ordered->last.index);
	writer_u64(&out, ordered->last.chain);
	writer_u64(&out, ordered->attempt);
	writer_u64(&out, ordered->established);
	writer_u64(&out, died);
	writer_u64(&out, gone & ordered->said_bye);
	writer_u64(&out, ordered->lingering);
	outbox_add(ordered, bytes, writer_len(&out));
}

/* ---- round 1 ---- */

/* Whether A has what B lacks. With equal logs the one who knows what it has seen of whom is better. */
static bool word_is_ahead(const struct word *a, const struct word *b)
{
	if (a->log_epoch != b->log_epoch)
		return a->log_epoch > b->log_epoch;
	if (a->last.index != b->last.index)
		return a->last.index > b->last.index;
	return a->life != 0 && b->life == 0;
}

static void decide(struct ordered *ordered)
{
	struct decision *decision = &ordered->decision;
	uint64_t attempt = 0;
	uint8_t bytes[9];
	struct writer out = writer_over(bytes, sizeof(bytes));

	*decision = (struct decision){ .donor = GROUP_MEMBERS_MAX };
	for (uint32_t node = 0; node < GROUP_MEMBERS_MAX; node++) {
		const struct word *word = &ordered->words[node];

		if (!(ordered->members & bit(node)))
			continue;
		if (word->attempt > attempt)
			attempt = word->attempt;
		if (decision->donor == GROUP_MEMBERS_MAX ||
		    word_is_ahead(word, &ordered->words[decision->donor]))
			decision->donor = node;
	}
	decision->epoch = attempt + 1;
	ordered->attempt = decision->epoch;
	ordered->phase = PHASE_PROMISES;
	ordered->promises_from = 0;
	ordered->agreed_from = 0;
	writer_u8(&out, MESSAGE_PROMISE);
	writer_u64(&out, decision->epoch);
	outbox_add(ordered, bytes, writer_len(&out));
}

void on_word(struct ordered *ordered, uint32_t node, struct cursor *in)
{
	uint64_t members = cursor_u64(in);
	struct word word = { .life = cursor_u64(in) };

	word.view_epoch = cursor_u64(in);
	word.log_epoch = cursor_u64(in);
	word.last.index = cursor_u64(in);
	word.last.chain = cursor_u64(in);
	word.attempt = cursor_u64(in);
	word.members = cursor_u64(in);
	word.died = cursor_u64(in);
	word.said_bye = cursor_u64(in);
	word.lingering = cursor_u64(in);
	/* One of another view may come late. */
	if (!cursor_done(in) || ordered->phase != PHASE_WORDS || members != ordered->members ||
	    !(members & bit(node)))
		return;
	ordered->words[node] = word;
	ordered->words_from |= bit(node);
	if (ordered->words_from == ordered->members)
		decide(ordered);
}

/* ---- round 2 ---- */

void on_promise(struct ordered *ordered, uint32_t node, struct cursor *in)
{
	uint64_t epoch = cursor_u64(in);

	if (!cursor_done(in) || ordered->phase != PHASE_PROMISES ||
	    epoch != ordered->decision.epoch)
		return;
	ordered->promises_from |= bit(node) & ordered->members;
	if (ordered->promises_from != ordered->members)
		return;
	ordered->phase = PHASE_TRANSFER;
	transfer_begin(ordered);
}

/* ---- round 3 ---- */

void agree_cast(struct ordered *ordered)
{
	uint8_t bytes[9];
	struct writer out = writer_over(bytes, sizeof(bytes));

	/* From here on our log counts as one of this epoch: all have promised it, so it has no other of that number. */
	ordered->log_epoch = ordered->decision.epoch;
	writer_u8(&out, MESSAGE_AGREE);
	writer_u64(&out, ordered->decision.epoch);
	outbox_add(ordered, bytes, writer_len(&out));
}

static enum group_left left_why(const struct word *donor, uint32_t node)
{
	if (donor->said_bye & bit(node))
		return GROUP_LEFT;
	return donor->died & bit(node) ? GROUP_DIED : GROUP_LOST;
}

/* Who came and who went, by the words of the donor. */
static void view_fill(const struct ordered *ordered, struct ordered_view *view)
{
	const struct word *donor = &ordered->words[ordered->decision.donor];

	*view = (struct ordered_view){ .epoch = ordered->decision.epoch };
	for (uint32_t node = 0; node < GROUP_MEMBERS_MAX; node++) {
		bool was = (donor->members & bit(node)) != 0;
		bool is = (ordered->members & bit(node)) != 0;
		uint64_t life = ordered->words[node].life;

		if (is)
			view->members[view->n_members++] = node;
		if (is && (!was || life == 0 || life > donor->view_epoch))
			view->joined[view->n_joined++] = node;
		if (was && !is) {
			view->why[view->n_left] = left_why(donor, node);
			view->left[view->n_left++] = node;
		}
	}
}

static void establish(struct ordered *ordered)
{
	const struct word *donor = &ordered->words[ordered->decision.donor];
	uint64_t gone = donor->members & ~ordered->members;
	struct ordered_view view;

	view_fill(ordered, &view);
	if (ordered->snapshot_taken)
		flight_resolve(ordered);
	/* What is in the log all members have now. Those entries were before this view. */
	ordered->stable = ordered->last.index;
	log_apply(ordered);
	flight_requeue(ordered);
	ordered->applied.chain = ordered->last.chain =
		chain_view(ordered->last.chain, view.epoch, ordered->members);
	ordered->lingering = (ordered->lingering | (gone & (donor->died | donor->said_bye))) &
			     ~ordered->members;
	ordered->established = ordered->members;
	ordered->died = ordered->said_bye = 0;
	ordered->view_epoch = view.epoch;
	if (ordered->life == 0 && !ordered->snapshot_taken)
		ordered->known_from = view.epoch;
	if (ordered->life == 0)
		ordered->life = view.epoch;
	ordered->snapshot_taken = false;
	for (uint32_t node = 0; node < GROUP_MEMBERS_MAX; node++)
		ordered->acked[node] = ordered->last.index;
	ordered->phase = PHASE_OPEN;
	ordered->applying = true; /* what the app submits now comes after the view */
	ordered->app.view(ordered->app.context, &view);
	ordered->applying = false;
	ready_update(ordered);
	lingering_look(ordered);
	log_apply(ordered);
}

void on_agree(struct ordered *ordered, uint32_t node, struct cursor *in)
{
	uint64_t epoch = cursor_u64(in);

	if (!cursor_done(in) || ordered->phase != PHASE_TRANSFER ||
	    epoch != ordered->decision.epoch)
		return;
	ordered->agreed_from |= bit(node) & ordered->members;
	if (ordered->agreed_from == ordered->members)
		establish(ordered);
}
