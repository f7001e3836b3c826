/* SPDX-License-Identifier: Apache-2.0 */
/* What all operations have in common: who asks, and how it is answered. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "base/cleanup.h"
#include "gateways/fuse/gateway.h"

struct task task_of(fuse_req_t req, uint64_t ino)
{
	struct gateway *gateway = fuse_req_userdata(req);
	struct worker *worker = pthread_getspecific(gateway->worker);

	return (struct task){
		.gateway = gateway,
		.worker = worker,
		.me = worker->me,
		.req = req,
		.ino = ino,
		.asked = nodes_clock(gateway->nodes),
	};
}

struct fsc_name task_name(const char *text)
{
	return (struct fsc_name){ text, strlen(text) };
}

/* ---- who asks ---- */

static dvs_err run_as(struct task *task, const struct fsc_identity *identity,
		      dvs_err (*op)(struct task *task))
{
	dvs_err err = fsc_who_get(task->me, identity, &task->who);

	if (err)
		return err;
	task->asked = nodes_clock(task->gateway->nodes);
	err = op(task);
	fsc_who_put(task->me, task->who);
	task->who = NULL;
	return err;
}

/* The line of its status behind "Groups:", zero-terminated, malloc'ed; NULL: the caller is gone, or has none. (fuse_req_getgroups() of libfuse 3.14 reads over the end of its buffer.) */
static char *groups_line(const struct task *task)
{
	static const char key[] = "Groups:";
	char path[64];
	char *line = NULL;
	size_t room = 0;
	bool found = false;
	FILE *file;

	(void)snprintf(path, sizeof(path), "/proc/%d/status", (int)fuse_req_ctx(task->req)->pid);
	file = fopen(path, "re");
	if (!file)
		return NULL;
	while (!found && getline(&line, &room, file) > 0)
		found = strncmp(line, key, sizeof(key) - 1) == 0;
	(void)fclose(file);
	if (found) {
		memmove(line, line + sizeof(key) - 1, strlen(line + sizeof(key) - 1) + 1);
		return line;
	}
	free(line);
	return NULL;
}

/* Those that have a number inside. */
static uint32_t groups_of(const struct task *task, uint32_t groups[FSC_GROUPS_MAX])
{
	AUTO_FREE char *line = groups_line(task);
	char *at = line;
	uint32_t n = 0;

	while (at && n < FSC_GROUPS_MAX) {
		char *end;
		unsigned long outside = strtoul(at, &end, 10);

		if (end == at)
			break;
		at = end;
		if (outside <= UINT32_MAX &&
		    ids_inside(&task->gateway->options->ids, (uint32_t)outside, &groups[n]))
			n++;
	}
	return n;
}

dvs_err task_as_caller(struct task *task, dvs_err (*op)(struct task *task))
{
	const struct fuse_ctx *caller = fuse_req_ctx(task->req);
	const struct ids *ids = &task->gateway->options->ids;
	struct fsc_identity identity = { .flags = 0 };
	uint32_t groups[FSC_GROUPS_MAX];
	bool is_known = ids_inside(ids, caller->uid, &identity.uid);
	dvs_err err = DVS_OK;

	(void)ids_inside(ids, caller->gid, &identity.gid);
	if (is_known && identity.uid == 0)
		identity.flags = FSC_MAY_ALL;
	/* To read what groups somebody is in takes longer than most requests, and most depend on none: only who is refused without them is asked. */
	if (!task->needs_groups) {
		err = run_as(task, &identity, op);
		if (identity.flags || (err != DVS_NOACCESS && err != DVS_DENIED))
			return err;
	}
	identity.n_groups = groups_of(task, groups);
	identity.groups = groups;
	if (identity.n_groups == 0 && !task->needs_groups)
		return err;
	return run_as(task, &identity, op);
}

dvs_err task_as_root(struct task *task, dvs_err (*op)(struct task *task))
{
	return run_as(task, &(struct fsc_identity){ .flags = FSC_MAY_ALL }, op);
}

