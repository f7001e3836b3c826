/* SPDX-License-Identifier: Apache-2.0 */
/* What the core decided becomes what processes are told. Bindings of other nodes have host data
 * only as stand-ins, for the sake of the partners that they have here. */
#include <assert.h>
#include <stdlib.h>

#include "node/api.h"
#include "node/carrier.h"
#include "node/cluster.h"
#include "node/containers.h"

struct binding *binding_create(struct host *host)
{
	struct binding *binding = host->spare;

	host->spare = NULL;
	if (!binding)
		binding = calloc(1, sizeof(*binding));
	if (!binding)
		return NULL;
	list_init(&binding->of_process);
	list_init(&binding->of_renewing);
	list_init(&binding->channels);
	binding->blocked_on = BLOCKED_NOT;
	return binding;
}

static void binding_leave_process(struct binding *binding)
{
	struct process *process = binding->process;

	if (!process)
		return;
	list_remove(&binding->of_process);
	process->n_bindings--;
	bitmap_clear(&process->slots, binding->slot);
	binding->process = NULL;
}

void binding_destroy(struct host *host, struct binding *binding)
{
	assert(list_is_empty(&binding->channels));
	watch_touch(host, watch_revoked(binding));
	binding_leave_process(binding);
	list_remove(&binding->of_renewing);
	copies_forget(host, binding);
	grants_free(binding);
	trace_end(binding);
	bitmap_free(&binding->indexes);
	free(binding);
}

/* SLOT is taken already. */
void binding_attach_process(struct binding *binding, struct process *process, uint32_t slot)
{
	binding->process = process;
	binding->slot = slot;
	binding->server = process->server;
	list_add_tail(&process->bindings, &binding->of_process);
	process->n_bindings++;
}

struct binding *binding_from_core(const struct core_binding *binding)
{
	return binding ? binding->host : NULL;
}

uint8_t binding_role(const struct binding *binding)
{
	return binding->fenced ? CORE_BACKUP : (uint8_t)binding->core->role;
}

void binding_announce(struct host *host, struct binding *binding)
{
	struct control_bound_req event = {
		.ep = binding->ep.n,
		.slot = binding->slot,
		.binding = (uint8_t)binding->core->kind,
		.role = binding_role(binding),
		.may = binding->core->endpoint->privileges.may,
	};
	struct frame frame;

	frame_begin(&frame, CONTROL_BOUND, 0, DVS_OK);
	control_bound_req_encode(&frame.out, &event);
	process_send(host, binding->process, &frame, binding->slot);
}

void process_send_unbound(struct host *host, struct process *process, dvs_ep ep, uint32_t slot)
{
	struct control_unbound_req event = { .ep = ep.n, .slot = slot };
	struct frame frame;

	frame_begin(&frame, CONTROL_UNBOUND, 0, DVS_OK);
	control_unbound_req_encode(&frame.out, &event);
	process_send(host, process, &frame, slot);
}

void binding_send_role(struct host *host, const struct binding *binding)
{
	struct control_role_req event = { .ep = binding->ep.n,
					  .slot = binding->slot,
					  .role = binding_role(binding) };
	struct frame frame;

	if (!binding->process)
		return; /* of a stand-in process_send() tells nobody */
	frame_begin(&frame, CONTROL_ROLE, 0, DVS_OK);
	control_role_req_encode(&frame.out, &event);
	process_send(host, binding->process, &frame, binding->slot);
}

void send_migrate(struct host *host, const struct binding *binding, uint8_t what, uint32_t number)
{
	struct control_migrate_req event = { .ep = binding->ep.n, .what = what, .number = number };
	struct frame frame;

	if (!binding->process)
		return;
	frame_begin(&frame, CONTROL_MIGRATE, 0, DVS_OK);
	control_migrate_req_encode(&frame.out, &event);
	process_send(host, binding->process, &frame, binding->slot);
}

/* op_bind and op_bind_for made the spare and took the slot. */
static void on_bound(struct host *host, const struct core_effect *effect)
{
	struct core_binding *core = effect->binding;
	struct process *process = process_find(host, &effect->process);
	struct binding *binding;

	if (!process)
		return;
	binding = host->n_limbo > 0 ? process_limbo(process, core->slot) : NULL;
	if (binding) {
		binding->core = core;
		core->host = binding;
		limbo_over(host, binding);
		binding_unfence(host, binding);
		return;
	}
	binding = binding_create(host);
	assert(binding);
	binding->core = core;
	core->host = binding;
	binding->ep = effect->ep;
	binding->rejoined = true;
	binding_attach_process(binding, process, core->slot);
	if (core->given && process->state == PROCESS_LINKED)
		binding_announce(host, binding);
}

/* The conversations of FROM (may be NULL) go on with HEIR. */
static void inherit(struct host *host, struct binding *from, struct core_binding *heir)
{
	struct binding *to = heir->host;

	if (to)
		binding_send_role(host, to);
	if (!from || list_is_empty(&from->channels))
		return;
	if (heir->node != host->config.node)
		to = stand_in_get(host, heir);
	if (to)
		channels_renew(host, from, to, 3);
}

