/* SPDX-License-Identifier: Apache-2.0 */
/* Carriages: what a proxy is told of a channel, from its memory to its last words. */
#include <stdlib.h>
#include <unistd.h>

#include "base/err.h"
#include "node/api.h"
#include "node/carrier.h"

/* The side of CHANNEL that is a stand-in's; 2: none is. */
static unsigned int stand_in_side(const struct channel *channel)
{
	if (binding_is_stand_in(channel->end[0].binding))
		return 0;
	return binding_is_stand_in(channel->end[1].binding) ? 1 : 2;
}

static void send_carry(struct host *host, const struct carriage *carriage)
{
	const struct channel *channel = carriage->channel;
	const struct binding *local = channel->end[1 - carriage->told.side].binding;
	struct frame frame;

	/* One that died while it migrates: nothing is to be carried to it. */
	if (!local->process)
		return;
	frame_begin(&frame, CONTROL_CARRY, 0, DVS_OK);
	control_carry_req_encode(&frame.out, &carriage->told);
	frame_attach(&frame, carriage->memory);
	frame_attach(&frame, local->process->area_fd);
	carrier_send(host, carriage->carrier, &frame);
}

static void send_carry_end(struct host *host, const struct carriage *carriage, uint8_t far,
			   dvs_err reason)
{
	struct control_carry_end_req event = { .dc = carriage->told.dc,
					       .remote = carriage->told.remote,
					       .local = carriage->told.local,
					       .instance = carriage->told.instance,
					       .far = far,
					       .reason = (uint32_t)reason };
	struct frame frame;

	frame_begin(&frame, CONTROL_CARRY_END, 0, DVS_OK);
	control_carry_end_req_encode(&frame.out, &event);
	carrier_send(host, carriage->carrier, &frame);
}

/* Where the memory of a channel has its instance, in the lane of SIDE. */
static off_t instance_offset(unsigned int side)
{
	return (off_t)(offsetof(struct ipc_channel, lane) + side * sizeof(struct ipc_lane) +
		       offsetof(struct ipc_lane, carry.instance));
}

static dvs_err carriage_make(struct host *host, struct channel *channel, unsigned int side,
			     struct shared_fd *memory, uint32_t instance)
{
	const struct channel_end *remote = &channel->end[side];
	const struct channel_end *local = &channel->end[1 - side];
	struct carriage *carriage = calloc(1, sizeof(*carriage));

	if (!carriage)
		return DVS_NOMEM;
	carriage->carrier = remote->binding->process->carrier;
	carriage->channel = channel;
	carriage->memory = shared_fd_hold(memory);
	carriage->state = CARRIAGE_OPEN;
	carriage->told = (struct control_carry_req){ .dc = local->binding->core->endpoint->dc->id.n,
						     .remote = remote->binding->ep.n,
						     .local = local->binding->ep.n,
						     .instance = instance,
						     .index = remote->index,
						     .peer_index = local->index,
						     .peer_slot = local->binding->slot,
						     .side = (uint8_t)side };
	list_init(&carriage->of_leaving);
	list_add_tail(&carriage->carrier->carriages, &carriage->of_carrier);
	carriage->carrier->n_carriages++;
	channel->carriage = carriage;
	send_carry(host, carriage);
	return DVS_OK;
}

dvs_err channel_carry(struct host *host, struct channel *channel, struct shared_fd *memory)
{
	unsigned int side = stand_in_side(channel);
	uint32_t instance;

	if (side > 1)
		return DVS_OK;
	if (++host->last_instance == 0)
		host->last_instance = 1;
	instance = host->last_instance;
	if (pwrite(memory->fd, &instance, sizeof(instance), instance_offset(side)) !=
	    (ssize_t)sizeof(instance))
		return DVS_NOMEM;
	return carriage_make(host, channel, side, memory, instance);
}

dvs_err channel_carry_again(struct host *host, struct channel *channel, struct shared_fd *memory)
{
	unsigned int side = stand_in_side(channel);
	uint32_t instance = 0;

	if (side > 1 || pread(memory->fd, &instance, sizeof(instance), instance_offset(side)) !=
				(ssize_t)sizeof(instance))
		return DVS_PROTO;
	return instance != 0 ? carriage_make(host, channel, side, memory, instance) : DVS_PROTO;
}

