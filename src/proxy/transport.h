/* SPDX-License-Identifier: Apache-2.0 */
/* How two nodes reach each other. A transport makes streams between this node and one peer; a new one is a file in
 * transport/ and a row in transport.c. */
#ifndef PROXY_TRANSPORT_H
#define PROXY_TRANSPORT_H

#include <stdbool.h>
#include <stdint.h>

#include <dvs/error.h>

#include "base/log.h"
#include "config/config.h"
#include "proxy/link.h"
#include "proxy/stream.h"

#define TRANSPORT_TEXT_BYTES 200u

struct transport_setup {
	const struct config *config;
	const struct log *log;
	uint32_t node;
	uint32_t peer;
	const char *address; /* of the peer */
	struct link_figures *figures;
};

/* What an implementation begins with. */
struct transport {
	const struct transport_ops *ops;
	int stop_fd; /* readable when the link is being closed */
	uint32_t node;
	uint32_t peer;
	struct link_figures *figures;
};

struct transport_ops {
	const char *name;
	/* TEXT gets the reason of a failure: what, why, what to try. BADARG: this machine cannot do it. NOMEM; IO. */
	dvs_err (*open)(const struct transport_setup *setup, struct transport **transport,
			char *text, size_t text_bytes);
	/* The node with the lower number: wait for the next stream until DEADLINE_NS. KNOWN: it comes from the peer's address.
	 * TIMEOUT; IO with a TEXT: try again later. */
	dvs_err (*accept)(struct transport *transport, uint64_t deadline_ns, struct stream **stream,
			  bool *known, char *text, size_t text_bytes);
	/* The other one. Two threads may be in it. */
	dvs_err (*connect)(struct transport *transport, uint64_t deadline_ns,
			   struct stream **stream, char *text, size_t text_bytes);
	/* The streams are closed already. */
	void (*close)(struct transport *transport);
};

extern const struct transport_ops transport_tcp;
extern const struct transport_ops transport_udp;
extern const struct transport_ops transport_raw;
extern const struct transport_ops transport_tipc;

const struct transport_ops *transport_find(enum config_transport which);

/* Fill in what all have in common; false: no descriptor is to be had. */
DVS_MUST_USE bool transport_begin(struct transport *transport, const struct transport_ops *ops,
				  const struct transport_setup *setup);
void transport_end(struct transport *transport);
/* Any thread: accept() and connect() return soon, now and later. */
void transport_stop(struct transport *transport);

#endif
