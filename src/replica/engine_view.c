/* SPDX-License-Identifier: Apache-2.0 */
/* The primary changes the view, and hands over. */
#include "replica/engine_internal.h"

static void adopt(struct engine *engine, const struct engine_view *view, uint64_t version)
{
	uint64_t before = engine->view.members | engine->attempted;

	engine->view = *view;
	engine->version = version;
	if (view->epoch > engine->epoch)
		engine->epoch = view->epoch;
	engine->is_changing = engine->is_handing = false;
	engine->attempted = 0;
	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		if (is_in(before & ~view->members, node))
			peer_forget(engine, node);
		else if (is_in(view->members, node) && engine->peers[node].state == PEER_READY)
			engine->peers[node].state = PEER_MEMBER;
	}
	if (engine->is_serving)
		CALL(engine, role, engine->role);
}

static void handed(struct engine *engine, const struct engine_view *view, uint64_t version)
{
	uint32_t to = engine->hand_to;

	engine->view = *view;
	engine->version = version;
	engine->epoch = view->epoch;
	engine->is_changing = false;
	engine->attempted = 0;
	engine->hand_to = NODE_NONE;
	primary_end(engine);
	while (!list_is_empty(&engine->held)) {
		struct engine_entry *entry =
			CONTAINER_OF(list_take_head(&engine->held), struct engine_entry, logged);

		entry->is_ours = false;
		CALL(engine, done, entry, DVS_BADSTATE);
		CALL(engine, forget, entry);
	}
	engine->stream_in = 0;
	engine->heard_ns = engine->now_ns;
	engine->quiet_ns = 0;
	engine->is_promoting = true;
	engine_role_set(engine, ENGINE_MEMBER);
	CALL(engine, promote, to, view->ep[to]);
}

void engine_promoted_other(struct engine *engine, dvs_err err)
{
	if (!engine->is_promoting)
		return;
	engine->is_promoting = false;
	if (err == DVS_OK && engine->service == SERVICE_OURS)
		engine->service = SERVICE_BACKUP;
	else if (engine->service == SERVICE_OURS && engine->role == ENGINE_MEMBER)
		/* What clients have asked for is dropped: they ask again when the endpoint moves, or is bound anew. */
		engine_become_absent(engine);
	CALL(engine, handed_over, err);
	engine_go(engine);
}

static void settle(struct engine *engine, const struct engine_view *view, uint64_t version)
{
	if (view->primary == engine->config.node)
		adopt(engine, view, version);
	else
		handed(engine, view, version);
}

void primary_set(struct engine *engine, dvs_err err, uint64_t version)
{
	if (err == DVS_OK) {
		settle(engine, &engine->wanted, version);
		return;
	}
	engine->must_read = true;
	engine->retry_ns = engine->now_ns +
			   (err == DVS_EXISTS || err == DVS_NOTFOUND ? RETRY_SOON_NS : RETRY_NS);
}

void primary_record(struct engine *engine, dvs_err err, uint64_t version,
		    const struct engine_view *view)
{
	if (err != DVS_OK || engine->is_setting)
		return;
	engine->must_read = false;
	if (view && version < engine->version)
		return;
	if (view && version == engine->version) {
		/* A change that nobody has seen fail may still come. */
		engine->is_changing = false;
		return;
	}
	/* A change of this primary that came late is one like others. */
	if (view && view->writer == engine->config.node && view->epoch > engine->view.epoch &&
	    (view->primary == engine->config.node || view->primary == engine->hand_to))
		settle(engine, view, version);
	else
		engine_become_absent(engine);
}

static void change(struct engine *engine, uint32_t primary, uint64_t members)
{
	engine->wanted = engine->view;
	engine->wanted.epoch = engine->epoch + 1;
	engine->wanted.primary = primary;
	engine->wanted.writer = engine->config.node;
	engine->wanted.members = members;
	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		if (is_in(members, node) && node != engine->config.node)
			engine->wanted.ep[node] = engine->peers[node].ep;
	}
	engine->attempted |= members;
	engine->is_handing = engine->is_handing || primary != engine->config.node;
	engine->is_setting = engine->is_changing = true;
	CALL(engine, set_record, engine->version, &engine->wanted);
}

static uint64_t desired(const struct engine *engine)
{
	uint64_t members = node_bit(engine->config.node);

	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		const struct engine_peer *peer = &engine->peers[node];

		if (peer->is_failed)
			continue;
		if (peer->state == PEER_MEMBER ||
		    (peer->state == PEER_READY && peer->acked >= engine->done_last))
			members |= node_bit(node);
	}
	return members;
}

void view_go(struct engine *engine)
{
	uint64_t members = desired(engine);

	if (engine->is_setting || engine->must_read || engine->is_reading ||
	    engine->now_ns < engine->retry_ns)
		return;
	if (members != engine->view.members || engine->attempted)
		change(engine, engine->config.node, members);
	else if (engine->hand_to != NODE_NONE && engine->n_undone == 0)
		change(engine, engine->hand_to, members);
}

static bool can_be_heir(const struct engine *engine, uint32_t node)
{
	return node < DVS_NODES_MAX && node != engine->config.node &&
	       is_in(engine->view.members, node) && !engine->peers[node].is_failed;
}

/* Nothing is begun that cannot be done: the heir must have bound the service's endpoint. */
void engine_hand_over(struct engine *engine, uint32_t node)
{
	dvs_err err = DVS_OK;

	if (engine_role(engine) != ENGINE_PRIMARY || engine->hand_to != NODE_NONE ||
	    engine->asked_heir != NODE_NONE)
		err = DVS_BADSTATE;
	else if (!can_be_heir(engine, node))
		err = DVS_NOTFOUND;
	if (err != DVS_OK) {
		CALL(engine, handed_over, err);
		return;
	}
	engine->asked_heir = node;
	CALL(engine, ask_heir, node, engine->peers[node].ep);
}

void engine_heir_answered(struct engine *engine, uint32_t node, dvs_err err)
{
	if (engine->asked_heir != node)
		return;
	engine->asked_heir = NODE_NONE;
	if (err == DVS_OK && can_be_heir(engine, node))
		engine->hand_to = node;
	else
		CALL(engine, handed_over, err == DVS_NOPROC ? DVS_NOPROC : DVS_NOTFOUND);
	engine_go(engine);
}

/* Whoever it was to be is gone: go on here. */
static void hand_over_stop(struct engine *engine)
{
	struct list *link;

	engine->hand_to = NODE_NONE;
	CALL(engine, handed_over, DVS_NOTFOUND);
	while ((link = list_take_head(&engine->held)))
		engine_submit(engine, CONTAINER_OF(link, struct engine_entry, logged));
}

void hand_over_look(struct engine *engine)
{
	if (engine->hand_to != NODE_NONE && !engine->is_setting && !engine->attempted &&
	    engine->peers[engine->hand_to].state != PEER_MEMBER)
		hand_over_stop(engine);
}
