/* SPDX-License-Identifier: Apache-2.0 */
/* Reading directories. */
#include <string.h>
#include <sys/stat.h>

#include "gateways/fuse/gateway.h"

/* The server's entries are in the first half of a worker's room, the kernel's in the second. */
#define HALF_BYTES (GATEWAY_ROOM_BYTES / 2)

struct list_to {
	const struct task *task;
	char *at;
	size_t left;
};

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct task task = task_of(req, ino);
	dvs_err err = files_open(&task, info);

	if (err) {
		task_fail(&task, err);
		return;
	}
	info->fh = task.handle;
	if (fuse_reply_open(req, info))
		(void)!fsc_release(task.me, task.handle);
}

static bool is_dot(const char *name)
{
	return strcmp(name, ".") == 0 || strcmp(name, "..") == 0;
}

/* False: it does not fit any more. */
static bool add_plus(struct list_to *to, const struct fs_dirent *entry, const char *name,
		     const struct fs_attr *attr)
{
	struct task task = *to->task;
	struct fuse_entry_param param = { .ino = 0 };
	bool is_file = attr->ino != 0 && !is_dot(name);
	size_t bytes;

	task.attr = *attr;
	if (fuse_add_direntry_plus(task.req, NULL, 0, name, NULL, 0) > to->left)
		return false;
	/* Without a number in it the kernel learns the name only. */
	if (is_file && !task_entry(&task, task.ino, name, true, &param))
		param = (struct fuse_entry_param){ .ino = 0 };
	param.attr.st_ino = entry->ino;
	param.attr.st_mode = (mode_t)entry->kind << 12 | (param.attr.st_mode & 07777);
	bytes = fuse_add_direntry_plus(task.req, to->at, to->left, name, &param,
				       (off_t)entry->cookie);
	to->at += bytes;
	to->left -= bytes;
	return true;
}

static bool add_plain(struct list_to *to, const struct fs_dirent *entry, const char *name)
{
	const struct stat stat_of = { .st_ino = entry->ino, .st_mode = (mode_t)entry->kind << 12 };
	size_t bytes = fuse_add_direntry(to->task->req, to->at, to->left, name, &stat_of,
					 (off_t)entry->cookie);

	if (bytes > to->left)
		return false;
	to->at += bytes;
	to->left -= bytes;
	return true;
}

static void list(fuse_req_t req, fuse_ino_t ino, size_t bytes, off_t offset,
		 const struct fuse_file_info *info, bool with_attr)
{
	struct task task = task_of(req, ino);
	char *room = (char *)task.worker->room;
	size_t cap = bytes < HALF_BYTES ? bytes : HALF_BYTES;
	struct list_to to = { &task, room + HALF_BYTES, cap };
	struct fsc_entries entries;
	struct fs_dirent entry;
	struct fs_attr attr = { .ino = 0 };
	dvs_err err;

	task.asked = nodes_clock(task.gateway->nodes);
	err = fsc_readdir(task.me, NULL, (uint32_t)info->fh, ino, (uint64_t)offset, with_attr, room,
			  cap, &entries);
	while (!err && fsc_entry_next(&entries, &entry, &attr)) {
		char name[FSC_NAME_MAX + 1];

		memcpy(name, entry.name, entry.n_name);
		name[entry.n_name] = '\0';
		if (!(with_attr ? add_plus(&to, &entry, name, &attr) :
				  add_plain(&to, &entry, name)))
			break;
	}
	if (err)
		task_fail(&task, err);
	else
		fuse_reply_buf(req, room + HALF_BYTES, cap - to.left);
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

static void op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	struct task task = task_of(req, ino);

	task_end(&task, fsc_release(task.me, (uint32_t)info->fh));
}

static void op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int data_only, struct fuse_file_info *info)
{
	struct task task = task_of(req, ino);

	task_end(&task, fsc_fsync(task.me, (uint32_t)info->fh, data_only != 0));
}

void ops_dirs_add(struct fuse_lowlevel_ops *ops)
{
	ops->opendir = op_opendir;
	ops->readdir = op_readdir;
	ops->readdirplus = op_readdirplus;
	ops->releasedir = op_releasedir;
	ops->fsyncdir = op_fsyncdir;
}
