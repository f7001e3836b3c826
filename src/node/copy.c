/* SPDX-License-Identifier: Apache-2.0 */
/* Copies between grants: the rights are checked here; the copying is the copier's, or, when one
 * side is on another node, the proxies'. A copy whose grant is revoked, or whose binding ends, is
 * stopped; its memory is freed when it is done. */
#include <stdlib.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "node/ask.h"
#include "node/copy.h"

/* Another node may take so long for a copy that is asked of it. */
#define COPY_ASK_MS 600000u

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
	if (copy->asker.number)
		ask_answer(host, copy->asker, err, NULL, 0);
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

/* ---- what may be copied ---- */

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

/* Who copies. */
struct party {
	const struct core_endpoint *endpoint;
	const struct binding *self; /* NULL: it is on another node */
};

static dvs_err own_memory(const struct party *by, const struct span *span, uint64_t bytes,
			  struct copy_side *side, struct copy_use *use)
{
	dvs_ep ep = by->endpoint->ep;

	if (!by->self || (span->ep != ep.n && span->ep != dvs_ep_number(ep)))
		return DVS_NOGRANT;
	if (span->offset > INT64_MAX - bytes)
		return DVS_FAULT;
	side->addr = span->offset;
	*use = (struct copy_use){ .binding = by->self };
	return copy_side_of(by->self, side);
}

/* That endpoint BY may use the grant of OWNER as SPAN says. */
dvs_err span_allowed(const struct binding *owner, dvs_ep by, const struct span *span,
		     uint64_t bytes, struct copy_side *side)
{
	const struct grant *grant = grant_find(owner, span->grant);
	dvs_err err = copy_side_of(owner, side);

	/* One that has died may be bound still, until all nodes have heard of it. */
	if (err == DVS_PEERDEAD)
		return err;
	if (!grant || !(grant->rights & span->right))
		return DVS_NOGRANT;
	if (owner->ep.n != by.n && grant->grantee != UINT32_MAX && grant->grantee != by.n &&
	    grant->grantee != dvs_ep_number(by))
		return DVS_NOGRANT;
	if (span->offset > grant->bytes || bytes > grant->bytes - span->offset)
		return DVS_TOOBIG;
	side->addr = grant->addr + span->offset;
	return err;
}

/* The primary that owns the grant of SPAN; NULL: there is none, or SPAN is the caller's memory. */
static const struct core_binding *span_owner(const struct host *host, const struct party *by,
					     const struct span *span)
{
	const struct core_endpoint *endpoint;

	if (span->grant == 0)
		return NULL;
	endpoint = core_endpoint_find(by->endpoint->dc, span->ep);
	return endpoint ? core_primary(endpoint, host->config.node) : NULL;
}

static bool span_is_far(const struct host *host, const struct party *by, const struct span *span)
{
	const struct core_binding *owner = span_owner(host, by, span);

	return owner && owner->node != host->config.node;
}

static dvs_err span_check(const struct host *host, const struct party *by, const struct span *span,
			  uint64_t bytes, struct copy_side *side, struct copy_use *use)
{
	const struct binding *owner;

	if (span->grant == 0)
		return own_memory(by, span, bytes, side, use);
	owner = binding_from_core(span_owner(host, by, span));
	if (!owner || binding_is_stand_in(owner))
		return DVS_NODEST;
	*use = (struct copy_use){ .binding = owner, .grant = span->grant };
	return span_allowed(owner, by->endpoint->ep, span, bytes, side);
}

/* One side is on another node: its proxy asks there whether that is allowed. */
static dvs_err far_check(struct host *host, const struct party *by, const struct span *near,
			 const struct span *far, struct copy *copy)
{
	struct copy_side *side = far->right == M3_GRANT_WRITE ? &copy->job.from : &copy->job.to;

	copy->far = *far;
	copy->by = by->endpoint->ep;
	return far_copy_find(host, span_owner(host, by, far), copy, side) == DVS_OK ?
		       span_check(host, by, near, copy->job.bytes, side, &copy->use[0]) :
		       DVS_NODEDOWN;
}

static void spans_of(const struct control_copy_req *req, struct span *from, struct span *to)
{
	*from = (struct span){ req->from_ep, req->from_grant, req->from_offset, M3_GRANT_READ };
	*to = (struct span){ req->to_ep, req->to_grant, req->to_offset, M3_GRANT_WRITE };
}

static bool may_copy(const struct party *by)
{
	return (by->endpoint->privileges.may & DVS_MAY_COPY) != 0;
}

