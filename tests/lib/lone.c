/* SPDX-License-Identifier: Apache-2.0 */
/* In place of the room skeleton and of libdvk: handles of theirs are pointers into struct lone. (caller.c, worker.c: lone_calls.c) */
#include "lone.h"

#include <stdlib.h>
#include <string.h>

#define WINDOW_BYTES ((size_t)64 * 1024)
#define TURNS_MAX 1000u
/* Nothing passes by itself. */
#define LEASE_MS 3600000u

static void must(bool holds)
{
	if (!holds)
		abort();
}

static struct lone *lone_of(struct skeleton *skeleton)
{
	return (struct lone *)skeleton;
}

/* ---- the loop ---- */

static void put(void *context, struct post *post)
{
	struct lone *lone = context;

	list_init(&post->queued);
	list_add_tail(&lone->posts, &post->queued);
}

struct poster skeleton_poster(struct skeleton *skeleton)
{
	return (struct poster){ .context = skeleton, .put = put };
}

struct m3 *skeleton_self(struct skeleton *skeleton)
{
	return (struct m3 *)&lone_of(skeleton)->own;
}

void skeleton_listen(struct skeleton *skeleton, struct m3 *self)
{
	(void)skeleton;
	(void)self;
}

void skeleton_forget(struct skeleton *skeleton, struct m3 *self)
{
	(void)skeleton;
	(void)self;
}

dvs_err skeleton_run(struct skeleton *skeleton)
{
	lone_turn(lone_of(skeleton));
	return DVS_OK;
}

void skeleton_stop(struct skeleton *skeleton)
{
	(void)skeleton;
}

void skeleton_on_lost(struct skeleton *skeleton,
		      void (*lost)(void *context, struct m3 *self, dvs_err err), void *context)
{
	(void)skeleton;
	(void)lost;
	(void)context;
}

void skeleton_timer_set(struct skeleton *skeleton, struct skeleton_timer *timer,
			uint64_t deadline_ns, void (*fire)(struct skeleton_timer *timer))
{
	skeleton_timer_cancel(skeleton, timer);
	timer->is_set = true;
	timer->deadline_ns = deadline_ns;
	timer->fire = fire;
	list_init(&timer->by_deadline);
	list_add_tail(&lone_of(skeleton)->timers, &timer->by_deadline);
}

void skeleton_timer_cancel(struct skeleton *skeleton, struct skeleton_timer *timer)
{
	(void)skeleton;
	if (timer->is_set)
		list_remove(&timer->by_deadline);
	timer->is_set = false;
}

/* ---- requests ---- */

void skeleton_answer_data(struct skeleton_request *request, dvs_err err, const void *payload,
			  size_t len, const void *data, size_t bytes)
{
	struct lone_request *asked = CONTAINER_OF(request, struct lone_request, request);

	must(asked->n_answered == 0 && len <= sizeof(asked->payload) && bytes <= WINDOW_BYTES);
	asked->n_answered++;
	asked->err = err;
	if (len > 0)
		memcpy(asked->payload, payload, len);
	if (bytes > 0 && data != asked->window)
		memcpy(asked->window, data, bytes);
	asked->answer_bytes = bytes;
	/* It is freed then. */
	free(asked->data);
	asked->data = NULL;
}

void skeleton_answer(struct skeleton_request *request, dvs_err err, const void *payload, size_t len)
{
	skeleton_answer_data(request, err, payload, len, NULL, 0);
}

void skeleton_drop(struct skeleton_request *request)
{
	skeleton_answer_data(request, DVS_NODEST, NULL, 0, NULL, 0);
}

void *skeleton_window(struct skeleton_request *request, size_t *cap)
{
	struct lone_request *asked = CONTAINER_OF(request, struct lone_request, request);

	must(asked->n_answered == 0);
	*cap = request->reply_cap;
	return asked->window;
}

