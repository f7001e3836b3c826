/* SPDX-License-Identifier: Apache-2.0 */
/* Privileges: asked and changed. Nobody can give what he does not have. */
#include "node/api.h"

void op_privileges_get(struct host *host, struct request *request)
{
	const struct core_dc *dc = core_dc_find(host->core, request->link->dc);
	const struct core_endpoint *endpoint = NULL;
	struct control_privileges_get_req req;
	struct control_privileges_get_rep rep;
	struct frame frame;
	dvs_err err = control_privileges_get_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		endpoint = core_endpoint_find(dc, req.ep);
		err = endpoint ? DVS_OK : DVS_NODEST;
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	rep.may = endpoint->privileges.may;
	rep.n_call_to = ranges_put(&endpoint->privileges, rep.call_to);
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_privileges_get_rep_encode(&frame.out, &rep);
	link_send(host, request->link, &frame);
}

static bool ranges_have(const struct dvk_privileges *privileges, struct dvk_range wanted)
{
	for (uint32_t i = 0; i < privileges->n_call_to; i++) {
		if (privileges->call_to[i].first <= wanted.first &&
		    privileges->call_to[i].last >= wanted.last)
			return true;
	}
	return false;
}

/* Whether one of the link's endpoints, or EP already, may call all of WANTED. */
static bool link_has_range(const struct link *link, const struct core_endpoint *endpoint,
			   struct dvk_range wanted)
{
	if (link->manager || ranges_have(&endpoint->privileges, wanted))
		return true;
	if (!link->process)
		return false;
	LIST_FOREACH(at, &link->process->bindings) {
		const struct binding *binding = CONTAINER_OF(at, struct binding, of_process);

		if (ranges_have(&binding->core->endpoint->privileges, wanted))
			return true;
	}
	return false;
}

static dvs_err ranges_get(const struct link *link, const struct core_endpoint *endpoint,
			  const struct control_privileges_set_req *req,
			  struct dvk_privileges *privileges)
{
	for (uint32_t i = 0; i < req->n_call_to; i++) {
		struct dvk_range range = { req->call_to[i].first, req->call_to[i].last };

		if (range.first > range.last || range.last > DVS_EP_NUMBER_MAX)
			return DVS_BADARG;
		if (!link_has_range(link, endpoint, range))
			return DVS_DENIED;
		privileges->call_to[i] = range;
	}
	privileges->n_call_to = req->n_call_to;
	return DVS_OK;
}

void op_privileges_set(struct host *host, struct request *request)
{
	const struct link *link = request->link;
	struct core_command command = { .op = CORE_PRIVILEGES_SET, .dc = link->dc };
	const struct core_endpoint *endpoint = NULL;
	struct control_privileges_set_req req;
	dvs_err err = control_privileges_set_req_decode(&request->body, &req);

	if (err == DVS_OK && (req.may & ~DVS_MAY_ALL) != 0)
		err = DVS_BADARG;
	if (err == DVS_OK) {
		endpoint = core_endpoint_find(core_dc_find(host->core, link->dc), req.ep);
		err = endpoint ? DVS_OK : DVS_NODEST;
	}
	if (err == DVS_OK && (req.may & ~(endpoint->privileges.may | link_all_may(link))) != 0)
		err = DVS_DENIED;
	if (err == DVS_OK)
		err = ranges_get(link, endpoint, &req, &command.privileges);
	if (err == DVS_OK) {
		command.ep = req.ep;
		command.privileges.may = req.may;
		order_request(host, request, &command);
		return;
	}
	request_answer(host, request, err);
}
