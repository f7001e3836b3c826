/* SPDX-License-Identifier: Apache-2.0 */
/* The state that is the same on all nodes, over an engine that does the worst it may (group_world.h): partitions, merges, dvsd killed
 * and started again with its last state, an old one or none, corosync killed, nodes that stand still. At any time:
 *
 *	- members at the same place in the order have the same state, and a view is the same for all who are told of it;
 *	- a view is established by a majority only, and after things have settled by all of it and nobody else;
 *	- what anybody has applied, every later view has;
 *	- nothing is applied twice;
 *	- what is submitted ends exactly once, as applied or as refused, and what was refused for want of the quorum is never applied.
 *
 * The first, the third and the fourth only hold as long as a majority at any time has not been started again since it was in a view: that
 * is so in four seeds of five. In the fifth everything may happen, and in the end they must be of one mind all the same.
 *
 * It was seen to fail with each of these in the code: the donor chosen by its number, or by its position without the epoch; entries applied when
 * delivered; an epoch that does not rise above what was promised; a chain, or a digest and a chain, that is not compared; views that are not in the chain; words of
 * other views counted; words cast without the quorum; agreement before the snapshot is there; a snapshot without what it has seen of whom; nothing cast again; serials
 * without lives; a position with the epoch of the log; and what one who was started again does not know taken for known.
 * It does not see that entries of other epochs are dropped (their serials betray them as well), nor that promises are waited for: that would take a member that alone
 * gets the last word just when it is cut off, and then a log longer than the one of those who went on.
 *
 *	sim-group [--seed N] [--seeds N]	one seed, told again in detail; or so many */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "group_cluster.h"

#define SEEDS 2000u
#define STEPS 2500u

struct tally {
	uint64_t n_views;
	uint64_t n_snapshots;
	uint64_t n_submitted;
	uint64_t n_noquorum;
	uint64_t n_while_away;
	uint64_t n_unknown;
	uint64_t n_node_lost;
};

static void fault_components(struct cluster *cluster)
{
	struct world *world = &cluster->world;
	uint32_t kinds = 1 + world_roll(world, 3);

	for (uint32_t node = 0; node < world->n_nodes; node++)
		world->daemons[node].component = world_roll(world, kinds);
	world_form(world);
}

/* Whether a majority of others has been in a view since it was started. */
static bool others_know(const struct cluster *cluster, uint32_t node)
{
	uint32_t n = 0;

	for (uint32_t other = 0; other < cluster->world.n_nodes; other++)
		n += other != node && cluster->members[other].view_epoch > 0;
	return n * 2 > cluster->world.n_nodes;
}

static void fault_process(struct cluster *cluster, uint32_t node)
{
	struct world *world = &cluster->world;
	uint32_t draw = world_roll(world, 10);
	if (cluster->members[node].ordered) {
		if (!cluster->rough && !others_know(cluster, node))
			return;
		member_stop(cluster, node, world_roll(world, 4) == 0);
		if (world_roll(world, 2) == 0)
			return;
	}
	if (world->daemons[node].up)
		member_start(cluster, node,
			     draw < 8 ? MEMORY_LAST :
			     draw < 9 ? MEMORY_OLD :
					MEMORY_NONE);
}

static void fault_daemon(struct cluster *cluster, uint32_t node)
{
	struct world *world = &cluster->world;

	if (world->daemons[node].up) {
		world_daemon_down(world, node);
		/* the whole machine? */
		if (cluster->members[node].ordered && world_roll(world, 2) == 0 &&
		    (cluster->rough || others_know(cluster, node)))
			member_stop(cluster, node, false);
	} else {
		world_daemon_up(world, node);
	}
	if (world_roll(world, 2) == 0)
		world_form(world);
}

static void fault(struct cluster *cluster)
{
	struct world *world = &cluster->world;
	uint32_t node = world_roll(world, world->n_nodes);
	struct member *member = &cluster->members[node];

	switch (world_roll(world, 8)) {
	case 0:
	case 1:
		fault_components(cluster);
		break;
	case 2:
	case 3:
		for (uint32_t i = 0; i < world->n_nodes; i++)
			world->daemons[i].component = 0;
		world_form(world);
		break;
	case 4:
		fault_process(cluster, node);
		break;
	case 5:
		fault_daemon(cluster, node);
		break;
	case 6:
		member->paused = !member->paused;
		break;
	default:
		if (member->ordered)
			state_file_write(&member->file, member->state,
					 ordered_position(member->ordered));
		break;
	}
}

static void step(struct cluster *cluster, uint32_t faults)
{
	struct world *world = &cluster->world;
	uint32_t node = world_roll(world, world->n_nodes);
	uint32_t n = 1 + world_roll(world, 3);

	if (world_roll(world, 1000) < faults) {
		fault(cluster);
		return;
	}
	switch (world_roll(world, 8)) {
	case 0:
		if (cluster->members[node].ordered && world_roll(world, 3) == 0)
			member_submit(cluster, node, world_roll(world, 3) == 0);
		break;
	case 1:
	case 2:
		while (n-- > 0)
			(void)world_send(world, node);
		break;
	case 3:
	case 4:
		while (n-- > 0)
			(void)world_receive(world, node);
		break;
	case 5:
		(void)world_know_quorum(world, node);
		break;
	default:
		member_dispatch(cluster, node);
		break;
	}
}

