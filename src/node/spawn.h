/* SPDX-License-Identifier: Apache-2.0 */
/* Starting a proxy. */
#ifndef NODE_SPAWN_H
#define NODE_SPAWN_H

#include <stddef.h>
#include <stdint.h>

#include <dvs/error.h>

struct spawn_proxy {
	const char *program;
	const char *config; /* "": none */
	const char *log_level;
	const char *address;
	uint32_t peer;
	uint32_t node;
};

/* Start it with one end of a socket as descriptor 3; *FD is the other end. It ends with dvsd, and can gain no rights. FULL: no
 * process or descriptor is to be had; whether the program is there shows only by its end. */
DVS_MUST_USE dvs_err spawn_proxy(const struct spawn_proxy *what, int *fd, uint32_t *pid);

/* The proxy's program: DVS_PROXY, or dvs-proxy beside the program that runs. */
void spawn_find_proxy(char *path, size_t size);

#endif
