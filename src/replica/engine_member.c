/* SPDX-License-Identifier: Apache-2.0 */
/* Absent, joining, member: whoever is not the primary. */
#include "replica/engine_internal.h"

/* So long nothing may come of a stream that was promised. */
#define BEGIN_NS UINT64_C(2000000000)

/* ---- absent ---- */

static void join(struct engine *engine)
{
	engine->stream_in = ++engine->next_stream;
	engine->is_joining = true;
	engine->is_join_answered = false;
	CALL(engine, join, engine->stream_in);
}

static void take(struct engine *engine)
{
	engine->is_taking = true;
	engine->someone_bound = false;
	CALL(engine, take);
}

static bool may_take(const struct engine *engine, const struct engine_view *view)
{
	if (!view)
		return engine->config.first == engine->config.node;
	return is_in(view->members, engine->config.node) &&
	       (!engine->config.is_empty || engine->was_current || view->writer == ENGINE_FORCED);
}

void absent_record(struct engine *engine, dvs_err err, const struct engine_view *view)
{
	if (err != DVS_OK || engine->is_joining || engine->is_taking)
		return;
	engine->retry_ns = engine->now_ns + RETRY_NS;
	if (view) {
		engine->view = *view;
		if (view->epoch > engine->epoch)
			engine->epoch = view->epoch;
	}
	/* Somebody is the primary: it is asked. But it may be gone since, so every other time it is tried to take over. */
	if (may_take(engine, view) && !engine->someone_bound) {
		take(engine);
	} else {
		engine->someone_bound = false;
		join(engine);
	}
}

void absent_go(struct engine *engine)
{
	/* It says what it has when it joins: that must not change any more. */
	if (engine->n_applying > 0 || engine->is_taking || engine->is_backing)
		return;
	if (engine->is_joining) {
		if (engine->is_join_answered && engine->now_ns > engine->heard_ns + BEGIN_NS)
			engine->is_joining = false;
		return;
	}
	if (engine->now_ns >= engine->retry_ns || engine->someone_bound)
		engine_read(engine);
}

void engine_join_answered(struct engine *engine, uint64_t stream, dvs_err err)
{
	if (engine->role != ENGINE_ABSENT || !engine->is_joining || stream != engine->stream_in)
		return;
	if (err == DVS_OK) {
		engine->is_join_answered = true;
		engine->heard_ns = engine->now_ns;
	} else {
		engine->is_joining = false;
		engine->retry_ns = engine->now_ns + RETRY_NS;
	}
	engine_go(engine);
}

/* ---- joining and member ---- */

static void become_member(struct engine *engine)
{
	engine->quiet_ns = 0;
	engine->is_fresh = false;
	engine_role_set(engine, ENGINE_MEMBER);
}

void member_record(struct engine *engine, dvs_err err, uint64_t version,
		   const struct engine_view *view)
{
	uint64_t silent_ns = engine->now_ns - engine->heard_ns;
	bool is_member;

	(void)version;
	/* What is older than what the primary says is not known here yet. */
	if (err != DVS_OK || !view || view->epoch < engine->epoch)
		return;
	is_member = is_in(view->members, engine->config.node);
	if (!is_member &&
	    (engine->role == ENGINE_MEMBER || silent_ns > 2 * engine->config.lease_ns)) {
		engine_become_absent(engine);
		return;
	}
	if (!is_member)
		return;
	/* Others have taken over, and would have told a member that they count on. */
	if (view->epoch > engine->epoch && silent_ns > engine->config.evict_ns) {
		engine_become_absent(engine);
		return;
	}
	if (engine->role == ENGINE_JOINING) {
		engine->view = *view;
		engine->epoch = view->epoch;
		become_member(engine);
	}
	if (!engine->someone_bound && engine->service == SERVICE_NONE && !engine->is_taking &&
	    !engine->is_backing)
		take(engine);
}

void engine_looked(struct engine *engine, dvs_err err, bool is_bound)
{
	engine->is_looking = false;
	if (engine->role != ENGINE_JOINING && engine->role != ENGINE_MEMBER)
		return;
	engine->someone_bound = is_bound || err != DVS_OK;
	if (err == DVS_OK)
		engine_read(engine);
	engine_go(engine);
}

/* Those with a lower number come first, so that not all do it at once. */
static uint64_t patience_ns(const struct engine *engine)
{
	uint64_t before = engine->view.members & (node_bit(engine->config.node) - 1) &
			  ~node_bit(engine->from);
	uint64_t evict_ns = engine->config.evict_ns;

	/* A primary that is well has put this one out before. */
	return evict_ns + evict_ns / 4 + (uint64_t)__builtin_popcountll(before) * evict_ns / 8;
}

