/* SPDX-License-Identifier: Apache-2.0 */
#include "ipc/endpoint.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ipc/futex.h"
#include "ipc/inbox.h"

void endpoint_init(struct endpoint *ep, dvs_ep self, struct ipc_inbox *inbox,
		   struct ipc_stats *stats, const struct endpoint_host *host, void *host_arg)
{
	memset(ep, 0, sizeof(*ep));
	ep->self = self;
	ep->inbox = inbox;
	ep->stats = stats;
	ep->host = host;
	ep->host_arg = host_arg;
	/* Whatever dvsd sent before is handled by the first call. */
	ep->events_seen = atomic_load(&inbox->events) - 1;
	policy_init(&ep->receive_policy);
	policy_init(&ep->answer_policy);
}

void endpoint_fini(struct endpoint *ep)
{
	while (ep->last_notes) {
		struct last_note *next = ep->last_notes->next;

		free(ep->last_notes);
		ep->last_notes = next;
	}
	free(ep->by_index);
	free(ep->by_number);
	free(ep->pending.word);
	free(ep->deferred.word);
	ep->deferred.word = NULL;
	ep->by_index = NULL;
	ep->by_number = NULL;
	ep->pending.word = NULL;
}

/* ---- the tables of channels ---- */

static uint32_t hash_of(const struct endpoint *ep, dvs_ep peer)
{
	/* Fibonacci hashing; client numbers are consecutive. */
	return (dvs_ep_number(peer) * UINT32_C(2654435769)) & (ep->by_number_size - 1);
}

static void hash_insert(struct endpoint *ep, struct channel *ch)
{
	uint32_t at = hash_of(ep, ch->peer);

	while (ep->by_number[at])
		at = (at + 1) & (ep->by_number_size - 1);
	ep->by_number[at] = ch;
}

/* Keep the hash at most half full. */
static dvs_err hash_grow(struct endpoint *ep)
{
	uint32_t old_size = ep->by_number_size;
	struct channel **old = ep->by_number;
	struct channel **grown;

	if (ep->n_channels * 2 < old_size)
		return DVS_OK;
	ep->by_number_size = old_size ? old_size * 2 : ENDPOINT_BY_NUMBER_MIN;
	grown = calloc(ep->by_number_size, sizeof(struct channel *));
	if (!grown) {
		ep->by_number_size = old_size;
		return DVS_NOMEM;
	}
	ep->by_number = grown;
	for (uint32_t i = 0; i < old_size; i++) {
		if (old[i])
			hash_insert(ep, old[i]);
	}
	free(old);
	return DVS_OK;
}

/* Room for channel number INDEX. */
static dvs_err index_grow(struct endpoint *ep, uint32_t index)
{
	uint32_t have = ep->pending.n_words;
	uint32_t want = have ? have : 1;
	struct channel **by_index;

	while (want * 64 <= index)
		want *= 2;
	if (want == have)
		return DVS_OK;
	by_index = realloc(ep->by_index, (size_t)want * 64 * sizeof(struct channel *));
	if (!by_index)
		return DVS_NOMEM;
	memset(by_index + (size_t)have * 64, 0,
	       (size_t)(want - have) * 64 * sizeof(struct channel *));
	ep->by_index = by_index;
	if (!bits_grow(&ep->pending, want) || !bits_grow(&ep->deferred, want))
		return DVS_NOMEM;
	return DVS_OK;
}

dvs_err endpoint_add(struct endpoint *ep, struct channel *ch)
{
	dvs_err err;

	if (ch->index >= IPC_CHANNELS_MAX)
		return DVS_FULL;
	err = index_grow(ep, ch->index);
	if (!err)
		err = hash_grow(ep);
	if (err)
		return err;
	if (ep->by_index[ch->index] || endpoint_find(ep, dvs_ep_of(dvs_ep_number(ch->peer))))
		return DVS_EXISTS;
	ep->by_index[ch->index] = ch;
	hash_insert(ep, ch);
	ep->n_channels++;
	/* It may have been rung before this side knew it. */
	bits_add(&ep->pending, ch->index);
	return DVS_OK;
}

static void keep_last_note(struct endpoint *ep, struct channel *ch)
{
	struct last_note **at = &ep->last_notes;
	struct last_note *note;
	uint64_t value;

	if (!channel_take_note(ch, &value))
		return;
	note = malloc(sizeof(*note));
	if (!note)
		return;
	*note = (struct last_note){ .source = ch->peer, .value = value };
	while (*at)
		at = &(*at)->next;
	*at = note;
}

void endpoint_remove(struct endpoint *ep, struct channel *ch, bool keep_note)
{
	uint32_t mask = ep->by_number_size - 1;
	uint32_t at = hash_of(ep, ch->peer);

	if (keep_note)
		keep_last_note(ep, ch);
	if (ep->hot == ch)
		ep->hot = NULL;
	if (ep->served == ch)
		ep->served = NULL;
	ep->by_index[ch->index] = NULL;
	bits_remove(&ep->pending, ch->index);
	bits_remove(&ep->deferred, ch->index);
	while (ep->by_number[at] != ch)
		at = (at + 1) & mask;
	ep->by_number[at] = NULL;
	ep->n_channels--;
	/* Close the gap: those behind it were pushed on by it. */
	for (at = (at + 1) & mask; ep->by_number[at]; at = (at + 1) & mask) {
		struct channel *moved = ep->by_number[at];

		ep->by_number[at] = NULL;
		hash_insert(ep, moved);
	}
}

