/* SPDX-License-Identifier: Apache-2.0 */
/* A file server asked by M3-IPC, through the client library: every call goes to the server, nothing is remembered here. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "client/fs_client.h"
#include "manage/bench/fs/job.h"

enum { OPEN_MS = 20000, CALL_MS = 20000, ROOM_BYTES = 1 << 16 };

struct shared {
	struct fsc *fsc;
	uint64_t dir;
};

struct visitor {
	struct fsc_thread *thread;
	struct fsc_who *who;
	uint64_t dir;
	char room[ROOM_BYTES];
};

static struct fsc_name name_of(const char *text)
{
	return (struct fsc_name){ .text = text, .len = strlen(text) };
}

static void way_leave(void *me)
{
	struct visitor *visitor = me;

	if (visitor->who)
		fsc_who_put(visitor->thread, visitor->who);
	fsc_leave(visitor->thread);
	free(visitor);
}

static dvs_err way_enter(void *context, void **me)
{
	const struct shared *shared = context;
	const struct fsc_identity root = { .flags = FSC_MAY_ALL };
	struct visitor *visitor = calloc(1, sizeof(*visitor));
	dvs_err err = visitor ? fsc_enter(shared->fsc, &visitor->thread) : DVS_NOMEM;

	if (err) {
		free(visitor);
		return err;
	}
	visitor->dir = shared->dir;
	err = fsc_who_get(visitor->thread, &root, &visitor->who);
	if (err)
		way_leave(visitor);
	else
		*me = visitor;
	return err;
}

static dvs_err find_dir(struct shared *shared, const char *dir)
{
	const struct fsc_new what = { .parent = FSC_ROOT,
				      .name = name_of(dir),
				      .mode = S_IFDIR | 0755 };
	struct visitor *visitor;
	struct fs_attr attr;
	void *me = NULL;
	dvs_err err = way_enter(shared, &me);

	if (err)
		return err;
	visitor = me;
	err = fsc_create(visitor->thread, visitor->who, &what, 0, NULL, &attr);
	if (err == DVS_EXISTS)
		err = fsc_lookup(visitor->thread, visitor->who, FSC_ROOT, what.name, &attr);
	if (!err)
		shared->dir = attr.ino;
	way_leave(me);
	return err;
}

static void way_end(void *context)
{
	struct shared *shared = context;

	fsc_close(shared->fsc);
	free(shared);
}

/* TARGET: DC/NAME */
static dvs_err way_begin(const char *target, const char *dir, void **result,
			 struct bench_fault *fault)
{
	const struct fsc_config config = { .open_ms = OPEN_MS, .patience_ms = CALL_MS };
	const char *slash = strchr(target, '/');
	char dc[DVS_NAME_MAX + 1], why[FSC_WHY_MAX + 1] = "";
	struct shared *shared = calloc(1, sizeof(*shared));
	dvs_err err;

	if (!shared)
		return bench_fail(fault, DVS_NOMEM, "out of memory");
	if (!slash || (size_t)(slash - target) > DVS_NAME_MAX) {
		free(shared);
		return bench_fail(fault, DVS_BADARG, "%s is not DC/NAME", target);
	}
	snprintf(dc, sizeof(dc), "%.*s", (int)(slash - target), target);
	err = fsc_open(NULL, dc, slash + 1, &config, &shared->fsc, why);
	if (err) {
		free(shared);
		return bench_fail(fault, err, "%s: %s", target, why);
	}
	err = find_dir(shared, dir);
	if (err) {
		way_end(shared);
		return bench_fail(fault, err, "%s: %s: %s", target, dir, dvs_strerror(err));
	}
	*result = shared;
	return DVS_OK;
}

static dvs_err way_create(void *me, const char *name)
{
	const struct visitor *visitor = me;
	const struct fsc_new what = { .parent = visitor->dir,
				      .name = name_of(name),
				      .mode = S_IFREG | 0644 };
	struct fs_attr attr;

	return fsc_create(visitor->thread, visitor->who, &what, O_EXCL, NULL, &attr);
}

