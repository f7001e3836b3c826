/* SPDX-License-Identifier: Apache-2.0 */
/* An export into a directory. Each thing is made under a name of its own beside, and renamed when it is whole. No link is followed below the top. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "manage/filesystem/export.h"

struct directory {
	int top; /* to find what was exported before */
	int file;
	char beside[EXPORT_BESIDE_BYTES]; /* what is being made */
};

static int directory_open(struct export *export)
{
	struct directory *directory = calloc(1, sizeof(*directory));

	if (!directory)
		return filesystem_fail(export->tree.fs, DVS_NOMEM);
	directory->top = -1;
	directory->file = -1;
	export->state = directory;
	return EXIT_DONE;
}

static int directory_enter(struct export *export)
{
	struct directory *directory = export->state;
	struct level *level = export->level;
	int parent = level->up ? level->up->fd : AT_FDCWD;
	const char *name = level->up ? level->what.name : export->to;

	level->is_new = mkdirat(parent, name, 0700) == 0;
	if (!level->is_new && errno != EEXIST)
		return export_fail_errno(export, export->path);
	level->fd = openat(parent, name,
			   O_RDONLY | O_DIRECTORY | O_CLOEXEC | (level->up ? O_NOFOLLOW : 0));
	if (level->fd < 0)
		return export_fail_errno(export, export->path);
	if (level->up)
		return EXIT_DONE;
	directory->top = fcntl(level->fd, F_DUPFD_CLOEXEC, 0);
	return directory->top < 0 ? export_fail_errno(export, "") : EXIT_DONE;
}

/* ---- attributes ---- */

static int set_xattr(struct export *export, const struct export_what *what, void *context,
		     const char *name, const void *value, size_t len)
{
	if (fsetxattr(*(const int *)context, name, value, len, 0) == 0)
		return EXIT_DONE;
	if (errno != ENOTSUP)
		return export_fail_errno(export, what->path);
	export->left_out++;
	return EXIT_DONE;
}

static void times_of(const struct fs_attr *attr, struct timespec times[2])
{
	times[0] = (struct timespec){ attr->atime_s, attr->atime_ns };
	times[1] = (struct timespec){ attr->mtime_s, attr->mtime_ns };
}

/* In this order: a new owner takes rights away. */
static int give(struct export *export, const struct export_what *what, int fd)
{
	struct timespec times[2];
	int status;

	if (export->keeps_owners && fchown(fd, what->attr.uid, what->attr.gid) != 0)
		return export_fail_errno(export, what->path);
	status = export_xattrs(export, what, set_xattr, &fd);
	if (status != EXIT_DONE)
		return status;
	times_of(&what->attr, times);
	if (fchmod(fd, export_mode(export, &what->attr)) != 0 || futimens(fd, times) != 0)
		return export_fail_errno(export, what->path);
	return EXIT_DONE;
}

/* The same of what is not opened: links, FIFOs, devices. */
static int give_name(struct export *export, const struct export_what *what, int folder,
		     const char *name)
{
	struct timespec times[2];

	times_of(&what->attr, times);
	if (export->keeps_owners &&
	    fchownat(folder, name, what->attr.uid, what->attr.gid, AT_SYMLINK_NOFOLLOW) != 0)
		return export_fail_errno(export, what->path);
	if (!S_ISLNK(what->attr.mode) &&
	    fchmodat(folder, name, export_mode(export, &what->attr), 0) != 0)
		return export_fail_errno(export, what->path);
	if (utimensat(folder, name, times, AT_SYMLINK_NOFOLLOW) != 0)
		return export_fail_errno(export, what->path);
	return EXIT_DONE;
}

/* A directory that was there keeps what it has. */
static int directory_leave(struct export *export)
{
	struct level *level = export->level;
	int status = EXIT_DONE;

	if (level->fd < 0)
		return EXIT_DONE;
	if (level->is_new)
		status = give(export, &level->what, level->fd);
	(void)close(level->fd);
	return status;
}