static void carriage_free(struct host *host, struct carriage *carriage)
{
	struct carrier *carrier = carriage->carrier;

	/* who waits for its far end looks again */
	if (!carriage->ready)
		watch_touch(host,
			    watch_number((dvs_dcid){ carriage->told.dc }, carriage->told.remote));

	list_remove(&carriage->of_carrier);
	list_remove(&carriage->of_leaving);
	carrier->n_carriages--;
	if (carriage->owns_index)
		bitmap_clear(&carrier->indexes, carriage->told.index);
	carriage->channel->carriage = NULL;
	shared_fd_drop(carriage->memory);
	free(carriage);
}

void carriage_end(struct host *host, struct channel *channel, dvs_err reason)
{
	struct carriage *carriage = channel->carriage;

	if (!carriage)
		return;
	/* Privileges are the same everywhere: the other node knows by itself. */
	if (carriage->state == CARRIAGE_OPEN)
		send_carry_end(host, carriage, reason == DVS_DENIED ? 2 : 0, reason);
	else if (carriage->state == CARRIAGE_LEAVING)
		send_carry_end(host, carriage, 2, reason);
	carriage_free(host, carriage);
}

/* The remote end of CHANNEL has nothing more to say. */
static void channel_has_left(struct host *host, struct channel *channel, dvs_err reason)
{
	if (channel->renew != 0)
		host->renew_more = true;
	else
		channel_close(host, channel, channel->end[stand_in_side(channel) & 1].binding,
			      reason);
}

/* It has left in good order (CLEAN), or all that it said may not be here. */
static void carriage_has_left(struct host *host, struct carriage *carriage, bool clean)
{
	struct channel *channel = carriage->channel;
	dvs_err reason = carriage->reason;

	carriage_free(host, carriage);
	if (!clean && channel->renew == 2)
		channel->renew = 3;
	channel_has_left(host, channel, reason);
}

/* The remote end was made anew, and the order of the state does not tell of a reason: its dvsd was started again and could not take the
 * channel up. So this one does as if it had been promoted. (One that ended because a node was cut off is the same endpoint still, which may have
 * received what is under way: then the caller is told.) */
static void begin_anew(struct host *host, struct channel *channel)
{
	struct binding *local = channel->end[1 - stand_in_side(channel)].binding;

	channel->renew = 3;
	list_remove(&local->of_renewing);
	list_add_tail(&host->renewing, &local->of_renewing);
}

static void on_over_late(struct host *host, struct timer *timer)
{
	struct carrier *carrier = CONTAINER_OF(timer, struct carrier, over_timer);
	uint64_t now_ns = timer->deadline_ns;

	while (!list_is_empty(&carrier->leaving)) {
		struct carriage *carriage =
			CONTAINER_OF(carrier->leaving.next, struct carriage, of_leaving);
		uint64_t lived_ns = now_ns - carriage->since_ns;

		if (lived_ns < CARRY_OVER_NS &&
		    host_timer(host, timer, CARRY_OVER_NS - lived_ns, on_over_late) == DVS_OK)
			return;
		if (carriage->state == CARRIAGE_LEAVING)
			send_carry_end(host, carriage, 2, carriage->reason);
		else if (carriage->reason != DVS_NODEDOWN)
			begin_anew(host, carriage->channel);
		carriage_has_left(host, carriage, false);
	}
}

static void wait_for_end(struct host *host, struct carriage *carriage)
{
	struct carrier *carrier = carriage->carrier;

	carriage->since_ns = clock_now_ns();
	list_remove(&carriage->of_leaving);
	list_add_tail(&carrier->leaving, &carriage->of_leaving);
	if (carrier->over_timer.place == 0 &&
	    host_timer(host, &carrier->over_timer, CARRY_OVER_NS, on_over_late) != DVS_OK)
		log_error(&host->log, "out of memory: the end of a channel is not timed",
			  LOG_U64("node", carrier->node));
}

