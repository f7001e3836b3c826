/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between grants: the rights are checked here, the copying is the copier's. A copy whose
 * grant is revoked, or whose binding ends, is stopped; its memory is freed when it is done. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "node/copier.h"
#include "node/grant.h"

/* Which grant a copy uses; only compared. */
struct copy_use {
	const struct binding *binding;
	uint32_t grant; /* 0: its process's own memory */
};

struct copy {
	struct copy_job job;
	struct list of_host;
	struct link *link; /* NULL: it is gone, nobody waits for the answer */
	uint32_t id;
	struct copy_use use[2];
	dvs_err stopped; /* why, if it was */
	dvs_dcid dc;
};

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
	if (copy->link)
		link_reply(host, copy->link, CONTROL_COPY, copy->id, err);
	copy_free(host, copy);
}

/* One that is being worked on ends when its present chunk is done. */
static void copy_stop(struct copy *copy, dvs_err why)
{
	if (copy->stopped == DVS_OK)
		copy->stopped = why;
	atomic_store(&copy->job.stop, true);
}

void copies_stop(struct host *host, const struct binding *binding, uint32_t grant)
{
	dvs_err why = grant ? DVS_NOGRANT : DVS_PEERDEAD;

	LIST_FOREACH_SAFE(link, &host->copies) {
		if (copy_uses(copy_at(link), binding, grant))
			copy_end(host, copy_at(link), why);
	}
	LIST_FOREACH(link, &host->copying) {
		if (copy_uses(copy_at(link), binding, grant))
			copy_stop(copy_at(link), why);
	}
}

/* BINDING is freed next: nothing may name it. */
void copies_forget(struct host *host, const struct binding *binding)
{
	copies_stop(host, binding, 0);
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
	LIST_FOREACH(at, &host->copying) {
		if (copy_at(at)->link != link)
			continue;
		copy_at(at)->link = NULL;
		copy_stop(copy_at(at), DVS_PEERDEAD);
	}
	link->n_copies = 0;
}

/* ---- the queue ---- */

/* One DC's slow memory must not hold up the others' copies. */
static unsigned int n_copying(const struct host *host, dvs_dcid dc)
{
	unsigned int n = 0;

	LIST_FOREACH(link, &host->copying)
		n += copy_at(link)->dc.n == dc.n;
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

static void copy_done(struct host *host, struct copy *copy)
{
	struct copy_use use[2] = { copy->use[0], copy->use[1] };

	copy_end(host, copy, copy->stopped != DVS_OK ? copy->stopped : copy->job.err);
	for (unsigned int side = 0; side < 2; side++) {
		if (use[side].binding)
			watch_touch(host, watch_revoked(use[side].binding));
	}
}

static void on_copies(struct host *host, struct source *source, uint32_t events)
{
	struct copy_job *job;
	uint64_t n;

	(void)events;
	(void)!read(source->fd, &n, sizeof(n));
	while ((job = copier_take_done(host->copier)) != NULL)
		copy_done(host, CONTAINER_OF(job, struct copy, job));
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

struct span {
	uint32_t ep;
	uint32_t grant;
	uint64_t offset;
	uint32_t right;
};

static dvs_err side_of(const struct binding *binding, struct copy_side *side)
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
	return side_of(self, side);
}

static dvs_err span_check(const struct host *host, const struct binding *self,
			  const struct span *span, uint64_t bytes, struct copy_side *side,
			  struct copy_use *use)
{
	const struct core_endpoint *endpoint;
	const struct binding *owner;
	const struct grant *grant;

	if (span->grant == 0)
		return own_memory(self, span, bytes, side, use);
	endpoint = core_endpoint_find(self->core->endpoint->dc, span->ep);
	owner = endpoint ? binding_from_core(core_primary(endpoint, host->config.node)) : NULL;
	if (!owner)
		return DVS_NODEST;
	grant = grant_find(owner, span->grant);
	if (!grant || !(grant->rights & span->right))
		return DVS_NOGRANT;
	if (owner != self && grant->grantee != UINT32_MAX && grant->grantee != self->ep.n &&
	    grant->grantee != dvs_ep_number(self->ep))
		return DVS_NOGRANT;
	if (span->offset > grant->bytes || bytes > grant->bytes - span->offset)
		return DVS_TOOBIG;
	side->addr = grant->addr + span->offset;
	*use = (struct copy_use){ .binding = owner, .grant = span->grant };
	return side_of(owner, side);
}

static dvs_err copy_check(const struct host *host, const struct link *link,
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
	err = span_check(host, self, &from, req->bytes, &copy->job.from, &copy->use[0]);
	if (err == DVS_OK)
		err = span_check(host, self, &to, req->bytes, &copy->job.to, &copy->use[1]);
	if (err != DVS_OK)
		return err;
	if (copy->use[0].binding != self && copy->use[1].binding != self &&
	    !(self->core->endpoint->privileges.may & DVS_MAY_COPY))
		return DVS_DENIED;
	copy->job.bytes = req->bytes;
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
	list_add_tail(&host->copies, &copy->of_host);
	host->n_copies++;
	copy->link->n_copies++;
	copies_start(host);
}

void copies_close(struct host *host)
{
	LIST_FOREACH_SAFE(link, &host->copies)
		copy_free(host, copy_at(link));
	LIST_FOREACH(link, &host->copying)
		atomic_store(&copy_at(link)->job.stop, true);
	copier_destroy(host->copier);
	host->copier = NULL;
}
