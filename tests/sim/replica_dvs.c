/* SPDX-License-Identifier: Apache-2.0 */
/* The record, the service's endpoint, and who is taken for dead. */
#include "replica_world.h"

#include <stdlib.h>

bool dvs_reaches(const struct world *world, uint32_t from, uint32_t to)
{
	return world->nodes[from].component == world->nodes[to].component;
}

bool dvs_is_quorate(const struct world *world, uint32_t node)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < world->n_nodes; i++)
		n += dvs_reaches(world, node, i);
	return n * 2 > world->n_nodes;
}

/* What happens is known to those in the quorum. */
void dvs_learn(struct world *world)
{
	for (uint32_t i = 0; i < world->n_nodes; i++) {
		struct node *node = &world->nodes[i];

		if (!dvs_is_quorate(world, i) || node->is_down)
			continue;
		node->known_version = world->version;
		node->known_view = world->view;
		node->known_primary = world->primary;
		node->known_generation = world->generation;
	}
}

/* ---- the endpoint ---- */

static void on_promoted(struct world *world, const struct event *event)
{
	(void)world;
	engine_promoted(world->nodes[event->node].engine);
}

static void on_lost(struct world *world, const struct event *event)
{
	engine_lost(world->nodes[event->node].engine);
}

static void primary_gone(struct world *world)
{
	world->primary = NODES_MAX;
	while (world->n_backups > 0 && world->primary == NODES_MAX) {
		const struct node *heir = &world->nodes[world->backups[0]];
		uint32_t life = world->backup_life[0];

		world->n_backups--;
		for (uint32_t i = 0; i < world->n_backups; i++) {
			world->backups[i] = world->backups[i + 1];
			world->backup_life[i] = world->backup_life[i + 1];
		}
		/* of a process whose end nobody could hear of */
		if (!heir->is_up || heir->life != life)
			continue;
		world->primary = heir->number;
		world->primary_life = life;
		say(world, "promoted %u", world->primary);
		later(world, delay(world, 5 * MS), world->primary, on_promoted, 0, 0, 0, NULL);
	}
	dvs_learn(world);
	clients_moved(world);
}

static bool backup_remove(struct world *world, uint32_t node)
{
	for (uint32_t i = 0; i < world->n_backups; i++) {
		if (world->backups[i] != node)
			continue;
		world->n_backups--;
		for (; i < world->n_backups; i++) {
			world->backups[i] = world->backups[i + 1];
			world->backup_life[i] = world->backup_life[i + 1];
		}
		return true;
	}
	return false;
}

static void bindings_end(struct world *world, uint32_t node)
{
	(void)backup_remove(world, node);
	if (world->primary == node)
		primary_gone(world);
}

static uint32_t life_of_backup(const struct world *world, uint32_t number);

void dvs_tell_demoted(struct world *world, struct node *node)
{
	enum engine_role role = engine_role(node->engine);

	if ((role != ENGINE_PRIMARY && role != ENGINE_CANDIDATE) ||
	    world->primary == node->number || life_of_backup(world, node->number) != node->life ||
	    !dvs_is_quorate(world, node->number) || node->is_down)
		return;
	say(world, "node %u sees that it was overtaken", node->number);
	(void)backup_remove(world, node->number);
	engine_lost(node->engine);
}

void dvs_process_dead(struct world *world, uint32_t node)
{
	/* Of one that is cut off nobody hears that. */
	if (dvs_is_quorate(world, node))
		bindings_end(world, node);
}

void dvs_look(struct world *world)
{
	const struct node *node = &world->nodes[world->primary % NODES_MAX];

	if (world->primary != NODES_MAX && dvs_is_quorate(world, node->number) && !node->is_down &&
	    (!node->is_up || node->life != world->primary_life))
		bindings_end(world, node->number);
}

static void on_detected(struct world *world, const struct event *event)
{
	struct node *node = &world->nodes[event->a];
	bool was_bound = world->primary == node->number;

	if (dvs_is_quorate(world, node->number) || node->is_down)
		return;
	for (uint32_t i = 0; i < world->n_nodes; i++) {
		if (!dvs_is_quorate(world, i))
			continue;
		say(world, "node %u is down%s", node->number, was_bound ? ", the primary" : "");
		node->is_down = true;
		node->wants_unbind = false;
		bindings_end(world, node->number);
		return;
	}
}

