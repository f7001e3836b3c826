/* SPDX-License-Identifier: Apache-2.0 */
/* Whose turn it is: the channels that have something to say wait in their DC's queue, and the DCs take turns. A DC with a limit sends
 * while it has tokens, which come with the time; the others do not wait for it. */
#include <stdlib.h>

#include "base/clock.h"
#include "proxy/carried.h"

/* A limited DC may save up so much time. */
#define SAVED_NS (CLOCK_NS_PER_S / 10)
/* And sleeps are not shorter than this. */
#define REFILL_NS CLOCK_NS_PER_MS

struct share *queue_share(struct mirror *mirror, uint32_t dc)
{
	struct share *share = NULL;

	pthread_mutex_lock(&mirror->queue_lock);
	LIST_FOREACH(node, &mirror->shares) {
		if (CONTAINER_OF(node, struct share, node)->dc == dc)
			share = CONTAINER_OF(node, struct share, node);
	}
	if (!share) {
		share = calloc(1, sizeof(*share));
		if (share) {
			share->dc = dc;
			list_add_tail(&mirror->shares, &share->node);
			for (unsigned i = 0; i < LINK_CLASSES; i++) {
				list_init(&share->of[i].turn);
				list_init(&share->of[i].waiting);
			}
		}
	}
	pthread_mutex_unlock(&mirror->queue_lock);
	return share;
}

void mirror_limit(struct mirror *mirror, uint32_t dc, uint64_t bytes_per_s)
{
	struct share *share = queue_share(mirror, dc);

	if (!share)
		return;
	pthread_mutex_lock(&mirror->queue_lock);
	share->bytes_per_s = bytes_per_s;
	share->tokens = 0;
	share->filled_ns = clock_now_ns();
	pthread_mutex_unlock(&mirror->queue_lock);
	/* Who sleeps for tokens that are no longer needed. */
	for (unsigned i = 0; i < LINK_CLASSES; i++)
		sender_wake(mirror, i);
}

void queue_push(struct mirror *mirror, enum link_class class, struct carried *ch)
{
	struct share *share = ch->share;

	pthread_mutex_lock(&mirror->queue_lock);
	if (list_is_empty(&ch->in_queue[class])) {
		carried_get(ch);
		if (list_is_empty(&share->of[class].waiting))
			list_add_tail(&mirror->turn[class], &share->of[class].turn);
		list_add_tail(&share->of[class].waiting, &ch->in_queue[class]);
	}
	pthread_mutex_unlock(&mirror->queue_lock);
}

/* How long until the share may send; 0: now. */
static uint64_t wait_locked(struct share *share)
{
	uint64_t rate = share->bytes_per_s;
	uint64_t now_ns;
	uint64_t span_ns;

	if (rate == 0)
		return 0;
	now_ns = clock_now_ns();
	span_ns = now_ns - share->filled_ns;
	if (span_ns >= REFILL_NS) {
		int64_t most = (int64_t)(rate / (CLOCK_NS_PER_S / SAVED_NS));

		if (span_ns > CLOCK_NS_PER_S)
			span_ns = CLOCK_NS_PER_S;
		share->tokens += (int64_t)((double)rate * (double)span_ns / CLOCK_NS_PER_S);
		if (share->tokens > most)
			share->tokens = most > 0 ? most : 1;
		share->filled_ns = now_ns;
	}
	if (share->tokens > 0)
		return 0;
	span_ns = (uint64_t)((double)-share->tokens * CLOCK_NS_PER_S / (double)rate);
	return span_ns < REFILL_NS ? REFILL_NS : span_ns;
}

/* What the share has sent in this round. */
static uint32_t *sent_locked(struct mirror *mirror, enum link_class class, struct share *share)
{
	if (share->of[class].round != mirror->round[class]) {
		share->of[class].round = mirror->round[class];
		share->of[class].sent_bytes = 0;
	}
	return &share->of[class].sent_bytes;
}

static struct carried *take_locked(struct mirror *mirror, enum link_class class,
				   struct share *share)
{
	struct list *node = list_take_head(&share->of[class].waiting);

	list_remove(&share->of[class].turn);
	if (!list_is_empty(&share->of[class].waiting))
		list_add_tail(&mirror->turn[class], &share->of[class].turn);
	return (struct carried *)(void *)((char *)node - offsetof(struct carried, in_queue) -
					  class * sizeof(struct list));
}

struct carried *queue_pop(struct mirror *mirror, enum link_class class, uint64_t *wait_ns)
{
	struct carried *ch = NULL;

	*wait_ns = UINT64_MAX;
	pthread_mutex_lock(&mirror->queue_lock);
	LIST_FOREACH(node, &mirror->turn[class]) {
		struct share *share =
			(struct share *)(void *)((char *)node - offsetof(struct share, of[0].turn) -
						 class * sizeof(share->of[0]));
		uint64_t span_ns = 0;

		if (*sent_locked(mirror, class, share) < MIRROR_TURN_BYTES) {
			span_ns = wait_locked(share);
			if (span_ns == 0) {
				ch = take_locked(mirror, class, share);
				break;
			}
		}
		if (span_ns < *wait_ns)
			*wait_ns = span_ns;
	}
	pthread_mutex_unlock(&mirror->queue_lock);
	return ch;
}

void queue_spent(struct mirror *mirror, enum link_class class, struct carried *ch, size_t bytes)
{
	pthread_mutex_lock(&mirror->queue_lock);
	*sent_locked(mirror, class, ch->share) += (uint32_t)bytes;
	if (ch->share->bytes_per_s)
		ch->share->tokens -= (int64_t)bytes;
	pthread_mutex_unlock(&mirror->queue_lock);
}

void queue_next_round(struct mirror *mirror, enum link_class class)
{
	pthread_mutex_lock(&mirror->queue_lock);
	mirror->round[class]++;
	pthread_mutex_unlock(&mirror->queue_lock);
}

void queue_clear(struct mirror *mirror)
{
	struct list *node;

	for (unsigned class = 0; class < LINK_CLASSES; class ++) {
		LIST_FOREACH(at, &mirror->shares) {
			struct share *share = CONTAINER_OF(at, struct share, node);

			while (!list_is_empty(&share->of[class].waiting))
				carried_put(take_locked(mirror, class, share));
		}
	}
	while ((node = list_take_head(&mirror->shares)))
		free(CONTAINER_OF(node, struct share, node));
}