static dvs_err way_open(void *me, const char *name, int flags, uint32_t *handle)
{
	const struct visitor *visitor = me;
	const struct fsc_new what = { .parent = visitor->dir,
				      .name = name_of(name),
				      .mode = S_IFREG | 0644 };
	struct fs_attr attr;
	dvs_err err;

	if (flags & O_CREAT)
		return fsc_create(visitor->thread, visitor->who, &what, (uint32_t)flags, handle,
				  &attr);
	err = fsc_lookup(visitor->thread, visitor->who, visitor->dir, what.name, &attr);
	return err ? err :
		     fsc_open_file(visitor->thread, visitor->who, attr.ino, (uint32_t)flags, handle,
				   &attr);
}

static dvs_err way_close(void *me, uint32_t handle)
{
	const struct visitor *visitor = me;

	return fsc_release(visitor->thread, handle);
}

static dvs_err way_read(void *me, uint32_t handle, uint64_t offset, void *room, size_t bytes,
			const void **data)
{
	const struct visitor *visitor = me;
	size_t len = 0;
	dvs_err err = fsc_read(visitor->thread, handle, offset, bytes, data, &len);

	(void)room;
	return !err && len != bytes ? DVS_IO : err;
}

static dvs_err way_write(void *me, uint32_t handle, uint64_t offset, const void *data, size_t bytes)
{
	const struct visitor *visitor = me;
	struct fs_write_rep rep;
	dvs_err err = fsc_write(visitor->thread, handle, 0, offset, data, bytes, &rep);

	return !err && rep.bytes != bytes ? DVS_IO : err;
}

static dvs_err way_fsync(void *me, uint32_t handle)
{
	const struct visitor *visitor = me;

	return fsc_fsync(visitor->thread, handle, false);
}

static dvs_err way_drop(void *me, uint32_t handle)
{
	(void)me;
	(void)handle;
	return DVS_OK;
}

static dvs_err way_stat(void *me, const char *name)
{
	const struct visitor *visitor = me;
	struct fs_attr attr;

	return fsc_lookup(visitor->thread, visitor->who, visitor->dir, name_of(name), &attr);
}

static dvs_err way_unlink(void *me, const char *name)
{
	const struct visitor *visitor = me;
	struct fs_unlink_rep rep;

	return fsc_unlink(visitor->thread, visitor->who, visitor->dir, name_of(name), false, &rep);
}

static dvs_err way_rename(void *me, const char *from, const char *to)
{
	const struct visitor *visitor = me;
	struct fs_rename_rep rep;

	return fsc_rename(visitor->thread, visitor->who, visitor->dir, name_of(from), visitor->dir,
			  name_of(to), 0, &rep);
}

static dvs_err way_list(void *me, uint64_t *n)
{
	struct visitor *visitor = me;
	struct fsc_entries entries = { .is_end = false };
	struct fs_dirent entry;
	uint64_t cookie = 0;
	dvs_err err = DVS_OK;

	*n = 0;
	while (!entries.is_end && !err) {
		uint64_t before = *n;

		err = fsc_readdir(visitor->thread, visitor->who, 0, visitor->dir, cookie, false,
				  visitor->room, sizeof(visitor->room), &entries);
		while (!err && fsc_entry_next(&entries, &entry, NULL)) {
			cookie = entry.cookie;
			(*n)++;
		}
		if (!err && *n == before)
			break;
	}
	return err;
}

const struct file_way file_way_ipc = {
	.name = "ipc",
	.begin = way_begin,
	.end = way_end,
	.enter = way_enter,
	.leave = way_leave,
	.create = way_create,
	.open = way_open,
	.close = way_close,
	.read = way_read,
	.write = way_write,
	.fsync = way_fsync,
	.drop = way_drop,
	.stat = way_stat,
	.unlink = way_unlink,
	.rename = way_rename,
	.list = way_list,
};
