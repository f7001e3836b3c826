/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes: listed, emptied, forgotten. */
#include <string.h>

#include "node/api.h"

static const struct core_node *node_from(const struct host *host, uint32_t cursor, uint32_t *found)
{
	for (uint32_t node = cursor; node < CORE_NODES_MAX; node++) {
		const struct core_node *known = core_node_find(host->core, node);

		if (known) {
			*found = node;
			return known;
		}
	}
	return NULL;
}

void op_node_next(struct host *host, struct request *request)
{
	struct control_node_next_req req;
	struct control_node_next_rep rep;
	const struct core_node *known = NULL;
	struct frame frame;
	uint32_t node = 0;
	dvs_err err = control_node_next_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		known = node_from(host, req.cursor, &node);
		err = known ? DVS_OK : DVS_NODEST;
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	rep = (struct control_node_next_rep){ .node = node,
					      .state = (uint8_t)known->state,
					      .draining = known->draining,
					      .self = node == host->config.node,
					      .quorate = order_is_ready(host),
					      .endpoints = core_node_endpoints(host->core, node),
					      .epoch = host->position.epoch,
					      .applied = host->position.index };
	memcpy(rep.name, known->name, sizeof(rep.name));
	memcpy(rep.address, known->address, sizeof(rep.address));
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_node_next_rep_encode(&frame.out, &rep);
	link_send(host, request->link, &frame);
}

static void on_drain(struct host *host, struct order *order, dvs_err err)
{
	struct control_node_drain_rep rep;
	struct frame frame;

	if (err != DVS_OK) {
		order_answer(host, order, err);
	} else if (order->link) {
		rep.left = core_node_endpoints(host->core, order->node);
		frame_begin(&frame, order->op, order->id, DVS_OK);
		control_node_drain_rep_encode(&frame.out, &rep);
		link_send(host, order->link, &frame);
	}
}

void op_node_drain(struct host *host, struct request *request)
{
	struct core_command command = { .op = CORE_NODE_DRAIN };
	struct order order = order_of(request, on_drain);
	struct control_node_drain_req req;

	if (control_node_drain_req_decode(&request->body, &req) != DVS_OK || req.off > 1) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	if (req.node >= CORE_NODES_MAX) {
		request_answer(host, request, DVS_NODEST);
		return;
	}
	command.node = order.node = req.node;
	command.flags = req.off ? 0 : CORE_F_DRAINING;
	order_command(host, &command, &order, false);
}

void op_node_remove(struct host *host, struct request *request)
{
	struct core_command command = { .op = CORE_NODE_REMOVE };
	struct control_node_remove_req req;

	if (control_node_remove_req_decode(&request->body, &req) != DVS_OK) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	command.node = req.node;
	order_request(host, request, &command);
}
