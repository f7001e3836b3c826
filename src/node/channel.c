/* SPDX-License-Identifier: Apache-2.0 */
/* Channels in dvsd's tables: which pairs of endpoints have one, under which numbers. dvsd
 * makes the memory and hands it out, but neither keeps nor maps it. */
#include <stdlib.h>
#include <string.h>

#include "node/api.h"
#include "node/carrier.h"

/* By endpoints and not by bindings: a promotion or a move does not change it. */
uint64_t channel_key(dvs_dcid dc, dvs_ep a, dvs_ep b)
{
	uint64_t low = a.n < b.n ? a.n : b.n;
	uint64_t high = a.n < b.n ? b.n : a.n;

	return map_key(low << 32 | high, dc.n);
}

static uint64_t pair_key(const struct binding *a, const struct binding *b)
{
	return channel_key(a->core->endpoint->dc->id, a->ep, b->ep);
}

struct channel *channel_find(const struct host *host, const struct binding *a,
			     const struct binding *b)
{
	struct map_node *node = map_first(&host->channels, pair_key(a, b));

	for (; node; node = map_next(node)) {
		struct channel *channel = CONTAINER_OF(node, struct channel, by_pair);

		if (channel->end[0].binding == a && channel->end[1].binding == b)
			return channel;
		if (channel->end[0].binding == b && channel->end[1].binding == a)
			return channel;
	}
	return NULL;
}

static void end_attach(struct channel *channel, unsigned int side, struct binding *binding)
{
	struct channel_end *end = &channel->end[side];

	end->channel = channel;
	end->binding = binding;
	list_add_tail(&binding->channels, &end->of_binding);
	binding->n_channels++;
}

struct bitmap *binding_indexes(struct binding *binding)
{
	return binding_is_stand_in(binding) ? &binding->process->carrier->indexes :
					      &binding->indexes;
}

static struct permissions permissions(const struct channel *channel)
{
	struct permissions may;

	for (unsigned int side = 0; side < 2; side++) {
		const struct binding *from = channel->end[side].binding;
		const struct binding *to = channel->end[1 - side].binding;

		may.call[side] = core_may_call(from->core->endpoint, dvs_ep_number(to->ep));
		may.relay[side] = (from->core->endpoint->privileges.may & DVS_MAY_RELAY) != 0;
	}
	return may;
}

struct channel *channel_add(struct host *host, struct binding *from, struct binding *to)
{
	struct channel *channel = calloc(1, sizeof(*channel));

	if (!channel || map_reserve(&host->channels) != DVS_OK) {
		free(channel);
		return NULL;
	}
	end_attach(channel, 0, from);
	end_attach(channel, 1, to);
	channel->may = permissions(channel);
	map_add(&host->channels, &channel->by_pair, pair_key(from, to));
	if (from->server)
		from->server->n_channels++;
	return channel;
}

dvs_err channel_create(struct host *host, struct binding *from, struct binding *to,
		       struct channel **made)
{
	uint32_t from_index;
	uint32_t to_index;
	dvs_err err = DVS_FULL;

	if (from->server && from->server->n_channels >= DC_CHANNELS_MAX)
		return err;
	err = bitmap_take(binding_indexes(from), IPC_CHANNELS_MAX, &from_index);

	if (err != DVS_OK)
		return err;
	err = bitmap_take(binding_indexes(to), IPC_CHANNELS_MAX, &to_index);
	if (err == DVS_OK) {
		*made = channel_add(host, from, to);
		if (*made) {
			(*made)->end[0].index = from_index;
			(*made)->end[1].index = to_index;
			(*made)->end[0].reported = true;
			(*made)->end[1].reported = true;
			return DVS_OK;
		}
		bitmap_clear(binding_indexes(to), to_index);
		err = DVS_NOMEM;
	}
	bitmap_clear(binding_indexes(from), from_index);
	return err;
}

