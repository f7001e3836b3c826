/* SPDX-License-Identifier: Apache-2.0 */
/* The server's part, clients that read and write registers, and what must be true of what they see. */
#include <stdlib.h>
#include <string.h>

#include "replica_world.h"

#define HISTORY_MAX 40000u
#define PATIENCE_NS (60000 * MS)

static void client_next(struct world *world, uint32_t client);

/* ---- clients ---- */

static void note(struct world *world, const struct call *call, bool is_known, uint64_t value)
{
	if (world->n_history == HISTORY_MAX || (call->is_read && !is_known))
		return;
	world->history[world->n_history++] = (struct operation){
		.is_read = call->is_read,
		.is_known = is_known,
		.key = call->key,
		.value = value,
		.from_ns = call->began_ns,
		.to_ns = is_known ? world->now_ns : UINT64_MAX,
	};
	if (is_known && world->now_ns - world->last_ok_ns > world->longest_ns)
		world->longest_ns = world->now_ns - world->last_ok_ns;
	if (is_known)
		world->last_ok_ns = world->now_ns;
}

static void call_over(struct world *world, uint32_t client, bool is_known, uint64_t value)
{
	struct call *call = &world->clients[client].call;

	call->is_open = false;
	if (!is_known)
		world->n_unknown++;
	note(world, call, is_known, value);
	client_next(world, client);
}

static void on_answer(struct world *world, const struct event *event)
{
	struct client *client = &world->clients[event->a];
	uint32_t from = (uint32_t)(event->c & 0xff);

	if (!client->call.is_open || client->call.number != (event->c >> 8 & 0xffffffff) ||
	    client->call.at != from)
		return;
	if (!dvs_reaches(world, client->node, from)) {
		later(world, 10 * MS, NODES_MAX, on_answer, event->a, event->b, event->c, NULL);
		return;
	}
	call_over(world, (uint32_t)event->a, event->c >> 40 == 0, event->b);
}

/* Somebody who does not know yet that it was followed may take itself for the primary; but it must not answer. */
static void reader_check(struct world *world, const struct node *node)
{
	if (node->term < world->best_term)
		fail(world, "a read was answered by a former primary");
	for (uint32_t i = 1; i <= CLIENTS; i++) {
		if (node->state.last_call[i] < world->acknowledged[i])
			fail(world, "an acknowledged entry is missing on a primary that answers");
	}
}

static void answer(struct world *world, struct node *node, uint32_t client, bool is_error,
		   uint64_t value)
{
	struct call *call = &world->clients[client].call;

	say(world, "node %u answers %s %u of client %u: %llu%s", node->number,
	    call->is_read ? "read" : "write", call->number, client, (unsigned long long)value,
	    is_error ? ", an error" : "");
	if (!is_error) {
		/* A write that all members had is done, even if one of them has become the primary since. */
		if (call->is_read)
			reader_check(world, node);
		if (node->term > world->best_term)
			world->best_term = node->term;
		if (call->is_read)
			world->n_reads++;
		else
			world->n_acknowledged++;
	}
	if (!call->is_read && !is_error)
		world->acknowledged[client + 1] = call->number;
	later(world, delay(world, 3 * MS), NODES_MAX, on_answer, client, value,
	      node->number | (uint64_t)call->number << 8 | (uint64_t)is_error << 40, NULL);
}

/* ---- the server ---- */

static void serve_read(struct world *world, struct node *node, uint32_t client)
{
	const struct call *call = &world->clients[client].call;

	node_enter(world, node);
	if (node->holds[call->key] == 0 && engine_may_read(node->engine)) {
		world->clients[client].call.is_answered = true;
		answer(world, node, client, false, node->state.value[call->key]);
	}
}

static void serve_write(struct world *world, struct node *node, uint32_t client)
{
	const struct call *call = &world->clients[client].call;
	struct block *block;
	dvs_err result;

	node_enter(world, node);
	if (call->resent)
		world->n_resent++;
	/* It is answered when that is done. */
	if (call->resent && engine_under_way(node->engine, dvs_ep_of(client + 1), call->number))
		return;
	if (call->resent &&
	    remember_find(node->remember, dvs_ep_of(client + 1), call->number, &result)) {
		world->n_remembered++;
		answer(world, node, client, result != DVS_OK, call->value);
		return;
	}
	block = calloc(1, sizeof(*block));
	block->world = world;
	block->node = node->number;
	block->key = call->key;
	block->value = call->value;
	block->entry.bytes = 100;
	block->entry.client = dvs_ep_of(client + 1);
	block->entry.call = call->number;
	list_init(&block->entry.logged);
	list_init(&block->on_disk);
	list_add_tail(&node->blocks, &block->all);
	node->holds[block->key]++;
	engine_submit(node->engine, &block->entry);
}

