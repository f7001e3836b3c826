/* SPDX-License-Identifier: Apache-2.0 */
/* Channels made anew: after a move or a promotion both sides of each channel get fresh memory,
 * so that the former process, if it lives, has no part in it any more. An endpoint can have
 * thousands of partners and each channel on its way holds a descriptor, so they are made as
 * fast as both sides read them and no faster. Until then a partner only finds that its call
 * takes longer. */
#include <stdlib.h>
#include <string.h>

#include "node/api.h"

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

void channels_renew(struct host *host, struct binding *from, struct binding *to, uint8_t mode)
{
	LIST_FOREACH(link, &from->channels) {
		struct channel_end *end = CONTAINER_OF(link, struct channel_end, of_binding);
		struct channel *channel = end->channel;
		unsigned int side = end == &channel->end[1];

		end->binding = to;
		if (mode > channel->renew)
			channel->renew = mode;
		/* Who moves on before it got the channel could not tell what is owed on it: that
		 * is what its predecessor told. */
		if (end->moved && mode == 2)
			continue;
		channel_end_moved(end);
		if (mode == 2)
			owe(end, from, channel->end[1 - side].binding->ep);
	}
	if (from != to) {
		while (!list_is_empty(&from->channels))
			list_add_tail(&to->channels, list_take_head(&from->channels));
		to->n_channels = from->n_channels;
		from->n_channels = 0;
		bitmap_free(&to->indexes);
		to->indexes = from->indexes;
		from->indexes = (struct bitmap){ 0 };
	}
	to->heir = true;
	list_remove(&to->of_renewing);
	if (!list_is_empty(&to->channels))
		list_add_tail(&host->renewing, &to->of_renewing);
	host->renew_more = true;
}

/* What one that has parked told is not to change any more. */
static bool side_can_take(const struct host *host, const struct channel *channel, unsigned int side)
{
	const struct binding *binding = channel->end[side].binding;

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

	if (binding->core->endpoint->migrating)
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

	if (!side_can_take(host, channel, 0) || !side_can_take(host, channel, 1))
		return false;
	fd = memory_create("dvs-channel", IPC_CHANNEL_BYTES);
	memory = fd >= 0 ? shared_fd_create(fd) : NULL;
	if (!memory) {
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
