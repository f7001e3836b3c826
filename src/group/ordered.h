/* SPDX-License-Identifier: Apache-2.0 */
/* A state machine that is the same on all nodes (decision D5): entries are applied in one order everywhere, who joins or comes
 * back gets a snapshot, and only the part of a divided cluster that has the quorum goes on.
 *
 * How. After each change of the engine's view every member casts what it has: the position up to which it has applied, whether its
 * node is quorate, and the digest of its state. When the words of all members of the view are delivered, all of them decide alike:
 * if all said that they are quorate, the view is established under a new epoch, and the member with the highest position (the lowest
 * node among equals) is the donor. Members at the donor's position with its digest go on as they are; the donor casts a snapshot for
 * the others, and they take up what is delivered after it. An entry carries the epoch in which it was cast; entries of
 * another epoch are dropped by all alike and cast again by their submitter. Nothing is applied in a view that is not established.
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
	uint64_t epoch; /* of the last established view; 0: never in one */
	uint64_t index; /* entries applied since the state was empty */
};

struct ordered_view {
	uint64_t epoch;
	uint32_t n_members;
	uint32_t members[GROUP_MEMBERS_MAX];
	/* Those of the former established view that are not in this one, with the reason; and those that are new. Computed from
	 * what the donor says, so that it is the same for all. */
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
	/* Write the state as pieces of at most ORDERED_ENTRY_MAX bytes by calling EMIT with each. */
	dvs_err (*save)(void *context, dvs_err (*emit)(void *to, const void *bytes, size_t len),
			void *to);
	/* Read a state: `begin`, its pieces, then `end`; with OK false it was not whole, and the state before `begin` stays. */
	void (*load_begin)(void *context);
	dvs_err (*load)(void *context, const void *bytes, size_t len);
	void (*load_end)(void *context, bool ok);
	uint64_t (*digest)(void *context);
	/* This node can submit (true) or cannot: no quorum, no view yet. Not ordered with the rest. */
	void (*ready)(void *context, bool ready);
	/* What was submitted under COOKIE will not be applied: the quorum was lost (NOQUORUM). */
	void (*refused)(void *context, uint64_t cookie, dvs_err err);
};

struct ordered;

/* A member with the state of POSITION; the engine is opened by OPEN_ENGINE with the given events. */
typedef dvs_err (*ordered_open_engine)(void *argument, const struct engine_events *events,
				       struct engine **engine);
DVS_MUST_USE dvs_err ordered_open(const struct ordered_app *app,
				  const struct ordered_position *position, uint32_t node,
				  ordered_open_engine open_engine, void *argument,
				  struct ordered **ordered);
/* NULL is fine. Says good-bye to the others. Nothing is called any more. */
void ordered_close(struct ordered *ordered);

/* Submit an entry. COOKIE is not 0. NOQUORUM: not ready, and KEEP is false. With KEEP it waits for the quorum instead: for what is true
 * whether the others know it or not (a process has ended). TOOBIG; FULL; NOMEM. */
DVS_MUST_USE dvs_err ordered_submit(struct ordered *ordered, uint64_t cookie, const void *bytes,
				    size_t len, bool keep);

int ordered_fd(const struct ordered *ordered);
void ordered_dispatch(struct ordered *ordered);

bool ordered_is_ready(const struct ordered *ordered);
struct ordered_position ordered_position(const struct ordered *ordered);

/* The members of the engine's present view, established or not; returns how many. */
uint32_t ordered_members(const struct ordered *ordered, uint32_t members[GROUP_MEMBERS_MAX]);

#endif
