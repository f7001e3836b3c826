/* SPDX-License-Identifier: Apache-2.0 */
/* Who holds the service's endpoint and is not the primary yet: read the record; set it to the next epoch without the former primary; tell the other members, which accept nothing older from then
 * on; take what they have and this one has not; wait until what was promised to the former primary is over. */
#include <string.h>

#include "replica/engine_internal.h"

void candidate_start(struct engine *engine)
{
	engine->phase = CANDIDATE_READ;
	engine->has_read = false;
	engine->was_handed = false;
	engine->is_tailing = false;
	engine->has_asked_dead = false;
	engine->is_certain = false;
	engine->is_changing = false;
	engine->attempted = 0;
	engine->retry_ns = engine->now_ns;
	engine->stream_in = 0;
	memset(engine->peers, 0, sizeof(engine->peers));
	engine_role_set(engine, ENGINE_CANDIDATE);
}

/* ---- the record ---- */

static void want(struct engine *engine, const struct engine_view *view)
{
	uint32_t self = engine->config.node;
	uint64_t epoch = view->epoch > engine->epoch ? view->epoch : engine->epoch;

	engine->wanted = *view;
	if (engine->is_fresh)
		engine->wanted.members = node_bit(self);
	else if (view->primary != self && view->primary < DVS_NODES_MAX)
		engine->wanted.members &= ~node_bit(view->primary);
	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		if (engine->peers[node].is_failed)
			engine->wanted.members &= ~node_bit(node);
	}
	engine->wanted.epoch = epoch + 1;
	engine->wanted.primary = engine->wanted.writer = self;
	engine->wanted.ep[self] = engine->config.ep;
	engine->phase = CANDIDATE_SET;
}

/* The first of all: nobody has promised anything. */
static void want_first(struct engine *engine)
{
	static const struct engine_view none = { .epoch = 0, .primary = NODE_NONE };

	engine->was_handed = true;
	want(engine, &none);
}

static void note_former(struct engine *engine, const struct engine_view *view)
{
	if (engine->has_read)
		return;
	engine->has_read = true;
	/* Who hands over has stopped to serve before. */
	engine->was_handed = view->primary == engine->config.node &&
			     view->writer != engine->config.node;
}

void candidate_record(struct engine *engine, dvs_err err, uint64_t version,
		      const struct engine_view *view)
{
	if (err != DVS_OK || engine->phase != CANDIDATE_READ)
		return;
	engine->version = version;
	if (!view) {
		if (engine->is_fresh && engine->config.first == engine->config.node)
			want_first(engine);
		else
			engine_become_absent(engine);
		return;
	}
	/* Older than what the primary has said: it is not known here yet. */
	if (view->epoch < engine->epoch && !engine->is_fresh) {
		engine->retry_ns = engine->now_ns + RETRY_SOON_NS;
		return;
	}
	if (!is_in(view->members, engine->config.node)) {
		engine_become_absent(engine);
		return;
	}
	note_former(engine, view);
	want(engine, view);
}

void candidate_set(struct engine *engine, dvs_err err, uint64_t version)
{
	engine->is_changing = false;
	if (err == DVS_OK) {
		engine->view = engine->wanted;
		engine->version = version;
		engine->epoch = engine->view.epoch;
		engine->phase = CANDIDATE_ASK;
		return;
	}
	/* Whether it was set after all, the record says. */
	engine->phase = CANDIDATE_READ;
	engine->retry_ns = engine->now_ns +
			   (err == DVS_EXISTS || err == DVS_NOTFOUND ? RETRY_SOON_NS : RETRY_NS);
}

/* ---- the other members ---- */

void engine_view_answered(struct engine *engine, uint32_t node, uint64_t stream, dvs_err err,
			  uint64_t received)
{
	struct engine_peer *peer = &engine->peers[node];

	if (engine->role != ENGINE_CANDIDATE || peer->state != PEER_ASKED || peer->stream != stream)
		return;
	peer->state = PEER_ANSWERED;
	peer->received = received;
	/* It must be asked for what is here no more. */
	if (err != DVS_OK || received < engine->stable)
		peer->is_failed = true;
	engine_go(engine);
}

void engine_tail_done(struct engine *engine, uint32_t node, dvs_err err)
{
	struct engine_peer *peer = &engine->peers[node];

	if (engine->role != ENGINE_CANDIDATE || !engine->is_tailing)
		return;
	engine->is_tailing = false;
	if (err != DVS_OK || engine->last < peer->received)
		peer->is_failed = true;
	engine_go(engine);
}

static void ask(struct engine *engine, uint32_t node)
{
	struct engine_peer *peer = &engine->peers[node];

	peer->state = PEER_ASKED;
	peer->ep = engine->view.ep[node];
	peer->stream = ++engine->next_stream;
	CALL(engine, view, node, peer->ep, engine->epoch, peer->stream);
}

/* True: all have answered, and this one has what they have. */
static bool others_are_known(struct engine *engine)
{
	uint32_t ahead = NODE_NONE;
	bool all = true;

	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		const struct engine_peer *peer = &engine->peers[node];

		if (!is_in(engine->view.members, node) || node == engine->config.node)
			continue;
		if (peer->is_failed) {
			want(engine, &engine->view);
			return false;
		}
		if (peer->state == PEER_NONE)
			ask(engine, node);
		if (peer->state != PEER_ANSWERED)
			all = false;
		else if (peer->received > engine->last &&
			 (ahead == NODE_NONE || peer->received > engine->peers[ahead].received))
			ahead = node;
	}
	if (!all || engine->is_tailing)
		return false;
	if (ahead == NODE_NONE)
		return true;
	engine->is_tailing = true;
	CALL(engine, tail, ahead, engine->peers[ahead].ep, engine->epoch, engine->last);
	return false;
}

/* ---- promises ---- */

void engine_certain(struct engine *engine, bool is_dead)
{
	if (engine->role != ENGINE_CANDIDATE || !engine->has_asked_dead)
		return;
	engine->is_certain = is_dead;
	engine_go(engine);
}

static bool promises_are_over(struct engine *engine)
{
	if (engine->was_handed || engine->is_certain || engine->now_ns >= engine->promised_ns)
		return true;
	/* The death of the one that has the promise is enough, if it is certain; that may not be the last one in the record. */
	if (!engine->has_asked_dead && engine->promised_to != NODE_NONE) {
		engine->has_asked_dead = true;
		CALL(engine, is_dead, engine->promised_to, engine->promised_ep);
	}
	return false;
}

void candidate_go(struct engine *engine)
{
	if (engine->phase == CANDIDATE_READ && engine->now_ns >= engine->retry_ns &&
	    !engine->is_setting)
		engine_read(engine);
	if (engine->phase == CANDIDATE_ASK && others_are_known(engine))
		engine->phase = CANDIDATE_WAIT;
	if (engine->phase == CANDIDATE_SET && !engine->is_setting) {
		engine->is_setting = engine->is_changing = true;
		CALL(engine, set_record, engine->version, &engine->wanted);
	}
	if (engine->phase == CANDIDATE_WAIT && engine->applied == engine->last &&
	    engine->n_applying == 0 && promises_are_over(engine))
		primary_start(engine);
	else if (engine->phase == CANDIDATE_ASK)
		(void)promises_are_over(engine);
}