/* A process of a node that went down did not die for itself. */
static dvs_err reason_of(const struct host *host, const struct core_effect *effect)
{
	return host->command && host->command->op == CORE_NODE_DOWN &&
			       effect->process.node == host->command->node ?
		       DVS_NODEDOWN :
		       DVS_PEERDEAD;
}

static void on_unbound(struct host *host, const struct core_effect *effect,
		       struct core_binding *heir)
{
	struct binding *binding = effect->host;

	if (binding && binding->process && !binding->quiet)
		process_send_unbound(host, binding->process, effect->ep, effect->slot);
	if (heir)
		inherit(host, binding, heir);
	if (!binding)
		return;
	if (binding_is_stand_in(binding)) {
		stand_in_end(host, binding, reason_of(host, effect));
		return;
	}
	channels_close(host, binding, DVS_PEERDEAD);
	binding_destroy(host, binding);
}

static void on_demoted(struct host *host, const struct core_effect *effect,
		       struct core_binding *heir)
{
	struct binding *binding = effect->host;

	if (binding)
		binding_send_role(host, binding);
	if (heir)
		inherit(host, binding, heir);
	if (binding)
		stand_in_idle(host, binding);
}

static void on_orphaned(struct host *host, const struct core_effect *effect)
{
	struct binding *binding = effect->host;

	if (!binding || binding_is_stand_in(binding))
		return;
	trace_end(binding);
	copies_forget(host, binding);
	grants_free(binding);
	binding_leave_process(binding);
	binding->blocked_on = BLOCKED_NOT;
}

/* A binding in the place of effect->host: of this node although that was a stand-in, or the other way round. */
static void on_moved_between_nodes(struct host *host, const struct core_effect *effect)
{
	struct core_binding *core = effect->binding;
	struct process *process = process_find(host, &core->holder->id);
	struct binding *from = effect->host;
	struct binding *to = NULL;

	core->host = NULL;
	if (core->node != host->config.node) {
		if (from && !list_is_empty(&from->channels))
			to = stand_in_get(host, core);
	} else if (process) {
		to = binding_create(host);
	}
	if (to && process) {
		to->core = core;
		to->ep = effect->ep;
		to->rejoined = true;
		core->host = to;
		binding_attach_process(to, process, core->slot);
		if (process->state == PROCESS_LINKED)
			binding_announce(host, to);
	}
	if (from && from->process)
		process_send_unbound(host, from->process, effect->ep, effect->slot);
	/* Of one that died before it parked nobody knows what it had received. */
	if (from && to)
		channels_renew(host, from, to, effect->parked ? 2 : 3);
	if (to && process && effect->parked)
		channels_owed(host, to);
	if (from) {
		channels_close(host, from, DVS_PEERDEAD);
		binding_destroy(host, from);
	}
}

static void on_moved(struct host *host, const struct core_effect *effect)
{
	struct binding *binding = effect->host;
	struct process *former = binding ? binding->process : NULL;
	struct process *process = process_find(host, &effect->binding->holder->id);

	if (!binding || binding_is_stand_in(binding) ||
	    effect->binding->node != host->config.node) {
		on_moved_between_nodes(host, effect);
		return;
	}
	if (!process)
		return;
	if (former)
		process_send_unbound(host, former, effect->ep, effect->slot);
	trace_end(binding);
	copies_forget(host, binding);
	grants_free(binding);
	binding_leave_process(binding);
	binding_attach_process(binding, process, effect->binding->slot);
	binding->tid = 0;
	if (process->state == PROCESS_LINKED)
		binding_announce(host, binding);
	binding->blocked_on = BLOCKED_NOT;
	/* Of one that died before it parked nobody knows what it had received. */
	channels_renew(host, binding, binding, effect->parked ? 2 : 3);
}

void binding_send_may(struct host *host, const struct binding *binding)
{
	struct control_may_req event = { .ep = binding->ep.n,
					 .may = binding->core->endpoint->privileges.may };
	struct frame frame;

	if (!binding->process)
		return;
	frame_begin(&frame, CONTROL_MAY, 0, DVS_OK);
	control_may_req_encode(&frame.out, &event);
	process_send(host, binding->process, &frame, binding->slot);
}

static void on_privileges(struct host *host, const struct core_effect *effect)
{
	const struct core_endpoint *endpoint =
		core_endpoint_find(core_dc_find(host->core, effect->dc), effect->ep.n);

	LIST_FOREACH(link, &endpoint->bindings) {
		const struct core_binding *core =
			CONTAINER_OF(link, struct core_binding, of_endpoint);
		struct binding *binding = core->host;
		if (!binding)
			continue;
		channels_recheck(host, binding);
		binding_send_may(host, binding);
	}
}

