/* SPDX-License-Identifier: Apache-2.0 */
/* Making a volume, for the commands that do: what it is to be stands in the base of a vol that was taken apart as VOL_NEW. */
#ifndef MANAGE_VOLUME_CREATE_H
#define MANAGE_VOLUME_CREATE_H

#include "manage/volume/vol.h"

/* How far an asynchronous volume may lag behind when nobody says it. */
#define VOL_LAG_DEFAULT (UINT64_C(64) << 20)

/* These return an exit status, EXIT_DONE if all went well; else the message is out. */

/* Whether there is none of that name yet. */
MUST_USE int vol_check_new(struct vol *vol);
/* Replicas for vol->base beside those that it has, until there are N: on the nodes that have the fewest; of equals this node, then the lowest number. */
MUST_USE int vol_choose_nodes(struct vol *vol, uint64_t n);
/* Make vol->base, which has all but a name, id and endpoint. WAITS: until all replicas are there; if they cannot, nothing of it stays. */
MUST_USE int vol_create(struct vol *vol, bool waits);

#endif
