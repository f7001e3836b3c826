/* SPDX-License-Identifier: Apache-2.0 */
/* The engine of a node that is alone: what is cast is delivered at once, the only member is this one, and it is the quorum. */
#include <stdlib.h>

#include "group/engine.h"

struct local {
	struct engine engine;
	bool begun;
};

static dvs_err local_cast(struct engine *engine, const void *bytes, size_t len)
{
	if (len > GROUP_CAST_MAX)
		return DVS_TOOBIG;
	engine->events.deliver(engine->events.context, engine->node, bytes, len);
	return DVS_OK;
}

static int local_fd(const struct engine *engine)
{
	(void)engine;
	return -1;
}

static void local_dispatch(struct engine *engine)
{
	struct local *local = CONTAINER_OF(engine, struct local, engine);
	struct group_view view = { .id = 1, .n_members = 1, .n_joined = 1 };

	if (local->begun)
		return;
	local->begun = true;
	view.members[0] = view.joined[0] = engine->node;
	engine->events.view(engine->events.context, &view);
	engine->events.quorum(engine->events.context, true);
}

static void local_close(struct engine *engine)
{
	free(CONTAINER_OF(engine, struct local, engine));
}

static const struct engine_ops local_ops = {
	.name = "local",
	.cast = local_cast,
	.fd = local_fd,
	.dispatch = local_dispatch,
	.close = local_close,
};

dvs_err engine_local_open(uint32_t node, const struct engine_events *events, struct engine **engine)
{
	struct local *local = calloc(1, sizeof(*local));

	if (!local)
		return DVS_NOMEM;
	local->engine.ops = &local_ops;
	local->engine.events = *events;
	local->engine.node = node;
	*engine = &local->engine;
	return DVS_OK;
}
