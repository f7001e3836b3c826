/* SPDX-License-Identifier: Apache-2.0 */
/* Copies with grants on other nodes. The proxy of that node does them: for the side that asks, dvsd gives it the memory of the
 * local process; for the side that has the grant, dvsd allows one piece after the other, each with the memory and as long as
 * it takes. What a proxy was given is its own business until it says that it is done, or is dead. */
#include <fcntl.h>
#include <stdlib.h>

#include "base/cleanup.h"
#include "node/copy.h"

/* Pieces that the proxy of one peer may have open. */
#define FOREIGN_OF_CARRIER_MAX 64u

/* A piece that another node copies from or to a grant of ours. */
struct foreign {
	struct list of_host;
	const struct carrier *carrier;
	uint64_t number;
	struct copy_use use;
};

static struct foreign *foreign_at(struct list *at)
{
	return CONTAINER_OF(at, struct foreign, of_host);
}

static struct copy *copy_at(struct list *at)
{
	return CONTAINER_OF(at, struct copy, of_host);
}

static void foreign_end(struct host *host, struct foreign *foreign)
{
	const struct binding *binding = foreign->use.binding;

	list_remove(&foreign->of_host);
	free(foreign);
	if (binding)
		watch_touch(host, watch_revoked(binding));
}

/* ---- copies that begin here ---- */

dvs_err far_copy_find(struct host *host, const struct core_binding *owner, struct copy *copy,
		      const struct copy_side *side)
{
	struct carrier *carrier = carrier_get(host, owner->node);

	if (!carrier || !carrier->up)
		return DVS_NODEDOWN;
	copy->carrier = carrier;
	copy->near = side;
	return DVS_OK;
}

/* To the proxy; one that is not there is told when it comes. */
static void tell(struct host *host, struct copy *copy)
{
	bool write = copy->far.right == M3_GRANT_WRITE;
	struct control_copy_start_req event = { .copy = copy->number,
						.dc = copy->dc.n,
						.by = copy->by.n,
						.owner = copy->far.ep,
						.grant = copy->far.grant,
						.offset = copy->far.offset,
						.bytes = copy->job.bytes,
						.write = write,
						.addr = copy->near->addr };
	struct shared_fd *memory;
	struct frame frame;
	int fd = -1;
	dvs_err err;

	if (!process_is_ready(&copy->carrier->process))
		return;
	err = copy_memory_open(copy->near, write ? O_RDONLY : O_RDWR, &fd);
	memory = err == DVS_OK ? shared_fd_create(fd) : NULL;
	if (!memory) {
		if (err != DVS_OK)
			cleanup_close(&fd);
		copy_done(host, copy, err != DVS_OK ? err : DVS_NOMEM);
		return;
	}
	frame_begin(&frame, CONTROL_COPY_START, 0, DVS_OK);
	control_copy_start_req_encode(&frame.out, &event);
	frame_attach(&frame, memory);
	carrier_send(host, copy->carrier, &frame);
	shared_fd_drop(memory);
}

void far_copy_start(struct host *host, struct copy *copy)
{
	copy->number = ++host->last_copy;
	tell(host, copy);
}

void far_copy_stop(struct host *host, struct copy *copy)
{
	struct control_copy_stop_req event = { .copy = copy->number };
	struct frame frame;

	if (!process_is_ready(&copy->carrier->process)) {
		copy_done(host, copy, DVS_PEERDEAD); /* there is nobody who does it */
		return;
	}
	frame_begin(&frame, CONTROL_COPY_STOP, 0, DVS_OK);
	control_copy_stop_req_encode(&frame.out, &event);
	carrier_send(host, copy->carrier, &frame);
}

void op_copy_done(struct host *host, struct request *request)
{
	struct control_copy_done_req req;
	dvs_err err = control_copy_done_req_decode(&request->body, &req);

	request_answer(host, request, err);
	if (err != DVS_OK)
		return;
	LIST_FOREACH(at, &host->copying) {
		struct copy *copy = copy_at(at);

		if (copy->carrier != request->link->carrier || copy->number != req.copy)
			continue;
		copy_done(host, copy, req.reason <= INT16_MAX ? (dvs_err)req.reason : DVS_PROTO);
		return;
	}
}

void copies_tell(struct host *host, const struct carrier *carrier)
{
	LIST_FOREACH_SAFE(at, &host->copying) {
		if (copy_at(at)->carrier == carrier)
			tell(host, copy_at(at));
	}
}

