/* SPDX-License-Identifier: Apache-2.0 */
#ifndef REPLICA_ENGINE_INTERNAL_H
#define REPLICA_ENGINE_INTERNAL_H

#include "replica/engine.h"

#define NODE_NONE UINT32_MAX
/* After what could not be done for want of dvsd, the quorum, or somebody else. */
#define RETRY_NS UINT64_C(200000000)
/* After somebody else was faster. */
#define RETRY_SOON_NS UINT64_C(10000000)

enum service { SERVICE_NONE, SERVICE_BACKUP, SERVICE_OURS };

enum peer_state {
	PEER_NONE,
	PEER_ASKED, /* the candidate has told it of the epoch */
	PEER_ANSWERED,
	PEER_JOINER,
	PEER_READY, /* a joiner that has everything: what it acknowledges counts */
	PEER_MEMBER,
};

struct engine_peer {
	enum peer_state state;
	bool is_failed; /* a member that is to be put out */
	bool is_told;	/* a joiner that has the table of answers */
	bool is_telling;
	dvs_ep ep;
	uint64_t stream;
	uint64_t
		begin; /* its stream begins behind this entry: what came of those before it does not matter */
	uint64_t current; /* up to this entry it is a copy of what came of it here */
	uint64_t acked;
	uint64_t acked_total; /* bytes */
	uint64_t received;
	uint64_t lease_ns; /* it has promised not to take over until then */
	uint64_t heard_ns;
};

enum candidate_phase { CANDIDATE_READ, CANDIDATE_SET, CANDIDATE_ASK, CANDIDATE_WAIT };

struct engine {
	struct engine_config config;
	uint64_t now_ns;
	enum engine_role role;
	enum service service;
	bool is_leaving;
	/* Nothing in memory says what this replica has, as after a start. */
	bool is_fresh;
	bool was_current;
	/* The view that is known, at that version of the record. */
	struct engine_view view;
	uint64_t version;
	uint64_t epoch;

	/* operations under way */
	bool is_reading;
	bool is_setting;
	bool is_taking;
	bool is_backing;
	bool is_looking;
	bool is_promoting;
	uint64_t retry_ns;

	/* the log: what not all members are known to have */
	struct list log;
	uint64_t last;
	uint64_t applied; /* all up to here */
	uint64_t stable;
	uint64_t total;
	uint64_t done_last;
	uint32_t n_applying;
	uint32_t n_bad; /* entries in it that were not carried out everywhere */
	uint32_t n_undone;
	struct list held; /* submitted while it hands over */

	/* from the primary */
	uint64_t next_stream;
	uint64_t stream_in;
	bool is_joining;
	bool is_join_answered;
	bool someone_bound;
	bool is_asked; /* to look, by somebody else */
	uint64_t heard_ns;
	uint64_t look_ns;
	uint64_t quiet_ns; /* for how long this one has run since it heard of the primary */
	uint64_t overtake_ns;
	uint32_t from; /* the primary whose stream it is */
	dvs_ep from_ep;
	uint64_t promised_ns;
	uint32_t promised_to;
	dvs_ep promised_ep;

	/* a change of the view: what is wanted, and whom changes with unknown results may have made members */
	bool is_changing;
	bool must_read;
	struct engine_view wanted;
	uint64_t attempted;

	/* the candidate */
	enum candidate_phase phase;
	bool has_read;
	bool was_handed;
	bool is_tailing;
	bool has_asked_dead;
	bool is_certain;

	/* the primary */
	struct engine_peer peers[DVS_NODES_MAX];
	bool is_serving;     /* the owner knows that this is the primary */
	uint64_t serve_from; /* when all members have this entry */
	uint32_t asked_heir; /* whether it could take over */
	uint32_t hand_to;
	bool is_handing; /* the record may say so already */
	bool readers_wait;
	uint64_t paused_ns;
};

static inline uint64_t node_bit(uint32_t node)
{
	return UINT64_C(1) << node;
}

static inline bool is_in(uint64_t nodes, uint32_t node)
{
	return node < DVS_NODES_MAX && (nodes >> node & 1) != 0;
}

#define CALL(engine, operation, ...) \
	((engine)->config.ops->operation((engine)->config.context, ##__VA_ARGS__))

/* What is to be done now, in the present role; at the end of each event. */
void engine_go(struct engine *engine);
void engine_role_set(struct engine *engine, enum engine_role role);
/* Whatever it was: nothing of it holds any more. */
void engine_become_absent(struct engine *engine);
void engine_read(struct engine *engine);
void engine_append(struct engine *engine, struct engine_entry *entry, uint64_t sequence);
/* Forget what all members have. */
void engine_trim(struct engine *engine);
void engine_log_drop(struct engine *engine);

void absent_record(struct engine *engine, dvs_err err, const struct engine_view *view);
void absent_go(struct engine *engine);
void member_record(struct engine *engine, dvs_err err, uint64_t version,
		   const struct engine_view *view);
void member_go(struct engine *engine);

void candidate_start(struct engine *engine);
void candidate_record(struct engine *engine, dvs_err err, uint64_t version,
		      const struct engine_view *view);
void candidate_set(struct engine *engine, dvs_err err, uint64_t version);
void candidate_go(struct engine *engine);

/* Those whose acknowledgements and promises count. */
uint64_t primary_needs(const struct engine *engine);
bool peer_has_stream(const struct engine_peer *peer);
void peer_forget(struct engine *engine, uint32_t node);
void peer_fail(struct engine *engine, uint32_t node);
/* Change the record if the view is not what it should be; hand over. */
void view_go(struct engine *engine);
/* Whoever it was to be handed to is gone: go on here. */
void hand_over_look(struct engine *engine);

void primary_start(struct engine *engine);
void primary_end(struct engine *engine);
void primary_applied(struct engine *engine, dvs_err result);
void primary_record(struct engine *engine, dvs_err err, uint64_t version,
		    const struct engine_view *view);
void primary_set(struct engine *engine, dvs_err err, uint64_t version);
void primary_go(struct engine *engine);

#endif
