/* SPDX-License-Identifier: Apache-2.0 */
/* What is known: about the DVS, the DC, and each binding. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "node/api.h"
#include "node/ask.h"

/* What another node does not tell in this time is left out. */
#define INFO_ASK_MS 1000u

/* That are up. */
static uint32_t n_nodes(const struct host *host)
{
	uint32_t n = 0;

	for (uint32_t node = 0; node < CORE_NODES_MAX; node++) {
		const struct core_node *known = core_node_find(host->core, node);

		n += known && known->state == CORE_UP;
	}
	return n > 0 ? n : 1;
}

/* What is in hidden DCs is not counted. */
static void count_shown(const struct host *host, struct control_dvs_info_rep *rep)
{
	for (const struct core_dc *dc = core_dc_next(host->core, 0); dc;
	     dc = core_dc_next(host->core, dc->id.n)) {
		const struct server *server = server_find(host, dc->id);

		if (core_name_is_hidden(dc->name))
			continue;
		rep->dcs++;
		rep->endpoints += dc->n_endpoints;
		rep->channels += server ? server->n_channels : 0;
	}
}

void op_dvs_info(struct host *host, struct request *request)
{
	struct control_dvs_info_req req;
	struct control_dvs_info_rep rep = {
		.node = host->config.node,
		.nodes = n_nodes(host),
		.dvsd_pid = proc_pid_in(host, request->link->pid_ns, (uint32_t)getpid()),
		.started_ns = host->started_ns,
		.version = DVS_VERSION,
	};
	struct frame frame;

	if (control_dvs_info_req_decode(&request->body, &req) != DVS_OK) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	count_shown(host, &rep);
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_dvs_info_rep_encode(&frame.out, &rep);
	link_send(host, request->link, &frame);
}

void op_dc_info(struct host *host, struct request *request)
{
	const struct core_dc *dc = core_dc_find(host->core, request->link->dc);
	const struct server *server = server_find(host, request->link->dc);
	struct control_dc_info_req req;
	struct control_dc_info_rep rep;
	struct frame frame;

	if (control_dc_info_req_decode(&request->body, &req) != DVS_OK) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	rep = (struct control_dc_info_rep){ .dc = dc->id.n,
					    .endpoints = dc->n_endpoints,
					    .channels = server ? server->n_channels : 0,
					    .processes = server ? server->n_processes : 0,
					    .owner_uid = dc->owner_uid };
	memcpy(rep.name, dc->name, sizeof(rep.name));
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_dc_info_rep_encode(&frame.out, &rep);
	link_send(host, request->link, &frame);
}

uint32_t ranges_put(const struct dvk_privileges *from, struct control_range to[DVS_RANGES_MAX])
{
	for (uint32_t i = 0; i < from->n_call_to; i++) {
		to[i].first = from->call_to[i].first;
		to[i].last = from->call_to[i].last;
	}
	return from->n_call_to;
}

/* What the process reports about itself; it may report nonsense, but only about itself. */
static void put_stats(struct ipc_stats *stats, struct control_endpoint_info_rep *rep)
{
	rep->activity = atomic_load_explicit(&stats->activity, memory_order_relaxed);
	if (rep->activity > DVK_PARKED)
		rep->activity = DVK_RUNNING;
	rep->partner = atomic_load_explicit(&stats->partner, memory_order_relaxed);
	rep->messages_in = atomic_load_explicit(&stats->messages_in, memory_order_relaxed);
	rep->messages_out = atomic_load_explicit(&stats->messages_out, memory_order_relaxed);
	rep->bytes_in = atomic_load_explicit(&stats->bytes_in, memory_order_relaxed);
	rep->bytes_out = atomic_load_explicit(&stats->bytes_out, memory_order_relaxed);
	rep->notifies_in = atomic_load_explicit(&stats->notifies_in, memory_order_relaxed);
	rep->sleeps = atomic_load_explicit(&stats->sleeps, memory_order_relaxed);
}

