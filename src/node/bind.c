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

/* Bind for PROCESS. On success EFFECTS of the host have the binding, first. */
static dvs_err bind_in(struct host *host, struct link *link, struct process *process,
		       struct core_command *command)
{
	dvs_err err = number_is_allowed(host, link, command->ep, command->kind);

	if (err != DVS_OK)
		return err;
	if (!host->spare)
		host->spare = calloc(1, sizeof(*host->spare));
	if (!host->spare)
		return DVS_NOMEM;
	err = bitmap_take(&process->slots, IPC_SLOTS_MAX, &command->slot);
	if (err != DVS_OK)
		return err;
	command->op = CORE_BIND;
	command->dc = link->dc;
	command->process = process->id;
	command->area = process->area;
	/* A backup or a replica joins the privileges that are there. */
	command->privileges.n_call_to = 1;
	command->privileges.call_to[0].last = DVS_EP_NUMBER_MAX;
	err = host_command(host, command);
	if (err != DVS_OK)
		bitmap_clear(&process->slots, command->slot);
	return err;
}

void op_bind(struct host *host, struct request *request)
{
	struct link *link = request->link;
	struct core_command command = { 0 };
	struct control_bind_rep rep;
	struct control_bind_req req;
	const struct core_binding *core;
	struct frame frame;
	dvs_err err = control_bind_req_decode(&request->body, &req);

	if (err == DVS_OK && link->process->state != PROCESS_LINKED)
		err = DVS_BADSTATE;
	if (err == DVS_OK) {
		command.ep = req.want;
		command.kind = req.binding;
		command.privileges.may = link->manager ? DVS_MAY_ALL : 0;
		err = bind_in(host, link, link->process, &command);
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	core = host->effects.list[0].binding;
	binding_from_core(core)->tid = req.tid;
	rep = (struct control_bind_rep){ .ep = core->endpoint->ep.n,
					 .slot = core->slot,
					 .role = (uint8_t)core->role,
					 .may = core->endpoint->privileges.may };
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_bind_rep_encode(&frame.out, &rep);
	link_send(host, link, &frame);
}

/* The process behind PID as LINK sees pids: its first link in this DC, else its record that
 * waits for one, else NULL. With OUR_PID (which gets our pid of it, 0 if there is no such process)
 * processes without a link are looked for as well. */
struct process *process_by_caller(const struct host *host, const struct link *link, uint32_t pid,
				  uint32_t *our_pid)
{
	struct process *process;

	uint32_t found = proc_pid_from(host, link->pid_ns, pid, our_pid != NULL);

	if (our_pid)
		*our_pid = found;
	for (process = process_first(host, found); process; process = process_next(process)) {
		if (process->server && process->server->dc.n == link->dc.n)
			return process;
	}
	return NULL;
}

/* A process that has no link yet gets a record, which its hello will find. */
static dvs_err process_await(struct host *host, const struct link *link, uint32_t our_pid,
			     struct process **process)
{
	if (our_pid == 0 || proc_starttime(our_pid) == 0)
		return DVS_NOPROC;
	if (process_first(host, our_pid) && process_first(host, our_pid)->server)
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

void op_bind_for(struct host *host, struct request *request)
{
	struct link *link = request->link;
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
		err = bind_in(host, link, process, &command);
		if (err != DVS_OK && process->state == PROCESS_AWAITED && process->n_bindings == 0)
			process_forget(host, process);
	}
	if (err == DVS_OK) {
		struct control_bind_for_rep rep = {
			.ep = host->effects.list[0].ep.n,
		};
		struct frame frame;

		frame_begin(&frame, request->op, request->id, DVS_OK);
		control_bind_for_rep_encode(&frame.out, &rep);
		link_send(host, link, &frame);
		return;
	}
	request_answer(host, request, err);
}

/* Of this process: the binding alone. Of another: the endpoint, with its backups. */
void op_unbind(struct host *host, struct request *request)
{
	struct link *link = request->link;
	struct core_command command = { .dc = link->dc };
	struct control_unbind_req req;
	struct binding *mine = NULL;
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
	if (err == DVS_OK)
		err = host_command(host, &command);
	request_answer(host, request, err);
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
			   process->server->dc.n != link->dc.n))
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
