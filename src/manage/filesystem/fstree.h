/* SPDX-License-Identifier: Apache-2.0 */
/* A way into a file system without a mount, for dvs fs import and export: a session with its server, paths in it, and what both tell while they work. */
#ifndef MANAGE_FILESYSTEM_FSTREE_H
#define MANAGE_FILESYSTEM_FSTREE_H

#include <limits.h>

#include "client/fs_client.h"
#include "manage/filesystem/filesystem.h"
#include "manage/progress.h"
#include "manage/terminal.h"

struct fstree {
	struct filesystem *fs;
	struct fsc *fsc;
	struct fsc_thread *me;
	struct fsc_who *who; /* root, who may do everything */
	struct interrupts interrupts;
	struct progress progress;
	const char *what; /* for the bar: "import web/site" */
	uint64_t bytes;	  /* done */
	uint64_t files;
	uint64_t total;	 /* bytes; 0: not known */
	uint8_t *room;	 /* FSC_IO_MAX bytes */
	bool is_stopped; /* by Ctrl-C or SIGTERM: the message is out */
};

/* An exit status; to be closed in any case. */
MUST_USE int fstree_open(struct filesystem *fs, const char *what, struct fstree *tree);
void fstree_close(struct fstree *tree);
/* Bytes and files so far are shown; false: somebody wants us to end. */
bool fstree_goes_on(struct fstree *tree);
/* "WHAT file system DC/NAME: PATH: why". Returns EXIT_FAILED. */
int fstree_fail(struct fstree *tree, const char *path, const char *why);
int fstree_fail_err(struct fstree *tree, const char *path, dvs_err err);
/* The directory PATH, from the top; no link is followed. MAKES: what is missing of it is made. NOTDIR, NOTFOUND and others. */
DVS_MUST_USE dvs_err fstree_find(struct fstree *tree, const char *path, bool makes,
				 struct fs_attr *attr);

/* The bits of fs_change.valid. */
#define TREE_SET_MODE 1u
#define TREE_SET_OWNER 6u
#define TREE_SET_SIZE 8u
#define TREE_SET_TIMES 48u

#endif
