/* SPDX-License-Identifier: Apache-2.0 */
#include "node/ask.h"

#include <stdlib.h>

#include "base/err.h"
#include "node/api.h"

static struct ask *ask_find(const struct host *host, uint64_t number)
{
	struct map_node *node = map_first(&host->asks, number);

	return node ? CONTAINER_OF(node, struct ask, by_number) : NULL;
}

static void ask_free(struct host *host, struct ask *ask)
{
	map_remove(&host->asks, &ask->by_number);
	timer_cancel(&host->timers, &ask->timer);
	list_remove(&ask->of_link);
	free(ask->more);
	free(ask);
}

/* No answer comes any more. */
static void ask_fail(struct host *host, struct ask *ask, dvs_err err)
{
	struct cursor nothing = cursor_over(NULL, 0);

	(void)ask->done(host, ask, ask->node, err, &nothing);
	ask_free(host, ask);
}

static void on_time_over(struct host *host, struct timer *timer)
{
	ask_fail(host, CONTAINER_OF(timer, struct ask, timer), DVS_TIMEOUT);
}

/* The question itself was refused; that it was delivered says nothing yet. */
static void on_sent(struct host *host, struct order *order, dvs_err err)
{
	struct ask *ask = ask_find(host, order->number);

	if (ask && err != DVS_OK)
		ask_fail(host, ask, err);
}

static struct ask *ask_new(struct host *host, const struct ask *first, uint32_t timeout_ms)
{
	struct ask *made = malloc(sizeof(*made));

	if (!made || map_reserve(&host->asks) != DVS_OK) {
		free(made);
		return NULL;
	}
	*made = *first;
	made->timer = (struct timer){ 0 };
	made->number = ++host->last_ask;
	if (host_timer(host, &made->timer, timeout_ms * CLOCK_NS_PER_MS, on_time_over) != DVS_OK) {
		free(made);
		return NULL;
	}
	list_init(&made->of_link);
	if (made->link)
		list_add_tail(&made->link->asks, &made->of_link);
	map_add(&host->asks, &made->by_number, made->number);
	return made;
}

void ask(struct host *host, const struct ask *first, enum ask_what what, const void *bytes,
	 size_t len, uint32_t timeout_ms)
{
	uint8_t entry[32 + ASK_BYTES_MAX];
	struct writer out = writer_over(entry, sizeof(entry));
	struct order order = { .done = on_sent };
	const struct ask *made = ask_new(host, first, timeout_ms);

	if (!made) {
		struct ask failed = *first;
		struct cursor nothing = cursor_over(NULL, 0);

		(void)first->done(host, &failed, first->node, DVS_NOMEM, &nothing);
		free(first->more);
		return;
	}
	order.number = made->number;
	writer_u8(&out, ORDER_ASK);
	writer_u32(&out, made->node);
	writer_u64(&out, made->number);
	writer_u8(&out, what);
	writer_bytes(&out, bytes, len);
	order_bytes(host, &out, &order, false);
}

bool ask_pass_on(struct host *host, struct ask *ask, uint32_t node, dvs_err err,
		 struct cursor *answer)
{
	(void)node;
	(void)answer;
	if (ask->link)
		link_reply(host, ask->link, ask->op, ask->id, err);
	return true;
}

void ask_asked(struct host *host, uint32_t from, struct cursor *in)
{
	static const ask_handler handlers[ASK_WHATS_END] = {
		[ASK_DIGEST] = asked_digest, [ASK_WAKEUP] = asked_wakeup, [ASK_INFO] = asked_info,
		[ASK_COMMIT] = asked_commit, [ASK_COPY] = asked_copy,	  [ASK_AGENT] = asked_agent,
	};
	uint32_t to = cursor_u32(in);
	struct asker asker = { .node = from, .number = cursor_u64(in) };
	uint8_t what = cursor_u8(in);

	if (in->failed || (to != host->config.node && to != ASK_ALL))
		return;
	if (what < ARRAY_LEN(handlers) && handlers[what])
		handlers[what](host, asker, in);
	else
		ask_answer(host, asker, DVS_PROTO, NULL, 0);
}

void ask_answer(struct host *host, struct asker asker, dvs_err err, const void *bytes, size_t len)
{
	uint8_t entry[32 + ASK_BYTES_MAX];
	struct writer out = writer_over(entry, sizeof(entry));

	writer_u8(&out, ORDER_ANSWER);
	writer_u32(&out, asker.node);
	writer_u64(&out, asker.number);
	writer_u32(&out, (uint32_t)err);
	writer_bytes(&out, bytes, len);
	order_bytes(host, &out, NULL, false);
}

void ask_answered(struct host *host, uint32_t from, struct cursor *in)
{
	uint32_t to = cursor_u32(in);
	uint64_t number = cursor_u64(in);
	uint32_t err = cursor_u32(in);
	struct ask *ask = to == host->config.node && !in->failed ? ask_find(host, number) : NULL;

	/* late, or not asked of this one */
	if (!ask || (ask->node != from && ask->node != ASK_ALL))
		return;
	if (ask->done(host, ask, from, dvs_err_from_number(err), in))
		ask_free(host, ask);
}

void asks_forget_link(struct host *host, struct link *link)
{
	(void)host;
	LIST_FOREACH_SAFE(at, &link->asks) {
		struct ask *ask = CONTAINER_OF(at, struct ask, of_link);

		list_remove(&ask->of_link);
		ask->link = NULL;
	}
}

void asks_node_down(struct host *host, uint32_t node)
{
	struct cursor nothing = cursor_over(NULL, 0);

	for (size_t i = 0; i < host->asks.n_buckets; i++) {
		struct map_node *at = host->asks.buckets[i];

		while (at) {
			struct ask *ask = CONTAINER_OF(at, struct ask, by_number);

			at = at->next;
			if (ask->node == node)
				ask_fail(host, ask, DVS_NODEDOWN);
			else if (ask->node == ASK_ALL &&
				 ask->done(host, ask, node, DVS_NODEDOWN, &nothing))
				ask_free(host, ask);
		}
	}
}

void asks_free(struct host *host)
{
	for (size_t i = 0; i < host->asks.n_buckets; i++) {
		while (host->asks.buckets[i])
			ask_free(host, CONTAINER_OF(host->asks.buckets[i], struct ask, by_number));
	}
	map_destroy(&host->asks);
}
