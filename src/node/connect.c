/* SPDX-License-Identifier: Apache-2.0 */
/* A channel for two endpoints. The one that asks has side 0. It waits while one of the two is
 * not there to take it: not yet taken by its process, a backup, migrating, or slow to read. */
#include "node/api.h"
#include "node/carrier.h"
#include "node/cluster.h"

/* One of another node is there as soon as its proxy is. */
static uint64_t must_wait_remote(struct host *host, const struct pending *pending,
				 const struct core_binding *core, uint32_t ep)
{
	const struct carrier *carrier = carrier_get(host, core->node);

	if (!carrier || !core->holder)
		return watch_number(pending->dc, ep);
	return carrier_can_take(host, carrier) ? 0 : watch_process(&carrier->process);
}

/* What PENDING must wait for on account of BINDING, or 0. */
static uint64_t must_wait(struct host *host, const struct pending *pending,
			  const struct core_binding *core, uint32_t ep)
{
	const struct binding *binding = binding_from_core(core);

	if (core && core->role == CORE_PRIMARY && core->node != host->config.node)
		return must_wait_remote(host, pending, core, ep);
	if (!core || core->role != CORE_PRIMARY || !binding || !binding->process)
		return watch_number(pending->dc, ep);
	if (!process_is_ready(binding->process) || link_is_congested(host, binding->process->link))
		return watch_process(binding->process);
	return 0;
}

/* The binding of CORE on this node, be it a stand-in. */
static struct binding *binding_here(struct host *host, struct core_binding *core)
{
	return core->node == host->config.node ? binding_from_core(core) : stand_in_get(host, core);
}

/* A channel, of which TO and a proxy know when this returns. */
static dvs_err make(struct host *host, struct binding *from, struct binding *to,
		    struct channel **channel, struct shared_fd **memory)
{
	dvs_err err;
	int fd = memory_create("dvs-channel", IPC_CHANNEL_BYTES);

	*memory = fd >= 0 ? shared_fd_create(fd) : NULL;
	if (!*memory)
		return DVS_FULL;
	err = channel_create(host, from, to, channel);
	if (err == DVS_OK) {
		err = channel_carry(host, *channel, *memory);
		if (err == DVS_OK)
			channel_send(host, *channel, 1, *memory, 1);
		else
			channel_destroy(host, *channel);
	}
	return err;
}

/* The process gets its channel. */
static void connect_answer(struct host *host, const struct pending *pending,
			   const struct channel *channel, unsigned int side,
			   struct shared_fd *memory)
{
	struct control_channel_req event;
	struct control_connect_rep rep;
	struct frame frame;

	channel_fill(channel, side, &event);
	rep = (struct control_connect_rep){ .peer = event.peer,
					    .my_index = event.my_index,
					    .peer_index = event.peer_index,
					    .peer_slot = event.peer_slot,
					    .side = event.side,
					    .may_call = event.may_call,
					    .may_serve = event.may_serve,
					    .peer_may_relay = event.peer_may_relay,
					    .remote = event.remote };
	frame_begin(&frame, pending->op, pending->id, DVS_OK);
	control_connect_rep_encode(&frame.out, &rep);
	frame_attach(&frame, memory);
	frame_attach(&frame, channel->end[1 - side].binding->process->area_fd);
	link_send(host, pending->link, &frame);
}

/* TIMEOUT: the far end is waited for; but who does not want to wait has a channel without. */
static dvs_err connect_make(struct host *host, struct pending *pending, struct binding *from,
			    struct binding *to)
{
	struct shared_fd *memory;
	struct channel *channel;
	dvs_err err = make(host, from, to, &channel, &memory);

	if (err == DVS_OK && channel->carriage && !pending->last_try) {
		pending->instance = channel->carriage->told.instance;
		pending->watch = watch_number(pending->dc, pending->to);
		err = DVS_TIMEOUT;
	} else if (err == DVS_OK) {
		connect_answer(host, pending, channel, 0, memory);
	}
	shared_fd_drop(memory);
	return err;
}

