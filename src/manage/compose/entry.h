/* SPDX-License-Identifier: Apache-2.0 */
/* A volume or a file system of a file: what the two have in common when they are looked at and made. */
#ifndef MANAGE_COMPOSE_ENTRY_H
#define MANAGE_COMPOSE_ENTRY_H

#include "manage/compose/run.h"

/* What is of one kind only. */
struct entry_kind {
	const char *spot; /* "disk": the beginning of its spots */
	const char *title;
};

struct entry {
	const struct entry_kind *kind;
	struct run *run;
	struct run_dc *of;
	struct compose_program *file;				/* what the file says of it */
	char prefix[COMPOSE_PATH_MAX];				/* "disk/NAME:" */
	char text[DVS_NAME_MAX + COMPOSE_PROGRAM_NAME_MAX + 2]; /* DC/NAME */
	bool waits;
};

void entry_init(struct entry *entry, const struct entry_kind *kind, struct run *run,
		struct run_dc *of, struct compose_program *file);
/* Its field KEY as the file has it; NULL: it says nothing. */
json_t *entry_value(const struct entry *entry, const char *key);

/* Say WHY of it (a struct entry), at its spot in the file; for the callers of manage/volume and manage/filesystem. */
void entry_told(void *entry, const char *why);
/* Say "KEY: sentence" of it. Returns EXIT_FAILED. */
int entry_fail(const struct entry *entry, const char *key, const char *why, ...) PRINTF_LIKE(3, 4);
int entry_no_memory(const struct entry *entry);

/* "nodes" get the names that the DVS has for them; those that there are not, or that stand there twice, are said. */
MUST_USE int entry_name_nodes(const struct entry *entry);
/* Whether LIST, of texts, has TEXT. */
bool entry_has_text(const json_t *list, const char *text);

/* JSON (taken over; NULL: no memory) is what the DVS has of it now: kept in LIST of N. */
MUST_USE int entry_keep(const struct entry *entry, json_t *json, struct compose_program **list,
			size_t *n);
/* Say it, if field KEY (WORD) is another one than NOW has, because it cannot change. */
MUST_USE int entry_refuse_change(const struct entry *entry, const json_t *now, const char *key,
				 const char *word);

/* LOOK at all (N of them by number), with a link to dvsd of its own, if NEEDS_LINK and the DC is there; else ADMIN is NULL. */
MUST_USE int entry_look_at_all(struct run *run, struct run_dc *of, bool needs_link,
			       int (*look)(struct run *run, struct run_dc *of, struct dvk *admin));

#endif
