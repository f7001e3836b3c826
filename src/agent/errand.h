/* SPDX-License-Identifier: Apache-2.0 */
/* A request whose answer takes something that blocks, but not long: a worker finds it out, then the loop answers. */
#ifndef AGENT_ERRAND_H
#define AGENT_ERRAND_H

#include "agent/agent.h"

struct errand {
	struct agent *agent;
	struct request *request; /* NULL: its client has died meanwhile */
	dvs_err err;
	char why[DESCRIPTION_TEXT_MAX];
	void (*abandoned)(
		struct errand *errand); /* may be NULL: the client died after RUN had succeeded */
	/* bytes that the two sides share, of the size that was asked for, zeroed at first */
	void *own;
};

/* NULL: there is no memory, and the request is answered. The caller fills errand->own and starts it. */
struct errand *errand_create(struct request *request, size_t own_bytes);
/* RUN in a worker; then ANSWER in the loop, if the client still lives and RUN left errand->err OK: with another one the request has failed with it and errand->why. ERRAND is freed afterwards. */
void errand_start(struct errand *errand, void (*run)(struct errand *errand),
		  void (*answer)(struct errand *errand));

#endif
