/* SPDX-License-Identifier: Apache-2.0 */
/* dvs/container.h: DCs with containers, and their records. Questions to dvsd. */
#include <dvs/container.h>

#include <string.h>

#include "base/err.h"
#include "lib/link.h"

LINK_CALL(agent_start, CONTROL_AGENT_START)
LINK_CALL(container_create, CONTROL_CONTAINER_CREATE)
LINK_CALL(container_remove, CONTROL_CONTAINER_REMOVE)
LINK_CALL(container_nodes, CONTROL_CONTAINER_NODES)
LINK_CALL(container_freeze, CONTROL_CONTAINER_FREEZE)
LINK_CALL(container_next, CONTROL_CONTAINER_NEXT)
LINK_CALL(container_why, CONTROL_CONTAINER_WHY)
LINK_CALL(container_report, CONTROL_CONTAINER_REPORT)
LINK_CALL(record_set, CONTROL_RECORD_SET)
LINK_CALL(record_get, CONTROL_RECORD_GET)
LINK_CALL(record_remove, CONTROL_RECORD_REMOVE)

static_assert(DVK_VALUE_MAX == sizeof(((struct control_record_set_req *)0)->value) &&
		      DVK_VALUE_MAX == sizeof(((struct control_record_get_rep *)0)->value) &&
		      DVK_VALUE_MAX ==
			      sizeof(((struct control_container_create_req *)0)->description),
	      "one bound for values");
static_assert(DVK_TEXT_MAX + 1 == sizeof(((struct control_container_report_req *)0)->text),
	      "one bound for texts");
static_assert(DVS_NODES_MAX == ARRAY_LEN(((struct control_container_next_rep *)0)->nodes),
	      "one bound for nodes");

static bool bad_link(const struct dvk *dvk)
{
	return !dvk || !*dvk->alive;
}

static bool bad_timeout(uint32_t timeout_ms)
{
	return timeout_ms > DVS_TIMEOUT_MAX_MS && timeout_ms != DVS_FOREVER;
}

static bool take_name(char to[DVS_NAME_MAX + 1], const char *name)
{
	size_t len = name ? strnlen(name, DVS_NAME_MAX + 1) : DVS_NAME_MAX + 1;

	if (len > DVS_NAME_MAX)
		return false;
	memset(to, 0, DVS_NAME_MAX + 1);
	memcpy(to, name, len);
	return true;
}

static void put_refusal(struct dvk_refusal *refusal, uint32_t err, uint32_t node, const char *text)
{
	if (!refusal)
		return;
	refusal->err = dvs_err_from_number(err);
	refusal->node.n = node;
	memcpy(refusal->text, text, sizeof(refusal->text));
}

/* ---- what is asked of the nodes ---- */

dvs_err dvk_agent_start(struct dvk *admin, dvs_nodeid node, uint32_t timeout_ms, dvs_ep *ep)
{
	struct control_agent_start_req request = { .node = node.n, .timeout_ms = timeout_ms };
	struct control_agent_start_rep reply;
	dvs_err err;

	if (bad_link(admin) || node.n >= DVS_NODES_MAX || bad_timeout(timeout_ms))
		return DVS_BADARG;
	err = call_agent_start(admin, timeout_ms, &request, &reply);
	if (!err && ep)
		ep->n = reply.ep;
	return err;
}

dvs_err dvk_container_create(struct dvk *admin, const char *name, uint32_t owner_uid,
			     uint64_t nodes, const void *description, size_t len,
			     uint32_t timeout_ms, dvs_dcid *id, struct dvk_refusal *refusal)
{
	struct control_container_create_req request = { .owner_uid = owner_uid,
							.nodes = nodes,
							.timeout_ms = timeout_ms };
	struct control_container_create_rep reply;
	dvs_err err;

	if (bad_link(admin) || !take_name(request.name, name) || !description || len == 0 ||
	    nodes == 0 || bad_timeout(timeout_ms))
		return DVS_BADARG;
	if (len > DVK_VALUE_MAX)
		return DVS_TOOBIG;
	memcpy(request.description, description, len);
	request.n_description = (uint32_t)len;
	err = call_container_create(admin, timeout_ms, &request, &reply);
	if (err)
		return err;
	if (id)
		id->n = reply.dc;
	put_refusal(refusal, reply.err, reply.node, reply.text);
	return DVS_OK;
}

dvs_err dvk_container_remove(struct dvk *admin, const char *name, int force, uint32_t timeout_ms)
{
	struct control_container_remove_req request = { .force = force != 0,
							.timeout_ms = timeout_ms };
	struct control_container_remove_rep none;

	if (bad_link(admin) || !take_name(request.name, name) || bad_timeout(timeout_ms))
		return DVS_BADARG;
	return call_container_remove(admin, timeout_ms, &request, &none);
}

dvs_err dvk_container_nodes(struct dvk *admin, const char *name, uint64_t add, uint64_t remove,
			    uint32_t timeout_ms, struct dvk_refusal *refusal)
{
	struct control_container_nodes_req request = { .add = add,
						       .remove = remove,
						       .timeout_ms = timeout_ms };
	struct control_container_nodes_rep reply;
	dvs_err err;

	if (bad_link(admin) || !take_name(request.name, name) || bad_timeout(timeout_ms))
		return DVS_BADARG;
	err = call_container_nodes(admin, timeout_ms, &request, &reply);
	if (!err)
		put_refusal(refusal, reply.err, reply.node, reply.text);
	return err;
}

