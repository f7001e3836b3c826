/* SPDX-License-Identifier: Apache-2.0 */
/* Starting proxies, and the agent. */
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

struct spawn_agent {
	const char *program;
	const char *run_dir;
	const char *lib_dir;
	const char *log_level;
	uint32_t node;
};

/* Start the agent. It ends with dvsd. FULL. */
DVS_MUST_USE dvs_err spawn_agent(const struct spawn_agent *what, uint32_t *pid);

/* A program: what the variable VARIABLE names, or NAME beside the program that runs. */
void spawn_find_program(const char *variable, const char *name, char *path, size_t size);

#endif
