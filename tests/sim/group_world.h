/* SPDX-License-Identifier: Apache-2.0 */
/* A group engine of several nodes in one process, without a clock: what happens next is drawn.
 *
 * Each node has a daemon, and perhaps a client (the engine that `ordered` uses). Daemons that reach each other form a ring; a ring
 * has one stream of events (messages, joins, leaves), and each daemon has got so much of it. When the rings change, those that go
 * together from one ring to the next are given the same: all that one of them has, and then only what they sent themselves, although
 * there may be holes before it. That is what virtual synchrony promises, and no more:
 *
 * - a daemon has what it sent, and hands it to its client, before anybody else has it, and perhaps nobody ever will;
 * - a client works off what its daemon has for it as late as it likes, and what it casts goes to the ring in which its daemon is now;
 * - who comes and who goes is told in one view or in several, on each node in another way;
 * - the quorum is told some time after the views, its loss perhaps before. */
#ifndef TESTS_SIM_GROUP_WORLD_H
#define TESTS_SIM_GROUP_WORLD_H

#include "base/list.h"
#include "group/engine.h"

#define WORLD_NODES_MAX 7u

struct world_event;
struct world_ring;
struct world_client;

struct world_daemon {
	bool up;
	uint32_t component; /* those with the same number reach each other */
	struct world_ring *ring;
	size_t at;	/* so much of the ring's stream has it */
	uint64_t group; /* members, as far as it has the stream */
	struct list out;
	struct world_client *client;
};

struct world {
	uint64_t random;
	uint32_t n_nodes;
	struct world_daemon daemons[WORLD_NODES_MAX];
	struct list rings;
	uint64_t last_ring;
	uint64_t last_generation;
	bool verbose;
};

void world_open(struct world *world, uint64_t seed, uint32_t n_nodes);
/* The clients must be closed. */
void world_close(struct world *world);
uint32_t world_roll(struct world *world, uint32_t below);

/* An ordered_open_engine; ARGUMENT is a struct world_place. */
struct world_place {
	struct world *world;
	uint32_t node;
};
dvs_err world_engine_open(void *argument, const struct engine_events *events,
			  struct engine **engine);
/* The next close is a death, not a good-bye. */
void world_kill_client(struct world *world, uint32_t node);

/* What the daemons do. */
void world_daemon_down(struct world *world, uint32_t node);
void world_daemon_up(struct world *world, uint32_t node);
/* The components have been changed, or the daemons: form the rings that follow. */
void world_form(struct world *world);
/* One event from what waits at NODE to the stream; from the stream to the client. False: there was none. */
bool world_send(struct world *world, uint32_t node);
bool world_receive(struct world *world, uint32_t node);
/* The quorum of the ring of NODE is known there. */
bool world_know_quorum(struct world *world, uint32_t node);
/* Nothing is left to be done by this node's daemon, nor by its client. */
bool world_is_quiet(const struct world *world, uint32_t node);

#endif