/* PENDING has made a channel with CORE. BADSTATE: the process is told of it by an event; TIMEOUT: the far end is waited for;
 * NODEST: it is over. */
static dvs_err connect_go_on(struct host *host, struct pending *pending, struct binding *from,
			     const struct core_binding *core)
{
	const struct binding *to = binding_from_core(core);
	struct channel *channel = to ? channel_find(host, from, to) : NULL;

	if (!channel)
		return DVS_NODEST;
	if (!channel->carriage || channel->carriage->told.instance != pending->instance)
		return DVS_BADSTATE;
	if (channel_is_ready(channel)) {
		connect_answer(host, pending, channel, channel->end[1].binding == from,
			       channel->carriage->memory);
		return DVS_OK;
	}
	pending->watch = watch_number(pending->dc, pending->to);
	if (pending->last_try)
		channel_destroy(host, channel);
	return DVS_TIMEOUT;
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
	if (!*to)
		return DVS_NODEST;
	return quorum_reaches(host, core_primary(*to, host->config.node));
}

static dvs_err connect_to(struct host *host, struct pending *pending, struct binding *from,
			  struct core_binding *core)
{
	struct binding *to = core ? binding_here(host, core) : NULL;

	if (!to)
		return DVS_NOMEM;
	if (channel_find(host, from, to))
		return DVS_BADSTATE;
	return connect_make(host, pending, from, to);
}

/* Whether the node for which PENDING has waited (what: its number plus 1) is not there. */
static bool node_is_down(const struct host *host, const struct pending *pending)
{
	return pending->what != 0 && !host->carriers[pending->what - 1]->up;
}

/* TIMEOUT: it must wait for what its watch says. */
static dvs_err connect_once(struct host *host, struct pending *pending)
{
	const struct core_endpoint *endpoint;
	struct core_binding *core;
	struct binding *from;
	dvs_err err = connect_check(host, pending, &from, &endpoint);

	if (err == DVS_NODEST && node_is_down(host, pending))
		return DVS_NODEDOWN;
	if (err != DVS_OK)
		return err;
	core = core_primary(endpoint, host->config.node);
	if (pending->instance != 0) {
		err = connect_go_on(host, pending, from, core);
		if (err != DVS_NODEST)
			return err;
		pending->instance = 0;
	}
	pending->watch = must_wait(host, pending, from->core, from->ep.n);
	/* The one that asks may be about to migrate: it parks when it has its answer. */
	if (pending->watch == 0 && endpoint->migrating)
		pending->watch = watch_number(pending->dc, pending->to);
	if (pending->watch == 0)
		pending->watch = must_wait(host, pending, core, pending->to);
	pending->what = core && host->carriers[core->node] ? core->node + 1 : 0;
	return pending->watch != 0 ? DVS_TIMEOUT : connect_to(host, pending, from, core);
}

static bool connect_try(struct host *host, struct pending *pending)
{
	dvs_err err = connect_once(host, pending);

	if (err == DVS_TIMEOUT)
		return false;
	if (err != DVS_OK)
		link_reply(host, pending->link, pending->op, pending->id, err);
	return true;
}

/* Nobody has the number as far as this node has been told. */
static bool is_early(const struct host *host, const struct request *request, uint32_t to)
{
	const struct core_dc *dc = core_dc_find(host->core, request->link->dc);

	return dc && !core_endpoint_find(dc, to);
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
	pending.dc = request->link->dc;
	pending.ep = req.ep;
	pending.to = req.to;
	if (is_early(host, request, req.to) && request_settle(host, request))
		return;
	pending_start(host, &pending, req.timeout_ms);
}

/* ---- asked for by a proxy ---- */

/* The order of the state may not have told this node yet what the other one knew when it sent its frame: so nearly everything is
 * waited for. OK: REMOTE and LOCAL are there; TIMEOUT: not yet, PENDING has what to watch. */
