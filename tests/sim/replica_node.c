/* SPDX-License-Identifier: Apache-2.0 */
/* One replica: its engine, a server of a few registers with a disk, and its calls to others. */
#include <stdlib.h>
#include <string.h>

#include "replica_world.h"

/* So long a cut lasts before calls end with an error. */
#define CUT_NS (700 * MS)

dvs_ep ep_of(const struct node *node)
{
	return (dvs_ep){ (node->number + 1) << 16 | (node->life & 0xffff) };
}

static uint32_t life_of(dvs_ep ep)
{
	return ep.n & 0xffff;
}

struct world *world_of(struct node *node)
{
	return (struct world *)(void *)((char *)(node - node->number) -
					offsetof(struct world, nodes));
}

static void held_look(struct world *world, struct node *node);

/* ---- the disk ---- */

static void on_applied(struct world *world, const struct event *event)
{
	struct block *block = event->pointer;
	struct node *node = &world->nodes[event->node];

	list_remove(&block->on_disk);
	if (block->order > node->finished)
		node->finished = block->order;
	if (block->will_be != DVS_OK && node->n_odd < 64)
		node->odd[node->n_odd++] = block->entry.sequence;
	engine_applied(node->engine, &block->entry, block->will_be);
	held_look(world, node);
}

/* It takes effect at once, and is said to have later; a process that is killed in between may leave it undone. */
static void op_apply(void *context, struct engine_entry *entry)
{
	struct node *node = context;
	struct world *world = world_of(node);
	struct block *block = CONTAINER_OF(entry, struct block, entry);
	uint32_t client = entry->client.n & 0xff;

	block->before = node->state;
	block->order = ++node->n_orders;
	block->will_be = node->bad_disk && roll(world, 3) == 0 ? DVS_IO : DVS_OK;
	if (client && engine_role(node->engine) != ENGINE_JOINING &&
	    entry->call <= node->state.last_call[client])
		fail(world, "a call was carried out twice");
	node->state.last_call[client] = entry->call;
	if (block->will_be == DVS_OK)
		node->state.value[block->key] = block->value;
	else
		world->n_odd++;
	node->state.chain = node->state.chain * 31 + block->value;
	list_add_tail(&node->on_disk, &block->on_disk);
	later(world, delay(world, 20 * MS), node->number, on_applied, 0, 0, 0, block);
}

static void op_done(void *context, struct engine_entry *entry, dvs_err err)
{
	struct node *node = context;

	server_done(world_of(node), node, CONTAINER_OF(entry, struct block, entry), err);
}

static void op_forget(void *context, struct engine_entry *entry)
{
	struct block *block = CONTAINER_OF(entry, struct block, entry);

	(void)context;
	list_remove(&block->all);
	list_remove(&block->on_disk);
	free(block);
}

/* ---- calls ---- */

static struct call_out *call_to(struct node *node, uint32_t to, uint32_t to_life, int kind)
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

static void items_free(struct item *items)
{
	while (items) {
		struct item *next = items->next;

		free(items);
		items = next;
	}
}

