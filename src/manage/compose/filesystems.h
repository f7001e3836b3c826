/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of what is done about the file systems of a file: one of them, for the functions of manage/filesystem that tell a caller what went wrong. */
#ifndef MANAGE_COMPOSE_FILESYSTEMS_H
#define MANAGE_COMPOSE_FILESYSTEMS_H

#include "manage/compose/run.h"
#include "manage/filesystem/filesystem.h"

struct fs_at {
	struct run *run;
	struct run_dc *of;
	struct compose_program *fs;
	char prefix[COMPOSE_PATH_MAX];				/* "fs/NAME:" */
	char text[DVS_NAME_MAX + COMPOSE_PROGRAM_NAME_MAX + 2]; /* DC/NAME */
	struct filesystem_caller caller;
	bool waits;
};

void fs_at(struct run *run, struct run_dc *of, size_t i, struct fs_at *at);
/* RUN with the file system taken apart; what it says is told of its spot in the file. */
MUST_USE int fs_at_with(struct fs_at *at, const char *what, bool is_new,
			int (*run)(struct filesystem *fs));
/* Say "KEY: sentence" of it. Returns EXIT_FAILED. */
int fs_at_fail(const struct fs_at *at, const char *key, const char *why, ...) PRINTF_LIKE(3, 4);
/* Its field KEY as the file has it; NULL: it says nothing. */
json_t *fs_at_value(const struct fs_at *at, const char *key);

#endif
