/* SPDX-License-Identifier: Apache-2.0 */
/* Migration on one node, and promotion. Between start and commit the endpoint's process parks
 * at its next receive and tells what it owes; the commit waits for that, then the channels are
 * made anew towards the new process, each with what is owed on it. */
#include "node/api.h"
#include "node/ask.h"

/* Time for another node to take an endpoint. */
#define COMMIT_ASK_MS 5000u

/* Ops that are one command about one endpoint. */
static void simple(struct host *host, struct request *request, enum core_op op)
{
	struct core_command command = { .op = op, .dc = request->link->dc };
	struct control_migrate_start_req req;

	if (control_migrate_start_req_decode(&request->body, &req) != DVS_OK) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	command.ep = req.ep;
	order_request(host, request, &command);
}

void op_migrate_start(struct host *host, struct request *request)
{
	simple(host, request, CORE_MIGRATE_START);
}

void op_migrate_rollback(struct host *host, struct request *request)
{
	simple(host, request, CORE_MIGRATE_ROLLBACK);
}

/* ---- the process has parked ---- */

static void on_parked(struct host *host, struct order *order, dvs_err err)
{
	struct process *process = order_process(host, order);
	struct binding *binding = process ? process_binding(process, order->ep) : NULL;

	if (binding && binding->n_parking > 0 && --binding->n_parking == 0)
		host->renew_more = true;
	order_answer(host, order, err);
}

/* One frame can be more than one command; what refuses one of them refuses the last. Until that is applied the endpoint
 * gets no channels: it would not tell of them any more. */
static dvs_err parked(struct host *host, const struct request *request,
		      const struct control_parked_req *req)
{
	const struct link *link = request->link;
	struct order order = order_of(request, on_parked);
	struct binding *binding = process_binding(link->process, req->ep);
	struct core_command command = {
		.op = CORE_PARKED, .dc = link->dc, .ep = req->ep, .migration = req->number
	};
	uint32_t done = 0;

	if (!binding || binding->slot != req->slot)
		return DVS_NODEST;
	if (binding->core->role != CORE_PRIMARY)
		return DVS_BADSTATE;
	binding->n_parking++;
	order.process = link->process->id;
	order.ep = binding->ep.n;
	do {
		command.n_taken = req->n_taken - done;
		if (command.n_taken > CORE_COMMAND_TAKEN)
			command.n_taken = CORE_COMMAND_TAKEN;
		for (uint32_t i = 0; i < command.n_taken; i++) {
			command.taken[i].peer = req->taken[done + i].peer;
			command.taken[i].number = req->taken[done + i].number;
			command.taken[i].stale = req->taken[done + i].stale;
			command.taken[i].note = req->taken[done + i].note;
		}
		done += command.n_taken;
		command.flags = req->more || done < req->n_taken ? CORE_F_MORE : 0;
		order_command(host, &command, done < req->n_taken ? NULL : &order, false);
	} while (done < req->n_taken);
	return DVS_OK;
}

void op_parked(struct host *host, struct request *request)
{
	struct control_parked_req req;
	dvs_err err = control_parked_req_decode(&request->body, &req);

	if (err == DVS_OK)
		err = parked(host, request, &req);
	if (err != DVS_OK)
		request_answer(host, request, err);
}

/* ---- commit ---- */

/* Asked for here, or by another node. */
static void on_commit(struct host *host, struct order *order, dvs_err err)
{
	struct process *process = order_process(host, order);

	if (err != DVS_OK && process)
		process_release_slot(process, order->slot);
	if (order->number != 0)
		ask_answer(host, (struct asker){ order->node, order->number }, err, NULL, 0);
	else
		order_answer(host, order, err);
}

/* For the migration that is seen here: another one may have begun when it is applied. */
static dvs_err commit(struct host *host, struct order *order, struct process *process,
		      const struct core_endpoint *endpoint)
{
	struct core_command command = { .op = CORE_MIGRATE_COMMIT,
					.dc = endpoint->dc->id,
					.ep = endpoint->ep.n,
					.process = process->id,
					.area = process->area,
					.flags = process_flags(host, process),
					.migration = endpoint->migration };
	dvs_err err = bitmap_take(&process->slots, IPC_SLOTS_MAX, &command.slot);

	if (err != DVS_OK)
		return err;
	order->done = on_commit;
	order->process = process->id;
	order->slot = command.slot;
	order_command(host, &command, order, false);
	return DVS_OK;
}

static dvs_err commit_here(struct host *host, const struct pending *pending,
			   const struct core_endpoint *endpoint)
{
	struct process *process = process_find(host, &pending->process);
	struct order order = { .link = pending->link, .op = pending->op, .id = pending->id };

	return process_is_ready(process) ? commit(host, &order, process, endpoint) : DVS_NOPROC;
}

/* ---- to a process of another node: its dvsd takes the slot and gives the command ---- */

static void commit_there(struct host *host, const struct pending *pending,
			 const struct core_endpoint *endpoint)
{
	const struct ask first = { .done = ask_pass_on,
				   .node = pending->what,
				   .link = pending->link,
				   .op = pending->op,
				   .id = pending->id };
	uint8_t bytes[16];
	struct writer out = writer_over(bytes, sizeof(bytes));

	writer_u32(&out, endpoint->dc->id.n);
	writer_u32(&out, endpoint->ep.n);
	writer_u32(&out, pending->process.pid);
	writer_u32(&out, endpoint->migration);
	ask(host, &first, ASK_COMMIT, bytes, writer_len(&out), COMMIT_ASK_MS);
}

