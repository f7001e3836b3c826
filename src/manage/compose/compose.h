/* SPDX-License-Identifier: Apache-2.0 */
/* A dvs.yaml, read: for each DC in it the description and the programs as the DVS keeps them, and where in the file each
 * of their fields stands. */
#ifndef MANAGE_COMPOSE_COMPOSE_H
#define MANAGE_COMPOSE_COMPOSE_H

#include <dvs/dvk.h>

#include <jansson.h>

#include "base/compiler.h"

#define COMPOSE_TEXT_MAX 1600u	  /* of a complaint */
#define COMPOSE_FILE_MAX 1048576u /* bytes of a file */
#define COMPOSE_DCS_MAX 64u	  /* in one file */
#define COMPOSE_PATH_MAX 256u
#define COMPOSE_RECORD_MAX 7000u /* bytes of JSON that the DVS keeps */
/* "program/NAME" is the key of a record, and "NAME.1023" is a name as well. */
#define COMPOSE_PROGRAM_NAME_MAX (DVS_NAME_MAX - 8u)

struct compose_spot {
	char *json; /* "memory"; of a program "program/NAME:health.interval_ms", of a volume "disk/NAME:bytes", of a file system "fs/NAME:bytes" */
	char *yaml; /* "memory", "programs.NAME.health.interval" */
	size_t line, column;
};

/* Of a volume JSON has what its file says, under the names of its record, but nodes as words and "places" by node. */
struct compose_program {
	char name[COMPOSE_PROGRAM_NAME_MAX + 1];
	json_t *json;
};

struct compose_dc {
	char name[DVS_NAME_MAX + 1];
	json_t *nodes; /* names or numbers; NULL: all */
	json_t *description;
	struct compose_program *programs; /* in the order of the file */
	size_t n_programs;
	struct compose_program *disks; /* the same of its volumes */
	size_t n_disks;
	struct compose_program *filesystems; /* the same of its file systems */
	size_t n_filesystems;
	struct compose_spot *spots;
	size_t n_spots;
};

struct compose {
	char *path;
	struct compose_dc *dcs;
	size_t n_dcs;
};

/* Read LEN BYTES of the file PATH. BADARG: TEXT (room for COMPOSE_TEXT_MAX) says "PATH:LINE:COLUMN: what is wrong, and what would be right". NOMEM. */
DVS_MUST_USE dvs_err compose_read(const char *path, const void *bytes, size_t len,
				  struct compose *compose, char *text);
void compose_free(struct compose *compose);

/* The spot of the field JSON, or of what it is a part of; of the name of the DC if it is none. */
const struct compose_spot *compose_spot(const struct compose_dc *dc, const char *json);
/* Make of "JSON PATH: sentence", said about a field of the DC (PREFIX "") or of one of its programs or volumes (PREFIX "program/NAME:", "disk/NAME:", "fs/NAME:"), "PATH:LINE:COLUMN: YAML PATH: sentence". */
void compose_locate(const struct compose *compose, const struct compose_dc *dc, const char *prefix,
		    const char *why, char *text);

#endif