static void on_rejoined(struct world *world, const struct event *event)
{
	struct node *node = &world->nodes[event->a];

	if (!dvs_is_quorate(world, node->number))
		return;
	if (node->is_down) {
		node->is_down = false;
		say(world, "node %u is up", node->number);
		if (node->is_up)
			later(world, 0, node->number, on_lost, 0, 0, 0, NULL);
	} else if (!node->is_up || node->wants_unbind ||
		   (world->primary == node->number && world->primary_life != node->life)) {
		bindings_end(world, node->number);
	}
	node->wants_unbind = false;
	dvs_learn(world);
	clients_moved(world);
}

void dvs_components_changed(struct world *world)
{
	for (uint32_t i = 0; i < world->n_nodes; i++) {
		if (dvs_is_quorate(world, i))
			later(world, MS + delay(world, 1000 * MS), NODES_MAX, on_rejoined, i, 0, 0,
			      NULL);
		else
			later(world, 50 * MS + delay(world, 1500 * MS), NODES_MAX, on_detected, i,
			      0, 0, NULL);
	}
}

static void on_result(struct world *world, const struct event *event)
{
	struct node *node = &world->nodes[event->node];
	dvs_err err = event->a ? (event->a == 2 ? DVS_INUSE : DVS_NODVSD) : DVS_OK;

	if (event->b == 0)
		engine_took(node->engine, err);
	else if (event->b == 1)
		engine_backed(node->engine, err);
	else if (event->b == 2)
		engine_promoted_other(node->engine, err);
	else if (event->b == 5)
		engine_heir_answered(node->engine, (uint32_t)event->c,
				     event->a ? DVS_NOPROC : DVS_OK);
	else if (event->b == 3)
		engine_looked(node->engine, err, event->c != 0);
	else
		engine_certain(node->engine, event->c != 0);
}

static void answer(struct world *world, struct node *node, uint64_t what, uint64_t err, uint64_t c)
{
	later(world, delay(world, 10 * MS), node->number, on_result, err, what, c, NULL);
}

static bool may_change(const struct world *world, const struct node *node)
{
	return dvs_is_quorate(world, node->number) && !node->is_down;
}

/* What it gave up when nobody could hear of it comes first. */
static void unbind_late(struct world *world, struct node *node)
{
	if (node->wants_unbind && may_change(world, node)) {
		node->wants_unbind = false;
		bindings_end(world, node->number);
	}
}

void ops_take(void *context)
{
	struct node *node = context;
	struct world *world = world_of(node);

	unbind_late(world, node);
	if (!may_change(world, node)) {
		answer(world, node, 0, 1, 0);
	} else if (world->primary != NODES_MAX) {
		answer(world, node, 0, 2, 0);
	} else {
		world->primary = node->number;
		world->primary_life = node->life;
		world->generation++;
		dvs_learn(world);
		clients_moved(world);
		answer(world, node, 0, 0, 0);
	}
}

void ops_backup(void *context)
{
	struct node *node = context;
	struct world *world = world_of(node);

	unbind_late(world, node);
	if (!may_change(world, node) || world->primary == NODES_MAX ||
	    world->primary == node->number) {
		answer(world, node, 1, 1, 0);
		return;
	}
	(void)backup_remove(world, node->number);
	world->backups[world->n_backups] = node->number;
	world->backup_life[world->n_backups++] = node->life;
	answer(world, node, 1, 0, 0);
}

void ops_give_up(void *context)
{
	struct node *node = context;
	struct world *world = world_of(node);

	if (may_change(world, node))
		bindings_end(world, node->number);
	else
		node->wants_unbind = true;
}

void ops_look(void *context)
{
	struct node *node = context;
	struct world *world = world_of(node);

	answer(world, node, 3, 0, node->known_primary != NODES_MAX);
}

void ops_is_dead(void *context, uint32_t number, dvs_ep ep)
{
	struct node *node = context;
	struct world *world = world_of(node);
	const struct node *other = &world->nodes[number];
	bool is_known = may_change(world, node) && may_change(world, other);

	answer(world, node, 4, 0, is_known && (!other->is_up || ep_of(other).n != ep.n));
}

/* 0: it has none. */
static uint32_t life_of_backup(const struct world *world, uint32_t number)
{
	uint32_t life = 0;

	for (uint32_t i = 0; i < world->n_backups; i++) {
		if (world->backups[i] == number)
			life = world->backup_life[i];
	}
	return life;
}

