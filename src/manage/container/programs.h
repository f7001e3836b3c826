/* SPDX-License-Identifier: Apache-2.0 */
/* The programs in the containers of all nodes, as their agents tell them, and how users name one: "DC/NAME", or the
 * beginning of its id. */
#ifndef MANAGE_CONTAINER_PROGRAMS_H
#define MANAGE_CONTAINER_PROGRAMS_H

#include <jansson.h>

#include "manage/container/reach.h"
#include "manage/output.h"

#define PROGRAMS_ID_DIGITS 12 /* as many of an id are shown in tables */

enum program_state {
	PROGRAM_RUNS = 1,
	PROGRAM_ENDED = 2,
	PROGRAM_PAUSES = 3, /* waits to be started again */
	PROGRAM_STARTS = 4,
	PROGRAM_STUCK = 5, /* cannot be started */
};

struct program_on {
	dvs_nodeid node;
	struct agent_program program;
};

struct programs {
	struct program_on *one;
	size_t n;
	size_t room;
	size_t n_silent; /* nodes that did not answer */
};

/* The nodes that have containers, of DC or (NULL) of any, as bits: only there are programs. Returns an exit status; else the
 * message is out. */
MUST_USE int programs_nodes(struct cli *cli, struct dvk *admin, const char *dc, uint64_t *on);

/* Ask all these nodes that are up for their programs, of DC or (NULL) of all. Nodes that do not answer are named on stderr
 * and the rest is told; those that have no agent have no programs. Returns an exit status, EXIT_DONE if all went well;
 * else the message is out. To be freed in any case. */
MUST_USE int programs_load(struct cli *cli, struct reach *reach, const char *dc,
			   struct programs *programs);
void programs_free(struct programs *programs);

/* The one that WORD names; of several of one name those that have ended count only when none runs. Returns
 * as above; *ON is in PROGRAMS. WHAT: what failed without it ("kill"). */
MUST_USE int programs_find(struct cli *cli, const struct programs *programs, const char *word,
			   const char *what, const struct program_on **on);

/* Both in one, for commands that are given one program. */
MUST_USE int programs_look(struct cli *cli, struct reach *reach, const char *word, const char *what,
			   struct program_on *on);

/* An object, or NULL without memory. */
json_t *programs_describe(const struct nodes *nodes, const struct program_on *on);
extern const struct output_shape programs_shape;

/* What an end by wait status STATUS is as an exit status: 0 to 255, or 128 and the signal. */
int programs_exit_status(uint32_t status);

#endif