/* ---- answers ---- */

static int number_of(dvs_err err)
{
	static const struct {
		dvs_err err;
		int number;
	} known[] = {
		{ DVS_NODEST, EIO },	 { DVS_PEERDEAD, EIO }, { DVS_NODEDOWN, EIO },
		{ DVS_NOQUORUM, EIO },	 { DVS_NODVSD, EIO },	{ DVS_NOTBOUND, EIO },
		{ DVS_TIMEOUT, EIO },	 { DVS_RESUME, EIO },	{ DVS_PROTO, EIO },
		{ DVS_BADSTATE, EBUSY }, { DVS_TOOBIG, E2BIG }, { DVS_FULL, ENFILE },
		{ DVS_CORRUPT, EIO },
	};

	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		if (known[i].err == err)
			return known[i].number;
	return dvs_err_errno(err);
}

void task_end(const struct task *task, dvs_err err)
{
	fuse_reply_err(task->req, number_of(err));
}

void task_fail(const struct task *task, dvs_err err)
{
	task_end(task, err ? err : DVS_IO);
}

struct stat task_stat(const struct task *task, const struct fs_attr *attr)
{
	const struct ids *ids = &task->gateway->options->ids;

	return (struct stat){
		.st_ino = attr->ino,
		.st_mode = attr->mode,
		.st_nlink = attr->nlink,
		.st_uid = ids_outside(ids, attr->uid),
		.st_gid = ids_outside(ids, attr->gid),
		.st_rdev = attr->rdev,
		.st_size = (off_t)attr->size,
		.st_blocks = (blkcnt_t)attr->blocks,
		.st_blksize = 4096,
		.st_atim = { .tv_sec = attr->atime_s, .tv_nsec = attr->atime_ns },
		.st_mtim = { .tv_sec = attr->mtime_s, .tv_nsec = attr->mtime_ns },
		.st_ctim = { .tv_sec = attr->ctime_s, .tv_nsec = attr->ctime_ns },
	};
}

double task_attr_timeout(const struct task *task, const struct fs_attr *attr)
{
	return nodes_took(task->gateway->nodes, attr, task->asked) ? GATEWAY_LONG_S : 0;
}

void task_lease(const struct task *task, uint64_t ino)
{
	struct nodes *nodes = task->gateway->nodes;
	uint64_t asked = nodes_clock(nodes);
	struct fs_attr attr;

	if (!nodes_holds(nodes, ino, asked) && !fsc_getattr(task->me, ino, &attr))
		(void)nodes_took(nodes, &attr, asked);
}

bool task_entry(const struct task *task, uint64_t dir, const char *name, bool is_locked,
		struct fuse_entry_param *entry)
{
	const struct gateway *gateway = task->gateway;

	*entry = (struct fuse_entry_param){ .ino = task->attr.ino };
	if (nodes_keep(gateway->nodes, &task->attr))
		return false;
	entry->attr = task_stat(task, &task->attr);
	entry->attr_timeout = task_attr_timeout(task, &task->attr);
	if (name && gateway->has_expiry &&
	    names_tell(gateway->names, dir, name, entry->ino, task->asked, is_locked))
		entry->entry_timeout = GATEWAY_LONG_S;
	return true;
}

void task_forget(struct gateway *gateway, uint64_t ino, uint64_t n)
{
	if (nodes_forget(gateway->nodes, ino, n))
		names_forget(gateway->names, ino);
}

void task_reply_entry(const struct task *task, dvs_err err, bool is_locked)
{
	struct fuse_entry_param entry;

	if (!err && !task_entry(task, task->ino, task->name.text, is_locked, &entry))
		err = DVS_NOMEM;
	if (err)
		task_fail(task, err);
	else if (fuse_reply_entry(task->req, &entry))
		task_forget(task->gateway, entry.ino, 1); /* nobody waited any more */
}
