/* SPDX-License-Identifier: Apache-2.0 */
/* Open files and their contents.
 *
 * Who reads only reads through the kernel's cache, under a lease. A file that is open for writing is read and written past it: then no page of it is ever locked by a request that waits at the server
 * until another node has given up its lease, and that other node never waits for ours. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "base/clock.h"
#include "gateways/fuse/gateway.h"

#define FLAG_EXEC 040u /* the kernel's own: it is opened to be run */
#define NO_LEASE_MS 1u
#define NO_LEASE_TRIES 1000u
#define COPY_MAX ((uint64_t)1 << 30) /* a reply has 32 bits for it */

static uint32_t handle_of(const struct fuse_file_info *info)
{
	return (uint32_t)info->fh;
}

static void set_info(const struct task *task, struct fuse_file_info *info)
{
	bool is_leased = nodes_took(task->gateway->nodes, &task->attr, task->asked);

	info->fh = task->handle;
	info->direct_io = (info->flags & O_ACCMODE) != O_RDONLY || !is_leased;
	/* What the kernel has it has under a lease. */
	info->keep_cache = 1;
}

/* ---- opening ---- */

static dvs_err do_open(struct task *task)
{
	return fsc_open_file(task->me, task->who, task->ino, task->flags, &task->handle,
			     &task->attr);
}

dvs_err files_open(struct task *task, const struct fuse_file_info *info)
{
	dvs_err err;

	task->flags = (uint32_t)info->flags & ~FLAG_EXEC;
	err = task_as_caller(task, do_open);
	/* What can be run need not be readable: the kernel has looked. */
	if (err == DVS_NOACCESS && ((uint32_t)info->flags & FLAG_EXEC))
		err = task_as_root(task, do_open);
	return err;
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct task task = task_of(req, ino);
	dvs_err err = files_open(&task, info);

	if (err) {
		task_fail(&task, err);
		return;
	}
	set_info(&task, info);
	if (fuse_reply_open(req, info))
		(void)!fsc_release(task.me, task.handle); /* nobody waited any more */
}

static dvs_err do_create(struct task *task)
{
	const struct fsc_new what = { .parent = task->ino,
				      .name = task->name,
				      .mode = task->mode,
				      .umask = fuse_req_ctx(task->req)->umask };

	return fsc_create(task->me, task->who, &what, task->flags, &task->handle, &task->attr);
}

static dvs_err do_tmpfile(struct task *task)
{
	const struct fsc_new what = { .parent = task->ino,
				      .mode = task->mode,
				      .umask = fuse_req_ctx(task->req)->umask };

	return fsc_tmpfile(task->me, task->who, &what, task->flags, &task->handle, &task->attr);
}

/* A file of that name, or one without a name for O_TMPFILE (serve.c). */
static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *info)
{
	struct task task = task_of(req, parent);
	const bool is_named = strcmp(name, "/") != 0;
	struct fuse_entry_param entry;
	dvs_err err;

	task.name = task_name(name);
	task.mode = (mode & ~(mode_t)S_IFMT) | S_IFREG;
	task.flags = (uint32_t)info->flags;
	task.needs_groups = mode & S_ISGID;
	err = task_as_caller(&task, is_named ? do_create : do_tmpfile);
	/* Another node has made a symbolic link of that name since the kernel looked: it looks again. */
	if (err == DVS_EXISTS && (task.flags & O_EXCL) == 0)
		err = DVS_STALE;
	if (!err && !task_entry(&task, parent, is_named ? name : NULL, true, &entry)) {
		(void)!fsc_release(task.me, task.handle);
		err = DVS_NOMEM;
	}
	if (err) {
		task_fail(&task, err);
		return;
	}
	set_info(&task, info);
	if (fuse_reply_create(req, &entry, info)) {
		(void)!fsc_release(task.me, task.handle);
		task_forget(task.gateway, entry.ino, 1);
	}
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct task task = task_of(req, ino);
	const struct fs_lock_req all = { .handle = handle_of(info),
					 .kind = FSC_LOCK_FCNTL,
					 .type = FSC_LOCK_NONE,
					 .owner = info->lock_owner,
					 .end = INT64_MAX };
	dvs_err err = DVS_OK;

	/* Any close of a file ends the process's locks on it. */
	if (fsc_has_locks(task.me, handle_of(info), info->lock_owner))
		err = fsc_lock(task.me, &all);
	task_end(&task, err);
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct task task = task_of(req, ino);
	uint32_t handle = handle_of(info);
	dvs_err err = DVS_OK;

	if (fsc_holds_locks(task.me, handle) || !releases_put(task.gateway, handle))
		err = fsc_release(task.me, handle);
	task_end(&task, err);
}

/* ---- reading ---- */

static void nap(void)
{
	const struct timespec no_lease = clock_timespec(NO_LEASE_MS * CLOCK_NS_PER_MS);

	(void)nanosleep(&no_lease, NULL);
}

