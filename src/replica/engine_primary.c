/* SPDX-License-Identifier: Apache-2.0 */
/* The primary: orders, waits for the members, changes the view. */
#include <assert.h>

#include "replica/engine_internal.h"

uint64_t primary_needs(const struct engine *engine)
{
	uint64_t nodes = engine->view.members | engine->attempted;

	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		if (engine->peers[node].state == PEER_READY)
			nodes |= node_bit(node);
	}
	return nodes & ~node_bit(engine->config.node);
}

bool peer_has_stream(const struct engine_peer *peer)
{
	return !peer->is_failed && (peer->state == PEER_JOINER || peer->state == PEER_READY ||
				    peer->state == PEER_MEMBER);
}

static void stream_open(struct engine *engine, uint32_t node, bool begin, uint64_t after)
{
	struct engine_peer *peer = &engine->peers[node];

	peer->heard_ns = engine->now_ns;
	peer->lease_ns = 0;
	CALL(engine, open, node, peer->ep, peer->stream, begin, after);
	LIST_FOREACH(link, &engine->log) {
		struct engine_entry *entry = CONTAINER_OF(link, struct engine_entry, logged);

		if (entry->sequence > after)
			CALL(engine, send, node, entry);
	}
}

void primary_start(struct engine *engine)
{
	engine->hand_to = engine->asked_heir = NODE_NONE;
	engine->readers_wait = false;
	engine->must_read = false;
	engine->is_fresh = false;
	engine->is_handing = false;
	engine->is_serving = false;
	engine->serve_from = engine->done_last = engine->last;
	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		struct engine_peer *peer = &engine->peers[node];

		if (peer->state != PEER_ANSWERED || !is_in(engine->view.members, node)) {
			peer->state = PEER_NONE;
			peer->is_failed = false;
			continue;
		}
		peer->state = PEER_MEMBER;
		peer->acked = engine->stable;
		peer->acked_total = engine->total;
		if (!list_is_empty(&engine->log)) {
			const struct engine_entry *oldest =
				CONTAINER_OF(engine->log.next, struct engine_entry, logged);

			peer->acked_total = oldest->total - oldest->bytes;
		}
	}
	engine->role = ENGINE_PRIMARY;
	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		if (engine->peers[node].state == PEER_MEMBER)
			stream_open(engine, node, false, engine->peers[node].received);
	}
	primary_go(engine);
}

/* ---- the others come and go ---- */

void peer_forget(struct engine *engine, uint32_t node)
{
	struct engine_peer *peer = &engine->peers[node];
	bool was_told = peer->state == PEER_JOINER || peer->state == PEER_READY ||
			peer->state == PEER_MEMBER;

	if (peer_has_stream(peer))
		CALL(engine, close, node);
	*peer = (struct engine_peer){ .state = PEER_NONE };
	if (was_told && engine_role(engine) == ENGINE_PRIMARY)
		CALL(engine, left, node);
}

/* Members stay what they are until the view has changed, but for the stream. */
void peer_fail(struct engine *engine, uint32_t node)
{
	struct engine_peer *peer = &engine->peers[node];

	if (!peer_has_stream(peer))
		return;
	if (is_in(engine->view.members | engine->attempted, node)) {
		CALL(engine, close, node);
		peer->is_failed = true;
	} else {
		peer_forget(engine, node);
	}
}

/* Such an entry may have been carried out in part, and on each replica another part. */
static bool is_of_store(dvs_err result)
{
	return result == DVS_IO || result == DVS_NOSPACE || result == DVS_CORRUPT ||
	       result == DVS_NOMEM;
}

/* A store that failed here may have done it on a joiner, which then is no copy of this replica: it begins anew. */
void primary_applied(struct engine *engine, dvs_err result)
{
	if (!is_of_store(result))
		return;
	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		enum peer_state state = engine->peers[node].state;

		if (state == PEER_JOINER || state == PEER_READY)
			peer_fail(engine, node);
	}
}

