/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes, and what happens in the DVS. */
#include <stdlib.h>
#include <string.h>

#include <dvs/dvk.h>

#include "base/clock.h"
#include "lib/link.h"
#include "lib/nodes.h"

LINK_CALL(node_next, CONTROL_NODE_NEXT)
LINK_CALL(node_drain, CONTROL_NODE_DRAIN)
LINK_CALL(node_remove, CONTROL_NODE_REMOVE)
LINK_CALL(verify, CONTROL_VERIFY)

/* What waits to be read; what comes beyond it is counted. */
#define EVENTS_MAX 4096u

static bool bad_link(const struct dvk *dvk)
{
	return !dvk || !*dvk->alive;
}

dvs_err dvk_node_next(struct dvk *dvk, uint32_t *cursor, struct dvk_node_info *info)
{
	struct control_node_next_req request;
	struct control_node_next_rep reply;
	dvs_err err;

	if (bad_link(dvk) || !cursor || !info)
		return DVS_BADARG;
	request.cursor = *cursor;
	err = call_node_next(dvk, 0, &request, &reply);
	if (err)
		return err;
	*info = (struct dvk_node_info){ .node = { reply.node },
					.state = (enum dvk_node_state)reply.state,
					.draining = reply.draining,
					.is_self = reply.self,
					.is_quorate = reply.quorate,
					.n_endpoints = reply.endpoints,
					.epoch = reply.epoch,
					.n_applied = reply.applied };
	static_assert(sizeof(info->name) == sizeof(reply.name), "one bound for names");
	static_assert(sizeof(info->address) == sizeof(reply.address), "one bound for addresses");
	memcpy(info->name, reply.name, sizeof(info->name));
	memcpy(info->address, reply.address, sizeof(info->address));
	*cursor = reply.node + 1;
	return DVS_OK;
}

dvs_err dvk_node_drain(struct dvk *admin, dvs_nodeid node, int on, uint32_t *n_left)
{
	struct control_node_drain_req request = { .node = node.n, .off = !on };
	struct control_node_drain_rep reply;
	dvs_err err;

	if (bad_link(admin) || node.n >= DVS_NODES_MAX)
		return DVS_BADARG;
	err = call_node_drain(admin, 0, &request, &reply);
	if (!err && n_left)
		*n_left = reply.left;
	return err;
}

dvs_err dvk_node_remove(struct dvk *admin, dvs_nodeid node)
{
	struct control_node_remove_req request = { .node = node.n };
	struct control_node_remove_rep none;

	if (bad_link(admin) || node.n >= DVS_NODES_MAX)
		return DVS_BADARG;
	return call_node_remove(admin, 0, &request, &none);
}

dvs_err dvk_verify(struct dvk *admin, uint32_t timeout_ms, struct dvk_node_digest *digests,
		   uint32_t *n_digests)
{
	struct control_verify_req request = { .timeout_ms = timeout_ms };
	struct control_verify_rep reply;
	dvs_err err;

	if (bad_link(admin) || !digests || !n_digests || timeout_ms > DVS_TIMEOUT_MAX_MS)
		return DVS_BADARG;
	err = call_verify(admin, timeout_ms, &request, &reply);
	if (err)
		return err;
	static_assert(ARRAY_LEN(reply.nodes) == DVS_NODES_MAX, "one bound for nodes");
	*n_digests = reply.n_nodes;
	for (uint32_t i = 0; i < reply.n_nodes; i++)
		digests[i] = (struct dvk_node_digest){ .node = { reply.nodes[i].node },
						       .epoch = reply.nodes[i].epoch,
						       .n_applied = reply.nodes[i].applied,
						       .digest = reply.nodes[i].digest };
	return DVS_OK;
}

/* ---- events ---- */

struct event {
	struct list node;
	struct dvk_event event;
};

void nodes_event_locked(struct dvk *dvk, struct frame *frame)
{
	struct control_happened_req told;
	struct event *event;

	if (control_happened_req_decode(&frame->in, &told) != DVS_OK)
		return;
	event = dvk->n_events < EVENTS_MAX ? malloc(sizeof(*event)) : NULL;
	if (!event) {
		dvk->n_events_lost++;
		return;
	}
	event->event = (struct dvk_event){ .time_ns = told.time_ns,
					   .node = { told.node },
					   .ep = { told.ep } };
	static_assert(sizeof(event->event.what) == sizeof(told.what) &&
			      sizeof(event->event.dc) == sizeof(told.dc_name) &&
			      sizeof(event->event.text) == sizeof(told.text),
		      "one bound for texts");
	memcpy(event->event.what, told.what, sizeof(told.what));
	memcpy(event->event.dc, told.dc_name, sizeof(told.dc_name));
	memcpy(event->event.text, told.text, sizeof(told.text));
	list_add_tail(&dvk->events, &event->node);
	dvk->n_events++;
}

void nodes_events_free(struct dvk *dvk)
{
	struct list *node;

	while ((node = list_take_head(&dvk->events)) != NULL)
		free(CONTAINER_OF(node, struct event, node));
}

dvs_err dvk_watch(struct dvk *admin)
{
	struct exchange x;
	struct cursor in;
	struct writer out;
	dvs_err err;

	if (bad_link(admin))
		return DVS_BADARG;
	out = exchange_init(&x, CONTROL_WATCH, 0);
	err = link_exchange(admin, &x, &out, &in);
	if (err)
		return err;
	pthread_mutex_lock(&admin->lock);
	admin->watches = true;
	pthread_mutex_unlock(&admin->lock);
	return DVS_OK;
}

dvs_err dvk_event_next(struct dvk *admin, uint32_t timeout_ms, struct dvk_event *event,
		       uint64_t *n_lost)
{
	uint64_t deadline_ns = timeout_ms == DVS_FOREVER ?
				       CLOCK_NEVER_NS :
				       clock_deadline_ns(timeout_ms * CLOCK_NS_PER_MS);
	struct event *got;
	struct list *node;
	dvs_err err;

	if (bad_link(admin) || !event ||
	    (timeout_ms != DVS_FOREVER && timeout_ms > DVS_TIMEOUT_MAX_MS))
		return DVS_BADARG;
	err = link_wait(admin, &admin->events, deadline_ns, &node);
	if (err)
		return err;
	got = CONTAINER_OF(node, struct event, node);
	*event = got->event;
	free(got);
	pthread_mutex_lock(&admin->lock);
	admin->n_events--;
	if (n_lost)
		*n_lost = admin->n_events_lost;
	pthread_mutex_unlock(&admin->lock);
	return DVS_OK;
}
