/* SPDX-License-Identifier: Apache-2.0 */
/* The process of an attachment that carries requests out, and what it tells the keeper. */
#ifndef GATEWAYS_ATTACH_SERVER_H
#define GATEWAYS_ATTACH_SERVER_H

#include "gateways/attach/keeper.h"

enum server_says {
	SERVER_GONE,
	SERVER_FAILED, /* with an error and why */
	SERVER_READY, /* with a descriptor: the mount in which the file is, or the socket for the kernel's NBD client */
	SERVER_RESIZED, /* the disk has another size */
};

struct server_word {
	enum server_says says;
	dvs_err err;
	bool is_read_only;
	uint64_t bytes; /* of READY and RESIZED: the disk's size */
	int fd;		/* the receiver's */
	char why[ATTACH_WHY_MAX];
};

/* In a fresh child: open the backend, mount it as file NAME or serve it to the kernel's NBD client, and serve until nobody has it open. Returns the exit status. */
int server_run(const struct attach_config *config, const char *name, int keeper_fd);
/* The keeper's side. A word that is none, or the end: GONE. */
void server_hear(int fd, struct server_word *word);

#endif
