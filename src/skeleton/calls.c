/* SPDX-License-Identifier: Apache-2.0 */
/* Calls of the loop itself. They are made by the endpoint on which it listens, so that whoever answers ends its m3_receive(). */
#include <assert.h>

#include "lib/begun.h"
#include "skeleton/internal.h"

dvs_err skeleton_call_window(struct skeleton *skeleton, dvs_ep dst, uint32_t timeout_ms,
			     void **window)
{
	if (skeleton->listening == skeleton->own)
		return DVS_BADSTATE;
	return m3_call_window(skeleton->listening, dst, timeout_ms, window);
}

dvs_err skeleton_call(struct skeleton *skeleton, struct skeleton_call *call, dvs_ep dst,
		      const struct dvs_msg *msg, const void *window, size_t bytes, size_t reply_cap)
{
	dvs_err err;

	assert(!call->self);
	if (skeleton->listening == skeleton->own)
		return DVS_BADSTATE;
	err = m3_begin(skeleton->listening, dst, msg, window, bytes, reply_cap, &call->begun);
	if (err != DVS_OK)
		return err;
	call->self = skeleton->listening;
	list_add_tail(&skeleton->calls, &call->under_way);
	return DVS_OK;
}

static dvs_err end(struct skeleton_call *call, struct dvs_msg *reply, const void **data,
		   size_t *bytes)
{
	struct m3 *self = call->self;
	struct m3_begun *begun = call->begun;

	list_remove(&call->under_way);
	call->self = NULL;
	call->begun = NULL;
	*data = NULL;
	*bytes = 0;
	return begun ? m3_end(self, begun, reply, data, bytes) : DVS_NOTBOUND;
}

void skeleton_call_cancel(struct skeleton_call *call)
{
	struct dvs_msg reply;
	const void *data;
	size_t bytes;

	if (call->self)
		(void)!end(call, &reply, &data, &bytes);
}

static struct skeleton_call *find_over(const struct skeleton *skeleton)
{
	LIST_FOREACH(at, &skeleton->calls) {
		struct skeleton_call *call = CONTAINER_OF(at, struct skeleton_call, under_way);

		if (!call->begun || m3_is_over(call->begun))
			return call;
	}
	return NULL;
}

void skeleton_look_at_calls(struct skeleton *skeleton)
{
	uint32_t n = 0;

	/* Whoever is told of one may begin others, and cancel others: no more than there are now in this turn. */
	LIST_FOREACH(at, &skeleton->calls)
		n++;
	while (n-- > 0) {
		struct skeleton_call *call = find_over(skeleton);
		struct dvs_msg reply = { .type = 0 };
		const void *data;
		size_t bytes;
		dvs_err err;

		if (!call)
			return;
		err = end(call, &reply, &data, &bytes);
		call->over(call, err, &reply, data, bytes);
	}
}

/* It is told in the loop that they are over. */
void skeleton_end_calls(struct skeleton *skeleton, const struct m3 *self)
{
	LIST_FOREACH(at, &skeleton->calls) {
		struct skeleton_call *call = CONTAINER_OF(at, struct skeleton_call, under_way);
		struct dvs_msg reply;
		const void *data;
		size_t bytes;

		if (call->self != self || !call->begun)
			continue;
		(void)!m3_end(call->self, call->begun, &reply, &data, &bytes);
		call->begun = NULL;
	}
}
