/* SPDX-License-Identifier: Apache-2.0 */
#include "container/tree.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/openat2.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/cleanup.h"
#include "container/why.h"

/* A container can make folders deeper than any path is long. What is deeper than this is moved to the top of the tree that is removed, so that neither descriptors nor the
 * stack run out. */
#define DEPTH_MAX 64u
/* Somebody may write while we remove: as often as this we look again. */
#define ROUNDS_MAX 1000u

static int open_how(int root, const char *path, int flags, uint64_t resolve)
{
	struct open_how how = { .flags = (uint64_t)(unsigned)(flags | O_CLOEXEC),
				.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS | resolve };

	for (;;) {
		int fd = (int)syscall(SYS_openat2, root, path[0] ? path : ".", &how, sizeof(how));

		/* EAGAIN: something was renamed meanwhile. */
		if (fd >= 0 || (errno != EAGAIN && errno != EINTR))
			return fd;
	}
}

int tree_open(int root, const char *path, int flags)
{
	return open_how(root, path, flags | O_NOFOLLOW, RESOLVE_NO_SYMLINKS);
}

int tree_open_within(int root, const char *path, int flags)
{
	return open_how(root, path, flags, 0);
}

struct removal {
	int top; /* of the tree */
	unsigned n_moved;
	char *why;
};

static dvs_err empty(struct removal *removal, int dir, unsigned depth);

/* The folder NAME of DIR, which cannot be emptied where it is, goes to the top. */
static dvs_err move_up(struct removal *removal, int dir, const char *name)
{
	char moved[40];

	for (unsigned i = 0; i < ROUNDS_MAX; i++) {
		(void)snprintf(moved, sizeof(moved), ".dvs-removed-%u", removal->n_moved++);
		if (renameat2(dir, name, removal->top, moved, RENAME_NOREPLACE) == 0)
			return DVS_OK;
		if (errno != EEXIST)
			break;
	}
	return why_errno(removal->why, errno, "cannot remove the folder %s", name);
}

static dvs_err remove_folder(struct removal *removal, int dir, const char *name, unsigned depth)
{
	AUTO_CLOSE int fd = -1;
	dvs_err err;

	if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return DVS_OK;
	if (errno == EBUSY)
		return why_say(removal->why, DVS_INUSE,
			       "cannot remove the folder %s: something is mounted there", name);
	if (depth >= DEPTH_MAX)
		return move_up(removal, dir, name);
	fd = openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ?
			       DVS_OK :
			       why_errno(removal->why, errno, "cannot open the folder %s", name);
	if (depth == 0)
		removal->top = fd;
	/* What others add meanwhile, or was moved up, takes another round. */
	for (unsigned i = 0; i < ROUNDS_MAX; i++) {
		err = empty(removal, fd, depth);
		if (err != DVS_OK)
			return err;
		if (unlinkat(dir, name, AT_REMOVEDIR) == 0 || errno == ENOENT)
			return DVS_OK;
		if (errno != ENOTEMPTY && errno != EEXIST)
			break;
	}
	return why_errno(removal->why, errno, "cannot remove the folder %s", name);
}

static dvs_err remove_entry(struct removal *removal, int dir, const char *name, unsigned depth)
{
	if (unlinkat(dir, name, 0) == 0 || errno == ENOENT)
		return DVS_OK;
	if (errno == EISDIR || errno == EPERM)
		return remove_folder(removal, dir, name, depth);
	return why_errno(removal->why, errno, "cannot remove %s", name);
}

/* Remove all that is in the folder DIR, which is DEPTH below the top. */
static dvs_err empty(struct removal *removal, int dir, unsigned depth)
{
	int fd = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	AUTO_CLOSEDIR DIR *stream = fd < 0 ? NULL : fdopendir(fd);
	const struct dirent *entry;

	if (!stream) {
		if (fd >= 0)
			close(fd);
		return why_errno(removal->why, errno, "cannot read a folder");
	}
	for (;;) {
		dvs_err err;

		errno = 0;
		entry = readdir(stream);
		if (!entry)
			break;
		if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
			continue;
		err = remove_entry(removal, dir, entry->d_name, depth + 1);
		if (err != DVS_OK)
			return err;
	}
	return errno == 0 ? DVS_OK : why_errno(removal->why, errno, "cannot read a folder");
}

dvs_err tree_remove(int dir, const char *name, char *why)
{
	struct removal removal = { .top = dir, .why = why };

	return remove_entry(&removal, dir, name, 0);
}
