/* SPDX-License-Identifier: Apache-2.0 */
/* A child process that handles what strangers made: it gives up all that it does not need before it looks at the first byte. */
#ifndef CONTAINER_CONFINE_H
#define CONTAINER_CONFINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

#define CONFINE_KEEP_MAX 4u

struct confine {
	int root; /* becomes the root and the working directory; -1: those that it has */
	const int *
		keep; /* descriptors that stay open; with nothing else, not even the standard ones, which become /dev/null */
	size_t n_keep;
	bool with_parent; /* ends with the thread that made it */
	uint64_t memory_max;
	char *why;
};

/* In a child, right after fork(): nothing of its parent's is left to it but KEEP. It can then own, name and change files below its root whoever's they are, and not make devices, not
 * signal or trace others, start programs, open sockets, mount, or get rights back. DENIED, IO. */
DVS_MUST_USE dvs_err confine_self(const struct confine *confine);

#endif
