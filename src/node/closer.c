/* SPDX-License-Identifier: Apache-2.0 */
/* Closing descriptors that others sent. Closing a file of a file system that runs in a process
 * (FUSE) waits for that process, which may be the enemy: so only memory is closed at once, all
 * else by a thread that may hang. */
#include <fcntl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include "node/api.h"

struct closer {
	atomic_uint *n_closers;
	int fd;
};

static void *closer_thread(void *arg)
{
	struct closer *closer = arg;

	close(closer->fd);
	atomic_fetch_sub(closer->n_closers, 1);
	free(closer);
	return NULL;
}

bool fd_discard_can(const struct host *host)
{
	return atomic_load(&host->n_closers) < CLOSERS_MAX;
}

static bool closer_start(struct host *host, int fd)
{
	struct closer *closer = malloc(sizeof(*closer));
	pthread_attr_t attributes;
	pthread_t thread;
	int error;

	if (!closer)
		return false;
	*closer = (struct closer){ .n_closers = &host->n_closers, .fd = fd };
	atomic_fetch_add(&host->n_closers, 1);
	(void)pthread_attr_init(&attributes);
	(void)pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
	error = pthread_create(&thread, &attributes, closer_thread, closer);
	(void)pthread_attr_destroy(&attributes);
	if (error == 0)
		return true;
	atomic_fetch_sub(&host->n_closers, 1);
	free(closer);
	return false;
}

void fd_discard(struct host *host, int fd)
{
	if (fd < 0)
		return;
	/* only memory has seals; asking for them is no question to a file system */
	if (fcntl(fd, F_GET_SEALS) >= 0)
		close(fd);
	else if (!closer_start(host, fd))
		log_error(&host->log, "a descriptor that was sent to dvsd cannot be closed");
}
