/* SPDX-License-Identifier: Apache-2.0 */
/* Channels made anew: after a move or a promotion both sides of each channel get fresh memory,
 * so that the former process, if it lives, has no part in it any more. An endpoint can have
 * thousands of partners and each channel on its way holds a descriptor, so they are made as
 * fast as both sides read them and no faster. Until then a partner only finds that its call
 * takes longer. */
#include <stdlib.h>
#include <string.h>

#include "node/api.h"
#include "node/carrier.h"

/* What END's endpoint owes to its peer, as it told when it parked. */
static void owe(struct channel_end *end, const struct binding *binding, dvs_ep peer)
{
	const struct core_endpoint *endpoint = binding->core->endpoint;

	for (uint32_t i = 0; i < endpoint->n_taken; i++) {
		if (endpoint->taken[i].peer == peer.n) {
			end->open = endpoint->taken[i].number;
			end->stale = endpoint->taken[i].stale;
			end->note |= endpoint->taken[i].note;
			return;
		}
	}
}

void channel_end_moved(struct channel_end *end)
{
	end->moved = true;
	end->open = end->stale = 0;
}

/* END goes from FROM to TO and gets a number in the inbox of that. False: there is none. */
static bool end_renumber(struct channel_end *end, struct binding *from, struct binding *to)
{
	struct carriage *carriage = end->channel->carriage;

	/* the former proxy still listens to the number */
	if (carriage && binding_is_stand_in(from) && !carriage->owns_index)
		carriage->owns_index = true;
	else if (end->reported)
		bitmap_clear(binding_indexes(from), end->index);
	end->reported = bitmap_take(binding_indexes(to), IPC_CHANNELS_MAX, &end->index) == DVS_OK;
	return end->reported;
}

static void end_hand_over(struct channel_end *end, struct binding *from, struct binding *to,
			  uint8_t mode)
{
	struct channel *channel = end->channel;
	unsigned int side = end == &channel->end[1];

	end->binding = to;
	if (from != to) {
		list_remove(&end->of_binding);
		list_add_tail(&to->channels, &end->of_binding);
		from->n_channels--;
		to->n_channels++;
	}
	/* Who moves on before it got the channel could not tell what is owed on it: that
	 * is what its predecessor told. */
	if (end->moved && mode == 2 && !binding_is_stand_in(from))
		return;
	channel_end_moved(end);
	if (mode == 2)
		owe(end, to, channel->end[1 - side].binding->ep);
}

/* One channel of FROM; its partner is elsewhere or here. */
static void channel_hand_over(struct host *host, struct channel_end *end, struct binding *from,
			      struct binding *to, uint8_t mode)
{
	struct channel *channel = end->channel;
	const struct binding *peer = channel->end[end == &channel->end[0]].binding;

	/* What this end said is for the partner, which is told by its own node. */
	if (!binding_is_stand_in(from))
		carriage_end(host, channel, DVS_OK);
	if (binding_is_stand_in(to) && binding_is_stand_in(peer)) {
		channel_destroy(host, channel);
		return;
	}
	if (mode > channel->renew)
		channel->renew = mode;
	if (binding_is_stand_in(from))
		carriage_leave(host, channel, DVS_PEERDEAD);
	if ((binding_is_stand_in(from) || binding_is_stand_in(to)) &&
	    !end_renumber(end, from, to)) {
		channel_close(host, channel, from, DVS_PEERDEAD);
		return;
	}
	end_hand_over(end, from, to, mode);
}

static void binding_must_renew(struct host *host, struct binding *binding)
{
	list_remove(&binding->of_renewing);
	if (!list_is_empty(&binding->channels))
		list_add_tail(&host->renewing, &binding->of_renewing);
	host->renew_more = true;
	stand_in_idle(host, binding);
}

void channels_renew(struct host *host, struct binding *from, struct binding *to, uint8_t mode)
{
	LIST_FOREACH_SAFE(link, &from->channels)
		channel_hand_over(host, CONTAINER_OF(link, struct channel_end, of_binding), from,
				  to, mode);
	if (from != to && !binding_is_stand_in(from) && !binding_is_stand_in(to)) {
		bitmap_free(&to->indexes);
		to->indexes = from->indexes;
		from->indexes = (struct bitmap){ 0 };
	}
	to->heir = true;
	binding_must_renew(host, to);
}

