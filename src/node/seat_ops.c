/* SPDX-License-Identifier: Apache-2.0 */
/* What processes ask about groups. */
#include <string.h>

#include "node/api.h"
#include "node/seat.h"

#define SEATS_OF_LINK_MAX 64u
/* Casts of one link that have no place in the order yet. */
#define LINK_CASTS_MAX 64u

static void submit(struct host *host, const struct entry *entry, const struct order *order)
{
	uint8_t bytes[ENTRY_HEAD_BYTES + ENTRY_DATA_MAX];
	struct writer out = writer_over(bytes, sizeof(bytes));

	writer_u8(&out, ORDER_GROUP);
	writer_u32(&out, entry->dc.n);
	writer_u64(&out, entry->group);
	writer_u64(&out, entry->member);
	writer_u8(&out, entry->what);
	writer_u64(&out, entry->to);
	writer_u64(&out, entry->view);
	writer_u16(&out, entry->n_data);
	writer_bytes(&out, entry->data, entry->n_data);
	order_bytes(host, &out, order, false);
}

/* It is a member by now, but what came meanwhile was not kept for it. */
static void undo_join(struct host *host, const struct order *order, uint64_t member)
{
	struct core_command command = { .op = CORE_GROUP_LEAVE, .dc = order->dc, .id = member };

	memcpy(command.name, order->name, sizeof(command.name));
	order_command(host, &command, NULL, true);
}

static const struct core_binding *own_binding(const struct host *host, const struct order *order)
{
	const struct core_dc *dc = core_dc_find(host->core, order->dc);
	const struct core_endpoint *endpoint = dc ? core_endpoint_find(dc, order->ep) : NULL;

	return endpoint ? core_binding_of(endpoint, &order->process) : NULL;
}

static void on_joined(struct host *host, struct order *order, dvs_err err)
{
	const struct core_dc *dc = core_dc_find(host->core, order->dc);
	const struct core_group *group = dc ? core_group_find(dc, order->name) : NULL;
	const struct core_binding *binding = own_binding(host, order);
	struct control_group_join_rep rep;
	const struct seat *seat = NULL;
	struct frame frame;

	if (err == DVS_OK && (!group || !binding))
		err = DVS_NODEST;
	if (err == DVS_OK && !host->refusing && order->link)
		seat = seat_new(host, order, group, binding->id);
	if (err == DVS_OK && !seat) {
		undo_join(host, order, binding->id);
		err = DVS_NOQUORUM;
	}
	if (!order->link)
		return;
	if (err != DVS_OK) {
		link_reply(host, order->link, order->op, order->id, err);
		return;
	}
	rep = (struct control_group_join_rep){ .seat = seat->number, .member = seat->member };
	frame_begin(&frame, order->op, order->id, DVS_OK);
	control_group_join_rep_encode(&frame.out, &rep);
	link_send(host, order->link, &frame);
}

static unsigned int n_seats(const struct link *link)
{
	unsigned int n = 0;

	LIST_FOREACH(at, &link->seats)
		n++;
	return n;
}

void op_group_join(struct host *host, struct request *request)
{
	const struct link *link = request->link;
	struct core_command command = { .op = CORE_GROUP_JOIN, .dc = link->dc };
	struct order order = order_of(request, on_joined);
	struct control_group_join_req req;
	dvs_err err = control_group_join_req_decode(&request->body, &req);

	if (err == DVS_OK && !core_name_ok(req.name))
		err = DVS_BADARG;
	if (err == DVS_OK && dvs_ep_number((dvs_ep){ req.ep }) >= DVS_EP_SERVERS)
		err = DVS_DENIED;
	if (err == DVS_OK && n_seats(link) >= SEATS_OF_LINK_MAX)
		err = DVS_FULL;
	if (err == DVS_OK) {
		order.dc = link->dc;
		order.ep = req.ep;
		order.process = link->process->id;
		memcpy(order.name, req.name, sizeof(order.name));
		if (!own_binding(host, &order))
			err = DVS_NODEST;
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	command.ep = req.ep;
	command.process = link->process->id;
	memcpy(command.name, req.name, sizeof(command.name));
	order_command(host, &command, &order, false);
}

/* The seat ends at once: whether the others know it already makes no difference to its process. */
void op_group_leave(struct host *host, struct request *request)
{
	struct control_group_leave_req req;
	struct seat *seat = NULL;
	dvs_err err = control_group_leave_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		seat = seat_find(request->link, req.seat);
		err = seat ? DVS_OK : DVS_NOTBOUND;
	}
	if (seat) {
		struct order order = order_of(request, order_answer);

		seat_leave(host, seat, &order);
		LIST_FOREACH_SAFE(at, &request->link->seats) {
			seat = CONTAINER_OF(at, struct seat, of_link);
			if (seat->number == req.seat)
				seat_free(seat);
		}
		return;
	}
	request_answer(host, request, err);
}

static void on_cast(struct host *host, struct order *order, dvs_err err)
{
	if (!order->link)
		return;
	order->link->n_casts--;
	link_reply(host, order->link, order->op, order->id, err);
}

static dvs_err seat_may_cast(const struct link *link, const struct seat *seat)
{
	if (!seat)
		return DVS_NOTBOUND;
	return list_is_empty(&seat->queue) && link->n_casts < LINK_CASTS_MAX ? DVS_OK : DVS_FULL;
}

void op_group_cast(struct host *host, struct request *request)
{
	struct control_group_cast_req req;
	const struct seat *seat = NULL;
	struct order order = order_of(request, on_cast);
	dvs_err err = control_group_cast_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		seat = seat_find(request->link, req.seat);
		err = seat_may_cast(request->link, seat);
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	request->link->n_casts++;
	submit(host,
	       &(struct entry){ .dc = seat->dc,
				.group = seat->id,
				.member = seat->member,
				.what = ENTRY_MESSAGE,
				.n_data = req.n_data,
				.data = req.data },
	       &order);
}

void op_group_give(struct host *host, struct request *request)
{
	struct control_group_give_req req;
	const struct seat *seat = NULL;
	struct order order = order_of(request, on_cast);
	dvs_err err = control_group_give_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		seat = seat_find(request->link, req.seat);
		err = !seat				       ? DVS_NOTBOUND :
		      request->link->n_casts >= LINK_CASTS_MAX ? DVS_FULL :
								 DVS_OK;
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	request->link->n_casts++;
	submit(host,
	       &(struct entry){ .dc = seat->dc,
				.group = seat->id,
				.member = seat->member,
				.what = req.last ? ENTRY_STATE_END : ENTRY_STATE,
				.to = req.to,
				.view = req.view,
				.n_data = req.n_data,
				.data = req.data },
	       &order);
}

void op_group_read(struct host *host, struct request *request)
{
	struct control_group_read_req req;
	struct seat *seat = NULL;
	dvs_err err = control_group_read_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		seat = seat_find(request->link, req.seat);
		err = seat ? DVS_OK : DVS_NOTBOUND;
	}
	if (seat) {
		seat->n_ahead -= req.count < seat->n_ahead ? req.count : seat->n_ahead;
		seat_send_more(host, seat);
	}
	request_answer(host, request, err);
}
