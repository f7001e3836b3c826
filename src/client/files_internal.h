/* SPDX-License-Identifier: Apache-2.0 */
/* Inside of <dvs/fs.h>: what threads have, and the way along a path. */
#ifndef CLIENT_FILES_INTERNAL_H
#define CLIENT_FILES_INTERNAL_H

#include <dvs/fs.h>

#include "client/fs_client.h"

#define FILES_LINKS_MAX 40u
#define FILES_DEPTH_MAX 2048u

struct dvs_fs {
	struct fsc *fsc;
};

struct dvs_fs_thread {
	struct fsc_thread *fsc;
	struct fsc_who *who;
	bool is_superuser;
	uint32_t umask;
	/* of the walk that is under way: */
	uint64_t up[FILES_DEPTH_MAX]; /* the directories from the root to where it is */
	uint32_t depth;
	char rest[2 * (DVS_FS_PATH_MAX + 1)]; /* what is left of the path */
};

/* Where a path leads. */
struct files_place {
	uint64_t parent;
	struct fsc_name
		name; /* in the parent; its text is the thread's until the next walk; empty: the path ended in the root, "." or ".." */
	bool must_be_dir; /* slashes stand behind it */
	struct fs_attr attr;
};

#define FILES_FOLLOW 1u /* a symbolic link at the end, too */
#define FILES_NAME 2u	/* the last name is not looked up */

/* NOTFOUND with a parent in PLACE (not 0): only the last name is not there. */
DVS_MUST_USE dvs_err files_walk(struct dvs_fs_thread *me, const char *path, unsigned int how,
				struct files_place *place);
struct stat files_stat(const struct fs_attr *attr);

#endif