/* What comes for a server that is not the primary waits. */
static void on_arrive(struct world *world, const struct event *event)
{
	struct client *client = &world->clients[event->a];
	struct call *call = &client->call;
	struct node *node = &world->nodes[event->c];

	if (!call->is_open || call->number != event->b || call->at != event->c || call->is_taken)
		return;
	if (!node->is_up || node->life != call->life || node->is_paused || !node->term ||
	    !dvs_reaches(world, client->node, call->at)) {
		later(world, 5 * MS, NODES_MAX, on_arrive, event->a, event->b, event->c, NULL);
		return;
	}
	call->is_taken = true;
	if (call->is_read)
		serve_read(world, node, (uint32_t)event->a);
	else
		serve_write(world, node, (uint32_t)event->a);
}

void server_readers(struct world *world, struct node *node)
{
	for (uint32_t i = 0; i < CLIENTS; i++) {
		const struct call *call = &world->clients[i].call;

		if (call->is_open && call->is_taken && call->is_read && !call->is_answered &&
		    call->at == node->number && node->term)
			serve_read(world, node, i);
	}
}

static void on_readers(struct world *world, const struct event *event)
{
	server_readers(world, &world->nodes[event->node]);
}

void server_done(struct world *world, struct node *node, struct block *block, dvs_err err)
{
	uint32_t client = block->entry.client.n - 1;
	const struct call *call = &world->clients[client].call;

	if (err == DVS_BADSTATE)
		return;
	node->holds[block->key]--;
	if (call->is_open && call->number == block->entry.call && call->at == node->number &&
	    call->life == node->life)
		answer(world, node, client, err != DVS_OK, block->value);
	else if (err == DVS_OK)
		world->acknowledged[client + 1] = block->entry.call;
	later(world, 0, node->number, on_readers, 0, 0, 0, NULL);
}

void server_took(struct world *world, struct node *node)
{
	node->term = ++world->last_term;
	world->n_primaries++;
	memset(node->holds, 0, sizeof(node->holds));
}

void server_dropped(struct world *world, struct node *node)
{
	(void)world;
	node->term = 0;
	memset(node->holds, 0, sizeof(node->holds));
}

/* ---- the way of calls ---- */

static void call_place(struct world *world, uint32_t number)
{
	struct client *client = &world->clients[number];
	struct call *call = &client->call;
	uint32_t to = world->nodes[client->node].known_primary;

	if (!call->is_open)
		return;
	if (to == NODES_MAX) {
		if (call->at != NODES_MAX)
			call_over(world, number, false, call->value);
		return;
	}
	if (call->at != NODES_MAX &&
	    call->generation != world->nodes[client->node].known_generation) {
		call_over(world, number, false, call->value);
		return;
	}
	if (call->at == to)
		return;
	call->generation = world->nodes[client->node].known_generation;
	call->resent = call->at != NODES_MAX;
	call->at = to;
	call->life = world->nodes[to].life;
	call->is_taken = call->is_answered = false;
	later(world, delay(world, 3 * MS), NODES_MAX, on_arrive, number, call->number, to, NULL);
}

void clients_moved(struct world *world)
{
	for (uint32_t i = 0; i < CLIENTS; i++)
		call_place(world, i);
}

static void on_patience(struct world *world, const struct event *event)
{
	struct call *call = &world->clients[event->a].call;

	if (call->is_open && call->number == event->b)
		call_over(world, (uint32_t)event->a, false, call->value);
}

static void on_begin(struct world *world, const struct event *event)
{
	uint32_t number = (uint32_t)event->a;
	struct client *client = &world->clients[number];

	if (world->nodes[client->node].known_primary == NODES_MAX) {
		later(world, 20 * MS, NODES_MAX, on_begin, number, 0, 0, NULL);
		return;
	}
	client->call = (struct call){ .is_open = true,
				      .is_read = roll(world, 2) == 0,
				      .number = ++client->next_call,
				      .key = roll(world, KEYS),
				      .value = 0,
				      .began_ns = world->now_ns,
				      .at = NODES_MAX };
	if (!client->call.is_read)
		client->call.value = ++world->next_value;
	later(world, PATIENCE_NS, NODES_MAX, on_patience, number, client->call.number, 0, NULL);
	call_place(world, number);
}