void call_items_free(struct call_out *call)
{
	items_free(call->items);
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

static void flush(struct world *world, struct node *node, uint32_t to);

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
	flush(world, node, call->to);
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
	if (engine_received(node->engine, &block->entry, item->number) != DVS_OK)
		op_forget(node, &block->entry);
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

static void held_look(struct world *world, struct node *node)
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

static void call_send(struct world *world, struct call_out *call)
{
	call->is_coming = true;
	later(world, delay(world, 3 * MS), NODES_MAX, on_call, 0, 0, 0, call);
}

/* ---- streams ---- */

static void flush(struct world *world, struct node *node, uint32_t to)
{
	struct stream *stream = &node->streams[to];
	struct call_out *call;

	if (!stream->is_open || stream->call)
		return;
	if (!stream->first && !stream->is_behind && world->now_ns < stream->sent_ns + LEASE_NS / 4)
		return;
	call = call_to(node, to, life_of(stream->ep), CALL_BATCH);
	call->stream = stream->number;
	call->epoch = engine_epoch(node->engine);
	call->stable = engine_stable(node->engine);
	call->members = engine_view(node->engine)->members;
	call->items = stream->first;
	stream->first = NULL;
	stream->end = &stream->first;
	stream->call = call;
	stream->sent_ns = world->now_ns;
	call_send(world, call);
}

static void op_open(void *context, uint32_t to, dvs_ep ep, uint64_t number, bool begin,
		    uint64_t after)
{
	struct node *node = context;
	struct stream *stream = &node->streams[to];

	*stream = (struct stream){ .is_open = true, .number = number, .ep = ep };
	stream->end = &stream->first;
	if (!begin)
		return;
	*stream->end = calloc(1, sizeof(struct item));
	stream->first->kind = ITEM_BEGIN;
	stream->first->number = after;
	stream->end = &stream->first->next;
}

static struct item *append(struct node *node, uint32_t to)
{
	struct stream *stream = &node->streams[to];
	struct item *item = calloc(1, sizeof(*item));

	*stream->end = item;
	stream->end = &item->next;
	return item;
}

static void op_send(void *context, uint32_t to, struct engine_entry *entry)
{
	struct item *item = append(context, to);
	const struct block *block = CONTAINER_OF(entry, struct block, entry);

	item->kind = ITEM_ENTRY;
	item->number = entry->sequence;
	item->client = entry->client.n;
	item->call = entry->call;
	item->key = block->key;
	item->value = block->value;
}

static void op_send_table(void *context, uint32_t to)
{
	struct node *node = context;
	struct item *item = append(node, to);
	struct remembered *all = calloc(REMEMBER_MAX, sizeof(*all));

	item->kind = ITEM_TABLE;
	item->n_table = remember_all(node->remember, all);
	memcpy(item->table, all, item->n_table * sizeof(*all));
	free(all);
}

static void op_close(void *context, uint32_t to)
{
	struct stream *stream = &((struct node *)context)->streams[to];

	stream->is_open = false;
	items_free(stream->first);
	stream->first = NULL;
	if (stream->call)
		stream->call->is_closed = true;
	stream->call = NULL;
}

static void op_view(void *context, uint32_t to, dvs_ep ep, uint64_t epoch, uint64_t stream)
{
	struct node *node = context;
	struct call_out *call = call_to(node, to, life_of(ep), CALL_VIEW);

	call->epoch = epoch;
	call->stream = stream;
	call->number = ep_of(node).n;
	call_send(world_of(node), call);
}

static void op_tail(void *context, uint32_t to, dvs_ep ep, uint64_t epoch, uint64_t after)
{
	struct node *node = context;
	struct call_out *call = call_to(node, to, life_of(ep), CALL_TAIL);

	call->epoch = epoch;
	call->number = after;
	call_send(world_of(node), call);
}

static void on_join_failed(struct world *world, const struct event *event)
{
	engine_join_answered(world->nodes[event->node].engine, event->a, DVS_NODEST);
}

static void op_join(void *context, uint64_t stream)
{
	struct node *node = context;
	struct world *world = world_of(node);
	uint32_t to = node->known_primary;
	struct call_out *call;

	if (to == NODES_MAX || to == node->number) {
		later(world, MS, node->number, on_join_failed, stream, 0, 0, NULL);
		return;
	}
	call = call_to(node, to, world->nodes[to].life, CALL_JOIN);
	call->stream = stream;
	call->number = ep_of(node).n;
	call_send(world, call);
}

static void on_state(struct world *world, const struct event *event)
{
	struct node *node = &world->nodes[event->node];
	uint32_t to = (uint32_t)event->a;
	struct item *item;

	if (!node->streams[to].is_open || node->streams[to].number != event->b)
		return;
	item = append(node, to);
	item->kind = ITEM_STATE;
	item->state = node->state;
}

/* It is brought up to date by one word that has everything. */
static void op_joined(void *context, uint32_t to)
{
	struct node *node = context;
	struct world *world = world_of(node);

	later(world, delay(world, 200 * MS), node->number, on_state, to, node->streams[to].number,
	      0, NULL);
}

static void op_left(void *context, uint32_t to)
{
	(void)context;
	(void)to;
}

static void op_role(void *context, enum engine_role role)
{
	struct node *node = context;
	struct world *world = world_of(node);

	say(world, "node %u role %d epoch %llu last %llu", node->number, (int)role,
	    (unsigned long long)engine_epoch(node->engine),
	    (unsigned long long)engine_last(node->engine));
	if (role == ENGINE_MEMBER || role == ENGINE_PRIMARY)
		node->has_disk = true;
	if (role == ENGINE_PRIMARY && !node->term)
		server_took(world, node);
	if (role != ENGINE_PRIMARY && node->term)
		server_dropped(world, node);
}

static void op_readers(void *context, dvs_err err)
{
	struct node *node = context;

	if (err == DVS_OK)
		server_readers(world_of(node), node);
}

static void op_handed_over(void *context, dvs_err err)
{
	(void)context;
	(void)err;
}

const struct engine_ops node_ops = {
	.read_record = ops_read_record,
	.set_record = ops_set_record,
	.take = ops_take,
	.backup = ops_backup,
	.give_up = ops_give_up,
	.look = ops_look,
	.is_dead = ops_is_dead,
	.promote = ops_promote,
	.join = op_join,
	.view = op_view,
	.tail = op_tail,
	.open = op_open,
	.send = op_send,
	.send_table = op_send_table,
	.close = op_close,
	.apply = op_apply,
	.done = op_done,
	.forget = op_forget,
	.role = op_role,
	.joined = op_joined,
	.left = op_left,
	.readers = op_readers,
	.handed_over = op_handed_over,
};

/* ---- the process ---- */

void node_enter(struct world *world, struct node *node)
{
	engine_now(node->engine, world->now_ns);
}

static void on_tick(struct world *world, const struct event *event)
{
	struct node *node = &world->nodes[event->node];

	if (node->known_primary == node->number && world->primary == node->number &&
	    world->primary_life == node->life)
		engine_promoted(node->engine);
	engine_tick(node->engine);
	held_look(world, node);
	for (uint32_t to = 0; to < world->n_nodes; to++)
		flush(world, node, to);
	later(world, event->a ? event->a : 2 * MS, node->number, on_tick, event->a, 0, 0, NULL);
}

void node_start(struct world *world, uint32_t number)
{
	struct node *node = &world->nodes[number];
	struct engine_config config = { .node = number,
					.nodes = (UINT64_C(1) << world->n_nodes) - 1,
					.first = 0,
					.is_empty = !node->has_disk,
					.lease_ns = LEASE_NS,
					.evict_ns = EVICT_NS,
					.ops = &node_ops,
					.context = node };

	node->is_up = true;
	node->is_paused = false;
	node->life++;
	node->term = 0;
	node->held = NULL;
	node->n_odd = 0;
	list_init(&node->blocks);
	list_init(&node->on_disk);
	memset(node->streams, 0, sizeof(node->streams));
	memset(node->holds, 0, sizeof(node->holds));
	node->remember = remember_open();
	config.remember = node->remember;
	config.ep = ep_of(node);
	config.nonce = (uint64_t)(number + 1) << 40 | (uint64_t)node->life << 20;
	node->engine = engine_open(&config);
	engine_now(node->engine, world->now_ns);
	engine_start(node->engine);
	later(world, MS, number, on_tick, 0, 0, 0, NULL);
	say(world, "node %u starts%s", number, node->has_disk ? "" : " empty");
}

/* What was being written is there or not, from some entry on. */
static void disk_crash(struct world *world, struct node *node)
{
	while (!list_is_empty(&node->on_disk) && roll(world, 2) == 0) {
		struct block *block = CONTAINER_OF(node->on_disk.prev, struct block, on_disk);

		if (block->order < node->finished)
			return;
		node->state = block->before;
		list_remove(&block->on_disk);
	}
}

void node_kill(struct world *world, uint32_t number, bool loses_disk)
{
	struct node *node = &world->nodes[number];

	if (!node->is_up)
		return;
	say(world, "node %u is killed%s", number, loses_disk ? ", its disk too" : "");
	disk_crash(world, node);
	node->is_up = false;
	if (node->term)
		server_dropped(world, node);
	for (uint32_t to = 0; to < world->n_nodes; to++)
		op_close(node, to);
	if (node->held)
		node->held = NULL;
	engine_close(node->engine);
	while (!list_is_empty(&node->blocks))
		op_forget(node, &CONTAINER_OF(node->blocks.next, struct block, all)->entry);
	remember_close(node->remember);
	if (loses_disk) {
		memset(&node->state, 0, sizeof(node->state));
		node->has_disk = false;
	}
	dvs_process_dead(world, number);
}
