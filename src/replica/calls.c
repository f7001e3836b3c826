/* SPDX-License-Identifier: Apache-2.0 */
/* Callers that are kept for whoever needs one, and calls that are made once. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "replica/internal.h"

#define JOIN_MS 5000u

struct single {
	struct replica *replica;
	uint32_t node;
	dvs_ep ep;
	uint64_t stream;
	uint64_t epoch;
	uint64_t after;
	uint64_t from;
	void *out;
};

static void single_free(struct single *single)
{
	if (single)
		free(single->out);
	free(single);
}

/* ---- callers ---- */

/* In the caller's thread. */
static void ready(void *context, struct caller *caller)
{
	struct replica *replica = context;

	pthread_mutex_lock(&replica->lock);
	list_add_tail(&replica->ready, &caller_use(caller)->idle);
	pthread_mutex_unlock(&replica->lock);
	turn_post(replica);
}

struct caller *caller_get(struct replica *replica, void *user,
			  void (*end)(void *user, struct caller *caller))
{
	struct caller_config config = { .dvk = replica->config.dvk,
					.ready = ready,
					.context = replica };
	struct list *link = list_take_head(&replica->idle);
	struct caller *caller;

	if (link) {
		struct caller_use *use = CONTAINER_OF(link, struct caller_use, idle);

		caller = use->self;
		replica->n_idle--;
	} else {
		caller = caller_open(&config);
		if (!caller)
			return NULL;
		list_add_tail(&replica->callers, &caller_use(caller)->all);
	}
	caller_use(caller)->is_single = false;
	caller_use(caller)->user = user;
	caller_use(caller)->end = end;
	return caller;
}

void caller_put(struct replica *replica, struct caller *caller)
{
	struct caller_use *use = caller_use(caller);

	use->end = NULL;
	if (replica->n_idle < IDLE_MAX) {
		replica->n_idle++;
		list_add_tail(&replica->idle, &use->idle);
		return;
	}
	list_remove(&use->all);
	caller_close(caller, skeleton_self(replica->config.skeleton));
}

void caller_leave(struct replica *replica, struct caller *caller)
{
	(void)replica;
	caller_use(caller)->end = NULL;
}

void callers_ready(struct replica *replica)
{
	for (;;) {
		struct list *link;
		struct caller_use *use;

		pthread_mutex_lock(&replica->lock);
		link = list_take_head(&replica->ready);
		pthread_mutex_unlock(&replica->lock);
		if (!link)
			return;
		use = CONTAINER_OF(link, struct caller_use, idle);
		use->is_busy = false;
		if (use->end)
			use->end(use->user, use->self);
		else
			caller_put(replica, use->self);
	}
}

void callers_close(struct replica *replica)
{
	struct list *link;

	while ((link = list_take_head(&replica->callers))) {
		struct caller_use *use = CONTAINER_OF(link, struct caller_use, all);
		struct single *single = use->is_single && use->end ? use->user : NULL;

		caller_close(use->self, skeleton_self(replica->config.skeleton));
		single_free(single);
	}
}

/* ---- single calls ---- */

static struct single *single_new(struct replica *replica, uint32_t node, dvs_ep ep)
{
	struct single *single = calloc(1, sizeof(*single));

	assert(single);
	single->replica = replica;
	single->node = node;
	single->ep = ep;
	return single;
}

static dvs_err result_err(const struct caller_result *result)
{
	return result->err != DVS_OK ? result->err : dvs_err_from_number(result->reply.u32[0]);
}

static void single_end(struct single *single, struct caller *caller)
{
	caller_put(single->replica, caller);
	single_free(single);
}

static void view_ended(void *user, struct caller *caller)
{
	struct single *single = user;
	const struct caller_result *result = caller_result(caller);
	struct cursor in = cursor_over(result->reply.bytes + 4, sizeof(result->reply.bytes) - 4);
	struct replica_view_rep rep = { .received = 0 };
	dvs_err err = result_err(result);

	if (err == DVS_OK)
		err = replica_view_rep_decode_padded(&in, &rep);
	engine_view_answered(replica_enter(single->replica), single->node, single->stream, err,
			     rep.received);
	single_end(single, caller);
}

