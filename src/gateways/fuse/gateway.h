/* SPDX-License-Identifier: Apache-2.0 */
/* dvs-fuse: a file system of a DC at a directory of a node.
 *
 * serve.c has the threads and the kernel's end, coherence.c gives up what the kernel has when a lease ends, ops_*.c are the operations, each from a struct task: who asks for what. */
#ifndef GATEWAYS_FUSE_GATEWAY_H
#define GATEWAYS_FUSE_GATEWAY_H

#define FUSE_USE_VERSION 314
#include <fuse3/fuse_lowlevel.h>
#include <pthread.h>
#include <stdatomic.h>

#include "base/list.h"
#include "base/log.h"
#include "client/fs_client.h"
#include "gateways/fuse/ids.h"
#include "gateways/fuse/names.h"
#include "gateways/fuse/nodes.h"
#include "gateways/fuse/turns.h"

#define GATEWAY_WORKERS_MAX 128u
#define GATEWAY_WAITERS_MAX 64u /* for locks, at once */
#define GATEWAY_EXPIRERS_MAX 128u
#define GATEWAY_WHY_MAX 400u
#define GATEWAY_ROOM_BYTES (FSC_IO_MAX + 4096u)
/* So long the kernel may keep what stands under a lease: until it is recalled. */
#define GATEWAY_LONG_S 86400.0

struct gateway_options {
	const char *run_dir;
	const char *dc;
	const char *name;
	const char *mount;
	struct ids ids;
	uint32_t node;
	bool devices;
	bool set_ids;
	bool is_read_only;
	uint32_t patience_ms;
	uint32_t open_ms;
	int ready_fd;	  /* gets a byte when it is mounted; -1: none */
	int container_fd; /* a pidfd: `mount` is a path in the mounts of that process; -1: in our own */
	struct log log;
};

/* Handles that are to be given back (releases.c). */
struct releases {
	struct fsc_thread *me;
	pthread_mutex_t lock;
	pthread_cond_t some;
	/* under lock: */
	uint32_t handles[FSC_RELEASE_MAX];
	uint32_t n;
	bool is_asleep;
	bool is_taking; /* its thread runs */
};

struct gateway {
	const struct gateway_options *options;
	struct fsc *fsc;
	struct nodes *nodes;
	struct names *names;
	struct fuse_session *session;
	int fuse_fd;
	int ended_fd; /* an eventfd: the kernel has ended the file system */
	pthread_key_t worker;
	/* of the kernel: */
	uint64_t init_unique;
	bool has_direct_map; /* files can be mapped and read past the cache */
	bool has_expiry;     /* names can be given up without being dropped */
	bool has_killpriv;   /* it leaves it to us to take set-id bits away */
	atomic_bool is_over;
	struct turns turns;
	struct releases releases;

	pthread_mutex_t lock;
	pthread_cond_t changed;
	/* under lock: */
	uint32_t n_workers;
	uint32_t n_waiters;
	bool has_releaser;
	bool is_flushing; /* all leases were lost, and the kernel has not forgotten yet what it had */
	bool is_flush_wanted;
	bool is_closing;
	pthread_t flusher;
	bool has_flusher;
	struct list expiries;
	uint32_t n_expirers;
	uint32_t n_expirers_idle;
};

/* A thread that answers the kernel. */
struct worker {
	struct gateway *gateway;
	struct fsc_thread *me;
	int fd; /* where its requests come from: answers go there, too */
	struct turn turn;
	uint8_t *room; /* GATEWAY_ROOM_BYTES */
};

/* One request. */
struct task {
	struct gateway *gateway;
	struct worker *worker;
	struct fsc_thread *me;
	fuse_req_t req;
	struct fsc_who *who;
	uint64_t asked; /* nodes_clock() before the server was asked */
	uint64_t ino;
	uint64_t other; /* another directory or file */
	struct fsc_name name;
	struct fsc_name name2;
	uint32_t mode;
	uint32_t rdev;
	uint32_t flags;
	uint32_t handle;
	const void *data;
	size_t bytes;
	size_t len;
	bool is_dir;
	bool needs_groups; /* what is asked for depends on them without an error to tell so */
	struct fs_change change;
	struct fs_attr attr;
};

/* ---- task.c ---- */

