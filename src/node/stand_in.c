/* SPDX-License-Identifier: Apache-2.0 */
/* Stand-ins: the bindings of this node for endpoints of another. */
#include "node/api.h"
#include "node/carrier.h"

struct binding *stand_in_get(struct host *host, struct core_binding *core)
{
	struct carrier *carrier;
	struct binding *binding = core->host;

	if (binding)
		return binding;
	carrier = carrier_get(host, core->node);
	binding = carrier ? binding_create(host) : NULL;
	if (!binding)
		return NULL;
	binding->core = core;
	binding->ep = core->endpoint->ep;
	binding->rejoined = true;
	binding_attach_process(binding, &carrier->process, 0);
	binding->server = server_find(host, core->endpoint->dc->id);
	core->host = binding;
	stand_in_idle(host, binding);
	return binding;
}

void stand_in_end(struct host *host, struct binding *binding, dvs_err reason)
{
	LIST_FOREACH_SAFE(link, &binding->channels) {
		struct channel *channel =
			CONTAINER_OF(link, struct channel_end, of_binding)->channel;

		channel->renew = 0;
		carriage_leave(host, channel, reason);
	}
	binding->core = NULL;
	stand_in_idle(host, binding);
}

void stand_in_idle(struct host *host, struct binding *binding)
{
	if (!binding_is_stand_in(binding) || !list_is_empty(&binding->channels))
		return;
	list_remove(&binding->of_renewing);
	list_add_tail(&host->idle, &binding->of_renewing);
}

void stand_ins_sweep(struct host *host)
{
	struct list *at;

	while ((at = list_take_head(&host->idle)) != NULL) {
		struct binding *binding = CONTAINER_OF(at, struct binding, of_renewing);

		if (!list_is_empty(&binding->channels))
			continue;
		if (binding->core)
			binding->core->host = NULL;
		binding_destroy(host, binding);
	}
}
