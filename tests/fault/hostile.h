/* SPDX-License-Identifier: Apache-2.0 */
/* A process that writes garbage wherever it can. */
#ifndef TESTS_FAULT_HOSTILE_H
#define TESTS_FAULT_HOSTILE_H

#include "talk.h"

struct hostile {
	struct talk_board *board;
	const char *control;
	uint32_t number; /* which of the hostile ones */
	uint32_t n_clients;
	uint32_t pause_us; /* between two pieces of garbage, at most; 0: as fast as it can */
	bool only_wipes; /* leaves all in peace but the hints of one inbox, which it wipes all the time */
	uint64_t seed;
};

/* Until the board says stop; the exit status. Gives up the privileges of root first. */
int hostile_run(const struct hostile *hostile);

#endif
