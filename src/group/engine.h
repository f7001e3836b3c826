/* SPDX-License-Identifier: Apache-2.0 */
/* Group communication: the one interface that all engines have (decision D6).
 *
 * An engine delivers what the members of a group cast, to all of them and in the same order, and tells between two
 * messages who the members are: whoever goes from one view to the next together has been given the same messages before it.
 * A partition goes on delivering on both sides; what that means is decided above (group/ordered.h) with the help of the quorum.
 *
 * Engines: `local` (this process alone), `corosync` (libcpg, libquorum); tests/sim has one of many nodes in one process.
 * An engine belongs to one thread. Callbacks come only from within engine_dispatch() and, with `local`, engine_cast(); in a
 * callback the engine may be cast to, but not closed. */
#ifndef GROUP_ENGINE_H
#define GROUP_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#include "base/compiler.h"

#define GROUP_MEMBERS_MAX 62u
/* The largest message. */
#define GROUP_CAST_MAX 65536u
#define GROUP_NAME_MAX 63u

enum group_left {
	GROUP_LEFT = 1, /* said good-bye */
	GROUP_DIED = 2, /* its process ended; the node is there */
	GROUP_LOST = 3, /* its node is not reachable any more */
};

struct group_view {
	uint64_t id; /* counts this engine's views */
	uint32_t n_members;
	uint32_t members[GROUP_MEMBERS_MAX]; /* node numbers, ascending */
	uint32_t n_joined;
	uint32_t joined[GROUP_MEMBERS_MAX];
	uint32_t n_left;
	uint32_t left[GROUP_MEMBERS_MAX];
	enum group_left why[GROUP_MEMBERS_MAX]; /* of left[] */
};

struct engine_events {
	void *context;
	void (*deliver)(void *context, uint32_t node, const void *bytes, size_t len);
	void (*view)(void *context, const struct group_view *view);
	/* Whether the members of the present view are the quorum (more than half of all nodes have to be members, being in reach is not
	 * enough: any two views with the quorum must have a member in common). That is open when a view begins, until it is told; it is told for each
	 * view once the engine knows it for that very view, and whenever it changes. */
	void (*quorum)(void *context, bool quorate);
	/* Nodes whose engine is there, member or not, as bits. Told when it is known and when it changes; may be NULL. */
	void (*reach)(void *context, uint64_t nodes);
	/* The engine's daemon is gone. The engine tries to reach it again by itself; after that a view comes as to one who is new. */
	void (*lost)(void *context, const char *why);
};

struct engine;

struct engine_ops {
	const char *name;
	DVS_MUST_USE dvs_err (*cast)(struct engine *engine, const void *bytes, size_t len);
	int (*fd)(const struct engine *engine);
	void (*dispatch)(struct engine *engine);
	void (*close)(struct engine *engine);
};

/* First member of every engine's own struct. */
struct engine {
	const struct engine_ops *ops;
	struct engine_events events;
	uint32_t node;
};

/* Join the group NAME as NODE. The first view comes with the first dispatch. NOMEM; IO: the daemon does not answer. */
DVS_MUST_USE dvs_err engine_local_open(uint32_t node, const struct engine_events *events,
				       struct engine **engine);
DVS_MUST_USE dvs_err engine_corosync_open(const char *name, uint32_t node,
					  const struct engine_events *events,
					  struct engine **engine);

/* Cast up to GROUP_CAST_MAX bytes. FULL: try again after the next dispatch. */
static inline DVS_MUST_USE dvs_err engine_cast(struct engine *engine, const void *bytes, size_t len)
{
	return engine->ops->cast(engine, bytes, len);
}

/* Readable when engine_dispatch() has something to do; -1: never. */
static inline int engine_fd(const struct engine *engine)
{
	return engine->ops->fd(engine);
}

static inline void engine_dispatch(struct engine *engine)
{
	engine->ops->dispatch(engine);
}

/* NULL is fine. */
static inline void engine_close(struct engine *engine)
{
	if (engine)
		engine->ops->close(engine);
}

#endif