void primary_end(struct engine *engine)
{
	bool readers_wait = engine->readers_wait;

	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		if (engine->role == ENGINE_PRIMARY && peer_has_stream(&engine->peers[node]))
			CALL(engine, close, node);
		engine->peers[node] = (struct engine_peer){ .state = PEER_NONE };
	}
	engine->readers_wait = false;
	if (readers_wait)
		CALL(engine, readers, DVS_BADSTATE);
	if (engine->hand_to != NODE_NONE || engine->asked_heir != NODE_NONE) {
		engine->hand_to = engine->asked_heir = NODE_NONE;
		CALL(engine, handed_over, DVS_BADSTATE);
	}
}

dvs_err engine_join(struct engine *engine, uint32_t node, dvs_ep ep, uint64_t stream)
{
	struct engine_peer *peer;

	if (engine_role(engine) != ENGINE_PRIMARY || engine->hand_to != NODE_NONE)
		return DVS_BADSTATE;
	if (node >= DVS_NODES_MAX || node == engine->config.node ||
	    !is_in(engine->config.nodes, node))
		return DVS_NOTFOUND;
	peer = &engine->peers[node];
	if (peer_has_stream(peer) && peer->stream == stream)
		return DVS_OK;
	/* It has begun anew: it is not what the view says of it. */
	peer_fail(engine, node);
	if (is_in(engine->view.members | engine->attempted, node)) {
		peer->is_failed = true;
		engine_go(engine);
		return DVS_BADSTATE;
	}
	*peer = (struct engine_peer){ .state = PEER_JOINER, .ep = ep, .stream = stream };
	peer->acked = peer->begin = engine->last;
	peer->acked_total = engine->total;
	stream_open(engine, node, true, engine->last);
	CALL(engine, joined, node);
	return DVS_OK;
}

void engine_is_current(struct engine *engine, uint32_t node)
{
	if (engine->role != ENGINE_PRIMARY || engine->peers[node].state != PEER_JOINER)
		return;
	engine->peers[node].is_telling = true;
	engine->peers[node].current = engine->last;
	engine_go(engine);
}

void engine_table_taken(struct engine *engine, uint32_t node, uint64_t stream)
{
	struct engine_peer *peer = &engine->peers[node];

	if (peer->state != PEER_JOINER || peer->stream != stream || !peer->is_told)
		return;
	peer->state = PEER_READY;
	engine_go(engine);
}

void engine_set_nodes(struct engine *engine, uint64_t nodes)
{
	engine->config.nodes = nodes;
	if (engine->role != ENGINE_PRIMARY)
		return;
	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		if (!is_in(nodes, node))
			peer_fail(engine, node);
	}
	engine_go(engine);
}

void engine_set_mode(struct engine *engine, bool is_async, uint64_t lag_bytes)
{
	engine->config.is_async = is_async;
	engine->config.lag_bytes = lag_bytes;
	engine_go(engine);
}

void engine_call_failed(struct engine *engine, uint32_t node, uint64_t stream, dvs_err err)
{
	if (engine->role != ENGINE_PRIMARY || engine->peers[node].stream != stream)
		return;
	/* Perhaps it knows a newer epoch. */
	if (err == DVS_BADSTATE)
		engine->must_read = true;
	peer_fail(engine, node);
	engine_go(engine);
}

/* ---- entries ---- */

void engine_submit(struct engine *engine, struct engine_entry *entry)
{
	assert(engine_role(engine) == ENGINE_PRIMARY);
	entry->is_ours = true;
	if (engine->hand_to != NODE_NONE) {
		list_add_tail(&engine->held, &entry->logged);
		return;
	}
	engine->n_undone++;
	entry->sequence = engine->last + 1;
	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		if (peer_has_stream(&engine->peers[node]))
			CALL(engine, send, node, entry);
	}
	engine_append(engine, entry, entry->sequence);
}

