/* SPDX-License-Identifier: Apache-2.0 */
/* All volumes of a DC or of the DVS, one after the other, with what their servers tell. */
#ifndef MANAGE_VOLUME_WALK_H
#define MANAGE_VOLUME_WALK_H

#include "manage/volume/describe.h"
#include "manage/volume/vol.h"

/* What one server told: room for it. */
struct told {
	struct vdd_status_rep status;
	struct vdd_disks_rep disks;
	struct vol_told of;
};

/* Ask SERVER how it is and which disks it has. */
void told_ask(struct told *told, struct m3 *self, dvs_ep server, uint32_t timeout_ms);

struct walk {
	struct vol vol;	  /* the one that is looked at; its cli is set before */
	struct told told; /* by its server */
	/* Both return an exit status, EXIT_DONE to go on. DAMAGED: of a record that cannot be read only its name is known. */
	int (*volume)(struct walk *walk);
	int (*damaged)(struct walk *walk, const char *name);
	void *context;
	/* its own: the DC in which this process is, "" for none */
	char inside[DVS_NAME_MAX + 1];
	struct dvk *dvk;
	struct m3 *self;
};

/* These return an exit status; else the message is out. */

/* Open the admin link and look for the nodes. To be closed in any case. */
MUST_USE int walk_open(struct walk *walk, struct cli *cli);
void walk_close(struct walk *walk);
/* Those of DC (NULL: of all DCs), or of DC the one called NAME (NULL: all). */
MUST_USE int walk_all(struct walk *walk, const char *dc, const char *name);

#endif
