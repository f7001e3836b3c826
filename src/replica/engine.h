/* SPDX-License-Identifier: Apache-2.0 */
/* What a replica decides (decision 0022): pure, without clock, I/O and threads. Events go in by the calls of this file, each of which is told the time first (engine_now()); what is to be
 * done goes out by struct engine_ops. No operation calls back into the engine: what comes of it is told later, as an event.
 *
 *	ABSENT     has nothing to do with the primary: finds out whether it may take over, or asks to join
 *	JOINING    gets all new entries, and is brought up to date
 *	MEMBER     has everything that was acknowledged; is bound as backup
 *	CANDIDATE  holds the service's endpoint: changes the view, asks the other members what they have, waits for promises that it has given to end
 *	PRIMARY    orders
 *
 * Three rules keep it right. An entry is done when all members of the view have it, of the view that is known and of every one that may have come into being by a
 * change whose result is not known. Whoever becomes a candidate accepts nothing from the former primary any more, before it changes the view. Who reads has promises of all
 * members that they do not become primaries before some time. */
#ifndef REPLICA_ENGINE_H
#define REPLICA_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/dvk.h>

#include "base/compiler.h"
#include "base/list.h"
#include "replica/remember.h"

struct engine;

enum engine_role {
	ENGINE_ABSENT,
	ENGINE_JOINING,
	ENGINE_MEMBER,
	ENGINE_CANDIDATE,
	ENGINE_PRIMARY,
};

/* As writer: it was decided from outside that the primary takes over with what it has, though it may lack what was acknowledged. */
#define ENGINE_FORCED UINT32_MAX

/* A view, as the record says. */
struct engine_view {
	uint64_t epoch;
	uint32_t primary;
	uint32_t
		writer; /* who has set it: not the primary when that was handed over, or ENGINE_FORCED */
	uint64_t members; /* bit n: node n */
	dvs_ep ep[DVS_NODES_MAX];
};

/* An entry in the engine's log; the driver has it in something of its own. */
struct engine_entry {
	struct list logged;
	uint64_t sequence;
	uint64_t bytes;
	uint64_t total; /* bytes up to here */
	dvs_ep client;
	uint32_t call;
	bool is_ours; /* submitted here, and `done` is owed */
	bool is_applied;
	bool is_dropped; /* the log is another one since */
	uint64_t odd;	 /* nodes where carrying it out gave an error */
	dvs_err result;
};

static inline const struct engine_entry *engine_entry_at(const struct list *logged)
{
	return (const struct engine_entry *)(const void *)((const char *)logged -
							   offsetof(struct engine_entry, logged));
}

