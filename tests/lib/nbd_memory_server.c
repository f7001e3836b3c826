/* SPDX-License-Identifier: Apache-2.0 */
/* The NBD server over memory: nbd-memory-server SOCKET BYTES [TLS-DIRECTORY]. Says "ready" when clients can come. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "gateways/nbd/server.h"
#include "nbd_memory.h"

int main(int argc, char **argv)
{
	struct log log = log_to_stderr(LOG_LEVEL_WARNING);
	struct nbd_server_options options = { .connections_max = NBD_CONNECTIONS_DEFAULT,
					      .log = &log };
	char why[NBD_SERVER_WHY_MAX + 1];
	struct nbd_backend *backend;
	dvs_err err;

	if (argc < 3) {
		(void)fputs("usage: nbd-memory-server SOCKET BYTES [TLS-DIRECTORY]\n", stderr);
		return 2;
	}
	options.socket = argv[1];
	options.tls = argc > 3 ? argv[3] : NULL;
	options.ready_fd = dup(STDOUT_FILENO);
	backend = nbd_memory_open(strtoull(argv[2], NULL, 10));
	if (!backend)
		return EXIT_FAILURE;
	err = nbd_server_run(&options, backend, why);
	nbd_memory_close(backend);
	if (err)
		(void)fprintf(stderr, "nbd-memory-server: %s\n", why);
	return err ? EXIT_FAILURE : EXIT_SUCCESS;
}
