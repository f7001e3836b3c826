/* SPDX-License-Identifier: Apache-2.0 */
/* A file system at a directory of the node, by system calls. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/err.h"
#include "manage/bench/fs/job.h"

/* What the other way says of names, this one does, too. */
static dvs_err last(int result)
{
	if (result >= 0)
		return DVS_OK;
	return errno == ENOENT ? DVS_NOTFOUND :
	       errno == EEXIST ? DVS_EXISTS :
				 dvs_from_errno(errno);
}

static int dir_of(const void *me)
{
	return *(const int *)me;
}

static dvs_err way_begin(const char *target, const char *dir, void **shared,
			 struct bench_fault *fault)
{
	char path[400];
	int *fd = malloc(sizeof(*fd));

	if (!fd)
		return bench_fail(fault, DVS_NOMEM, "out of memory");
	snprintf(path, sizeof(path), "%s/%s", target, dir);
	*fd = -1;
	if (mkdir(path, 0755) == 0 || errno == EEXIST)
		*fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (*fd < 0) {
		free(fd);
		return bench_fail_errno(fault, path);
	}
	*shared = fd;
	return DVS_OK;
}

static void way_end(void *shared)
{
	close(dir_of(shared));
	free(shared);
}

static dvs_err way_enter(void *shared, void **me)
{
	*me = shared;
	return DVS_OK;
}

static void way_leave(void *me)
{
	(void)me;
}

static dvs_err way_open(void *me, const char *name, int flags, uint32_t *handle)
{
	int fd = openat(dir_of(me), name, flags | O_CLOEXEC, 0644);

	*handle = (uint32_t)fd;
	return last(fd);
}

static dvs_err way_close(void *me, uint32_t handle)
{
	(void)me;
	return last(close((int)handle));
}

static dvs_err way_create(void *me, const char *name)
{
	uint32_t handle;
	dvs_err err = way_open(me, name, O_WRONLY | O_CREAT | O_EXCL, &handle);

	return err ? err : way_close(me, handle);
}

static dvs_err way_read(void *me, uint32_t handle, uint64_t offset, void *room, size_t bytes,
			const void **data)
{
	ssize_t n = pread((int)handle, room, bytes, (off_t)offset);

	(void)me;
	*data = room;
	return n >= 0 && (size_t)n != bytes ? DVS_IO : last((int)n);
}

static dvs_err way_write(void *me, uint32_t handle, uint64_t offset, const void *data, size_t bytes)
{
	ssize_t n = pwrite((int)handle, data, bytes, (off_t)offset);

	(void)me;
	return n >= 0 && (size_t)n != bytes ? DVS_IO : last((int)n);
}

static dvs_err way_fsync(void *me, uint32_t handle)
{
	(void)me;
	return last(fsync((int)handle));
}

static dvs_err way_drop(void *me, uint32_t handle)
{
	int error = posix_fadvise((int)handle, 0, 0, POSIX_FADV_DONTNEED);

	(void)me;
	return error ? dvs_from_errno(error) : DVS_OK;
}

static dvs_err way_stat(void *me, const char *name)
{
	struct stat info;

	return last(fstatat(dir_of(me), name, &info, AT_SYMLINK_NOFOLLOW));
}

static dvs_err way_unlink(void *me, const char *name)
{
	return last(unlinkat(dir_of(me), name, 0));
}

static dvs_err way_rename(void *me, const char *from, const char *to)
{
	return last(renameat(dir_of(me), from, dir_of(me), to));
}

static dvs_err way_list(void *me, uint64_t *n)
{
	int fd = openat(dir_of(me), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd >= 0 ? fdopendir(fd) : NULL;
	dvs_err err = DVS_OK;

	if (!dir) {
		err = dvs_from_errno(errno);
		if (fd >= 0)
			close(fd);
		return err;
	}
	*n = 0;
	for (errno = 0; readdir(dir); (*n)++)
		;
	if (errno)
		err = dvs_from_errno(errno);
	closedir(dir);
	return err;
}

const struct file_way file_way_dir = {
	.name = "dir",
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