/* Whether the node of CARRIER is down by the command at work, or was not up before. */
static bool is_down(const struct host *host, const struct carrier *carrier)
{
	return !carrier->up || (host->command && host->command->op == CORE_NODE_DOWN &&
				host->command->node == carrier->node);
}

void carriage_leave(struct host *host, struct channel *channel, dvs_err reason)
{
	struct carriage *carriage = channel->carriage;

	if (!carriage) {
		channel_has_left(host, channel, reason);
		return;
	}
	carriage->reason = reason;
	if (carriage->state == CARRIAGE_OVER) {
		carriage_has_left(host, carriage, carriage->clean);
	} else if (is_down(host, carriage->carrier)) {
		send_carry_end(host, carriage, 2, reason);
		carriage_has_left(host, carriage, false);
	} else if (carriage->state == CARRIAGE_OPEN) {
		carriage->state = CARRIAGE_LEAVING;
		send_carry_end(host, carriage, 1, reason);
		wait_for_end(host, carriage);
	}
}

void carriages_leave_now(struct host *host, struct carrier *carrier)
{
	while (!list_is_empty(&carrier->leaving))
		carriage_has_left(host,
				  CONTAINER_OF(carrier->leaving.next, struct carriage, of_leaving),
				  false);
}

void carriages_tell(struct host *host, struct carrier *carrier)
{
	LIST_FOREACH(at, &carrier->carriages) {
		const struct carriage *carriage = CONTAINER_OF(at, struct carriage, of_carrier);

		if (carriage->state == CARRIAGE_OVER)
			continue;
		send_carry(host, carriage);
		if (carriage->state == CARRIAGE_LEAVING)
			send_carry_end(host, carriage, 1, carriage->reason);
	}
}

bool channel_is_ready(const struct channel *channel)
{
	return !channel->carriage || channel->carriage->ready;
}

struct carriage *carriage_find(const struct host *host, const struct carrier *carrier,
			       const struct control_carry_ready_req *what)
{
	struct map_node *node = map_first(&host->channels, channel_key((dvs_dcid){ what->dc },
								       (dvs_ep){ what->remote },
								       (dvs_ep){ what->local }));

	for (; node; node = map_next(node)) {
		struct carriage *carriage = CONTAINER_OF(node, struct channel, by_pair)->carriage;

		if (carriage && carriage->carrier == carrier &&
		    carriage->told.instance == what->instance)
			return carriage;
	}
	return NULL;
}

void op_carry_ready(struct host *host, struct request *request)
{
	struct control_carry_ready_req req;
	struct carriage *carriage = NULL;
	dvs_err err = control_carry_ready_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		carriage = carriage_find(host, request->link->carrier, &req);
		err = carriage ? DVS_OK : DVS_NODEST;
	}
	if (err == DVS_OK && !carriage->ready) {
		carriage->ready = true;
		watch_touch(host, watch_number((dvs_dcid){ req.dc }, req.remote));
	}
	request_answer(host, request, err);
}

void op_carry_over(struct host *host, struct request *request)
{
	struct control_carry_over_req req;
	struct carriage *carriage = NULL;
	dvs_err err = control_carry_over_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		const struct control_carry_ready_req name = { req.dc, req.remote, req.local,
							      req.instance };

		carriage = carriage_find(host, request->link->carrier, &name);
		err = carriage ? DVS_OK : DVS_NODEST;
	}
	if (err == DVS_OK && carriage->state == CARRIAGE_LEAVING) {
		carriage_has_left(host, carriage, req.clean != 0);
	} else if (err == DVS_OK && carriage->state == CARRIAGE_OPEN) {
		/* The order will say why; if it does not, the reason is the proxy's. */
		carriage->state = CARRIAGE_OVER;
		carriage->clean = req.clean != 0;
		carriage->reason = dvs_err_from_number(req.reason);
		if (carriage->reason == DVS_OK)
			carriage->reason = DVS_PEERDEAD;
		/* That is the far node, not this one. */
		if (carriage->reason == DVS_NOQUORUM)
			carriage->reason = DVS_NODEDOWN;
		wait_for_end(host, carriage);
	}
	request_answer(host, request, err);
}
