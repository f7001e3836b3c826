/* SPDX-License-Identifier: Apache-2.0 */
/* Attributes, extended attributes, the file system's figures. */
#include <errno.h>
#include <linux/limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "gateways/fuse/gateway.h"

/* fs_change.valid */
#define CHANGE_MODE 1u
#define CHANGE_UID 2u
#define CHANGE_GID 4u
#define CHANGE_SIZE 8u
#define CHANGE_ATIME 16u
#define CHANGE_MTIME 32u
#define CHANGE_ATIME_NOW 64u
#define CHANGE_MTIME_NOW 128u
#define CHANGE_CTIME 256u
#define CHANGE_DROP 512u

static void reply_attr(const struct task *task, dvs_err err)
{
	struct stat stat_of;

	if (err) {
		task_fail(task, err);
		return;
	}
	stat_of = task_stat(task, &task->attr);
	fuse_reply_attr(task->req, &stat_of, task_attr_timeout(task, &task->attr));
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct task task = task_of(req, ino);

	(void)info;
	reply_attr(&task, fsc_getattr(task.me, ino, &task.attr));
}

/* ---- changing ---- */

static dvs_err change_of(const struct task *task, const struct stat *stat_of, int to_set,
			 struct fs_change *change)
{
	const struct ids *ids = &task->gateway->options->ids;
	static const struct {
		int theirs;
		uint32_t ours;
	} bits[] = {
		{ FUSE_SET_ATTR_MODE, CHANGE_MODE },   { FUSE_SET_ATTR_UID, CHANGE_UID },
		{ FUSE_SET_ATTR_GID, CHANGE_GID },     { FUSE_SET_ATTR_SIZE, CHANGE_SIZE },
		{ FUSE_SET_ATTR_CTIME, CHANGE_CTIME },
	};

	*change = (struct fs_change){ .mode = stat_of->st_mode & 07777,
				      .size = (uint64_t)stat_of->st_size,
				      .atime_s = stat_of->st_atim.tv_sec,
				      .atime_ns = (uint32_t)stat_of->st_atim.tv_nsec,
				      .mtime_s = stat_of->st_mtim.tv_sec,
				      .mtime_ns = (uint32_t)stat_of->st_mtim.tv_nsec,
				      .ctime_s = stat_of->st_ctim.tv_sec,
				      .ctime_ns = (uint32_t)stat_of->st_ctim.tv_nsec };
	for (size_t i = 0; i < sizeof(bits) / sizeof(bits[0]); i++)
		if (to_set & bits[i].theirs)
			change->valid |= bits[i].ours;
	if (to_set & FUSE_SET_ATTR_ATIME_NOW)
		change->valid |= CHANGE_ATIME_NOW;
	else if (to_set & FUSE_SET_ATTR_ATIME)
		change->valid |= CHANGE_ATIME;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		change->valid |= CHANGE_MTIME_NOW;
	else if (to_set & FUSE_SET_ATTR_MTIME)
		change->valid |= CHANGE_MTIME;
	/* Who may keep set-id bits is known here: the kernel leaves it to us. Nothing to change is what it asks before it gives space to a file. */
	if ((change->valid == 0 || (change->valid & CHANGE_SIZE)) &&
	    fuse_req_ctx(task->req)->uid != 0)
		change->valid |= CHANGE_DROP;
	if (((change->valid & CHANGE_UID) && !ids_inside(ids, stat_of->st_uid, &change->uid)) ||
	    ((change->valid & CHANGE_GID) && !ids_inside(ids, stat_of->st_gid, &change->gid)))
		return DVS_BADARG;
	return DVS_OK;
}

static dvs_err do_setattr(struct task *task)
{
	return fsc_setattr(task->me, task->who, task->ino, task->handle, &task->change,
			   &task->attr);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *stat_of, int to_set,
		       struct fuse_file_info *info)
{
	struct task task = task_of(req, ino);
	dvs_err err = change_of(&task, stat_of, to_set, &task.change);