/* Contents that the kernel keeps: read under a lease, or known to be dropped again. */
static dvs_err read_for_cache(struct task *task, uint64_t offset, enum nodes_verdict *verdict)
{
	struct nodes *nodes = task->gateway->nodes;
	dvs_err err = DVS_OK;

	*verdict = NODES_AGAIN;
	for (uint32_t i = 0; i < NO_LEASE_TRIES && *verdict == NODES_AGAIN && !err; i++) {
		if (i > 2)
			nap();
		task_lease(task, task->ino);
		task->asked = nodes_clock(nodes);
		err = fsc_read(task->me, task->handle, offset, task->bytes, &task->data,
			       &task->len);
		if (!err)
			*verdict = nodes_judge(nodes, task->ino, task->asked);
	}
	return err;
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t bytes, off_t offset,
		    struct fuse_file_info *info)
{
	struct task task = task_of(req, ino);
	struct gateway *gateway = task.gateway;
	enum nodes_verdict verdict = NODES_GOOD;
	dvs_err err;

	task.handle = handle_of(info);
	task.bytes = bytes < FSC_IO_MAX ? bytes : FSC_IO_MAX;
	/* The kernel says whose read(2) it is when it has no page for it. */
	if (info->lock_owner)
		err = fsc_read(task.me, task.handle, (uint64_t)offset, task.bytes, &task.data,
			       &task.len);
	else
		err = read_for_cache(&task, (uint64_t)offset, &verdict);
	if (err) {
		task_fail(&task, err);
		return;
	}
	fuse_reply_buf(req, task.data, task.len);
	if (verdict == NODES_OLD)
		nodes_delivered(gateway->nodes, ino);
	else if (verdict == NODES_AGAIN) /* The server gives no lease: not to be kept. */
		(void)fuse_lowlevel_notify_inval_inode(gateway->session, ino, offset,
						       (off_t)task.bytes);
}

static void op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		     struct fuse_file_info *info)
{
	struct task task = task_of(req, ino);
	uint64_t found;
	dvs_err err =
		fsc_seek(task.me, handle_of(info), (uint32_t)whence, (uint64_t)offset, &found);

	if (err)
		task_fail(&task, err);
	else
		fuse_reply_lseek(req, (off_t)found);
}

/* ---- changing ---- */

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t bytes, off_t offset,
		     struct fuse_file_info *info)
{
	struct task task = task_of(req, ino);
	struct fs_write_rep rep;
	uint32_t flags = 0;
	dvs_err err;

	if (info->flags & (O_SYNC | O_DSYNC))
		flags |= FSC_WRITE_DURABLE;
	if (!info->writepage) {
		if (info->flags & O_APPEND)
			flags |= FSC_WRITE_APPEND;
		if (fuse_req_ctx(req)->uid != 0)
			flags |= FSC_WRITE_DROP;
	}
	err = fsc_write(task.me, handle_of(info), flags, (uint64_t)offset, data, bytes, &rep);
	if (!err && rep.bytes == 0 && bytes > 0)
		err = DVS_NOSPACE;
	if (err) {
		task_fail(&task, err);
		return;
	}
	if (!info->writepage)
		coherence_wrote(&task, rep.offset, rep.bytes);
	fuse_reply_write(req, rep.bytes);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *info)
{
	struct task task = task_of(req, ino);

	task_end(&task, fsc_fsync(task.me, handle_of(info), data_only != 0));
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t bytes,
			 struct fuse_file_info *info)
{
	struct task task = task_of(req, ino);
	dvs_err err = fsc_allocate(task.me, handle_of(info), (uint32_t)mode, (uint64_t)offset,
				   (uint64_t)bytes);

	if (!err)
		coherence_wrote(&task, (uint64_t)offset, (uint64_t)bytes);
	task_end(&task, err);
}

static void op_copy(fuse_req_t req, fuse_ino_t ino, off_t offset, struct fuse_file_info *info,
		    fuse_ino_t to, off_t to_offset, struct fuse_file_info *to_info, size_t bytes,
		    int flags)
{
	struct task task = task_of(req, ino);
	struct fs_copy_req what = { .from = handle_of(info),
				    .to = handle_of(to_info),
				    .from_offset = (uint64_t)offset,
				    .to_offset = (uint64_t)to_offset,
				    .bytes = bytes < COPY_MAX ? bytes : COPY_MAX };
	struct fs_copy_rep rep;
	dvs_err err = flags ? DVS_BADARG : fsc_copy(task.me, &what, &rep);

	if (err) {
		task_fail(&task, err);
		return;
	}
	task.ino = to;
	coherence_wrote(&task, what.to_offset, rep.bytes);
	fuse_reply_write(req, rep.bytes);
}

void ops_files_add(struct fuse_lowlevel_ops *ops)
{
	ops->open = op_open;
	ops->create = op_create;
	ops->flush = op_flush;
	ops->release = op_release;
	ops->read = op_read;
	ops->lseek = op_lseek;
	ops->write = op_write;
	ops->fsync = op_fsync;
	ops->fallocate = op_fallocate;
	ops->copy_file_range = op_copy;
}
