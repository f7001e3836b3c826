/* SPDX-License-Identifier: Apache-2.0 */
/* Waiting until an endpoint is bound, or no longer is. */
#include "node/api.h"

enum { WAIT_BOUND = 1, WAIT_UNBOUND = 2 };

static bool wait_try(struct host *host, struct pending *pending)
{
	const struct core_dc *dc = core_dc_find(host->core, pending->link->dc);
	const struct core_endpoint *endpoint = dc ? core_endpoint_find(dc, pending->ep) : NULL;
	struct control_wait_rep rep = { .ep = endpoint ? endpoint->ep.n : pending->ep };
	struct frame frame;

	if ((pending->what == WAIT_BOUND) != (endpoint != NULL)) {
		pending->watch = watch_number(pending->link->dc, pending->ep);
		return false;
	}
	frame_begin(&frame, pending->op, pending->id, DVS_OK);
	control_wait_rep_encode(&frame.out, &rep);
	link_send(host, pending->link, &frame);
	return true;
}

void op_wait(struct host *host, struct request *request)
{
	const struct core_dc *dc;
	struct control_wait_req req;
	struct pending pending = {
		.link = request->link, .op = request->op, .id = request->id, .try = wait_try
	};

	if (control_wait_req_decode(&request->body, &req) != DVS_OK ||
	    (req.what != WAIT_BOUND && req.what != WAIT_UNBOUND)) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	pending.ep = req.ep;
	pending.what = req.what;
	/* That somebody is there who is not yet known must not be missed. */
	dc = core_dc_find(host->core, request->link->dc);
	if (dc && !core_endpoint_find(dc, req.ep) && request_settle(host, request))
		return;
	pending_start(host, &pending, req.timeout_ms);
}
