/* SPDX-License-Identifier: Apache-2.0 */
/* A server of service vdd in a thread of the test, with a dvsd of the test's own: for tests of the loop around the handlers. */
#ifndef TESTS_SKELETON_STAND_H
#define TESTS_SKELETON_STAND_H

#include <pthread.h>
#include <semaphore.h>

#include "client/vdd_calls.h"
#include "lab.h"
#include "skeleton/vdd_serve.h"
#include "unit.h"

#define SERVICE 300u
#define PATIENCE_MS 15000u
#define DISK_BYTES (256u * 1024)

struct stand {
	struct lab lab;
	struct dvk *dvk;
	struct m3 *self; /* the test's own endpoint */
	struct log log;
	pthread_t thread;
	sem_t said; /* whatever the server has to say */
	bool users_are_all;
	struct skeleton *skeleton;
	struct poster poster;
	dvs_err ended; /* what skeleton_run() gave */
	/* the server's */
	struct m3 *service;
	uint8_t disk[DISK_BYTES];
	struct skeleton_request *kept; /* by flush */
	struct skeleton_timer timer;
	uint32_t n_fired;
	dvs_ep lost;
	void *context; /* the test's */
};

/* With service SERVICE bound and listened to. */
struct stand *stand_open(bool users_are_all);
/* The server alone. */
void stand_stop(struct stand *stand);
void stand_close(struct stand *stand);

/* Run RUN(stand) in the server's thread, and wait until it has. */
void stand_run(struct stand *stand, void (*run)(struct stand *stand));
/* Wait until the server has sem_post()ed `said`. */
void stand_hear(struct stand *stand);

#endif