static struct engine_entry *find(const struct engine *engine, uint64_t sequence)
{
	LIST_FOREACH(link, &engine->log) {
		struct engine_entry *entry = CONTAINER_OF(link, struct engine_entry, logged);

		if (entry->sequence == sequence)
			return entry;
	}
	return NULL;
}

void engine_odd_result(struct engine *engine, uint32_t node, uint64_t stream, uint64_t sequence)
{
	struct engine_entry *entry;

	if (engine->role != ENGINE_PRIMARY || engine->peers[node].stream != stream)
		return;
	entry = find(engine, sequence);
	if (!entry) {
		peer_fail(engine, node);
		engine_go(engine);
		return;
	}
	if (entry->odd == 0 && !(entry->is_applied && entry->result != DVS_OK))
		engine->n_bad++;
	entry->odd |= node_bit(node);
}

void engine_acknowledged(struct engine *engine, uint32_t node, uint64_t stream, uint64_t applied,
			 uint64_t sent_ns)
{
	struct engine_peer *peer = &engine->peers[node];
	uint64_t lease_ns = engine->config.lease_ns;

	if (engine->role != ENGINE_PRIMARY || !peer_has_stream(peer) || peer->stream != stream)
		return;
	if (applied > engine->last) {
		peer_fail(engine, node);
		engine_go(engine);
		return;
	}
	peer->heard_ns = engine->now_ns;
	/* Clocks do not run alike. */
	if (sent_ns + lease_ns - lease_ns / 8 > peer->lease_ns)
		peer->lease_ns = sent_ns + lease_ns - lease_ns / 8;
	LIST_FOREACH(link, &engine->log) {
		const struct engine_entry *entry = CONTAINER_OF(link, struct engine_entry, logged);

		if (entry->sequence > applied)
			break;
		if (entry->sequence > peer->acked)
			peer->acked_total = entry->total;
	}
	if (applied > peer->acked)
		peer->acked = applied;
	engine_go(engine);
}

/* It is not as this one is. What it has acknowledged of that does not count, so nobody forgets the entry, or answers for it, before the view has changed. */
static void peer_is_odd(struct engine *engine, const struct engine_entry *entry, uint32_t node)
{
	struct engine_peer *peer = &engine->peers[node];

	if (entry->sequence <= peer->begin)
		return;
	peer_fail(engine, node);
	if (peer->acked >= entry->sequence)
		peer->acked = entry->sequence - 1;
}

static bool has_done_better(const struct engine *engine, const struct engine_entry *entry,
			    uint32_t node)
{
	const struct engine_peer *peer = &engine->peers[node];

	return !is_in(entry->odd, node) && !peer->is_failed && peer->acked >= entry->sequence &&
	       entry->sequence > peer->current;
}

/* Who could not carry out what others could is not as they are. False: that is this one. Two whose stores failed are not alike either. */
static bool results_agree(struct engine *engine)
{
	if (engine->n_bad == 0)
		return true;
	LIST_FOREACH(link, &engine->log) {
		const struct engine_entry *entry = CONTAINER_OF(link, struct engine_entry, logged);
		uint64_t nodes = primary_needs(engine);

		if (!entry->is_applied)
			continue;
		for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
			if (is_in(entry->odd, node) &&
			    (entry->result == DVS_OK || is_of_store(entry->result)))
				peer_is_odd(engine, entry, node);
			else if (entry->result != DVS_OK && is_in(nodes, node) &&
				 has_done_better(engine, entry, node))
				return false;
		}
	}
	return true;
}

static bool has_it(const struct engine *engine, const struct engine_entry *entry, uint64_t nodes)
{
	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		const struct engine_peer *peer = &engine->peers[node];

		if (!is_in(nodes, node) || peer->acked >= entry->sequence)
			continue;
		if (!engine->config.is_async || peer->is_failed ||
		    entry->total > peer->acked_total + engine->config.lag_bytes)
			return false;
	}
	return true;
}

