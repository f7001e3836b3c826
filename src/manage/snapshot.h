/* SPDX-License-Identifier: Apache-2.0 */
/* One look at the endpoints of one or all DCs. */
#ifndef MANAGE_SNAPSHOT_H
#define MANAGE_SNAPSHOT_H

#include <stddef.h>
#include <stdint.h>

#include "manage/link.h"

struct snapshot_row {
	char dc[DVS_NAME_MAX + 1];
	dvs_dcid dc_id;
	struct dvk_endpoint_info info;
};

struct snapshot {
	uint64_t taken_ns; /* CLOCK_MONOTONIC */
	struct snapshot_row *rows;
	size_t n_rows;
	size_t room;
};

/* Look at the endpoints of DC (NULL: of all DCs), sorted by DC, number and generation, the
 * primary before its backups. Returns an exit status, EXIT_DONE if all went well; else the
 * message is out. SNAPSHOT is to be freed in any case. */
MUST_USE int snapshot_take(struct cli *cli, struct link *link, const char *dc,
			   struct snapshot *snapshot);

void snapshot_free(struct snapshot *snapshot);

#endif
