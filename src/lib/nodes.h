/* SPDX-License-Identifier: Apache-2.0 */
#ifndef LIB_NODES_H
#define LIB_NODES_H

#include "lib/link.h"

/* The event happened. */
void nodes_event_locked(struct dvk *dvk, struct frame *frame);
void nodes_events_free(struct dvk *dvk);

#endif