static dvs_err copy_check(struct host *host, const struct party *by,
			  const struct control_copy_req *req, struct copy *copy)
{
	struct span from;
	struct span to;
	bool own;
	dvs_err err;

	spans_of(req, &from, &to);
	copy->job.bytes = req->bytes;
	if (span_is_far(host, by, &from)) {
		err = far_check(host, by, &to, &from, copy);
	} else if (span_is_far(host, by, &to)) {
		err = far_check(host, by, &from, &to, copy);
	} else {
		err = span_check(host, by, &from, req->bytes, &copy->job.from, &copy->use[0]);
		if (err == DVS_OK)
			err = span_check(host, by, &to, req->bytes, &copy->job.to, &copy->use[1]);
	}
	if (err != DVS_OK)
		return err;
	own = by->self && (copy->use[0].binding == by->self || copy->use[1].binding == by->self);
	return own || may_copy(by) ? DVS_OK : DVS_DENIED;
}

/* COPY has been checked: it is done, now or in its turn. */
static void copy_begin(struct host *host, struct copy *copy)
{
	host->n_copies++;
	if (copy->link)
		copy->link->n_copies++;
	if (copy->carrier) {
		list_add_tail(&host->copying, &copy->of_host);
		far_copy_start(host, copy);
		return;
	}
	list_add_tail(&host->copies, &copy->of_host);
	copies_start(host);
}

/* ---- between two other nodes ---- */

/* Neither side is here: the node that is to get the data does it. */
static void copy_elsewhere(struct host *host, const struct request *request, const struct party *by,
			   const struct control_copy_req *req, uint32_t node)
{
	const struct ask first = { .done = ask_pass_on,
				   .node = node,
				   .link = request->link,
				   .op = request->op,
				   .id = request->id };
	uint8_t bytes[ASK_BYTES_MAX];
	struct writer out = writer_over(bytes, sizeof(bytes));

	writer_u32(&out, by->endpoint->dc->id.n);
	writer_u32(&out, by->endpoint->ep.n);
	control_copy_req_encode(&out, req);
	ask(host, &first, ASK_COPY, bytes, writer_len(&out), COPY_ASK_MS);
}

void asked_copy(struct host *host, struct asker asker, struct cursor *in)
{
	const struct core_dc *dc = core_dc_find(host->core, (dvs_dcid){ cursor_u32(in) });
	uint32_t ep = cursor_u32(in);
	struct party by = { .endpoint = dc ? core_endpoint_find(dc, ep) : NULL };
	struct control_copy_req req;
	struct copy *copy = NULL;
	dvs_err err = control_copy_req_decode(in, &req);

	if (err == DVS_OK && !by.endpoint)
		err = DVS_NODEST;
	if (err == DVS_OK) {
		copy = calloc(1, sizeof(*copy));
		err = copy ? copy_check(host, &by, &req, copy) : DVS_NOMEM;
	}
	if (err == DVS_OK)
		err = host->n_copies < COPIES_MAX ? copier_open(host) : DVS_FULL;
	if (err != DVS_OK) {
		free(copy);
		ask_answer(host, asker, err, NULL, 0);
		return;
	}
	copy->asker = asker;
	copy->dc = dc->id;
	copy_begin(host, copy);
}

/* True when another node does it, and will answer. */
static bool is_elsewhere(struct host *host, const struct request *request, const struct party *by,
			 const struct control_copy_req *req)
{
	struct span from;
	struct span to;

	spans_of(req, &from, &to);
	if (!may_copy(by) || req->bytes == 0 || !span_is_far(host, by, &from) ||
	    !span_is_far(host, by, &to))
		return false;
	copy_elsewhere(host, request, by, req, span_owner(host, by, &to)->node);
	return true;
}

/* ---- the request ---- */

void op_copy(struct host *host, struct request *request)
{
	struct party by = { .self = NULL };
	struct control_copy_req req;
	struct copy *copy = NULL;
	dvs_err err = control_copy_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		by.self = process_binding(request->link->process, req.ep);
		err = by.self ? DVS_OK : DVS_NOTBOUND;
	}
	if (err == DVS_OK && req.bytes > DVS_COPY_MAX)
		err = DVS_TOOBIG;
	if (err == DVS_OK) {
		by.endpoint = by.self->core->endpoint;
		if (is_elsewhere(host, request, &by, &req))
			return;
		copy = calloc(1, sizeof(*copy));
		err = copy ? copy_check(host, &by, &req, copy) : DVS_NOMEM;
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
	copy_begin(host, copy);
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