struct engine_ops {
	/* The record. Results: engine_record(), engine_set(). */
	void (*read_record)(void *context);
	void (*set_record)(void *context, uint64_t version, const struct engine_view *view);
	/* The service's endpoint. TAKE: bind it for this replica alone: engine_took(). BACKUP: engine_backed(). GIVE UP what there is of it. LOOK: who has it: engine_looked(). */
	void (*take)(void *context);
	void (*backup)(void *context);
	void (*give_up)(void *context);
	void (*look)(void *context);
	/* Is it certain that the replica of NODE, with that endpoint, does not live: engine_certain(). */
	void (*is_dead)(void *context, uint32_t node, dvs_ep ep);
	/* Could the member on NODE be promoted: engine_heir_answered(). NOPROC: it has not bound the service's endpoint yet. */
	void (*ask_heir)(void *context, uint32_t node, dvs_ep ep);
	/* Make the member on NODE the service's primary: engine_promoted_other(). */
	void (*promote)(void *context, uint32_t node, dvs_ep ep);
	/* Make this replica, a backup, the service's primary, whatever the one does that is: engine_promoted() if that was done. */
	void (*overtake)(void *context);
	/* Ask the primary for a stream of that number: engine_join_answered(). */
	void (*join)(void *context, uint64_t stream);
	/* Tell NODE of the epoch: engine_view_answered(). */
	void (*view)(void *context, uint32_t node, dvs_ep ep, uint64_t epoch, uint64_t stream);
	/* Get the entries behind AFTER from NODE: engine_received() for each, then engine_tail_done(). */
	void (*tail)(void *context, uint32_t node, dvs_ep ep, uint64_t epoch, uint64_t after);
	/* Streams to others. OPEN: BEGIN when it begins anew at sequence AFTER (a joiner's). What is sent comes in order or not at all. */
	void (*open)(void *context, uint32_t node, dvs_ep ep, uint64_t stream, bool begin,
		     uint64_t after);
	void (*send)(void *context, uint32_t node, struct engine_entry *entry);
	/* The answers to clients that are remembered: engine_table_taken() when NODE has them. */
	void (*send_table)(void *context, uint32_t node);
	void (*close)(void *context, uint32_t node);
	void (*apply)(void *context, struct engine_entry *entry);
	/* It was ours, and is the owner's again; it may still be in the log. */
	void (*done)(void *context, struct engine_entry *entry, dvs_err err);
	/* It is in no log any more and not with the owner. */
	void (*forget)(void *context, struct engine_entry *entry);
	/* The role or the view has changed. */
	void (*role)(void *context, enum engine_role role);
	void (*joined)(void *context, uint32_t node);
	void (*left)(void *context, uint32_t node);
	/* Readers that wait: OK, or BADSTATE. */
	void (*readers)(void *context, dvs_err err);
	void (*handed_over)(void *context, dvs_err err);
};

struct engine_config {
	uint32_t node;
	dvs_ep ep; /* this replica's own */
	uint64_t nodes;
	uint32_t first;
	bool is_empty;
	bool is_async;
	uint64_t lag_bytes;
	uint64_t lease_ns;
	uint64_t evict_ns;
	uint64_t nonce; /* numbers of streams begin here */
	struct remember *remember;
	const struct engine_ops *ops;
	void *context;
};

/* NULL: no memory. Nothing is done before engine_start(). */
MUST_USE struct engine *engine_open(const struct engine_config *config);
/* Entries in the log are forgotten. */
void engine_close(struct engine *engine);

/* Before each event. */
void engine_now(struct engine *engine, uint64_t now_ns);
void engine_start(struct engine *engine);
/* Often: eight times in lease_ns. */
void engine_tick(struct engine *engine);
/* Before the end: absent, and not to become anything again. */
void engine_leave(struct engine *engine);

/* ---- results of operations ---- */

/* VIEW NULL: there is none (VERSION 0). */
void engine_record(struct engine *engine, dvs_err err, uint64_t version,
		   const struct engine_view *view);
void engine_set(struct engine *engine, dvs_err err, uint64_t version);
void engine_took(struct engine *engine, dvs_err err);
void engine_backed(struct engine *engine, dvs_err err);
/* IS_BOUND: somebody has the service's endpoint. */
void engine_looked(struct engine *engine, dvs_err err, bool is_bound);
void engine_certain(struct engine *engine, bool is_dead);
void engine_promoted_other(struct engine *engine, dvs_err err);
void engine_join_answered(struct engine *engine, uint64_t stream, dvs_err err);
void engine_view_answered(struct engine *engine, uint32_t node, uint64_t stream, dvs_err err,
			  uint64_t received);
void engine_tail_done(struct engine *engine, uint32_t node, dvs_err err);
void engine_table_taken(struct engine *engine, uint32_t node, uint64_t stream);

/* ---- what happens to the service's endpoint ---- */

/* The backup has become the primary. */
void engine_promoted(struct engine *engine);
/* Primary or backup, it is not bound any more. */
void engine_lost(struct engine *engine);
/* Something has changed: look at the record. */
void engine_look_again(struct engine *engine);

/* ---- on the primary ---- */

