/* SPDX-License-Identifier: Apache-2.0 */
/* A file system as simple as can be: a table of files, each directory with a place for each of a few names. It knows what POSIX says and nothing of how servers/fs does it; copying the struct is a snapshot. */
#ifndef TESTS_FS_MODEL_H
#define TESTS_FS_MODEL_H

#include <sys/stat.h>

#include "base/err.h"
#include "fs_help.h"

#define MODEL_FILES 96u
#define MODEL_NAMES 6u

struct model_file {
	bool is_there;
	uint64_t ino; /* as the file system under test calls it */
	uint32_t mode, uid, gid, nlink, pins;
	uint32_t parent; /* of a directory */
	uint64_t size;
	bool linkable;
	int xattr;		     /* its length; -1: it has none */
	uint32_t entry[MODEL_NAMES]; /* 0: nothing has that name */
};

/* File 1 is the root, file 0 none. */
struct model {
	struct model_file file[MODEL_FILES];
};

void model_init(struct model *model);
/* A place for a new file; 0: there is none. */
uint32_t model_free_place(const struct model *model);

/* Each of them does to the model what the operation is to do, and says how it ends. */
dvs_err model_make(struct model *m, const struct fs_who *who, uint32_t dir, uint32_t name,
		   uint32_t mode, uint32_t mask, uint32_t *made);
dvs_err model_tmpfile(struct model *m, const struct fs_who *who, uint32_t dir, uint32_t mode,
		      uint32_t mask, bool linkable, uint32_t *made);
dvs_err model_link(struct model *m, const struct fs_who *who, uint32_t file, uint32_t dir,
		   uint32_t name);
dvs_err model_unlink(struct model *m, const struct fs_who *who, uint32_t dir, uint32_t name,
		     bool wants_dir);
dvs_err model_rename(struct model *m, const struct fs_who *who, uint32_t dir, uint32_t name,
		     uint32_t new_dir, uint32_t new_name, uint32_t flags);
dvs_err model_chmod(struct model *m, const struct fs_who *who, uint32_t file, uint32_t mode);
dvs_err model_chown(struct model *m, const struct fs_who *who, uint32_t file, uint32_t uid,
		    uint32_t gid);
dvs_err model_truncate(struct model *m, const struct fs_who *who, uint32_t file, uint64_t size);
dvs_err model_set_xattr(struct model *m, const struct fs_who *who, uint32_t file, int len,
			uint32_t flags);
dvs_err model_remove_xattr(struct model *m, const struct fs_who *who, uint32_t file);
dvs_err model_access(const struct model *m, const struct fs_who *who, uint32_t file, uint32_t mask);
/* One pin less. */
void model_unpin(struct model *m, uint32_t file);

#endif
