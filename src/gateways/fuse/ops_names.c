/* SPDX-License-Identifier: Apache-2.0 */
/* Names: looking up, making, removing, renaming. */
#include <errno.h>
#include <string.h>
#include <sys/stat.h>

#include "gateways/fuse/gateway.h"

#define RENAME_EXCHANGES 2u /* renameat2(2) */

static dvs_err do_lookup(struct task *task)
{
	return fsc_lookup(task->me, task->who, task->ino, task->name, &task->attr);
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	struct task task = task_of(req, parent);
	struct gateway *gateway = task.gateway;
	dvs_err err;

	task.name = task_name(name);
	err = task_as_caller(&task, do_lookup);
	if (err == DVS_NOTFOUND && gateway->has_expiry &&
	    names_tell(gateway->names, parent, name, 0, task.asked, false)) {
		/* It may remember that, too. */
		const struct fuse_entry_param none = { .entry_timeout = GATEWAY_LONG_S };

		fuse_reply_entry(req, &none);
		return;
	}
	task_reply_entry(&task, err, false);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t n)
{
	struct gateway *gateway = fuse_req_userdata(req);

	task_forget(gateway, ino, n);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	struct gateway *gateway = fuse_req_userdata(req);

	for (size_t i = 0; i < count; i++)
		task_forget(gateway, forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static dvs_err do_make(struct task *task)
{
	const struct fsc_new what = { .parent = task->ino,
				      .name = task->name,
				      .mode = task->mode,
				      .umask = fuse_req_ctx(task->req)->umask,
				      .rdev = task->rdev };

	return fsc_create(task->me, task->who, &what, 0, NULL, &task->attr);
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode, dev_t rdev)
{
	struct task task = task_of(req, parent);

	task.name = task_name(name);
	task.mode = mode;
	task.rdev = (uint32_t)rdev;
	task.needs_groups = mode & S_ISGID;
	task_reply_entry(&task, task_as_caller(&task, do_make), true);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	op_mknod(req, parent, name, (mode & ~(mode_t)S_IFMT) | S_IFDIR, 0);
}

static dvs_err do_symlink(struct task *task)
{
	return fsc_symlink(task->me, task->who, task->ino, task->name, task->name2, &task->attr);
}

static void op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent, const char *name)
{
	struct task task = task_of(req, parent);

	task.name = task_name(name);
	task.name2 = task_name(target);
	task_reply_entry(&task, task_as_caller(&task, do_symlink), true);
}

static dvs_err do_link(struct task *task)
{
	return fsc_link(task->me, task->who, task->other, task->ino, task->name, &task->attr);
}

static void op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	struct task task = task_of(req, parent);

	task.other = ino;
	task.name = task_name(name);
	task_reply_entry(&task, task_as_caller(&task, do_link), true);
}

static dvs_err do_unlink(struct task *task)
{
	struct fs_unlink_rep rep;

	return fsc_unlink(task->me, task->who, task->ino, task->name, task->is_dir, &rep);
}

static void remove_name(fuse_req_t req, fuse_ino_t parent, const char *name, bool is_dir)
{
	struct task task = task_of(req, parent);
	dvs_err err;

	task.name = task_name(name);
	task.is_dir = is_dir;
	releases_flush(task.gateway, task.me);
	err = task_as_caller(&task, do_unlink);
	if (!err)
		names_drop(task.gateway->names, parent, name);
	task_end(&task, err);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, false);
}

static void op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	remove_name(req, parent, name, true);
}

static dvs_err do_rename(struct task *task)
{
	struct fs_rename_rep rep;

	return fsc_rename(task->me, task->who, task->ino, task->name, task->other, task->name2,
			  task->flags, &rep);
}

/* What the kernel keeps of a name it keeps of the new one. That directory's names need not be ours to keep: then it gives them up at once. */
static void rename_it(struct task *task, const char *name, const char *new_name)
{
	struct gateway *gateway = task->gateway;
	const struct names_place from = { task->ino, name };
	const struct names_place to = { task->other, new_name };
	const bool exchanges = (task->flags & RENAME_EXCHANGES) != 0;
	bool must_expire[2];
	dvs_err err;

	releases_flush(gateway, task->me);
	task->asked = nodes_clock(gateway->nodes);
	names_move(gateway->names, &from, &to, exchanges, task->asked, must_expire);
	err = task_as_caller(task, do_rename);
	names_moved(gateway->names, &from, &to, !err && !exchanges);
	task_end(task, err);
	if (must_expire[0])
		expire_name(gateway, to.dir, new_name);
	if (must_expire[1])
		expire_name(gateway, from.dir, name);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name, fuse_ino_t new_parent,
		      const char *new_name, unsigned int flags)
{
	struct task task = task_of(req, parent);

	/* NOREPLACE and EXCHANGE; a white-out belongs to overlays. */
	if (flags & ~3u) {
		fuse_reply_err(req, EINVAL);
		return;
	}
	task.name = task_name(name);
	task.other = new_parent;
	task.name2 = task_name(new_name);
	task.flags = flags;
	rename_it(&task, name, new_name);
}

static void op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	struct task task = task_of(req, ino);
	char target[FSC_TARGET_MAX + 1];
	size_t len;
	dvs_err err = fsc_readlink(task.me, ino, target, &len);

	if (!err && memchr(target, '\0', len))
		err = DVS_PROTO;
	if (err)
		task_fail(&task, err);
	else
		fuse_reply_readlink(req, target);
}

void ops_names_add(struct fuse_lowlevel_ops *ops)
{
	ops->lookup = op_lookup;
	ops->forget = op_forget;
	ops->forget_multi = op_forget_multi;
	ops->mknod = op_mknod;
	ops->mkdir = op_mkdir;
	ops->symlink = op_symlink;
	ops->link = op_link;
	ops->unlink = op_unlink;
	ops->rmdir = op_rmdir;
	ops->rename = op_rename;
	ops->readlink = op_readlink;
}
