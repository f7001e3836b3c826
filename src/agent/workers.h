/* SPDX-License-Identifier: Apache-2.0 */
/* Threads for what blocks. Work is done in the order in which it was added, by whichever thread is free. */
#ifndef AGENT_WORKERS_H
#define AGENT_WORKERS_H

#include "agent/loop.h"

struct workers;

/* The struct of whoever wants something done has it inside, and lives until `done`. */
struct work {
	struct loop_post post;
	struct list queued;
	void (*run)(struct work *work);	 /* in a worker: may block */
	void (*done)(struct work *work); /* then, in the loop */
};

DVS_MUST_USE dvs_err workers_open(struct loop *loop, unsigned int n_threads,
				  struct workers **workers);
/* From the loop. */
void workers_add(struct workers *workers, struct work *work, void (*run)(struct work *work),
		 void (*done)(struct work *work));

#endif