/* Who is not the primary has no stream of its own. */
dvs_err skeleton_call_window(struct skeleton *skeleton, dvs_ep dst, uint32_t timeout_ms,
			     void **window)
{
	struct lone *lone = lone_of(skeleton);

	(void)dst;
	(void)timeout_ms;
	*window = lone->call_window;
	return lone->is_first ? DVS_OK : DVS_NODEST;
}

dvs_err skeleton_call(struct skeleton *skeleton, struct skeleton_call *call, dvs_ep dst,
		      const struct dvs_msg *msg, const void *window, size_t bytes, size_t reply_cap)
{
	struct lone *lone = lone_of(skeleton);
	struct cursor in = cursor_over(msg->bytes, sizeof(msg->bytes));

	(void)dst;
	(void)reply_cap;
	must(!lone->call && window == lone->call_window && bytes <= DVS_DATA_MAX);
	must(msg->type == REPLICA_DELIVER);
	must(replica_deliver_req_decode_padded(&in, &lone->sent) == DVS_OK);
	lone->sent_bytes = bytes;
	lone->call = call;
	call->self = skeleton_self(skeleton);
	return DVS_OK;
}

void skeleton_call_cancel(struct skeleton_call *call)
{
	if (call->self)
		CONTAINER_OF((dvs_ep *)call->self, struct lone, own)->call = NULL;
	call->self = NULL;
}

/* ---- libdvk ---- */

dvs_err dvk_bind(struct dvk *dvk, dvs_ep ep, enum dvk_kind kind, struct m3 **self)
{
	struct lone *lone = (struct lone *)dvk;

	(void)kind;
	must(!lone->is_bound);
	lone->is_bound = true;
	lone->service = ep;
	*self = (struct m3 *)&lone->service;
	return DVS_OK;
}

void dvk_unbind(struct m3 *self)
{
	CONTAINER_OF((dvs_ep *)self, struct lone, service)->is_bound = false;
}

dvs_ep m3_self(const struct m3 *self)
{
	return *(const dvs_ep *)self;
}

/* It is a backup and stays one. */
dvs_err m3_call_window(struct m3 *self, dvs_ep dst, uint32_t timeout_ms, void **window)
{
	(void)self;
	(void)dst;
	(void)timeout_ms;
	*window = NULL;
	return DVS_NODEST;
}

/* ---- the owner ---- */

static void apply(void *context, struct replica_entry *entry)
{
	struct lone *lone = context;

	must(entry->sequence > 0 && entry->bytes <= DVS_DATA_MAX &&
	     entry->head_bytes <= REPLICA_HEAD_MAX);
	must(lone->n_entries == 0 ||
	     entry->sequence == lone->entries[lone->n_entries - 1]->sequence + 1);
	if (lone->n_entries == LONE_KEPT_MAX)
		lone_apply(lone, DVS_OK);
	lone->entries[lone->n_entries++] = entry;
}

static void heard(void *context, struct replica_heard *word)
{
	struct lone *lone = context;

	must(word->bytes <= DVS_DATA_MAX && word->head_bytes <= REPLICA_HEAD_MAX);
	if (lone->n_heard == LONE_KEPT_MAX)
		lone_answer(lone, DVS_FULL, NULL, 0);
	lone->heard[lone->n_heard++] = word;
}

static void role(void *context, enum replica_role what, uint64_t epoch, uint64_t members)
{
	struct lone *lone = context;

	(void)epoch;
	(void)members;
	lone->role = what;
}

static void joined(void *context, dvs_nodeid node, const void *hello, size_t n)
{
	struct lone *lone = context;

	(void)hello;
	must(node.n < DVS_NODES_MAX && n <= REPLICA_HELLO_MAX);
	lone->n_joined++;
}

static void left(void *context, dvs_nodeid node)
{
	struct lone *lone = context;

	must(node.n < DVS_NODES_MAX);
	lone->n_left++;
}

void lone_apply(struct lone *lone, dvs_err result)
{
	struct replica_entry *entry = lone->entries[0];

	if (lone->n_entries == 0)
		return;
	lone->n_entries--;
	memmove(lone->entries, lone->entries + 1, lone->n_entries * sizeof(entry));
	lone->n_applied++;
	replica_applied(lone->replica, entry, result);
}

