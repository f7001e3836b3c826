/* SPDX-License-Identifier: Apache-2.0 */
/* Groups: what dvsd tells of them. */
#ifndef LIB_GROUP_H
#define LIB_GROUP_H

#include "lib/internal.h"
#include "lib/link.h"

/* Whether FRAME was an event of a group; then it is taken. */
bool group_event_locked(struct dvk *dvk, struct frame *frame);
/* Another dvsd is there, which knows no memberships. */
void groups_end_locked(struct dvk *dvk);

#endif
