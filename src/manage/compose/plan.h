/* SPDX-License-Identifier: Apache-2.0 */
/* What would have to change for a DC to be as its dvs.yaml says. */
#ifndef MANAGE_COMPOSE_PLAN_H
#define MANAGE_COMPOSE_PLAN_H

#include <stdbool.h>
#include <stdint.h>

#include "manage/compose/compose.h"

#define PLAN_REASON_MAX 1100u

/* A DC as the DVS has it. */
struct plan_now {
	bool exists;
	bool has_containers; /* false: it is one for processes of the nodes alone */
	uint64_t nodes;	     /* bits */
	json_t *description;
	struct compose_program *programs; /* by name */
	size_t n_programs;
	/* The volumes of the file that there are: everything that a file can say of them, with the names of nodes. */
	struct compose_program *disks;
	size_t n_disks;
	struct compose_program *filesystems; /* the same of its file systems */
	size_t n_filesystems;
};

enum plan_op { PLAN_ADD = '+', PLAN_REMOVE = '-', PLAN_CHANGE = '~' };

struct plan_change {
	enum plan_op op;
	char *path; /* as in the file: "programs.web.replicas" */
	char *json; /* as compose_spot() takes it */
	char *old;  /* as text; NULL: nothing */
	char *new;
	bool anew; /* it needs new containers */
};

struct plan {
	const struct compose_dc *dc;
	bool create;
	uint64_t nodes; /* that are wanted */
	uint64_t add, remove;
	bool description;	    /* it changes */
	char anew[PLAN_REASON_MAX]; /* "": the containers can stay; else "FIELD: why not" */
	struct plan_change *changes;
	size_t n_changes;
};

/* NAME_OF writes the name of node N (room for DVS_NAME_MAX + 1). False: no memory. To be freed in any case. */
MUST_USE bool plan_make(const struct compose_dc *dc, const struct plan_now *now, uint64_t nodes,
			const char *(*name_of)(const void *context, uint32_t node, char *name),
			const void *context, struct plan *plan);
void plan_free(struct plan *plan);

/* Whether PROGRAM is another one than the DVS has, which is *AT in NOW; SIZE_MAX: it has none of that name. */
bool plan_program_differs(const struct plan_now *now, const struct compose_program *program,
			  size_t *at);

/* What the DVS has of the volume NAME; NULL: there is none. */
const json_t *plan_disk_now(const struct plan_now *now, const char *name);
/* The same of the file system NAME. */
const json_t *plan_filesystem_now(const struct plan_now *now, const char *name);
/* Whether KEY of a volume or file system, which the file has as WANTED, is the same in NOW. */
bool plan_disk_is_same(const char *key, const json_t *wanted, const json_t *now);

#endif
