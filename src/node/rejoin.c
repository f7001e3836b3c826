/* SPDX-License-Identifier: Apache-2.0 */
/* Coming back after a restart of dvsd: a process brings its areas along and tells its endpoints
 * and channels. The core knows the endpoints already; the channels are known to the processes
 * only, and one is there again when both sides have told the same of it. */
#include "node/api.h"
#include "node/carrier.h"
#include "node/cluster.h"

/* What one side told: true when it fits what is known of the channel. */
static bool link_fits(const struct channel *channel, unsigned int side, const struct binding *mine,
		      const struct control_link *row)
{
	return channel->end[side].binding == mine && channel->end[side].index == row->my_index &&
	       channel->end[1 - side].index == row->peer_index;
}

static void send_gone_row(struct host *host, const struct binding *mine,
			  const struct control_link *row)
{
	struct control_gone_req event = { .ep = row->ep,
					  .peer = row->peer,
					  .my_index = row->my_index,
					  .reason = (uint32_t)DVS_PEERDEAD };
	struct frame frame;

	frame_begin(&frame, CONTROL_GONE, 0, DVS_OK);
	control_gone_req_encode(&frame.out, &event);
	process_send(host, mine->process, &frame, mine->slot);
}

/* The channel that SIDE's former primary had goes on with the new one, in new memory. */
static void inherit(struct host *host, struct channel *channel, unsigned int side)
{
	struct channel_end *end = &channel->end[side];
	struct binding *binding = end->binding;

	if (bitmap_set(&binding->indexes, end->index) != DVS_OK &&
	    bitmap_take(&binding->indexes, IPC_CHANNELS_MAX, &end->index) != DVS_OK) {
		channel_close(host, channel, binding, DVS_PEERDEAD);
		return;
	}
	end->reported = true;
	channel_end_moved(end);
	channel->renew = 3;
	list_remove(&binding->of_renewing);
	list_add_tail(&host->renewing, &binding->of_renewing);
	host->renew_more = true;
}

/* The first side that tells of a channel makes it. */
static dvs_err link_first(struct host *host, struct binding *mine, struct binding *peer,
			  const struct control_link *row)
{
	struct channel *channel;
	unsigned int side = row->side;

	/* One that is back already would have told of it, unless it was not its own then. */
	if ((process_is_ready(peer->process) && !peer->heir) ||
	    bitmap_set(&mine->indexes, row->my_index) != DVS_OK)
		return DVS_PEERDEAD;
	channel = side == 0 ? channel_add(host, mine, peer) : channel_add(host, peer, mine);
	if (!channel) {
		bitmap_clear(&mine->indexes, row->my_index);
		return DVS_NOMEM;
	}
	channel->end[side].index = row->my_index;
	channel->end[side].reported = true;
	channel->end[1 - side].index = row->peer_index;
	if (peer->heir)
		inherit(host, channel, 1 - side);
	return DVS_OK;
}

/* The channel of MINE with a stand-in, under the number that its process has for it. */
static dvs_err carried_add(struct host *host, struct binding *mine, struct core_binding *core,
			   const struct control_link *row, struct channel **made)
{
	struct binding *peer = stand_in_get(host, core);
	struct channel *channel;

	if (!peer)
		return DVS_NOMEM;
	if (channel_find(host, mine, peer) || bitmap_set(&mine->indexes, row->my_index) != DVS_OK)
		return DVS_PEERDEAD;
	channel = row->side == 0 ? channel_add(host, mine, peer) : channel_add(host, peer, mine);
	if (!channel) {
		bitmap_clear(&mine->indexes, row->my_index);
		return DVS_NOMEM;
	}
	channel->end[row->side].index = row->my_index;
	channel->end[row->side].reported = true;
	channel->end[1 - row->side].reported = bitmap_take(binding_indexes(peer), IPC_CHANNELS_MAX,
							   &channel->end[1 - row->side].index) ==
					       DVS_OK;
	*made = channel;
	if (channel->end[1 - row->side].reported)
		return DVS_OK;
	channel_destroy(host, channel);
	return DVS_FULL;
}

/* A channel with an endpoint of another node goes on in its memory, of which only the process still has a mapping: the proxies do not
 * even see that there was another dvsd. If that cannot be had, or the partner is elsewhere by now, it is made anew. */
static dvs_err carried_tell(struct host *host, struct binding *mine, struct core_binding *core,
			    const struct control_link *row)
{
	struct shared_fd *memory = NULL;
	struct channel *channel;
	dvs_err err = carried_add(host, mine, core, row, &channel);
	int fd = -1;

	if (err != DVS_OK)
		return err;
	if (row->remote == core->node + 1)
		fd = proc_open_mapped(host, mine->process->id.pid, row->lanes, IPC_CHANNEL_BYTES);
	if (fd >= 0)
		memory = shared_fd_create(fd);
	if (memory && channel_carry_again(host, channel, memory) == DVS_OK) {
		channel_send(host, channel, row->side, memory, 4);
	} else {
		channel->renew = 3;
		list_remove(&mine->of_renewing);
		list_add_tail(&host->renewing, &mine->of_renewing);
		host->renew_more = true;
	}
	shared_fd_drop(memory);
	return DVS_OK;
}

