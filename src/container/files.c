/* SPDX-License-Identifier: Apache-2.0 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/internal.h"

bool file_read(const char *path, char *text, size_t size)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t len = 0;

	text[0] = '\0';
	if (fd < 0)
		return false;
	while (len < size - 1) {
		ssize_t n = read(fd, text + len, size - 1 - len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		if (n == 0)
			break;
		len += (size_t)n;
	}
	text[len] = '\0';
	return true;
}

bool text_number(const char **at, uint64_t *value)
{
	char *end;

	while (**at == ' ')
		(*at)++;
	if (**at < '0' || **at > '9')
		return false;
	errno = 0;
	*value = strtoull(*at, &end, 10);
	*at = end;
	return errno == 0;
}

bool text_device(const char **at, unsigned int *major_number, unsigned int *minor_number)
{
	uint64_t first, second;

	if (!text_number(at, &first) || *(*at)++ != ':' || !text_number(at, &second) ||
	    first > UINT32_MAX || second > UINT32_MAX)
		return false;
	*major_number = (unsigned int)first;
	*minor_number = (unsigned int)second;
	return true;
}

static bool write_all(int fd, const char *text, size_t len)
{
	while (len > 0) {
		ssize_t n = write(fd, text, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return false;
		text += n;
		len -= (size_t)n;
	}
	return true;
}

bool file_put(const char *path, const char *text)
{
	AUTO_CLOSE int fd = open(path, O_WRONLY | O_CLOEXEC);

	return fd >= 0 && write_all(fd, text, strlen(text));
}

/* So that the name is there, too, after a loss of power. */
static bool sync_dir_of(const char *path)
{
	char dir[PATH_BYTES + 8];
	AUTO_CLOSE int fd = -1;
	char *slash;

	(void)snprintf(dir, sizeof(dir), "%s", path);
	slash = strrchr(dir, '/');
	if (slash)
		*slash = '\0';
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return fd >= 0 && fsync(fd) == 0;
}

bool file_replace(const char *path, const char *text, size_t len, mode_t mode, bool lasting)
{
	char other[PATH_BYTES + 8];
	AUTO_CLOSE int fd = -1;

	(void)snprintf(other, sizeof(other), "%s.new", path);
	fd = open(other, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC, mode);
	if (fd < 0 || !write_all(fd, text, len) || (lasting && fsync(fd) != 0))
		return false;
	return rename(other, path) == 0 && (!lasting || sync_dir_of(path));
}

bool dir_make(const char *path, mode_t mode)
{
	char part[PATH_BYTES];

	if (strlen(path) >= sizeof(part)) {
		errno = ENAMETOOLONG;
		return false;
	}
	(void)snprintf(part, sizeof(part), "%s", path);
	for (char *at = part + 1; *at; at++) {
		if (*at != '/')
			continue;
		*at = '\0';
		if (mkdir(part, 0755) != 0 && errno != EEXIST)
			return false;
		*at = '/';
	}
	return mkdir(part, mode) == 0 || errno == EEXIST;
}

/* ---- removing a tree that somebody else may have filled ---- */

/* One level, up to the first directory that is not empty, whose name is put into NEXT ("" if there is none): what was before it is gone, so that a level is
 * read in all only once, however wide it is. */
static bool remove_level(int dir, dev_t device, char next[256])
{
	AUTO_CLOSEDIR DIR *list = NULL;
	int copy = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	struct dirent *entry;

	next[0] = '\0';
	list = copy >= 0 ? fdopendir(copy) : NULL;
	if (!list) {
		cleanup_close(&copy);
		return false;
	}
	while ((entry = readdir(list)) != NULL) {
		struct stat status;

		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		if (unlinkat(dir, entry->d_name, 0) == 0 || errno == ENOENT)
			continue;
		if (errno != EISDIR && errno != EPERM)
			return false;
		if (fstatat(dir, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) != 0)
			return false;
		if (!S_ISDIR(status.st_mode) || status.st_dev != device) {
			errno = EXDEV;
			return false;
		}
		if (unlinkat(dir, entry->d_name, AT_REMOVEDIR) == 0)
			continue;
		if (errno != ENOTEMPTY && errno != EEXIST)
			return false;
		(void)snprintf(next, 256, "%s", entry->d_name);
		return true;
	}
	return true;
}

/* Empty the directory, without a call stack or descriptors that grow with its depth: go down to the first directory that is not empty, and back up by "..",
 * which is checked to be where we came from: the tree cannot be moved under us, for all its processes are dead, but it costs nothing. */
static bool empty_dir(int top)
{
	struct stat status, above;
	char next[256];
	int at = fcntl(top, F_DUPFD_CLOEXEC, 0);
	dev_t device;
	ino_t top_inode;

	if (at < 0 || fstat(at, &status) != 0)
		return false;
	device = status.st_dev;
	top_inode = status.st_ino;
	for (;;) {
		int to;

		if (!remove_level(at, device, next))
			break;
		if (fstat(at, &status) != 0)
			break;
		if (!next[0] && status.st_ino == top_inode) {
			close(at);
			return true;
		}
		to = openat(at, next[0] ? next : "..",
			    O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		if (to < 0 || fstat(to, &above) != 0 || above.st_dev != device) {
			if (to >= 0)
				close(to);
			errno = to < 0 ? errno : EXDEV;
			break;
		}
		close(at);
		at = to;
	}
	cleanup_close(&at);
	return false;
}

bool dir_remove(const char *path)
{
	AUTO_CLOSE int fd = open(path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT;
	if (!empty_dir(fd))
		return false;
	return rmdir(path) == 0 || errno == ENOENT;
}
