/* SPDX-License-Identifier: Apache-2.0 */
/* Threads that serve connections: each has a socket that listens, an endpoint at the file server, and connections of its own. */
#ifndef NWEB_SERVER_H
#define NWEB_SERVER_H

#include "site.h"

#define SERVER_THREADS_MAX 64u

struct server {
	struct site site;
	const char *address; /* ADDRESS:PORT, [ADDRESS]:PORT */
	unsigned int n_threads;
};

/* Until SIGTERM or SIGINT. 0, or 1 after a message to stderr. */
int server_run(const struct server *server);

#endif
