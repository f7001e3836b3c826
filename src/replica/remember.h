/* SPDX-License-Identifier: Apache-2.0 */
/* The last call of each client that was carried out, and what came of it, so that a call that is sent again is not carried out twice. Of
 * REMEMBER_MAX clients: a new one takes the place of the one that has been silent for the longest time. */
#ifndef REPLICA_REMEMBER_H
#define REPLICA_REMEMBER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <dvs/m3ipc.h>

#include "base/compiler.h"

#define REMEMBER_MAX 4096u

struct remember;

/* What one client is remembered for. */
struct remembered {
	dvs_ep client;
	uint32_t call;
	dvs_err result;
};

/* NULL: no memory. */
MUST_USE struct remember *remember_open(void);
void remember_close(struct remember *remember);
/* Nothing is remembered any more. */
void remember_clear(struct remember *remember);
/* CLIENT with n 0 is nobody. A call before the one that is known of that client changes nothing; of the same one the last word counts. */
void remember_add(struct remember *remember, const struct remembered *what);
/* Whether CALL was carried out, and what came of it. */
bool remember_find(const struct remember *remember, dvs_ep client, uint32_t call, dvs_err *result);
/* All, the longest silent first; ROOM has place for REMEMBER_MAX. How many. */
size_t remember_all(const struct remember *remember, struct remembered *room);

#endif
