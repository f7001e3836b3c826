/* SPDX-License-Identifier: Apache-2.0 */
/* The owner's calls, and the turns in which it is called back. */
#include "replica/replica.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "replica/internal.h"

#define LEASE_MS 400u
#define EVICT_MS 10000u
#define CLOSE_NS (2 * CLOCK_NS_PER_S)

_Static_assert(REPLICA_REMEMBERED == REMEMBER_MAX, "as the header says");

/* ---- turns ---- */

struct engine *replica_enter(struct replica *replica)
{
	engine_now(replica->engine, clock_now_ns());
	return replica->engine;
}

static void flush(struct replica *replica)
{
	for (uint64_t open = replica->streams_open; open; open &= open - 1)
		outbox_flush(replica, (uint32_t)__builtin_ctzll(open));
}

/* The others get first what is theirs, and carry it out at the same time. */
static void go(struct replica *replica)
{
	struct list *link;

	flush(replica);
	while ((link = list_take_head(&replica->notices))) {
		struct notice *notice = CONTAINER_OF(link, struct notice, queued);

		notice->run(replica, notice);
	}
	flush(replica);
}

static void run_soon(struct skeleton_timer *timer)
{
	go(CONTAINER_OF(timer, struct replica, soon));
}

void replica_soon(struct replica *replica)
{
	if (!replica->soon.is_set)
		skeleton_timer_set(replica->config.skeleton, &replica->soon, 0, run_soon);
}

void replica_notice(struct replica *replica, struct notice *notice,
		    void (*run)(struct replica *replica, struct notice *notice))
{
	notice->run = run;
	list_add_tail(&replica->notices, &notice->queued);
	replica_soon(replica);
}

/* What other threads have for this one. The last one out frees it. */
static void run_turn(struct post *post)
{
	struct turn *turn = CONTAINER_OF(post, struct turn, post);
	struct replica *replica;

	pthread_mutex_lock(&turn->lock);
	turn->is_posted = false;
	replica = turn->replica;
	pthread_mutex_unlock(&turn->lock);
	if (!replica) {
		pthread_mutex_destroy(&turn->lock);
		free(turn);
		return;
	}
	callers_ready(replica);
	worker_ended(replica);
	go(replica);
}

void turn_post(struct replica *replica)
{
	struct turn *turn = replica->turn;
	bool was_posted;

	pthread_mutex_lock(&turn->lock);
	was_posted = turn->is_posted;
	turn->is_posted = true;
	pthread_mutex_unlock(&turn->lock);
	if (!was_posted)
		poster_put(&replica->poster, &turn->post);
}

/* ---- the service's endpoint ---- */

static void lost(void *context, struct m3 *self, dvs_err err)
{
	struct replica *replica = context;

	(void)err;
	if (self != replica->service)
		return;
	skeleton_forget(replica->config.skeleton, self);
	dvk_unbind(self);
	replica->service = NULL;
	engine_lost(replica_enter(replica));
}

/* A call to itself is refused at once, with what the endpoint is. */
static void look_at_service(struct replica *replica)
{
	enum engine_role role = engine_role(replica->engine);
	void *none;
	dvs_err err;

	if (!replica->service)
		return;
	err = m3_call_window(replica->service, m3_self(replica->service), 0, &none);
	if (err == DVS_NOTBOUND)
		lost(replica, replica->service, err);
	else if (err == DVS_DEADLOCK)
		engine_promoted(replica_enter(replica));
	else if (role == ENGINE_PRIMARY || role == ENGINE_CANDIDATE)
		lost(replica, replica->service, err);
}

static void run_tick(struct skeleton_timer *timer)
{
	struct replica *replica = CONTAINER_OF(timer, struct replica, tick);

	skeleton_timer_set(replica->config.skeleton, timer,
			   clock_now_ns() + replica->config.lease_ms * CLOCK_NS_PER_MS / 8,
			   run_tick);
	look_at_service(replica);
	engine_tick(replica_enter(replica));
	inbox_go(replica);
	go(replica);
}

/* ---- open, close ---- */

static bool open_engine(struct replica *replica)
{
	const struct replica_config *config = &replica->config;
	struct engine_config engine = {
		.node = config->node.n,
		.ep = m3_self(skeleton_self(config->skeleton)),
		.nodes = config->nodes,
		.first = config->first.n,
		.is_empty = config->is_empty,
		.is_async = config->mode == REPLICA_ASYNC,
		.lag_bytes = config->lag_bytes,
		.lease_ns = config->lease_ms * CLOCK_NS_PER_MS,
		.evict_ns = config->evict_ms * CLOCK_NS_PER_MS,
		.ops = &replica_ops,
		.context = replica,
	};

	if (getrandom(&engine.nonce, sizeof(engine.nonce), 0) != (ssize_t)sizeof(engine.nonce))
		return false;
	replica->remember = remember_open();
	engine.remember = replica->remember;
	/* No number of a stream comes round to zero. */
	engine.nonce >>= 1;
	replica->engine = replica->remember ? engine_open(&engine) : NULL;
	return replica->engine != NULL;
}

