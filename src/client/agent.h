/* SPDX-License-Identifier: Apache-2.0 */
/* Calling the agents of nodes (src/proto/agent.toml) by M3-IPC.
 *
 * A struct agents is a link with the DC of the agents and one bound endpoint, for one thread; a second thread makes its own (agents_open() again). For each
 * operation client/calls.h has a call with the generated structs. */
#ifndef CLIENT_AGENT_H
#define CLIENT_AGENT_H

#include <dvs/container.h>
#include <dvs/m3ipc.h>

#include "proto/agent_proto.h"

#define AGENT_TEXT_MAX 1000u

struct agents;

/* RUN_DIR: of the dvsd to go through, NULL as in dvk_admin_open(). For the thread that calls. NODVSD, DENIED, NOQUORUM (a new client needs it), NOMEM.
 * NOAGENT: this node can have no agent. */
DVS_MUST_USE dvs_err agents_open(const char *run_dir, struct agents **agents);
/* NULL is fine. */
void agents_close(struct agents *agents);
/* What the last call was told with its error: a sentence, or "". Valid until the next call. */
const char *agents_text(const struct agents *agents);
/* The admin link behind it, for dvs/container.h. */
struct dvk *agents_admin(struct agents *agents);

/* Call the agent of NODE; it is started if it does not run. OP: AGENT_*. BODY (LEN) is the request's; the reply's body goes to agents_reply() and
 * *REPLY_LEN. What the agent answers; or NODEDOWN, NOAGENT, NOQUORUM, TIMEOUT, PEERDEAD (the agent has died: what was asked may have been done). */
DVS_MUST_USE dvs_err agents_call(struct agents *agents, dvs_nodeid node, uint32_t op,
				 const void *body, size_t len, size_t *reply_len,
				 uint32_t timeout_ms);

void *agents_body(struct agents *agents);  /* AGENT_BODY_BYTES_MAX bytes for a request */
void *agents_reply(struct agents *agents); /* as many for the reply */

#endif
