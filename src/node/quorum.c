/* SPDX-License-Identifier: Apache-2.0 */
/* Outside the quorum. The other part of the DVS goes on without this node: it takes it for down and promotes the backups that it has. So a
 * primary here whose backup is over there must not go on: it is *fenced*, silent like a backup, until the nodes have met again and the
 * state says what it is. What only this node has goes on. */
#include "node/api.h"
#include "node/carrier.h"
#include "node/cluster.h"

/* Nodes that are there, as bits, also those whose dvsd is about to come back: what goes over the proxies goes on without it, and no node
 * that is not here can have taken them for down. */
static uint64_t nodes_seen(const struct host *host)
{
	return UINT64_C(1) << host->config.node |
	       (host->ordered ? ordered_reach(host->ordered) : 0);
}

static bool has_backup_outside(const struct core_endpoint *endpoint, uint64_t seen)
{
	LIST_FOREACH(at, &endpoint->bindings) {
		const struct core_binding *core =
			CONTAINER_OF(at, struct core_binding, of_endpoint);

		if (core->role == CORE_BACKUP && !(seen >> core->node & 1))
			return true;
	}
	return false;
}

void binding_fence(struct host *host, struct binding *binding)
{
	if (binding->limbo || binding->fenced || binding->core->role != CORE_PRIMARY ||
	    !host->outside || !has_backup_outside(binding->core->endpoint, nodes_seen(host)))
		return;
	log_warning(&host->log, "a primary is silent: its backup elsewhere may have taken over",
		    LOG_U64("ep", binding->ep.n));
	binding->fenced = true;
	binding_send_role(host, binding);
	channels_close(host, binding, DVS_NOQUORUM);
}

void binding_unfence(struct host *host, struct binding *binding)
{
	if (!binding->fenced)
		return;
	binding->fenced = false;
	binding_send_role(host, binding);
	watch_touch(host, watch_number(binding->core->endpoint->dc->id, binding->ep.n));
}

static void each_binding(struct host *host, void (*what)(struct host *, struct binding *))
{
	LIST_FOREACH(at, &host->processes) {
		const struct process *process = CONTAINER_OF(at, struct process, of_host);

		LIST_FOREACH(of_process, &process->bindings) {
			struct binding *binding =
				CONTAINER_OF(of_process, struct binding, of_process);

			if (!binding->limbo)
				what(host, binding);
		}
	}
}

/* Conversations with endpoints of nodes that are not to be seen end; with the others they go on. Those nodes may not have missed this one, so
 * their ends are told, as of an end of this side, when the link is there again. */
static void far_channels_end(struct host *host, uint64_t seen)
{
	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		if (!host->carriers[node] || (seen >> node & 1))
			continue;
		LIST_FOREACH(at, &host->carriers[node]->process.bindings) {
			struct binding *binding = CONTAINER_OF(at, struct binding, of_process);

			if (binding->core)
				channels_close(host, binding, DVS_NODEDOWN);
		}
	}
}

void quorum_lost(struct host *host)
{
	host->outside = true;
	timer_cancel(&host->timers, &host->outside_timer);
	log_warning(&host->log, "outside the quorum: nothing can be bound, moved or promoted here "
				"until the nodes meet again");
	happened(host, &(struct news){ .what = "quorum.lost", .node = host->config.node });
	processes_cut(host);
	each_binding(host, binding_fence);
	far_channels_end(host, nodes_seen(host));
	watch_touch_all(host);
}

void quorum_won(struct host *host)
{
	host->outside = false;
	timer_cancel(&host->timers, &host->outside_timer);
	log_info(&host->log, "in the quorum");
	happened(host, &(struct news){ .what = "quorum.won", .node = host->config.node });
	each_binding(host, binding_unfence);
	watch_touch_all(host);
}

static void on_alone(struct host *host, struct timer *timer)
{
	(void)timer;
	if (!order_is_ready(host))
		quorum_lost(host);
}

/* Who starts finds the others in a moment, if they are there. */
dvs_err quorum_await(struct host *host)
{
	return host_timer(host, &host->outside_timer, QUORUM_START_NS, on_alone);
}

dvs_err quorum_reaches(const struct host *host, const struct core_binding *core)
{
	const struct binding *binding = binding_from_core(core);

	if (!core || !host->outside)
		return DVS_OK;
	if (core->node != host->config.node)
		return nodes_seen(host) >> core->node & 1 ? DVS_OK : DVS_NOQUORUM;
	if (binding && binding->fenced)
		return DVS_NOQUORUM;
	if (binding && binding->process && binding->process->state == PROCESS_DEAD)
		return core->endpoint->n_backups > 0 ? DVS_NOQUORUM : DVS_NODEST;
	return DVS_OK;
}
