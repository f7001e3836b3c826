/* SPDX-License-Identifier: Apache-2.0 */
#include "vdd_power.h"

#include <check.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/list.h"

#define PAGE_BYTES 4096u

/* One change of a file that no sync has followed. */
struct change {
	struct list link;
	ino_t file;
	off_t offset;
	size_t bytes;
	uint8_t *was;
	uint8_t *is;
};

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static struct list changes = { &changes, &changes };

ssize_t __real_pwrite64(int fd, const void *buffer, size_t bytes, off_t offset);
ssize_t __wrap_pwrite64(int fd, const void *buffer, size_t bytes, off_t offset);
int __real_fdatasync(int fd);
int __wrap_fdatasync(int fd);
int __real_fsync(int fd);
int __wrap_fsync(int fd);
int __real_fallocate64(int fd, int mode, off_t offset, off_t bytes);
int __wrap_fallocate64(int fd, int mode, off_t offset, off_t bytes);
int __real_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to);
int __real_unlinkat(int dir, const char *path, int flags);
int __wrap_unlinkat(int dir, const char *path, int flags);
int __real_openat64(int dir, const char *path, int flags, ...);
int __wrap_openat64(int dir, const char *path, int flags, ...);
int __real_open64(const char *path, int flags, ...);
int __wrap_open64(const char *path, int flags, ...);

static ino_t file_of(int fd)
{
	struct stat st;

	ck_assert_int_eq(fstat(fd, &st), 0);
	return st.st_ino;
}

static void change_free(struct change *change)
{
	list_remove(&change->link);
	free(change->was);
	free(change->is);
	free(change);
}

/* Under lock. IS: NULL for zeroes. */
static void note(int fd, off_t offset, size_t bytes, const void *is)
{
	struct change *change = calloc(1, sizeof(*change));

	change->file = file_of(fd);
	change->offset = offset;
	change->bytes = bytes;
	change->was = calloc(1, bytes + 1);
	change->is = calloc(1, bytes + 1);
	/* What is beyond the end is zeroes. */
	if (pread(fd, change->was, bytes, offset) < 0)
		memset(change->was, 0, bytes);
	if (is)
		memcpy(change->is, is, bytes);
	list_add_tail(&changes, &change->link);
}

ssize_t __wrap_pwrite64(int fd, const void *buffer, size_t bytes, off_t offset)
{
	ssize_t put;

	pthread_mutex_lock(&lock);
	note(fd, offset, bytes, buffer);
	put = __real_pwrite64(fd, buffer, bytes, offset);
	pthread_mutex_unlock(&lock);
	return put;
}

int __wrap_fallocate64(int fd, int mode, off_t offset, off_t bytes)
{
	int failed;

	pthread_mutex_lock(&lock);
	note(fd, offset, (size_t)bytes, NULL);
	failed = __real_fallocate64(fd, mode, offset, bytes);
	if (failed)
		change_free(CONTAINER_OF(changes.prev, struct change, link));
	pthread_mutex_unlock(&lock);
	return failed;
}

/* What was written before is on the medium. */
static int sync_file(int fd, int (*call)(int fd))
{
	int failed;

	pthread_mutex_lock(&lock);
	failed = call(fd);
	LIST_FOREACH_SAFE(link, &changes) {
		struct change *change = CONTAINER_OF(link, struct change, link);

		if (!failed && change->file == file_of(fd))
			change_free(change);
	}
	pthread_mutex_unlock(&lock);
	return failed;
}

int __wrap_fdatasync(int fd)
{
	return sync_file(fd, __real_fdatasync);
}

int __wrap_fsync(int fd)
{
	return sync_file(fd, __real_fsync);
}

/* Names do not change while the files are copied. */
int __wrap_renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	int failed;

	pthread_mutex_lock(&lock);
	failed = __real_renameat(from_dir, from, to_dir, to);
	pthread_mutex_unlock(&lock);
	return failed;
}

int __wrap_unlinkat(int dir, const char *path, int flags)
{
	int failed;

	pthread_mutex_lock(&lock);
	failed = __real_unlinkat(dir, path, flags);
	pthread_mutex_unlock(&lock);
	return failed;
}

int __wrap_openat64(int dir, const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;
	int fd;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	pthread_mutex_lock(&lock);
	fd = __real_openat64(dir, path, flags, mode);
	pthread_mutex_unlock(&lock);
	return fd;
}

/* Each opening is in another life of the machine. */
int __wrap_open64(const char *path, int flags, ...)
{
	va_list args;
	mode_t mode;

	va_start(args, flags);
	mode = va_arg(args, mode_t);
	va_end(args);
	if (strcmp(path, "/proc/sys/kernel/random/boot_id") == 0) {
		errno = ENOENT;
		return -1;
	}
	return __real_open64(path, flags, mode);
}

/* ---- the cut ---- */

static void undo(int fd, ino_t file)
{
	for (struct list *link = changes.prev; link != &changes; link = link->prev) {
		const struct change *change = CONTAINER_OF(link, struct change, link);

		if (change->file == file)
			ck_assert_int_eq(__real_pwrite64(fd, change->was, change->bytes,
							 change->offset),
					 (ssize_t)change->bytes);
	}
}

/* Some of the pages get there, in any order between them: the last that was written of a page may be lost while one before is not. */
static void redo_some(int fd, ino_t file, uint64_t (*random)(void *context, uint64_t n),
		      void *context)
{
	uint64_t luck = random(context, 4);

	LIST_FOREACH(link, &changes) {
		const struct change *change = CONTAINER_OF(link, struct change, link);
		size_t part;

		for (size_t at = 0; change->file == file && at < change->bytes; at += part) {
			part = PAGE_BYTES - (size_t)(change->offset + (off_t)at) % PAGE_BYTES;
			if (part > change->bytes - at)
				part = change->bytes - at;
			if (random(context, 4) < luck)
				ck_assert_int_eq(__real_pwrite64(fd, change->is + at, part,
								 change->offset + (off_t)at),
						 (ssize_t)part);
		}
	}
}

void power_cut(const char *from, const char *to, uint64_t (*random)(void *context, uint64_t n),
	       void *context)
{
	char command[600];
	const struct dirent *entry;
	DIR *list;

	pthread_mutex_lock(&lock);
	(void)snprintf(command, sizeof(command), "cp -a --sparse=always %s %s", from, to);
	ck_assert_int_eq(system(command), 0);
	list = opendir(from);
	ck_assert_ptr_nonnull(list);
	while ((entry = readdir(list)) != NULL) {
		char path[600];
		struct stat st, copied;
		int fd;

		(void)snprintf(path, sizeof(path), "%.200s/%s", from, entry->d_name);
		ck_assert_int_eq(stat(path, &st), 0);
		if (!S_ISREG(st.st_mode))
			continue;
		(void)snprintf(path, sizeof(path), "%.200s/%s", to, entry->d_name);
		fd = __real_open64(path, O_RDWR | O_CLOEXEC, 0);
		ck_assert_int_ge(fd, 0);
		undo(fd, st.st_ino);
		redo_some(fd, st.st_ino, random, context);
		ck_assert_int_eq(fstat(fd, &copied), 0);
		if (copied.st_size != st.st_size)
			ck_assert_int_eq(ftruncate(fd, st.st_size), 0);
		close(fd);
	}
	closedir(list);
	pthread_mutex_unlock(&lock);
}

void power_forget(void)
{
	pthread_mutex_lock(&lock);
	LIST_FOREACH_SAFE(link, &changes)
		change_free(CONTAINER_OF(link, struct change, link));
	pthread_mutex_unlock(&lock);
}
