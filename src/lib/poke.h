/* SPDX-License-Identifier: Apache-2.0 */
/* Waking a thread of the own process, for the loop of a server (src/skeleton): no link, no dvsd, no endpoint of the waker. */
#ifndef LIB_POKE_H
#define LIB_POKE_H

#include <dvs/m3ipc.h>

/* End the present receive of SELF, or its next one, with WOKEN; also while SELF is a backup or migrates. For any thread of the process that has SELF; nobody unbinds it meanwhile. Never waits; a
 * system call only when SELF sleeps. */
void m3_poke(struct m3 *self);

#endif
