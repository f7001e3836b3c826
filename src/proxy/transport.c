/* SPDX-License-Identifier: Apache-2.0 */
#include "proxy/transport.h"

#include <sys/eventfd.h>
#include <unistd.h>

static const struct transport_ops *const transports[] = {
	[CONFIG_TCP] = &transport_tcp,
	[CONFIG_UDP] = &transport_udp,
	[CONFIG_RAW] = &transport_raw,
	[CONFIG_TIPC] = &transport_tipc,
};

const struct transport_ops *transport_find(enum config_transport which)
{
	return (size_t)which < ARRAY_LEN(transports) ? transports[which] : NULL;
}

bool transport_begin(struct transport *transport, const struct transport_ops *ops,
		     const struct transport_setup *setup)
{
	transport->ops = ops;
	transport->node = setup->node;
	transport->peer = setup->peer;
	transport->figures = setup->figures;
	transport->stop_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	return transport->stop_fd >= 0;
}

void transport_end(struct transport *transport)
{
	if (transport->stop_fd >= 0)
		close(transport->stop_fd);
}

void transport_stop(struct transport *transport)
{
	/* It can only fail when it is readable already. */
	(void)!write(transport->stop_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
}