/* A primary that has its binding and gives no sign of life is paused, or hangs. That its promises are over is looked at as of one that was cut off. */
static void overtake(struct engine *engine)
{
	if (engine->role != ENGINE_MEMBER || engine->service != SERVICE_BACKUP ||
	    engine->is_promoting || engine->quiet_ns < patience_ns(engine) ||
	    engine->now_ns < engine->overtake_ns)
		return;
	engine->overtake_ns = engine->now_ns + engine->config.evict_ns / 4;
	CALL(engine, overtake);
}

void member_go(struct engine *engine)
{
	bool is_silent = engine->now_ns > engine->heard_ns + engine->config.lease_ns;
	bool is_free = !engine->is_taking && !engine->is_backing && !engine->is_promoting;

	if (engine->role == ENGINE_MEMBER && engine->service == SERVICE_NONE && is_free &&
	    engine->now_ns >= engine->retry_ns) {
		engine->is_backing = true;
		engine->retry_ns = engine->now_ns + RETRY_NS;
		CALL(engine, backup);
	}
	overtake(engine);
	if (engine->is_looking || engine->is_reading || !is_free)
		return;
	if ((is_silent && engine->now_ns >= engine->look_ns) || engine->is_asked) {
		engine->is_asked = false;
		engine->is_looking = true;
		engine->look_ns = engine->now_ns + engine->config.lease_ns / 2;
		CALL(engine, look);
	}
}

/* ---- what the primary sends ---- */

dvs_err engine_heard(struct engine *engine, uint32_t primary, dvs_ep ep, uint64_t stream,
		     uint64_t epoch, uint64_t stable, uint64_t members)
{
	bool is_expected = engine->role == ENGINE_JOINING || engine->role == ENGINE_MEMBER ||
			   (engine->role == ENGINE_ABSENT && engine->is_joining);

	if (!is_expected || stream == 0 || stream != engine->stream_in || epoch < engine->epoch)
		return DVS_BADSTATE;
	engine->heard_ns = engine->now_ns;
	engine->quiet_ns = 0;
	engine->from = primary;
	engine->from_ep = ep;
	engine->epoch = epoch;
	engine->view.epoch = epoch;
	engine->view.members = members;
	if (engine->role == ENGINE_ABSENT)
		return DVS_OK;
	if (stable > engine->stable)
		engine->stable = stable;
	engine_trim(engine);
	if (engine->role == ENGINE_JOINING && is_in(members, engine->config.node))
		become_member(engine);
	engine_go(engine);
	return DVS_OK;
}

void engine_begin(struct engine *engine, uint64_t after)
{
	if (engine->role != ENGINE_ABSENT || !engine->is_joining)
		return;
	engine->last = engine->applied = engine->stable = after;
	engine->is_fresh = false;
	/* What was carried out here and nowhere else is undone when it is brought up to date. */
	remember_clear(engine->config.remember);
	engine_role_set(engine, ENGINE_JOINING);
}

dvs_err engine_received(struct engine *engine, struct engine_entry *entry, uint64_t sequence)
{
	bool is_expected = engine->role == ENGINE_JOINING || engine->role == ENGINE_MEMBER ||
			   (engine->role == ENGINE_CANDIDATE && engine->is_tailing);

	if (!is_expected || sequence != engine->last + 1)
		return DVS_BADSTATE;
	entry->is_ours = false;
	engine_append(engine, entry, sequence);
	return DVS_OK;
}

bool engine_promise(struct engine *engine, uint64_t stream)
{
	if (stream == 0 || stream != engine->stream_in || engine->role == ENGINE_CANDIDATE ||
	    engine->role == ENGINE_PRIMARY)
		return false;
	engine->promised_ns = engine->now_ns + engine->config.lease_ns;
	engine->promised_to = engine->from;
	engine->promised_ep = engine->from_ep;
	return true;
}

dvs_err engine_view_call(struct engine *engine, uint32_t node, dvs_ep ep, uint64_t epoch,
			 uint64_t stream, uint64_t *received)
{
	if (node >= DVS_NODES_MAX || node == engine->config.node || epoch < engine->epoch)
		return DVS_BADSTATE;
	if ((engine->role == ENGINE_CANDIDATE || engine->role == ENGINE_PRIMARY) &&
	    epoch > engine->epoch) {
		engine_become_absent(engine);
		return DVS_BADSTATE;
	}
	if (engine->role != ENGINE_MEMBER && engine->role != ENGINE_JOINING)
		return DVS_BADSTATE;
	engine->epoch = epoch;
	engine->view.epoch = epoch;
	engine->view.primary = node;
	engine->view.ep[node] = ep;
	engine->stream_in = stream;
	engine->heard_ns = engine->now_ns;
	engine->quiet_ns = 0;
	engine->from = node;
	engine->from_ep = ep;
	if (engine->role == ENGINE_JOINING)
		become_member(engine);
	*received = engine->last;
	engine_go(engine);
	return DVS_OK;
}

dvs_err engine_tail_call(const struct engine *engine, uint64_t epoch)
{
	bool is_member = engine->role == ENGINE_MEMBER && epoch == engine->epoch;

	return is_member ? DVS_OK : DVS_BADSTATE;
}
