/* SPDX-License-Identifier: Apache-2.0 */
/* The kernel's NBD client: it makes a block device of a socket on which somebody answers (stream.h). One that this room makes goes when nobody has it open any more, as its loop
 * devices do. Behind a table, so that tests have a stand-in for the kernel. */
#ifndef GATEWAYS_ATTACH_NBD_KERNEL_H
#define GATEWAYS_ATTACH_NBD_KERNEL_H

#include <stdbool.h>
#include <stdint.h>

#include <dvs/error.h>

#include "gateways/attach/backend.h"
#include "gateways/attach/loop.h"

struct nbd_wish {
	int socket_fd; /* the kernel keeps its own hold on it */
	uint64_t bytes;
	bool is_read_only;
	const char *name; /* by which the device can be told from a later one of that number */
};

struct nbd_kernel {
	void *context;
	/* A free device over the socket: its path to DEVICE, and open as *FD, which keeps it. WHY gets a sentence. */
	dvs_err (*connect)(void *context, const struct nbd_wish *wish, char device[LOOP_DEVICE_MAX],
			   int *fd, char why[ATTACH_WHY_MAX]);
	/* DEVICE, made with NAME, has another size now. */
	dvs_err (*resize)(void *context, const char *device, const char *name, uint64_t bytes);
};

/* That of this machine, by generic netlink. */
extern const struct nbd_kernel nbd_kernel_netlink;

/* Whether it can be used: the module is there, and this is the network namespace of the machine. NOTSUP. WHY gets a sentence, with what helps. */
DVS_MUST_USE dvs_err nbd_kernel_check(char why[ATTACH_WHY_MAX]);
/* Whether DEVICE is an NBD device that was made with NAME. Kernels before 5.14 do not say: no. */
bool nbd_kernel_is_over(const char *device, const char *name);

#endif
