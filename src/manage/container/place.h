/* SPDX-License-Identifier: Apache-2.0 */
/* Where dvs cp copies from and to: "PATH", "DC:PATH", "DC@NODE:PATH", or "-" for an archive on the standard streams. */
#ifndef MANAGE_CONTAINER_PLACE_H
#define MANAGE_CONTAINER_PLACE_H

#include <limits.h>

#include "manage/container/reach.h"

enum place_kind {
	PLACE_HERE,
	PLACE_CONTAINER,
	PLACE_STREAM,
};

struct place {
	const char *word; /* as it was given */
	enum place_kind kind;
	char dc[DVS_NAME_MAX + 1];
	char node_name[DVS_NAME_MAX + 1]; /* "": none was given */
	dvs_nodeid node;
	char path[4096];	/* without slashes at its end */
	bool contents;		/* it ended in "/.": what is in it, not itself */
	bool must_be_directory; /* it ended in "/" */
};

/* False: it is none of these, and the message is out. */
MUST_USE bool place_parse(struct cli *cli, const char *word, struct place *place);

/* Find the node of a place in a container: the given one, else this one if it has one, else the first that is ready. Returns an exit
 * status; else the message is out. */
MUST_USE int place_find(struct cli *cli, struct reach *reach, struct place *place);

/* The last part of its path; "" when it is contents, or the root. */
const char *place_name(const struct place *place);

#endif
