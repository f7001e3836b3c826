/* SPDX-License-Identifier: Apache-2.0 */
/* A replica more or less of a volume, for the commands that change where it is. */
#ifndef MANAGE_VOLUME_REPLICA_H
#define MANAGE_VOLUME_REPLICA_H

#include "manage/volume/vol.h"

/* These return an exit status, EXIT_DONE if all went well; else the message is out. */

/* One more on NODE, at PLACE ("": the store's own), which its store can have. WAITS: until it is in sync; if it cannot be, nothing of it stays. */
MUST_USE int vol_add_replica(struct vol *vol, const struct dvk_node_info *node, const char *place,
			     bool waits);
/* That of NODE is not needed any more. Unless BY_FORCE, another one has everything, and becomes the primary if it was that. */
MUST_USE int vol_remove_replica(struct vol *vol, const struct dvk_node_info *node, bool by_force);

#endif