/* ---- what is in it ---- */

/* Another name of a file that was exported before, through no link. */
static bool make_link(const struct directory *directory, const char *same, int folder)
{
	AUTO_CLOSE int at = fcntl(directory->top, F_DUPFD_CLOEXEC, 0);
	const char *slash;
	char name[FSC_NAME_MAX + 1];

	while (at >= 0 && (slash = strchr(same, '/')) != NULL) {
		int next;

		(void)snprintf(name, sizeof(name), "%.*s", (int)(slash - same), same);
		next = openat(at, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
		(void)close(at);
		at = next;
		same = slash + 1;
	}
	return at >= 0 && linkat(at, same, folder, directory->beside, 0) == 0;
}

static bool make(struct directory *directory, const struct export_what *what, int folder)
{
	const char *name = directory->beside;
	mode_t type = what->attr.mode & S_IFMT;

	if (what->same)
		return make_link(directory, what->same, folder);
	if (S_ISLNK(type))
		return symlinkat(what->target, folder, name) == 0;
	if (!S_ISREG(type))
		return mknodat(folder, name, type | 0600, (dev_t)what->attr.rdev) == 0;
	directory->file =
		openat(folder, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	return directory->file >= 0;
}

static int directory_begin(struct export *export, const struct export_what *what)
{
	struct directory *directory = export->state;
	int folder = export->level->fd;
	struct stat there;

	/* Before much is copied for nothing. */
	if (!export->replaces && fstatat(folder, what->name, &there, AT_SYMLINK_NOFOLLOW) == 0) {
		errno = EEXIST;
		return export_fail_errno(export, what->path);
	}
	if (!export_beside(directory->beside) || !make(directory, what, folder))
		return export_fail_errno(export, what->path);
	return EXIT_DONE;
}

static int directory_data(struct export *export, uint64_t offset, const void *bytes, size_t len)
{
	const struct directory *directory = export->state;

	while (len > 0) {
		ssize_t put = pwrite(directory->file, bytes, len, (off_t)offset);

		if (put < 0 && errno == EINTR)
			continue;
		if (put <= 0)
			return export_fail_errno(export, export->path);
		bytes = (const uint8_t *)bytes + put;
		offset += (uint64_t)put;
		len -= (size_t)put;
	}
	return EXIT_DONE;
}

static int finish(struct export *export, const struct export_what *what)
{
	struct directory *directory = export->state;
	int folder = export->level->fd;
	int status = EXIT_DONE;

	if (directory->file >= 0) {
		if (ftruncate(directory->file, (off_t)what->attr.size) != 0)
			return export_fail_errno(export, what->path);
		status = give(export, what, directory->file);
	} else if (!what->same) {
		status = give_name(export, what, folder, directory->beside);
	}
	if (status == EXIT_DONE && !export_rename(export, folder, directory->beside, what->name))
		status = export_fail_errno(export, what->path);
	return status;
}

static int directory_end(struct export *export, const struct export_what *what, int so_far)
{
	struct directory *directory = export->state;
	int status = so_far == EXIT_DONE ? finish(export, what) : so_far;

	if (directory->file >= 0)
		(void)close(directory->file);
	directory->file = -1;
	/* A rename to another name of the same file does nothing, so it may be there still. */
	if (status != EXIT_DONE || what->same)
		(void)unlinkat(export->level->fd, directory->beside, 0);
	return status;
}

static int directory_close(struct export *export, int so_far)
{
	struct directory *directory = export->state;
	int status = so_far;

	if (!directory)
		return status;
	if (status == EXIT_DONE && syncfs(directory->top) != 0)
		status = export_fail_errno(export, "");
	if (directory->top >= 0)
		(void)close(directory->top);
	free(directory);
	return status;
}

const struct export_place export_to_directory = {
	.open = directory_open,
	.enter = directory_enter,
	.leave = directory_leave,
	.begin = directory_begin,
	.data = directory_data,
	.end = directory_end,
	.close = directory_close,
};
