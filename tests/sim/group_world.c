/* SPDX-License-Identifier: Apache-2.0 */
#include "group_world.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum event_kind { EVENT_MESSAGE, EVENT_JOIN, EVENT_LEAVE };

/* On its way from a daemon to all. */
struct world_event {
	struct list link; /* in the daemon's queue; then in none */
	enum event_kind kind;
	uint32_t node;
	uint64_t generation; /* of the client */
	enum group_left why;
	size_t len;
	uint8_t bytes[];
};

typedef struct world_event *event_pointer;

struct world_ring {
	struct list link;
	uint64_t id;
	uint64_t nodes;
	event_pointer *events;
	size_t n;
};

enum item_kind { ITEM_MESSAGE, ITEM_VIEW, ITEM_RING, ITEM_LOST };

/* What a daemon has for its client. */
struct item {
	struct list link;
	enum item_kind kind;
	const struct world_event *event;
	struct group_view view;
	uint64_t ring; /* 0: the views of a ring are not all told yet */
};

struct world_client {
	struct engine engine;
	struct world *world;
	uint64_t generation;
	bool joined;   /* its daemon knows */
	bool has_view; /* it knows */
	bool cut;      /* the daemon is gone, which it may not know yet */
	bool killed;
	struct list items;
	uint64_t ring; /* as far as it has been told */
	bool told_quorum;
	uint64_t quorum_ring; /* that it knows the quorum of */
	bool quorate;
	uint64_t reach;
	uint32_t n_members;
};

static uint64_t bit(uint32_t node)
{
	return UINT64_C(1) << node;
}

uint32_t world_roll(struct world *world, uint32_t below)
{
	/* xorshift64* */
	world->random ^= world->random >> 12;
	world->random ^= world->random << 25;
	world->random ^= world->random >> 27;
	return (uint32_t)((world->random * UINT64_C(0x2545f4914f6cdd1d)) >> 33) % below;
}

static void *must(void *memory)
{
	if (!memory)
		abort();
	return memory;
}

/* ---- the client ---- */

static void event_add(struct world *world, uint32_t node, enum event_kind kind, const void *bytes,
		      size_t len)
{
	struct world_daemon *daemon = &world->daemons[node];
	struct world_event *event = must(calloc(1, sizeof(*event) + len));

	event->kind = kind;
	event->node = node;
	event->generation = daemon->client->generation;
	event->len = len;
	if (len > 0)
		memcpy(event->bytes, bytes, len);
	if (kind == EVENT_LEAVE)
		event->why = daemon->client->killed ? GROUP_DIED : GROUP_LEFT;
	list_add_tail(&daemon->out, &event->link);
}

static dvs_err client_cast(struct engine *engine, const void *bytes, size_t len)
{
	struct world_client *client = CONTAINER_OF(engine, struct world_client, engine);

	if (len > GROUP_CAST_MAX)
		return DVS_TOOBIG;
	if (client->cut || !client->has_view)
		return DVS_IO;
	if (world_roll(client->world, 20) == 0)
		return DVS_FULL;
	event_add(client->world, engine->node, EVENT_MESSAGE, bytes, len);
	return DVS_OK;
}

static int client_fd(const struct engine *engine)
{
	(void)engine;
	return -1;
}

static void items_free(struct world_client *client)
{
	while (!list_is_empty(&client->items))
		free(CONTAINER_OF(list_take_head(&client->items), struct item, link));
}

static void client_join(struct world_client *client)
{
	client->joined = client->has_view = client->cut = false;
	client->generation = ++client->world->last_generation;
	client->ring = client->quorum_ring = 0;
	event_add(client->world, client->engine.node, EVENT_JOIN, NULL, 0);
}

static void client_item(struct world_client *client, struct item *item)
{
	const struct engine_events *events = &client->engine.events;

	switch (item->kind) {
	case ITEM_MESSAGE:
		events->deliver(events->context, item->event->node, item->event->bytes,
				item->event->len);
		break;
	case ITEM_VIEW:
		client->ring = item->ring;
		client->told_quorum = false;
		client->has_view = true;
		client->n_members = item->view.n_members;
		events->view(events->context, &item->view);
		break;
	case ITEM_RING:
		client->ring = item->ring;
		client->told_quorum = false;
		break;
	case ITEM_LOST:
		client->has_view = false;
		client->ring = 0;
		events->lost(events->context, "the daemon was killed");
		break;
	}
	free(item);
}

