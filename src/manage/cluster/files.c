/* SPDX-License-Identifier: Apache-2.0 */
#include "manage/cluster/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "base/err.h"

void files_init(struct files *files)
{
	memset(files, 0, sizeof(*files));
}

void files_free(struct files *files)
{
	for (size_t i = 0; i < files->n; i++) {
		if (files->list[i].bytes)
			explicit_bzero(files->list[i].bytes, files->list[i].len);
		free(files->list[i].bytes);
	}
	files_init(files);
}

/* "DIR/.NAME.SUFFIX" of "DIR/NAME". */
static bool path_beside(const char *path, const char *suffix, char to[FILES_PATH_MAX])
{
	const char *slash = strrchr(path, '/');
	int dir_len = slash ? (int)(slash + 1 - path) : 0;
	int n = snprintf(to, FILES_PATH_MAX, "%.*s.%s.%s", dir_len, path, path + dir_len, suffix);

	return n > 0 && (size_t)n < FILES_PATH_MAX;
}

dvs_err files_add(struct files *files, const char *path, mode_t mode, bool replace,
		  const void *bytes, size_t len)
{
	struct files_entry *entry = &files->list[files->n];

	if (files->n == FILES_MAX)
		return DVS_FULL;
	memset(entry, 0, sizeof(*entry));
	if (!path_beside(path, "dvs-new", entry->beside) ||
	    !path_beside(path, "dvs-old", entry->before))
		return DVS_TOOBIG;
	memcpy(entry->path, path, strlen(path) + 1);
	entry->mode = mode;
	entry->replace = replace;
	entry->bytes = malloc(len > 0 ? len : 1);
	if (!entry->bytes)
		return DVS_NOMEM;
	memcpy(entry->bytes, bytes, len);
	entry->len = len;
	files->n++;
	return DVS_OK;
}

static dvs_err fail(struct files *files, int errno_value, const char *what, const char *path)
{
	(void)snprintf(files->why, sizeof(files->why), "%s %s: %s", what, path,
		       strerror(errno_value));
	return errno_value == EEXIST ? DVS_EXISTS : DVS_IO;
}

dvs_err files_add_dir(struct files *files, const char *dir)
{
	if (strlen(dir) >= FILES_PATH_MAX || files->n_dirs == FILES_DIRS_MAX)
		return DVS_TOOBIG;
	memcpy(files->dirs[files->n_dirs++], dir, strlen(dir) + 1);
	return DVS_OK;
}

/* Only those that were made stay in the list, to be taken back. */
static dvs_err make_dirs(struct files *files)
{
	size_t made = 0;

	for (size_t i = 0; i < files->n_dirs; i++) {
		if (mkdir(files->dirs[i], 0755) == 0) {
			memmove(files->dirs[made++], files->dirs[i], FILES_PATH_MAX);
		} else if (errno != EEXIST) {
			int saved = errno;

			files->n_dirs = made;
			return fail(files, saved, "make the directory", files->dirs[i]);
		}
	}
	files->n_dirs = made;
	return DVS_OK;
}

static bool write_all(int fd, const char *bytes, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, bytes, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return false;
		bytes += n;
		len -= (size_t)n;
	}
	return true;
}

static dvs_err write_beside(struct files *files, struct files_entry *entry)
{
	AUTO_CLOSE int fd = -1;

	/* What a run that was killed has left. */
	(void)unlink(entry->beside);
	fd = open(entry->beside, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fail(files, errno, "write", entry->beside);
	entry->is_written = true;
	if (!write_all(fd, entry->bytes, entry->len) || fchmod(fd, entry->mode) != 0 ||
	    fsync(fd) != 0)
		return fail(files, errno, "write", entry->beside);
	return DVS_OK;
}

static dvs_err place(struct files *files, struct files_entry *entry)
{
	if (!entry->replace) {
		if (renameat2(AT_FDCWD, entry->beside, AT_FDCWD, entry->path, RENAME_NOREPLACE) !=
		    0)
			return fail(files, errno, "make", entry->path);
		entry->is_placed = true;
		return DVS_OK;
	}
	/* A second name for what stands there, so that the place is never empty. */
	(void)unlink(entry->before);
	if (link(entry->path, entry->before) == 0)
		entry->was_there = true;
	else if (errno != ENOENT)
		return fail(files, errno, "keep", entry->path);
	if (rename(entry->beside, entry->path) != 0)
		return fail(files, errno, "replace", entry->path);
	entry->is_placed = true;
	return DVS_OK;
}

static void take_back(struct files *files)
{
	for (size_t i = files->n; i > 0; i--) {
		struct files_entry *entry = &files->list[i - 1];

		if (entry->is_placed && entry->was_there)
			(void)rename(entry->before, entry->path);
		else if (entry->is_placed)
			(void)unlink(entry->path);
		else if (entry->was_there)
			(void)unlink(entry->before);
		if (entry->is_written && !entry->is_placed)
			(void)unlink(entry->beside);
	}
	for (size_t i = files->n_dirs; i > 0; i--)
		(void)rmdir(files->dirs[i - 1]);
}

/* The moves last through a power failure only after this. */
static void sync_directory_of(const char *path)
{
	char dir[FILES_PATH_MAX];
	const char *slash = strrchr(path, '/');
	AUTO_CLOSE int fd = -1;

	(void)snprintf(dir, sizeof(dir), "%.*s", slash ? (int)(slash + 1 - path) : 1,
		       slash ? path : ".");
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0)
		(void)fsync(fd);
}

dvs_err files_commit(struct files *files)
{
	dvs_err err = DVS_OK;

	for (size_t i = 0; err == DVS_OK && i < files->n; i++) {
		/* Seen before anything is written; place() sees it once more. */
		if (!files->list[i].replace && access(files->list[i].path, F_OK) == 0)
			return fail(files, EEXIST, "make", files->list[i].path);
	}
	err = make_dirs(files);
	for (size_t i = 0; err == DVS_OK && i < files->n; i++)
		err = write_beside(files, &files->list[i]);
	for (size_t i = 0; err == DVS_OK && i < files->n; i++)
		err = place(files, &files->list[i]);
	if (err != DVS_OK) {
		take_back(files);
		return err;
	}
	for (size_t i = 0; i < files->n; i++) {
		if (files->list[i].was_there)
			(void)unlink(files->list[i].before);
		sync_directory_of(files->list[i].path);
	}
	return DVS_OK;
}

dvs_err files_read(const char *path, size_t max, char **bytes, size_t *len)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	AUTO_FREE char *room = NULL;
	size_t have = 0;
	ssize_t n;

	if (fd < 0)
		return DVS_IO;
	room = malloc(max + 1);
	if (!room)
		return DVS_NOMEM;
	while (have <= max && (n = read(fd, room + have, max + 1 - have)) != 0) {
		if (n < 0)
			return DVS_IO;
		have += (size_t)n;
	}
	if (have > max)
		return DVS_TOOBIG;
	room[have] = '\0';
	*len = have;
	*bytes = TAKE_PTR(room);
	return DVS_OK;
}
