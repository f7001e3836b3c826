/* SPDX-License-Identifier: Apache-2.0 */
/* From a request to its handler. Whether the sender is allowed to ask is decided here and only
 * here, from the protocol's own table; what depends on the arguments is left to the handler. */
#include "node/containers.h"

enum needs { NEEDS_NOTHING, NEEDS_DC, NEEDS_PROCESS };

struct op {
	op_handler handler;
	enum needs needs;
};

#define OPS_END 96u

static const struct op ops[OPS_END] = {
	[CONTROL_HELLO] = { op_hello, NEEDS_NOTHING },
	[CONTROL_BIND] = { op_bind, NEEDS_PROCESS },
	[CONTROL_BIND_FOR] = { op_bind_for, NEEDS_DC },
	[CONTROL_UNBIND] = { op_unbind, NEEDS_DC },
	[CONTROL_WAIT] = { op_wait, NEEDS_DC },
	[CONTROL_ENDPOINT_OF] = { op_endpoint_of, NEEDS_DC },
	[CONTROL_CONNECT] = { op_connect, NEEDS_PROCESS },
	[CONTROL_PRIVILEGES_GET] = { op_privileges_get, NEEDS_DC },
	[CONTROL_PRIVILEGES_SET] = { op_privileges_set, NEEDS_DC },
	[CONTROL_MIGRATE_START] = { op_migrate_start, NEEDS_DC },
	[CONTROL_MIGRATE_COMMIT] = { op_migrate_commit, NEEDS_DC },
	[CONTROL_MIGRATE_ROLLBACK] = { op_migrate_rollback, NEEDS_DC },
	[CONTROL_PARKED] = { op_parked, NEEDS_PROCESS },
	[CONTROL_PROMOTE] = { op_promote, NEEDS_DC },
	[CONTROL_WAKEUP] = { op_wakeup, NEEDS_DC },
	[CONTROL_GRANT] = { op_grant, NEEDS_PROCESS },
	[CONTROL_REVOKE] = { op_revoke, NEEDS_PROCESS },
	[CONTROL_COPY] = { op_copy, NEEDS_PROCESS },
	[CONTROL_COPY_OPEN] = { op_copy_open, NEEDS_NOTHING },
	[CONTROL_COPY_CLOSE] = { op_copy_close, NEEDS_NOTHING },
	[CONTROL_COPY_DONE] = { op_copy_done, NEEDS_NOTHING },
	[CONTROL_BLOCKED] = { op_blocked, NEEDS_PROCESS },
	[CONTROL_DVS_INFO] = { op_dvs_info, NEEDS_NOTHING },
	[CONTROL_DC_INFO] = { op_dc_info, NEEDS_DC },
	[CONTROL_ENDPOINT_INFO] = { op_endpoint_info, NEEDS_DC },
	[CONTROL_TRACE] = { op_trace, NEEDS_DC },
	[CONTROL_REJOIN_ENDPOINT] = { op_rejoin_endpoint, NEEDS_PROCESS },
	[CONTROL_REJOIN_LINKS] = { op_rejoin_links, NEEDS_PROCESS },
	[CONTROL_GROUP_JOIN] = { op_group_join, NEEDS_PROCESS },
	[CONTROL_GROUP_LEAVE] = { op_group_leave, NEEDS_PROCESS },
	[CONTROL_GROUP_CAST] = { op_group_cast, NEEDS_PROCESS },
	[CONTROL_GROUP_GIVE] = { op_group_give, NEEDS_PROCESS },
	[CONTROL_GROUP_READ] = { op_group_read, NEEDS_PROCESS },
	[CONTROL_CARRY_CONNECT] = { op_carry_connect, NEEDS_NOTHING },
	[CONTROL_CARRY_READY] = { op_carry_ready, NEEDS_NOTHING },
	[CONTROL_CARRY_OVER] = { op_carry_over, NEEDS_NOTHING },
	[CONTROL_LINK_REPORT] = { op_link_report, NEEDS_NOTHING },
	[CONTROL_LINK_NEXT] = { op_link_next, NEEDS_NOTHING },
	[CONTROL_DC_CREATE] = { op_dc_create, NEEDS_NOTHING },
	[CONTROL_DC_REMOVE] = { op_dc_remove, NEEDS_NOTHING },
	[CONTROL_DC_NEXT] = { op_dc_next, NEEDS_NOTHING },
	[CONTROL_ENTER] = { op_enter, NEEDS_NOTHING },
	[CONTROL_NODE_NEXT] = { op_node_next, NEEDS_NOTHING },
	[CONTROL_NODE_DRAIN] = { op_node_drain, NEEDS_NOTHING },
	[CONTROL_NODE_REMOVE] = { op_node_remove, NEEDS_NOTHING },
	[CONTROL_VERIFY] = { op_verify, NEEDS_NOTHING },
	[CONTROL_WATCH] = { op_watch, NEEDS_NOTHING },
	[CONTROL_AGENT_START] = { op_agent_start, NEEDS_NOTHING },
	[CONTROL_CONTAINER_CREATE] = { op_container_create, NEEDS_NOTHING },
	[CONTROL_CONTAINER_REMOVE] = { op_container_remove, NEEDS_NOTHING },
	[CONTROL_CONTAINER_NODES] = { op_container_nodes, NEEDS_NOTHING },
	[CONTROL_CONTAINER_FREEZE] = { op_container_freeze, NEEDS_NOTHING },
	[CONTROL_CONTAINER_NEXT] = { op_container_next, NEEDS_NOTHING },
	[CONTROL_CONTAINER_WHY] = { op_container_why, NEEDS_NOTHING },
	[CONTROL_CONTAINER_REPORT] = { op_container_report, NEEDS_NOTHING },
	[CONTROL_RECORD_SET] = { op_record_set, NEEDS_NOTHING },
	[CONTROL_RECORD_GET] = { op_record_get, NEEDS_NOTHING },
	[CONTROL_RECORD_REMOVE] = { op_record_remove, NEEDS_NOTHING },
};

