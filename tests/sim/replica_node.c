/* SPDX-License-Identifier: Apache-2.0 */
/* One replica: its engine, a server of a few registers with a disk, and its calls to others. */
#include <stdlib.h>
#include <string.h>

#include "replica_world.h"

dvs_ep ep_of(const struct node *node)
{
	return (dvs_ep){ (node->number + 1) << 16 | (node->life & 0xffff) };
}

uint32_t life_of(dvs_ep ep)
{
	return ep.n & 0xffff;
}

struct world *world_of(struct node *node)
{
	return (struct world *)(void *)((char *)(node - node->number) -
					offsetof(struct world, nodes));
}

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
	/* What fails may have been done in part. */
	if (block->will_be == DVS_OK || roll(world, 2) == 0)
		node->state.value[block->key] = block->value;
	if (block->will_be != DVS_OK)
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

void node_forget(struct engine_entry *entry)
{
	struct block *block = CONTAINER_OF(entry, struct block, entry);

	list_remove(&block->all);
	list_remove(&block->on_disk);
	free(block);
}

static void op_forget(void *context, struct engine_entry *entry)
{
	(void)context;
	node_forget(entry);
}

/* ---- streams ---- */

void stream_flush(struct world *world, struct node *node, uint32_t to)
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
	struct node *node = context;

	if (err == DVS_NOPROC)
		world_of(node)->n_refused++;
	if (err == DVS_NOPROC && engine_role(node->engine) != ENGINE_PRIMARY)
		fail(world_of(node), "who was not handed over from is not the primary any more");
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
	.ask_heir = ops_ask_heir,
	.overtake = ops_overtake,
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
	dvs_tell_demoted(world, node);
	engine_tick(node->engine);
	held_look(world, node);
	for (uint32_t to = 0; to < world->n_nodes; to++)
		stream_flush(world, node, to);
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
