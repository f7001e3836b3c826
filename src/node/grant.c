/* SPDX-License-Identifier: Apache-2.0 */
/* Grants: who may read or write which memory of a process, by copies that dvsd makes. */
#include "node/grant.h"

#include <stdlib.h>
#include <string.h>

/* By rising number: numbers are never used twice by one binding. */
struct grants {
	uint32_t next;
	uint32_t n;
	uint32_t room;
	struct grant list[];
};

/* The place of the first grant whose number is at least NUMBER. */
static uint32_t grant_place(const struct grants *grants, uint32_t number)
{
	uint32_t low = 0;
	uint32_t high = grants->n;

	while (low < high) {
		uint32_t middle = (low + high) / 2;

		if (grants->list[middle].number < number)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

struct grant *grant_find(const struct binding *binding, uint32_t number)
{
	struct grants *grants = binding->grants;
	uint32_t at = grants ? grant_place(grants, number) : 0;

	return grants && at < grants->n && grants->list[at].number == number ? &grants->list[at] :
									       NULL;
}

void grants_free(struct binding *binding)
{
	if (binding->grants && binding->server)
		binding->server->n_grants -= binding->grants->n;
	free(binding->grants);
	binding->grants = NULL;
}

static dvs_err grants_reserve(struct binding *binding)
{
	struct grants *grants = binding->grants;
	uint32_t room = grants ? grants->room * 2 : 8;
	struct grants *grown;

	if ((grants && grants->n == GRANTS_MAX) || binding->server->n_grants >= DC_GRANTS_MAX)
		return DVS_FULL;
	if (grants && (grants->n < grants->room))
		return grants->next == UINT32_MAX ? DVS_FULL : DVS_OK;
	grown = realloc(grants, sizeof(*grown) + room * sizeof(struct grant));
	if (!grown)
		return DVS_NOMEM;
	if (!grants) {
		grown->next = 1;
		grown->n = 0;
	}
	grown->room = room;
	binding->grants = grown;
	return DVS_OK;
}

static dvs_err grant_add(struct binding *binding, const struct control_grant_req *req,
			 uint32_t *number)
{
	struct grant *grant;
	dvs_err err;

	if (req->rights == 0 || (req->rights & ~(M3_GRANT_READ | M3_GRANT_WRITE)) != 0 ||
	    req->bytes > INT64_MAX || req->addr > INT64_MAX - req->bytes)
		return DVS_BADARG;
	err = grants_reserve(binding);
	if (err != DVS_OK)
		return err;
	grant = &binding->grants->list[binding->grants->n++];
	binding->server->n_grants++;
	*grant = (struct grant){ .number = binding->grants->next++,
				 .grantee = req->grantee,
				 .addr = req->addr,
				 .bytes = req->bytes,
				 .rights = req->rights };
	*number = grant->number;
	return DVS_OK;
}

void op_grant(struct host *host, struct request *request)
{
	struct binding *binding = NULL;
	struct control_grant_req req;
	struct control_grant_rep rep;
	struct frame frame;
	dvs_err err = control_grant_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		binding = process_binding(request->link->process, req.ep);
		err = binding ? grant_add(binding, &req, &rep.grant) : DVS_NODEST;
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	frame_begin(&frame, request->op, request->id, DVS_OK);
	control_grant_rep_encode(&frame.out, &rep);
	link_send(host, request->link, &frame);
}

/* Answered when the copies that use the grant have stopped; no new one can begin. */
static bool revoke_try(struct host *host, struct pending *pending)
{
	const struct binding *binding = process_binding(pending->link->process, pending->ep);

	if (binding && copies_use(host, binding, pending->what)) {
		pending->watch = watch_revoked(binding);
		return false;
	}
	link_reply(host, pending->link, pending->op, pending->id, DVS_OK);
	return true;
}

void op_revoke(struct host *host, struct request *request)
{
	struct pending pending = {
		.link = request->link, .op = request->op, .id = request->id, .try = revoke_try
	};
	const struct binding *binding = NULL;
	struct control_revoke_req req;
	struct grant *grant = NULL;
	dvs_err err = control_revoke_req_decode(&request->body, &req);

	if (err == DVS_OK) {
		binding = process_binding(request->link->process, req.ep);
		grant = binding ? grant_find(binding, req.grant) : NULL;
		err = grant ? DVS_OK : DVS_NOGRANT;
	}
	if (err != DVS_OK) {
		request_answer(host, request, err);
		return;
	}
	binding->grants->n--;
	binding->server->n_grants--;
	memmove(grant, grant + 1,
		(size_t)(binding->grants->list + binding->grants->n - grant) * sizeof(*grant));
	copies_stop(host, binding, req.grant);
	pending.ep = req.ep;
	pending.what = req.grant;
	pending_start(host, &pending, DVS_FOREVER);
}
