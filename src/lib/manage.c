/* SPDX-License-Identifier: Apache-2.0 */
/* Privileges, migration, promotion, information, DCs: questions to dvsd. */
#include <string.h>

#include <dvs/dvk.h>

#include "base/cleanup.h"
#include "lib/link.h"

LINK_CALL(privileges_get, CONTROL_PRIVILEGES_GET)
LINK_CALL(privileges_set, CONTROL_PRIVILEGES_SET)
LINK_CALL(migrate_start, CONTROL_MIGRATE_START)
LINK_CALL(migrate_commit, CONTROL_MIGRATE_COMMIT)
LINK_CALL(migrate_rollback, CONTROL_MIGRATE_ROLLBACK)
LINK_CALL(promote, CONTROL_PROMOTE)
LINK_CALL(dvs_info, CONTROL_DVS_INFO)
LINK_CALL(dc_info, CONTROL_DC_INFO)
LINK_CALL(endpoint_info, CONTROL_ENDPOINT_INFO)
LINK_CALL(dc_create, CONTROL_DC_CREATE)
LINK_CALL(dc_remove, CONTROL_DC_REMOVE)
LINK_CALL(dc_next, CONTROL_DC_NEXT)
LINK_CALL(enter, CONTROL_ENTER)
LINK_CALL(link_next, CONTROL_LINK_NEXT)

static_assert(DVS_NAME_MAX + 1 == sizeof(((struct control_dc_info_rep *)0)->name),
	      "one bound for names");
static_assert(DVS_RANGES_MAX == ARRAY_LEN(((struct control_privileges_get_rep *)0)->call_to),
	      "one bound");

static bool bad_link(const struct dvk *dvk)
{
	return !dvk || !*dvk->alive;
}

static bool bad_endpoint(const struct dvk *dvk, dvs_ep ep)
{
	return bad_link(dvk) || dvs_ep_number(ep) > DVS_EP_NUMBER_MAX;
}

static void copy_ranges(struct dvk_privileges *to, uint32_t may, const struct control_range *from,
			uint32_t n)
{
	to->may = may;
	to->n_call_to = n;
	for (uint32_t i = 0; i < n && i < DVS_RANGES_MAX; i++)
		to->call_to[i] = (struct dvk_range){ from[i].first, from[i].last };
}

dvs_err dvk_privileges_get(struct dvk *dvk, dvs_ep ep, struct dvk_privileges *privileges)
{
	struct control_privileges_get_req request = { .ep = ep.n };
	struct control_privileges_get_rep reply;
	dvs_err err;

	if (bad_endpoint(dvk, ep) || !privileges)
		return DVS_BADARG;
	err = call_privileges_get(dvk, 0, &request, &reply);
	if (err)
		return err;
	memset(privileges, 0, sizeof(*privileges));
	copy_ranges(privileges, reply.may, reply.call_to, reply.n_call_to);
	return DVS_OK;
}

dvs_err dvk_privileges_set(struct dvk *dvk, dvs_ep ep, const struct dvk_privileges *privileges)
{
	struct control_privileges_set_req request = { .ep = ep.n };
	struct control_privileges_set_rep none;

	if (bad_endpoint(dvk, ep) || !privileges || privileges->n_call_to > DVS_RANGES_MAX ||
	    (privileges->may & ~DVS_MAY_ALL))
		return DVS_BADARG;
	request.may = privileges->may;
	request.n_call_to = privileges->n_call_to;
	for (uint32_t i = 0; i < privileges->n_call_to; i++) {
		const struct dvk_range *range = &privileges->call_to[i];

		if (range->first > range->last || range->last > DVS_EP_NUMBER_MAX)
			return DVS_BADARG;
		request.call_to[i] = (struct control_range){ range->first, range->last };
	}
	return call_privileges_set(dvk, 0, &request, &none);
}

/* ---- migration and promotion ---- */

dvs_err dvk_migrate_start(struct dvk *dvk, dvs_ep ep)
{
	struct control_migrate_start_rep none;

	if (bad_endpoint(dvk, ep))
		return DVS_BADARG;
	return call_migrate_start(dvk, 0, &(struct control_migrate_start_req){ .ep = ep.n }, &none);
}

static dvs_err commit_on(struct dvk *dvk, dvs_ep ep, uint32_t node, pid_t pid, uint32_t timeout_ms)
{
	struct control_migrate_commit_req request = {
		.ep = ep.n, .pid = (uint32_t)pid, .timeout_ms = timeout_ms, .node = node
	};
	struct control_migrate_commit_rep none;

	if (bad_endpoint(dvk, ep) || pid <= 0)
		return DVS_BADARG;
	return call_migrate_commit(dvk, timeout_ms, &request, &none);
}