static void init(struct replica *replica, const struct replica_config *config)
{
	replica->config = *config;
	if (config->lease_ms == 0)
		replica->config.lease_ms = LEASE_MS;
	if (config->evict_ms == 0)
		replica->config.evict_ms = EVICT_MS;
	(void)snprintf(replica->key, sizeof(replica->key), "view/%s", config->name);
	list_init(&replica->notices);
	list_init(&replica->readers);
	list_init(&replica->idle);
	list_init(&replica->callers);
	list_init(&replica->work);
	list_init(&replica->ended);
	list_init(&replica->ready);
	pthread_mutex_init(&replica->lock, NULL);
	pthread_cond_init(&replica->more, NULL);
	inbox_init(replica);
	replica->poster = skeleton_poster(config->skeleton);
	replica->turn->post.run = run_turn;
	replica->turn->replica = replica;
	pthread_mutex_init(&replica->turn->lock, NULL);
}

dvs_err replica_open(const struct replica_config *config, struct replica **replica)
{
	struct replica *made = calloc(1, sizeof(*made));
	dvs_err err;

	assert(config->node.n < DVS_NODES_MAX);
	if (made)
		made->turn = calloc(1, sizeof(*made->turn));
	if (!made || !made->turn) {
		free(made);
		return DVS_NOMEM;
	}
	init(made, config);
	err = open_engine(made) ? worker_open(made) : DVS_NOMEM;
	if (err != DVS_OK) {
		replica_close(made);
		return err;
	}
	*replica = made;
	inbox_clear(made);
	skeleton_on_lost(config->skeleton, lost, made);
	run_tick(&made->tick);
	engine_start(replica_enter(made));
	return DVS_OK;
}

static void give_up_closing(struct skeleton_timer *timer)
{
	struct replica *replica = CONTAINER_OF(timer, struct replica, soon);

	go(replica);
	if (engine_is_idle(replica->engine) || clock_now_ns() >= replica->close_ns)
		skeleton_stop(replica->config.skeleton);
	else
		skeleton_timer_set(replica->config.skeleton, timer,
				   clock_now_ns() + CLOCK_NS_PER_MS, give_up_closing);
}

/* Nothing new comes in; the loop goes on for that long. */
static void finish(struct replica *replica)
{
	struct skeleton *skeleton = replica->config.skeleton;

	if (!replica->is_primary || engine_is_idle(replica->engine))
		return;
	skeleton_listen(skeleton, NULL);
	replica->close_ns = clock_now_ns() + CLOSE_NS;
	skeleton_timer_cancel(skeleton, &replica->soon);
	skeleton_timer_set(skeleton, &replica->soon, 0, give_up_closing);
	if (skeleton_run(skeleton) != DVS_OK)
		log_warning(replica->config.log, "what was submitted is not finished",
			    LOG_STR("name", replica->config.name));
}

static void turn_leave(struct replica *replica)
{
	struct turn *turn = replica->turn;
	bool is_posted;

	pthread_mutex_lock(&turn->lock);
	turn->replica = NULL;
	is_posted = turn->is_posted;
	pthread_mutex_unlock(&turn->lock);
	if (is_posted)
		return;
	pthread_mutex_destroy(&turn->lock);
	free(turn);
}

void replica_close(struct replica *replica)
{
	struct skeleton *skeleton;

	if (!replica)
		return;
	skeleton = replica->config.skeleton;
	if (replica->engine) {
		finish(replica);
		replica->is_closing = true;
		skeleton_timer_cancel(skeleton, &replica->tick);
		skeleton_on_lost(skeleton, NULL, NULL);
		worker_close(replica);
		engine_leave(replica_enter(replica));
		inbox_clear(replica);
		go(replica);
		callers_close(replica);
		skeleton_timer_cancel(skeleton, &replica->soon);
		engine_close(replica->engine);
	}
	remember_close(replica->remember);
	pthread_cond_destroy(&replica->more);
	pthread_mutex_destroy(&replica->lock);
	turn_leave(replica);
	free(replica);
}

/* ---- what is asked ---- */

enum replica_role replica_role(const struct replica *replica)
{
	switch (engine_role(replica->engine)) {
	case ENGINE_ABSENT:
		return REPLICA_ABSENT;
	case ENGINE_JOINING:
		return REPLICA_JOINING;
	case ENGINE_MEMBER:
	case ENGINE_CANDIDATE:
		return REPLICA_MEMBER;
	case ENGINE_PRIMARY:
		return REPLICA_PRIMARY;
	}
	return REPLICA_ABSENT;
}

uint64_t replica_epoch(const struct replica *replica)
{
	return engine_epoch(replica->engine);
}

uint64_t replica_members(const struct replica *replica)
{
	return engine_view(replica->engine)->members;
}

