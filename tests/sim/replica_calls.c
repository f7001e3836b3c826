/* SPDX-License-Identifier: Apache-2.0 */
/* Calls between replicas: what is sent, what becomes of it, and what the other side does with it. */
#include <stdlib.h>
#include <string.h>

#include "replica_world.h"

/* So long a cut lasts before calls end with an error. */
#define CUT_NS (700 * MS)

struct call_out *call_to(struct node *node, uint32_t to, uint32_t to_life, int kind)
{
	struct world *world = world_of(node);
	struct call_out *call = calloc(1, sizeof(*call));

	call->kind = kind;
	call->from = node->number;
	call->from_life = node->life;
	call->to = to;
	call->to_life = to_life;
	call->began_ns = world->now_ns;
	list_add_tail(&world->calls, &call->all);
	return call;
}

void items_free(struct item *items)
{
	while (items) {
		struct item *next = items->next;

		free(items);
		items = next;
	}
}

static void call_free(struct world *world, struct call_out *call)
{
	for (uint32_t i = 0; i < world->n_nodes; i++) {
		if (world->nodes[i].held == call)
			world->nodes[i].held = NULL;
	}
	list_remove(&call->all);
	items_free(call->items);
	free(call);
}

static void call_end_batch(struct world *world, struct node *node, struct call_out *call)
{
	struct stream *stream = &node->streams[call->to];

	if (call->is_closed || stream->call != call)
		return;
	stream->call = NULL;
	if (call->err != DVS_OK) {
		engine_call_failed(node->engine, call->to, call->stream, call->err);
		return;
	}
	for (uint32_t i = 0; i < call->n_odd; i++)
		engine_odd_result(node->engine, call->to, call->stream, call->odd[i]);
	for (const struct item *item = call->items; item; item = item->next) {
		if (item->kind == ITEM_TABLE)
			engine_table_taken(node->engine, call->to, call->stream);
		if (item->kind == ITEM_STATE)
			engine_is_current(node->engine, call->to);
	}
	stream->is_behind = call->result < engine_last(node->engine);
	engine_acknowledged(node->engine, call->to, call->stream, call->result, stream->sent_ns);
	stream_flush(world, node, call->to);
}

static struct block *block_new(struct node *node, uint64_t bytes)
{
	struct block *block = calloc(1, sizeof(*block));

	block->world = world_of(node);
	block->node = node->number;
	block->entry.bytes = bytes;
	list_init(&block->entry.logged);
	list_init(&block->on_disk);
	list_add_tail(&node->blocks, &block->all);
	return block;
}

static void take_entry(struct node *node, const struct item *item)
{
	struct block *block = block_new(node, 100);

	block->key = item->key;
	block->value = item->value;
	block->entry.client.n = item->client;
	block->entry.call = item->call;
	if (engine_received(node->engine, &block->entry, item->number) != DVS_OK) {
		if (engine_role(node->engine) != ENGINE_CANDIDATE)
			fail(block->world, "an entry of a stream is not the next one");
		node_forget(&block->entry);
	}
}

static void call_end(struct world *world, struct call_out *call)
{
	struct node *node = &world->nodes[call->from];

	call->is_over = true;
	if (!node->is_up || node->life != call->from_life)
		return;
	engine_now(node->engine, world->now_ns);
	switch (call->kind) {
	case CALL_BATCH:
		call_end_batch(world, node, call);
		break;
	case CALL_VIEW:
		engine_view_answered(node->engine, call->to, call->stream, call->err, call->result);
		break;
	case CALL_TAIL:
		for (const struct item *item = call->items; item; item = item->next)
			take_entry(node, item);
		engine_tail_done(node->engine, call->to, call->err);
		break;
	case CALL_JOIN:
		engine_join_answered(node->engine, call->stream, call->err);
		break;
	}
}

/* The answer comes, or the error does. */
static void on_call_end(struct world *world, const struct event *event)
{
	struct call_out *call = event->pointer;
	const struct node *from = &world->nodes[call->from];

	if (from->is_up && from->is_paused && from->life == call->from_life)
		later(world, from->paused_until_ns - world->now_ns + 1, NODES_MAX, on_call_end, 0,
		      0, 0, call);
	else if (call->err == DVS_OK && !dvs_reaches(world, call->from, call->to) &&
		 world->now_ns < call->began_ns + CUT_NS)
		later(world, 20 * MS, NODES_MAX, on_call_end, 0, 0, 0, call);
	else {
		if (call->err == DVS_OK && !dvs_reaches(world, call->from, call->to))
			call->err = DVS_NODEDOWN;
		call_end(world, call);
		if (!call->is_coming)
			call_free(world, call);
	}
}

static void call_answer(struct world *world, struct call_out *call, dvs_err err, uint64_t result)
{
	call->is_answered = true;
	call->err = err;
	call->result = result;
	later(world, delay(world, 3 * MS), NODES_MAX, on_call_end, 0, 0, 0, call);
}

