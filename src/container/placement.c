/* SPDX-License-Identifier: Apache-2.0 */
/* Each replica has a home among the nodes that may have it, whether they are up or not: of those that are home to the fewest replicas before it, the one that it likes
 * best (rendezvous hashing: a number drawn from the name, the replica and the node). So replicas are at home whenever their node is up, whatever happens to other
 * nodes and however many more of them come. Those whose home is down are guests, one after the other, on the node with the fewest; among several on the one that
 * they like best. */
#include <stdio.h>
#include <string.h>

#include "container/program.h"

#define NODES_MAX 64u

/* Every bit of VALUE has a say in every bit of the result (the end of splitmix64). */
static uint64_t mix(uint64_t value)
{
	value = (value ^ value >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * UINT64_C(0x94d049bb133111eb);
	return value ^ value >> 31;
}

static uint64_t hash_of(const char *name)
{
	uint64_t hash = UINT64_C(0xcbf29ce484222325);

	while (*name)
		hash = (hash ^ (unsigned char)*name++) * UINT64_C(0x100000001b3);
	return mix(hash);
}

struct placing {
	uint64_t seed; /* of the program's name */
	const struct placement_node *nodes;
	size_t n_nodes;
	bool may[NODES_MAX];
	size_t load[NODES_MAX];
};

/* How much the replica likes the node. */
static uint64_t liking(const struct placing *placing, size_t replica, size_t i)
{
	return mix(placing->seed + mix((uint64_t)replica << 32 | placing->nodes[i].node));
}

static bool may_have(const struct program *program, const struct placement_node *node)
{
	char number[16];

	(void)snprintf(number, sizeof(number), "%u", node->node);
	for (size_t i = 0; i < program->n_nodes; i++) {
		if (strcmp(program->nodes[i], number) == 0 ||
		    strcmp(program->nodes[i], node->name) == 0)
			return true;
	}
	return program->n_nodes == 0;
}

static bool takes(const struct placement_node *node)
{
	return node->up && !node->draining;
}

/* Of the nodes with the fewest the one that the replica likes best; only of those that take any now, or of all. */
static size_t best_for(const struct placing *placing, size_t replica, bool taking)
{
	size_t best = SIZE_MAX;

	for (size_t i = 0; i < placing->n_nodes; i++) {
		if (!placing->may[i] || (taking && !takes(&placing->nodes[i])))
			continue;
		if (best == SIZE_MAX || placing->load[i] < placing->load[best] ||
		    (placing->load[i] == placing->load[best] &&
		     liking(placing, replica, i) > liking(placing, replica, best)))
			best = i;
	}
	return best;
}

static void find_homes(struct placing *placing, size_t n, size_t *where)
{
	for (size_t replica = 0; replica < n; replica++) {
		where[replica] = best_for(placing, replica, false);
		if (where[replica] != SIZE_MAX)
			placing->load[where[replica]]++;
	}
}

static void find_hosts(struct placing *placing, size_t n, size_t *where)
{
	for (size_t replica = 0; replica < n; replica++) {
		if (where[replica] != SIZE_MAX && takes(&placing->nodes[where[replica]]))
			continue;
		where[replica] = best_for(placing, replica, true);
		if (where[replica] != SIZE_MAX)
			placing->load[where[replica]]++;
	}
}

static void place_each(const struct placing *placing, size_t *where, size_t *n)
{
	*n = 0;
	for (size_t i = 0; i < placing->n_nodes; i++) {
		size_t replica = placing->nodes[i].node;

		if (!placing->may[i] || replica >= PROGRAM_REPLICAS_MAX)
			continue;
		while (*n <= replica)
			where[(*n)++] = SIZE_MAX;
		if (takes(&placing->nodes[i]))
			where[replica] = i;
	}
}

void placement(const char *name, const struct program *program, const struct placement_node *nodes,
	       size_t n_nodes, size_t where[PROGRAM_REPLICAS_MAX], size_t *n)
{
	struct placing placing = { .seed = hash_of(name), .nodes = nodes };

	placing.n_nodes = n_nodes < NODES_MAX ? n_nodes : NODES_MAX;
	for (size_t i = 0; i < placing.n_nodes; i++)
		placing.may[i] = may_have(program, &nodes[i]);
	if (program->replicas == PROGRAM_EACH) {
		place_each(&placing, where, n);
		return;
	}
	*n = program->replicas < PROGRAM_REPLICAS_MAX ? program->replicas : PROGRAM_REPLICAS_MAX;
	for (size_t replica = 0; replica < *n; replica++)
		where[replica] = SIZE_MAX;
	find_homes(&placing, *n, where);
	find_hosts(&placing, *n, where);
}