/* All that the endpoints of the link may, together. */
uint32_t link_all_may(const struct link *link)
{
	uint32_t may = 0;

	if (link->manager)
		return DVS_MAY_ALL;
	if (!link->process)
		return 0;
	LIST_FOREACH(at, &link->process->bindings) {
		const struct binding *binding = CONTAINER_OF(at, struct binding, of_process);

		may |= binding->core->endpoint->privileges.may;
		if (may == DVS_MAY_ALL)
			break;
	}
	return may;
}

bool link_may(const struct link *link, uint32_t may)
{
	return (link_all_may(link) & may) == may;
}

static bool link_is_allowed(const struct link *link, enum control_allow allow)
{
	switch (allow) {
	case CONTROL_ALLOW_NOBODY:
		return false;
	case CONTROL_ALLOW_ANY:
		return true;
	case CONTROL_ALLOW_BIND:
		return link_may(link, DVS_MAY_BIND);
	case CONTROL_ALLOW_GRANT:
		return link_may(link, DVS_MAY_GRANT);
	case CONTROL_ALLOW_MIGRATE:
		return link_may(link, DVS_MAY_MIGRATE);
	case CONTROL_ALLOW_MANAGER:
		return link->manager;
	case CONTROL_ALLOW_ADMIN:
		return link->admin;
	case CONTROL_ALLOW_PROXY:
		return link->carrier != NULL;
	}
	return false;
}

/* Errors that say that something is not there, of requests that look for what may be another node's. */
static bool may_be_early(uint32_t op, dvs_err err)
{
	static const bool looks[OPS_END] = {
		[CONTROL_PRIVILEGES_GET] = true,
		[CONTROL_PRIVILEGES_SET] = true,
		[CONTROL_PROMOTE] = true,
		[CONTROL_WAKEUP] = true,
		[CONTROL_COPY] = true,
		[CONTROL_COPY_OPEN] = true,
		[CONTROL_ENDPOINT_INFO] = true,
		[CONTROL_TRACE] = true,
		[CONTROL_DC_REMOVE] = true,
		[CONTROL_ENTER] = true,
		[CONTROL_AGENT_START] = true,
		[CONTROL_CONTAINER_REMOVE] = true,
		[CONTROL_CONTAINER_NODES] = true,
		[CONTROL_CONTAINER_FREEZE] = true,
		[CONTROL_CONTAINER_WHY] = true,
		[CONTROL_RECORD_SET] = true,
		[CONTROL_RECORD_GET] = true,
		[CONTROL_RECORD_REMOVE] = true,
	};

	return (err == DVS_NODEST || err == DVS_NODC || err == DVS_NOTFOUND) && op < OPS_END &&
	       looks[op];
}

void request_answer(struct host *host, const struct request *request, dvs_err err)
{
	if (may_be_early(request->op, err) && request_settle(host, request))
		return;
	if (err == DVS_PROTO && ++request->link->n_bad_frames >= LINK_BAD_FRAMES_MAX)
		link_doom(host, request->link, "it sends malformed frames");
	link_reply(host, request->link, request->op, request->id, err);
}

void dispatch(struct host *host, struct request *request)
{
	const struct link *link = request->link;
	const struct op *op = request->op < OPS_END ? &ops[request->op] : NULL;

	if (!op || !op->handler) {
		request_answer(host, request, DVS_PROTO);
	} else if (!link_is_allowed(link, control_op_allow(request->op))) {
		request_answer(host, request, DVS_DENIED);
	} else if (op->needs != NEEDS_NOTHING && !core_dc_find(host->core, link->dc)) {
		request_answer(host, request, DVS_NODC);
	} else if (op->needs != NEEDS_NOTHING && !link->greeted && !link->admin) {
		request_answer(host, request, DVS_PROTO);
	} else if (op->needs == NEEDS_PROCESS && !link->process) {
		request_answer(host, request, DVS_PROTO);
	} else {
		/* whoever asks for something else has told all */
		if (link->process && link->process->state == PROCESS_REJOINING &&
		    request->op != CONTROL_REJOIN_ENDPOINT && request->op != CONTROL_REJOIN_LINKS)
			process_rejoined(host, link->process);
		op->handler(host, request);
	}
}
