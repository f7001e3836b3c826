/* SPDX-License-Identifier: Apache-2.0 */
/* The link of the command line with dvsd. Managers reach all DCs over the admin socket in the
 * run directory; a program inside a DC reaches its own over the control socket. The rest of
 * the commands do not see the difference. */
#ifndef MANAGE_LINK_H
#define MANAGE_LINK_H

#include <dvs/dvk.h>

#include "manage/cli.h"

struct link {
	struct dvk *dvk;
	bool admin;		   /* false: one DC only, the one that the control socket decides */
	char dc[DVS_NAME_MAX + 1]; /* the DC that the calls on endpoints mean; "" for none yet */
};

/* All of these return an exit status, EXIT_DONE if all went well; else the message is out. */

/* Open the admin socket; nothing else will do. */
MUST_USE int link_open_admin(struct cli *cli, struct link *link);

/* Open the admin socket or, if that is not for us and nobody named a run directory, the
 * control socket. */
MUST_USE int link_open(struct cli *cli, struct link *link);

void link_close(struct link *link);

/* From now on DVK's calls on endpoints mean the DC of that name. */
MUST_USE int link_enter(struct cli *cli, struct link *link, const char *dc);

/* The same without a message. NODC: there is none. */
DVS_MUST_USE dvs_err link_try_enter(struct link *link, const char *dc);

/* The DC that follows *CURSOR (0 at first), as dvk_dc_next(); inside a DC, that one alone. */
DVS_MUST_USE dvs_err link_next_dc(struct link *link, uint32_t *cursor, struct dvk_dc_info *info);

/* Say that DC does not exist, and which name may have been meant. WHAT: what failed. */
int link_fail_no_dc(struct cli *cli, struct link *link, const char *dc, const char *what);

/* Say that the admin socket could not be opened. */
int link_fail_admin(struct cli *cli, dvs_err err);

/* Where the admin socket is looked for. */
const char *link_run_dir(const struct cli *cli);

#endif
