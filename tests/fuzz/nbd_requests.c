/* SPDX-License-Identifier: Apache-2.0 */
/* A client of the NBD server that has opened an export and then says arbitrary bytes: the connection comes to its end, whatever it gets, and what is answered is made of whole replies. */
#include "gateways/nbd/connection.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fuzz.h"
#include "gateways/nbd/watch.h"
#include "nbd_memory.h"

#define DISK_BYTES (UINT64_C(4) << 20)

/* Opens "disk" with structured replies and base:allocation. */
static const uint8_t opening[] =
	"\0\0\0\3"
	"IHAVEOPT\0\0\0\10\0\0\0\0"
	"IHAVEOPT\0\0\0\12\0\0\0\37\0\0\0\4disk\0\0\0\1\0\0\0\17base:allocation"
	"IHAVEOPT\0\0\0\7\0\0\0\12\0\0\0\4disk\0";

static void *read_all(void *argument)
{
	const int *fd = argument;
	uint8_t room[65536];
	ssize_t got;

	do
		got = recv(*fd, room, sizeof(room), 0);
	while (got > 0);
	return NULL;
}

static void *serve(void *argument)
{
	connection_serve(argument);
	return NULL;
}

static void talk(int fd, const uint8_t *data, size_t size)
{
	/* The last byte of the literal is the second of the count of information requests. */
	if (send(fd, opening, sizeof(opening), MSG_NOSIGNAL) == (ssize_t)sizeof(opening) &&
	    size > 0)
		(void)!send(fd, data, size, MSG_NOSIGNAL);
	(void)shutdown(fd, SHUT_WR);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct log quiet = { .fd = -1, .level = LOG_LEVEL_ERROR };
	struct connection_setup setup = { .backend = nbd_memory_open(DISK_BYTES), .log = &quiet };
	struct connection *connection;
	pthread_t server;
	pthread_t reader;
	int fds[2];

	assert(setup.backend && watch_open(&setup.watch) == DVS_OK);
	assert(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) == 0);
	assert(connection_open(&setup, fds[0], 1, &connection) == DVS_OK);
	assert(pthread_create(&server, NULL, serve, connection) == 0);
	assert(pthread_create(&reader, NULL, read_all, &fds[1]) == 0);
	talk(fds[1], data, size);
	pthread_join(server, NULL);
	connection_close(connection);
	pthread_join(reader, NULL);
	close(fds[1]);
	watch_close(setup.watch);
	nbd_memory_close(setup.backend);
	return 0;
}
