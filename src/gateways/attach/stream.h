/* SPDX-License-Identifier: Apache-2.0 */
/* A backend behind the kernel's NBD client: a socket on which requests come and simple replies go, as in the transmission phase of the NBD protocol. There is no negotiation: the kernel is
 * told size and flags when it gets the other end (nbd_kernel.h). Threads take turns at receiving, so that several requests are worked on at once, in no order. */
#ifndef GATEWAYS_ATTACH_STREAM_H
#define GATEWAYS_ATTACH_STREAM_H

#include <dvs/error.h>

#include "gateways/attach/backend.h"

/* The most that a read or write may have: the kernel's limit for NBD. */
#define STREAM_PAYLOAD_MAX (32u << 20)

struct stream;

struct stream_config {
	const struct attach_backend *backend; /* which must outlive the stream */
	struct attach_geometry geometry;
	unsigned int n_threads; /* how many requests are worked on at once */
};

/* Serve it, from threads of its own, which live as long as the other end. *KERNEL_FD is the caller's: the end for the kernel, a stream socket. WHY gets a sentence. */
DVS_MUST_USE dvs_err stream_open(const struct stream_config *config, struct stream **stream,
				 int *kernel_fd, char why[ATTACH_WHY_MAX]);
/* A descriptor that becomes readable when the kernel has said that it is over, or has closed its end, and everything that was asked before is done. */
int stream_ended_fd(const struct stream *stream);
/* After that. */
void stream_close(struct stream *stream);
/* The disk has another size now. */
void stream_resized(struct stream *stream, uint64_t bytes);

#endif