static void client_next(struct world *world, uint32_t client)
{
	later(world, delay(world, 300 * MS), NODES_MAX, on_begin, client, 0, 0, NULL);
}

void clients_begin(struct world *world, uint32_t client)
{
	if (!world->history)
		world->history = calloc(HISTORY_MAX, sizeof(*world->history));
	client_next(world, client);
}

/* ---- is there an order of all operations on a register that explains what was read? ----
 *
 * Values are written once. All operations with one value form a zone: from the first end of one of them to the last begin of one. A zone is forward when that end comes before that begin;
 * then the register had the value from one to the other. There is such an order if no read ends before its write begins, no two forward zones overlap, and no backward
 * zone lies within a forward one (Gibbons and Korach). */
struct zone {
	uint64_t value;
	uint64_t first_end;
	uint64_t last_begin;
	uint64_t write_begin;
	bool is_written, is_read;
};

static struct zone *zone_of(struct zone *zones, uint32_t *n, uint64_t value)
{
	for (uint32_t i = *n; i-- > 0;) {
		if (zones[i].value == value)
			return &zones[i];
	}
	zones[*n] = (struct zone){ .value = value, .first_end = UINT64_MAX };
	return &zones[(*n)++];
}

static int compare(const void *a, const void *b)
{
	const struct zone *x = a, *y = b;

	return x->first_end < y->first_end ? -1 : x->first_end > y->first_end;
}

static bool zones_check(struct zone *zones, uint32_t n)
{
	uint64_t from = 0, to = 0;
	uint32_t kept = 0;

	/* forward ones, by their begin */
	for (uint32_t i = 0; i < n; i++) {
		if (zones[i].first_end < zones[i].last_begin) {
			struct zone zone = zones[i];

			zones[i] = zones[kept];
			zones[kept++] = zone;
		}
	}
	qsort(zones, kept, sizeof(*zones), compare);
	for (uint32_t i = 0; i < kept; i++) {
		if (i > 0 && zones[i].first_end < to)
			return false;
		from = zones[i].first_end;
		to = zones[i].last_begin;
		for (uint32_t j = kept; j < n; j++) {
			if (zones[j].last_begin > from && zones[j].first_end < to)
				return false;
		}
	}
	return true;
}

static bool key_check(const struct world *world, uint32_t key, struct zone *zones)
{
	uint32_t n = 0;
	uint32_t kept = 0;
	struct zone *zone = zone_of(zones, &n, 0);

	zone->is_written = true;
	zone->first_end = 0;
	for (uint32_t i = 0; i < world->n_history; i++) {
		const struct operation *op = &world->history[i];

		if (op->key != key)
			continue;
		zone = zone_of(zones, &n, op->value);
		if (op->to_ns < zone->first_end)
			zone->first_end = op->to_ns;
		if (op->from_ns > zone->last_begin)
			zone->last_begin = op->from_ns;
		if (op->is_read)
			zone->is_read = true;
		else
			zone->is_written = true;
		if (!op->is_read)
			zone->write_begin = op->from_ns;
	}
	for (uint32_t i = 0; i < n; i++) {
		if (!zones[i].is_written || zones[i].first_end < zones[i].write_begin)
			return false;
		/* A write that nobody saw and that was not answered may not have happened. */
		if (zones[i].first_end != UINT64_MAX)
			zones[kept++] = zones[i];
	}
	return zones_check(zones, kept);
}

static void tell(const struct world *world, uint32_t key)
{
	for (uint32_t i = 0; i < world->n_history; i++) {
		const struct operation *op = &world->history[i];

		if (op->key == key)
			say(world, "register %u: %s %llu from %.3f to %.3f ms", key,
			    op->is_read ? "read" : "write", (unsigned long long)op->value,
			    (double)op->from_ns / 1e6,
			    op->is_known ? (double)op->to_ns / 1e6 : -1.0);
	}
}

bool history_check(struct world *world)
{
	struct zone *zones = calloc(HISTORY_MAX + 1, sizeof(*zones));
	bool right = true;

	/* writes that are still under way may be seen already */
	for (uint32_t i = 0; i < CLIENTS; i++) {
		if (world->clients[i].call.is_open)
			note(world, &world->clients[i].call, false, world->clients[i].call.value);
	}
	for (uint32_t key = 0; key < KEYS && right; key++) {
		right = key_check(world, key, zones);
		if (!right)
			tell(world, key);
	}
	free(zones);
	return right;
}
