/* SPDX-License-Identifier: Apache-2.0 */
#include "node/order.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/api.h"
#include "node/ask.h"

struct order order_of(const struct request *request, order_done done)
{
	return (struct order){
		.done = done, .link = request->link, .op = request->op, .id = request->id
	};
}

void order_answer(struct host *host, struct order *order, dvs_err err)
{
	if (order->link)
		link_reply(host, order->link, order->op, order->id, err);
}

struct process *order_process(const struct host *host, const struct order *order)
{
	return order->process.pid != 0 ? process_find(host, &order->process) : NULL;
}

void orders_forget_link(struct link *link)
{
	LIST_FOREACH_SAFE(at, &link->orders) {
		struct order *order = CONTAINER_OF(at, struct order, of_link);

		list_remove(&order->of_link);
		order->link = NULL;
	}
	link->n_orders = 0;
}

bool order_is_ready(const struct host *host)
{
	return !host->ordered || ordered_is_ready(host->ordered);
}

/* ---- what waits to be applied ---- */

static void order_attach(struct host *host, struct order *order)
{
	struct process *process = order_process(host, order);

	list_init(&order->of_link);
	if (order->link) {
		list_add_tail(&order->link->orders, &order->of_link);
		order->link->n_orders++;
	}
	if (process)
		process->n_orders++;
	map_add(&host->orders, &order->by_cookie, order->cookie);
}

static struct order *order_new(struct host *host, const struct order *first, uint64_t cookie)
{
	struct order *order = !first->link || link_may_wait(first->link) ? malloc(sizeof(*order)) :
									   NULL;

	if (!order || map_reserve(&host->orders) != DVS_OK) {
		free(order);
		return NULL;
	}
	*order = *first;
	order->cookie = cookie;
	order_attach(host, order);
	return order;
}

static struct order *order_find(const struct host *host, uint64_t cookie)
{
	struct map_node *node = map_first(&host->orders, cookie);

	return node ? CONTAINER_OF(node, struct order, by_cookie) : NULL;
}

/* From now on it is the caller's, to be ended with order_end(). */
static struct order *order_take(struct host *host, uint64_t cookie)
{
	struct order *order = order_find(host, cookie);
	struct process *process;

	if (!order)
		return NULL;
	map_remove(&host->orders, &order->by_cookie);
	if (order->link) {
		list_remove(&order->of_link);
		order->link->n_orders--;
	}
	process = order_process(host, order);
	if (process)
		process->n_orders--;
	return order;
}

static void order_end(struct host *host, struct order *order, dvs_err err)
{
	if (!order)
		return;
	if (order->done)
		order->done(host, order, err);
	free(order->spare);
	free(order->more);
	free(order);
}

void orders_free(struct host *host)
{
	LIST_FOREACH(at, &host->links)
		orders_forget_link(CONTAINER_OF(at, struct link, of_host));
	for (size_t i = 0; i < host->orders.n_buckets; i++) {
		while (host->orders.buckets[i]) {
			struct order *order =
				CONTAINER_OF(host->orders.buckets[i], struct order, by_cookie);

			map_remove(&host->orders, &order->by_cookie);
			free(order->spare);
			free(order->more);
			free(order);
		}
	}
	map_destroy(&host->orders);
}

/* ---- applying ---- */

/* The state file is as it was before the entry that could not be applied; the next dvsd takes the rest from the others. */
_Noreturn void order_die(struct host *host)
{
	log_error(
		&host->log,
		"this dvsd cannot have the state that the other nodes have, and ends: out of memory, or "
		"what it was told makes no sense here. The next one takes their state");
	abort();
}

static dvs_err command_apply(struct host *host, const struct core_command *command,
			     struct order *order)
{
	dvs_err err;

	assert(!host->applying);
	err = core_step(host->core, command, &host->effects);
	if (err == DVS_NOMEM && host->ordered)
		order_die(host);
	if (err != DVS_OK)
		return err;
	state_append(host, command);
	if (order) {
		host->spare = order->spare;
		order->spare = NULL;
	}
	host->applying = true;
	host->command = command;
	effects_apply(host);
	host->command = NULL;
	host->applying = false;
	free(host->spare);
	host->spare = NULL;
	/* parking has no effect, but somebody waits for it */
	if (command->op == CORE_PARKED)
		watch_touch(host, watch_number(command->dc, command->ep));
	return DVS_OK;
}

void order_apply_here(struct host *host, const struct core_command *command)
{
	dvs_err err = command_apply(host, command, NULL);

	if (err != DVS_OK)
		log_debug(&host->log, "nothing follows from it", LOG_U64("op", command->op),
			  LOG_STR("why", dvs_strerror(err)));
	seats_follow(host);
}

