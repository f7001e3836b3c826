/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between grants: the rights are checked here; the copying is the copier's, or, when one
 * side is on another node, the proxies'. A copy whose grant is revoked, or whose binding ends, is
 * stopped; its memory is freed when it is done. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "node/copy.h"

static struct copy *copy_at(struct list *link)
{
	return CONTAINER_OF(link, struct copy, of_host);
}

static bool copy_uses(const struct copy *copy, const struct binding *binding, uint32_t grant)
{
	for (unsigned int side = 0; side < 2; side++) {
		if (copy->use[side].binding == binding &&
		    (grant == 0 || copy->use[side].grant == grant))
			return true;
	}
	return false;
}

bool copies_use(const struct host *host, const struct binding *binding, uint32_t grant)
{
	if (foreign_uses(host, binding, grant))
		return true;
	LIST_FOREACH(link, &host->copies) {
		if (copy_uses(copy_at(link), binding, grant))
			return true;
	}
	LIST_FOREACH(link, &host->copying) {
		if (copy_uses(copy_at(link), binding, grant))
			return true;
	}
	return false;
}

static void copy_free(struct host *host, struct copy *copy)
{
	list_remove(&copy->of_host);
	host->n_copies--;
	if (copy->link)
		copy->link->n_copies--;
	free(copy);
}

/* The answer ends it. */
static void copy_end(struct host *host, struct copy *copy, dvs_err err)
{
	struct copy_use use[2] = { copy->use[0], copy->use[1] };

	if (copy->link)
		link_reply(host, copy->link, CONTROL_COPY, copy->id, err);
	copy_free(host, copy);
	for (unsigned int side = 0; side < 2; side++) {
		if (use[side].binding)
			watch_touch(host, watch_revoked(use[side].binding));
	}
}

void copy_done(struct host *host, struct copy *copy, dvs_err err)
{
	copy_end(host, copy, copy->stopped != DVS_OK ? copy->stopped : err);
}

/* One that is being worked on ends when its present chunk is done. */
static void copy_stop(struct host *host, struct copy *copy, dvs_err why)
{
	bool first = copy->stopped == DVS_OK;

	if (first)
		copy->stopped = why;
	if (!copy->carrier)
		atomic_store(&copy->job.stop, true);
	else if (first)
		far_copy_stop(host, copy);
}

void copies_stop(struct host *host, const struct binding *binding, uint32_t grant)
{
	dvs_err why = grant ? DVS_NOGRANT : DVS_PEERDEAD;

	LIST_FOREACH_SAFE(link, &host->copies) {
		if (copy_uses(copy_at(link), binding, grant))
			copy_end(host, copy_at(link), why);
	}
	LIST_FOREACH_SAFE(link, &host->copying) {
		if (copy_uses(copy_at(link), binding, grant))
			copy_stop(host, copy_at(link), why);
	}
}

/* BINDING is freed next: nothing may name it. */
void copies_forget(struct host *host, const struct binding *binding)
{
	copies_stop(host, binding, 0);
	foreign_forget(host, binding);
	LIST_FOREACH(link, &host->copying) {
		struct copy *copy = copy_at(link);

		for (unsigned int side = 0; side < 2; side++) {
			if (copy->use[side].binding == binding)
				copy->use[side].binding = NULL;
		}
	}
}

void copies_forget_link(struct host *host, struct link *link)
{
	LIST_FOREACH_SAFE(at, &host->copies) {
		if (copy_at(at)->link == link)
			copy_free(host, copy_at(at));
	}
	LIST_FOREACH_SAFE(at, &host->copying) {
		if (copy_at(at)->link != link)
			continue;
		copy_at(at)->link->n_copies--;
		copy_at(at)->link = NULL;
		copy_stop(host, copy_at(at), DVS_PEERDEAD);
	}
	link->n_copies = 0;
}

/* ---- the queue ---- */

/* One DC's slow memory must not hold up the others' copies. */
static unsigned int n_copying(const struct host *host, dvs_dcid dc)
{
	unsigned int n = 0;

	LIST_FOREACH(link, &host->copying)
		n += copy_at(link)->dc.n == dc.n && !copy_at(link)->carrier;
	return n;
}

static void copies_start(struct host *host)
{
	LIST_FOREACH_SAFE(link, &host->copies) {
		struct copy *copy = copy_at(link);

		if (n_copying(host, copy->dc) >= COPIES_OF_DC_MAX)
			continue;
		if (copier_start(host->copier, &copy->job) != DVS_OK)
			break;
		list_remove(&copy->of_host);
		list_add_tail(&host->copying, &copy->of_host);
	}
}

static void on_copies(struct host *host, struct source *source, uint32_t events)
{
	struct copy_job *job;
	uint64_t n;

	(void)events;
	(void)!read(source->fd, &n, sizeof(n));
	while ((job = copier_take_done(host->copier)) != NULL)
		copy_done(host, CONTAINER_OF(job, struct copy, job), job->err);
	copies_start(host);
}

static dvs_err copier_open(struct host *host)
{
	dvs_err err;

	if (host->copier)
		return DVS_OK;
	err = copier_create(&host->copier);
	if (err != DVS_OK)
		return err;
	host->copies_source = (struct source){ .fd = copier_fd(host->copier), .ready = on_copies };
	return source_add(host, &host->copies_source, EPOLLIN);
}

/* ---- the request ---- */

dvs_err copy_side_of(const struct binding *binding, struct copy_side *side)
{
	const struct process *process = binding->process;

	if (!process || !process->link)
		return DVS_PEERDEAD;
	if (!process->has_image || !process->image_confirmed)
		return DVS_DENIED;
	side->pid = process->id.pid;
	side->image = process->image;
	return DVS_OK;
}