dvs_err dvk_container_freeze(struct dvk *admin, const char *name, int on, uint32_t timeout_ms)
{
	struct control_container_freeze_req request = { .on = on != 0, .timeout_ms = timeout_ms };
	struct control_container_freeze_rep none;

	if (bad_link(admin) || !take_name(request.name, name) || bad_timeout(timeout_ms))
		return DVS_BADARG;
	return call_container_freeze(admin, timeout_ms, &request, &none);
}

/* ---- looking ---- */

dvs_err dvk_container_next(struct dvk *admin, uint32_t *cursor, int hidden,
			   struct dvk_container_info *info)
{
	struct control_container_next_req request = { .hidden = hidden != 0 };
	struct control_container_next_rep reply;
	dvs_err err;

	if (bad_link(admin) || !cursor || !info)
		return DVS_BADARG;
	request.cursor = *cursor;
	err = call_container_next(admin, 0, &request, &reply);
	if (err)
		return err;
	*info = (struct dvk_container_info){ .dc = { reply.dc },
					     .owner_uid = reply.owner_uid,
					     .phase = (enum dvk_phase)reply.phase,
					     .frozen = reply.frozen,
					     .version = reply.version,
					     .change = reply.change,
					     .n_records = reply.records,
					     .n_nodes = reply.n_nodes };
	memcpy(info->name, reply.name, sizeof(info->name));
	for (uint32_t i = 0; i < reply.n_nodes; i++)
		info->nodes[i] = (struct dvk_container_node){
			.node = { reply.nodes[i].node },
			.state = (enum dvk_container_state)reply.nodes[i].state,
			.frozen = reply.nodes[i].frozen,
			.version = reply.nodes[i].version,
		};
	*cursor = reply.dc;
	return DVS_OK;
}

dvs_err dvk_container_why(struct dvk *admin, const char *name, dvs_nodeid node, char *text)
{
	struct control_container_why_req request = { .node = node.n };
	struct control_container_why_rep reply;
	dvs_err err;

	if (bad_link(admin) || !take_name(request.name, name) || !text || node.n >= DVS_NODES_MAX)
		return DVS_BADARG;
	err = call_container_why(admin, 0, &request, &reply);
	if (!err)
		memcpy(text, reply.text, sizeof(reply.text));
	return err;
}

/* No longer than it may be, and not in the middle of a character (UTF-8). */
static void take_text(char to[DVK_TEXT_MAX + 1], const char *text)
{
	size_t len = strlen(text);

	if (len > DVK_TEXT_MAX) {
		len = DVK_TEXT_MAX;
		while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
			len--;
	}
	memcpy(to, text, len);
	to[len] = '\0';
}

dvs_err dvk_container_report(struct dvk *admin, dvs_dcid dc, enum dvk_container_state state,
			     int frozen, uint64_t version, const char *text)
{
	struct control_container_report_req request = {
		.dc = dc.n, .state = (uint8_t)state, .frozen = frozen != 0, .version = version
	};
	struct control_container_report_rep none;

	if (bad_link(admin) || state < DVK_READY || state > DVK_GONE)
		return DVS_BADARG;
	take_text(request.text, text ? text : "");
	return call_container_report(admin, 0, &request, &none);
}

/* ---- records ---- */

dvs_err dvk_record_set(struct dvk *admin, const char *dc, const char *key, uint64_t expected,
		       const void *value, size_t len, uint64_t *version)
{
	struct control_record_set_req request = { .expected = expected };
	struct control_record_set_rep reply;
	dvs_err err;

	if (bad_link(admin) || !take_name(request.name, dc) || !take_name(request.key, key) ||
	    (!value && len > 0))
		return DVS_BADARG;
	if (len > DVK_VALUE_MAX)
		return DVS_TOOBIG;
	if (len > 0)
		memcpy(request.value, value, len);
	request.n_value = (uint32_t)len;
	err = call_record_set(admin, 0, &request, &reply);
	if (!err && version)
		*version = reply.version;
	return err;
}

static dvs_err get(struct dvk *admin, const char *dc, const char *key, bool next,
		   struct control_record_get_rep *reply)
{
	struct control_record_get_req request = { .next = next };

	if (bad_link(admin) || !take_name(request.name, dc) || !take_name(request.key, key))
		return DVS_BADARG;
	return call_record_get(admin, 0, &request, reply);
}

static void put_value(const struct control_record_get_rep *reply, void *value, size_t *len,
		      uint64_t *version)
{
	if (value)
		memcpy(value, reply->value, reply->n_value);
	if (len)
		*len = reply->n_value;
	if (version)
		*version = reply->version;
}

dvs_err dvk_record_get(struct dvk *admin, const char *dc, const char *key, void *value, size_t *len,
		       uint64_t *version)
{
	struct control_record_get_rep reply;
	dvs_err err = get(admin, dc, key, false, &reply);

	if (!err)
		put_value(&reply, value, len, version);
	return err;
}

dvs_err dvk_record_next(struct dvk *admin, const char *dc, char *key, void *value, size_t *len,
			uint64_t *version)
{
	struct control_record_get_rep reply;
	dvs_err err = get(admin, dc, key, true, &reply);

	if (err)
		return err;
	memcpy(key, reply.key, sizeof(reply.key));
	put_value(&reply, value, len, version);
	return DVS_OK;
}

dvs_err dvk_record_remove(struct dvk *admin, const char *dc, const char *key)
{
	struct control_record_remove_req request;
	struct control_record_remove_rep none;

	if (bad_link(admin) || !take_name(request.name, dc) || !take_name(request.key, key))
		return DVS_BADARG;
	return call_record_remove(admin, 0, &request, &none);
}
