/* SPDX-License-Identifier: Apache-2.0 */
/* Open files and directories. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/bench/fs/passthrough.h"

static int fd_of(const struct fuse_file_info *info)
{
	return (int)info->fh;
}

static void reply_result(fuse_req_t req, int result)
{
	(void)fuse_reply_err(req, result != 0 ? errno : 0);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	char path[64];
	int fd;

	(void)snprintf(path, sizeof(path), "/proc/self/fd/%d", pt_fd(req, ino));
	fd = open(path, (info->flags & ~O_NOFOLLOW) | O_CLOEXEC);
	if (fd < 0) {
		reply_result(req, -1);
		return;
	}
	info->fh = (uint64_t)fd;
	if (fuse_reply_open(req, info))
		close(fd);
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *info)
{
	const struct fuse_ctx *caller = fuse_req_ctx(req);
	struct fuse_entry_param entry;
	int fd = openat(pt_fd(req, parent), name, info->flags | O_CREAT | O_CLOEXEC, mode);
	int error = fd < 0 ? errno : 0;

	if (!error && (caller->uid != 0 || caller->gid != 0) &&
	    fchown(fd, caller->uid, caller->gid) != 0)
		error = errno;
	if (!error)
		error = pt_lookup(pt_of(req), pt_fd(req, parent), name, &entry);
	if (error) {
		if (fd >= 0)
			close(fd);
		(void)fuse_reply_err(req, error);
		return;
	}
	info->fh = (uint64_t)fd;
	if (fuse_reply_create(req, &entry, info)) {
		close(fd);
		pt_forget(pt_of(req), entry.ino, 1);
	}
}

static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	reply_result(req, close(dup(fd_of(info))));
}

static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	close(fd_of(info));
	(void)fuse_reply_err(req, 0);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t bytes, off_t offset,
		    struct fuse_file_info *info)
{
	struct fuse_bufvec data = FUSE_BUFVEC_INIT(bytes);

	(void)ino;
	data.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	data.buf[0].fd = fd_of(info);
	data.buf[0].pos = offset;
	(void)fuse_reply_data(req, &data, FUSE_BUF_SPLICE_MOVE);
}

static void op_write_buf(fuse_req_t req, fuse_ino_t ino, struct fuse_bufvec *from, off_t offset,
			 struct fuse_file_info *info)
{
	struct fuse_bufvec to = FUSE_BUFVEC_INIT(fuse_buf_size(from));
	ssize_t n;

	(void)ino;
	to.buf[0].flags = FUSE_BUF_IS_FD | FUSE_BUF_FD_SEEK;
	to.buf[0].fd = fd_of(info);
	to.buf[0].pos = offset;
	n = fuse_buf_copy(&to, from, 0);
	if (n < 0)
		(void)fuse_reply_err(req, (int)-n);
	else
		(void)fuse_reply_write(req, (size_t)n);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *info)
{
	(void)ino;
	reply_result(req, data_only ? fdatasync(fd_of(info)) : fsync(fd_of(info)));
}

static void op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t bytes,
			 struct fuse_file_info *info)
{
	(void)ino;
	reply_result(req, fallocate(fd_of(info), mode, offset, bytes));
}

static void op_flock(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info, int op)
{
	(void)ino;
	reply_result(req, flock(fd_of(info), op));
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs info;

	if (fstatvfs(pt_fd(req, ino), &info) != 0)
		reply_result(req, -1);
	else
		(void)fuse_reply_statfs(req, &info);
}

/* ---- directories ---- */

static DIR *dir_of(const struct fuse_file_info *info)
{
	return (DIR *)(uintptr_t)info->fh;
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	int fd = openat(pt_fd(req, ino), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;

	if (!dir) {
		reply_result(req, -1);
		if (fd >= 0)
			close(fd);
		return;
	}
	info->fh = (uint64_t)(uintptr_t)dir;
	if (fuse_reply_open(req, info))
		closedir(dir);
}

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	closedir(dir_of(info));
	(void)fuse_reply_err(req, 0);
}

/* One entry into ROOM; 0: it does not fit. */
static size_t put_entry(fuse_req_t req, fuse_ino_t parent, const struct dirent *at, bool plus,
			char *room, size_t left)
{
	struct fuse_entry_param entry = { .ino = 0 };
	bool is_dot = strcmp(at->d_name, ".") == 0 || strcmp(at->d_name, "..") == 0;
	size_t bytes;

	entry.attr.st_ino = at->d_ino;
	entry.attr.st_mode = (mode_t)at->d_type << 12;
	if (!plus) {
		bytes = fuse_add_direntry(req, room, left, at->d_name, &entry.attr, at->d_off);
		return bytes <= left ? bytes : 0;
	}
	if (fuse_add_direntry_plus(req, NULL, 0, at->d_name, NULL, 0) > left)
		return 0;
	if (!is_dot && pt_lookup(pt_of(req), pt_fd(req, parent), at->d_name, &entry) != 0)
		entry.ino = 0; /* gone meanwhile: a name without attributes */
	return fuse_add_direntry_plus(req, room, left, at->d_name, &entry, at->d_off);
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t bytes, off_t offset,
		 const struct fuse_file_info *info, bool plus)
{
	DIR *dir = dir_of(info);
	AUTO_FREE char *room = malloc(bytes);
	const struct dirent *at;
	size_t used = 0;

	if (!room) {
		(void)fuse_reply_err(req, ENOMEM);
		return;
	}
	if (telldir(dir) != offset)
		seekdir(dir, offset);
	while ((at = readdir(dir))) {
		long here = at->d_off;
		size_t n = put_entry(req, ino, at, plus, room + used, bytes - used);

		if (n == 0)
			break;
		used += n;
		offset = here;
	}
	/* What did not fit comes again. */
	if (at)
		seekdir(dir, offset);
	(void)fuse_reply_buf(req, room, used);
}

static void op_readdir(fuse_req_t req, fuse_ino_t ino, size_t bytes, off_t offset,
		       struct fuse_file_info *info)
{
	list(req, ino, bytes, offset, info, false);
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t bytes, off_t offset,
			   struct fuse_file_info *info)
{
	list(req, ino, bytes, offset, info, true);
}

void pt_files_add(struct fuse_lowlevel_ops *ops)
{
	ops->open = op_open;
	ops->create = op_create;
	ops->flush = op_flush;
	ops->release = op_release;
	ops->read = op_read;
	ops->write_buf = op_write_buf;
	ops->fsync = op_fsync;
	ops->fallocate = op_fallocate;
	ops->flock = op_flock;
	ops->statfs = op_statfs;
	ops->opendir = op_opendir;
	ops->releasedir = op_releasedir;
	ops->readdir = op_readdir;
	ops->readdirplus = op_readdirplus;
}