static void client_dispatch(struct engine *engine)
{
	struct world_client *client = CONTAINER_OF(engine, struct world_client, engine);
	const struct engine_events *events = &client->engine.events;
	uint32_t n = 1 + world_roll(client->world, 5);

	for (uint32_t i = 0; i < n && !list_is_empty(&client->items); i++) {
		struct item *item = CONTAINER_OF(client->items.next, struct item, link);

		/* So that who looks after each dispatch sees how a view ended. */
		if (i > 0 && item->kind == ITEM_VIEW)
			break;
		list_remove(&item->link);
		client_item(client, item);
	}
	if (!client->told_quorum && client->has_view && client->ring != 0 &&
	    client->quorum_ring == client->ring) {
		client->told_quorum = true;
		events->reach(events->context, client->reach);
		/* Those who have no process here do not count. */
		events->quorum(events->context,
			       client->quorate && client->n_members * 2 > client->world->n_nodes);
	}
}

static void client_close(struct engine *engine)
{
	struct world_client *client = CONTAINER_OF(engine, struct world_client, engine);
	struct world_daemon *daemon = &client->world->daemons[engine->node];

	if (daemon->up && !client->cut)
		event_add(client->world, engine->node, EVENT_LEAVE, NULL, 0);
	daemon->client = NULL;
	items_free(client);
	free(client);
}

static const struct engine_ops client_ops = {
	.name = "world",
	.cast = client_cast,
	.fd = client_fd,
	.dispatch = client_dispatch,
	.close = client_close,
};

dvs_err world_engine_open(void *argument, const struct engine_events *events,
			  struct engine **engine)
{
	const struct world_place *place = argument;
	struct world_daemon *daemon = &place->world->daemons[place->node];
	struct world_client *client;

	if (!daemon->up)
		return DVS_IO;
	client = must(calloc(1, sizeof(*client)));
	client->engine = (struct engine){ &client_ops, *events, place->node };
	client->world = place->world;
	list_init(&client->items);
	assert(!daemon->client);
	daemon->client = client;
	client_join(client);
	*engine = &client->engine;
	return DVS_OK;
}

void world_kill_client(struct world *world, uint32_t node)
{
	if (world->daemons[node].client)
		world->daemons[node].client->killed = true;
}

/* ---- from the daemon to the client ---- */

static struct item *item_add(struct world_daemon *daemon, enum item_kind kind, uint64_t ring)
{
	struct item *item = must(calloc(1, sizeof(*item)));

	item->kind = kind;
	item->ring = ring;
	list_add_tail(&daemon->client->items, &item->link);
	return item;
}

static uint32_t nodes_put(uint64_t nodes, uint32_t *list)
{
	uint32_t n = 0;

	for (uint32_t node = 0; node < WORLD_NODES_MAX; node++) {
		if (nodes & bit(node))
			list[n++] = node;
	}
	return n;
}

/* The group of DAEMON is another one now. */
static void view_add(struct world_daemon *daemon, uint64_t joined, uint64_t left,
		     enum group_left why, uint64_t ring)
{
	struct group_view *view;

	if (!daemon->client || !daemon->client->joined)
		return;
	view = &item_add(daemon, ITEM_VIEW, ring)->view;
	view->n_members = nodes_put(daemon->group, view->members);
	view->n_joined = nodes_put(joined, view->joined);
	view->n_left = nodes_put(left, view->left);
	for (uint32_t i = 0; i < view->n_left; i++)
		view->why[i] = why;
}

static void daemon_take(struct world *world, uint32_t node, const struct world_event *event)
{
	struct world_daemon *daemon = &world->daemons[node];
	struct world_client *client = daemon->client;

	switch (event->kind) {
	case EVENT_MESSAGE:
		if (client && client->joined)
			item_add(daemon, ITEM_MESSAGE, 0)->event = event;
		break;
	case EVENT_JOIN:
		daemon->group |= bit(event->node);
		if (client && event->generation == client->generation)
			client->joined = true;
		view_add(daemon, bit(event->node), 0, GROUP_LOST, daemon->ring->id);
		break;
	case EVENT_LEAVE:
		daemon->group &= ~bit(event->node);
		view_add(daemon, 0, bit(event->node), event->why, daemon->ring->id);
		break;
	}
}