void endpoint_replace(struct endpoint *ep, struct channel *ch)
{
	if (ep->hot == ch)
		ep->hot = NULL;
	channel_replace(ch);
	bits_add(&ep->pending, ch->index);
	(void)inbox_ring_request(ch->peer_inbox, ch->peer_index);
}

struct channel *endpoint_find(const struct endpoint *ep, dvs_ep dst)
{
	uint32_t number = dvs_ep_number(dst);
	uint32_t at;

	if (ep->by_number_size == 0)
		return NULL;
	at = hash_of(ep, dst);
	while (ep->by_number[at]) {
		if (dvs_ep_number(ep->by_number[at]->peer) == number)
			return ep->by_number[at];
		at = (at + 1) & (ep->by_number_size - 1);
	}
	return NULL;
}

/* ---- waiting ---- */

uint64_t limit_deadline_ns(struct wait_limit *limit)
{
	if (limit->timeout_ms == DVS_FOREVER)
		return UINT64_MAX;
	if (limit->start_ns == 0)
		limit->start_ns = clock_now_ns();
	return limit->start_ns + (uint64_t)limit->timeout_ms * CLOCK_NS_PER_MS;
}

void endpoint_handle_events(struct endpoint *ep)
{
	/* Counted before they are handled: what comes in between is handled twice rather than never. */
	ep->events_seen = atomic_load_explicit(&ep->inbox->events, memory_order_acquire);
	ep->host->events(ep);
}

uint32_t endpoint_sleep_announce(struct endpoint *ep, uint32_t flag)
{
	uint32_t bell = atomic_fetch_or(&ep->inbox->bell, flag) | flag;

	fence_after_locked();
	return bell;
}

void endpoint_sleep(struct endpoint *ep, uint32_t bell, uint64_t span_ns)
{
	struct timespec span;

	stats_add(&ep->stats->sleeps, 1);
	if (span_ns == UINT64_MAX) {
		futex_wait(&ep->inbox->bell, bell, NULL);
		return;
	}
	span = clock_timespec(span_ns);
	futex_wait(&ep->inbox->bell, bell, &span);
}

void endpoint_poke(struct endpoint *ep)
{
	/* In this order: who announces its sleep looks afterwards whether it was poked. */
	atomic_store(&ep->poked, true);
	(void)inbox_ring_answer(ep->inbox);
}

uint64_t limit_left_ns(uint64_t deadline_ns)
{
	uint64_t now_ns;

	if (deadline_ns == UINT64_MAX)
		return UINT64_MAX;
	now_ns = clock_now_ns();
	return now_ns < deadline_ns ? deadline_ns - now_ns : 0;
}

void endpoint_sleep_over(struct endpoint *ep)
{
	if (atomic_load_explicit(&ep->inbox->bell, memory_order_relaxed) &
	    (IPC_BELL_SLEEPS | IPC_BELL_WAITS))
		atomic_fetch_and(&ep->inbox->bell, ~(IPC_BELL_SLEEPS | IPC_BELL_WAITS));
}

dvs_err endpoint_wait_event(struct endpoint *ep, struct wait_limit *limit)
{
	uint64_t left_ns = limit_left_ns(limit_deadline_ns(limit));
	uint32_t bell = endpoint_sleep_announce(ep, IPC_BELL_WAITS);

	if (left_ns && !endpoint_has_events(ep) && !(limit->is_pokable && atomic_load(&ep->poked)))
		endpoint_sleep(ep, bell, left_ns);
	endpoint_sleep_over(ep);
	/* Also without a new count: a hostile partner may have turned it back. */
	endpoint_handle_events(ep);
	return left_ns ? DVS_OK : DVS_TIMEOUT;
}

dvs_err endpoint_enter(struct endpoint *ep, struct wait_limit *limit, bool answers)
{
	dvs_err err = DVS_OK;

	if (endpoint_has_events(ep))
		endpoint_handle_events(ep);
	while (__builtin_expect(ep->halt != HALT_NO, 0)) {
		if (ep->halt == HALT_UNBOUND)
			return DVS_NOTBOUND;
		if (ep->halt == HALT_PARKING) {
			if (answers)
				return DVS_OK;
			ep->host->park(ep);
			continue;
		}
		if (err)
			return err;
		if (limit->is_pokable && (endpoint_take_poke(ep) || endpoint_has_ended(ep)))
			return DVS_WOKEN;
		atomic_store_explicit(&ep->stats->activity, 4, memory_order_relaxed);
		err = endpoint_wait_event(ep, limit);
		atomic_store_explicit(&ep->stats->activity, 0, memory_order_relaxed);
	}
	return DVS_OK;
}
