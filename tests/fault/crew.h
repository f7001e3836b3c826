/* SPDX-License-Identifier: Apache-2.0 */
/* The processes of a test that talk (talk.h): started, killed, replaced, watched. */
#ifndef TESTS_FAULT_CREW_H
#define TESTS_FAULT_CREW_H

#include <sys/types.h>

#include "lab.h"
#include "talk.h"

struct crew {
	struct talk talk;
	const char *
		other_control; /* of another node, where every second one lives; NULL: all are on one */
	uint32_t n_seats;
	pid_t pid[TALK_SEATS]; /* 0: empty */
};

void crew_open(struct crew *crew, const struct lab *lab, uint32_t n_clients, uint64_t seed);

/* Start all, and wait until they are bound. */
void crew_start(struct crew *crew);

/* Kill the process in SEAT, and start its successor. */
void crew_replace(struct crew *crew, uint32_t seat);

/* Fails the test when somebody has noted a failure, died by itself, or waits for too long. */
void crew_check(struct crew *crew);

/* Let all end, clients first, and check that they could. */
void crew_stop(struct crew *crew);

/* Print how much was done and how long the longest call took. */
void crew_report(const struct crew *crew);

uint64_t crew_done(const struct crew *crew);

/* Wait until nobody is bound any more, and check what dvsd counts. */
void crew_check_nothing_left(const struct lab *lab, const struct crew *crew);

#endif