/* What only the node of BINDING knows, for somebody in the pid namespace PID_NS. */
static void put_process(const struct host *host, uint64_t pid_ns, const struct binding *binding,
			struct control_endpoint_info_rep *rep)
{
	const struct process *process = binding ? binding->process : NULL;

	if (!process || process->state == PROCESS_DEAD)
		return;
	rep->channels = binding->n_channels;
	rep->pid = proc_pid_in(host, pid_ns, process->id.pid);
	rep->tid = rep->pid ? binding->tid : 0;
	proc_program(process->id.pid, rep->program, sizeof(rep->program));
	if (process->stats && atomic_load_explicit(&process->stats[binding->slot].ep,
						   memory_order_relaxed) == binding->ep.n)
		put_stats(&process->stats[binding->slot], rep);
}

static void info_reply(struct host *host, struct link *link, uint32_t id,
		       const struct control_endpoint_info_rep *rep)
{
	struct frame frame;

	frame_begin(&frame, CONTROL_ENDPOINT_INFO, id, DVS_OK);
	control_endpoint_info_rep_encode(&frame.out, rep);
	link_send(host, link, &frame);
}

/* The figures travel as the reply that they are part of. */
static bool on_info(struct host *host, struct ask *ask, uint32_t node, dvs_err err,
		    struct cursor *answer)
{
	struct control_endpoint_info_rep *rep = ask->more;
	struct control_endpoint_info_rep theirs;

	(void)node;
	if (!ask->link)
		return true;
	if (err == DVS_OK && control_endpoint_info_rep_decode(answer, &theirs) == DVS_OK) {
		rep->pid = theirs.pid;
		rep->tid = theirs.tid;
		rep->channels = theirs.channels;
		memcpy(rep->program, theirs.program, sizeof(rep->program));
		rep->activity = theirs.activity;
		rep->partner = theirs.partner;
		rep->messages_in = theirs.messages_in;
		rep->messages_out = theirs.messages_out;
		rep->bytes_in = theirs.bytes_in;
		rep->bytes_out = theirs.bytes_out;
		rep->notifies_in = theirs.notifies_in;
		rep->sleeps = theirs.sleeps;
	}
	info_reply(host, ask->link, ask->id, rep);
	return true;
}

static void info_ask(struct host *host, const struct request *request,
		     const struct core_binding *core, const struct control_endpoint_info_rep *rep)
{
	struct ask first = { .done = on_info,
			     .node = core->node,
			     .link = request->link,
			     .op = request->op,
			     .id = request->id };
	uint8_t bytes[32];
	struct writer out = writer_over(bytes, sizeof(bytes));
	struct control_endpoint_info_rep *kept = malloc(sizeof(*kept));

	if (!kept || !core->holder || !order_is_ready(host)) {
		free(kept);
		info_reply(host, request->link, request->id, rep);
		return;
	}
	*kept = *rep;
	first.more = kept;
	writer_u32(&out, core->endpoint->dc->id.n);
	writer_u32(&out, core->endpoint->ep.n);
	writer_u32(&out, core->holder->id.pid);
	writer_u64(&out, core->holder->id.starttime);
	writer_u64(&out, core->holder->id.serial);
	ask(host, &first, ASK_INFO, bytes, writer_len(&out), INFO_ASK_MS);
}

