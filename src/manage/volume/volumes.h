/* SPDX-License-Identifier: Apache-2.0 */
/* Options of several commands on volumes, and what those commands share. */
#ifndef MANAGE_VOLUME_VOLUMES_H
#define MANAGE_VOLUME_VOLUMES_H

#include "manage/volume/vol.h"

/* These return an exit status, EXIT_DONE if all went well; else the message is out. */

/* TEXT as the size of a volume. */
MUST_USE int volumes_size(struct cli *cli, const char *text, uint64_t *bytes);
/* --resync-rate; 0 when it is "none" or was not given. */
MUST_USE int volumes_rate(struct cli *cli, uint64_t *bytes_per_s);
/* --lag, which was given. */
MUST_USE int volumes_lag(struct cli *cli, uint64_t *bytes);
/* What --place says for each of the nodes in REPLICAS of VOLUME; what its store needs must be there. */
MUST_USE int volumes_places(struct vol *vol, struct volume *volume);
/* A new UUID. False, with errno: the kernel gives no random bytes. */
MUST_USE bool volumes_new_id(char id[37]);

/* The second word of the command line as the name of a snapshot. False: it is none, and the message is out. */
MUST_USE bool vol_snapshot_name_ok(struct cli *cli);
/* Take a snapshot of that name, and print it. */
MUST_USE int vol_snapshot(struct vol *vol);
/* Of one that was reached: another size. */
MUST_USE int vol_resize(struct vol *vol, uint64_t bytes);
/* Let NODE be the primary with whatever it has, though no other one is left that has everything. */
MUST_USE int vol_force(struct vol *vol, const struct dvk_node_info *node);
/* Let NODE be the primary, and wait until it is. One that cannot take over yet is asked again until UNTIL_NS (0: it is asked once). */
MUST_USE int vol_hand_over(struct vol *vol, const struct dvk_node_info *node, uint64_t until_ns);
/* Remove the record NAME and what belongs to it: its servers end, and remove what they have stored. */
MUST_USE int vol_forget(struct vol *vol, const struct volume *volume);

#endif