	if (info && (to_set & FUSE_SET_ATTR_SIZE))
		task.handle = (uint32_t)info->fh;
	/* Who is in the file's group only by another one keeps its set-group-id bit. */
	task.needs_groups = ((to_set & FUSE_SET_ATTR_MODE) && (stat_of->st_mode & S_ISGID)) ||
			    (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID));
	if (!err)
		err = task_as_caller(&task, do_setattr);
	reply_attr(&task, err);
}

/* ---- extended attributes ---- */

static bool is_acl(const char *name)
{
	return strcmp(name, "system.posix_acl_access") == 0 ||
	       strcmp(name, "system.posix_acl_default") == 0;
}

static dvs_err do_getxattr(struct task *task)
{
	return fsc_getxattr(task->me, task->who, task->ino, task->name, task->worker->room,
			    task->bytes, &task->len);
}

static dvs_err do_listxattr(struct task *task)
{
	return fsc_listxattr(task->me, task->who, task->ino, task->worker->room, task->bytes,
			     &task->len);
}

static void reply_value(const struct task *task, dvs_err err)
{
	if (err)
		task_fail(task, err);
	else if (task->bytes == 0)
		fuse_reply_xattr(task->req, task->len);
	else
		fuse_reply_buf(task->req, (const char *)task->worker->room, task->len);
}

static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t bytes)
{
	struct task task = task_of(req, ino);
	dvs_err err;

	task.name = task_name(name);
	task.bytes = bytes < FSC_XATTR_MAX ? bytes : FSC_XATTR_MAX;
	err = task_as_caller(&task, do_getxattr);
	if (!err && task.bytes > 0 && is_acl(name) &&
	    !ids_acl(&task.gateway->options->ids, false, task.worker->room, task.len))
		err = DVS_PROTO;
	reply_value(&task, err);
}

static void op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t bytes)
{
	struct task task = task_of(req, ino);

	task.bytes = bytes < FSC_XATTR_MAX ? bytes : FSC_XATTR_MAX;
	reply_value(&task, task_as_caller(&task, do_listxattr));
}

static dvs_err do_setxattr(struct task *task)
{
	return fsc_setxattr(task->me, task->who, task->ino, task->name, task->data, task->bytes,
			    task->flags);
}

static void op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name, const char *value,
			size_t bytes, int flags)
{
	struct task task = task_of(req, ino);
	uint8_t *room = task.worker->room;

	task.name = task_name(name);
	task.bytes = bytes;
	task.flags = (uint32_t)flags;
	task.data = value;
	if (is_acl(name) && bytes <= FSC_XATTR_MAX) {
		memcpy(room, value, bytes);
		task.data = room;
		/* The set-group-id bit depends on all groups here, too. */
		task.needs_groups = true;
		if (bytes > 0 && !ids_acl(&task.gateway->options->ids, true, room, bytes)) {
			fuse_reply_err(req, EINVAL);
			return;
		}
	}
	task_end(&task, task_as_caller(&task, do_setxattr));
}

static dvs_err do_removexattr(struct task *task)
{
	return fsc_removexattr(task->me, task->who, task->ino, task->name);
}

static void op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	struct task task = task_of(req, ino);

	task.name = task_name(name);
	task_end(&task, task_as_caller(&task, do_removexattr));
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct task task = task_of(req, ino);
	struct fs_statfs_rep rep;
	struct statvfs statvfs_of;
	dvs_err err = fsc_statfs(task.me, &rep);

	if (err) {
		task_fail(&task, err);
		return;
	}
	statvfs_of = (struct statvfs){ .f_bsize = rep.block_bytes,
				       .f_frsize = rep.block_bytes,
				       .f_blocks = rep.blocks,
				       .f_bfree = rep.free,
				       .f_bavail = rep.free,
				       .f_files = rep.files,
				       .f_ffree = rep.files_free,
				       .f_favail = rep.files_free,
				       .f_namemax = FSC_NAME_MAX };
	fuse_reply_statfs(req, &statvfs_of);
}

void ops_attr_add(struct fuse_lowlevel_ops *ops)
{
	ops->getattr = op_getattr;
	ops->setattr = op_setattr;
	ops->getxattr = op_getxattr;
	ops->listxattr = op_listxattr;
	ops->setxattr = op_setxattr;
	ops->removexattr = op_removexattr;
	ops->statfs = op_statfs;
}
