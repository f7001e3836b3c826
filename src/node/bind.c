/* SPDX-License-Identifier: Apache-2.0 */
/* Binding and unbinding. */
#include <assert.h>
#include <stdlib.h>

#include "node/api.h"

/* Numbers of servers, and backups, need a right; numbers of other nodes' clients are theirs;
 * the rest is free for all. */
static dvs_err number_is_allowed(const struct host *host, const struct link *link, uint32_t want,
				 uint32_t kind)
{
	uint32_t number = dvs_ep_number((dvs_ep){ want });

	if (kind == DVK_BACKUP)
		return link_may(link, DVS_MAY_BIND) ? DVS_OK : DVS_DENIED;
	if (want == UINT32_MAX || core_is_client_number(host->config.node, number))
		return DVS_OK;
	if (core_is_any_client_number(number))
		return DVS_DENIED;
	if (number >= DVS_EP_SERVERS)
		return DVS_OK;
	return link_may(link, DVS_MAY_BIND) ? DVS_OK : DVS_DENIED;
}

/* Order a binding for PROCESS. On an error ORDER is not used; else its done has to take it from there: with bind_undo() when it
 * is told of an error. */
static dvs_err bind_in(struct host *host, struct link *link, struct process *process,
		       struct core_command *command, struct order *order)
{
	dvs_err err = number_is_allowed(host, link, command->ep, command->kind);

	if (err != DVS_OK)
		return err;
	order->spare = calloc(1, sizeof(*order->spare));
	if (!order->spare)
		return DVS_NOMEM;
	err = bitmap_take(&process->slots, IPC_SLOTS_MAX, &command->slot);
	if (err != DVS_OK) {
		free(order->spare);
		return err;
	}
	order->process = process->id;
	order->slot = command->slot;
	command->op = CORE_BIND;
	command->dc = link->dc;
	command->flags |= process_flags(host, process);
	command->process = process->id;
	command->area = process->area;
	/* A backup or a replica joins the privileges that are there. */
	command->privileges.n_call_to = 1;
	command->privileges.call_to[0].last = DVS_EP_NUMBER_MAX;
	order_command(host, command, order, false);
	return DVS_OK;
}

/* What was taken for a binding that was refused is given back. */
static void bind_undo(struct host *host, const struct order *order)
{
	struct process *process = order_process(host, order);

	if (!process)
		return;
	process_release_slot(process, order->slot);
	if (process->state == PROCESS_AWAITED && process->n_bindings == 0 && process->n_orders == 0)
		process_forget(host, process);
}

static void on_bind(struct host *host, struct order *order, dvs_err err)
{
	struct process *process = order_process(host, order);
	struct binding *binding = process ? process_in_slot(process, order->slot) : NULL;
	const struct core_binding *core;
	struct control_bind_rep rep;
	struct frame frame;

	if (err == DVS_OK && !binding)
		err = DVS_NOQUORUM; /* it was cut off with this node meanwhile */
	if (err != DVS_OK) {
		bind_undo(host, order);
		order_answer(host, order, err);
		return;
	}
	binding->tid = order->tid;
	if (!order->link)
		return;
	core = binding->core;
	rep = (struct control_bind_rep){ .ep = core->endpoint->ep.n,
					 .slot = core->slot,
					 .role = (uint8_t)core->role,
					 .may = core->endpoint->privileges.may };
	frame_begin(&frame, order->op, order->id, DVS_OK);
	control_bind_rep_encode(&frame.out, &rep);
	link_send(host, order->link, &frame);
}

void op_bind(struct host *host, struct request *request)
{
	struct link *link = request->link;
	struct core_command command = { 0 };
	struct order order = order_of(request, on_bind);
	struct control_bind_req req;
	dvs_err err = control_bind_req_decode(&request->body, &req);

	if (err == DVS_OK && link->process->state != PROCESS_LINKED)
		err = DVS_BADSTATE;
	if (err == DVS_OK) {
		command.ep = req.want;
		command.kind = req.binding;
		command.privileges.may = link->manager ? DVS_MAY_ALL : 0;
		order.tid = req.tid;
		err = bind_in(host, link, link->process, &command, &order);
	}
	if (err != DVS_OK)
		request_answer(host, request, err);
}

/* The process behind PID as LINK sees pids: its first link in this DC, else its record that
 * waits for one, else NULL. With OUR_PID (which gets our pid of it, 0 if there is no such process)
 * processes without a link are looked for as well. */
struct process *process_by_caller(const struct host *host, const struct link *link, uint32_t pid,
				  uint32_t *our_pid)
{
	struct process *process;

	uint32_t found = proc_pid_from(host, link->pid, link->pid_ns, pid, our_pid != NULL);

	if (our_pid)
		*our_pid = found;
	for (process = process_first(host, found); process; process = process_next(process)) {
		if (process->server && process->server->dc.n == link->dc.n &&
		    process->state != PROCESS_DEAD)
			return process;
	}
	return NULL;
}

