/* SPDX-License-Identifier: Apache-2.0 */
/* A channel for two endpoints. The one that asks has side 0. It waits while one of the two is
 * not there to take it: not yet taken by its process, a backup, migrating, or slow to read. */
#include "node/api.h"

/* What PENDING must wait for on account of BINDING, or 0. */
static uint64_t must_wait(const struct host *host, const struct pending *pending,
			  const struct core_binding *core, uint32_t ep)
{
	const struct binding *binding = binding_from_core(core);

	if (!core || core->role != CORE_PRIMARY || !binding || !binding->process)
		return watch_number(pending->link->dc, ep);
	if (!process_is_ready(binding->process) || link_is_congested(host, binding->process->link))
		return watch_process(binding->process);
	return 0;
}

static dvs_err connect_make(struct host *host, const struct pending *pending, struct binding *from,
			    struct binding *to)
{
	struct control_channel_req event;
	struct control_connect_rep rep;
	struct shared_fd *memory;
	struct channel *channel;
	struct frame frame;
	dvs_err err;
	int fd = memory_create("dvs-channel", IPC_CHANNEL_BYTES);

	memory = fd >= 0 ? shared_fd_create(fd) : NULL;
	if (!memory)
		return DVS_FULL;
	err = channel_create(host, from, to, &channel);
	if (err == DVS_OK) {
		channel_send(host, channel, 1, memory, 1);
		channel_fill(channel, 0, &event);
		rep = (struct control_connect_rep){ .peer = event.peer,
						    .my_index = event.my_index,
						    .peer_index = event.peer_index,
						    .peer_slot = event.peer_slot,
						    .side = event.side,
						    .may_call = event.may_call,
						    .may_serve = event.may_serve,
						    .peer_may_relay = event.peer_may_relay };
		frame_begin(&frame, pending->op, pending->id, DVS_OK);
		control_connect_rep_encode(&frame.out, &rep);
		frame_attach(&frame, memory);
		frame_attach(&frame, to->process->area_fd);
		link_send(host, pending->link, &frame);
	}
	shared_fd_drop(memory);
	return err;
}

static dvs_err connect_check(const struct host *host, const struct pending *pending,
			     struct binding **from, const struct core_endpoint **to)
{
	const struct core_dc *dc = core_dc_find(host->core, pending->link->dc);

	*from = process_binding(pending->link->process, pending->ep);
	if (!dc || !*from)
		return DVS_NOTBOUND;
	if (dvs_ep_number((dvs_ep){ pending->to }) == dvs_ep_number((*from)->ep))
		return DVS_BADARG;
	if (!core_may_call((*from)->core->endpoint, dvs_ep_number((dvs_ep){ pending->to })))
		return DVS_DENIED;
	*to = core_endpoint_find(dc, pending->to);
	return *to ? DVS_OK : DVS_NODEST;
}

static bool connect_try(struct host *host, struct pending *pending)
{
	const struct core_endpoint *endpoint;
	const struct core_binding *core;
	struct binding *from;
	dvs_err err = connect_check(host, pending, &from, &endpoint);

	if (err == DVS_OK) {
		core = core_primary(endpoint, host->config.node);
		pending->watch = must_wait(host, pending, from->core, from->ep.n);
		/* The one that asks may be about to migrate: it parks when it has its answer. */
		if (pending->watch == 0 && endpoint->migrating)
			pending->watch = watch_number(pending->link->dc, pending->to);
		if (pending->watch == 0)
			pending->watch = must_wait(host, pending, core, pending->to);
		if (pending->watch != 0)
			return false;
		if (channel_find(host, from, binding_from_core(core)))
			err = DVS_BADSTATE;
		else
			err = connect_make(host, pending, from, binding_from_core(core));
		if (err == DVS_OK)
			return true;
	}
	link_reply(host, pending->link, pending->op, pending->id, err);
	return true;
}

void op_connect(struct host *host, struct request *request)
{
	struct control_connect_req req;
	struct pending pending = {
		.link = request->link, .op = request->op, .id = request->id, .try = connect_try
	};

	if (control_connect_req_decode(&request->body, &req) != DVS_OK) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	pending.ep = req.ep;
	pending.to = req.to;
	pending_start(host, &pending, req.timeout_ms);
}