dvs_err dvk_migrate_commit(struct dvk *dvk, dvs_ep ep, pid_t pid, uint32_t timeout_ms)
{
	return commit_on(dvk, ep, UINT32_MAX, pid, timeout_ms);
}

dvs_err dvk_migrate_commit_on(struct dvk *dvk, dvs_ep ep, dvs_nodeid node, pid_t pid,
			      uint32_t timeout_ms)
{
	if (node.n >= DVS_NODES_MAX)
		return DVS_BADARG;
	return commit_on(dvk, ep, node.n, pid, timeout_ms);
}

dvs_err dvk_migrate_rollback(struct dvk *dvk, dvs_ep ep)
{
	struct control_migrate_rollback_rep none;

	if (bad_endpoint(dvk, ep))
		return DVS_BADARG;
	return call_migrate_rollback(dvk, 0, &(struct control_migrate_rollback_req){ .ep = ep.n },
				     &none);
}

dvs_err dvk_promote(struct dvk *dvk, dvs_ep ep, pid_t pid)
{
	struct control_promote_rep none;

	if (bad_endpoint(dvk, ep) || pid < 0)
		return DVS_BADARG;
	return call_promote(
		dvk, 0, &(struct control_promote_req){ .ep = ep.n, .pid = (uint32_t)pid }, &none);
}

/* ---- information ---- */

dvs_err dvk_dvs_info(struct dvk *dvk, struct dvk_dvs_info *info)
{
	struct control_dvs_info_rep reply;
	dvs_err err;

	if (bad_link(dvk) || !info)
		return DVS_BADARG;
	err = call_dvs_info(dvk, 0, &(struct control_dvs_info_req){ .empty = 0 }, &reply);
	if (err)
		return err;
	*info = (struct dvk_dvs_info){ .node = { reply.node },
				       .n_nodes = reply.nodes,
				       .n_dcs = reply.dcs,
				       .n_endpoints = reply.endpoints,
				       .n_channels = reply.channels,
				       .dvsd_pid = (pid_t)reply.dvsd_pid,
				       .started_ns = reply.started_ns };
	static_assert(sizeof(info->version) == sizeof(reply.version), "one bound for versions");
	memcpy(info->version, reply.version, sizeof(info->version));
	return DVS_OK;
}

dvs_err dvk_dc_info(struct dvk *dvk, struct dvk_dc_info *info)
{
	struct control_dc_info_rep reply;
	dvs_err err;

	if (bad_link(dvk) || !info)
		return DVS_BADARG;
	err = call_dc_info(dvk, 0, &(struct control_dc_info_req){ .empty = 0 }, &reply);
	if (err)
		return err;
	*info = (struct dvk_dc_info){ .id = { reply.dc },
				      .n_endpoints = reply.endpoints,
				      .n_channels = reply.channels,
				      .n_processes = reply.processes,
				      .owner_uid = reply.owner_uid };
	memcpy(info->name, reply.name, sizeof(info->name));
	return DVS_OK;
}

static dvs_err ask_endpoint(struct dvk *dvk, const struct control_endpoint_info_req *request,
			    struct dvk_endpoint_info *info, uint64_t *cursor_next)
{
	struct control_endpoint_info_rep reply;
	dvs_err err = call_endpoint_info(dvk, 0, request, &reply);

	if (err)
		return err;
	*info = (struct dvk_endpoint_info){ .ep = { reply.ep },
					    .kind = reply.role == 2 ? DVK_BACKUP :
								      (enum dvk_kind)reply.binding,
					    .node = { reply.node },
					    .pid = (pid_t)reply.pid,
					    .tid = (pid_t)reply.tid,
					    .migrating = reply.migrating,
					    .n_backups = reply.backups,
					    .n_channels = reply.channels,
					    .activity = (enum dvk_activity)reply.activity,
					    .partner = { reply.partner },
					    .messages_in = reply.messages_in,
					    .messages_out = reply.messages_out,
					    .bytes_in = reply.bytes_in,
					    .bytes_out = reply.bytes_out,
					    .notifies_in = reply.notifies_in,
					    .sleeps = reply.sleeps };
	static_assert(sizeof(info->program) == sizeof(reply.program), "one bound for programs");
	memcpy(info->program, reply.program, sizeof(info->program));
	copy_ranges(&info->privileges, reply.may, reply.call_to, reply.n_call_to);
	*cursor_next = reply.cursor_next;
	return DVS_OK;
}