static void commit(struct engine *engine)
{
	uint64_t nodes = primary_needs(engine);

	LIST_FOREACH(link, &engine->log) {
		struct engine_entry *entry = CONTAINER_OF(link, struct engine_entry, logged);

		if (!entry->is_applied || !entry->is_ours)
			continue;
		if (!has_it(engine, entry, nodes))
			return;
		entry->is_ours = false;
		engine->n_undone--;
		engine->done_last = entry->sequence;
		CALL(engine, done, entry, entry->result);
	}
}

static void stable_advance(struct engine *engine)
{
	uint64_t stable = engine->applied;
	uint64_t nodes = primary_needs(engine);

	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		if (is_in(nodes, node) && engine->peers[node].acked < stable)
			stable = engine->peers[node].acked;
	}
	if (stable > engine->stable)
		engine->stable = stable;
	engine_trim(engine);
}

/* ---- reads ---- */

static bool is_within_lease(const struct engine *engine)
{
	uint64_t nodes = primary_needs(engine);

	/* Whom it is handed to may have got it, and does not wait for promises. */
	if (engine->is_handing)
		return false;
	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		if (is_in(nodes, node) && engine->peers[node].lease_ns <= engine->now_ns)
			return false;
	}
	return true;
}

bool engine_may_read(struct engine *engine)
{
	if (engine_role(engine) != ENGINE_PRIMARY)
		return false;
	if (is_within_lease(engine))
		return true;
	engine->readers_wait = true;
	return false;
}

/* Asynchronous: whoever takes over gets from the one that is ahead what it lacks itself. */
bool engine_step_down(struct engine *engine)
{
	bool has_heir = false;

	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		const struct engine_peer *peer = &engine->peers[node];

		has_heir |= peer->state == PEER_MEMBER && !peer->is_failed &&
			    is_in(engine->view.members, node) && peer->acked >= engine->done_last;
	}
	if (engine_role(engine) != ENGINE_PRIMARY || !has_heir)
		return false;
	engine_become_absent(engine);
	return true;
}

/* A joiner is a copy of this replica, so it counts only when it is known that the members could carry out what this one could. */
static void look_at_peers(struct engine *engine)
{
	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		struct engine_peer *peer = &engine->peers[node];

		if (peer_has_stream(peer) &&
		    engine->now_ns > peer->heard_ns + engine->config.evict_ns)
			peer_fail(engine, node);
		if (peer->state == PEER_JOINER && peer->is_telling && !peer->is_told &&
		    engine->stable >= peer->current) {
			peer->is_told = true;
			CALL(engine, send_table, node);
		}
	}
}

void primary_go(struct engine *engine)
{
	look_at_peers(engine);
	hand_over_look(engine);
	if (!results_agree(engine)) {
		engine_become_absent(engine);
		return;
	}
	commit(engine);
	stable_advance(engine);
	/* What is remembered of former calls counts as done: so all members must have it before anybody is answered. */
	if (!engine->is_serving && engine->stable >= engine->serve_from) {
		engine->is_serving = true;
		engine_role_set(engine, ENGINE_PRIMARY);
	}
	if (engine->must_read && !engine->is_setting && engine->now_ns >= engine->retry_ns)
		engine_read(engine);
	view_go(engine);
	if (engine->readers_wait && is_within_lease(engine)) {
		engine->readers_wait = false;
		CALL(engine, readers, DVS_OK);
	}
}

enum engine_role engine_peer_role(const struct engine *engine, uint32_t node)
{
	switch (engine->peers[node].state) {
	case PEER_JOINER:
	case PEER_READY:
		return ENGINE_JOINING;
	case PEER_MEMBER:
		return engine->peers[node].is_failed ? ENGINE_ABSENT : ENGINE_MEMBER;
	case PEER_NONE:
	case PEER_ASKED:
	case PEER_ANSWERED:
		break;
	}
	return ENGINE_ABSENT;
}

uint64_t engine_lag_bytes(const struct engine *engine, uint32_t node)
{
	return peer_has_stream(&engine->peers[node]) ?
		       engine->total - engine->peers[node].acked_total :
		       0;
}
