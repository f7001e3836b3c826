/* SPDX-License-Identifier: Apache-2.0 */
/* A call for each operation of the agent:
 *
 *	dvs_err agent_call_NAME(agents, node, const struct agent_NAME_req *req, struct agent_NAME_rep *rep, timeout_ms)
 *
 * REQ NULL: it has no fields. REP NULL: it has none, or they are of no interest. As agents_call(); BADARG: REQ does not fit the protocol.
 * PROTO: the agent's answer is malformed. */
#ifndef CLIENT_CALLS_H
#define CLIENT_CALLS_H

#include "base/cursor.h"
#include "client/agent.h"

#define AGENT_CALL(name, op)                                                                     \
	DVS_MUST_USE static inline dvs_err agent_call_##name(                                    \
		struct agents *agents, dvs_nodeid node, const struct agent_##name##_req *req,    \
		struct agent_##name##_rep *rep, uint32_t timeout_ms)                             \
	{                                                                                        \
		struct writer out = writer_over(agents_body(agents), AGENT_BODY_BYTES_MAX);      \
		struct cursor in;                                                                \
		size_t len = 0;                                                                  \
		dvs_err err;                                                                     \
                                                                                                 \
		if (req)                                                                         \
			agent_##name##_req_encode(&out, req);                                    \
		if (!writer_ok(&out))                                                            \
			return DVS_BADARG;                                                       \
		err = agents_call(agents, node, op, agents_body(agents), writer_len(&out), &len, \
				  timeout_ms);                                                   \
		if (err != DVS_OK || !rep)                                                       \
			return err;                                                              \
		in = cursor_over(agents_reply(agents), len);                                     \
		return agent_##name##_rep_decode(&in, rep);                                      \
	}

AGENT_CALL(hello, AGENT_HELLO)
AGENT_CALL(check, AGENT_CHECK)
AGENT_CALL(run, AGENT_RUN)
AGENT_CALL(attach, AGENT_ATTACH)
AGENT_CALL(read, AGENT_READ)
AGENT_CALL(write, AGENT_WRITE)
AGENT_CALL(resize, AGENT_RESIZE)
AGENT_CALL(detach, AGENT_DETACH)
AGENT_CALL(signal, AGENT_SIGNAL)
AGENT_CALL(wait, AGENT_WAIT)
AGENT_CALL(forget, AGENT_FORGET)
AGENT_CALL(programs, AGENT_PROGRAMS)
AGENT_CALL(logs, AGENT_LOGS)
AGENT_CALL(containers, AGENT_CONTAINERS)
AGENT_CALL(usage, AGENT_USAGE)
AGENT_CALL(copy_in, AGENT_COPY_IN)
AGENT_CALL(copy_out, AGENT_COPY_OUT)
AGENT_CALL(stream_read, AGENT_STREAM_READ)
AGENT_CALL(stream_write, AGENT_STREAM_WRITE)
AGENT_CALL(stream_close, AGENT_STREAM_CLOSE)
AGENT_CALL(images, AGENT_IMAGES)
AGENT_CALL(image_import, AGENT_IMAGE_IMPORT)
AGENT_CALL(image_fetch, AGENT_IMAGE_FETCH)
AGENT_CALL(image_send, AGENT_IMAGE_SEND)
AGENT_CALL(image_remove, AGENT_IMAGE_REMOVE)
AGENT_CALL(image_says, AGENT_IMAGE_SAYS)
AGENT_CALL(job, AGENT_JOB)
AGENT_CALL(job_stop, AGENT_JOB_STOP)
AGENT_CALL(jobs, AGENT_JOBS)
AGENT_CALL(doctor, AGENT_DOCTOR)
AGENT_CALL(volume_attach, AGENT_VOLUME_ATTACH)
AGENT_CALL(volume_detach, AGENT_VOLUME_DETACH)
AGENT_CALL(attachments, AGENT_ATTACHMENTS)

#undef AGENT_CALL

#endif
