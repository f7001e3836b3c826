/* SPDX-License-Identifier: Apache-2.0 */
/* The loop of a server (decision D10 of the architecture): it receives, checks who may ask, hands each request to its handler from a table, sends the
 * answers, runs timers and what other threads post. A server is a table of handlers and its state; only this room calls m3_receive().
 *
 * One skeleton serves one server in one thread. It can hold several endpoints of that thread; at any moment it listens on one of them (a replicated server
 * listens on its own endpoint while it is a backup, and on the service's while it is the primary).
 *
 * The tables and the decoding around the handlers are generated (skeleton/<service>_serve.h): a service's `struct <service>_handlers` has for each operation
 *
 *	void (*read)(void *state, struct skeleton_request *request, const struct vdd_read_req *req);
 *
 * and a request is answered exactly once, in the handler or later, from the skeleton's thread, by skeleton_answer*() or the generated vdd_read_answer(). */
#ifndef SKELETON_SKELETON_H
#define SKELETON_SKELETON_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/dvk.h>
#include <dvs/m3ipc.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/log.h"
#include "base/post.h"

struct skeleton;

/* A request from its arrival to its answer. It lives until it is answered. */
struct skeleton_request {
	struct skeleton *skeleton;
	dvs_ep source; /* with its generation */
	uint32_t op;
	uint32_t call; /* of the source; the same when it is sent again after a promotion */
	bool resent;   /* the former primary may have carried it out */
	bool is_manager; /* it had to be one, and is: the operation's row or users_are_all wanted it */
	const uint8_t *data; /* the client can change it at any time: copy first, then check */
	size_t data_bytes;
	size_t reply_cap;
	uint8_t payload[DVS_PAYLOAD_BYTES];
	/* for whoever keeps it */
	void *keeper;
	struct list kept;
};

/* Who may ask for an operation; the values are those that protogen gives a service's allow. */
enum skeleton_allow {
	SKELETON_NOBODY = 0,
	SKELETON_USER,	  /* whoever skeleton_config.users lets in */
	SKELETON_MANAGER, /* an endpoint that may bind servers (DVS_MAY_BIND); what it was when it was first asked for holds until its binding ends */
};

/* One service that it answers. A server can have several (its own, that of the replicas), with different numbers. */
struct skeleton_service {
	const char *name;
	/* FIRST to LAST are the types of its messages. */
	uint32_t first;
	uint32_t last;
	enum skeleton_allow (*allow)(uint32_t op); /* SKELETON_NOBODY: there is no such operation */
	/* Decode and call the handler; an error (PROTO: it is malformed) is answered by the skeleton. */
	dvs_err (*serve)(const void *handlers, void *state, struct skeleton_request *request);
	const void *handlers;
	void *state;
};

struct skeleton_config {
	struct dvk *dvk; /* in the DC; also says what an endpoint may */
	struct log *log;
	bool users_are_all; /* SKELETON_USER: all of the DC; else managers */
	const struct skeleton_service *services;
	size_t n_services;
};

struct skeleton_timer {
	struct list by_deadline;
	bool is_set;
	uint64_t deadline_ns;
	void (*fire)(struct skeleton_timer *timer);
};

struct skeleton_figures {
	uint64_t requests;
	uint64_t refused; /* not allowed, malformed, unknown */
	uint64_t posts;
	uint64_t in_bytes;
	uint64_t out_bytes;
};

/* For the thread that calls, which binds a client endpoint of its own with it: where the skeleton listens first. The table of services stays the caller's. NOMEM, and what dvk_bind() returns. */
DVS_MUST_USE dvs_err skeleton_open(const struct skeleton_config *config,
				   struct skeleton **skeleton);
/* Requests that were not answered are dropped, and posts that have not run. All threads that post to it have ended. NULL is fine. */
void skeleton_close(struct skeleton *skeleton);
/* Its own endpoint. */
struct m3 *skeleton_self(struct skeleton *skeleton);
/* From now on listen on SELF, a handle of this thread; NULL: on its own endpoint. Requests that were received on another one
 * are still answered there. Posts and timers reach it also while SELF is a backup. SELF stays the caller's; before it is unbound: skeleton_forget(). */
