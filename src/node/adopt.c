/* SPDX-License-Identifier: Apache-2.0 */
/* A node that was cut off, or whose dvsd was stopped for a while, takes the state of the others for its own while its programs run.
 *
 * What is bound here is looked for in the new state. What is there goes on; a process whose role or privileges are others now is told.
 * What is not there ended for the others when they took this node for down; its process has it still, and may go on under the same
 * address if nobody else had it since: a command asks for that (CORE_REBIND). Until it is decided the binding is *in limbo*: the core does not
 * know it, but its conversations on this node go on. So it keeps its place in the former core, which is kept as long as anything is in
 * limbo. What is refused is over, and its process is told. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "node/api.h"
#include "node/carrier.h"
#include "node/cluster.h"
#include "node/containers.h"

/* A core that is not the state any more. */
struct former {
	struct list of_host;
	struct core *core;
};

void formers_free(struct host *host)
{
	struct list *at;

	while ((at = list_take_head(&host->formers)) != NULL) {
		struct former *former = CONTAINER_OF(at, struct former, of_host);

		core_destroy(former->core);
		free(former);
	}
}

/* ---- limbo ---- */

struct binding *process_limbo(const struct process *process, uint32_t slot)
{
	LIST_FOREACH(at, &process->bindings) {
		struct binding *binding = CONTAINER_OF(at, struct binding, of_process);

		if (binding->limbo && binding->slot == slot)
			return binding;
	}
	return NULL;
}

void limbo_over(struct host *host, struct binding *binding)
{
	assert(binding->limbo);
	binding->limbo = binding->asked = false;
	if (--host->n_limbo == 0)
		formers_free(host);
}

/* It is over: not only the core has it no longer. */
static void binding_lose(struct host *host, struct binding *binding)
{
	if (binding->process)
		process_send_unbound(host, binding->process, binding->ep, binding->slot);
	channels_close(host, binding, DVS_PEERDEAD);
	binding->core->host = NULL;
	if (binding->limbo)
		limbo_over(host, binding);
	binding_destroy(host, binding);
}

/* When it was granted the effect of the command has found the binding. */
static void on_rebind(struct host *host, struct order *order, dvs_err err)
{
	struct process *process = order_process(host, order);
	struct binding *binding = process ? process_limbo(process, order->slot) : NULL;

	if (!binding || err == DVS_OK)
		return;
	log_warning(&host->log, "an endpoint could not be kept: it was another's since",
		    LOG_U64("ep", binding->ep.n), LOG_U64("pid", process->id.pid),
		    LOG_STR("why", dvs_strerror(err)));
	binding_lose(host, binding);
}

static void rebind(struct host *host, struct binding *binding)
{
	const struct core_endpoint *endpoint = binding->core->endpoint;
	const struct order order = { .done = on_rebind,
				     .process = binding->process->id,
				     .slot = binding->slot };
	const struct core_command command = {
		.op = CORE_REBIND,
		.dc = endpoint->dc->id,
		.ep = binding->ep.n,
		.kind = binding->core->kind,
		.slot = binding->slot,
		.flags = (binding->core->given ? CORE_F_GIVEN : 0) |
			 (binding->core->inside ? CORE_F_INSIDE : 0),
		.area = binding->process->area,
		.process = binding->process->id,
		.privileges = endpoint->privileges,
	};

	order_command(host, &command, &order, true);
}

/* ---- what is in both ---- */

/* The place of BINDING, which is this node's, in the new core. */
static struct core_binding *place_of(const struct core *core, const struct binding *binding)
{
	const struct core_dc *dc = core_dc_find(core, binding->core->endpoint->dc->id);
	const struct core_endpoint *endpoint = dc ? core_endpoint_find(dc, binding->ep.n) : NULL;
	struct core_binding *place;

	if (!endpoint)
		return NULL;
	if (binding->process) {
		place = core_binding_of(endpoint, &binding->process->id);
		return place && place->slot == binding->slot ? place : NULL;
	}
	/* one that died while it migrated */
	place = core_primary(endpoint, binding->core->node);
	return place && !place->holder && place->node == binding->core->node ? place : NULL;
}

static void tell_migration(struct host *host, const struct binding *binding, bool was_migrating,
			   uint32_t was_number)
{
	const struct core_endpoint *endpoint = binding->core->endpoint;

	if (binding->core->role != CORE_PRIMARY)
		return;
	if (endpoint->migrating && (!was_migrating || was_number != endpoint->migration))
		send_migrate(host, binding, 1, endpoint->migration);
	else if (was_migrating && !endpoint->migrating)
		send_migrate(host, binding, 2, was_number);
}

static void relink(struct host *host, struct binding *binding, struct core_binding *place)
{
	const struct core_binding former = *binding->core;
	const struct core_endpoint *endpoint = binding->core->endpoint;
	bool was_migrating = endpoint->migrating;
	uint32_t was_number = endpoint->migration;
	uint32_t was_may = endpoint->privileges.may;

	binding->core = place;
	place->host = binding;
	if (!binding->process)
		return;
	if (former.role != place->role) {
		binding_send_role(host, binding);
		if (place->role == CORE_BACKUP)
			channels_close(host, binding, DVS_PEERDEAD);
	}
	if (was_may != place->endpoint->privileges.may)
		binding_send_may(host, binding);
	tell_migration(host, binding, was_migrating, was_number);
}

