/* SPDX-License-Identifier: Apache-2.0 */
/* Following the messages of an endpoint: a ring that the traced process writes and the asking
 * one reads. dvsd only makes it, and says when it is over. */
#include <limits.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "ipc/futex.h"
#include "node/api.h"

struct trace {
	struct list of_link;
	struct link *link;
	struct binding *binding;
	struct ipc_trace *ring;
};

static void set_tracing(const struct binding *binding, uint32_t on)
{
	if (binding->process && binding->process->stats)
		atomic_store(&binding->process->stats[binding->slot].tracing, on);
}

static void trace_free(struct trace *trace)
{
	list_remove(&trace->of_link);
	trace->link->n_traces--;
	trace->binding->trace = NULL;
	munmap(trace->ring, sizeof(*trace->ring));
	free(trace);
}

/* The endpoint is over, its process is another, or nobody follows any more. */
void trace_end(struct binding *binding)
{
	struct trace *trace = binding->trace;

	if (!trace)
		return;
	set_tracing(binding, 0);
	atomic_store(&trace->ring->ended, 1);
	atomic_fetch_add(&trace->ring->bell, 1);
	futex_wake(&trace->ring->bell, INT_MAX);
	trace_free(trace);
}

void traces_end(struct link *link)
{
	LIST_FOREACH_SAFE(at, &link->traces)
		trace_end(CONTAINER_OF(at, struct trace, of_link)->binding);
}

static struct trace *trace_create(struct link *link, struct binding *binding, int fd)
{
	struct trace *trace = calloc(1, sizeof(*trace));
	void *ring =
		mmap(NULL, sizeof(struct ipc_trace), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);

	if (!trace || ring == MAP_FAILED) {
		if (ring != MAP_FAILED)
			munmap(ring, sizeof(struct ipc_trace));
		free(trace);
		return NULL;
	}
	trace->link = link;
	trace->binding = binding;
	trace->ring = ring;
	binding->trace = trace;
	list_add_tail(&link->traces, &trace->of_link);
	link->n_traces++;
	return trace;
}

static dvs_err trace_start(struct host *host, const struct request *request,
			   struct binding *binding)
{
	struct control_trace_ring_req event = { .ep = binding->ep.n };
	int fd = memory_create("dvs-trace", sizeof(struct ipc_trace));
	struct shared_fd *memory = fd >= 0 ? shared_fd_create(fd) : NULL;
	struct frame frame;

	if (!memory)
		return DVS_FULL;
	if (!trace_create(request->link, binding, memory->fd)) {
		shared_fd_drop(memory);
		return DVS_NOMEM;
	}
	set_tracing(binding, 1);
	frame_begin(&frame, CONTROL_TRACE_RING, 0, DVS_OK);
	control_trace_ring_req_encode(&frame.out, &event);
	frame_attach(&frame, memory);
	process_send(host, binding->process, &frame, binding->slot);

	frame_begin(&frame, request->op, request->id, DVS_OK);
	frame_attach(&frame, memory);
	link_send(host, request->link, &frame);
	shared_fd_drop(memory);
	return DVS_OK;
}

void op_trace(struct host *host, struct request *request)
{
	const struct core_dc *dc = core_dc_find(host->core, request->link->dc);
	const struct core_endpoint *endpoint = NULL;
	const struct core_binding *core;
	struct binding *binding = NULL;
	struct control_trace_req req;
	dvs_err err = control_trace_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		endpoint = core_endpoint_find(dc, req.ep);
		core = endpoint ? core_primary(endpoint, host->config.node) : NULL;
		binding = binding_from_core(core);
		if (core && core->node != host->config.node)
			err = DVS_BADSTATE; /* messages are followed where they are received */
		else if (!binding || !process_is_ready(binding->process))
			err = DVS_NODEST;
	}
	if (err == DVS_OK && binding->trace && binding->trace->link != request->link)
		err = DVS_INUSE;
	if (err == DVS_OK) {
		trace_end(binding);
		err = request->link->n_traces < LINK_TRACES_MAX ? DVS_OK : DVS_FULL;
	}
	if (err == DVS_OK)
		err = trace_start(host, request, binding);
	if (err != DVS_OK)
		request_answer(host, request, err);
}
