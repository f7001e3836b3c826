/* SPDX-License-Identifier: Apache-2.0 */
/* A program in a container and our standard streams: what it writes comes out here, what comes in or is typed goes to
 * it, and its end is ours.
 *
 * Three threads, because each may have to wait: the caller's reads the output; one feeds stdin, which the program may
 * be slow to take; one passes signals and sizes of the terminal on. The last two open their own way to the agent
 * when they first need it. */
#ifndef MANAGE_CONTAINER_SESSION_H
#define MANAGE_CONTAINER_SESSION_H

#include "client/agent.h"
#include "manage/cli.h"

/* Exit statuses of dvs run, exec and attach that are not the program's. */
#define SESSION_FAILED 125
#define SESSION_NOT_EXECUTABLE 126
#define SESSION_NOT_FOUND 127

struct session_of {
	dvs_nodeid node;
	uint64_t program;
	uint64_t attach;
	bool tty;   /* the program has a terminal, and ours is to be like it */
	bool input; /* our stdin is its */
	bool ours;  /* we have started it: it is to see a broken pipe of ours */
};

/* Go on until the program has ended or nothing more can be done; AGENTS is the calling thread's. Returns the exit
 * status; messages are out. */
MUST_USE int session_run(struct cli *cli, struct agents *agents, const struct session_of *of);

/* The size of our terminal; 0 and 0: there is none. */
void session_size(uint16_t *rows, uint16_t *cols);

#endif
