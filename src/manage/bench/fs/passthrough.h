/* SPDX-License-Identifier: Apache-2.0 */
/* A FUSE file system that hands everything on to a directory: what FUSE itself costs, as a peer of dvs-fuse. It does what libfuse's example passthrough_ll does with its defaults: low-level operations, a descriptor for each
 * file that the kernel knows, data moved by splice(2), many threads, names and attributes kept for a second, contents from open to open. */
#ifndef DVS_MANAGE_BENCH_FS_PASSTHROUGH_H
#define DVS_MANAGE_BENCH_FS_PASSTHROUGH_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <pthread.h>
#include <stdint.h>
#include <sys/types.h>

#define PT_KEPT_S 1.0
#define PT_BUCKETS 65536u

/* A file that the kernel knows. */
struct pt_node {
	struct pt_node *next;
	int fd; /* of O_PATH */
	dev_t dev;
	ino_t ino;
	uint64_t n_lookups;
};

struct pt {
	struct pt_node root;
	pthread_mutex_t lock;
	/* under lock: */
	struct pt_node *buckets[PT_BUCKETS];
};

struct pt *pt_of(fuse_req_t req);
struct pt_node *pt_node(fuse_req_t req, fuse_ino_t ino);
int pt_fd(fuse_req_t req, fuse_ino_t ino);
/* The file NAME of PARENT, known to the kernel once more; 0, or errno. */
int pt_lookup(struct pt *pt, int parent_fd, const char *name, struct fuse_entry_param *entry);
void pt_forget(struct pt *pt, fuse_ino_t ino, uint64_t n_lookups);

void pt_names_add(struct fuse_lowlevel_ops *ops);
void pt_files_add(struct fuse_lowlevel_ops *ops);

#endif
