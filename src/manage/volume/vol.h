/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands on one volume stand on: its name on the command line, its record, the nodes, and its server. */
#ifndef MANAGE_VOLUME_VOL_H
#define MANAGE_VOLUME_VOL_H

#include "client/claim.h"
#include "client/vdd_calls.h"
#include "client/volume.h"
#include "manage/cli.h"
#include "manage/complaint.h"
#include "manage/link.h"
#include "manage/nodes.h"

/* How long a server may take for what it answers at once. */
#define VOL_ANSWER_MS 15000u
/* A text of what is known of a volume whose server does not answer. */
#define VOL_KNOWN_BYTES 1024u

/* The states of a member, as the server tells them. */
enum vol_member { VOL_PRIMARY = 1, VOL_MEMBER = 2, VOL_SYNCING = 3, VOL_AWAY = 4 };
/* The kinds of disks of a server. */
enum vol_disk { VOL_DISK_VOLUME = 1, VOL_DISK_SNAPSHOT = 2, VOL_DISK_CLONE = 3 };

struct vol {
	struct cli *cli;
	const struct listener *caller; /* NULL: messages are for people */
	const char *what;	       /* "resize" */
	const char *text;	       /* as it was given */
	char dc[DVS_NAME_MAX + 1];
	char name[VOLUME_NAME_MAX + 1];
	char snapshot[DVS_NAME_MAX + 1]; /* "": none */
	struct link link;
	struct nodes nodes;
	struct volume volume;
	struct volume base; /* with the server and the replicas: itself, or what it is a clone of */
	uint64_t version;   /* of the base's record */
	bool is_damaged;    /* with VOL_DAMAGED: nothing is known of it but its name */
	struct volume_disk disk; /* after vol_reach() */
	bool is_reached;
	struct vdd_status_rep status; /* after vol_status() */
};

enum vol_names {
	VOL_NEW,      /* DC/VOLUME, of which there is no record yet */
	VOL_VOLUME,   /* DC/VOLUME */
	VOL_SNAPSHOT, /* DC/VOLUME@SNAPSHOT */
	VOL_DAMAGED,  /* one of both, and its record may be wrong */
};

/* The functions that return an int return an exit status, EXIT_DONE if all went well; else the message is out. */

/* Take WORD apart, open the admin link, look for the DC, the nodes and (unless NAMES is VOL_NEW) the record; then RUN. WHAT:
 * what failed, as "resize". */
MUST_USE int vol_with(struct cli *cli, const char *word, const char *what, enum vol_names names,
		      int (*run)(struct vol *vol));

/* The same for CALLER, which gets what vol_fail() and vol_note() say. */
MUST_USE int vol_with_caller(struct cli *cli, const char *word, const char *what,
			     enum vol_names names, int (*run)(struct vol *vol),
			     const struct listener *caller);

/* "WHAT volume DC/VOLUME: why; what to try". */
int vol_fail(struct vol *vol, dvs_err err);
/* The same with a sentence of our own. */
int vol_note(struct vol *vol, const char *why, ...) PRINTF_LIKE(2, 3);

/* Open it at its server. */
MUST_USE int vol_reach(struct vol *vol);
void vol_leave(struct vol *vol);
/* The same within TIMEOUT_MS and without a message. */
DVS_MUST_USE dvs_err vol_try(struct vol *vol, uint32_t timeout_ms);
/* Ask the server how it is. */
DVS_MUST_USE dvs_err vol_status(struct vol *vol, uint32_t timeout_ms);
/* An error that another server may not give: a primary has gone, and another one is to come. */
bool vol_is_passing(dvs_err err);
/* Say why the server does not answer: ERR, and what is known of its nodes. */
int vol_fail_reach(struct vol *vol, dvs_err err);

/* Of member NODE in the status; NULL: it is none. */
const struct vdd_member *vol_member(const struct vol *vol, uint32_t node);

/* What the server on NODE has said of a store that it cannot open; false: nothing. */
bool vol_why(struct vol *vol, uint32_t node, char why[DVK_TEXT_MAX + 1]);
/* What is known without its server: nodes that are down, and what they have said. */
void vol_known(struct vol *vol, char known[VOL_KNOWN_BYTES]);

/* Who may write to the volume ID now; false: nobody has a claim. */
bool vol_holders(struct vol *vol, const char *id, struct claim *claim);
/* Refuse what would be an error for who may write to it: EXIT_DONE if nobody has a claim. */
MUST_USE int vol_check_holders(struct vol *vol);

/* The record again: somebody may have changed it. */
DVS_MUST_USE dvs_err vol_reload(struct vol *vol);
/* Write vol->base where it has not changed since it was read. NOTFOUND: it has. */
DVS_MUST_USE dvs_err vol_store(struct vol *vol);
/* Change the record of the base by CHANGE, which returns EXIT_DONE when it fits still; again when somebody else has changed it meanwhile. */
MUST_USE int vol_change(struct vol *vol, int (*change)(struct vol *vol, void *context),
			void *context);

/* Make sure that an agent looks after the volumes of NODE. */
MUST_USE int vol_start_agent(struct vol *vol, const struct dvk_node_info *node);

#endif
