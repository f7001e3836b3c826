/* SPDX-License-Identifier: Apache-2.0 */
/* Calls that are answered when a DC has settled on all its nodes: made by a thread of their own, while how far it is shows. */
#ifndef MANAGE_CONTAINER_SETTLE_H
#define MANAGE_CONTAINER_SETTLE_H

#include <dvs/container.h>

#include "client/agent.h"
#include "manage/cli.h"
#include "manage/nodes.h"

/* Images may have to be copied before a container can be. */
#define SETTLE_CREATE_MS (60u * 60 * 1000)
#define SETTLE_MS (5u * 60 * 1000)

struct settle {
	struct cli *cli;
	struct dvk *admin;
	struct agents *agents;	   /* NULL: images that are copied are not looked for */
	const struct nodes *nodes; /* to be named */
	const char *dc;
	const char *what; /* "create dc web" */
	dvs_err (*call)(void *context);
	void *context;
};

/* What the call returns. Who presses Ctrl-C ends this process (130); what was begun goes on. */
DVS_MUST_USE dvs_err settle_call(const struct settle *settle);

#endif
