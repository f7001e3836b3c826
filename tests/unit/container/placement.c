/* SPDX-License-Identifier: Apache-2.0 */
/* Random programs on random nodes: what must hold of every placement, and of two that differ by one node. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "container/program.h"
#include "unit.h"

#define ROUNDS 2000
#define NODES 64u

struct world {
	uint64_t random;
	char names[NODES][16];
	char program_name[16];
	struct placement_node nodes[NODES];
	size_t n_nodes;
	struct program program;
	size_t where[PROGRAM_REPLICAS_MAX];
	size_t n;
};

static uint64_t draw(struct world *world, uint64_t below)
{
	world->random = world->random * UINT64_C(6364136223846793005) + 1442695040888963407u;
	return (world->random >> 33) % below;
}

static uint64_t seed_of_run(void)
{
	const char *given = getenv("SEED");
	uint64_t seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);

	printf("# SEED=%" PRIu64 "\n", seed);
	fflush(stdout);
	return seed;
}

static void make_world(struct world *world)
{
	size_t number = 0;

	world->n_nodes = draw(world, 20);
	for (size_t i = 0; i < world->n_nodes; i++) {
		number += 1 + draw(world, 3);
		snprintf(world->names[i], sizeof(world->names[i]), "host%zu", number);
		world->nodes[i] = (struct placement_node){ (uint32_t)number, world->names[i],
							   draw(world, 4) != 0,
							   draw(world, 6) == 0 };
	}
	memset(&world->program, 0, sizeof(world->program));
	world->program.replicas = draw(world, 8) == 0 ? PROGRAM_EACH : (uint32_t)draw(world, 60);
	for (size_t i = 0; draw(world, 2) == 0 && i < world->n_nodes; i++)
		world->program.nodes[world->program.n_nodes++] =
			world->names[draw(world, world->n_nodes)];
	snprintf(world->program_name, sizeof(world->program_name), "p%u",
		 (unsigned int)draw(world, 1000));
}

static bool may(const struct world *world, size_t i)
{
	for (size_t k = 0; k < world->program.n_nodes; k++) {
		if (strcmp(world->program.nodes[k], world->nodes[i].name) == 0)
			return true;
	}
	return world->program.n_nodes == 0;
}

static bool can(const struct world *world, size_t i)
{
	return may(world, i) && world->nodes[i].up && !world->nodes[i].draining;
}

static void place(struct world *world)
{
	placement(world->program_name, &world->program, world->nodes, world->n_nodes, world->where,
		  &world->n);
}

static void all_up(struct world *world)
{
	for (size_t i = 0; i < world->n_nodes; i++) {
		world->nodes[i].up = true;
		world->nodes[i].draining = false;
	}
}

TEST(each_replica_is_placed_if_a_node_can_take_it_and_they_are_shared_evenly)
{
	static struct world world;

	world.random = seed_of_run();
	for (int round = 0; round < ROUNDS; round++) {
		size_t load[NODES] = { 0 };
		size_t least = SIZE_MAX;
		size_t most = 0;
		size_t able = 0;

		make_world(&world);
		if (world.program.replicas == PROGRAM_EACH)
			continue;
		place(&world);
		ck_assert_uint_eq(world.n, world.program.replicas);
		for (size_t i = 0; i < world.n_nodes; i++)
			able += can(&world, i);
		for (size_t r = 0; r < world.n; r++) {
			ck_assert_msg((world.where[r] == SIZE_MAX) == (able == 0), "round %d",
				      round);
			if (world.where[r] == SIZE_MAX)
				continue;
			ck_assert_msg(can(&world, world.where[r]), "round %d", round);
			load[world.where[r]]++;
		}
		for (size_t i = 0; i < world.n_nodes; i++) {
			if (!can(&world, i))
				continue;
			least = load[i] < least ? load[i] : least;
			most = load[i] > most ? load[i] : most;
		}
		ck_assert_msg(able == 0 || most - least <= 1, "round %d: %zu and %zu", round, least,
			      most);
	}
}

TEST(when_a_node_goes_only_its_replicas_and_guests_move)
{
	static struct world world;
	static struct world after;
	static struct world homes;

	world.random = seed_of_run();
	for (int round = 0; round < ROUNDS; round++) {
		size_t gone;

		make_world(&world);
		if (world.n_nodes == 0)
			continue;
		place(&world);
		homes = world;
		all_up(&homes);
		place(&homes);
		after = world;
		gone = draw(&world, world.n_nodes);
		after.nodes[gone].up = false;
		place(&after);
		for (size_t r = 0; r < world.n; r++) {
			if (after.where[r] == world.where[r] || world.where[r] == gone)
				continue;
			ck_assert_msg(world.where[r] != homes.where[r],
				      "round %d: replica %zu was at home and moved", round, r);
		}
		for (size_t r = 0; r < homes.n; r++)
			ck_assert_msg(homes.where[r] == SIZE_MAX || !can(&world, homes.where[r]) ||
					      world.where[r] == homes.where[r],
				      "round %d: replica %zu is not at home", round, r);
	}
}

/* One node goes while all others are up: nothing moves but what it had. */
TEST(the_first_node_to_go_moves_nothing_but_its_own)
{
	static struct world world;
	static struct world after;

	world.random = seed_of_run();
	for (int round = 0; round < ROUNDS; round++) {
		size_t gone;

		make_world(&world);
		if (world.n_nodes == 0)
			continue;
		all_up(&world);
		place(&world);
		after = world;
		gone = draw(&world, world.n_nodes);
		after.nodes[gone].draining = true;
		place(&after);
		for (size_t r = 0; r < world.n; r++)
			ck_assert_msg(world.where[r] == gone || world.where[r] == after.where[r],
				      "round %d: replica %zu moved", round, r);
	}
}

