/* SPDX-License-Identifier: Apache-2.0 */
/* Where a reader runs. With one conversation at a time its message goes from the network to the reader to the endpoint to the sender to the
 * network: each of them waits for the one before, and waking the next one on the same CPU costs a tenth of waking it on another. So the
 * reader goes where the packets are worked on, and draws the endpoint there (ipc/draw.h). With several conversations the CPUs share
 * the work: then nobody is told where to run. */
#ifndef PROXY_NEAR_H
#define PROXY_NEAR_H

#include "ipc/policy.h"

struct carried;

struct near {
	struct carried *served; /* with a reference; NULL: none */
	unsigned streak;	/* frames in a row for it */
	unsigned idles;		/* since it was last looked at where packets come in */
	uint32_t cpu;		/* to which the thread is bound, plus 1; 0: none */
	struct policy_binding binding;
};

/* A frame for CH was heard. */
void near_heard(struct near *near, struct carried *ch);
/* Nothing more is there to read: the thread is about to sleep. CPU_OF says where packets come in. */
void near_idle(struct near *near, int (*cpu_of)(void *context), void *context);
/* The thread goes. */
void near_end(struct near *near);

#endif
