/* SPDX-License-Identifier: Apache-2.0 */
/* Ending another endpoint's wait. */
#include "node/api.h"
#include "node/ask.h"
#include "node/carrier.h"

#define WAKEUP_ASK_MS 5000u

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

/* The dvsd of its node does it. */
static void wakeup_there(struct host *host, const struct request *request,
			 const struct core_endpoint *endpoint, uint32_t node)
{
	const struct ask first = { .done = ask_pass_on,
				   .node = node,
				   .link = request->link,
				   .op = request->op,
				   .id = request->id };
	uint8_t bytes[8];
	struct writer out = writer_over(bytes, sizeof(bytes));

	writer_u32(&out, endpoint->dc->id.n);
	writer_u32(&out, endpoint->ep.n);
	ask(host, &first, ASK_WAKEUP, bytes, writer_len(&out), WAKEUP_ASK_MS);
}

static const struct core_binding *primary_of(const struct host *host,
					     const struct core_endpoint *endpoint)
{
	return endpoint ? core_primary(endpoint, host->config.node) : NULL;
}

void asked_wakeup(struct host *host, struct asker asker, struct cursor *in)
{
	const struct core_dc *dc = core_dc_find(host->core, (dvs_dcid){ cursor_u32(in) });
	uint32_t ep = cursor_u32(in);
	bool whole = cursor_done(in);
	const struct core_binding *core = dc ? primary_of(host, core_endpoint_find(dc, ep)) : NULL;

	if (whole && core && core->host && core->node == host->config.node) {
		binding_send_woken(host, core->host);
		ask_answer(host, asker, DVS_OK, NULL, 0);
	} else {
		ask_answer(host, asker, DVS_NODEST, NULL, 0);
	}
}

/* TIMEOUT: another node will answer. */
static dvs_err wakeup(struct host *host, const struct request *request,
		      const struct control_wakeup_req *req)
{
	const struct link *link = request->link;
	const struct core_dc *dc = core_dc_find(host->core, link->dc);
	const struct core_endpoint *endpoint = core_endpoint_find(dc, req->to);
	const struct binding *from = process_binding(link->process, req->ep);
	const struct core_binding *core;
	struct binding *to;

	if (!from && !link->manager)
		return DVS_NOTBOUND;
	if (!endpoint)
		return DVS_NODEST;
	core = primary_of(host, endpoint);
	to = binding_from_core(core);
	if (!(to && from && to->process == from->process) && !link->manager &&
	    !(from->core->endpoint->privileges.may & DVS_MAY_WAKE))
		return DVS_DENIED;
	if (core && core->node != host->config.node) {
		wakeup_there(host, request, endpoint, core->node);
		return DVS_TIMEOUT;
	}
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
		err = wakeup(host, request, &req);
	if (err != DVS_TIMEOUT)
		request_answer(host, request, err);
}