void channel_destroy(struct host *host, struct channel *channel)
{
	carriage_end(host, channel, DVS_PEERDEAD);
	for (unsigned int side = 0; side < 2; side++) {
		struct channel_end *end = &channel->end[side];

		list_remove(&end->of_binding);
		end->binding->n_channels--;
		/* after a restart a number is taken when its own process has told it */
		if (end->reported)
			bitmap_clear(binding_indexes(end->binding), end->index);
		stand_in_idle(host, end->binding);
	}
	if (channel->end[0].binding->server)
		channel->end[0].binding->server->n_channels--;
	map_remove(&host->channels, &channel->by_pair);
	free(channel);
}

static void send_gone(struct host *host, const struct channel *channel, unsigned int side,
		      dvs_err reason)
{
	const struct binding *binding = channel->end[side].binding;
	struct control_gone_req event = { .ep = binding->ep.n,
					  .peer = channel->end[1 - side].binding->ep.n,
					  .my_index = channel->end[side].index,
					  .reason = (uint32_t)reason };
	struct frame frame;

	if (!binding->process)
		return;
	frame_begin(&frame, CONTROL_GONE, 0, DVS_OK);
	control_gone_req_encode(&frame.out, &event);
	process_send(host, binding->process, &frame, binding->slot);
}

void channel_close(struct host *host, struct channel *channel, const struct binding *quiet,
		   dvs_err reason)
{
	for (unsigned int side = 0; side < 2; side++) {
		if (channel->end[side].binding != quiet)
			send_gone(host, channel, side, reason);
	}
	carriage_end(host, channel, reason);
	channel_destroy(host, channel);
}

void channels_close(struct host *host, struct binding *binding, dvs_err reason)
{
	LIST_FOREACH_SAFE(link, &binding->channels)
		channel_close(host, CONTAINER_OF(link, struct channel_end, of_binding)->channel,
			      binding, reason);
}

void channels_recheck(struct host *host, struct binding *binding)
{
	LIST_FOREACH_SAFE(link, &binding->channels) {
		struct channel *channel =
			CONTAINER_OF(link, struct channel_end, of_binding)->channel;
		struct permissions now;

		/* its remote end is over, and only its last words are waited for */
		if (!channel->end[0].binding->core || !channel->end[1].binding->core)
			continue;
		now = permissions(channel);
		if (memcmp(&now, &channel->may, sizeof(now)) != 0)
			channel_close(host, channel, NULL, DVS_DENIED);
	}
}

void channel_fill(const struct channel *channel, unsigned int side,
		  struct control_channel_req *event)
{
	const struct channel_end *mine = &channel->end[side];
	const struct channel_end *other = &channel->end[1 - side];

	*event = (struct control_channel_req){
		.ep = mine->binding->ep.n,
		.peer = other->binding->ep.n,
		.my_index = mine->index,
		.peer_index = other->index,
		.peer_slot = other->binding->slot,
		.side = (uint8_t)side,
		.may_call = channel->may.call[side],
		.may_serve = channel->may.call[1 - side],
		.peer_may_relay = channel->may.relay[1 - side],
		.remote = binding_is_stand_in(other->binding) ?
				  (uint8_t)(other->binding->process->carrier->node + 1) :
				  0,
	};
}

/* Tell side SIDE of MEMORY, in MODE. */
void channel_send(struct host *host, const struct channel *channel, unsigned int side,
		  struct shared_fd *memory, uint8_t mode)
{
	const struct binding *binding = channel->end[side].binding;
	struct control_channel_req event;
	struct frame frame;

	if (binding_is_stand_in(binding))
		return; /* see channel_carry() */
	channel_fill(channel, side, &event);
	event.mode = mode;
	event.open = channel->end[side].open;
	event.stale = (uint8_t)(channel->end[side].stale < UINT8_MAX ? channel->end[side].stale :
								       UINT8_MAX);
	event.note = channel->end[side].note;
	frame_begin(&frame, CONTROL_CHANNEL, 0, DVS_OK);
	control_channel_req_encode(&frame.out, &event);
	frame_attach(&frame, memory);
	frame_attach(&frame, channel->end[1 - side].binding->process->area_fd);
	process_send(host, binding->process, &frame, binding->slot);
}