void copies_unlinked(struct host *host, const struct carrier *carrier)
{
	LIST_FOREACH_SAFE(at, &host->copying) {
		if (copy_at(at)->carrier == carrier && copy_at(at)->stopped != DVS_OK)
			copy_done(host, copy_at(at), DVS_PEERDEAD);
	}
	LIST_FOREACH_SAFE(at, &host->foreign) {
		if (foreign_at(at)->carrier == carrier)
			foreign_end(host, foreign_at(at));
	}
}

void copies_node_down(struct host *host, const struct carrier *carrier)
{
	LIST_FOREACH_SAFE(at, &host->copying) {
		if (copy_at(at)->carrier == carrier)
			copy_done(host, copy_at(at), DVS_NODEDOWN);
	}
}

/* ---- pieces that other nodes copy ---- */

bool foreign_uses(const struct host *host, const struct binding *binding, uint32_t grant)
{
	LIST_FOREACH(at, &host->foreign) {
		const struct copy_use *use = &foreign_at(at)->use;

		if (use->binding == binding && (grant == 0 || use->grant == grant))
			return true;
	}
	return false;
}

void foreign_forget(struct host *host, const struct binding *binding)
{
	LIST_FOREACH(at, &host->foreign) {
		if (foreign_at(at)->use.binding == binding)
			foreign_at(at)->use.binding = NULL;
	}
}

void foreign_free(struct host *host)
{
	struct list *at;

	while ((at = list_take_head(&host->foreign)) != NULL)
		free(foreign_at(at));
}

static dvs_err foreign_check(const struct host *host, const struct control_copy_open_req *req,
			     struct copy_side *side, const struct binding **owner)
{
	const struct span span = { .ep = req->owner,
				   .grant = req->grant,
				   .offset = req->offset,
				   .right = req->write ? M3_GRANT_WRITE : M3_GRANT_READ };
	const struct core_dc *dc = core_dc_find(host->core, (dvs_dcid){ req->dc });
	const struct core_endpoint *by = dc ? core_endpoint_find(dc, req->by) : NULL;
	const struct core_endpoint *endpoint = dc ? core_endpoint_find(dc, req->owner) : NULL;

	if (!dc)
		return DVS_NODC;
	if (!by)
		return DVS_DENIED;
	*owner = endpoint ? binding_from_core(core_primary(endpoint, host->config.node)) : NULL;
	if (!*owner || binding_is_stand_in(*owner))
		return DVS_NODEST;
	return span_allowed(*owner, by->ep, &span, req->bytes, side);
}

static dvs_err foreign_open(struct host *host, const struct request *request,
			    const struct control_copy_open_req *req,
			    struct control_copy_open_rep *rep, struct shared_fd **memory)
{
	const struct carrier *carrier = request->link->carrier;
	const struct binding *owner = NULL;
	struct foreign *foreign;
	struct copy_side side;
	unsigned int n = 0;
	int fd = -1;
	dvs_err err = foreign_check(host, req, &side, &owner);

	LIST_FOREACH(at, &host->foreign)
		n += foreign_at(at)->carrier == carrier;
	if (err == DVS_OK && n >= FOREIGN_OF_CARRIER_MAX)
		err = DVS_FULL;
	if (err == DVS_OK)
		err = copy_memory_open(&side, req->write ? O_RDWR : O_RDONLY, &fd);
	if (err != DVS_OK)
		return err;
	foreign = calloc(1, sizeof(*foreign));
	*memory = foreign ? shared_fd_create(fd) : NULL;
	if (!*memory) {
		free(foreign);
		return DVS_NOMEM;
	}
	*foreign = (struct foreign){ .carrier = carrier,
				     .number = ++host->last_copy,
				     .use = { .binding = owner, .grant = req->grant } };
	list_add_tail(&host->foreign, &foreign->of_host);
	rep->use = foreign->number;
	rep->addr = side.addr;
	return DVS_OK;
}

void op_copy_open(struct host *host, struct request *request)
{
	struct control_copy_open_req req;
	struct control_copy_open_rep rep;
	struct shared_fd *memory = NULL;
	struct frame frame;
	dvs_err err = control_copy_open_req_decode(&request->body, &req);

	if (err == DVS_OK)
		err = foreign_open(host, request, &req, &rep, &memory);
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_copy_open_rep_encode(&frame.out, &rep);
	frame_attach(&frame, memory);
	link_send(host, request->link, &frame);
	shared_fd_drop(memory);
}

void op_copy_close(struct host *host, struct request *request)
{
	struct control_copy_close_req req;
	dvs_err err = control_copy_close_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		LIST_FOREACH_SAFE(at, &host->foreign) {
			if (foreign_at(at)->carrier == request->link->carrier &&
			    foreign_at(at)->number == req.use)
				foreign_end(host, foreign_at(at));
		}
	}
	request_answer(host, request, err);
}