void calls_view(struct replica *replica, uint32_t node, dvs_ep ep, uint64_t epoch, uint64_t stream)
{
	struct single *single = single_new(replica, node, ep);
	struct caller *caller = caller_get(replica, single, view_ended);
	struct dvs_msg msg = { .type = REPLICA_VIEW };
	struct writer out = writer_over(msg.bytes, sizeof(msg.bytes));

	assert(caller);
	single->stream = stream;
	replica_view_req_encode(&out,
				&(struct replica_view_req){
					.epoch = epoch,
					.stream = stream,
					.node = replica->config.node.n,
					.ep = m3_self(skeleton_self(replica->config.skeleton)).n });
	caller_use(caller)->is_single = true;
	caller_call(caller, ep, &msg, NULL, 0, replica->config.evict_ms);
}

static void tail_ask(struct single *single, struct caller *caller);

static void tail_ended(void *user, struct caller *caller)
{
	struct single *single = user;
	struct replica *replica = single->replica;
	const struct caller_result *result = caller_result(caller);
	dvs_err err = result_err(result);

	if (err == DVS_OK && result->bytes > 0) {
		single->from += result->bytes;
		if (inbox_take_tail(replica, result->data, result->bytes)) {
			tail_ask(single, caller);
			return;
		}
		err = DVS_PROTO;
	}
	engine_tail_done(replica_enter(replica), single->node, err);
	single_end(single, caller);
}

static void tail_ask(struct single *single, struct caller *caller)
{
	struct dvs_msg msg = { .type = REPLICA_TAIL };
	struct writer out = writer_over(msg.bytes, sizeof(msg.bytes));

	replica_tail_req_encode(&out, &(struct replica_tail_req){ .epoch = single->epoch,
								  .after = single->after,
								  .from = single->from });
	caller_use(caller)->is_single = true;
	caller_call(caller, single->ep, &msg, NULL, 0, single->replica->config.evict_ms);
}

void calls_tail(struct replica *replica, uint32_t node, dvs_ep ep, uint64_t epoch, uint64_t after)
{
	struct single *single = single_new(replica, node, ep);
	struct caller *caller = caller_get(replica, single, tail_ended);

	assert(caller);
	inbox_clear(replica);
	single->epoch = epoch;
	single->after = after;
	tail_ask(single, caller);
}

static void join_ended(void *user, struct caller *caller)
{
	struct single *single = user;
	const struct caller_result *result = caller_result(caller);
	dvs_err err = result_err(result);

	log_debug(single->replica->config.log, "join", LOG_STR("name", single->replica->key),
		  LOG_STR("answer", dvs_strerror(err)));
	engine_join_answered(replica_enter(single->replica), single->stream, err);
	single_end(single, caller);
}

/* From a turn of the loop: the owner is asked what it has to say. */
void calls_join(struct replica *replica, uint64_t stream)
{
	const struct replica_owner *owner = replica->config.owner;
	struct single *single = single_new(replica, 0, replica->config.service);
	struct caller *caller = caller_get(replica, single, join_ended);
	struct dvs_msg msg = { .type = REPLICA_JOIN };
	struct writer out = writer_over(msg.bytes, sizeof(msg.bytes));
	size_t n;

	single->out = malloc(REPLICA_HELLO_MAX);
	assert(caller && single->out);
	n = owner->hello ? owner->hello(owner->context, single->out) : 0;
	assert(n <= REPLICA_HELLO_MAX);
	single->stream = stream;
	replica_join_req_encode(&out,
				&(struct replica_join_req){
					.node = replica->config.node.n,
					.ep = m3_self(skeleton_self(replica->config.skeleton)).n,
					.stream = stream });
	caller_use(caller)->is_single = true;
	caller_call(caller, replica->config.service, &msg, single->out, n, JOIN_MS);
}

static void take_ended(void *user, struct caller *caller)
{
	struct single *single = user;

	engine_promoted_other(replica_enter(single->replica), result_err(caller_result(caller)));
	single_end(single, caller);
}

static void look_ended(void *user, struct caller *caller)
{
	struct single *single = user;

	engine_heir_answered(replica_enter(single->replica), single->node,
			     result_err(caller_result(caller)));
	single_end(single, caller);
}

void calls_take(struct replica *replica, uint32_t node, dvs_ep ep, bool only_look)
{
	struct single *single = single_new(replica, node, ep);
	struct caller *caller = caller_get(replica, single, only_look ? look_ended : take_ended);
	struct dvs_msg msg = { .type = REPLICA_TAKE };
	struct writer out = writer_over(msg.bytes, sizeof(msg.bytes));

	assert(caller);
	replica_take_req_encode(&out,
				&(struct replica_take_req){ .epoch = engine_epoch(replica->engine),
							    .only_look = only_look });
	caller_use(caller)->is_single = true;
	caller_call(caller, ep, &msg, NULL, 0, replica->config.evict_ms);
}
