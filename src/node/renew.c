/* SPDX-License-Identifier: Apache-2.0 */
/* Channels made anew: after a move or a promotion both sides of each channel get fresh memory,
 * so that the former process, if it lives, has no part in it any more. An endpoint can have
 * thousands of partners and each channel on its way holds a descriptor, so they are made as
 * fast as both sides read them and no faster. Until then a partner only finds that its call
 * takes longer. */
#include <stdlib.h>
#include <string.h>

#include "node/api.h"

static uint32_t taken_from(const struct binding *binding, dvs_ep peer)
{
	const struct core_endpoint *endpoint = binding->core->endpoint;

	for (uint32_t i = 0; i < endpoint->n_taken; i++) {
		if (endpoint->taken[i].peer == peer.n)
			return endpoint->taken[i].number;
	}
	return 0;
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
		channel->open[side] =
			mode == 2 ? taken_from(from, channel->end[1 - side].binding->ep) : 0;
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
	list_remove(&to->of_renewing);
	if (!list_is_empty(&to->channels))
		list_add_tail(&host->renewing, &to->of_renewing);
	host->renew_more = true;
}

static bool side_can_take(const struct channel *channel, unsigned int side)
{
	const struct process *process = channel->end[side].binding->process;

	return process_is_ready(process) && !link_is_congested(process->link);
}

/* False when it must wait for one of the two. */
static bool channel_renew(struct host *host, struct channel *channel)
{
	struct shared_fd *memory;
	int fd;

	if (!side_can_take(channel, 0) || !side_can_take(channel, 1))
		return false;
	fd = memory_create("dvs-channel", IPC_CHANNEL_BYTES);
	memory = fd >= 0 ? shared_fd_create(fd) : NULL;
	if (!memory) {
		channel_close(host, channel, NULL, DVS_PEERDEAD);
		return true;
	}
	for (unsigned int side = 0; side < 2; side++)
		channel_send(host, channel, side, memory, channel->renew);
	shared_fd_drop(memory);
	channel->renew = 0;
	channel->open[0] = channel->open[1] = 0;
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