static void link_tell(struct host *host, struct binding *mine, const struct control_link *row)
{
	const struct core_endpoint *endpoint =
		core_endpoint_find(mine->core->endpoint->dc, row->peer);
	struct core_binding *core = endpoint ? core_primary(endpoint, host->config.node) : NULL;
	struct binding *peer = binding_from_core(core);
	struct channel *channel = peer && peer != mine ? channel_find(host, mine, peer) : NULL;
	dvs_err err = DVS_OK;

	if (core && core->node != host->config.node && endpoint->ep.n == row->peer) {
		err = carried_tell(host, mine, core, row);
		if (err != DVS_OK)
			send_gone_row(host, mine, row);
		return;
	}
	if (!peer || peer == mine || peer->ep.n != row->peer) {
		err = DVS_PEERDEAD;
	} else if (!channel) {
		err = link_first(host, mine, peer, row);
	} else if (!link_fits(channel, row->side, mine, row)) {
		channel_close(host, channel, mine, DVS_PEERDEAD);
		err = DVS_PEERDEAD;
	} else if (!channel->end[row->side].reported) {
		err = bitmap_set(&mine->indexes, row->my_index);
		channel->end[row->side].reported = err == DVS_OK;
		if (err != DVS_OK)
			channel_close(host, channel, mine, DVS_PEERDEAD);
	}
	if (err != DVS_OK)
		send_gone_row(host, mine, row);
}

static bool row_is_sane(const struct control_link *row)
{
	return row->side <= 1 && row->my_index < IPC_CHANNELS_MAX &&
	       row->peer_index < IPC_CHANNELS_MAX;
}

void op_rejoin_links(struct host *host, struct request *request)
{
	struct process *process = request->link->process;
	struct control_rejoin_links_req req;
	dvs_err err = control_rejoin_links_req_decode(&request->body, &req);

	for (uint32_t i = 0; err == DVS_OK && i < req.n_links; i++)
		err = row_is_sane(&req.links[i]) ? DVS_OK : DVS_PROTO;
	if (err == DVS_OK && process->state != PROCESS_REJOINING)
		err = DVS_BADSTATE;
	for (uint32_t i = 0; err == DVS_OK && i < req.n_links; i++) {
		struct binding *mine = process_binding(process, req.links[i].ep);

		if (mine && mine->rejoined && mine->ep.n == req.links[i].ep &&
		    mine->core->role == CORE_PRIMARY)
			link_tell(host, mine, &req.links[i]);
	}
	request_answer(host, request, err);
	if (err == DVS_OK && req.n_links < ARRAY_LEN(req.links))
		process_rejoined(host, process);
}

void op_rejoin_endpoint(struct host *host, struct request *request)
{
	struct process *process = request->link->process;
	struct control_rejoin_endpoint_req req;
	struct control_rejoin_endpoint_rep rep;
	struct binding *binding = NULL;
	struct frame frame;
	dvs_err err = control_rejoin_endpoint_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		binding = process->state == PROCESS_REJOINING ? process_binding(process, req.ep) :
								NULL;
		if (!binding || binding->ep.n != req.ep || binding->slot != req.slot)
			err = DVS_NODEST;
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	binding->rejoined = true;
	binding->heir = binding->heir ||
			(req.role == CORE_BACKUP && binding->core->role == CORE_PRIMARY);
	binding->tid = req.tid;
	binding->migration = req.migration;
	if (binding->core->role == CORE_PRIMARY)
		binding_fence(host, binding);
	rep = (struct control_rejoin_endpoint_rep){
		.role = binding_role(binding),
		.may = binding->core->endpoint->privileges.may,
	};
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_rejoin_endpoint_rep_encode(&frame.out, &rep);
	link_send(host, request->link, &frame);
}

/* Channels that BINDING's process did not tell of are not there. */
static void drop_untold(struct host *host, struct binding *binding)
{
	LIST_FOREACH_SAFE(link, &binding->channels) {
		struct channel_end *end = CONTAINER_OF(link, struct channel_end, of_binding);

		if (end->reported || end->channel->renew != 0)
			continue;
		if (binding->heir)
			inherit(host, end->channel, end == &end->channel->end[1]);
		else
			channel_close(host, end->channel, binding, DVS_PEERDEAD);
	}
}

/* What it may have missed of a migration, or told only in part. */
static void settle_migration(struct host *host, struct binding *binding)
{
	const struct core_endpoint *endpoint = binding->core->endpoint;
	struct core_command command = { .op = CORE_MIGRATE_AGAIN,
					.dc = endpoint->dc->id,
					.ep = binding->ep.n };

	if (binding->core->role != CORE_PRIMARY)
		return;
	if (binding->migration != 0 && !endpoint->migrating)
		send_migrate(host, binding, 2, binding->migration);
	if (endpoint->migrating && !endpoint->parked)
		order_command(host, &command, NULL, true);
}

/* The bindings that it did not tell of: one that another made for it is told now, one that it
 * made itself never reached it, and it will ask again. */
static void settle_binding(struct host *host, struct binding *binding)
{
	struct core_command command = { .op = CORE_UNBIND,
					.dc = binding->core->endpoint->dc->id,
					.ep = binding->ep.n,
					.process = binding->process->id };
	bool told = binding->rejoined;

	if (!told && binding->core->given)
		binding->heir = true;
	drop_untold(host, binding);
	binding->rejoined = true;
	watch_touch(host, watch_number(command.dc, binding->ep.n));
	if (!told && !binding->core->given) {
		binding->quiet = true;
		order_command(host, &command, NULL, true);
		return;
	}
	if (!told)
		binding_announce(host, binding);
	settle_migration(host, binding);
	if (binding->woken)
		binding_send_woken(host, binding);
}

void process_rejoined(struct host *host, struct process *process)
{
	process->state = PROCESS_LINKED;
	timer_cancel(&host->timers, &process->rejoin_timer);
	LIST_FOREACH_SAFE(link, &process->bindings)
		settle_binding(host, CONTAINER_OF(link, struct binding, of_process));
	process_became_ready(host, process);
}