uint64_t replica_sequence(const struct replica *replica)
{
	return engine_last(replica->engine);
}

uint64_t replica_paused_ns(const struct replica *replica)
{
	return engine_paused_ns(replica->engine);
}

static enum replica_role role_of(const struct replica *replica, uint32_t node)
{
	enum engine_role role;

	if (node == replica->config.node.n)
		return replica_role(replica);
	if (engine_role(replica->engine) != ENGINE_PRIMARY)
		return replica_members(replica) >> node & 1 ? REPLICA_MEMBER : REPLICA_ABSENT;
	role = engine_peer_role(replica->engine, node);
	if (role == ENGINE_MEMBER)
		return REPLICA_MEMBER;
	return role == ENGINE_JOINING ? REPLICA_JOINING : REPLICA_ABSENT;
}

uint32_t replica_look(const struct replica *replica, struct replica_member_state *states)
{
	uint32_t n = 0;

	for (uint32_t node = 0; node < DVS_NODES_MAX; node++) {
		if (!(replica->config.nodes >> node & 1))
			continue;
		states[n++] = (struct replica_member_state){
			.node = { node },
			.role = role_of(replica, node),
			.lag_bytes = engine_lag_bytes(replica->engine, node),
		};
	}
	return n;
}

/* ---- entries ---- */

void replica_submit(struct replica *replica, struct replica_entry *entry)
{
	struct block *block = block_new();

	assert(entry->head_bytes <= REPLICA_HEAD_MAX && entry->bytes <= DVS_DATA_MAX);
	assert(block);
	list_init(&entry->queued);
	entry->is_applied = false;
	entry->library = block;
	block->entry = entry;
	block->e.bytes = entry->bytes;
	block->e.client = entry->client;
	block->e.call = entry->call;
	engine_submit(replica_enter(replica), &block->e);
	entry->sequence = block->e.sequence;
}

void replica_settle(struct replica *replica)
{
	LIST_FOREACH_SAFE(link, &replica->notices) {
		struct notice *notice = CONTAINER_OF(link, struct notice, queued);

		if (!notice->is_apply)
			continue;
		list_remove(&notice->queued);
		notice->run(replica, notice);
	}
}

void replica_applied(struct replica *replica, struct replica_entry *entry, dvs_err result)
{
	struct block *block = entry->library;

	entry->is_applied = true;
	entry->result = result;
	if (result != DVS_OK && !block->e.is_dropped && !replica->is_primary)
		inbox_say_odd(replica, block->e.sequence, result);
	engine_applied(replica_enter(replica), &block->e, result);
	inbox_go(replica);
}

struct replica_entry *replica_under_way(const struct replica *replica, dvs_ep client, uint32_t call)
{
	struct engine_entry *entry = engine_under_way(replica->engine, client, call);

	return entry ? CONTAINER_OF(entry, struct block, e)->entry : NULL;
}

bool replica_was_done(const struct replica *replica, dvs_ep client, uint32_t call, dvs_err *result)
{
	return remember_find(replica->remember, client, call, result);
}

bool replica_may_read(struct replica *replica, struct replica_reader *reader)
{
	if (engine_may_read(replica_enter(replica)))
		return true;
	list_add_tail(&replica->readers, &reader->queued);
	if (!replica->is_primary)
		replica_ops.readers(replica, DVS_BADSTATE);
	return false;
}

/* ---- others ---- */

void replica_tell(struct replica *replica, dvs_nodeid node, struct replica_word *word)
{
	assert(node.n < DVS_NODES_MAX);
	outbox_tell(replica, node.n, word);
}

void replica_answer(struct replica *replica, struct replica_heard *heard, dvs_err err,
		    const void *answer, size_t n)
{
	inbox_answer_word(replica, heard, err, answer, n);
}

void replica_is_current(struct replica *replica, dvs_nodeid node)
{
	assert(node.n < DVS_NODES_MAX);
	engine_is_current(replica_enter(replica), node.n);
}

void replica_set_nodes(struct replica *replica, uint64_t nodes)
{
	replica->config.nodes = nodes;
	engine_set_nodes(replica_enter(replica), nodes);
}

void replica_set_mode(struct replica *replica, enum replica_mode mode, uint64_t lag_bytes)
{
	replica->config.mode = mode;
	replica->config.lag_bytes = lag_bytes;
	engine_set_mode(replica_enter(replica), mode == REPLICA_ASYNC, lag_bytes);
}

void replica_hand_over(struct replica *replica, dvs_nodeid node,
		       void (*done)(void *context, dvs_err err), void *context)
{
	if (replica->handed) {
		done(context, DVS_BADSTATE);
		return;
	}
	replica->handed = done;
	replica->handed_context = context;
	engine_hand_over(replica_enter(replica), node.n);
}

bool replica_step_down(struct replica *replica)
{
	return engine_step_down(replica_enter(replica));
}

void replica_look_again(struct replica *replica)
{
	look_at_service(replica);
	engine_look_again(replica_enter(replica));
}
