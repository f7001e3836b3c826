/* SPDX-License-Identifier: Apache-2.0 */
/* What all roles have: the log, operations and their results. */
#include "replica/engine.h"

#include <assert.h>
#include <stdlib.h>

#include "replica/engine_internal.h"

struct engine *engine_open(const struct engine_config *config)
{
	struct engine *engine = calloc(1, sizeof(*engine));

	if (!engine)
		return NULL;
	engine->config = *config;
	engine->is_fresh = true;
	engine->hand_to = engine->asked_heir = engine->promised_to = NODE_NONE;
	engine->next_stream = config->nonce;
	list_init(&engine->log);
	list_init(&engine->held);
	return engine;
}

void engine_close(struct engine *engine)
{
	struct list *link;

	if (!engine)
		return;
	while ((link = list_take_head(&engine->log)))
		CALL(engine, forget, CONTAINER_OF(link, struct engine_entry, logged));
	free(engine);
}

/* ---- time ---- */

static bool is_paused(const struct engine *engine)
{
	if (engine->role != ENGINE_PRIMARY)
		return false;
	return engine->readers_wait || (engine->is_changing && engine->n_undone > 0);
}

/* Who was paused itself, or got no time from its machine, cannot say that others were silent meanwhile. */
static uint64_t own_time(const struct engine *engine, uint64_t span_ns)
{
	uint64_t most_ns = engine->config.lease_ns / 2;

	return span_ns < most_ns ? span_ns : most_ns;
}

void engine_now(struct engine *engine, uint64_t now_ns)
{
	if (now_ns <= engine->now_ns)
		return;
	if (is_paused(engine))
		engine->paused_ns += now_ns - engine->now_ns;
	engine->quiet_ns += own_time(engine, now_ns - engine->now_ns);
	engine->now_ns = now_ns;
}

void engine_start(struct engine *engine)
{
	/* What was promised before the start is over then. */
	engine->promised_ns = engine->now_ns + engine->config.lease_ns;
	engine_go(engine);
}

void engine_tick(struct engine *engine)
{
	engine_go(engine);
}

void engine_leave(struct engine *engine)
{
	engine->is_leaving = true;
	engine_become_absent(engine);
}

void engine_go(struct engine *engine)
{
	if (engine->is_leaving)
		return;

	switch (engine->role) {
	case ENGINE_ABSENT:
		absent_go(engine);
		break;
	case ENGINE_JOINING:
	case ENGINE_MEMBER:
		member_go(engine);
		break;
	case ENGINE_CANDIDATE:
		candidate_go(engine);
		break;
	case ENGINE_PRIMARY:
		primary_go(engine);
		break;
	}
}

void engine_role_set(struct engine *engine, enum engine_role role)
{
	engine->role = role;
	if (role == ENGINE_MEMBER || role == ENGINE_PRIMARY)
		engine->was_current = true;
	if (role != ENGINE_ABSENT)
		engine->is_joining = false;
	CALL(engine, role, role);
}

/* ---- the log ---- */

void engine_append(struct engine *engine, struct engine_entry *entry, uint64_t sequence)
{
	entry->sequence = sequence;
	entry->is_applied = false;
	entry->is_dropped = false;
	entry->odd = 0;
	engine->last = sequence;
	engine->total += entry->bytes;
	entry->total = engine->total;
	list_add_tail(&engine->log, &entry->logged);
	engine->n_applying++;
	CALL(engine, apply, entry);
}

void engine_trim(struct engine *engine)
{
	while (!list_is_empty(&engine->log)) {
		struct engine_entry *entry =
			CONTAINER_OF(engine->log.next, struct engine_entry, logged);

		if (entry->sequence > engine->stable || !entry->is_applied || entry->is_ours)
			return;
		list_remove(&entry->logged);
		if (entry->odd || entry->result != DVS_OK)
			engine->n_bad--;
		CALL(engine, forget, entry);
	}
}

static void entry_refuse(struct engine *engine, struct engine_entry *entry)
{
	if (!entry->is_ours)
		return;
	entry->is_ours = false;
	engine->n_undone--;
	CALL(engine, done, entry, DVS_BADSTATE);
}

/* What the owner is still carrying out ends when it has done so. */
void engine_log_drop(struct engine *engine)
{
	struct list *link;

	while ((link = list_take_head(&engine->log))) {
		struct engine_entry *entry = CONTAINER_OF(link, struct engine_entry, logged);

		entry->is_dropped = true;
		if (!entry->is_applied)
			continue;
		entry_refuse(engine, entry);
		CALL(engine, forget, entry);
	}
	while ((link = list_take_head(&engine->held))) {
		struct engine_entry *entry = CONTAINER_OF(link, struct engine_entry, logged);

		CALL(engine, done, entry, DVS_BADSTATE);
		CALL(engine, forget, entry);
	}
	engine->applied = engine->stable = engine->last;
	engine->n_bad = 0;
}

static void applied_advance(struct engine *engine, struct engine_entry *entry)
{
	struct list *link = &entry->logged;

	if (entry->sequence != engine->applied + 1)
		return;
	for (; link != &engine->log; link = link->next) {
		const struct engine_entry *next = CONTAINER_OF(link, struct engine_entry, logged);

		if (!next->is_applied)
			return;
		engine->applied = next->sequence;
	}
}

