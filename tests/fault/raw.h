/* SPDX-License-Identifier: Apache-2.0 */
/* A link with dvsd without libdvk's manners: any frame, at any time, and the memory that comes with the replies. */
#ifndef TESTS_FAULT_RAW_H
#define TESTS_FAULT_RAW_H

#include "lib/link.h"
#include "proto/control_proto.h"

struct raw_link {
	int fd; /* -1: closed by either side */
	uint32_t id;
	uint32_t patience_ms; /* for an answer; 0: two seconds */
	/* Called for each event; may take its descriptors. NULL: they are dropped. */
	void (*on_event)(void *arg, struct frame *frame);
	void *arg;
};

/* Connect to the socket PATH. False: it cannot be reached. */
bool raw_open(struct raw_link *link, const char *path);
void raw_close(struct raw_link *link);

/* Prepare X for OP, as exchange_init(). */
struct writer raw_begin(struct exchange *x, uint32_t op);

/* Send what was written, do not wait. */
bool raw_send(struct raw_link *link, struct exchange *x, const struct writer *out);

/* Send LEN bytes that need not be a frame, with a descriptor (-1: none). */
bool raw_send_bytes(struct raw_link *link, const void *bytes, size_t len, int fd);

/* Send and wait for the reply; its body is in x->body, its descriptors in x->fd. NODVSD: the link was closed, or nothing
 * came in time. */
dvs_err raw_ask(struct raw_link *link, struct exchange *x, const struct writer *out);

/* Read what has come, without waiting. */
void raw_pump(struct raw_link *link);

/* The hello of a fresh process; FD gets its two areas. */
dvs_err raw_hello(struct raw_link *link, int fd[2]);

dvs_err raw_bind(struct raw_link *link, uint32_t want, struct control_bind_rep *reply);

/* FD gets the channel and the inbox area of the partner. */
dvs_err raw_connect(struct raw_link *link, uint32_t ep, uint32_t to,
		    struct control_connect_rep *reply, int fd[2]);

#endif
