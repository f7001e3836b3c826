/* SPDX-License-Identifier: Apache-2.0 */
/* Nodes without agents, in the place of src/client and of the calls on containers: what the commands do where no node can
 * have containers. */
#include "client/agent.h"

#include <dvs/container.h>

#include "fake_dvk.h"

dvs_err agents_open(const char *run_dir, struct agents **agents)
{
	(void)run_dir;
	*agents = NULL;
	return fake()->admin_err == DVS_OK ? DVS_NOAGENT : fake()->admin_err;
}

void agents_close(struct agents *agents)
{
	(void)agents;
}

const char *agents_text(const struct agents *agents)
{
	(void)agents;
	return "";
}

struct dvk *agents_admin(struct agents *agents)
{
	(void)agents;
	return NULL;
}

void *agents_body(struct agents *agents)
{
	return agents;
}

void *agents_reply(struct agents *agents)
{
	return agents;
}

dvs_err agents_call(struct agents *agents, dvs_nodeid node, uint32_t op, const void *body,
		    size_t len, size_t *reply_len, uint32_t timeout_ms)
{
	(void)agents;
	(void)node;
	(void)op;
	(void)body;
	(void)len;
	(void)timeout_ms;
	*reply_len = 0;
	return DVS_NOAGENT;
}

dvs_err dvk_agent_start(struct dvk *admin, dvs_nodeid node, uint32_t timeout_ms, dvs_ep *ep)
{
	(void)admin;
	(void)node;
	(void)timeout_ms;
	*ep = dvs_ep_of(0);
	return fake()->has_agents ? DVS_OK : DVS_NOAGENT;
}

dvs_err dvk_container_create(struct dvk *admin, const char *name, uint32_t owner_uid,
			     uint64_t nodes, const void *description, size_t len,
			     uint32_t timeout_ms, dvs_dcid *id, struct dvk_refusal *refusal)
{
	(void)admin;
	(void)name;
	(void)owner_uid;
	(void)nodes;
	(void)description;
	(void)len;
	(void)timeout_ms;
	id->n = 0;
	refusal->err = DVS_OK;
	return DVS_NOAGENT;
}

dvs_err dvk_container_remove(struct dvk *admin, const char *name, int force, uint32_t timeout_ms)
{
	(void)timeout_ms;
	return dvk_dc_remove(admin, name, force);
}

dvs_err dvk_container_nodes(struct dvk *admin, const char *name, uint64_t add, uint64_t remove_,
			    uint32_t timeout_ms, struct dvk_refusal *refusal)
{
	(void)admin;
	(void)name;
	(void)add;
	(void)remove_;
	(void)timeout_ms;
	refusal->err = DVS_OK;
	return DVS_BADSTATE;
}

dvs_err dvk_container_freeze(struct dvk *admin, const char *name, int on, uint32_t timeout_ms)
{
	(void)admin;
	(void)name;
	(void)on;
	(void)timeout_ms;
	return DVS_BADSTATE;
}

dvs_err dvk_container_next(struct dvk *admin, uint32_t *cursor, int hidden,
			   struct dvk_container_info *info)
{
	struct dvk_dc_info dc;
	dvs_err err = dvk_dc_next(admin, cursor, &dc);

	(void)hidden;
	if (err != DVS_OK)
		return err;
	*info = (struct dvk_container_info){ .dc = dc.id, .owner_uid = dc.owner_uid };
	for (size_t i = 0; i < sizeof(info->name); i++)
		info->name[i] = dc.name[i];
	return DVS_OK;
}

dvs_err dvk_container_why(struct dvk *admin, const char *name, dvs_nodeid node, char *text)
{
	(void)admin;
	(void)name;
	(void)node;
	text[0] = '\0';
	return DVS_OK;
}