bool world_send(struct world *world, uint32_t node)
{
	struct world_daemon *daemon = &world->daemons[node];
	struct world_ring *ring = daemon->ring;

	if (!daemon->up || list_is_empty(&daemon->out))
		return false;
	ring->events = must(realloc(ring->events, (ring->n + 1) * sizeof(event_pointer)));
	ring->events[ring->n++] =
		CONTAINER_OF(list_take_head(&daemon->out), struct world_event, link);
	return true;
}

bool world_receive(struct world *world, uint32_t node)
{
	struct world_daemon *daemon = &world->daemons[node];

	if (!daemon->up || daemon->at == daemon->ring->n)
		return false;
	daemon_take(world, node, daemon->ring->events[daemon->at++]);
	return true;
}

bool world_know_quorum(struct world *world, uint32_t node)
{
	struct world_daemon *daemon = &world->daemons[node];
	struct world_client *client = daemon->client;

	if (!daemon->up || !client || client->cut || client->quorum_ring == daemon->ring->id)
		return false;
	client->quorum_ring = daemon->ring->id;
	client->reach = daemon->ring->nodes;
	client->quorate = (uint32_t)__builtin_popcountll(daemon->ring->nodes) * 2 > world->n_nodes;
	client->told_quorum = false;
	if (!client->quorate && client->has_view && world_roll(world, 2) == 0)
		client->engine.events.quorum(client->engine.events.context, false);
	return true;
}

bool world_is_quiet(const struct world *world, uint32_t node)
{
	const struct world_daemon *daemon = &world->daemons[node];

	if (!daemon->up)
		return true;
	return list_is_empty(&daemon->out) && daemon->at == daemon->ring->n &&
	       (!daemon->client ||
		(list_is_empty(&daemon->client->items) &&
		 daemon->client->quorum_ring == daemon->ring->id && daemon->client->told_quorum));
}

/* ---- rings ---- */

static struct world_ring *ring_new(struct world *world, uint64_t nodes)
{
	struct world_ring *ring = must(calloc(1, sizeof(*ring)));

	ring->id = ++world->last_ring;
	ring->nodes = nodes;
	list_add_tail(&world->rings, &ring->link);
	return ring;
}

/* TOGETHER leave their ring for the same next one: what do they still have of it? */
static void ring_recover(struct world *world, const struct world_ring *ring, uint64_t together)
{
	size_t most = 0;

	for (uint32_t node = 0; node < world->n_nodes; node++) {
		if ((together & bit(node)) && world->daemons[node].at > most)
			most = world->daemons[node].at;
	}
	for (uint32_t node = 0; node < world->n_nodes; node++) {
		struct world_daemon *daemon = &world->daemons[node];

		if (!(together & bit(node)))
			continue;
		for (; daemon->at < ring->n; daemon->at++) {
			const struct world_event *event = ring->events[daemon->at];

			if (daemon->at < most || (together & bit(event->node)))
				daemon_take(world, node, event);
		}
	}
}

/* NODE goes with TOGETHER to RING, where the group is GROUP. */
static void daemon_enter(struct world *world, uint32_t node, uint64_t together,
			 struct world_ring *ring, uint64_t group)
{
	struct world_daemon *daemon = &world->daemons[node];
	uint64_t left = daemon->group & ~together;
	uint64_t joined = group & ~(daemon->group & together);
	bool at_once = world_roll(world, 2) == 0;

	daemon->ring = ring;
	daemon->at = 0;
	if (at_once && (left | joined)) {
		daemon->group = group;
		view_add(daemon, joined, left, GROUP_LOST, ring->id);
		return;
	}
	if (left) {
		daemon->group &= ~left;
		view_add(daemon, 0, left, GROUP_LOST, joined ? 0 : ring->id);
	}
	for (uint32_t other = 0; other < world->n_nodes; other++) {
		if (!(joined & bit(other)))
			continue;
		daemon->group |= bit(other);
		view_add(daemon, bit(other), 0, GROUP_LOST, daemon->group == group ? ring->id : 0);
	}
	if (!left && !joined && daemon->client && daemon->client->joined)
		item_add(daemon, ITEM_RING, ring->id);
}

