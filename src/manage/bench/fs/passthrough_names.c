/* SPDX-License-Identifier: Apache-2.0 */
/* Names and attributes. */
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include "manage/bench/fs/passthrough.h"

#define PROC_BYTES 64

/* What takes a path and no descriptor of O_PATH finds the file so. */
static const char *proc_path(int fd, char path[PROC_BYTES])
{
	(void)snprintf(path, PROC_BYTES, "/proc/self/fd/%d", fd);
	return path;
}

static void reply_entry(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct fuse_entry_param entry;
	int error = pt_lookup(pt_of(req), pt_fd(req, parent), name, &entry);

	if (error)
		(void)fuse_reply_err(req, error);
	else if (fuse_reply_entry(req, &entry))
		pt_forget(pt_of(req), entry.ino, 1);
}

static void reply_result(fuse_req_t req, int result)
{
	(void)fuse_reply_err(req, result != 0 ? errno : 0);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_entry(req, parent, name);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n_lookups)
{
	pt_forget(pt_of(req), ino, n_lookups);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		pt_forget(pt_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct stat attr;

	(void)info;
	if (fstatat(pt_fd(req, ino), "", &attr, AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW) != 0)
		reply_result(req, -1);
	else
		(void)fuse_reply_attr(req, &attr, PT_KEPT_S);
}

static int change_times(int fd, const struct stat *attr, int to_set)
{
	struct timespec times[2] = { { .tv_nsec = UTIME_OMIT }, { .tv_nsec = UTIME_OMIT } };
	char path[PROC_BYTES];

	if (to_set & FUSE_SET_ATTR_ATIME_NOW)
		times[0].tv_nsec = UTIME_NOW;
	else if (to_set & FUSE_SET_ATTR_ATIME)
		times[0] = attr->st_atim;
	if (to_set & FUSE_SET_ATTR_MTIME_NOW)
		times[1].tv_nsec = UTIME_NOW;
	else if (to_set & FUSE_SET_ATTR_MTIME)
		times[1] = attr->st_mtim;
	return utimensat(AT_FDCWD, proc_path(fd, path), times, 0);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		       struct fuse_file_info *info)
{
	int fd = pt_fd(req, ino);
	char path[PROC_BYTES];
	int result = 0;

	if (to_set & FUSE_SET_ATTR_MODE)
		result = chmod(proc_path(fd, path), attr->st_mode);
	if (result == 0 && (to_set & (FUSE_SET_ATTR_UID | FUSE_SET_ATTR_GID)))
		result = fchownat(fd, "", to_set & FUSE_SET_ATTR_UID ? attr->st_uid : (uid_t)-1,
				  to_set & FUSE_SET_ATTR_GID ? attr->st_gid : (gid_t)-1,
				  AT_EMPTY_PATH | AT_SYMLINK_NOFOLLOW);
	if (result == 0 && (to_set & FUSE_SET_ATTR_SIZE))
		result = info ? ftruncate((int)info->fh, attr->st_size) :
				truncate(proc_path(fd, path), attr->st_size);
	if (result == 0 && (to_set & (FUSE_SET_ATTR_ATIME | FUSE_SET_ATTR_MTIME)))
		result = change_times(fd, attr, to_set);
	if (result != 0)
		reply_result(req, result);
	else
		op_getattr(req, ino, info);
}

/* ---- making and removing ---- */

/* What is made belongs to who asks for it. */
static void made(fuse_req_t req, fuse_ino_t parent, const char *name, int result)
{
	const struct fuse_ctx *caller = fuse_req_ctx(req);

	if (result == 0 && (caller->uid != 0 || caller->gid != 0))
		result = fchownat(pt_fd(req, parent), name, caller->uid, caller->gid,
				  AT_SYMLINK_NOFOLLOW);
	if (result != 0)
		reply_result(req, result);
	else
		reply_entry(req, parent, name);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	made(req, parent, name, mkdirat(pt_fd(req, parent), name, mode));
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	made(req, parent, name, mknodat(pt_fd(req, parent), name, mode, rdev));
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	made(req, parent, name, symlinkat(target, pt_fd(req, parent), name));
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	char path[PROC_BYTES];

	if (linkat(AT_FDCWD, proc_path(pt_fd(req, ino), path), pt_fd(req, parent), name,
		   AT_SYMLINK_FOLLOW) != 0)
		reply_result(req, -1);
	else
		reply_entry(req, parent, name);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_result(req, unlinkat(pt_fd(req, parent), name, 0));
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	reply_result(req, unlinkat(pt_fd(req, parent), name, AT_REMOVEDIR));
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned int flags)
{
	reply_result(req,
		     renameat2(pt_fd(req, parent), name, pt_fd(req, new_parent), new_name, flags));
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	char target[PATH_MAX + 1];
	ssize_t len = readlinkat(pt_fd(req, ino), "", target, sizeof(target) - 1);

	if (len < 0) {
		reply_result(req, -1);
		return;
	}
	target[len] = '\0';
	(void)fuse_reply_readlink(req, target);
}

void pt_names_add(struct fuse_lowlevel_ops *ops)
{
	ops->lookup = op_lookup;
	ops->forget = op_forget;
	ops->forget_multi = op_forget_multi;
	ops->getattr = op_getattr;
	ops->setattr = op_setattr;
	ops->mkdir = op_mkdir;
	ops->mknod = op_mknod;
	ops->symlink = op_symlink;
	ops->link = op_link;
	ops->unlink = op_unlink;
	ops->rmdir = op_rmdir;
	ops->rename = op_rename;
	ops->readlink = op_readlink;
}
