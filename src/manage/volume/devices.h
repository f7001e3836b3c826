/* SPDX-License-Identifier: Apache-2.0 */
/* Volumes as block devices of other nodes, by the agents there. The functions that return an int return an exit status, EXIT_DONE if all went well; else the message is out. */
#ifndef MANAGE_VOLUME_DEVICES_H
#define MANAGE_VOLUME_DEVICES_H

#include <jansson.h>

#include "manage/cli.h"

#define DEVICES_PATH_BYTES 64

/* On the node of option --node. DEVICE gets its path there. */
MUST_USE int devices_attach(struct cli *cli, const char *volume, char device[DEVICES_PATH_BYTES]);
MUST_USE int devices_detach(struct cli *cli, const char *what, uint32_t timeout_ms);
/* Those of the node of option --node, or of all that are up when there is none: to ROWS, each with a key "node". A node that does not answer is noted. */
MUST_USE int devices_list(struct cli *cli, json_t *rows);

#endif
