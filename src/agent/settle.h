/* SPDX-License-Identifier: Apache-2.0 */
/* One look at one DC in a worker: what is wanted of this node, what is there, the next step towards it, and its report. It can be cut off at any moment
 * and begun again: it knows nothing but what it reads. */
#ifndef AGENT_SETTLE_H
#define AGENT_SETTLE_H

#include "agent/agent.h"
#include "agent/programs.h"
#include "container/image.h"

enum settle_step {
	SETTLE_UP = 1,	/* the container runs: `init`, `description`, `wanted` */
	SETTLE_ABSENT,	/* there is nothing here, and nothing is wanted */
	SETTLE_END,	/* its programs are to be asked to end, then look again */
	SETTLE_FETCH,	/* `image` is to be brought here, then look again */
	SETTLE_RETRY,	/* it could not be done now: `why` */
	SETTLE_OUTSIDE, /* of the quorum: nothing is begun */
};

/* A record that was read. */
struct settle_program {
	struct settle_program *next;
	struct program program;
};

struct settle {
	/* given */
	struct agent *agent;
	char dc[DVS_NAME_MAX + 1];
	dvs_dcid id;	     /* under which it was last seen: a hint */
	bool may_kill;	     /* its programs were asked to end */
	bool has_fetched;    /* the image was to be brought here, ... */
	dvs_err fetch_err;   /* ... and was, or was not: */
	char fetch_why[256]; /* why */
	/* found */
	enum settle_step step;
	dvs_err err;
	char why[DESCRIPTION_TEXT_MAX];
	bool is_known; /* there is such a DC, and: */
	struct dvk_container_info info;
	struct container_state there;
	bool made; /* the container was made now */
	bool has_description;
	struct description description;
	uint64_t version; /* of the description */
	char text[DVK_VALUE_MAX];
	size_t text_len;
	char image[IMAGE_NAME_MAX + 1];
	struct programs_wanted *wanted; /* with their programs */
	size_t n_wanted;
	bool has_wanted;
	struct settle_program *programs;
};

/* In a worker. */
void settle_run(struct settle *settle);
/* Free what was found. */
void settle_clear(struct settle *settle);

/* Which instances of the records of the DC belong here: fills wanted. For settle.c. */
dvs_err settle_place(struct settle *settle);

#endif