void engine_applied(struct engine *engine, struct engine_entry *entry, dvs_err result)
{
	struct remembered what = { .client = entry->client, .call = entry->call, .result = result };

	assert(!entry->is_applied);
	entry->is_applied = true;
	entry->result = result;
	engine->n_applying--;
	remember_add(engine->config.remember, &what);
	if (entry->is_dropped) {
		entry_refuse(engine, entry);
		CALL(engine, forget, entry);
	} else {
		if (result != DVS_OK && entry->odd == 0)
			engine->n_bad++;
		if (engine->role == ENGINE_PRIMARY)
			primary_applied(engine, result);
		applied_advance(engine, entry);
		if (engine->role != ENGINE_PRIMARY)
			engine_trim(engine);
	}
	engine_go(engine);
}

/* ---- results ---- */

void engine_read(struct engine *engine)
{
	if (engine->is_reading)
		return;
	engine->is_reading = true;
	CALL(engine, read_record);
}

void engine_record(struct engine *engine, dvs_err err, uint64_t version,
		   const struct engine_view *view)
{
	engine->is_reading = false;
	if (err != DVS_OK)
		engine->retry_ns = engine->now_ns + RETRY_NS;
	switch (engine->role) {
	case ENGINE_ABSENT:
		absent_record(engine, err, view);
		break;
	case ENGINE_JOINING:
	case ENGINE_MEMBER:
		member_record(engine, err, version, view);
		break;
	case ENGINE_CANDIDATE:
		candidate_record(engine, err, version, view);
		break;
	case ENGINE_PRIMARY:
		primary_record(engine, err, version, view);
		break;
	}
	engine_go(engine);
}

/* The result of a change that was begun in a former role is not looked at: the record is read anew. */
void engine_set(struct engine *engine, dvs_err err, uint64_t version)
{
	engine->is_setting = false;
	if (engine->is_changing && engine->role == ENGINE_CANDIDATE)
		candidate_set(engine, err, version);
	else if (engine->is_changing && engine->role == ENGINE_PRIMARY)
		primary_set(engine, err, version);
	engine_go(engine);
}

void engine_become_absent(struct engine *engine)
{
	if (engine->role == ENGINE_PRIMARY || engine->role == ENGINE_CANDIDATE)
		primary_end(engine);
	engine->is_fresh = true;
	engine->stream_in = 0;
	engine->is_changing = false;
	engine->attempted = 0;
	engine->retry_ns = engine->now_ns + RETRY_SOON_NS;
	engine_log_drop(engine);
	if (engine->service != SERVICE_NONE) {
		engine->service = SERVICE_NONE;
		CALL(engine, give_up);
	}
	engine_role_set(engine, ENGINE_ABSENT);
}

/* ---- the service's endpoint ---- */

void engine_took(struct engine *engine, dvs_err err)
{
	engine->is_taking = false;
	if (err == DVS_OK) {
		engine->service = SERVICE_OURS;
		candidate_start(engine);
	} else if (err == DVS_INUSE) {
		engine->someone_bound = true;
	} else {
		engine->retry_ns = engine->now_ns + RETRY_NS;
	}
	engine_go(engine);
}

void engine_backed(struct engine *engine, dvs_err err)
{
	engine->is_backing = false;
	if (err == DVS_OK)
		engine->service = SERVICE_BACKUP;
	else
		engine->retry_ns = engine->now_ns + RETRY_NS;
	/* It does not wait for that any more. */
	if (err == DVS_OK && engine->role != ENGINE_MEMBER) {
		engine->service = SERVICE_NONE;
		CALL(engine, give_up);
	}
	engine_go(engine);
}

void engine_promoted(struct engine *engine)
{
	if (engine->service != SERVICE_BACKUP)
		return;
	engine->service = SERVICE_OURS;
	if (engine->role != ENGINE_CANDIDATE && engine->role != ENGINE_PRIMARY)
		candidate_start(engine);
	engine_go(engine);
}

void engine_lost(struct engine *engine)
{
	engine->service = SERVICE_NONE;
	if (engine->role == ENGINE_PRIMARY || engine->role == ENGINE_CANDIDATE)
		engine_become_absent(engine);
	engine_go(engine);
}

void engine_look_again(struct engine *engine)
{
	engine->is_asked = true;
	engine->retry_ns = engine->now_ns;
	if (engine->role == ENGINE_PRIMARY)
		engine->must_read = true;
	engine_go(engine);
}

/* ---- what others ask ---- */

enum engine_role engine_role(const struct engine *engine)
{
	return engine->role == ENGINE_PRIMARY && !engine->is_serving ? ENGINE_CANDIDATE :
								       engine->role;
}

const struct engine_view *engine_view(const struct engine *engine)
{
	return &engine->view;
}

uint64_t engine_epoch(const struct engine *engine)
{
	return engine->epoch;
}

const struct list *engine_log(const struct engine *engine)
{
	return &engine->log;
}

uint64_t engine_last(const struct engine *engine)
{
	return engine->last;
}

uint64_t engine_applied_up_to(const struct engine *engine)
{
	return engine->applied;
}

uint64_t engine_stable(const struct engine *engine)
{
	return engine->stable;
}

static struct engine_entry *find_call(const struct list *entries, dvs_ep client, uint32_t call)
{
	LIST_FOREACH(link, entries) {
		struct engine_entry *entry = CONTAINER_OF(link, struct engine_entry, logged);

		if (entry->is_ours && entry->client.n == client.n && entry->call == call)
			return entry;
	}
	return NULL;
}

struct engine_entry *engine_under_way(const struct engine *engine, dvs_ep client, uint32_t call)
{
	struct engine_entry *entry = client.n ? find_call(&engine->log, client, call) : NULL;

	return entry || !client.n ? entry : find_call(&engine->held, client, call);
}

bool engine_is_idle(const struct engine *engine)
{
	return engine->n_undone == 0 && list_is_empty(&engine->held);
}

uint64_t engine_paused_ns(const struct engine *engine)
{
	return engine->paused_ns;
}