dvs_err dvk_endpoint_info(struct dvk *dvk, dvs_ep ep, struct dvk_endpoint_info *info)
{
	struct control_endpoint_info_req request = { .cursor = ep.n, .next = 0 };
	uint64_t unused;

	if (bad_endpoint(dvk, ep) || !info)
		return DVS_BADARG;
	return ask_endpoint(dvk, &request, info, &unused);
}

dvs_err dvk_endpoint_next(struct dvk *dvk, uint64_t *cursor, struct dvk_endpoint_info *info)
{
	struct control_endpoint_info_req request = { .next = 1 };

	if (bad_link(dvk) || !cursor || !info)
		return DVS_BADARG;
	request.cursor = *cursor;
	return ask_endpoint(dvk, &request, info, cursor);
}

/* ---- DCs ---- */

/* The bytes behind the end of a name are zero: they go over the socket in no case, but into the state of the program. */
static bool copy_name(char to[DVS_NAME_MAX + 1], const char *name)
{
	size_t len = strnlen(name, DVS_NAME_MAX + 1);

	if (len > DVS_NAME_MAX)
		return false;
	memset(to, 0, DVS_NAME_MAX + 1);
	memcpy(to, name, len);
	return true;
}

dvs_err dvk_dc_create(struct dvk *admin, const char *name, uint32_t owner_uid, dvs_dcid *id)
{
	struct control_dc_create_req request = { .owner_uid = owner_uid };
	struct control_dc_create_rep reply;
	dvs_err err;

	if (bad_link(admin) || !name || !copy_name(request.name, name))
		return DVS_BADARG;
	err = call_dc_create(admin, 0, &request, &reply);
	if (!err && id)
		id->n = reply.dc;
	return err;
}

dvs_err dvk_dc_remove(struct dvk *admin, const char *name, int force)
{
	struct control_dc_remove_req request = { .force = force != 0 };
	struct control_dc_remove_rep none;

	if (bad_link(admin) || !name || !copy_name(request.name, name))
		return DVS_BADARG;
	return call_dc_remove(admin, 0, &request, &none);
}

dvs_err dvk_dc_next(struct dvk *admin, uint32_t *cursor, struct dvk_dc_info *info)
{
	struct control_dc_next_req request;
	struct control_dc_next_rep reply;
	dvs_err err;

	if (bad_link(admin) || !cursor || !info)
		return DVS_BADARG;
	request.cursor = *cursor;
	err = call_dc_next(admin, 0, &request, &reply);
	if (err)
		return err;
	*info = (struct dvk_dc_info){ .id = { reply.dc },
				      .n_endpoints = reply.endpoints,
				      .n_channels = reply.channels,
				      .n_processes = reply.processes,
				      .owner_uid = reply.owner_uid };
	memcpy(info->name, reply.name, sizeof(info->name));
	*cursor = reply.dc;
	return DVS_OK;
}

dvs_err dvk_link_next(struct dvk *admin, uint32_t *cursor, struct dvk_link_info *info)
{
	struct control_link_next_req request;
	struct control_link_next_rep reply;
	dvs_err err;

	if (bad_link(admin) || !cursor || !info)
		return DVS_BADARG;
	request.cursor = *cursor;
	err = call_link_next(admin, 0, &request, &reply);
	if (err)
		return err;
	*info = (struct dvk_link_info){ .node = { reply.node },
					.proxy_pid = (pid_t)reply.proxy_pid,
					.up = reply.up,
					.n_channels = reply.channels,
					.rtt_ns = reply.rtt_ns,
					.frames_in = reply.frames_in,
					.frames_out = reply.frames_out,
					.bytes_in = reply.bytes_in,
					.bytes_out = reply.bytes_out,
					.writes = reply.writes,
					.reconnects = reply.reconnects,
					.bad_frames = reply.bad_frames };
	memcpy(info->transport, reply.transport, sizeof(info->transport));
	memcpy(info->filters, reply.filters, sizeof(info->filters));
	memcpy(info->why, reply.text, sizeof(info->why));
	*cursor = reply.node + 1;
	return DVS_OK;
}

dvs_err dvk_admin_enter(struct dvk *admin, const char *name)
{
	struct control_enter_req request;
	struct control_enter_rep reply;
	dvs_err err;

	if (bad_link(admin) || !admin->admin || !name || !copy_name(request.name, name))
		return DVS_BADARG;
	err = call_enter(admin, 0, &request, &reply);
	if (err)
		return err;
	pthread_mutex_lock(&admin->lock);
	memcpy(admin->entered, request.name, sizeof(admin->entered));
	pthread_mutex_unlock(&admin->lock);
	return DVS_OK;
}