void asked_info(struct host *host, struct asker asker, struct cursor *in)
{
	const struct core_dc *dc = core_dc_find(host->core, (dvs_dcid){ cursor_u32(in) });
	struct control_endpoint_info_rep rep = { 0 };
	uint8_t bytes[ASK_BYTES_MAX];
	struct writer out = writer_over(bytes, sizeof(bytes));
	uint32_t ep = cursor_u32(in);
	struct core_process process = { .node = host->config.node };
	const struct core_endpoint *endpoint;
	const struct core_binding *core;

	process.pid = cursor_u32(in);
	process.starttime = cursor_u64(in);
	process.serial = cursor_u64(in);
	endpoint = dc ? core_endpoint_find(dc, ep) : NULL;
	core = endpoint ? core_binding_of(endpoint, &process) : NULL;
	if (!cursor_done(in) || !core) {
		ask_answer(host, asker, DVS_NODEST, NULL, 0);
		return;
	}
	put_process(host, host->pid_ns, binding_from_core(core), &rep);
	control_endpoint_info_rep_encode(&out, &rep);
	ask_answer(host, asker, writer_ok(&out) ? DVS_OK : DVS_TOOBIG, bytes, writer_len(&out));
}

static void info_answer(struct host *host, const struct request *request,
			const struct core_binding *core, uint64_t cursor_next)
{
	const struct core_endpoint *endpoint = core->endpoint;
	struct control_endpoint_info_rep rep = {
		.ep = endpoint->ep.n,
		.binding = (uint8_t)(core->kind == DVK_LOCAL && core->node != host->config.node ?
					     DVK_REMOTE :
					     core->kind),
		.role = (uint8_t)core->role,
		.node = core->node,
		.migrating = endpoint->migrating,
		.backups = endpoint->n_backups,
		.may = endpoint->privileges.may,
		.cursor_next = cursor_next,
	};

	rep.n_call_to = ranges_put(&endpoint->privileges, rep.call_to);
	if (core->node != host->config.node) {
		info_ask(host, request, core, &rep);
		return;
	}
	put_process(host, request->link->pid_ns, binding_from_core(core), &rep);
	info_reply(host, request->link, request->id, &rep);
}

/* A cursor is a number and how many bindings of its endpoint have been told. */
#define CURSOR_BITS 8
static_assert(CORE_BINDINGS_MAX < 1 << CURSOR_BITS, "a cursor counts the bindings");

static const struct core_binding *binding_after(const struct core_dc *dc, uint64_t cursor,
						uint64_t *cursor_next)
{
	uint64_t number = cursor >> CURSOR_BITS;
	uint64_t skip = cursor & ((1 << CURSOR_BITS) - 1);

	while (number <= DVS_EP_NUMBER_MAX) {
		const struct core_endpoint *endpoint = core_endpoint_from(dc, (uint32_t)number);
		uint64_t told = 0;

		if (!endpoint)
			break;
		if (dvs_ep_number(endpoint->ep) != number)
			skip = 0;
		number = dvs_ep_number(endpoint->ep);
		LIST_FOREACH(link, &endpoint->bindings) {
			if (told++ < skip)
				continue;
			*cursor_next = number << CURSOR_BITS | told;
			return CONTAINER_OF(link, struct core_binding, of_endpoint);
		}
		number++;
		skip = 0;
	}
	return NULL;
}

void op_endpoint_info(struct host *host, struct request *request)
{
	const struct core_dc *dc = core_dc_find(host->core, request->link->dc);
	const struct core_binding *core = NULL;
	const struct core_endpoint *endpoint;
	struct control_endpoint_info_req req;
	uint64_t cursor_next = 0;

	if (control_endpoint_info_req_decode(&request->body, &req) != DVS_OK || req.next > 1) {
		request_answer(host, request, DVS_PROTO);
		return;
	}
	if (req.next) {
		core = binding_after(dc, req.cursor, &cursor_next);
	} else if (req.cursor <= UINT32_MAX) {
		endpoint = core_endpoint_find(dc, (uint32_t)req.cursor);
		core = endpoint ? core_primary(endpoint, host->config.node) : NULL;
		/* a replica that this node has none of: any will do */
		if (endpoint && !core)
			core = CONTAINER_OF(endpoint->bindings.next, struct core_binding,
					    of_endpoint);
	}
	if (core)
		info_answer(host, request, core, cursor_next);
	else
		request_answer(host, request, DVS_NODEST);
}
