/* SPDX-License-Identifier: Apache-2.0 */
/* One process serves all volumes of a DC that have a replica on this node (docs/decisions/0021). Its main thread follows the records of the DC: it starts a unit (a thread) for each volume, tells it
 * what has changed, and ends it. A second thread listens to what happens in the DVS and tells both. */
#ifndef SERVERS_VDD_PROCESS_H
#define SERVERS_VDD_PROCESS_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

#include <dvs/dvk.h>

#include "base/compiler.h"
#include "base/list.h"
#include "base/log.h"

struct process_options {
	char run_dir[108];
	char lib_dir[108];
	char dc[DVS_NAME_MAX + 1];
	uint32_t node;
	enum log_level log_level;
};

struct process {
	struct process_options options;
	struct log log;
	/* Any thread may use them: */
	struct dvk *admin; /* the admin link, which has entered the DC */
	struct dvk *dvk;   /* in the DC */
	int wake_fd;	   /* an eventfd: look at the records, or at units that have ended */
	int signal_fd;
	/* the main thread's: */
	bool is_stopping;
	struct list failures; /* volumes that could not be served, to be tried again */
	pthread_mutex_t lock;
	struct list units; /* under lock; those of the main thread's reading need none */
};

/* Until SIGTERM or SIGINT, or until the DC has no volume with a replica here. What dvsd's calls return; */
DVS_MUST_USE dvs_err process_run(struct process *process);
/* For any thread: the main thread is to look again. */
void process_wake(struct process *process);

#endif
