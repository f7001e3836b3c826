/* SPDX-License-Identifier: Apache-2.0 */
/* A backend as the one file of a FUSE file system that is mounted nowhere: the mount is a descriptor. So there is no mount point to clean up; when the process
 * that serves it ends, however that happens, the kernel ends the file system. */
#ifndef GATEWAYS_ATTACH_FILE_H
#define GATEWAYS_ATTACH_FILE_H

#include <dvs/error.h>

#include "gateways/attach/backend.h"

#define ATTACH_THREADS_MAX 64u
#define ATTACH_NAME_MAX 255u

struct file;

struct file_config {
	const struct attach_backend *backend; /* which must outlive the file */
	const char *name;		      /* of the file, up to ATTACH_NAME_MAX */
	struct attach_geometry geometry;
	unsigned int n_threads; /* how many requests are worked on at once */
};

/* Mount it, and serve it from threads of its own. *MOUNT_FD is the caller's: openat(*MOUNT_FD, name) is the file. WHY gets a sentence. */
DVS_MUST_USE dvs_err file_open(const struct file_config *config, struct file **file, int *mount_fd,
			       char why[ATTACH_WHY_MAX]);
/* A descriptor that becomes readable when the last one has closed the file, or the file system was ended. */
int file_ended_fd(const struct file *file);
/* The disk has another size now. */
void file_resized(struct file *file, uint64_t bytes);

#endif
