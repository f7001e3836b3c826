/* SPDX-License-Identifier: Apache-2.0 */
/* Records of a DC: set, read, removed. */
#include <string.h>

#include "node/containers.h"

static void on_set(struct host *host, struct order *order, dvs_err err)
{
	const struct core_dc *dc = core_dc_find(host->core, order->dc);
	const struct core_record *record = dc ? core_record_find(dc, order->name) : NULL;
	struct control_record_set_rep rep = { .version = record ? record->version : 0 };
	struct frame frame;

	if (err != DVS_OK) {
		order_answer(host, order, err);
	} else if (order->link) {
		frame_begin(&frame, order->op, order->id, DVS_OK);
		control_record_set_rep_encode(&frame.out, &rep);
		link_send(host, order->link, &frame);
	}
}

void op_record_set(struct host *host, struct request *request)
{
	struct core_command command = { .op = CORE_RECORD_SET };
	struct order order = order_of(request, on_set);
	struct control_record_set_req req;
	dvs_err err = control_record_set_req_decode(&request->body, &req);

	if (err == DVS_OK)
		err = dc_for_change(host, req.name, &command.dc);
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	memcpy(command.name, req.key, sizeof(command.name));
	memcpy(order.name, req.key, sizeof(order.name));
	order.dc = command.dc;
	command.count = req.expected;
	command.value = req.value;
	command.n_value = req.n_value;
	order_command(host, &command, &order, false);
}

void op_record_remove(struct host *host, struct request *request)
{
	struct core_command command = { .op = CORE_RECORD_REMOVE };
	struct control_record_remove_req req;
	dvs_err err = control_record_remove_req_decode(&request->body, &req);

	if (err == DVS_OK)
		err = dc_for_change(host, req.name, &command.dc);
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	memcpy(command.name, req.key, sizeof(command.name));
	order_request(host, request, &command);
}

/* What describes a file system tells programs of its DC whom to ask for files. */
static bool may_read(const struct link *link, const struct core_dc *dc,
		     const struct control_record_get_req *req)
{
	static const char public_prefix[] = "fs/";

	return link->admin || (dc && dc->id.n == link->dc.n && !req->next &&
			       strncmp(req->key, public_prefix, sizeof(public_prefix) - 1) == 0);
}

void op_record_get(struct host *host, struct request *request)
{
	const struct core_record *record = NULL;
	struct control_record_get_req req;
	struct control_record_get_rep rep;
	const struct core_dc *dc = NULL;
	struct frame frame;
	dvs_err err = control_record_get_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		dc = core_dc_by_name(host->core, req.name);
		err = !may_read(request->link, dc, &req) ? DVS_DENIED : dc ? DVS_OK : DVS_NODC;
	}
	if (err == DVS_OK) {
		record = req.next ? core_record_after(dc, req.key) : core_record_find(dc, req.key);
		err = record ? DVS_OK : DVS_NOTFOUND;
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	memcpy(rep.key, record->key, sizeof(rep.key));
	rep.version = record->version;
	rep.n_value = record->len;
	memcpy(rep.value, record->value, record->len);
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_record_get_rep_encode(&frame.out, &rep);
	link_send(host, request->link, &frame);
}