void ops_ask_heir(void *context, uint32_t number, dvs_ep ep)
{
	struct node *node = context;
	struct world *world = world_of(node);

	(void)ep;
	answer(world, node, 5, life_of_backup(world, number) == 0, number);
}

static void make_primary(struct world *world, uint32_t number, uint32_t life)
{
	uint32_t former = world->primary;

	(void)backup_remove(world, number);
	world->backup_life[world->n_backups] = world->primary_life;
	world->backups[world->n_backups++] = former;
	world->primary = number;
	world->primary_life = life;
	later(world, delay(world, 5 * MS), number, on_promoted, 0, 0, 0, NULL);
	dvs_learn(world);
	clients_moved(world);
}

void ops_overtake(void *context)
{
	struct node *node = context;
	struct world *world = world_of(node);
	uint32_t life = life_of_backup(world, node->number);

	if (!may_change(world, node) || world->primary == NODES_MAX ||
	    world->primary == node->number || life == 0)
		return;
	say(world, "node %u overtakes %u", node->number, world->primary);
	world->n_overtaken++;
	make_primary(world, node->number, life);
}

void ops_promote(void *context, uint32_t number, dvs_ep ep)
{
	struct node *node = context;
	struct world *world = world_of(node);
	uint32_t life = life_of_backup(world, number);

	(void)ep;
	if (!may_change(world, node) || world->primary != node->number || life == 0) {
		answer(world, node, 2, 1, 0);
		return;
	}
	world->n_handed++;
	say(world, "handed over from %u to %u", node->number, number);
	make_primary(world, number, life);
	answer(world, node, 2, 0, 0);
}

/* ---- the record ---- */

struct setting {
	uint64_t version;
	struct engine_view view;
	bool is_told;
};

static void on_set(struct world *world, const struct event *event)
{
	engine_set(world->nodes[event->node].engine,
		   event->a == 0 ? DVS_OK :
		   event->a == 1 ? DVS_EXISTS :
		   event->a == 2 ? DVS_NOQUORUM :
				   DVS_NODVSD,
		   event->b);
}

static void on_setting(struct world *world, const struct event *event)
{
	struct setting *setting = event->pointer;
	uint32_t node = (uint32_t)event->a;
	uint64_t result = 1;

	world->nodes[node].n_settings--;

	if (setting->version == world->version) {
		world->view_before = world->view;
		world->view = setting->view;
		world->version++;
		result = 0;
		say(world, "record %llu: epoch %llu primary %u members %llx by %u",
		    (unsigned long long)world->version, (unsigned long long)setting->view.epoch,
		    setting->view.primary, (unsigned long long)setting->view.members, node);
		dvs_learn(world);
	}
	if (setting->is_told && world->nodes[node].life == event->b)
		later(world, delay(world, 5 * MS), node, on_set, result, world->version, 0, NULL);
	free(setting);
}

void ops_set_record(void *context, uint64_t version, const struct engine_view *view)
{
	struct node *node = context;
	struct world *world = world_of(node);
	struct setting *setting = calloc(1, sizeof(*setting));

	*setting = (struct setting){ .version = version, .view = *view, .is_told = true };
	if (!may_change(world, node)) {
		free(setting);
		later(world, delay(world, 20 * MS), node->number, on_set, 2, 0, 0, NULL);
		return;
	}
	/* Nobody tells what became of it; it may happen, perhaps later. */
	if (!world->is_calm && roll(world, 20) == 0) {
		setting->is_told = false;
		later(world, delay(world, 50 * MS), node->number, on_set, 3, 0, 0, NULL);
		if (roll(world, 3) == 0) {
			free(setting);
			return;
		}
	}
	node->n_settings++;
	later(world, delay(world, setting->is_told ? 10 * MS : 400 * MS), NODES_MAX, on_setting,
	      node->number, node->life, 0, setting);
}

static void on_read(struct world *world, const struct event *event)
{
	struct node *node = &world->nodes[event->node];
	struct engine_view view = node->known_view;
	uint64_t version = node->known_version;

	if (!world->is_calm && version > 1 && version == world->version && roll(world, 20) == 0) {
		view = world->view_before;
		version--;
	}
	engine_record(node->engine, DVS_OK, version, version ? &view : NULL);
}

void ops_read_record(void *context)
{
	struct node *node = context;
	struct world *world = world_of(node);

	later(world, delay(world, 5 * MS), node->number, on_read, 0, 0, 0, NULL);
}