void lone_answer(struct lone *lone, dvs_err err, const void *answer, size_t n)
{
	struct replica_heard *word = lone->heard[0];

	if (lone->n_heard == 0)
		return;
	lone->n_heard--;
	memmove(lone->heard, lone->heard + 1, lone->n_heard * sizeof(word));
	replica_answer(lone->replica, word, err, answer, n);
}

/* ---- turns ---- */

static bool record(struct lone *lone)
{
	struct engine *engine = replica_enter(lone->replica);

	if (lone->is_setting) {
		lone->is_setting = false;
		engine_set(engine, DVS_OK, ++lone->version);
		return true;
	}
	if (!lone->is_reading)
		return false;
	lone->is_reading = false;
	lone->n_read++;
	engine_record(engine, DVS_OK, lone->version, lone->version ? &lone->view : NULL);
	return true;
}

static bool results(struct lone *lone)
{
	struct list *link = list_take_head(&lone->callers);

	if (link)
		lone_call_ends(link);
	return record(lone) || link != NULL;
}

static bool posts(struct lone *lone)
{
	struct list *link = list_take_head(&lone->posts);
	struct post *post = link ? CONTAINER_OF(link, struct post, queued) : NULL;

	if (post)
		post->run(post);
	return post != NULL;
}

static bool timers(struct lone *lone)
{
	LIST_FOREACH(link, &lone->timers) {
		struct skeleton_timer *timer =
			CONTAINER_OF(link, struct skeleton_timer, by_deadline);

		if (timer->deadline_ns > 0)
			continue;
		skeleton_timer_cancel((struct skeleton *)lone, timer);
		timer->fire(timer);
		return true;
	}
	return false;
}

void lone_turn(struct lone *lone)
{
	uint32_t n = 0;

	while (results(lone) || posts(lone) || timers(lone))
		must(++n < TURNS_MAX);
}

/* ---- open, close ---- */

static struct lone *open_as(bool is_first)
{
	struct lone *lone = calloc(1, sizeof(*lone));
	struct replica_config config;

	must(lone != NULL);
	lone->is_first = is_first;
	list_init(&lone->timers);
	list_init(&lone->posts);
	list_init(&lone->callers);
	lone->own = (dvs_ep){ 99 };
	lone->log = log_to_stderr(LOG_LEVEL_ERROR);
	lone->owner = (struct replica_owner){ .context = lone,
					      .apply = apply,
					      .heard = heard,
					      .role = role,
					      .joined = joined,
					      .left = left };
	config = (struct replica_config){ .admin = (struct dvk *)lone,
					  .dvk = (struct dvk *)lone,
					  .run_dir = "/none",
					  .dc = "web",
					  .name = "lone",
					  .service = { 300 },
					  .node = { LONE_NODE },
					  .nodes = 1u << LONE_PRIMARY | 1u << LONE_NODE,
					  .is_empty = true,
					  .first = { is_first ? LONE_NODE : LONE_PRIMARY },
					  .lease_ms = LEASE_MS,
					  .evict_ms = LEASE_MS,
					  .log = &lone->log,
					  .skeleton = (struct skeleton *)lone,
					  .owner = &lone->owner };
	lone->peers = replica_peers(&lone->replica);
	must(replica_open(&config, &lone->replica) == DVS_OK);
	return lone;
}

struct lone *lone_open(void)
{
	struct lone *lone = open_as(false);

	lone->version = 1;
	lone->view = (struct engine_view){ .epoch = LONE_EPOCH,
					   .primary = LONE_PRIMARY,
					   .writer = LONE_PRIMARY,
					   .members = 1u << LONE_PRIMARY };
	lone->view.ep[LONE_PRIMARY] = (dvs_ep){ LONE_PRIMARY_EP };
	lone_turn(lone);
	must(lone->stream != 0);
	return lone;
}

