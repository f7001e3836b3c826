/* SPDX-License-Identifier: Apache-2.0 */
/* The NBD server: it listens, and gives each client a connection with a thread of its own. */
#ifndef GATEWAYS_NBD_SERVER_H
#define GATEWAYS_NBD_SERVER_H

#include <stdbool.h>
#include <stdint.h>

#include <dvs/error.h>

#include "base/compiler.h"
#include "base/log.h"
#include "gateways/nbd/backend.h"

#define NBD_SERVER_WHY_MAX 511
#define NBD_CONNECTIONS_DEFAULT 64u
#define NBD_CONNECTIONS_MAX 512u

struct nbd_server_options {
	const char *socket; /* path of a Unix socket; or */
	const char *listen; /* ADDRESS:PORT, [ADDRESS]:PORT */
	const char *tls;    /* directory with certificates; NULL: in clear */
	uint32_t connections_max;
	bool is_read_only;
	int ready_fd; /* gets a byte when clients can come; -1: nobody asks */
	const struct log *log;
};

/* Serve BACKEND until SIGTERM or SIGINT, which the caller has not blocked; for the main thread, before there are others. WHY gets a sentence when it cannot begin: INUSE, DENIED, BADARG, NOTFOUND,
 * NOMEM, IO. After it has ended a connection may still be there that waits for its disk; so the process ends. */
DVS_MUST_USE dvs_err nbd_server_run(const struct nbd_server_options *options,
				    struct nbd_backend *backend, char why[NBD_SERVER_WHY_MAX + 1]);

#endif
