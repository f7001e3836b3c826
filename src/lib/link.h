/* SPDX-License-Identifier: Apache-2.0 */
/* The control socket: requests and their replies, events into the mail of the handles, and going on after dvsd restarted. */
#ifndef LIB_LINK_H
#define LIB_LINK_H

#include "base/cursor.h"
#include "lib/internal.h"

/* One request, then its reply. */
struct exchange {
	uint32_t op;
	uint64_t deadline_ns;
	/* Called with the lock held by the thread that reads the reply, before any later frame is read. May be NULL. */
	void (*on_reply)(struct dvk *dvk, struct exchange *x);
	void *arg;
	int fd[LINK_FDS_MAX]; /* sent along; afterwards those that came, the caller's to close; -1: none */
	/* inside: */
	struct list node;
	uint32_t id;
	bool done;
	dvs_err err;
	size_t bytes;
	uint8_t body[LINK_BODY_MAX];
};

/* Prepare X for OP; the body is to be written with the writer. The deadline is TIMEOUT_MS plus DVK_ANSWER_MS from now. */
struct writer exchange_init(struct exchange *x, uint32_t op, uint32_t timeout_ms);

/* Send what was written and wait for the reply, whose body *IN then reads. NODVSD, or what dvsd answers. */
DVS_MUST_USE dvs_err link_exchange(struct dvk *dvk, struct exchange *x, const struct writer *out,
				   struct cursor *in);

/* Send a request whose reply nobody needs. */
void link_tell(struct dvk *dvk, struct exchange *x, const struct writer *out);

/* Wait until LIST has a node, and take it out. TIMEOUT. */
DVS_MUST_USE dvs_err link_wait(struct dvk *dvk, struct list *list, uint64_t deadline_ns,
			       struct list **node);

/* Wait for whatever comes, until DEADLINE_NS; not if LIST has something or *OVER is an error. */
void link_turn(struct dvk *dvk, const struct list *list, const dvs_err *over, uint64_t deadline_ns);

/* Read what has come, without waiting. */
void link_pump(struct dvk *dvk);

/* An exchange with typed bodies: call_NAME(dvk, timeout_ms, &request, &reply). */
#define LINK_CALL(name, OP)                                                                        \
	DVS_MUST_USE static inline dvs_err call_##name(struct dvk *dvk, uint32_t timeout_ms,       \
						       const struct control_##name##_req *request, \
						       struct control_##name##_rep *reply)         \
	{                                                                                          \
		struct exchange x;                                                                 \
		struct cursor in;                                                                  \
		struct writer out = exchange_init(&x, OP, timeout_ms);                             \
		dvs_err err;                                                                       \
                                                                                                   \
		control_##name##_req_encode(&out, request);                                        \
		err = link_exchange(dvk, &x, &out, &in);                                           \
		return err ? err : control_##name##_rep_decode(&in, reply);                        \
	}

/* ---- for the files of this room ---- */

/* What came in. */
struct frame {
	uint32_t op;
	uint32_t id;
	uint32_t err;
	int fd[LINK_FDS_MAX];
	struct cursor in;
	uint8_t bytes[LINK_FRAME_MAX];
};

enum frame_result { FRAME_NONE, FRAME_GOT, FRAME_END };

bool frame_send(int socket_fd, struct exchange *x);
enum frame_result frame_receive(int socket_fd, struct frame *frame);
void frame_close_fds(int fd[LINK_FDS_MAX]);

/* A reply to whom it belongs, an event into the mail. */
void link_dispatch(struct dvk *dvk, struct frame *frame);

void link_send_locked(struct dvk *dvk, struct exchange *x);

/* An exchange that keeps the lock: for the hello and what belongs to it. */
DVS_MUST_USE dvs_err link_sync_locked(struct dvk *dvk, struct exchange *x, const struct writer *out,
				      struct cursor *in);

#endif
