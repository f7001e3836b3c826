/* SPDX-License-Identifier: Apache-2.0 */
/* A state machine that is the same on all nodes (decision D5): entries are applied in one order everywhere, who joins or comes
 * back gets a snapshot, and only the part of a divided cluster that has the quorum goes on.
 *
 * How (docs/architecture/groups.md has it with the reasons). After each change of the engine's view the members that are in the quorum
 * tell each other in three rounds what they have, that they take part in no earlier view any more, and that they have the same log; the
 * member with the newest log is the donor of what others lack. Then the view is established under a new epoch. An entry
 * carries the epoch in which it was cast; entries of another epoch are dropped by all alike and cast again by their submitter.
 * An entry is applied when all members of the established view have it: so no later view can lack it.
 *
 * A member has at most ORDERED_WINDOW_BYTES cast and not delivered (the engines have no back-pressure), the rest waits here; small
 * entries that wait are cast together in one message.
 *
 * No I/O of its own, no clock: everything comes from the engine, so that the simulator can drive it. One thread. */
#ifndef GROUP_ORDERED_H
#define GROUP_ORDERED_H

#include "group/engine.h"

#define ORDERED_ENTRY_MAX 32768u
#define ORDERED_WINDOW_BYTES (256u * 1024u)
/* What may wait to be cast; beyond it submitting gives FULL. */
#define ORDERED_QUEUE_BYTES (16u * 1024u * 1024u)

struct ordered_position {
	uint64_t epoch;	  /* of the last established view; 0: never in one */
	uint64_t index;	  /* entries applied since the state was empty */
	uint64_t members; /* nodes of the last established view, as bits */
	/* A member that is started again must not promise an epoch again that it has promised before; it tells nobody which. So: a number
	 * above all of them. The time in milliseconds serves: epochs grow by one with each attempt at a view. Without it
	 * one that is started again may be taken for its former self, and its entries for those of before. 0 is given back. */
	uint64_t promised;
};

struct ordered_view {
	uint64_t epoch;
	uint32_t n_members;
	uint32_t members[GROUP_MEMBERS_MAX];
	/* Those of the former established view that are not in this one, with the reason; and those that are new, or that were members
	 * and have been started again. Computed from what the donor says, so that it is the same for all. GROUP_LEFT and
	 * GROUP_DIED: the node may still be there, and is either among `joined` later or told by node_lost. */
	uint32_t n_left;
	uint32_t left[GROUP_MEMBERS_MAX];
	enum group_left why[GROUP_MEMBERS_MAX];
	uint32_t n_joined;
	uint32_t joined[GROUP_MEMBERS_MAX];
};

/* What the owner of the state does. All but `refused`, `quorum` and `save` come in the same order on all nodes. None may call
 * ordered_close(); all may call ordered_submit(). */
struct ordered_app {
	void *context;
	/* An entry. NODE submitted it; COOKIE is what it gave to ordered_submit(), for the submitter only, else 0. */
	void (*apply)(void *context, uint32_t node, uint64_t cookie, const void *bytes, size_t len);
	/* An established view, between two entries; the state is up to date. */
	void (*view)(void *context, const struct ordered_view *view);
	/* A node that left a view earlier as GROUP_LEFT or GROUP_DIED is not reachable any more, between two entries. May be NULL. */
	void (*node_lost)(void *context, uint32_t node);
	/* Write the state as pieces of at most ORDERED_ENTRY_MAX bytes by calling EMIT with each. */
	dvs_err (*save)(void *context, dvs_err (*emit)(void *to, const void *bytes, size_t len),
			void *to);
	/* Read a state: `begin`, its pieces, then `end`; with OK false it was not whole, and the state before `begin` stays. */
	void (*load_begin)(void *context);
	dvs_err (*load)(void *context, const void *bytes, size_t len);
	void (*load_end)(void *context, bool ok);
	uint64_t (*digest)(void *context);
	/* In an established view with the quorum (true), or outside the quorum. A change of members is not told, unless the quorum is lost
	 * with it. Not ordered with the rest. */
	void (*ready)(void *context, bool ready);
	/* What was submitted under COOKIE will not come to apply() with it. NOQUORUM: it will not be applied, the quorum was lost.
	 * OK: it has been applied, while this node was away; its result is in the state that was loaded. IO: not known which of
	 * the two, because those who knew have all been started again.
	 * What was cast when the quorum was lost is told nothing until this node is in it again: only then it is known. */
	void (*refused)(void *context, uint64_t cookie, dvs_err err);
	/* This member has left the group for good (out of memory, a state that cannot be loaded): only ordered_close() is left to
	 * do. May be NULL. */
	void (*failed)(void *context, dvs_err err, const char *why);
};

struct ordered;

/* A member with the state of POSITION; the engine is opened by OPEN_ENGINE with the given events, and dispatched once: a member on
 * the engine `local` is ready when this returns. *ORDERED is set before the first callback comes. */
typedef dvs_err (*ordered_open_engine)(void *argument, const struct engine_events *events,
				       struct engine **engine);
DVS_MUST_USE dvs_err ordered_open(const struct ordered_app *app,
				  const struct ordered_position *position, uint32_t node,
				  ordered_open_engine open_engine, void *argument,
				  struct ordered **ordered);
/* NULL is fine. Says good-bye to the others. Nothing is called any more. */
void ordered_close(struct ordered *ordered);

/* Submit an entry. COOKIE is not 0. NOQUORUM: outside the quorum, or in no view yet, and KEEP is false; while the members change an
 * entry waits. With KEEP it waits for the quorum too: for what is true whether the others know it or not (a process has ended);
 * such an entry is refused never, but with OK, and should do no harm when it is applied twice (see refused(): IO).
 * On the engine `local` it is applied when this returns, unless it was called from a callback. TOOBIG; FULL; NOMEM. */
DVS_MUST_USE dvs_err ordered_submit(struct ordered *ordered, uint64_t cookie, const void *bytes,
				    size_t len, bool keep);

int ordered_fd(const struct ordered *ordered);
void ordered_dispatch(struct ordered *ordered);

bool ordered_is_ready(const struct ordered *ordered);
struct ordered_position ordered_position(const struct ordered *ordered);

/* The members of the engine's present view, established or not; returns how many. */
uint32_t ordered_members(const struct ordered *ordered, uint32_t members[GROUP_MEMBERS_MAX]);

/* Nodes that are there, as bits: the members, and those whose dvsd is gone but whose engine answers. */
uint64_t ordered_reach(const struct ordered *ordered);

#endif
