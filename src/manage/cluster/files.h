/* SPDX-License-Identifier: Apache-2.0 */
/* Several files that appear together, or not at all.
 *
 * Each is written whole beside its place and then moved there; when one of the steps fails, those before it are taken back. So a
 * reader never sees half a file, and a machine never keeps half a configuration. (Killed between two moves, it
 * keeps whole files, some of them new: the next run says which.) */
#ifndef MANAGE_CLUSTER_FILES_H
#define MANAGE_CLUSTER_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include <dvs/error.h>

#include "base/compiler.h"

#define FILES_MAX 8u
#define FILES_DIRS_MAX 4u
#define FILES_PATH_MAX 320u
#define FILES_WHY_MAX 512u

struct files {
	size_t n;
	struct files_entry {
		char path[FILES_PATH_MAX];
		char beside[FILES_PATH_MAX]; /* where it is written first */
		char before[FILES_PATH_MAX]; /* where what stood there waits */
		mode_t mode;
		bool replace;
		bool is_written;
		bool was_there;
		bool is_placed;
		char *bytes;
		size_t len;
	} list[FILES_MAX];
	size_t n_dirs;
	char dirs[FILES_DIRS_MAX][FILES_PATH_MAX]; /* made by us */
	char why[FILES_WHY_MAX];		   /* after an error: what failed, and why */
};

void files_init(struct files *files);
/* Forget them; what they held is wiped. */
void files_free(struct files *files);

/* A copy of LEN BYTES is to be the file PATH with MODE. Without REPLACE nothing may be there. NOMEM; TOOBIG: of the path. */
DVS_MUST_USE dvs_err files_add(struct files *files, const char *path, mode_t mode, bool replace,
			       const void *bytes, size_t len);
/* Make DIR when the files are written, if it is not there. */
DVS_MUST_USE dvs_err files_add_dir(struct files *files, const char *dir);

/* Put all in place. EXISTS: something is there, and nothing has changed; IO: nothing has changed. */
DVS_MUST_USE dvs_err files_commit(struct files *files);

/* All of the file PATH, at most MAX bytes, and a zero behind; for the caller to free. IO, TOOBIG, NOMEM; errno tells more after IO. */
DVS_MUST_USE dvs_err files_read(const char *path, size_t max, char **bytes, size_t *len);

#endif
