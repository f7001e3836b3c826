/* SPDX-License-Identifier: Apache-2.0 */
/* One run of dvs plan, up or down: a file, what the DVS has of it, and what would have to change. All that return an int return an exit
 * status, EXIT_DONE if all went well; else the message is out. */
#ifndef MANAGE_COMPOSE_RUN_H
#define MANAGE_COMPOSE_RUN_H

#include <dvs/container.h>

#include "manage/compose/compose.h"
#include "manage/compose/plan.h"
#include "manage/container/reach.h"

#define RUN_FILE_DEFAULT "dvs.yaml"
#define RUN_PROGRAM_PREFIX "program/"

struct run_dc {
	struct compose_dc *dc;
	struct dvk_container_info info; /* if it exists */
	struct plan_now now;
	uint64_t version; /* of its description */
	struct plan plan;
	size_t n_fs_made; /* the same of its file systems: */
	size_t n_made; /* of its volumes, in the order of the file, the first so many were looked at and are there */
};

struct run {
	struct cli *cli;
	struct reach reach;
	struct dvk *admin; /* of reach */
	struct compose compose;
	struct run_dc *dcs; /* as many as compose has */
};

/* Read the file PATH ("-": stdin), and no more. */
MUST_USE int run_read(struct cli *cli, const char *path, struct compose *compose);
/* Read the file, reach the DVS and make a plan for each DC. To be closed in any case. */
MUST_USE int run_open(struct cli *cli, const char *path, struct run *run);
void run_close(struct run *run);

/* A process is in one DC at a time, and the agents have one of their own: leave it, and come back. */
void run_leave(struct run *run);
MUST_USE int run_enter(struct run *run);

/* What the DVS has of the DC NAME: NOW and INFO; *VERSION is its description's. */
MUST_USE int run_look(struct cli *cli, struct dvk *admin, const char *name,
		      struct dvk_container_info *info, struct plan_now *now, uint64_t *version);
void run_free_now(struct plan_now *now);

/* Tell "FILE:LINE:COLUMN: FIELD: sentence" for WHY "FIELD: sentence" of DC; PREFIX as compose_locate(). NODE (may be NULL) has said it. Returns EXIT_FAILED. */
int run_fail(const struct run *run, const struct compose_dc *dc, const char *prefix,
	     const char *node, const char *why);

/* The same for entry INDEX of the list "nodes": there is no node of the name WORD. */
int run_fail_no_node(const struct run *run, const struct compose_dc *dc, const char *prefix,
		     size_t index, const char *word);

/* Its volumes: what the file says of them gets the names of nodes, and NOW what there is. What cannot be done is refused. */
MUST_USE int run_look_disks(struct run *run, struct run_dc *of);
/* Make them as planned. WAITS: until the replicas of new ones are there. */
MUST_USE int run_apply_disks(struct run *run, struct run_dc *of, bool waits);
/* Remove those that this run has made. */
void run_forget_disks(struct run *run, struct run_dc *of);
/* The same for its file systems, after its volumes are there, or before they go. */
MUST_USE int run_look_filesystems(struct run *run, struct run_dc *of);
MUST_USE int run_apply_filesystems(struct run *run, struct run_dc *of, bool waits);
void run_forget_filesystems(struct run *run, struct run_dc *of);
/* Remove the DC. HAD_VOLUMES: their servers may not have ended yet; they are waited for. As dvk_container_remove(). */
DVS_MUST_USE dvs_err run_remove(struct dvk *admin, const char *dc, bool had_volumes,
				uint32_t timeout_ms);
/* Whether the DC has any volume or file system, be it of the file or not. */
MUST_USE int run_has_volumes(struct cli *cli, struct dvk *admin, const char *dc, bool *has);

/* The plans for people, or as one JSON document. */
MUST_USE int run_print(const struct run *run);
/* How many changes they have. */
size_t run_count(const struct run *run);

/* Whether all nodes could take what is planned; nothing is begun. RECREATE: containers may be made anew. */
MUST_USE int run_check(struct run *run, bool recreate);
/* Make one DC as planned; its programs then start, which run_wait() waits for. */
MUST_USE int run_apply(struct run *run, struct run_dc *of, bool recreate);

/* An instance of a program that is changed, as it was before: one that still is like this is not yet as wanted. */
struct run_instance {
	dvs_nodeid node;
	uint64_t id;
	uint64_t started_ns;
};

struct run_instances {
	struct run_instance *one;
	size_t n;
};

/* Those of programs that the plan changes. To be freed. */
MUST_USE int run_note_instances(struct run *run, const struct run_dc *of,
				struct run_instances *before);
/* Wait until all programs of the DC run, and are healthy where that is checked, and no others do. Who presses Ctrl-C ends the waiting. */
MUST_USE int run_wait(struct run *run, struct run_dc *of, const struct run_instances *before,
		      uint64_t deadline_ns);
/* Wait until no instance of the program RECORD is alive. TIMEOUT. */
MUST_USE int run_wait_gone(struct cli *cli, struct reach *reach, const char *dc, const char *record,
			   uint64_t deadline_ns, bool *gone);

#endif