/* A channel for BINDING with a partner elsewhere, to which it owes what TAKEN says. */
static void channel_owed(struct host *host, struct binding *binding, const struct core_taken *taken)
{
	const struct core_endpoint *peer =
		core_endpoint_find(binding->core->endpoint->dc, taken->peer);
	struct core_binding *core = peer ? core_primary(peer, host->config.node) : NULL;
	struct binding *stand_in;
	struct channel *channel;

	if (!core || core->node == host->config.node)
		return;
	stand_in = stand_in_get(host, core);
	if (!stand_in || channel_find(host, stand_in, binding))
		return;
	if (channel_create(host, stand_in, binding, &channel) != DVS_OK) {
		log_error(&host->log, "what an endpoint owes to another node is lost",
			  LOG_U64("ep", binding->ep.n), LOG_U64("peer", taken->peer));
		return;
	}
	channel->renew = 2;
	channel->end[1].moved = true;
	channel->end[1].open = taken->number;
	channel->end[1].stale = taken->stale;
	channel->end[1].note = taken->note;
}

void channels_owed(struct host *host, struct binding *binding)
{
	const struct core_endpoint *endpoint = binding->core->endpoint;

	for (uint32_t i = 0; i < endpoint->n_taken; i++)
		channel_owed(host, binding, &endpoint->taken[i]);
	binding_must_renew(host, binding);
}

/* What one that has parked told is not to change any more. */
static bool side_can_take(const struct host *host, const struct channel *channel, unsigned int side)
{
	const struct binding *binding = channel->end[side].binding;

	if (binding_is_stand_in(binding))
		return carrier_can_take(host, binding->process->carrier);
	return !binding->core->endpoint->parked && binding->n_parking == 0 &&
	       process_is_ready(binding->process) &&
	       !link_is_congested(host, binding->process->link);
}

/* The requests of one that moved too were given up before it parked, and its successor numbers
 * its own from the beginning. */
static void forget_numbers(struct channel *channel)
{
	for (unsigned int side = 0; side < 2; side++) {
		struct channel_end *end = &channel->end[side];

		if (end->open != 0 && channel->end[1 - side].moved) {
			end->open = 0;
			end->stale++;
		}
	}
}

/* One that migrates may have parked, and sent off what it owes, before it reads of the channel:
 * it is to tell that anew, then. */
static void tell_again(struct host *host, const struct binding *binding)
{
	struct core_command command = { .op = CORE_MIGRATE_AGAIN,
					.dc = binding->core->endpoint->dc->id,
					.ep = binding->ep.n };

	if (binding->core->endpoint->migrating && !binding_is_stand_in(binding))
		order_command(host, &command, NULL, true);
}

static void on_renew_again(struct host *host, struct timer *timer)
{
	(void)timer;
	host->renew_more = true;
}

/* False when it must wait for one of the two. */
static bool channel_renew(struct host *host, struct channel *channel)
{
	struct shared_fd *memory;
	int fd;

	if (channel->carriage || !side_can_take(host, channel, 0) ||
	    !side_can_take(host, channel, 1))
		return false;
	fd = memory_create("dvs-channel", IPC_CHANNEL_BYTES);
	memory = fd >= 0 ? shared_fd_create(fd) : NULL;
	if (!memory || channel_carry(host, channel, memory) != DVS_OK) {
		shared_fd_drop(memory);
		/* out of descriptors, for a while */
		if (host_timer(host, &host->renew_timer, LINK_RETRY_NS, on_renew_again) == DVS_OK)
			return false;
		channel_close(host, channel, NULL, DVS_PEERDEAD);
		return true;
	}
	forget_numbers(channel);
	for (unsigned int side = 0; side < 2; side++)
		channel_send(host, channel, side, memory, channel->renew);
	shared_fd_drop(memory);
	channel->renew = 0;
	for (unsigned int side = 0; side < 2; side++) {
		channel_end_moved(&channel->end[side]);
		channel->end[side].note = 0;
		channel->end[side].moved = false;
		tell_again(host, channel->end[side].binding);
	}
	/* a proxy may have asked for it */
	if (channel->carriage) {
		dvs_dcid dc = { channel->carriage->told.dc };

		watch_touch(host, watch_number(dc, channel->carriage->told.local));
		watch_touch(host, watch_number(dc, channel->carriage->told.remote));
	}
	return true;
}

static bool binding_renew(struct host *host, struct binding *binding)
{
	bool done = true;

	LIST_FOREACH_SAFE(link, &binding->channels) {
		struct channel *channel =
			CONTAINER_OF(link, struct channel_end, of_binding)->channel;

		if (channel->renew != 0 && !channel_renew(host, channel))
			done = false;
	}
	return done;
}

void channels_renew_more(struct host *host)
{
	if (!host->renew_more)
		return;
	host->renew_more = false;
	LIST_FOREACH_SAFE(link, &host->renewing) {
		struct binding *binding = CONTAINER_OF(link, struct binding, of_renewing);

		if (binding_renew(host, binding))
			list_remove(&binding->of_renewing);
	}
}