struct task task_of(fuse_req_t req, uint64_t ino);
/* Do OP as the one who asks; with all groups if it is refused without. */
DVS_MUST_USE dvs_err task_as_caller(struct task *task, dvs_err (*op)(struct task *task));
/* As root: what the kernel has allowed. */
DVS_MUST_USE dvs_err task_as_root(struct task *task, dvs_err (*op)(struct task *task));
struct fsc_name task_name(const char *text);
void task_fail(const struct task *task, dvs_err err);
/* OK, or the error. */
void task_end(const struct task *task, dvs_err err);
/* TASK->attr as an entry, and NAME of DIR (names_tell(); NULL: none); the kernel knows the file then. False: no memory. */
bool task_entry(const struct task *task, uint64_t dir, const char *name, bool is_locked,
		struct fuse_entry_param *entry);
/* TASK->attr is TASK->name in TASK->ino. */
void task_reply_entry(const struct task *task, dvs_err err, bool is_locked);
/* The kernel knows it no more, as often as N. */
void task_forget(struct gateway *gateway, uint64_t ino, uint64_t n);
/* TASK->attr as stat(2) says it, and how long the kernel may keep it. */
struct stat task_stat(const struct task *task, const struct fs_attr *attr);
double task_attr_timeout(const struct task *task, const struct fs_attr *attr);
/* Get a lease on INO, if there is none. */
void task_lease(const struct task *task, uint64_t ino);

/* ---- ops_*.c ---- */

/* TASK->ino, as INFO says: TASK->handle and TASK->attr. */
DVS_MUST_USE dvs_err files_open(struct task *task, const struct fuse_file_info *info);
void ops_names_add(struct fuse_lowlevel_ops *ops);
void ops_attr_add(struct fuse_lowlevel_ops *ops);
void ops_files_add(struct fuse_lowlevel_ops *ops);
void ops_dirs_add(struct fuse_lowlevel_ops *ops);
void ops_locks_add(struct fuse_lowlevel_ops *ops);

/* ---- coherence.c ---- */

DVS_MUST_USE dvs_err coherence_start(struct gateway *gateway);
void coherence_stop(struct gateway *gateway);
struct fsc_recalls coherence_recalls(struct gateway *gateway);
/* Wait while what the kernel has is of a lease that was lost. */
void coherence_gate(struct gateway *gateway);
/* Contents that were changed past the kernel's cache. */
void coherence_wrote(const struct task *task, uint64_t offset, uint64_t bytes);

/* ---- expire.c ---- */

/* Names of DIR that the kernel keeps end; RECALL is over then (0: there is none). True: it is, or there was nothing to do; false: it takes its time. */
bool expire_names(struct gateway *gateway, uint64_t dir, uint64_t recall);
/* The same for one that has come where it may not be kept. */
void expire_name(struct gateway *gateway, uint64_t dir, const char *name);

/* ---- releases.c ---- */

void releases_begin(struct releases *releases);
DVS_MUST_USE dvs_err releases_start(struct gateway *gateway);
/* No more are taken; its thread leaves. */
void releases_stop(struct releases *releases);
/* Its thread has left. */
void releases_free(struct releases *releases);
/* HANDLE, which holds no locks, is to be given back soon. False: not by this. */
bool releases_put(struct gateway *gateway, uint32_t handle);
/* A name goes: give back now what there is, since a file that is open must be kept, without a name, and removed later. */
void releases_flush(struct gateway *gateway, struct fsc_thread *me);

/* ---- serve.c ---- */

DVS_MUST_USE dvs_err serve_start(struct gateway *gateway, char why[GATEWAY_WHY_MAX]);
/* Until the kernel has ended the file system, or a second signal comes. */
void serve_wait(struct gateway *gateway, int signal_fd);
void serve_free(struct gateway *gateway);
/* A thread beside the workers, whose answers go to FD. */
void serve_adopt(struct gateway *gateway, struct worker *worker);

/* ---- mount.c ---- */

/* A mount whose server is dead goes first. */
DVS_MUST_USE dvs_err mount_make(const struct gateway_options *options, int fuse_fd,
				char why[GATEWAY_WHY_MAX]);
/* True: nobody uses it; else it goes when nobody does. */
bool mount_end(const struct gateway_options *options);
/* How far the kernel reads ahead. */
void mount_set_readahead(const struct gateway_options *options);

/* ---- rights.c ---- */

/* IN_CONTAINER: it mounts where another process has its mounts. */
DVS_MUST_USE dvs_err gateway_rights_drop(bool in_container);

#endif
