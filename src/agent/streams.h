/* SPDX-License-Identifier: Apache-2.0 */
/* Archives that come and go in pieces: files of containers and images. Behind each stream is a pipe, and at its other end a child process or a thread. */
#ifndef AGENT_STREAMS_H
#define AGENT_STREAMS_H

#include "agent/agent.h"

DVS_MUST_USE dvs_err streams_open(struct agent *agent, struct streams **streams);
/* The streams that CLIENT opened end. */
void streams_client_gone(struct streams *streams, dvs_ep client);

void op_copy_in(struct agent *agent, struct request *request);
void op_copy_out(struct agent *agent, struct request *request);
void op_stream_read(struct agent *agent, struct request *request);
void op_stream_write(struct agent *agent, struct request *request);
void op_stream_close(struct agent *agent, struct request *request);
void op_image_send(struct agent *agent, struct request *request);

#endif
