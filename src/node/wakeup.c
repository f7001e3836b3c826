/* SPDX-License-Identifier: Apache-2.0 */
/* Ending another endpoint's wait. */
#include "node/api.h"

void binding_send_woken(struct host *host, struct binding *binding)
{
	struct control_woken_req event = { .ep = binding->ep.n };
	struct frame frame;

	binding->woken = !process_is_ready(binding->process);
	if (binding->woken)
		return; /* it is told when it is there */
	frame_begin(&frame, CONTROL_WOKEN, 0, DVS_OK);
	control_woken_req_encode(&frame.out, &event);
	process_send(host, binding->process, &frame, binding->slot);
}

static dvs_err wakeup(struct host *host, const struct link *link,
		      const struct control_wakeup_req *req)
{
	const struct core_dc *dc = core_dc_find(host->core, link->dc);
	const struct core_endpoint *endpoint = core_endpoint_find(dc, req->to);
	const struct binding *from = process_binding(link->process, req->ep);
	struct binding *to;

	if (!from && !link->manager)
		return DVS_NOTBOUND;
	if (!endpoint)
		return DVS_NODEST;
	to = binding_from_core(core_primary(endpoint, host->config.node));
	if (!(to && from && to->process == from->process) && !link->manager &&
	    !(from->core->endpoint->privileges.may & DVS_MAY_WAKE))
		return DVS_DENIED;
	if (!to)
		return DVS_NODEST;
	binding_send_woken(host, to);
	return DVS_OK;
}

void op_wakeup(struct host *host, struct request *request)
{
	struct control_wakeup_req req;
	dvs_err err = control_wakeup_req_decode(&request->body, &req);

	if (err == DVS_OK)
		err = wakeup(host, request->link, &req);
	request_answer(host, request, err);
}