/* Everything is mended and started. */
static void mend(struct cluster *cluster)
{
	for (uint32_t node = 0; node < cluster->world.n_nodes; node++) {
		if (!cluster->world.daemons[node].up)
			world_daemon_up(&cluster->world, node);
		if (!cluster->members[node].ordered)
			member_start(cluster, node, MEMORY_LAST);
		cluster->members[node].paused = false;
		cluster->world.daemons[node].component = 0;
	}
	world_form(&cluster->world);
}

static bool run(uint64_t seed, struct tally *tally, bool verbose)
{
	static struct cluster cluster;
	uint32_t faults;

	cluster_open(&cluster, seed, 2 + (uint32_t)(seed / 5 % 4));
	cluster.world.verbose = verbose;
	cluster.rough = seed % 5 == 4;
	/* Many at a time strike those who are still establishing a view. */
	faults = 1 + world_roll(&cluster.world, seed % 3 == 0 ? 100 : 12);
	for (uint32_t node = 0; node < cluster.world.n_nodes; node++)
		member_start(&cluster, node, MEMORY_NONE);
	if (world_roll(&cluster.world, 2) == 0) {
		mend(&cluster);
		cluster_settle(&cluster);
		cluster_check(&cluster);
	}
	for (uint32_t i = 0; i < STEPS && !cluster.failed; i++)
		step(&cluster, faults);
	if (!cluster.failed) {
		mend(&cluster);
		cluster_settle(&cluster);
		cluster_check(&cluster);
	}
	tally->n_views += cluster.n_views;
	tally->n_snapshots += cluster.n_snapshots;
	tally->n_submitted += cluster.n_submitted;
	tally->n_noquorum += cluster.n_noquorum;
	tally->n_while_away += cluster.n_while_away;
	tally->n_unknown += cluster.n_unknown;
	tally->n_node_lost += cluster.n_node_lost;
	if (cluster.failed)
		printf("# seed %" PRIu64 "\n", seed);
	cluster_close(&cluster);
	return !cluster.failed;
}

/* Every way to divide N nodes into two, and back. */
static bool run_splits(uint64_t seed, uint32_t n_nodes)
{
	static struct cluster cluster;

	cluster_open(&cluster, seed, n_nodes);
	for (uint32_t node = 0; node < n_nodes; node++)
		member_start(&cluster, node, MEMORY_NONE);
	mend(&cluster);
	for (uint32_t split = 1; split < 1u << n_nodes && !cluster.failed; split++) {
		for (int i = 0; i < 50; i++)
			step(&cluster, 0);
		for (uint32_t node = 0; node < n_nodes; node++)
			cluster.world.daemons[node].component = split >> node & 1;
		world_form(&cluster.world);
		for (int i = 0; i < 50; i++)
			step(&cluster, 0);
		cluster_settle(&cluster);
		cluster_check(&cluster);
		mend(&cluster);
		cluster_settle(&cluster);
		cluster_check(&cluster);
	}
	if (cluster.failed)
		printf("# splits of %u nodes, seed %" PRIu64 "\n", n_nodes, seed);
	cluster_close(&cluster);
	return !cluster.failed;
}

static bool test_many(uint64_t first, uint32_t seeds)
{
	struct tally tally = { 0 };
	bool good = true;

	for (uint32_t i = 0; i < seeds && good; i++)
		good = run(first + i, &tally, false);
	printf("# %u seeds: views %" PRIu64 ", snapshots %" PRIu64 ", entries %" PRIu64
	       " (refused %" PRIu64 ", applied while away %" PRIu64 ", unknown %" PRIu64
	       "), nodes lost later %" PRIu64 "\n",
	       seeds, tally.n_views, tally.n_snapshots, tally.n_submitted, tally.n_noquorum,
	       tally.n_while_away, tally.n_unknown, tally.n_node_lost);
	return good;
}

int main(int argc, char **argv)
{
	uint64_t first = (uint64_t)time(NULL) * 10000;
	uint32_t seeds = SEEDS;
	struct tally tally = { 0 };
	bool good;

	for (int i = 1; i + 1 < argc; i += 2) {
		if (strcmp(argv[i], "--seed") == 0)
			return run(strtoull(argv[i + 1], NULL, 10), &tally, true) ? 0 : 1;
		if (strcmp(argv[i], "--seeds") == 0)
			seeds = (uint32_t)strtoul(argv[i + 1], NULL, 10);
	}
	printf("1..2\n# seeds from %" PRIu64 "\n", first);
	good = run_splits(first, 3) && run_splits(first + 1, 5) && run_splits(first + 2, 4);
	printf("%s 1 - of each two parts of a cluster the majority goes on, and nobody else\n",
	       good ? "ok" : "not ok");
	if (!test_many(first, seeds)) {
		printf("not ok 2 - the state stays the same on all nodes, whatever happens\n");
		return 1;
	}
	printf("ok 2 - the state stays the same on all nodes, whatever happens\n");
	return good ? 0 : 1;
}
