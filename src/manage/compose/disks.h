/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of what is done about the volumes of a file: one of them, for the functions of manage/volume that tell a caller what went wrong. */
#ifndef MANAGE_COMPOSE_DISKS_H
#define MANAGE_COMPOSE_DISKS_H

#include "manage/compose/run.h"
#include "manage/volume/vol.h"

struct disk_at {
	struct run *run;
	struct run_dc *of;
	struct compose_program *disk;
	char prefix[COMPOSE_PATH_MAX];				/* "disk/NAME:" */
	char text[DVS_NAME_MAX + COMPOSE_PROGRAM_NAME_MAX + 2]; /* DC/NAME */
	struct vol_caller caller;
	bool waits;
};

void disk_at(struct run *run, struct run_dc *of, size_t i, struct disk_at *at);
/* RUN with the volume taken apart; what it says is told of its spot in the file. */
MUST_USE int disk_with(struct disk_at *at, const char *what, enum vol_names names,
		       int (*run)(struct vol *vol));
/* Say "KEY: sentence" of it. Returns EXIT_FAILED. */
int disk_fail(const struct disk_at *at, const char *key, const char *why, ...) PRINTF_LIKE(3, 4);
/* Its field KEY as the file has it; NULL: it says nothing. */
json_t *disk_value(const struct disk_at *at, const char *key);

#endif
