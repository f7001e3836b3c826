/* SPDX-License-Identifier: Apache-2.0 */
/* What the commands on one file system stand on: its name on the command line, its record, the nodes, and its server. */
#ifndef MANAGE_FILESYSTEM_FILESYSTEM_H
#define MANAGE_FILESYSTEM_FILESYSTEM_H

#include "client/fs_calls.h"
#include "client/fs_record.h"
#include "manage/cli.h"
#include "manage/complaint.h"
#include "manage/link.h"
#include "manage/nodes.h"

/* How long a server may take for what it answers at once. */
#define FILESYSTEM_ANSWER_MS 15000u

struct filesystem {
	struct cli *cli;
	const struct listener *caller; /* NULL: messages are for people */
	const char *what;	       /* "check" */
	const char *text;	       /* as it was given */
	char dc[DVS_NAME_MAX + 1];
	char name[FS_RECORD_NAME_MAX + 1];
	struct link link;
	struct nodes nodes;
	struct fs_record record;
	struct dvk *dvk; /* in the DC, after filesystem_reach() */
	struct m3 *self;
};

/* The functions that return an int return an exit status, EXIT_DONE if all went well; else the message is out. */

/* Take WORD (DC/NAME) apart, open the admin link, look for the DC, the nodes and (unless IS_NEW) the record; then RUN. WHAT: what failed, as "check". */
MUST_USE int filesystem_with(struct cli *cli, const char *word, const char *what, bool is_new,
			     int (*run)(struct filesystem *fs));
/* The same for CALLER, which gets what filesystem_fail() and filesystem_note() say. */
MUST_USE int filesystem_with_caller(struct cli *cli, const char *word, const char *what,
				    bool is_new, int (*run)(struct filesystem *fs),
				    const struct listener *caller);
/* "WHAT file system DC/NAME: why; what to try". */
int filesystem_fail(struct filesystem *fs, dvs_err err);
/* The same with a sentence of our own. */
int filesystem_note(struct filesystem *fs, const char *why, ...) PRINTF_LIKE(2, 3);
/* An endpoint in the DC, from which its server is asked. */
MUST_USE int filesystem_reach(struct filesystem *fs);
static inline dvs_ep filesystem_server(const struct filesystem *fs)
{
	return dvs_ep_of(fs->record.endpoint);
}
/* What the server on NODE has said of why it cannot open it; false: nothing. */
bool filesystem_why(struct filesystem *fs, uint32_t node, char why[DVK_TEXT_MAX + 1]);
/* Say that the server did not answer: ERR, and what it has said. */
int filesystem_fail_ask(struct filesystem *fs, dvs_err err);
/* Remove the record and what belongs to it: its servers end, which is waited for, and remove what they have stored. */
DVS_MUST_USE dvs_err filesystem_forget(struct filesystem *fs);

#endif
