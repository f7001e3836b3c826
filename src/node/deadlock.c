/* SPDX-License-Identifier: Apache-2.0 */
/* Deadlocks: an endpoint that has waited long says for whom; of others the statistics tell whether
 * they seem to wait. When that makes a cycle, all of it are asked whether they (still) wait; when all have
 * confirmed, the one that spoke by itself is told, which ends its call. */
#include "node/api.h"

/* For whom BINDING waits: as it has said, or as it seems; BLOCKED_NOT. */
static uint32_t waits_for(const struct binding *binding)
{
	const struct ipc_stats *stats;
	uint32_t activity;

	if (binding->blocked_on != BLOCKED_NOT)
		return binding->blocked_on;
	if (!binding->process || !binding->process->stats)
		return BLOCKED_NOT;
	stats = &binding->process->stats[binding->slot];
	activity = atomic_load_explicit(&stats->activity, memory_order_relaxed);
	if (activity != DVK_SENDING && activity != DVK_CALLING)
		return BLOCKED_NOT;
	return dvs_ep_number(
		dvs_ep_of(atomic_load_explicit(&stats->partner, memory_order_relaxed)));
}

static struct binding *next_of(const struct host *host, const struct binding *binding)
{
	const struct core_endpoint *endpoint;
	uint32_t on = waits_for(binding);

	if (on == BLOCKED_NOT)
		return NULL;
	endpoint = core_endpoint_find(binding->core->endpoint->dc, on);
	return endpoint ? binding_from_core(core_primary(endpoint, host->config.node)) : NULL;
}

/* The length of the cycle that BINDING is part of, 0: none. */
static unsigned int cycle_length(const struct host *host, const struct binding *binding)
{
	const struct binding *at = binding;

	for (unsigned int n = 1; n <= CYCLE_MAX; n++) {
		at = next_of(host, at);
		if (!at)
			return 0;
		if (at == binding)
			return n;
	}
	return 0;
}

static void probe_cycle(struct host *host, struct binding *first)
{
	struct binding *at = first;

	if (++host->last_probe == 0)
		host->last_probe = 1;
	do {
		struct control_probe_req event = { .ep = at->ep.n,
						   .wait = at->blocked_on == BLOCKED_NOT ?
								   0 :
								   at->blocked_wait,
						   .probe = host->last_probe };
		struct frame frame;

		at->probe = host->last_probe;
		at->confirmed = false;
		if (at->process) {
			frame_begin(&frame, CONTROL_PROBE, 0, DVS_OK);
			control_probe_req_encode(&frame.out, &event);
			process_send(host, at->process, &frame, at->slot);
		}
		at = next_of(host, at);
	} while (at && at != first);
}

/* The one of the cycle that declared its wait last, if all have confirmed the same probe. */
static struct binding *confirmed_cycle(const struct host *host, struct binding *first)
{
	struct binding *last = first;
	struct binding *at = first;

	do {
		if (!at->confirmed || at->probe != first->probe)
			return NULL;
		if (at->blocked_order > last->blocked_order)
			last = at;
		at = next_of(host, at);
	} while (at && at != first);
	return at ? last : NULL;
}

static void break_cycle(struct host *host, struct binding *victim)
{
	struct control_deadlock_req event = { .ep = victim->ep.n, .wait = victim->blocked_wait };
	struct frame frame;

	victim->blocked_on = BLOCKED_NOT;
	victim->probe = 0;
	if (!victim->process)
		return;
	frame_begin(&frame, CONTROL_DEADLOCK, 0, DVS_OK);
	control_deadlock_req_encode(&frame.out, &event);
	process_send(host, victim->process, &frame, victim->slot);
}

static void declare(struct host *host, struct binding *binding,
		    const struct control_blocked_req *req)
{
	bool same = binding->blocked_on == req->on && binding->blocked_wait == req->wait;

	if (same && req->probe != 0 && req->probe == binding->probe) {
		struct binding *victim;

		binding->confirmed = true;
		if (cycle_length(host, binding) == 0)
			return;
		victim = confirmed_cycle(host, binding);
		if (victim)
			break_cycle(host, victim);
		return;
	}
	if (same && binding->probe != 0)
		return; /* it is being asked already */
	binding->blocked_on = req->on;
	binding->blocked_wait = req->wait;
	binding->blocked_order = req->probe ? 0 : ++host->last_blocked;
	binding->probe = 0;
	if (cycle_length(host, binding) != 0)
		probe_cycle(host, binding);
}

void op_blocked(struct host *host, struct request *request)
{
	struct binding *binding = NULL;
	struct control_blocked_req req;
	dvs_err err = control_blocked_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		binding = process_binding(request->link->process, req.ep);
		err = binding && binding->core->role == CORE_PRIMARY ? DVS_OK : DVS_NODEST;
	}
	if (err == DVS_OK)
		declare(host, binding, &req);
	request_answer(host, request, err);
}
