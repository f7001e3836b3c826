/* SPDX-License-Identifier: Apache-2.0
 *
 * Ringing another endpoint's inbox. Used by partners (libdvk) and by dvsd. None of these can block or fail: they
 * change hints and wake a futex.
 */
#ifndef IPC_INBOX_H
#define IPC_INBOX_H

#include "ipc/layout.h"

/* Say that channel number CHANNEL has a request or a notification, and wake the owner if it sleeps for that.
 * Out-of-range numbers are ignored. Returns nonzero if a sleeper was woken. */
int inbox_ring_request(struct ipc_inbox *inbox, uint32_t channel);

/* Say that an answer has come; the owner sleeps (its lane said so). */
int inbox_ring_answer(struct ipc_inbox *inbox);

/* dvsd: say that an event was sent over the control socket (after it was sent), and wake the owner whatever it does. */
void inbox_ring_event(struct ipc_inbox *inbox);

#endif