static dvs_err own_memory(const struct binding *self, const struct span *span, uint64_t bytes,
			  struct copy_side *side, struct copy_use *use)
{
	if (span->ep != self->ep.n && span->ep != dvs_ep_number(self->ep))
		return DVS_NOGRANT;
	if (span->offset > INT64_MAX - bytes)
		return DVS_FAULT;
	side->addr = span->offset;
	*use = (struct copy_use){ .binding = self };
	return copy_side_of(self, side);
}

/* That endpoint BY may use the grant of OWNER as SPAN says. */
dvs_err span_allowed(const struct binding *owner, dvs_ep by, const struct span *span,
		     uint64_t bytes, struct copy_side *side)
{
	const struct grant *grant = grant_find(owner, span->grant);

	if (!grant || !(grant->rights & span->right))
		return DVS_NOGRANT;
	if (owner->ep.n != by.n && grant->grantee != UINT32_MAX && grant->grantee != by.n &&
	    grant->grantee != dvs_ep_number(by))
		return DVS_NOGRANT;
	if (span->offset > grant->bytes || bytes > grant->bytes - span->offset)
		return DVS_TOOBIG;
	side->addr = grant->addr + span->offset;
	return copy_side_of(owner, side);
}

/* The primary that owns the grant of SPAN; NULL: there is none, or SPAN is the caller's memory. */
static const struct core_binding *span_owner(const struct host *host, const struct binding *self,
					     const struct span *span)
{
	const struct core_endpoint *endpoint;

	if (span->grant == 0)
		return NULL;
	endpoint = core_endpoint_find(self->core->endpoint->dc, span->ep);
	return endpoint ? core_primary(endpoint, host->config.node) : NULL;
}

static bool span_is_far(const struct host *host, const struct binding *self,
			const struct span *span)
{
	const struct core_binding *owner = span_owner(host, self, span);

	return owner && owner->node != host->config.node;
}

static dvs_err span_check(const struct host *host, const struct binding *self,
			  const struct span *span, uint64_t bytes, struct copy_side *side,
			  struct copy_use *use)
{
	const struct binding *owner;

	if (span->grant == 0)
		return own_memory(self, span, bytes, side, use);
	owner = binding_from_core(span_owner(host, self, span));
	if (!owner || binding_is_stand_in(owner))
		return DVS_NODEST;
	*use = (struct copy_use){ .binding = owner, .grant = span->grant };
	return span_allowed(owner, self->ep, span, bytes, side);
}

/* One side is on another node: its proxy asks there whether that is allowed. */
static dvs_err far_check(struct host *host, const struct binding *self, const struct span *near,
			 const struct span *far, struct copy *copy)
{
	struct copy_side *side = far->right == M3_GRANT_WRITE ? &copy->job.from : &copy->job.to;

	copy->far = *far;
	copy->by = self->ep;
	return far_copy_find(host, span_owner(host, self, far), copy, side) == DVS_OK ?
		       span_check(host, self, near, copy->job.bytes, side, &copy->use[0]) :
		       DVS_NODEDOWN;
}

static dvs_err copy_check(struct host *host, const struct link *link,
			  const struct control_copy_req *req, struct copy *copy)
{
	struct span from = { req->from_ep, req->from_grant, req->from_offset, M3_GRANT_READ };
	struct span to = { req->to_ep, req->to_grant, req->to_offset, M3_GRANT_WRITE };
	const struct binding *self = process_binding(link->process, req->ep);
	dvs_err err;

	if (!self)
		return DVS_NOTBOUND;
	if (req->bytes > DVS_COPY_MAX)
		return DVS_TOOBIG;
	copy->job.bytes = req->bytes;
	if (span_is_far(host, self, &from)) {
		err = far_check(host, self, &to, &from, copy);
	} else if (span_is_far(host, self, &to)) {
		err = far_check(host, self, &from, &to, copy);
	} else {
		err = span_check(host, self, &from, req->bytes, &copy->job.from, &copy->use[0]);
		if (err == DVS_OK)
			err = span_check(host, self, &to, req->bytes, &copy->job.to, &copy->use[1]);
	}
	if (err != DVS_OK)
		return err;
	if (copy->use[0].binding != self && copy->use[1].binding != self &&
	    !(self->core->endpoint->privileges.may & DVS_MAY_COPY))
		return DVS_DENIED;
	return DVS_OK;
}

void op_copy(struct host *host, struct request *request)
{
	struct control_copy_req req;
	struct copy *copy = NULL;
	dvs_err err = control_copy_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		copy = calloc(1, sizeof(*copy));
		err = copy ? copy_check(host, request->link, &req, copy) : DVS_NOMEM;
	}
	if (err == DVS_OK)
		err = host->n_copies < COPIES_MAX && request->link->n_copies < COPIES_OF_LINK_MAX ?
			      copier_open(host) :
			      DVS_FULL;
	if (err != DVS_OK || req.bytes == 0) {
		free(copy);
		request_answer(host, request, err);
		return;
	}
	copy->link = request->link;
	copy->id = request->id;
	copy->dc = request->link->dc;
	host->n_copies++;
	copy->link->n_copies++;
	if (copy->carrier) {
		list_add_tail(&host->copying, &copy->of_host);
		far_copy_start(host, copy);
		return;
	}
	list_add_tail(&host->copies, &copy->of_host);
	copies_start(host);
}

void copies_close(struct host *host)
{
	LIST_FOREACH_SAFE(link, &host->copies)
		copy_free(host, copy_at(link));
	LIST_FOREACH_SAFE(link, &host->copying) {
		if (copy_at(link)->carrier)
			copy_free(host, copy_at(link));
		else
			atomic_store(&copy_at(link)->job.stop, true);
	}
	foreign_free(host);
	copier_destroy(host->copier);
	host->copier = NULL;
}