TEST(more_replicas_change_no_home)
{
	static struct world world;
	static struct world after;

	world.random = seed_of_run();
	for (int round = 0; round < ROUNDS; round++) {
		make_world(&world);
		if (world.program.replicas == PROGRAM_EACH)
			continue;
		all_up(&world);
		place(&world);
		after = world;
		after.program.replicas += (uint32_t)draw(&world, 20);
		place(&after);
		ck_assert_msg(memcmp(world.where, after.where, world.n * sizeof(world.where[0])) ==
				      0,
			      "round %d", round);
	}
}

TEST(what_does_not_matter_changes_nothing)
{
	static struct world world;
	static struct world other;

	world.random = seed_of_run();
	for (int round = 0; round < ROUNDS; round++) {
		const char **nodes = other.program.nodes;

		make_world(&world);
		place(&world);
		other = world;
		/* The order of the program's list, names instead of numbers, nodes it may not have being up. */
		for (size_t i = 0; i + 1 < other.program.n_nodes; i++) {
			size_t k = i + draw(&world, other.program.n_nodes - i);
			const char *held = nodes[i];

			nodes[i] = nodes[k];
			nodes[k] = held;
		}
		for (size_t i = 0; i < other.program.n_nodes; i++)
			nodes[i] += draw(&world, 2) == 0 ? strlen("host") : 0;
		for (size_t i = 0; i < other.n_nodes; i++)
			other.nodes[i].up ^= !may(&world, i);
		other.program.retries = 7;
		other.program.endpoint = 3;
		place(&other);
		ck_assert_uint_eq(world.n, other.n);
		ck_assert_msg(memcmp(world.where, other.where, world.n * sizeof(world.where[0])) ==
				      0,
			      "round %d", round);
	}
}

TEST(each_node_has_the_replica_of_its_number)
{
	static struct world world;

	world.random = seed_of_run();
	for (int round = 0; round < ROUNDS; round++) {
		size_t found = 0;

		make_world(&world);
		world.program.replicas = PROGRAM_EACH;
		place(&world);
		for (size_t r = 0; r < world.n; r++) {
			if (world.where[r] == SIZE_MAX)
				continue;
			found++;
			ck_assert_uint_eq(world.nodes[world.where[r]].node, r);
		}
		for (size_t i = 0; i < world.n_nodes; i++)
			found -= can(&world, i);
		ck_assert_uint_eq(found, 0);
	}
}

/* Replicas of several programs with one replica must not all gather on one node. */
TEST(programs_are_spread_over_the_nodes)
{
	static struct world world;
	size_t load[8] = { 0 };

	world.n_nodes = 8;
	for (size_t i = 0; i < 8; i++)
		world.nodes[i] = (struct placement_node){ (uint32_t)i, "n", true, false };
	world.program.replicas = 1;
	for (int p = 0; p < 800; p++) {
		snprintf(world.program_name, sizeof(world.program_name), "web%d", p);
		place(&world);
		load[world.where[0]]++;
	}
	for (size_t i = 0; i < 8; i++)
		ck_assert_msg(load[i] > 60 && load[i] < 140, "node %zu has %zu", i, load[i]);
}

UNIT_MAIN("container-placement",
	  each_replica_is_placed_if_a_node_can_take_it_and_they_are_shared_evenly,
	  when_a_node_goes_only_its_replicas_and_guests_move,
	  the_first_node_to_go_moves_nothing_but_its_own, more_replicas_change_no_home,
	  what_does_not_matter_changes_nothing, each_node_has_the_replica_of_its_number,
	  programs_are_spread_over_the_nodes)
