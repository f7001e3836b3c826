/* SPDX-License-Identifier: Apache-2.0 */
/* A thread that looks after the leaders of all connections: one that is still in the same call after WATCH_MS loses the lead, so that requests behind a call that takes longer than usual do not wait for
 * it. It sleeps while nothing happens. */
#ifndef GATEWAYS_NBD_WATCH_H
#define GATEWAYS_NBD_WATCH_H

#include <dvs/error.h>

#include "base/compiler.h"

#define WATCH_MS 2u

struct connection;
struct watch;

DVS_MUST_USE dvs_err watch_open(struct watch **watch);
/* No connection is watched any more. NULL is fine. */
void watch_close(struct watch *watch);
void watch_add(struct watch *watch, struct connection *connection);
void watch_remove(struct watch *watch, struct connection *connection);
/* A call of a leader begins. */
void watch_note(struct watch *watch);

#endif