static uint64_t together_of(const struct world *world, uint64_t nodes, uint32_t with)
{
	uint64_t together = 0;

	for (uint32_t node = 0; node < world->n_nodes; node++) {
		if ((nodes & bit(node)) && world->daemons[node].ring == world->daemons[with].ring)
			together |= bit(node);
	}
	return together;
}

static void form_one(struct world *world, uint64_t nodes)
{
	uint64_t together[WORLD_NODES_MAX] = { 0 };
	uint64_t group = 0;
	struct world_ring *ring;

	for (uint32_t node = 0; node < world->n_nodes; node++) {
		if (!(nodes & bit(node)))
			continue;
		together[node] = together_of(world, nodes, node);
		if ((together[node] & (bit(node) - 1)) == 0)
			ring_recover(world, world->daemons[node].ring, together[node]);
	}
	for (uint32_t node = 0; node < world->n_nodes; node++) {
		if (nodes & bit(node))
			group |= world->daemons[node].group & together[node];
	}
	ring = ring_new(world, nodes);
	if (world->verbose)
		printf("# ring %" PRIu64 " of %" PRIx64 ", group %" PRIx64 "\n", ring->id, nodes,
		       group);
	for (uint32_t node = 0; node < world->n_nodes; node++) {
		if (nodes & bit(node))
			daemon_enter(world, node, together[node], ring, group);
	}
}

void world_form(struct world *world)
{
	uint64_t done = 0;

	for (uint32_t node = 0; node < world->n_nodes; node++) {
		const struct world_daemon *daemon = &world->daemons[node];
		uint64_t nodes = 0;

		if (!daemon->up || (done & bit(node)))
			continue;
		for (uint32_t other = node; other < world->n_nodes; other++) {
			if (world->daemons[other].up &&
			    world->daemons[other].component == daemon->component)
				nodes |= bit(other);
		}
		done |= nodes;
		if (together_of(world, nodes, node) != nodes || daemon->ring->nodes != nodes)
			form_one(world, nodes);
	}
}

void world_daemon_down(struct world *world, uint32_t node)
{
	struct world_daemon *daemon = &world->daemons[node];
	struct world_client *client = daemon->client;

	daemon->up = false;
	if (world->verbose)
		printf("# daemon %u is down\n", node);
	daemon->group = 0;
	while (!list_is_empty(&daemon->out))
		free(CONTAINER_OF(list_take_head(&daemon->out), struct world_event, link));
	if (client && !client->cut) {
		/* What it was about to be told is lost with it, or is not. */
		if (world_roll(world, 2) == 0)
			items_free(client);
		client->cut = true;
		client->joined = false;
		item_add(daemon, ITEM_LOST, 0);
	}
}

void world_daemon_up(struct world *world, uint32_t node)
{
	struct world_daemon *daemon = &world->daemons[node];

	daemon->up = true;
	daemon->ring = ring_new(world, bit(node));
	daemon->at = 0;
	daemon->group = 0;
	if (!daemon->client)
		return;
	/* It finds out first that it was cut. */
	while (!list_is_empty(&daemon->client->items))
		client_item(daemon->client, CONTAINER_OF(list_take_head(&daemon->client->items),
							 struct item, link));
	client_join(daemon->client);
}

void world_open(struct world *world, uint64_t seed, uint32_t n_nodes)
{
	*world = (struct world){ .random = seed * 2 + 1, .n_nodes = n_nodes };
	for (int i = 0; i < 8; i++)
		(void)world_roll(world, 2);
	list_init(&world->rings);
	for (uint32_t node = 0; node < n_nodes; node++) {
		list_init(&world->daemons[node].out);
		world_daemon_up(world, node);
		world->daemons[node].component = node;
	}
}

void world_close(struct world *world)
{
	for (uint32_t node = 0; node < world->n_nodes; node++)
		world_daemon_down(world, node);
	while (!list_is_empty(&world->rings)) {
		struct world_ring *ring =
			CONTAINER_OF(list_take_head(&world->rings), struct world_ring, link);

		for (size_t i = 0; i < ring->n; i++)
			free(ring->events[i]);
		free(ring->events);
		free(ring);
	}
}
