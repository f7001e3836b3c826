/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-agent's own data: what its parts share.
 *
 *	server     the endpoint in DC ".dvs": takes requests, sends the answers
 *	reconcile  makes of this node's containers what is wanted
 *	programs   what runs in the containers: links to their dc-inits, output, attachments, logs
 *	jobs       what takes long
 *	streams    archives that come and go in pieces
 *	volumes    the processes that serve the node's volumes and file systems
 *	mounts     the gateways by which containers see file systems
 *
 * All of them live in the loop's thread. What blocks (crun, images, dvsd's answers that take long) is done by workers, which post back. */
#ifndef AGENT_AGENT_H
#define AGENT_AGENT_H

#include <dvs/container.h>
#include <dvs/dvk.h>

#include "agent/loop.h"
#include "agent/request.h"
#include "base/log.h"
#include "container/container.h"

struct server;
struct reconcile;
struct programs;
struct jobs;
struct streams;
struct workers;
struct volumes;
struct mounts;

struct agent_options {
	char run_dir[108];
	char lib_dir[108];
	enum log_level log_level;
};

struct agent {
	struct agent_options options;
	struct log log;
	struct container_host host;
	uint32_t node;
	uint64_t started_ns; /* CLOCK_REALTIME */
	int node_mounts;     /* the mount namespace of dvsd; -1 when it cannot be named */
	/* Any thread may use them: */
	struct dvk *admin; /* the admin link */
	struct dvk *dvk;   /* in DC ".dvs" */
	struct loop *loop;
	struct workers *workers;
	struct server *server;
	struct reconcile *reconcile;
	struct programs *programs;
	struct jobs *jobs;
	struct streams *streams;
	struct volumes *volumes;
	struct mounts *mounts;
};

typedef void (*agent_op_handler)(struct agent *agent, struct request *request);

#endif