void engine_submit(struct engine *engine, struct engine_entry *entry);
/* What was sent to NODE until SENT_NS has come, and was carried out up to entry APPLIED. */
void engine_acknowledged(struct engine *engine, uint32_t node, uint64_t stream, uint64_t applied,
			 uint64_t sent_ns);
/* Before the acknowledgement that includes it: carrying out entry SEQUENCE gave an error there. */
void engine_odd_result(struct engine *engine, uint32_t node, uint64_t stream, uint64_t sequence);
void engine_call_failed(struct engine *engine, uint32_t node, uint64_t stream, dvs_err err);
/* OK: `joined` follows. BADSTATE, NOTFOUND. */
MUST_USE dvs_err engine_join(struct engine *engine, uint32_t node, dvs_ep ep, uint64_t stream);
void engine_is_current(struct engine *engine, uint32_t node);
void engine_set_nodes(struct engine *engine, uint64_t nodes);
/* On any. What is not done yet is waited for as is said now. */
void engine_set_mode(struct engine *engine, bool is_async, uint64_t lag_bytes);
void engine_hand_over(struct engine *engine, uint32_t node);
void engine_heir_answered(struct engine *engine, uint32_t node, dvs_err err);
/* Its store does not give what it should: let a member that has everything take over, and join anew. False: there is none, and it is the primary still. */
MUST_USE bool engine_step_down(struct engine *engine);
/* False: `readers` will say. */
MUST_USE bool engine_may_read(struct engine *engine);

/* ---- on the others ---- */

/* A batch of STREAM has come from the replica PRIMARY. BADSTATE: it is not accepted. */
MUST_USE dvs_err engine_heard(struct engine *engine, uint32_t primary, dvs_ep ep, uint64_t stream,
			      uint64_t epoch, uint64_t stable, uint64_t members);
void engine_begin(struct engine *engine, uint64_t after);
/* The next entry of the stream, or of a tail: its sequence is set. BADSTATE: it is not the next one, and not taken. */
MUST_USE dvs_err engine_received(struct engine *engine, struct engine_entry *entry,
				 uint64_t sequence);
/* A batch is answered now: that is a promise. False: it must be refused instead. */
MUST_USE bool engine_promise(struct engine *engine, uint64_t stream);
/* OK: *RECEIVED; what has come of entries in the log is to be told again. BADSTATE. */
MUST_USE dvs_err engine_view_call(struct engine *engine, uint32_t node, dvs_ep ep, uint64_t epoch,
				  uint64_t stream, uint64_t *received);
/* BADSTATE: engine_log() is not for whoever asks. */
MUST_USE dvs_err engine_tail_call(const struct engine *engine, uint64_t epoch);

/* ---- on all ---- */

void engine_applied(struct engine *engine, struct engine_entry *entry, dvs_err result);

enum engine_role engine_role(const struct engine *engine);
const struct engine_view *engine_view(const struct engine *engine);
uint64_t engine_epoch(const struct engine *engine); /* the newest that is known */
/* Entries that not all members are known to have, oldest first. */
const struct list *engine_log(const struct engine *engine);
uint64_t engine_last(const struct engine *engine);
uint64_t engine_applied_up_to(const struct engine *engine);
uint64_t engine_stable(const struct engine *engine);
uint64_t engine_lag_bytes(const struct engine *engine, uint32_t node);
/* What NODE is for this primary. */
enum engine_role engine_peer_role(const struct engine *engine, uint32_t node);
/* The entry of that call that is not done yet; NULL: there is none. A client asks again for it when another replica held the service's endpoint for a moment, which was not to be the primary. */
struct engine_entry *engine_under_way(const struct engine *engine, dvs_ep client, uint32_t call);
/* Entries that wait for their `done`. */
bool engine_is_idle(const struct engine *engine);
uint64_t engine_paused_ns(const struct engine *engine);

#endif