/* Whether process PID has to do with any DC. */
static bool is_in_a_dc(const struct host *host, uint32_t pid)
{
	const struct process *process = process_first(host, pid);

	while (process && process->state == PROCESS_DEAD)
		process = process_next(process);
	return process && process->server;
}

/* A process that has no link yet gets a record, which its hello will find. */
static dvs_err process_await(struct host *host, const struct link *link, uint32_t our_pid,
			     struct process **process)
{
	if (our_pid == 0 || proc_starttime(our_pid) == 0)
		return DVS_NOPROC;
	if (is_in_a_dc(host, our_pid))
		return DVS_DENIED; /* it belongs to another DC */
	if (!*process) {
		dvs_err err =
			process_create(host, server_find(host, link->dc), our_pid, NULL, process);

		if (err != DVS_OK)
			return err;
		(*process)->state = PROCESS_AWAITED;
	}
	return DVS_OK;
}

static void on_bind_for(struct host *host, struct order *order, dvs_err err)
{
	const struct process *process = order_process(host, order);
	const struct binding *binding = process ? process_in_slot(process, order->slot) : NULL;
	struct control_bind_for_rep rep;
	struct frame frame;

	if (err == DVS_OK && !binding)
		err = DVS_NOQUORUM;
	if (err != DVS_OK) {
		bind_undo(host, order);
		order_answer(host, order, err);
	} else if (order->link) {
		rep.ep = binding->ep.n;
		frame_begin(&frame, order->op, order->id, DVS_OK);
		control_bind_for_rep_encode(&frame.out, &rep);
		link_send(host, order->link, &frame);
	}
}

void op_bind_for(struct host *host, struct request *request)
{
	struct link *link = request->link;
	struct order order = order_of(request, on_bind_for);
	struct core_command command = { .flags = CORE_F_GIVEN };
	struct control_bind_for_req req;
	struct process *process = NULL;
	uint32_t our_pid;
	dvs_err err = control_bind_for_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		process = process_by_caller(host, link, req.pid, &our_pid);
		if (!process)
			err = process_await(host, link, our_pid, &process);
	}
	if (err == DVS_OK) {
		command.ep = req.want;
		command.kind = req.binding;
		err = bind_in(host, link, process, &command, &order);
		if (err != DVS_OK && process->state == PROCESS_AWAITED &&
		    process->n_bindings == 0 && process->n_orders == 0)
			process_forget(host, process);
	}
	if (err != DVS_OK)
		request_answer(host, request, err);
}

/* Of this process: the binding alone. Of another: the endpoint, with its backups. */
void op_unbind(struct host *host, struct request *request)
{
	struct link *link = request->link;
	struct core_command command = { .dc = link->dc };
	struct control_unbind_req req;
	struct binding *mine = NULL;
	struct order order = order_of(request, order_answer);
	dvs_err err = control_unbind_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		mine = process_binding(link->process, req.ep);
		if (mine && req.slot != SLOT_NONE && req.slot != mine->slot)
			mine = NULL;
		command.ep = req.ep;
		if (mine) {
			/* dvk_unbind() knows; dvk_unbind_endpoint() may come from any thread. */
			mine->quiet = req.slot != SLOT_NONE;
			command.op = CORE_UNBIND;
			command.process = link->process->id;
		} else if (req.slot != SLOT_NONE) {
			err = DVS_NODEST; /* it was this process's, and is no more */
		} else if (!link_may(link, DVS_MAY_BIND)) {
			err = DVS_DENIED;
		} else {
			command.op = CORE_ENDPOINT_END;
		}
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
	} else if (mine && !order_is_ready(host)) {
		/* It is so, whenever the others hear of it. */
		binding_cut(host, mine);
		order_command(host, &command, NULL, true);
		request_answer(host, request, DVS_OK);
	} else {
		order_command(host, &command, &order, mine != NULL);
	}
}

void op_endpoint_of(struct host *host, struct request *request)
{
	struct link *link = request->link;
	struct control_endpoint_of_req req;
	struct control_endpoint_of_rep rep;
	struct process *process = NULL;
	struct frame frame;
	dvs_err err = control_endpoint_of_req_decode(&request->body, &req);

	if (err == DVS_OK)
		process = process_by_caller(host, link, req.pid, NULL);
	/* of the links of one process the first that has an endpoint speaks */
	while (process && (process->n_bindings == 0 || !process->server ||
			   process->server->dc.n != link->dc.n || process->state == PROCESS_DEAD))
		process = process_next(process);
	if (err == DVS_OK && !process)
		err = DVS_NOPROC;
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	rep.ep = CONTAINER_OF(process->bindings.next, struct binding, of_process)->ep.n;
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_endpoint_of_rep_encode(&frame.out, &rep);
	link_send(host, link, &frame);
}
