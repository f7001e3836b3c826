/* SPDX-License-Identifier: Apache-2.0 */
/* Requests that wait: each names what it waits for, and is tried again when that changes or
 * its time is over. */
#include <assert.h>
#include <stdlib.h>

#include "node/api.h"
#include "node/carrier.h"

enum watched { WATCH_NUMBER = 1, WATCH_PROCESS, WATCH_REVOKED, WATCH_DC };

uint64_t watch_number(dvs_dcid dc, uint32_t ep)
{
	return map_key((uint64_t)dc.n << 32 | dvs_ep_number((dvs_ep){ ep }), WATCH_NUMBER);
}

uint64_t watch_process(const struct process *process)
{
	return map_key(process->id.serial, WATCH_PROCESS);
}

uint64_t watch_revoked(const struct binding *binding)
{
	return map_key((uintptr_t)binding, WATCH_REVOKED);
}

uint64_t watch_dc(dvs_dcid dc)
{
	return map_key(dc.n, WATCH_DC);
}

static void pending_unwatch(struct host *host, struct pending *pending)
{
	if (pending->watching)
		map_remove(&host->watches, &pending->by_watch);
	pending->watching = false;
}

void pending_free(struct host *host, struct pending *pending)
{
	pending_unwatch(host, pending);
	timer_cancel(&host->timers, &pending->timer);
	list_remove(&pending->of_due);
	list_remove(&pending->of_link);
	pending->link->n_pendings--;
	free(pending->more);
	free(pending);
}

static void on_time_over(struct host *host, struct timer *timer)
{
	struct pending *pending = CONTAINER_OF(timer, struct pending, timer);

	pending->last_try = true;
	list_remove(&pending->of_due);
	list_add_tail(&host->due, &pending->of_due);
}

/* The tries differ in what they answer when the time is over; most say TIMEOUT. */
static bool pending_try_once(struct host *host, struct pending *pending)
{
	if (pending->try(host, pending))
		return true;
	if (!pending->last_try)
		return false;
	link_reply(host, pending->link, pending->op, pending->id, DVS_TIMEOUT);
	return true;
}

static bool pending_watch(struct host *host, struct pending *pending)
{
	if (map_reserve(&host->watches) != DVS_OK)
		return false;
	map_add(&host->watches, &pending->by_watch, pending->watch);
	pending->watching = true;
	return true;
}

/* Each endpoint's thread waits for one thing, and somebody else may wait with it. */
static size_t pendings_max(const struct link *link)
{
	size_t n_bindings = link->process ? link->process->n_bindings : 0;

	if (link->carrier)
		return CARRIER_PENDINGS_MAX;
	return LINK_PENDINGS_MAX + n_bindings * BINDING_PENDINGS_MAX;
}

bool link_may_wait(const struct link *link)
{
	return link->n_pendings + link->n_orders < pendings_max(link);
}

void pending_start(struct host *host, const struct pending *first, uint32_t timeout_ms)
{
	struct pending *pending;
	struct pending once = *first;
	struct link *link = first->link;

	if (timeout_ms != DVS_FOREVER && timeout_ms > DVS_TIMEOUT_MAX_MS) {
		link_reply(host, link, first->op, first->id, DVS_BADARG);
		free(once.more);
		return;
	}
	once.last_try = timeout_ms == 0;
	if (pending_try_once(host, &once)) {
		free(once.more);
		return;
	}
	pending = link_may_wait(link) ? malloc(sizeof(*pending)) : NULL;
	if (!pending) {
		link_reply(host, link, first->op, first->id, DVS_FULL);
		free(once.more);
		return;
	}
	*pending = once;
	list_init(&pending->of_due);
	list_add_tail(&link->pendings, &pending->of_link);
	link->n_pendings++;
	if (!pending_watch(host, pending) ||
	    (timeout_ms != DVS_FOREVER &&
	     host_timer(host, &pending->timer, timeout_ms * CLOCK_NS_PER_MS, on_time_over) !=
		     DVS_OK)) {
		link_reply(host, link, first->op, first->id, DVS_NOMEM);
		pending_free(host, pending);
	}
}

void pending_try_again(struct host *host, struct pending *pending)
{
	pending_unwatch(host, pending);
	if (pending->link->doomed || pending_try_once(host, pending)) {
		pending_free(host, pending);
	} else if (!pending_watch(host, pending)) {
		link_reply(host, pending->link, pending->op, pending->id, DVS_NOMEM);
		pending_free(host, pending);
	}
}

void watch_touch(struct host *host, uint64_t watch)
{
	struct map_node *node = map_first(&host->watches, watch);

	for (; node; node = map_next(node)) {
		struct pending *pending = CONTAINER_OF(node, struct pending, by_watch);

		if (list_is_empty(&pending->of_due))
			list_add_tail(&host->due, &pending->of_due);
	}
}

void watch_touch_all(struct host *host)
{
	for (size_t i = 0; i < host->watches.n_buckets; i++) {
		for (struct map_node *node = host->watches.buckets[i]; node; node = node->next) {
			struct pending *pending = CONTAINER_OF(node, struct pending, by_watch);

			if (list_is_empty(&pending->of_due))
				list_add_tail(&host->due, &pending->of_due);
		}
	}
}
