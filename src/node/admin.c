/* SPDX-License-Identifier: Apache-2.0 */
/* DCs: made, removed, listed, entered. Only over the admin socket. */
#include <string.h>

#include "node/containers.h"

void dc_create(struct host *host, const char *name, uint32_t owner_uid, const struct order *first,
	       bool keep)
{
	struct core_command command = { .op = CORE_DC_CREATE, .owner_uid = owner_uid };

	memcpy(command.name, name, strlen(name) + 1);
	order_command(host, &command, first, keep);
}

/* All forget the DC again when the node that asked cannot have its socket. */
static void on_dc_create(struct host *host, struct order *order, dvs_err err)
{
	struct control_dc_create_rep rep;
	struct frame frame;

	if (err == DVS_OK && host->effects.n == 0)
		err = DVS_NOQUORUM; /* the others have it; which one it is the list of DCs tells */
	if (err == DVS_OK) {
		rep.dc = host->effects.list[0].dc.n;
		err = host->dc_error;
		if (err != DVS_OK)
			order_command(host,
				      &(struct core_command){ .op = CORE_DC_REMOVE,
							      .dc.n = rep.dc },
				      NULL, true);
	}
	if (err != DVS_OK) {
		order_answer(host, order, err);
	} else if (order->link) {
		frame_begin(&frame, order->op, order->id, DVS_OK);
		control_dc_create_rep_encode(&frame.out, &rep);
		link_send(host, order->link, &frame);
	}
}

void op_dc_create(struct host *host, struct request *request)
{
	struct control_dc_create_req req;
	struct order order = order_of(request, on_dc_create);

	if (control_dc_create_req_decode(&request->body, &req) != DVS_OK)
		request_answer(host, request, DVS_PROTO);
	else
		dc_create(host, req.name, req.owner_uid, &order, false);
}

void op_dc_remove(struct host *host, struct request *request)
{
	struct control_dc_remove_req req;
	dvs_dcid dc = { 0 };
	dvs_err err = control_dc_remove_req_decode(&request->body, &req);

	if (err == DVS_OK)
		err = dc_for_change(host, req.name, &dc);
	if (err == DVS_OK) {
		struct core_command command = { .op = CORE_DC_REMOVE,
						.dc = dc,
						.flags = req.force ? CORE_F_FORCE : 0 };

		order_request(host, request, &command);
		return;
	}
	request_answer(host, request, err);
}

void op_dc_next(struct host *host, struct request *request)
{
	struct control_dc_next_req req;
	struct control_dc_next_rep rep;
	const struct core_dc *dc = NULL;
	const struct server *server;
	struct frame frame;
	dvs_err err = control_dc_next_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		dc = core_dc_next(host->core, req.cursor);
		while (dc && core_name_is_hidden(dc->name))
			dc = core_dc_next(host->core, dc->id.n);
		err = dc ? DVS_OK : DVS_NODC;
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	server = server_find(host, dc->id);
	rep = (struct control_dc_next_rep){ .dc = dc->id.n,
					    .endpoints = dc->n_endpoints,
					    .channels = server ? server->n_channels : 0,
					    .processes = server ? server->n_processes : 0,
					    .owner_uid = dc->owner_uid };
	memcpy(rep.name, dc->name, sizeof(rep.name));
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_dc_next_rep_encode(&frame.out, &rep);
	link_send(host, request->link, &frame);
}

/* With endpoints in one DC an admin link stays in it. */
void op_enter(struct host *host, struct request *request)
{
	struct link *link = request->link;
	struct control_enter_req req;
	struct control_enter_rep rep;
	const struct core_dc *dc = NULL;
	struct frame frame;
	dvs_err err = control_enter_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		dc = core_dc_by_name(host->core, req.name);
		err = dc ? DVS_OK : DVS_NODC;
	}
	if (err == DVS_OK && link->process &&
	    link->process->n_bindings + link->process->n_orders > 0 && link->dc.n != dc->id.n)
		err = DVS_BADSTATE;
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	link->dc = dc->id;
	if (link->process)
		process_move_to(link->process, server_find(host, dc->id));
	rep.dc = dc->id.n;
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_enter_rep_encode(&frame.out, &rep);
	link_send(host, link, &frame);
}