struct lone *lone_open_primary(void)
{
	struct lone *lone = open_as(true);

	lone->call_window = malloc(DVS_DATA_MAX);
	must(lone->call_window != NULL);
	lone_turn(lone);
	must(lone->role == REPLICA_PRIMARY);
	return lone;
}

void lone_reply(struct lone *lone, dvs_err err, const struct dvs_msg *reply, const void *data,
		size_t bytes)
{
	struct skeleton_call *call = lone->call;
	/* As long as it is, no byte more. */
	uint8_t *copy = bytes > 0 ? malloc(bytes) : NULL;

	must(call && (copy || bytes == 0));
	if (bytes > 0)
		memcpy(copy, data, bytes);
	lone->call = NULL;
	call->self = NULL;
	call->over(call, err, reply, copy, bytes);
	free(copy);
	lone_turn(lone);
}

void lone_close(struct lone *lone)
{
	struct replica *replica = lone->replica;

	/* What the owner has ends first. */
	while (lone->n_entries > 0 || lone->n_heard > 0) {
		lone_apply(lone, DVS_OK);
		lone_answer(lone, DVS_OK, NULL, 0);
		lone_turn(lone);
	}
	replica_close(replica);
	lone->replica = NULL;
	must(lone->n_entries == 0);
	while (posts(lone))
		;
	/* Nobody waits for an answer that does not come. */
	for (uint32_t i = 0; i < lone->n_requests; i++)
		must(lone->requests[i]->n_answered == 1);
	lone_forget(lone);
	must(list_is_empty(&lone->timers));
	must(!lone->call);
	free(lone->call_window);
	free(lone);
}

void lone_forget(struct lone *lone)
{
	uint32_t n = 0;

	for (uint32_t i = 0; i < lone->n_requests; i++) {
		struct lone_request *asked = lone->requests[i];

		if (asked->n_answered == 0) {
			lone->requests[n++] = asked;
			continue;
		}
		free(asked->window);
		free(asked);
	}
	lone->n_requests = n;
}

/* ---- requests ---- */

struct lone_request *lone_ask(struct lone *lone, uint32_t op, const void *payload, size_t len,
			      const void *data, size_t bytes)
{
	struct lone_request *asked = calloc(1, sizeof(*asked));
	dvs_err err;

	must(asked && lone->n_requests < LONE_KEPT_MAX && len <= sizeof(asked->request.payload));
	lone->requests[lone->n_requests++] = asked;
	asked->request.op = op;
	asked->request.reply_cap = WINDOW_BYTES;
	asked->request.is_manager = true;
	if (len > 0)
		memcpy(asked->request.payload, payload, len);
	asked->window = malloc(WINDOW_BYTES);
	asked->data = bytes > 0 ? malloc(bytes) : NULL;
	must(asked->window && (asked->data || bytes == 0));
	if (bytes > 0)
		memcpy(asked->data, data, bytes);
	asked->request.data = asked->data;
	asked->request.data_bytes = bytes;
	err = lone->peers.serve(lone->peers.handlers, lone->peers.state, &asked->request);
	if (err != DVS_OK)
		skeleton_answer(&asked->request, err, NULL, 0);
	return asked;
}

struct lone_request *lone_deliver(struct lone *lone, const struct replica_deliver_req *req,
				  const void *data, size_t bytes)
{
	uint8_t payload[DVS_PAYLOAD_BYTES];
	struct writer out = writer_over(payload, sizeof(payload));

	replica_deliver_req_encode(&out, req);
	must(writer_ok(&out));
	return lone_ask(lone, REPLICA_DELIVER, payload, writer_len(&out), data, bytes);
}

struct replica_deliver_req lone_batch(const struct lone *lone, uint64_t batch)
{
	return (struct replica_deliver_req){ .epoch = LONE_EPOCH,
					     .stream = lone->stream,
					     .batch = batch,
					     .members = 1u << LONE_PRIMARY,
					     .node = LONE_PRIMARY,
					     .ep = LONE_PRIMARY_EP };
}