/* Who asked for the DC is told when its socket cannot be had. */
static void on_dc_created(struct host *host, dvs_dcid id)
{
	const struct core_dc *dc = core_dc_find(host->core, id);

	host->dc_error = server_open_dc(host, id, dc->name, dc->owner_uid);
	limits_dc_created(host, dc);
	if (host->dc_error == DVS_OK)
		log_info(&host->log, "DC created", LOG_STR("name", dc->name), LOG_U64("dc", id.n));
}

/* The PROMOTED that follows an UNBOUND or DEMOTED of the same endpoint names the heir. */
static struct core_binding *heir_of(const struct host *host, size_t at)
{
	const struct core_effect *effect = &host->effects.list[at];
	const struct core_effect *next = effect + 1;

	if (at + 1 == host->effects.n || next->kind != CORE_PROMOTED ||
	    next->ep.n != effect->ep.n || next->dc.n != effect->dc.n)
		return NULL;
	return next->binding;
}

/* Who waits for the endpoint, or for the node on which it was, looks again. */
static void touch(struct host *host, const struct core_effect *effect)
{
	const struct carrier *carrier = host->carriers[effect->process.node];

	if (effect->kind >= CORE_DC_CREATED && effect->kind <= CORE_DC_REFUSED)
		watch_touch(host, watch_dc(effect->dc));
	if (effect->kind == CORE_DC_CREATED)
		watch_touch(host, watch_dc((dvs_dcid){ 0 }));
	if (effect->ep.n != 0)
		watch_touch(host, watch_number(effect->dc, effect->ep.n));
	if (carrier && !carrier->up)
		watch_touch(host, watch_process(&carrier->process));
}

/* What of it is told to those who watch. */
static const char *news_of(enum core_effect_kind kind)
{
	static const char *const names[] = {
		[CORE_BOUND] = "bound",
		[CORE_UNBOUND] = "unbound",
		[CORE_ORPHANED] = "orphaned",
		[CORE_PROMOTED] = "promoted",
		[CORE_MOVED] = "migrated",
		[CORE_MIGRATING] = "migrating",
		[CORE_ROLLED_BACK] = "rolled-back",
		[CORE_DC_CREATED] = "dc.created",
		[CORE_DC_REMOVED] = "dc.removed",
	};

	return (size_t)kind < ARRAY_LEN(names) ? names[kind] : NULL;
}

static void tell_news(struct host *host, const struct core_effect *effect)
{
	const struct server *server = server_find(host, effect->dc);
	struct news news = { .what = news_of(effect->kind),
			     .node = effect->node,
			     .dc = effect->dc,
			     .ep = effect->ep.n };

	if (host->n_watchers == 0 || !news.what)
		return;
	if (effect->kind == CORE_MOVED)
		news.node = effect->binding->node;
	news.dc_name = server ? server->name : NULL;
	happened(host, &news);
}

static void apply_one(struct host *host, size_t at)
{
	const struct core_effect *effect = &host->effects.list[at];
	struct binding *binding = effect->host;
	struct core_binding *heir = heir_of(host, at);

	tell_news(host, effect);
	switch (effect->kind) {
	case CORE_BOUND:
		on_bound(host, effect);
		break;
	case CORE_UNBOUND:
		on_unbound(host, effect, heir);
		break;
	case CORE_ORPHANED:
		on_orphaned(host, effect);
		break;
	case CORE_DEMOTED:
		on_demoted(host, effect, heir);
		break;
	case CORE_PROMOTED: /* see heir_of() */
	case CORE_OVER:
		break;
	case CORE_MOVED:
		on_moved(host, effect);
		break;
	case CORE_MIGRATING:
		if (binding)
			send_migrate(host, binding, 1, binding->core->endpoint->migration);
		break;
	case CORE_ROLLED_BACK:
		if (binding)
			send_migrate(host, binding, 2, binding->core->endpoint->migration);
		host->renew_more = true;
		break;
	case CORE_PRIVILEGES_CHANGED:
		on_privileges(host, effect);
		break;
	case CORE_DC_CREATED:
		on_dc_created(host, effect->dc);
		break;
	case CORE_DC_REMOVED:
		log_info(&host->log, "DC removed", LOG_U64("dc", effect->dc.n));
		server_close_dc(host, effect->dc);
		break;
	case CORE_DC_CHANGED:
	case CORE_DC_UP:
	case CORE_DC_FAILED:
	case CORE_DC_REFUSED:
		containers_changed(host, effect);
		break;
	case CORE_NODE_IS_UP:
	case CORE_NODE_IS_AWAY:
	case CORE_NODE_IS_DOWN:
	case CORE_NODE_REMOVED:
	case CORE_NODE_DRAINS:
		node_changed(host, effect);
		break;
	}
	touch(host, effect);
}

void effects_apply(struct host *host)
{
	bool of_dcs = false;

	for (size_t i = 0; i < host->effects.n; i++) {
		enum core_effect_kind kind = host->effects.list[i].kind;

		of_dcs = of_dcs || (kind >= CORE_DC_CREATED && kind <= CORE_DC_REFUSED);
		apply_one(host, i);
	}
	if (of_dcs)
		host->agent.look = true;
}
