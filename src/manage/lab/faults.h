/* SPDX-License-Identifier: Apache-2.0 */
/* Faults of a lab's node. */
#ifndef MANAGE_LAB_FAULTS_H
#define MANAGE_LAB_FAULTS_H

#include "manage/lab/lab.h"

/* What was done to a node as a whole; files in its directory keep it. */
enum lab_mark { LAB_OFF, LAB_PAUSED };

MUST_USE bool lab_node_is(const struct lab *lab, uint32_t node, enum lab_mark mark);
MUST_USE bool lab_node_mark(struct lab *lab, uint32_t node, enum lab_mark mark, bool on);

/* Whether NODE can do something: it is neither off nor paused. */
MUST_USE bool lab_node_serves(struct lab *lab, uint32_t node);

struct lab_fault {
	int signal;
	const char *process; /* dvsd, corosync, proxy; NULL or all: every process of the node */
};

/* lab_jobs: send a signal (a struct lab_fault), after SIGKILL wait for the end; and lose what
 * a machine without power loses. */
bool lab_job_signal(struct lab *lab, uint32_t node, void *arg, FILE *why);
bool lab_job_forget(struct lab *lab, uint32_t node, void *arg, FILE *why);

#endif