static dvs_err carry_check(struct host *host, struct pending *pending, struct core_binding **remote,
			   struct core_binding **local)
{
	const struct core_dc *dc = core_dc_find(host->core, pending->dc);
	const struct core_endpoint *to = dc ? core_endpoint_find(dc, pending->to) : NULL;
	const struct core_endpoint *from = dc ? core_endpoint_find(dc, pending->ep) : NULL;
	const struct carrier *carrier = pending->link->carrier;

	pending->watch = watch_number(pending->dc, from ? pending->to : pending->ep);
	if (!dc)
		return pending->last_try ? DVS_NODC : DVS_TIMEOUT;
	if (!from || !to)
		return pending->last_try ? DVS_NODEST : DVS_TIMEOUT;
	if (!core_may_call(from, dvs_ep_number(to->ep)))
		return DVS_DENIED;
	*remote = core_primary(from, carrier->node);
	*local = core_primary(to, host->config.node);
	if (!*local || (*local)->node != host->config.node || to->migrating)
		return DVS_TIMEOUT;
	pending->watch = must_wait(host, pending, *local, pending->to);
	if (pending->watch == 0 && *remote && (*remote)->node == carrier->node)
		pending->watch = must_wait(host, pending, *remote, pending->ep);
	else if (pending->watch == 0)
		pending->watch = watch_number(pending->dc, pending->ep);
	return pending->watch == 0 ? DVS_OK : DVS_TIMEOUT;
}

static dvs_err carry_make(struct host *host, struct pending *pending, struct core_binding *remote,
			  struct core_binding *local)
{
	struct binding *stand_in = stand_in_get(host, remote);
	struct shared_fd *memory;
	struct channel *channel;
	dvs_err err;

	if (!stand_in)
		return DVS_NOMEM;
	channel = channel_find(host, stand_in, binding_from_core(local));
	if (channel && channel->carriage && channel->carriage->state == CARRIAGE_OPEN)
		return DVS_BADSTATE;
	if (channel) {
		/* it is about to be made anew */
		pending->watch = watch_number(pending->dc, pending->to);
		return DVS_TIMEOUT;
	}
	err = make(host, stand_in, binding_from_core(local), &channel, &memory);
	shared_fd_drop(memory);
	return err;
}

/* The peer node takes a channel for there, of which the proxy here does not know. It may be one that its process, which comes back to a dvsd
 * that was started again, has still to tell of. */
static dvs_err carry_look(struct host *host, struct pending *pending)
{
	const struct control_carry_ready_req name = { pending->dc.n, pending->ep, pending->to,
						      pending->instance };
	const struct core_dc *dc = core_dc_find(host->core, pending->dc);
	const struct core_endpoint *to = dc ? core_endpoint_find(dc, pending->to) : NULL;
	const struct core_binding *core = to ? core_primary(to, host->config.node) : NULL;
	const struct binding *local = binding_from_core(core);

	if (carriage_find(host, pending->link->carrier, &name))
		return DVS_BADSTATE;
	if (!core || core->node != host->config.node || !local || !local->process ||
	    (local->process->state != PROCESS_LOST && local->process->state != PROCESS_REJOINING))
		return DVS_PEERDEAD;
	pending->watch = watch_process(local->process);
	return DVS_TIMEOUT;
}

static bool carry_connect_try(struct host *host, struct pending *pending)
{
	struct core_binding *remote;
	struct core_binding *local;
	dvs_err err = pending->instance != 0 ? carry_look(host, pending) :
					       carry_check(host, pending, &remote, &local);

	if (err == DVS_OK)
		err = carry_make(host, pending, remote, local);
	if (err == DVS_TIMEOUT)
		return false;
	link_reply(host, pending->link, pending->op, pending->id, err);
	return true;
}

void op_carry_connect(struct host *host, struct request *request)
{
	struct control_carry_connect_req req;
	struct pending pending = { .link = request->link,
				   .op = request->op,
				   .id = request->id,
				   .try = carry_connect_try };

	if (control_carry_connect_req_decode(&request->body, &req) != DVS_OK) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	pending.dc.n = req.dc;
	pending.ep = req.remote;
	pending.to = req.local;
	pending.instance = req.instance;
	pending_start(host, &pending, req.timeout_ms);
}