/* Those whose other side has died or is cut off end. */
void calls_look(struct world *world)
{
	LIST_FOREACH_SAFE(link, &world->calls) {
		struct call_out *call = CONTAINER_OF(link, struct call_out, all);
		const struct node *to = &world->nodes[call->to];
		bool reaches = dvs_reaches(world, call->from, call->to);
		bool is_dead = !to->is_up || to->life != call->to_life;

		if (call->is_answered)
			continue;
		if (reaches)
			call->cut_ns = 0;
		else if (!call->cut_ns)
			call->cut_ns = world->now_ns;
		if ((reaches && is_dead) || (!reaches && world->now_ns > call->cut_ns + CUT_NS)) {
			for (uint32_t i = 0; i < world->n_nodes; i++) {
				if (world->nodes[i].held == call)
					world->nodes[i].held = NULL;
			}
			call_answer(world, call, reaches ? DVS_PEERDEAD : DVS_NODEDOWN, 0);
		}
	}
}

/* ---- what comes ---- */

void held_look(struct world *world, struct node *node)
{
	struct call_out *call = node->held;

	if (!call || (engine_applied_up_to(node->engine) < node->held_last &&
		      world->now_ns < node->held_until_ns))
		return;
	node->held = NULL;
	if (!engine_promise(node->engine, call->stream)) {
		call_answer(world, call, DVS_BADSTATE, 0);
		return;
	}
	memcpy(call->odd, node->odd, sizeof(call->odd));
	call->n_odd = node->n_odd;
	node->n_odd = 0;
	call_answer(world, call, DVS_OK, engine_applied_up_to(node->engine));
}

static void take_item(struct node *node, const struct item *item)
{
	if (item->kind == ITEM_BEGIN) {
		engine_begin(node->engine, item->number);
		node->n_odd = 0;
	} else if (item->kind == ITEM_ENTRY) {
		take_entry(node, item);
	} else if (item->kind == ITEM_STATE) {
		node->state = item->state;
		while (!list_is_empty(&node->on_disk))
			list_remove(node->on_disk.next);
	} else {
		for (size_t i = 0; i < item->n_table; i++)
			remember_add(node->remember, &item->table[i]);
	}
}

static void take_batch(struct world *world, struct node *node, struct call_out *call)
{
	dvs_err err = engine_heard(node->engine, call->from, ep_of(&world->nodes[call->from]),
				   call->stream, call->epoch, call->stable, call->members);

	if (err != DVS_OK) {
		call_answer(world, call, err, 0);
		return;
	}
	for (const struct item *item = call->items; item; item = item->next)
		take_item(node, item);
	if (node->held)
		call_answer(world, node->held, DVS_BADSTATE, 0);
	node->held = call;
	node->held_last = engine_last(node->engine);
	node->held_until_ns = world->now_ns + LEASE_NS / 4;
	held_look(world, node);
}

static void give_tail(struct world *world, struct node *node, struct call_out *call)
{
	struct item **end = &call->items;
	const struct list *log = engine_log(node->engine);
	dvs_err err = engine_tail_call(node->engine, call->epoch);

	if (err == DVS_OK) {
		for (const struct list *link = log->next; link != log; link = link->next) {
			const struct block *block =
				(const struct block *)(const void *)((const char *)link -
								     offsetof(struct block,
									      entry.logged));
			struct item *item;

			if (block->entry.sequence <= call->number)
				continue;
			item = calloc(1, sizeof(*item));
			item->kind = ITEM_ENTRY;
			item->number = block->entry.sequence;
			item->client = block->entry.client.n;
			item->call = block->entry.call;
			item->key = block->key;
			item->value = block->value;
			*end = item;
			end = &item->next;
		}
	}
	call_answer(world, call, err, 0);
}

static void tell_odd_again(struct node *node)
{
	const struct list *log = engine_log(node->engine);

	node->n_odd = 0;
	for (const struct list *link = log->next; link != log; link = link->next) {
		const struct engine_entry *entry = (const struct engine_entry *)(const void *)link;

		if (entry->is_applied && entry->result != DVS_OK && node->n_odd < 64)
			node->odd[node->n_odd++] = entry->sequence;
	}
}

static void on_call(struct world *world, const struct event *event)
{
	struct call_out *call = event->pointer;
	struct node *node = &world->nodes[call->to];
	uint64_t received = 0;
	dvs_err err;

	if (call->is_answered) {
		call->is_coming = false;
		if (call->is_over)
			call_free(world, call);
		return;
	}
	if (!dvs_reaches(world, call->from, call->to) || node->is_paused || !node->is_up ||
	    node->life != call->to_life) {
		later(world, 10 * MS, NODES_MAX, on_call, 0, 0, 0, call);
		return;
	}
	call->is_coming = false;
	node_enter(world, node);
	switch (call->kind) {
	case CALL_BATCH:
		take_batch(world, node, call);
		break;
	case CALL_VIEW:
		err = engine_view_call(node->engine, call->from,
				       call->number ? (dvs_ep){ (uint32_t)call->number } :
						      (dvs_ep){ 0 },
				       call->epoch, call->stream, &received);
		if (err == DVS_OK)
			tell_odd_again(node);
		call_answer(world, call, err, received);
		break;
	case CALL_TAIL:
		give_tail(world, node, call);
		break;
	case CALL_JOIN:
		err = engine_join(node->engine, call->from, (dvs_ep){ (uint32_t)call->number },
				  call->stream);
		call_answer(world, call, err, 0);
		break;
	}
}

void call_send(struct world *world, struct call_out *call)
{
	call->is_coming = true;
	later(world, delay(world, 3 * MS), NODES_MAX, on_call, 0, 0, 0, call);
}
