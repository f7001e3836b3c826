/* SPDX-License-Identifier: Apache-2.0 */
/* The agent's endpoint in DC ".dvs": takes the requests and sends the answers. */
#ifndef AGENT_SERVER_H
#define AGENT_SERVER_H

#include "agent/agent.h"

DVS_MUST_USE dvs_err server_open(struct agent *agent, struct server **server);
/* Bind the endpoint and begin to receive; handlers run in the loop. A thread waits for the quorum, and for a former agent's end. When the endpoint is lost the loop is
 * stopped: the agent is to end, and a new one takes up what it had. */
DVS_MUST_USE dvs_err server_start(struct server *server);

/* EP of DC ".dvs" is bound no more. */
void server_client_gone(struct server *server, dvs_ep ep);
/* Events were lost: look which clients are still there. */
void server_check_clients(struct server *server);

/* The handler of an operation; NULL: there is none. */
agent_op_handler op_handler(uint32_t op);

/* Operations of main's own files. */
void op_hello(struct agent *agent, struct request *request);
void op_check(struct agent *agent, struct request *request);
void op_volume_attach(struct agent *agent, struct request *request);
void op_volume_detach(struct agent *agent, struct request *request);
void op_attachments(struct agent *agent, struct request *request);
void op_doctor(struct agent *agent, struct request *request);
void op_containers(struct agent *agent, struct request *request);
void op_usage(struct agent *agent, struct request *request);
void op_images(struct agent *agent, struct request *request);
void op_image_remove(struct agent *agent, struct request *request);
void op_image_says(struct agent *agent, struct request *request);

#endif
