/* SPDX-License-Identifier: Apache-2.0 */
/* A request of a client (src/proto/agent.toml), from its arrival to its answer. Everything here belongs to the loop's thread.
 *
 * A handler answers at once, or keeps the request and answers later; each request is answered exactly once, which frees it. Who keeps one sets `gone`:
 * it is called when the client is no more (dead, or unbound), after which the request does not exist.
 *
 *	void op_resize(struct agent *agent, struct request *request)
 *	{
 *		struct agent_resize_req req;
 *
 *		if (!REQUEST_DECODE(request, resize, &req))
 *			return;                               (is answered)
 *		...
 *		request_fail(request, DVS_NOTFOUND, "there is no attachment %llu", ...);   or
 *		request_done(request);                        or, with a body,
 *		REQUEST_ANSWER(request, run, &rep);
 *	} */
#ifndef AGENT_REQUEST_H
#define AGENT_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/m3ipc.h>

#include "base/compiler.h"
#include "base/cursor.h"
#include "base/list.h"
#include "proto/agent_proto.h"

struct agent;

struct request {
	struct agent *agent;
	dvs_ep source; /* with its generation: whom an attachment belongs to */
	uint32_t op;
	uint32_t call; /* of the source */
	size_t reply_cap;
	const uint8_t *body;
	size_t len;
	struct cursor in;
	/* for whoever keeps it */
	void (*gone)(struct request *request);
	void *keeper;
	struct list kept; /* a list of the keeper's; taken out by the answer */
	/* the server's */
	struct list of_server;
};

/* Decode the request's body; answer BADARG and be false when it is malformed. */
#define REQUEST_DECODE(request, name, into) \
	(agent_##name##_req_decode(&(request)->in, (into)) == DVS_OK || request_malformed(request))
/* Answer with a body. */
#define REQUEST_ANSWER(which, name, from)                                     \
	do {                                                                  \
		struct request *answered_ = (which);                          \
                                                                              \
		agent_##name##_rep_encode(request_writer(answered_), (from)); \
		request_written(answered_);                                   \
	} while (0)

/* Answer OK with LEN bytes at BODY. Frees REQUEST. */
void request_reply(struct request *request, const void *body, size_t len);
/* Answer OK without a body. Frees REQUEST. */
void request_done(struct request *request);
/* Answer ERR with a sentence: what, why, what to try. Frees REQUEST. */
PRINTF_LIKE(3, 4)
void request_fail(struct request *request, dvs_err err, const char *format, ...);

/* For the macros above. */
bool request_malformed(struct request *request);
struct writer *request_writer(struct request *request);
void request_written(struct request *request);

#endif
