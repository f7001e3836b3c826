/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's end of the socket of one dc-init (src/proto/init.toml). It belongs to the loop's thread and never blocks.
 *
 * What dc-init says is hostile: who is root in the container may have tampered with it. A frame that is malformed, that nobody asked for, or that comes in a flood ends the connection; then a new one is
 * made, with growing pauses. Descriptors that come are what fdinfo of the kernel says they are, see init_fd_is_pipe(). */
#ifndef AGENT_INIT_LINK_H
#define AGENT_INIT_LINK_H

#include "agent/loop.h"
#include "base/cursor.h"
#include "proto/init_proto.h"

/* Requests that wait for an answer or for a connection. */
#define INIT_LINK_ASKS_MAX 8192u
/* What a dc-init that is well never says in a second. */
#define INIT_LINK_FRAMES_PER_S 20000u

struct init_link;

struct init_link_calls {
	/* Connected and greeted: what is known of its programs may be out of date. */
	void (*up)(void *context);
	/* The connection is lost; REFUSED: and nobody listens there. It is tried again until the link is closed. */
	void (*down)(void *context, bool refused);
	void (*exited)(void *context, const struct init_exited_req *event);
	void (*started)(void *context, const struct init_started_req *event);
};

/* Called once: with the answer, or with PEERDEAD when the connection is lost. BODY is the answer's, when ERR is OK; what is wanted of FDS is taken out (-1 is left there). A false answer says that
 * the body is malformed. */
typedef bool (*init_link_reply)(void *context, dvs_err err, struct cursor *body, int *fds,
				size_t n_fds);

DVS_MUST_USE dvs_err init_link_open(struct loop *loop, const char *path,
				    const struct init_link_calls *calls, void *context,
				    struct init_link **link);
/* Nothing is called any more. NULL is fine. */
void init_link_close(struct init_link *link);
bool init_link_is_up(const struct init_link *link);
/* Say OP with the body that is in OUT (see init_link_body()); the descriptors are closed in any case. REPLY may be NULL: nobody wants to know. While there is no connection it waits for one. FULL, NOMEM: REPLY is
 * not called. */
DVS_MUST_USE dvs_err init_link_ask(struct init_link *link, uint32_t op, struct writer *out,
				   int *fds, size_t n_fds, init_link_reply reply, void *context);
/* Where the body of a request is written: room for INIT_BODY_BYTES_MAX. */
struct writer init_link_body(struct init_link *link);
/* Whoever has CONTEXT is no more: its replies are not called. */
void init_link_forget(struct init_link *link, const void *context);

/* Whether FD, which came from dc-init, is what it should be: other files could block whoever reads them. */
bool init_fd_is_pipe(int fd);
bool init_fd_is_terminal(int fd);

#endif
