/* SPDX-License-Identifier: Apache-2.0 */
/* In place of caller.c and worker.c, for lone.c. */
#include <stdlib.h>
#include <string.h>

#include "lone.h"

static void must(bool holds)
{
	if (!holds)
		abort();
}

/* ---- who asks dvsd ---- */

dvs_err worker_open(struct replica *replica)
{
	(void)replica;
	return DVS_OK;
}

void worker_close(struct replica *replica)
{
	(void)replica;
}

void worker_ended(struct replica *replica)
{
	(void)replica;
}

void worker_read(struct replica *replica)
{
	((struct lone *)replica->config.skeleton)->is_reading = true;
}

/* Of who is not the primary it takes for ever. */
void worker_set(struct replica *replica, uint64_t version, const struct engine_view *view)
{
	struct lone *lone = (struct lone *)replica->config.skeleton;

	must(version == lone->version);
	lone->view = *view;
	lone->is_setting = lone->is_first;
}

void worker_look(struct replica *replica)
{
	(void)replica;
}

void worker_is_dead(struct replica *replica, uint32_t node, dvs_ep ep)
{
	(void)replica;
	(void)node;
	(void)ep;
}

void worker_overtake(struct replica *replica)
{
	(void)replica;
}

void worker_take(struct replica *replica, struct skeleton_request *request)
{
	(void)replica;
	replica_take_answer(request, DVS_OK, NULL);
}

/* ---- calls to others: joining is answered, nothing else ---- */

struct caller {
	struct caller_config config;
	struct caller_use use;
	struct caller_result result;
	struct list asked; /* while it has work that is answered */
};

struct caller *caller_open(const struct caller_config *config)
{
	struct caller *caller = calloc(1, sizeof(*caller));

	must(caller != NULL);
	caller->config = *config;
	caller->use.self = caller;
	list_init(&caller->use.idle);
	list_init(&caller->use.all);
	list_init(&caller->asked);
	return caller;
}

void caller_close(struct caller *caller, struct m3 *waker)
{
	(void)waker;
	list_remove(&caller->asked);
	free(caller);
}

void caller_connect(struct caller *caller, dvs_ep dst, uint32_t timeout_ms)
{
	(void)dst;
	(void)timeout_ms;
	caller->use.is_busy = true;
}

void caller_call(struct caller *caller, dvs_ep dst, const struct dvs_msg *msg, const void *out,
		 size_t out_len, uint32_t timeout_ms)
{
	struct lone *lone = (struct lone *)caller->config.dvk;
	struct cursor in = cursor_over(msg->bytes, sizeof(msg->bytes));
	struct replica_join_req req;

	(void)dst;
	(void)out;
	(void)out_len;
	(void)timeout_ms;
	caller->use.is_busy = true;
	if (msg->type != REPLICA_JOIN)
		return;
	must(replica_join_req_decode_padded(&in, &req) == DVS_OK && req.node == LONE_NODE);
	lone->stream = req.stream;
	list_add_tail(&lone->callers, &caller->asked);
}

const struct caller_result *caller_result(const struct caller *caller)
{
	return &caller->result;
}

struct caller_use *caller_use(struct caller *caller)
{
	return &caller->use;
}

void lone_call_ends(struct list *asked)
{
	struct caller *caller = CONTAINER_OF(asked, struct caller, asked);

	caller->config.ready(caller->config.context, caller);
}