/* For the other nodes BINDING has ended, and their ends of its channels with it. */
static void close_far(struct host *host, struct binding *binding)
{
	LIST_FOREACH_SAFE(at, &binding->channels) {
		struct channel_end *end = CONTAINER_OF(at, struct channel_end, of_binding);
		struct channel *channel = end->channel;
		const struct binding *other = channel->end[end == &channel->end[0]].binding;

		if (binding_is_stand_in(other))
			channel_close(host, channel, other, DVS_NODEDOWN);
	}
}

/* ---- all of it ---- */

static void adopt_binding(struct host *host, struct core *core, struct binding *binding)
{
	struct core_binding *place;

	if (binding->limbo)
		return; /* it has asked already */
	place = place_of(core, binding);
	if (place) {
		relink(host, binding, place);
	} else if (!binding->process || binding->process->state == PROCESS_DEAD ||
		   !core_dc_find(core, binding->core->endpoint->dc->id)) {
		binding_lose(host, binding);
	} else {
		binding->limbo = true;
		host->n_limbo++;
		close_far(host, binding);
	}
}

/* Bindings of this node in the former core, by its own tables: those of processes, and orphans. */
static void adopt_bindings(struct host *host, struct core *core)
{
	for (const struct core_dc *dc = core_dc_next(host->core, 0); dc;
	     dc = core_dc_next(host->core, dc->id.n)) {
		const struct core_endpoint *endpoint = core_endpoint_from(dc, 0);

		for (; endpoint;
		     endpoint = core_endpoint_from(dc, dvs_ep_number(endpoint->ep) + 1)) {
			LIST_FOREACH(at, &endpoint->bindings) {
				struct core_binding *former =
					CONTAINER_OF(at, struct core_binding, of_endpoint);
				struct binding *binding = former->host;

				if (binding && !binding_is_stand_in(binding))
					adopt_binding(host, core, binding);
			}
		}
	}
}

/* The conversations with endpoints of other nodes go on where those are the same. */
static void adopt_stand_ins(struct host *host, struct core *core, uint32_t node)
{
	LIST_FOREACH_SAFE(at, &host->carriers[node]->process.bindings) {
		struct binding *binding = CONTAINER_OF(at, struct binding, of_process);
		const struct core_dc *dc;
		const struct core_endpoint *endpoint;
		struct core_binding *primary;

		if (!binding->core)
			continue;
		dc = core_dc_find(core, binding->core->endpoint->dc->id);
		endpoint = dc ? core_endpoint_find(dc, binding->ep.n) : NULL;
		primary = endpoint ? core_primary(endpoint, node) : NULL;
		binding->core->host = NULL;
		if (primary && primary->node == node) {
			binding->core = primary;
			primary->host = binding;
		} else {
			stand_in_end(host, binding, DVS_NODEDOWN);
		}
	}
}

static void close_dcs(struct host *host, const struct core *core)
{
	LIST_FOREACH_SAFE(at, &host->servers) {
		const struct server *server = CONTAINER_OF(at, struct server, of_host);

		if (!core_dc_find(core, server->dc))
			server_close_dc(host, server->dc);
	}
}

static void open_dcs(struct host *host)
{
	for (const struct core_dc *dc = core_dc_next(host->core, 0); dc;
	     dc = core_dc_next(host->core, dc->id.n)) {
		if (!server_find(host, dc->id))
			(void)!server_open_dc(host, dc->id, dc->name, dc->owner_uid);
	}
}

/* Primaries first: a backup comes back only where its primary is. */
static void ask_for_limbo(struct host *host, enum core_role role)
{
	LIST_FOREACH(at, &host->processes) {
		const struct process *process = CONTAINER_OF(at, struct process, of_host);

		LIST_FOREACH_SAFE(of_process, &process->bindings) {
			struct binding *binding =
				CONTAINER_OF(of_process, struct binding, of_process);

			if (binding->limbo && !binding->asked && binding->core->role == role) {
				binding->asked = true;
				rebind(host, binding);
			}
		}
	}
}

static void recheck_all(struct host *host)
{
	LIST_FOREACH(at, &host->processes) {
		const struct process *process = CONTAINER_OF(at, struct process, of_host);

		LIST_FOREACH(of_process, &process->bindings)
			channels_recheck(host,
					 CONTAINER_OF(of_process, struct binding, of_process));
	}
}

void adopt(struct host *host, struct core *core)
{
	struct former *former = malloc(sizeof(*former));

	if (!former) {
		order_die(host);
		return; /* for readers that do not know that it does not return */
	}
	list_init(&former->of_host);
	former->core = host->core;
	host->effects.n = 0;
	adopt_bindings(host, core);
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		if (host->carriers[node])
			adopt_stand_ins(host, core, node);
	}
	host->core = core;
	list_add_tail(&host->formers, &former->of_host);
	close_dcs(host, core);
	open_dcs(host);
	recheck_all(host);
	if (recover(host) != DVS_OK)
		order_die(host);
	nodes_carry(host);
	(void)!state_compact(host);
	log_info(&host->log, "took the state of the other nodes",
		 LOG_U64("epoch", host->position.epoch), LOG_U64("index", host->position.index),
		 LOG_U64("endpoints", core_n_endpoints(core)),
		 LOG_U64("to_ask_for", host->n_limbo));
	if (host->n_limbo == 0)
		formers_free(host);
	/* first: on a node that is down nothing is bound */
	cluster_say_up(host);
	ask_for_limbo(host, CORE_PRIMARY);
	ask_for_limbo(host, CORE_BACKUP);
	watch_touch_all(host);
	agent_look(host);
	host->renew_more = true;
}