/* A link of process PID, as dvsd sees it, that can take an endpoint of DC. */
static struct process *process_for(const struct host *host, dvs_dcid dc, uint32_t pid)
{
	struct process *process = process_first(host, pid);

	while (process &&
	       !(process_is_ready(process) && process->server && process->server->dc.n == dc.n))
		process = process_next(process);
	return process;
}

void asked_commit(struct host *host, struct asker asker, struct cursor *in)
{
	struct order order = { .node = asker.node, .number = asker.number };
	const struct core_dc *dc = core_dc_find(host->core, (dvs_dcid){ cursor_u32(in) });
	const struct core_endpoint *endpoint = NULL;
	struct process *process = NULL;
	uint32_t ep = cursor_u32(in);
	uint32_t pid = cursor_u32(in);
	uint32_t migration = cursor_u32(in);
	dvs_err err = cursor_done(in) ? DVS_OK : DVS_PROTO;

	if (err == DVS_OK)
		endpoint = dc ? core_endpoint_find(dc, ep) : NULL;
	if (err == DVS_OK && !endpoint)
		err = DVS_NODEST;
	if (err == DVS_OK && (!endpoint->migrating || endpoint->migration != migration))
		err = DVS_BADSTATE;
	if (err == DVS_OK) {
		process = process_for(host, dc->id, pid);
		err = process ? commit(host, &order, process, endpoint) : DVS_NOPROC;
	}
	if (err != DVS_OK)
		ask_answer(host, asker, err, NULL, 0);
}

static bool node_is_up(const struct host *host, uint32_t node)
{
	const struct core_node *known = core_node_find(host->core, node);

	return known && known->state == CORE_UP;
}

#define THIS_NODE UINT32_MAX

static bool commit_try(struct host *host, struct pending *pending)
{
	const struct core_dc *dc = core_dc_find(host->core, pending->link->dc);
	const struct core_endpoint *endpoint = dc ? core_endpoint_find(dc, pending->ep) : NULL;
	const struct core_binding *primary = NULL;
	dvs_err err = DVS_OK;

	if (!endpoint)
		err = DVS_NODEST;
	else if (!endpoint->migrating)
		err = DVS_BADSTATE;
	else if (pending->what == THIS_NODE &&
		 !process_is_ready(process_find(host, &pending->process)))
		err = DVS_NOPROC;
	else if (pending->what != THIS_NODE && !node_is_up(host, pending->what))
		err = DVS_NODEDOWN;
	else
		primary = core_primary(endpoint, host->config.node);
	if (primary && primary->holder && !endpoint->parked) {
		pending->watch = watch_number(pending->link->dc, pending->ep);
		return false;
	}
	if (err == DVS_OK && pending->what != THIS_NODE)
		commit_there(host, pending, endpoint);
	else if (err == DVS_OK)
		err = commit_here(host, pending, endpoint);
	if (err != DVS_OK)
		link_reply(host, pending->link, pending->op, pending->id, err);
	return true;
}

/* The first link of the process that can take the endpoint. */
static const struct process *ready_process(const struct host *host, const struct link *link,
					   uint32_t pid)
{
	const struct process *process = process_by_caller(host, link, pid, NULL);

	for (; process; process = process_next(process)) {
		if (process_is_ready(process) && process->server &&
		    process->server->dc.n == link->dc.n)
			return process;
	}
	return NULL;
}

void op_migrate_commit(struct host *host, struct request *request)
{
	struct control_migrate_commit_req req;
	struct pending pending = {
		.link = request->link, .op = request->op, .id = request->id, .try = commit_try
	};
	const struct process *process;

	if (control_migrate_commit_req_decode(&request->body, &req) != DVS_OK) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	pending.what = req.node == host->config.node ? THIS_NODE : req.node;
	process = ready_process(host, request->link, req.pid);
	/* an identity of zeroes is nobody's: the endpoint's own errors come first */
	if (pending.what != THIS_NODE)
		pending.process.pid = req.pid;
	else if (process)
		pending.process = process->id;
	pending.ep = req.ep;
	pending_start(host, &pending, req.timeout_ms);
}

/* ---- promotion ---- */

/* The link of process PID that is a backup of ENDPOINT. */
static const struct process *backup_process(const struct host *host, const struct link *link,
					    const struct core_endpoint *endpoint, uint32_t pid)
{
	const struct process *process = process_by_caller(host, link, pid, NULL);

	for (; process; process = process_next(process)) {
		const struct core_binding *core = core_binding_of(endpoint, &process->id);

		if (core && core->role == CORE_BACKUP)
			return process;
	}
	return NULL;
}

void op_promote(struct host *host, struct request *request)
{
	const struct link *link = request->link;
	struct core_command command = { .op = CORE_PROMOTE, .dc = link->dc };
	const struct core_endpoint *endpoint = NULL;
	struct control_promote_req req;
	dvs_err err = control_promote_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		command.ep = req.ep;
		endpoint = core_endpoint_find(core_dc_find(host->core, link->dc), req.ep);
		err = endpoint ? DVS_OK : DVS_NODEST;
	}
	if (err == DVS_OK && req.pid != 0) {
		const struct process *process = backup_process(host, link, endpoint, req.pid);

		if (process)
			command.process = process->id;
		else
			err = DVS_NOPROC;
	}
	if (err == DVS_OK)
		order_request(host, request, &command);
	else
		request_answer(host, request, err);
}
