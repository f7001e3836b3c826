/* SPDX-License-Identifier: Apache-2.0 */
/* Requests from their arrival to their answer. They come from slabs that are kept: a request costs no allocation. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "skeleton/internal.h"

#define SLAB_REQUESTS 64u
#define REPLY_BODY_BYTES (DVS_PAYLOAD_BYTES - sizeof(uint32_t))

_Static_assert(SKELETON_REQUESTS_MAX % SLAB_REQUESTS == 0, "whole slabs");

struct slab {
	struct slab *next;
	struct taken taken[SLAB_REQUESTS];
};

/* ---- where they are kept ---- */

static bool grow(struct skeleton *skeleton)
{
	struct slab *slab;

	if (skeleton->n_requests >= SKELETON_REQUESTS_MAX)
		return false;
	slab = calloc(1, sizeof(*slab));
	if (!slab)
		return false;
	slab->next = skeleton->slabs;
	skeleton->slabs = slab;
	skeleton->n_requests += SLAB_REQUESTS;
	for (uint32_t i = 0; i < SLAB_REQUESTS; i++)
		list_add_tail(&skeleton->free, &slab->taken[i].at);
	return true;
}

void skeleton_free_requests(struct skeleton *skeleton)
{
	while (skeleton->slabs) {
		struct slab *slab = skeleton->slabs;

		skeleton->slabs = slab->next;
		free(slab);
	}
}

static struct taken *taken_of(struct skeleton_request *request)
{
	struct taken *taken = CONTAINER_OF(request, struct taken, request);

	assert(taken->is_open);
	return taken;
}

static void let_go(struct skeleton *skeleton, struct taken *taken)
{
	taken->is_open = false;
	list_remove(&taken->request.kept);
	list_remove(&taken->at);
	/* The one used last is in the caches. */
	list_add_head(&skeleton->free, &taken->at);
}

/* ---- coming ---- */

static void refuse(struct skeleton *skeleton, struct m3 *self, const struct m3_delivery *delivery,
		   const struct dvs_msg *msg, dvs_err err)
{
	struct dvs_msg reply = { .type = msg->type };

	skeleton->figures.refused++;
	reply.u32[0] = err;
	/* Who does not wait any more needs no answer. */
	(void)!m3_reply_call(self, delivery->source, delivery->call, &reply, NULL, 0);
}

static const struct skeleton_service *find_service(const struct skeleton *skeleton, uint32_t op)
{
	for (size_t i = 0; i < skeleton->n_services; i++) {
		const struct skeleton_service *service = &skeleton->services[i];

		if (op >= service->first && op <= service->last)
			return service;
	}
	return NULL;
}

static dvs_err check_source(struct skeleton *skeleton, const struct skeleton_service *service,
			    const struct m3_delivery *delivery, uint32_t op, bool *is_manager)
{
	enum skeleton_allow allow = service->allow(op);
	dvs_err err;

	*is_manager = false;
	if (allow == SKELETON_NOBODY)
		return DVS_BADARG;
	/* What another one has put into the source's mouth has not the source's rights. */
	if (!dvs_ep_is_any(delivery->relayed_by))
		return DVS_DENIED;
	if (allow == SKELETON_USER && skeleton->users_are_all)
		return DVS_OK;
	err = rights_manager(skeleton, delivery->source);
	*is_manager = err == DVS_OK;
	return err;
}

static struct skeleton_request *make(struct skeleton *skeleton, struct m3 *self,
				     const struct m3_delivery *delivery, const struct dvs_msg *msg)
{
	struct taken *taken;
	struct skeleton_request *request;

	if (list_is_empty(&skeleton->free) && !grow(skeleton))
		return NULL;
	taken = CONTAINER_OF(list_take_head(&skeleton->free), struct taken, at);
	taken->self = self;
	taken->is_open = true;
	list_add_tail(&skeleton->open, &taken->at);
	request = &taken->request;
	request->skeleton = skeleton;
	request->source = delivery->source;
	request->op = msg->type;
	request->call = delivery->call;
	request->resent = delivery->resent;
	request->data = delivery->data;
	request->data_bytes = delivery->data_bytes;
	request->reply_cap = delivery->reply_cap;
	memcpy(request->payload, msg->bytes, sizeof(request->payload));
	request->keeper = NULL;
	list_init(&request->kept);
	return request;
}

void skeleton_take(struct skeleton *skeleton, struct m3 *self, const struct dvs_msg *msg)
{
	const struct skeleton_service *service;
	struct m3_delivery delivery;
	struct skeleton_request *request = NULL;
	bool is_manager = false;
	dvs_err err;

	/* What wants no answer is no request of any service. */
	if (m3_delivered(self, &delivery) || delivery.kind != M3_REQUEST)
		return;
	service = find_service(skeleton, msg->type);
	err = service ? check_source(skeleton, service, &delivery, msg->type, &is_manager) :
			DVS_BADARG;
	if (err == DVS_OK) {
		request = make(skeleton, self, &delivery, msg);
		err = request ? DVS_OK : DVS_FULL;
	}
	if (err != DVS_OK) {
		refuse(skeleton, self, &delivery, msg, err);
		return;
	}
	request->is_manager = is_manager;
	skeleton->figures.requests++;
	skeleton->figures.in_bytes += request->data_bytes;
	err = service->serve(service->handlers, service->state, request);
	if (err == DVS_OK)
		return;
	skeleton->figures.refused++;
	skeleton_answer(request, err, NULL, 0);
}

/* ---- answers ---- */

void skeleton_answer(struct skeleton_request *request, dvs_err err, const void *payload, size_t len)
{
	skeleton_answer_data(request, err, payload, len, NULL, 0);
}

void skeleton_answer_data(struct skeleton_request *request, dvs_err err, const void *payload,
			  size_t len, const void *data, size_t bytes)
{
	struct skeleton *skeleton = request->skeleton;
	struct taken *taken = taken_of(request);
	struct dvs_msg msg = { .type = request->op };

	assert(len <= REPLY_BODY_BYTES);
	if (bytes > request->reply_cap) {
		err = DVS_TOOBIG;
		len = 0;
		bytes = 0;
	}
	msg.u32[0] = err;
	if (len)
		memcpy(msg.bytes + sizeof(uint32_t), payload, len);
	/* Who is gone, or does not wait any more, needs no answer. */
	if (taken->self && m3_reply_call(taken->self, request->source, request->call, &msg,
					 bytes ? data : NULL, bytes) == DVS_OK)
		skeleton->figures.out_bytes += bytes;
	let_go(skeleton, taken);
}

void skeleton_drop(struct skeleton_request *request)
{
	let_go(request->skeleton, taken_of(request));
}

void *skeleton_window(struct skeleton_request *request, size_t *cap)
{
	struct taken *taken = taken_of(request);
	void *window;
	size_t oldest_cap;

	/* All calls of a client share one window. */
	if (!taken->self ||
	    m3_reply_window(taken->self, request->source, &window, &oldest_cap) != DVS_OK)
		return NULL;
	*cap = request->reply_cap;
	return window;
}

void skeleton_forget(struct skeleton *skeleton, struct m3 *self)
{
	if (skeleton->listening == self)
		skeleton_listen(skeleton, NULL);
	skeleton_end_calls(skeleton, self);
	LIST_FOREACH(link, &skeleton->open) {
		struct taken *taken = CONTAINER_OF(link, struct taken, at);

		if (taken->self == self)
			taken->self = NULL;
	}
}
