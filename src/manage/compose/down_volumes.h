/* SPDX-License-Identifier: Apache-2.0 */
/* dvs down --volumes: all volumes and file systems of a DC, with what is in them. */
#ifndef MANAGE_COMPOSE_DOWN_VOLUMES_H
#define MANAGE_COMPOSE_DOWN_VOLUMES_H

#include "manage/cli.h"

/* These return an exit status, EXIT_DONE if all went well; else the message is out. */

/* Whether nobody has one of them as a block device. */
MUST_USE int down_check_volumes(struct cli *cli, const char *dc);
/* Remove them. */
MUST_USE int down_volumes(struct cli *cli, const char *dc);

#endif