void skeleton_listen(struct skeleton *skeleton, struct m3 *self);
/* SELF is about to be unbound: answers to what came there are dropped from now on, and who listens there listens on the own endpoint. */
void skeleton_forget(struct skeleton *skeleton, struct m3 *self);
/* Until skeleton_stop(). An endpoint that is lost (NOTBOUND) while it is listened on is forgotten and told by LOST, when there is one; else, and
 * for the own endpoint, it ends the loop with that error. */
DVS_MUST_USE dvs_err skeleton_run(struct skeleton *skeleton);
void skeleton_on_lost(struct skeleton *skeleton,
		      void (*lost)(void *context, struct m3 *self, dvs_err err), void *context);
/* For any thread. What is posted and due then is not done any more. */
void skeleton_stop(struct skeleton *skeleton);

/* ---- answers ---- */

/* Answer with ERR and up to 52 bytes of payload behind it (u32[0] is the error's number). Frees REQUEST. Who does not wait any more is no error. */
void skeleton_answer(struct skeleton_request *request, dvs_err err, const void *payload,
		     size_t len);
/* The same with BYTES of data, which may be the window of skeleton_window(): then nothing is copied. More than the client takes: it gets TOOBIG. */
void skeleton_answer_data(struct skeleton_request *request, dvs_err err, const void *payload,
			  size_t len, const void *data, size_t bytes);
/* users_are_all of the configuration is that from the next request on. */
void skeleton_set_users(struct skeleton *skeleton, bool users_are_all);
/* Without an answer: another server gives it, or nobody waits any more. Frees REQUEST. */
void skeleton_drop(struct skeleton_request *request);
/* Where the data of the answer can be written in place; NULL when the client is gone. *CAP is at most REQUEST->reply_cap. To be written and answered before the handler (or
 * post) returns: a client that has given up may be using it for its next call. */
void *skeleton_window(struct skeleton_request *request, size_t *cap);

/* ---- calls to others ---- */

/* A call of the server's own, of the endpoint on which it listens: the loop goes on meanwhile. The caller keeps it. */
struct skeleton_call {
	struct list under_way;
	struct m3 *self;	/* NULL: it is not under way */
	struct m3_begun *begun; /* NULL: its endpoint is gone */
	/* In the loop, once, unless it was cancelled. DATA (in place: the other one can change it at any time) and REPLY are valid during the call. ERR: as of m3_call(); what the other one says stands in REPLY. */
	void (*over)(struct skeleton_call *call, dvs_err err, const struct dvs_msg *reply,
		     const uint8_t *data, size_t bytes);
};

/* Where the data of the next skeleton_call() to DST can be written in place, as by m3_call_window(); DST is looked up at dvsd if need be, for TIMEOUT_MS at most. BADSTATE also: the loop listens on its own endpoint. */
DVS_MUST_USE dvs_err skeleton_call_window(struct skeleton *skeleton, dvs_ep dst,
					  uint32_t timeout_ms, void **window);
/* Begin CALL to DST, whose window was asked for before; BYTES are in it. One call to each DST at a time: else BADSTATE. */
DVS_MUST_USE dvs_err skeleton_call(struct skeleton *skeleton, struct skeleton_call *call,
				   dvs_ep dst, const struct dvs_msg *msg, const void *window,
				   size_t bytes, size_t reply_cap);
/* Its answer is not wanted any more. One that is not under way is fine. */
void skeleton_call_cancel(struct skeleton_call *call);

/* ---- other things that happen ---- */

/* A poster to this loop, for any thread of the process. */
struct poster skeleton_poster(struct skeleton *skeleton);
/* (Re)set; a zeroed timer is not set. */
void skeleton_timer_set(struct skeleton *skeleton, struct skeleton_timer *timer,
			uint64_t deadline_ns, void (*fire)(struct skeleton_timer *timer));
void skeleton_timer_cancel(struct skeleton *skeleton, struct skeleton_timer *timer);
const struct skeleton_figures *skeleton_figures(const struct skeleton *skeleton);

#endif
