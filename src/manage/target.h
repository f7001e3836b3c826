/* SPDX-License-Identifier: Apache-2.0 */
/* How a user names a DC or an endpoint: "DC", "DC/NUMBER" or "DC/NUMBER.GENERATION". */
#ifndef MANAGE_TARGET_H
#define MANAGE_TARGET_H

#include <dvs/dvk.h>

#include "manage/cli.h"

struct target {
	char dc[DVS_NAME_MAX + 1];
	bool has_ep;
	dvs_ep ep;
};

/* Take TEXT apart. False: it is no such name, and the message is out. */
MUST_USE bool target_parse(struct cli *cli, const char *text, struct target *target);

/* As dvk.h says what a name is. False: TEXT is none, and the message is out. */
MUST_USE bool target_check_dc_name(struct cli *cli, const char *text);

#endif