void order_refused(void *context, uint64_t cookie, dvs_err err)
{
	struct host *host = context;

	/* Applied or not, nobody knows here what its effects were. */
	host->effects.n = 0;
	host->refusing = true;
	order_end(host, order_take(host, cookie), err);
	host->refusing = false;
}

/* A snapshot's commands come in snapshots only. */
static dvs_err command_read(struct cursor *in, struct core_command *command)
{
	dvs_err err = core_command_decode(in, command);

	return err == DVS_OK && core_op_is_restore(command->op) ? DVS_PROTO : err;
}

void order_apply(void *context, uint32_t node, uint64_t cookie, const void *bytes, size_t len)
{
	struct host *host = context;
	struct order *order = node == host->config.node ? order_take(host, cookie) : NULL;
	struct cursor in = cursor_over(bytes, len);
	struct core_command command;
	dvs_err err;

	if (host->ordered)
		host->position = ordered_position(host->ordered);
	else
		host->position.index++;
	switch (cursor_u8(&in)) {
	case ORDER_COMMAND:
		err = command_read(&in, &command);
		if (err == DVS_OK)
			err = command_apply(host, &command, order);
		break;
	case ORDER_BARRIER:
		err = DVS_OK;
		break;
	case ORDER_ASK:
		ask_asked(host, node, &in);
		err = DVS_OK;
		break;
	case ORDER_ANSWER:
		ask_answered(host, node, &in);
		err = DVS_OK;
		break;
	case ORDER_GROUP:
		err = seats_apply(host, &in);
		break;
	default:
		err = DVS_PROTO;
		break;
	}
	if (err == DVS_PROTO)
		log_error(&host->log,
			  "an ordered entry is malformed: do all nodes run the same version?",
			  LOG_U64("node", node), LOG_U64("bytes", len));
	order_end(host, order, err);
	seats_follow(host);
}

/* ---- submitting ---- */

static void order_refuse(struct host *host, const struct order *first, dvs_err err)
{
	struct order order = *first;

	order.of_link = (struct list){ 0 };
	if (order.done)
		order.done(host, &order, err);
	free(order.spare);
	free(order.more);
}

void order_bytes(struct host *host, const struct writer *entry, const struct order *first,
		 bool keep)
{
	static const struct order nobody;
	uint64_t cookie = ++host->last_cookie;
	dvs_err err = DVS_OK;

	assert(writer_ok(entry));
	if (!first)
		first = &nobody;
	if (!order_new(host, first, cookie)) {
		order_refuse(host, first, DVS_NOMEM);
		return;
	}
	if (host->ordered)
		err = ordered_submit(host->ordered, cookie, entry->start, writer_len(entry), keep);
	else
		order_apply(host, host->config.node, cookie, entry->start, writer_len(entry));
	if (err != DVS_OK)
		order_end(host, order_take(host, cookie), err);
}

void order_command(struct host *host, const struct core_command *command, const struct order *first,
		   bool keep)
{
	uint8_t bytes[1 + CORE_COMMAND_BYTES_MAX];
	struct writer out = writer_over(bytes, sizeof(bytes));

	writer_u8(&out, ORDER_COMMAND);
	core_command_encode(&out, command);
	order_bytes(host, &out, first, keep);
}

void order_request(struct host *host, const struct request *request,
		   const struct core_command *command)
{
	struct order order = order_of(request, order_answer);

	order_command(host, command, &order, false);
}

/* ---- requests that are too early ---- */

struct again {
	size_t len;
	uint8_t bytes[];
};

static void on_settled(struct host *host, struct order *order, dvs_err err)
{
	const struct again *again = order->more;
	struct request request = { .link = order->link,
				   .op = order->op,
				   .id = order->id,
				   .body = cursor_over(again->bytes, again->len),
				   .bytes = again->bytes,
				   .len = again->len,
				   .settled = true,
				   .fds = { -1, -1 } };

	(void)err; /* without the quorum it is answered from what is known */
	if (order->link && !order->link->doomed)
		dispatch(host, &request);
}

bool request_settle(struct host *host, const struct request *request)
{
	struct order order = order_of(request, on_settled);
	uint8_t bytes[1];
	struct writer out = writer_over(bytes, sizeof(bytes));
	struct again *again;

	if (!host->ordered || request->settled || !order_is_ready(host))
		return false;
	again = malloc(sizeof(*again) + request->len);
	if (!again)
		return false;
	again->len = request->len;
	memcpy(again->bytes, request->bytes, request->len);
	order.more = again;
	writer_u8(&out, ORDER_BARRIER);
	order_bytes(host, &out, &order, false);
	return true;
}
